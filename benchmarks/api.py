"""What does an answer cost beside the least FastAPI can do, and beside an ORM? What does the overview wait for?

A warehouse of 90 days gets a million facts. Three servers run as `finops serve` runs one: ours, whose callers send a
key, one route of FastAPI that says hello, and SQLAlchemy's ORM with pydantic over the rows of the same answer. A
process of its own asks them in turns over 16 connections; printed are medians over the turns of the ratio of the
speeds to hello in the same turn, and the servers' CPU for a request.

Then Chromium opens the overview of the dashboard, and what it asks is asked again, one request after the other, with
nothing kept. The same statements are given to psql; the ratio is of the slowest hundredth of each.

    make bench            or    .venv/bin/python -m benchmarks.api [rounds]

benchmarks/results/api.md has a run.
"""

import asyncio
import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta
from decimal import Decimal
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path
from typing import Any, cast
from unittest import mock
from urllib.parse import urlencode, urlsplit

import httpx
import psycopg
import uvloop
from fastapi import FastAPI
from playwright.sync_api import sync_playwright
from psycopg import sql
from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from benchmarks.insights import think
from benchmarks.rebuild import fill
from benchmarks.serving import get, serving
from benchmarks.warehouse import copy_rows, warehouse
from finops_api.app import create_app
from finops_api.observability import configure_logging
from finops_api.server import listen
from finops_api.snapshots import Bound, OneSnapshot
from finops_pipeline.rebuilding import rebuild_usage_day
from finops_pipeline.sample_export import write_sample_export
from finops_pipeline.sources.files import FilesSource
from finops_warehouse.embedded import binaries
from finops_warehouse.freshness import complete_through
from finops_warehouse.keys import NewKey, create, make_pepper
from finops_warehouse.settings import Settings
from finops_warehouse.sql_models import postgres_models

FACTS = 1_000_000
LAST_DAY = date(2026, 10, 31)
DAYS = 90
THOUGHT_DAYS = 10
ROLLUPS = ("cost_by_service_daily", "cost_by_project_service_daily", "cost_by_sku_region_daily", "cost_by_custom_daily")
CONNECTIONS = 16
SECONDS = 2.0
ROUNDS = 5
ASKED_AGAIN = 100
WEEK = {"start": "2026-10-20", "end": "2026-10-27", "billing_currency": "USD"}
BY_SERVICE = {"group_by": "service", "granularity": "daily"}
QUESTION = f"/v1/costs?{urlencode({**WEEK, **BY_SERVICE})}"
FOUR_DAYS = f"/v1/costs?{urlencode({**WEEK, 'end': '2026-10-24', **BY_SERVICE})}"
NEW = 2000
"""Questions that have the same answer: more than the API holds, so that each is a new one when its turn comes again."""
LEAST = {"kept": 0.75, "304": 0.65, "uncached": 0.25, "uncached, 92 rows": 0.25}
MOST_MICROSECONDS = 40
MOST_MILLISECONDS = 100
MOST_TIMES_PSQL = 2

rows_of_a_snapshot = OneSnapshot.rows

MADE = {"sku_id": "sku_id || '-' || copy", "sub_account_id": "sub_account_id || '-' || copy %% 5"}


def fill_facts(connection: psycopg.Connection, folder: Path) -> None:
    """Build 90 days and what is thought of the last ones, then add facts of other projects and SKUs to every day."""
    export = write_sample_export(folder / "export", days=DAYS, rows_per_day=1500, seed=2026, last_export_day=LAST_DAY)
    fill(connection, FilesSource(export.table_dir), export.first_export_day, LAST_DAY)
    last = complete_through(connection)
    assert last is not None
    think(dsn_of(connection), [last - timedelta(days=i) for i in reversed(range(THOUGHT_DAYS))])
    copy_rows(connection, "aggregated_cost_data", FACTS, MADE)
    models = {model.table: model for model in postgres_models()}
    days = connection.execute("select usage_day from finops.usage_day_ledger order by 1").fetchall()
    for (day,) in days:
        for table in ROLLUPS:
            rebuild_usage_day(connection, models[table], day, run_id="bench")
    connection.execute("vacuum analyze")


def dsn_of(connection: psycopg.Connection) -> str:
    """How to reach the same database."""
    return f"{connection.info.dsn} password={connection.info.password}"


def settings_of(folder: Path) -> Settings:
    """Those of a deployment, but that no requests are counted: it is asked more than anybody may."""
    return Settings(finops_home=folder, log_format="json", rate_limit_queries_per_minute=0)


class Base(DeclarativeBase):
    """What the ORM maps."""


