"""Redis goes away under load, goes silent, is full or was never there: everybody is answered as if there were none."""

import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from helpers.proofs import count
from helpers.redis_server import RedisServer

from .listening import number
from .test_answers import answered
from .test_outage import ASKED, ASKS_ANEW, WAITED_AT_MOST, Load, _until
from .test_over_http import free_port
from .test_shared_answers import entries, shared, until_they_share

Serve = Callable[..., httpx.Client]
TOKEN = {"Authorization": "Bearer let-me-in-please"}
AWAY_SECONDS = count(3, 20)


@dataclass
class Api:
    """A running `finops serve` with a Redis, and its log."""

    url: str
    log: Path

    def number(self, name: str) -> float:
        with httpx.Client(base_url=self.url) as client:
            return number(client, name)


@contextmanager
def serving(dsn: str, redis_url: str, folder: Path) -> Iterator[Api]:
    """`finops serve`, a process of its own: what a client is told late is late by its doing."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", ""), "DATABASE_URL": dsn,
        "REDIS_URL": redis_url, "FINOPS_HOME": str(folder / "home"), "LOG_LEVEL": "WARNING", "LOG_FORMAT": "json",
        "API_TOKEN": "let-me-in-please", "RATE_LIMIT_QUERIES_PER_MINUTE": "1000000",
    }  # fmt: skip
    finops = Path(sys.executable).with_name("finops")
    log = folder / "serve.log"
    with log.open("w") as stderr:
        process = subprocess.Popen([finops, "serve", "--port", str(port)], cwd=folder, env=environment, stderr=stderr)
    api = Api(f"http://127.0.0.1:{port}", log)
    try:
        _until(lambda: httpx.get(f"{api.url}/readyz").status_code == 200)
        yield api
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("goes", [RedisServer.kill, RedisServer.halt], ids=["killed", "silent"])
def test_nobody_notices_that_redis_is_gone(
    built: str, redis: RedisServer, tmp_path: Path, goes: Callable[[RedisServer], None]
) -> None:
    """Killed, or accepting connections and never answering: no refusal, no fault, nobody late. Then it is back."""
    with serving(built, redis.url, tmp_path) as api:
        load = Load(api.url, [TOKEN, {**TOKEN, **ASKS_ANEW}] * 4)
        with load.going_on():
            _until(lambda: api.number('finops_redis_asked_total{outcome="answered",purpose="limits"}') > 20)
            goes(redis)
            gone_at = time.monotonic()
            _until(lambda: api.number("finops_redis_up") == 0)
            while time.monotonic() < gone_at + AWAY_SECONDS:
                assert httpx.get(f"{api.url}/readyz").status_code == 200
                time.sleep(0.1)
            spared = api.number('finops_redis_asked_total{outcome="left_alone",purpose="limits"}')
            failed = api.number('finops_redis_asked_total{outcome="failed",purpose="limits"}')
            redis.go_on() if goes is RedisServer.halt else redis.start()
            _until(lambda: api.number("finops_redis_up") == 1)
            answered_before = api.number('finops_redis_asked_total{outcome="answered",purpose="limits"}')
            _until(
                lambda: (
                    api.number('finops_redis_asked_total{outcome="answered",purpose="limits"}') > answered_before + 20
                )
            )
        log = api.log.read_text()

    assert load.faults == []
    assert {told.status for told in load.told} == {200}
    assert max(told.seconds for told in load.told) < WAITED_AT_MOST
    assert len({str(told.body["items"]) for told in load.told}) == 1
    assert spared > 10 * failed, "it was asked again and again although it did not answer"
    assert 1 <= log.count("redis does not answer") <= 8  # for answers and for limits, once for each way it did not
    assert "Traceback" not in log


class _Http(http.server.BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silence."""


@contextmanager
def not_a_redis(kind: str) -> Iterator[str]:
    """The address of something that is no Redis."""
    if kind == "nobody":
        yield f"redis://127.0.0.1:{free_port()}/0"
    elif kind == "silence":
        with socket.create_server(("127.0.0.1", 0)) as listening:  # the kernel accepts, and that is all
            yield f"redis://127.0.0.1:{listening.getsockname()[1]}/0"
    elif kind == "a name nobody knows":
        yield "redis://redis.invalid:6379/0"
    else:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Http)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"redis://127.0.0.1:{server.server_port}/0"
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("kind", ["nobody", "silence", "a web server", "a name nobody knows"])
def test_a_redis_that_was_never_there_keeps_nobody_waiting(built: str, serve: Serve, kind: str) -> None:
    """A wrong REDIS_URL is seen in the log, the metrics and by `finops doctor`, and by nobody who asks."""
    with not_a_redis(kind) as url:
        client = serve(built, redis_url=url, api_token="let-me-in-please")
        seconds = []
        for _ in range(12):
            began = time.monotonic()
            assert client.get(ASKED, headers={**TOKEN, **ASKS_ANEW}).status_code == 200
            seconds.append(time.monotonic() - began)
        for _ in range(3):
            assert client.get(ASKED, headers=TOKEN).status_code == 200

        assert max(seconds) < WAITED_AT_MOST
        assert client.get("/readyz").status_code == 200
        assert number(client, "finops_redis_up") == 0
        assert number(client, 'finops_redis_asked_total{outcome="failed",purpose="limits"}') > 0
        assert number(client, 'finops_redis_asked_total{outcome="answered",purpose="limits"}') == 0


def test_a_full_redis_takes_nothing_and_gives_no_fault(
    spoilt: str, serve: Serve, redis: RedisServer, tmp_path: Path
) -> None:
    """One that may not evict refuses writes: answers are made, requests are counted here."""
    first, second = (
        serve(spoilt, redis_url=redis.url, api_token="let-me-in-please", rate_limit_queries_per_minute=30)
        for _ in range(2)
    )
    for client in (first, second):
        client.headers.update(TOKEN)
    until_they_share(first, second)
    with redis.client() as client:
        client.flushall()
        client.config_set("maxmemory", 1)
        client.config_set("maxmemory-policy", "noeviction")
    question = "/v1/evidence?start=2026-09-10&end=2026-09-11&billing_currency=USD&service=BigQuery"

    before = shared(second)

    told = [first.get(question).status_code for _ in range(40)]
    answered(second, ASKED)

    assert set(told) == {200, 429}
    assert told.index(429) <= 30
    assert 429 not in told[: told.index(429)]
    assert entries(redis) == {}
    assert shared(second) == before


def test_a_wrong_password_is_told_once_and_costs_nothing_else(
    built: str, serve: Serve, redis: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor is it, or the address it stands in, in the log."""
    with redis.client() as client:
        client.config_set("requirepass", "the right one")
    client = serve(built, redis_url=redis.url.replace("//", "//:hunter2-hunter2@"), api_token="let-me-in-please")

    assert [client.get(ASKED, headers={**TOKEN, **ASKS_ANEW}).status_code for _ in range(10)] == [200] * 10
    assert number(client, "finops_redis_up") == 0
    told = capsys.readouterr()
    log = told.out + told.err
    assert log.count("redis does not answer") == 1
    assert "hunter2" not in log
