"""A dashboard over a small warehouse that was really built, and a browser to look at it with."""

import threading
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest
import uvicorn
from fasteners import InterProcessLock
from helpers.browsing import Visitor, chromium
from helpers.insights import think
from helpers.processes import free_port
from helpers.road import Road
from playwright.sync_api import Browser
from psycopg import sql
from sqlalchemy import make_url

from finops_api.app import create_app
from finops_insights.llm import writer
from finops_pipeline.narration import rebuild_insights_of_day, rebuild_insights_of_month
from finops_pipeline.sample_export import SampleExport
from finops_warehouse.database import connect_to, init_db
from finops_warehouse.freshness import complete_through
from finops_warehouse.invoices import hand_in
from finops_warehouse.settings import Settings

NAME = "built_for_the_dashboard"
THOUGHT_DAYS = 18
SERVED_AFTER = date(2026, 10, 14)
"""The tables are first built when this export day is loaded, so that what later ones bring are restatements."""


@pytest.fixture(scope="session")
def warehouse(server: str, shared_folder: Path, sample: SampleExport) -> str:
    """The DSN of a warehouse with costs, anomalies, forecasts, savings and texts. The first worker builds it."""
    dsn = make_url(server).set(database=NAME).render_as_string(hide_password=False)
    with InterProcessLock(shared_folder / f"{NAME}.lock"):
        done = shared_folder / f"{NAME}.done"
        if not done.exists():
            with psycopg.connect(server, autocommit=True) as connection:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(NAME)))
            init_db(Settings(database_url=dsn))
            with connect_to(dsn, autocommit=True) as connection:
                _build(connection, sample)
            done.touch()
    return dsn


def _build(connection: psycopg.Connection, sample: SampleExport) -> None:
    hand_in(connection, sample.truth_dir / "invoices.csv")
    road = Road(connection, sample.table_dir)
    for day in sorted(day for day in road.source.partitions() if day <= SERVED_AFTER):
        road.load(day.isoformat())
    road.rebuild_behind()
    road.walk()
    last = complete_through(connection)
    assert last
    days = [last - timedelta(days=n) for n in reversed(range(THOUGHT_DAYS))]
    think(connection, "cost_anomalies", days)
    think(connection, "cost_forecasts", [last])
    think(connection, "savings_recommendations", [last])
    with writer(Settings()) as service:
        for day in days:
            rebuild_insights_of_day(connection, day, service=service, run_id="tests", source_version=1)
        rebuild_insights_of_month(connection, f"{last:%Y%m}", service=service, run_id="tests", source_version=1)


@pytest.fixture
def charges(warehouse: str) -> Iterator[psycopg.Connection]:
    """A connection to what the dashboard shows, to ask the charges themselves."""
    with connect_to(warehouse, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def address(warehouse: str) -> Iterator[str]:
    """Where the API and the dashboard are served."""
    port = free_port()
    config = uvicorn.Config(create_app(warehouse, Settings()), host="127.0.0.1", port=port, log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(timeout=10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium, for one module: while Playwright runs, nothing else in its thread may use asyncio."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def visitor(browser: Browser, address: str) -> Iterator[Visitor]:
    """A visitor whose console stayed silent; a test that provokes complaints clears them."""
    visitor = Visitor(browser, address)
    yield visitor
    for context in visitor.contexts:
        for page in context.pages:
            page.unroute_all(behavior="ignoreErrors")
        context.close()
    assert visitor.complaints == []