class ServiceDay(Base):
    """The rollup that the question is answered from."""

    __tablename__ = "cost_by_service_daily"
    __table_args__ = {"schema": "finops"}  # noqa: RUF012 -- so SQLAlchemy wants it

    usage_day: Mapped[date] = mapped_column(primary_key=True)
    invoice_month: Mapped[str] = mapped_column(primary_key=True)
    billing_account_id: Mapped[str] = mapped_column(primary_key=True)
    charge_category: Mapped[str] = mapped_column(primary_key=True)
    service_id: Mapped[str] = mapped_column(primary_key=True)
    service_name: Mapped[str]
    billing_currency: Mapped[str]
    billed_cost: Mapped[Decimal]


class ServiceCost(BaseModel):
    """A row of the answer."""

    model_config = ConfigDict(from_attributes=True)

    usage_day: date
    service_id: str
    service_name: str
    billing_currency: str
    billed_cost: Decimal


def peer(dsn: str) -> FastAPI:
    """The rows of the answer as most would serve them: the ORM adds up, pydantic writes. No key, no totals, no meta."""
    app = FastAPI()
    given = psycopg.conninfo.conninfo_to_dict(dsn)
    engine = create_async_engine("postgresql+psycopg://", connect_args=given, pool_size=8)
    asked = (
        select(
            ServiceDay.usage_day,
            ServiceDay.service_id,
            ServiceDay.service_name,
            ServiceDay.billing_currency,
            func.sum(ServiceDay.billed_cost).label("billed_cost"),
        )
        .where(
            ServiceDay.usage_day >= date.fromisoformat(WEEK["start"]),
            ServiceDay.usage_day < date.fromisoformat(WEEK["end"]),
            ServiceDay.billing_currency == WEEK["billing_currency"],
        )
        .group_by(ServiceDay.usage_day, ServiceDay.service_id, ServiceDay.service_name, ServiceDay.billing_currency)
        .order_by(ServiceDay.usage_day, func.sum(ServiceDay.billed_cost).desc())
    )

    @app.get("/v1/costs")
    async def costs() -> list[ServiceCost]:
        async with AsyncSession(engine) as session:
            return [ServiceCost.model_validate(row) for row in await session.execute(asked)]

    return app


def hello() -> FastAPI:
    """The least FastAPI can do."""
    app = FastAPI()

    @app.get("/hello")
    async def say() -> dict[str, str]:
        return {"message": "hello"}

    return app


def ours(dsn: str, folder: Path) -> FastAPI:
    """The application, with the same hello behind all its middleware."""
    settings = settings_of(folder)
    configure_logging(settings)
    app = create_app(dsn, settings)

    async def say() -> dict[str, str]:
        return {"message": "hello"}

    app.add_api_route("/hello", say)
    app.router.routes.insert(0, app.router.routes.pop())  # the dashboard answers every other path
    return app


def serve(what: str, port: int, dsn: str, folder: Path) -> None:
    """Be one of the servers."""
    app = ours(dsn, folder) if what == "ours" else peer(dsn) if what == "peer" else hello()
    listen(app, host="127.0.0.1", port=port)


@contextmanager
def server(what: str, port: int, dsn: str, folder: Path) -> Iterator[int]:
    """One of the servers; what it logs goes to a file."""
    with (
        (folder / f"{what}.log").open("w") as logged,
        serving(port, "benchmarks.api", what, str(port), dsn, str(folder), logs_to=logged) as process,
    ):
        yield process


class Asking(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, requests: Iterator[bytes], status: bytes) -> None:
        self._requests, self._status = requests, status
        self._held = b""
        self.answered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not made of asyncio's
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        """Ask again after a whole answer."""
        self._held += data
        head, found, body = self._held.partition(b"\r\n\r\n")
        if not found:
            return
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if len(body) < (int(length[1]) if length else 0):
            return
        if not head.startswith(b"HTTP/1.1 " + self._status):
            raise AssertionError(head)
        self.answered += 1
        self._held = b""
        self._transport.write(next(self._requests))


