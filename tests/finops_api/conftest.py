"""An API over tables that are built once a run from the sample export, and over copies of them to spoil."""

import asyncio
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import structlog
import uvicorn
from fastapi import FastAPI
from fasteners import InterProcessLock
from helpers.insights import think_about_what_is_behind
from psycopg import sql
from sqlalchemy import make_url

from finops_api.app import create_app
from finops_pipeline.assets.sql_assets import daily_inputs, monthly_tables
from finops_pipeline.loading import load_export_day
from finops_pipeline.rebuilding import rebuild_invoice_month, rebuild_usage_day
from finops_pipeline.sample_export import SampleExport
from finops_pipeline.sources import open_source
from finops_warehouse import keys, ledger
from finops_warehouse.assignment import apply
from finops_warehouse.database import connect_to, init_db
from finops_warehouse.dimensions import default_rules
from finops_warehouse.invoices import hand_in
from finops_warehouse.settings import Settings
from finops_warehouse.sql_models import postgres_models

REDIS_FOR_ALL = os.environ.get("FINOPS_TESTS_REDIS_URL")

SERVED_AFTER = date(2026, 10, 8)
"""The tables are first built when this export day is loaded, so that what later ones bring are restatements."""


@pytest.fixture(autouse=True)
def _logging_as_found() -> Iterator[None]:
    """Logging is set up for a whole process: what one test sets up, the next one does not inherit."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


class _InProcess(httpx.BaseTransport):
    """An application with its lifespan, in this process: what a client sends is answered without a socket."""

    def __init__(self, app: FastAPI, dsn: str, peer: str) -> None:
        self._app = app
        self._dsn = dsn
        self._peer = peer
        self._runner = asyncio.Runner()
        self._lifespan = app.router.lifespan_context(app)
        self._runner.run(self._start(app))

    async def _start(self, app: FastAPI) -> None:
        await self._lifespan.__aenter__()
        # A fault is a 500, as from a server.
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(self._peer, 50000))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._runner.run(self._answer(request))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        await self._hear_what_was_told()
        answer = await self._transport.handle_async_request(request)
        return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())

    async def _hear_what_was_told(self) -> None:
        """Between questions nothing runs here, as it would in a server; so what was committed meanwhile is heard now.

        PostgreSQL tells in the order of commits: who has heard this greeting has heard all that was before it.
        """
        changes = self._app.state.limits._changes
        if changes.state is None or not self._app.state.settings.answers_kept_mb:
            return
        greeting = f"hello {uuid.uuid4().hex}"
        try:
            async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as connection:
                await connection.execute("select pg_notify('materialised', %s)", [greeting])
        except psycopg.OperationalError:
            return  # the database is gone, which the application finds out by itself
        until = time.monotonic() + 5
        while changes.version != greeting and changes.state is not None:
            assert time.monotonic() < until, "it listens and does not hear"
            await asyncio.sleep(0.001)

    def prepared(self) -> list[int]:
        """How many statements of questions are prepared on each connection that is free."""

        async def count() -> list[int]:
            connections = list(self._app.state.pool._pool)
            asked = "select count(*) from pg_prepared_statements where name like 'finops%'"
            return [(await (await one.execute(asked)).fetchone())[0] for one in connections]

        return self._runner.run(count())

    def close(self) -> None:
        self._runner.run(self._stop())
        self._runner.close()

    async def _stop(self) -> None:
        await self._lifespan.__aexit__(None, None, None)


def _client(dsn: str, settings: Settings, *, host: str = "127.0.0.1", peer: str = "127.0.0.1") -> httpx.Client:
    return httpx.Client(transport=_InProcess(create_app(dsn, settings, host=host), dsn, peer), base_url="http://api")


@pytest.fixture(scope="session")
def built_template(server: str, shared_folder: Path, sample: SampleExport) -> str:
    """The name of a database nobody is connected to, with every table built. The first worker makes it."""
    name = "built_for_the_api"
    with InterProcessLock(shared_folder / f"{name}.lock"):
        done = shared_folder / f"{name}.done"
        if not done.exists():
            with psycopg.connect(server, autocommit=True) as connection:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            dsn = make_url(server).set(database=name).render_as_string(hide_password=False)
            init_db(Settings(database_url=dsn))
            with connect_to(dsn, autocommit=True) as connection:
                _build(connection, sample)
            done.touch()
    return name


def _build(connection: psycopg.Connection, sample: SampleExport) -> None:
    source = open_source(sample.table_dir.as_uri())
    held = source.partitions()
    apply(connection, default_rules(), "dimensions.yaml")
    hand_in(connection, sample.truth_dir / "invoices.csv")
    for days in ([d for d in held if d <= SERVED_AFTER], [d for d in held if d > SERVED_AFTER]):
        for day in days:
            load_export_day(
                connection, source, day, fingerprint=held[day], billing_timezone="America/Los_Angeles",
                first_usage_day=date(2024, 1, 1), run_id="tests",
            )  # fmt: skip
        _bring_up_to_date(connection)
    think_about_what_is_behind(connection)


def _bring_up_to_date(connection: psycopg.Connection) -> None:
    """Rebuild whatever is behind, facts before rollups before months."""
    models = {model.table: model for model in postgres_models()}
    while due := ledger.behind(connection, daily_inputs(), []):
        for item in due:
            rebuild_usage_day(connection, models[item.asset], date.fromisoformat(item.partition_key), run_id="tests")
    for item in ledger.behind(connection, {}, monthly_tables()):
        rebuild_invoice_month(connection, models[item.asset], item.partition_key, run_id="tests")


def _copy(server: str, template: str) -> Iterator[str]:
    name = f"api_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        make = sql.SQL("create database {} template {}")
        connection.execute(make.format(sql.Identifier(name), sql.Identifier(template)))
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def built(server: str, built_template: str) -> Iterator[str]:
    """The DSN of this worker's built tables. Only to be read."""
    yield from _copy(server, built_template)


