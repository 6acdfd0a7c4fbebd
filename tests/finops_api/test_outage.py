"""PostgreSQL goes away under load and comes back: typed refusals meanwhile, no fault of ours, nobody left waiting."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from helpers.proofs import PROVING
from helpers.road import Export, Road, charge

from finops_warehouse.api_connections import FOR_QUESTIONS
from finops_warehouse.database import connect_to, init_db
from finops_warehouse.embedded import EmbeddedPostgres
from finops_warehouse.settings import Settings

from .test_over_http import free_port

ASKS_ANEW = {"Cache-Control": "no-cache"}
"""Equal questions would be answered by one."""

AWAY_SECONDS = 3.0
WAITED_AT_MOST = 1.0 if PROVING else 5.0
"""The promise is one second. A machine that runs a suite beside it is given more."""

ASKED = "/v1/costs?start=2026-09-10&end=2026-09-11"


@dataclass
class Told:
    """One answer to one client."""

    at: float
    seconds: float
    status: int
    body: dict[str, object]
    headers: httpx.Headers


@dataclass
class Load:
    """Clients that ask again and again, and all they were told."""

    url: str
    kinds: list[dict[str, str]]
    """What each sends with it."""
    told: list[Told] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def _ask(self, headers: dict[str, str]) -> None:
        with httpx.Client(base_url=self.url, timeout=30, headers=headers) as client:
            while not self._over.is_set():
                began = time.monotonic()
                try:
                    answer = client.get(ASKED)
                except httpx.HTTPError as fault:
                    self.faults.append(fault)
                    continue
                now = time.monotonic()
                self.told.append(Told(now, now - began, answer.status_code, answer.json(), answer.headers))
                time.sleep(0.01)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Load for as long as the block takes, and until every client was answered."""
        threads = [threading.Thread(target=self._ask, args=[kind]) for kind in self.kinds]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL of these tests alone, with one usage day built."""
    folder = tmp_path_factory.mktemp("outage")
    for each in (folder, folder.parent):
        each.chmod(0o755)
    server = EmbeddedPostgres(folder / "home")
    dsn = server.start()
    init_db(Settings.model_validate({"database_url": dsn}))
    export = Export(folder / "export")
    export.write("2026-09-11", [charge(10)])
    export.write("2026-09-14", [charge(1, start="2026-09-13T12:00")])  # two export days later a day is complete
    with connect_to(dsn, autocommit=True) as connection:
        Road(connection, export.folder).walk()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def url(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `finops serve` over it, a process of its own."""
    folder = tmp_path_factory.mktemp("serve")
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", ""), "DATABASE_URL": postgres.dsn,
        "FINOPS_HOME": str(folder), "LOG_LEVEL": "ERROR",
    }  # fmt: skip
    finops = Path(sys.executable).with_name("finops")
    process = subprocess.Popen([finops, "serve", "--port", str(port)], cwd=folder, env=environment)
    url = f"http://127.0.0.1:{port}"
    _until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
    yield url
    process.kill()
    process.wait()


def _until(so: Callable[[], bool]) -> None:
    for _ in range(300):
        try:
            if so():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("it never came to be so")


def _kill(postgres: EmbeddedPostgres) -> None:
    """As the kernel does when memory runs out: no goodbye to anybody, and a lock file that stays."""
    pid = int((postgres._data / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("goes", [EmbeddedPostgres.stop, _kill], ids=["stopped", "killed"])
def test_an_outage_is_told_as_one_and_is_over_when_it_is(
    postgres: EmbeddedPostgres, url: str, goes: Callable[[EmbeddedPostgres], None]
) -> None:
    """Dashboards show what they have and try again, if told so; a page that hangs is reloaded and adds load."""
    load = Load(url, [{}, ASKS_ANEW] * 6)
    with load.going_on():
        time.sleep(1)
        left_at = time.monotonic()
        goes(postgres)
        gone_at = time.monotonic()
        _until(lambda: httpx.get(f"{url}/readyz").status_code == 503)
        while time.monotonic() < gone_at + AWAY_SECONDS:
            assert httpx.get(f"{url}/livez").status_code == 200
            time.sleep(0.1)
        dsn = postgres.dsn
        assert postgres.start() == dsn
        back_at = time.monotonic()
        time.sleep(WAITED_AT_MOST + 1)

    refused = [told for told in load.told if told.status == 503]
    longest = max(told.seconds for told in load.told)
    last = max(told.at for told in refused)
    assert load.faults == []
    assert {told.status for told in load.told} == {200, 503}
    assert {told.body["title"] for told in refused} == {"DatabaseUnreachable"}
    assert {told.headers["content-type"] for told in refused} == {"application/problem+json"}
    assert all(int(told.headers["retry-after"]) > 0 for told in refused)
    assert min(told.at for told in refused) > left_at
    assert longest < WAITED_AT_MOST
    assert last < back_at + WAITED_AT_MOST
    assert len({str(told.body["items"]) for told in load.told if told.status == 200}) == 1


def test_who_waits_for_a_connection_in_vain_is_told_so(postgres: EmbeddedPostgres, url: str) -> None:
    """As many questions as run at once, that take long: the next one must not wait for them."""
    with connect_to(postgres.dsn) as locking:
        locking.execute("lock table finops.cost_by_service_daily in access exclusive mode")
        load = Load(url, [ASKS_ANEW] * (FOR_QUESTIONS + 4))
        with load.going_on():
            _until(lambda: any(told.status == 503 for told in load.told))
            assert httpx.get(f"{url}/livez").status_code == 200
            locking.rollback()
            began = time.monotonic()
            _until(lambda: load.told[-1].status == 200)
            assert time.monotonic() - began < WAITED_AT_MOST

    assert load.faults == []
    refused = [told for told in load.told if told.status == 503]
    assert {told.body["title"] for told in refused} == {"DatabaseUnreachable"}
    assert max(told.seconds for told in refused) < WAITED_AT_MOST