async def ask_for_a_while(port: int, paths: list[str], headers: dict[str, str], status: str) -> int:
    """Ask over some connections at once, one path after another. Returns how many answers came."""
    lines = ["Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    requests = cycle(["\r\n".join([f"GET {path} HTTP/1.1", *lines, "\r\n"]).encode() for path in paths])
    loop = asyncio.get_running_loop()
    failures: list[BaseException] = []
    loop.set_exception_handler(lambda _, told: failures.append(told.get("exception") or RuntimeError(told["message"])))
    asking = []
    for _ in range(CONNECTIONS):
        transport, protocol = await loop.create_connection(lambda: Asking(requests, status.encode()), "127.0.0.1", port)
        asking.append((transport, protocol))
    await asyncio.sleep(SECONDS)
    answered = sum(protocol.answered for _, protocol in asking)
    for transport, _ in asking:
        transport.abort()
    if failures:
        raise failures[0]
    return answered


def asked(port: int, paths: list[str], headers: dict[str, str], status: str) -> int:
    """The same from a process of its own, so that asking takes nothing of what is measured."""
    given = json.dumps([port, paths, headers, status])
    command = [sys.executable, "-m", "benchmarks.api", "ask"]
    said = subprocess.run(command, input=given, capture_output=True, text=True)
    if said.returncode:
        raise AssertionError(said.stderr[-2000:])
    return int(said.stdout)


def cpu_seconds(pid: int) -> float:
    """What a process has taken of the processors."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def compare(dsn: str, folder: Path, key: str, rounds: int) -> None:
    """Ask all of them in turns and print what came of it."""
    first = 20000 + os.getpid() % 20000
    ports = {what: first + i for i, what in enumerate(("ours", "hello", "peer"))}
    with ExitStack() as servers:
        pids = {what: servers.enter_context(server(what, port, dsn, folder)) for what, port in ports.items()}
        sent = {"Authorization": f"Bearer {key}"}
        told, body = get(ports["ours"], QUESTION, sent)
        while "etag" not in told:  # the first ones are not kept: it does not hear of changes yet
            told, body = get(ports["ours"], QUESTION, sent)
        _, theirs = get(ports["peer"], QUESTION)
        refuse_other_rows(json.loads(body)["items"], json.loads(theirs))
        past = {**sent, "Cache-Control": "no-cache"}
        new = [f"{QUESTION}&billing_currency=X{number}" for number in range(NEW)]
        variants = {
            "hello": ("hello", ["/hello"], {}, "200"),
            "hello behind our middleware": ("ours", ["/hello"], {}, "200"),
            "kept": ("ours", [QUESTION], sent, "200"),
            "304": ("ours", [QUESTION], {**sent, "If-None-Match": told["etag"]}, "304"),
            "uncached": ("ours", [QUESTION], past, "200"),
            "uncached, 92 rows": ("ours", [FOUR_DAYS], past, "200"),
            "uncached, a new question each time": ("ours", new, past, "200"),
            "ORM and pydantic": ("peer", [QUESTION], {}, "200"),
        }
        speeds: dict[str, list[float]] = {name: [] for name in variants}
        cpu: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(rounds):
            for name in random.sample(list(variants), len(variants)):
                what, paths, headers, status = variants[name]
                began = cpu_seconds(pids[what])
                answered = asked(ports[what], paths, headers, status)
                speeds[name].append(answered / SECONDS)
                cpu[name].append((cpu_seconds(pids[what]) - began) / answered * 1e6)
    print(f"{len(json.loads(body)['items'])} rows, {len(body):,} bytes of ours, {len(theirs):,} of the ORM", flush=True)
    for name in variants:
        ratios = [speed / base for speed, base in zip(speeds[name], speeds["hello"], strict=True)]
        aim = f" (>= {LEAST[name]})" if name in LEAST else ""
        print(
            f"{name}: {statistics.median(speeds[name]):,.0f}/s, ratio to hello {statistics.median(ratios):.2f}{aim} "
            f"[{min(ratios):.2f} to {max(ratios):.2f}], server CPU {statistics.median(cpu[name]):,.0f} us",
            flush=True,
        )
    added = statistics.median(
        behind - alone for behind, alone in zip(cpu["hello behind our middleware"], cpu["hello"], strict=True)
    )
    print(f"all middleware: {added:.0f} us of CPU a request (<= {MOST_MICROSECONDS})", flush=True)


def refuse_other_rows(items: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]) -> None:
    """Both must answer the same, or their speeds say nothing."""
    mine = {(item["usage_day"], item["service"]): Decimal(item["billed_cost"]) for item in items}
    other = {(item["usage_day"], item["service_id"]): Decimal(item["billed_cost"]) for item in theirs}
    if mine != other or len(mine) < 50:
        raise AssertionError(f"{len(mine)} rows of ours, {len(other)} of the ORM, {len(mine.items() ^ other.items())}")


def what_the_overview_asks(port: int) -> list[str]:
    """The requests of the dashboard as it opens, read from the browser."""
    seen: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.on("request", lambda request: seen.append(request.url))
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_load_state("networkidle")
        browser.close()
    paths = [urlsplit(url) for url in seen]
    return list(dict.fromkeys(f"{url.path}?{url.query}" for url in paths if url.path.startswith("/v1/")))


class Recording(psycopg.AsyncClientCursor[Any]):
    """A cursor that notes what PostgreSQL is given."""

    noted: list[str] = []  # noqa: RUF012 -- one list of all cursors is what is wanted

    async def execute(self, query: Any, params: Any = None, **kwargs: Any) -> "Recording":  # noqa: ANN401
        """As ever."""
        self.noted.append(self.mogrify(query, params))
        return await super().execute(query, params, **kwargs)


async def noted_rows(snapshot: OneSnapshot, asked: Bound) -> list[tuple[Any, ...]]:
    """What goes past cursors, noted as well."""
    written = [sql.Literal(value).as_string() for value in asked.values]
    Recording.noted.append(re.sub(r"\$(\d+)", lambda found: written[int(found[1]) - 1], asked.statement.text.decode()))
    return await rows_of_a_snapshot(snapshot, asked)


async def statements(dsn: str, folder: Path, paths: Sequence[str]) -> list[list[str]]:
    """What each of the requests has PostgreSQL do."""
    settings = settings_of(folder).model_copy(update={"log_level": "ERROR"})
    configure_logging(settings)
    app = create_app(dsn, settings)
    found = []
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1", timeout=60) as api,
    ):
        app.state.pool.kwargs["cursor_factory"] = Recording
        with mock.patch.object(OneSnapshot, "rows", noted_rows):
            for path in (*paths, *paths):  # the first time keys are read as well, and what is known of tables
                Recording.noted.clear()
                said = await api.get(path, headers={"Cache-Control": "no-cache"})
                said.raise_for_status()
                found.append(list(Recording.noted))
    return found[len(paths) :]


def in_psql(dsn: str, asked: Sequence[str]) -> list[float]:
    """Milliseconds that psql waits for the statements of one request, each time."""
    once = "begin;\n" + ";\n".join(asked) + ";\ncommit;\n\\echo done\n"
    said = subprocess.run(
        [binaries() / "psql", dsn, "-X", "-q", "-v", "ON_ERROR_STOP=1"],
        input="\\timing on\n\\o /dev/null\n" + once * ASKED_AGAIN, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    times = [part for part in said.split("done\n") if "Time:" in part]
    return [sum(float(found) for found in re.findall(r"Time: ([\d.]+) ms", part)) for part in times]


def overview(dsn: str, folder: Path) -> None:
    """What the overview waits for, beside psql, one request after the other and nothing kept."""
    port = 20000 + os.getpid() % 20000 + 10
    with server("ours", port, dsn, folder):
        paths = what_the_overview_asks(port)
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        waited: dict[str, list[float]] = {path: [] for path in paths}
        for _ in range(ASKED_AGAIN):
            for path in paths:
                began = time.perf_counter()
                connection.request("GET", path, headers={"Cache-Control": "no-cache"})
                answer = connection.getresponse()
                answer.read()
                waited[path].append((time.perf_counter() - began) * 1000)
                if answer.status != 200:
                    raise AssertionError(f"{path}: {answer.status}")
    asked_of_psql = asyncio.run(statements(dsn, folder, paths))
    alone = {path: in_psql(dsn, asked) for path, asked in zip(paths, asked_of_psql, strict=True)}
    for path, asked in zip(paths, asked_of_psql, strict=True):
        print(
            f"{path}: median {statistics.median(waited[path]):.1f} ms, psql {statistics.median(alone[path]):.1f} ms "
            f"of {len(asked)} statements",
            flush=True,
        )
    slow, slow_alone = (p99([*(ms for each in of.values() for ms in each)]) for of in (waited, alone))
    print(
        f"{len(paths)} requests of the overview: p99 {slow:.1f} ms (<= {MOST_MILLISECONDS}), psql {slow_alone:.1f} ms, "
        f"ratio {slow / slow_alone:.2f} (<= {MOST_TIMES_PSQL})",
        flush=True,
    )


def p99(milliseconds: Sequence[float]) -> float:
    """The least that 99 of 100 do not exceed."""
    return statistics.quantiles(milliseconds, n=100)[98]


def main(rounds: int) -> None:
    """Fill a warehouse, measure and print."""
    with warehouse() as (connection, folder):
        fill_facts(connection, folder)
        dsn = dsn_of(connection)
        overview(dsn, folder)
        pepper = make_pepper(settings_of(folder))
        _, key = create(connection, NewKey(name="bench", scopes=("read",)), pepper=pepper, actor="bench")
        compare(dsn, folder, key, rounds)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], int(sys.argv[3]), sys.argv[4], Path(sys.argv[5]))
    elif sys.argv[1:2] == ["ask"]:
        print(uvloop.run(ask_for_a_while(*json.load(sys.stdin))))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else ROUNDS)