@pytest.fixture
def spoilt(server: str, built_template: str) -> Iterator[str]:
    """The DSN of built tables of this test alone, to do harm to."""
    yield from _copy(server, built_template)


@pytest.fixture(scope="module")
def keyed(server: str, built_template: str) -> Iterator[str]:
    """The DSN of built tables of this module alone, to make keys in."""
    yield from _copy(server, built_template)


PEPPER = "a pepper of these tests"

MakeKey = Callable[..., str]


@pytest.fixture
def make_key(keyed: str) -> MakeKey:
    """`make_key("read", projects=("p",))` is a new key of `keyed`; APIs over it need `api_key_pepper=PEPPER`."""

    def make(*scopes: keys.Scope, **asked: Any) -> str:  # noqa: ANN401 -- what NewKey takes
        with connect_to(keyed, autocommit=True) as connection:
            wanted = keys.NewKey(name="tests", scopes=scopes, **asked)
            return keys.create(connection, wanted, pepper=PEPPER.encode(), actor="tests")[1]

    return make


@pytest.fixture(scope="session")
def api(built: str) -> Iterator[httpx.Client]:
    """A client of the API over the built tables, open as it is on loopback."""
    # The environment of a test is not set up yet, and of a developer's nothing must count.
    with _client(built, Settings.model_validate({"redis_url": REDIS_FOR_ALL})) as client:
        yield client


@pytest.fixture
def api_over() -> Iterator[Callable[..., httpx.Client]]:
    """`api_over(dsn, api_token=…)` is a client of an API over another database, closed with the test.

    `host` is the address it listens on, and `peer` the one it is asked from.
    """
    with ExitStack() as clients:

        def over(dsn: str, host: str = "127.0.0.1", peer: str = "127.0.0.1", **settings: str) -> httpx.Client:
            given = Settings.model_validate(settings)
            return clients.enter_context(_client(dsn, given, host=host, peer=peer))

        yield over


@pytest.fixture
def charges(built: str) -> Iterator[psycopg.Connection]:
    """A connection to what the API reads, to ask the raw charges themselves."""
    with connect_to(built, autocommit=True) as connection:
        yield connection


@pytest.fixture
def serve() -> Iterator[Callable[..., httpx.Client]]:
    """`serve(dsn, …)` is a client of an API that listens on a socket, in a thread of its own."""
    with ExitStack() as servers:
        yield lambda dsn, **settings: servers.enter_context(_served(dsn, Settings(**settings)))


@contextmanager
def _served(dsn: str, settings: Settings) -> Iterator[httpx.Client]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # before the server does: whoever is early waits for it
        config = uvicorn.Config(create_app(dsn, settings), log_config=None, access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
        thread.start()
        with httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=30) as client:
            try:
                yield client
            finally:
                server.should_exit = True
                thread.join()
