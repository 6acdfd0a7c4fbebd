"""A warehouse whose exports are too large for any buffer on their way, and `finops serve` over it."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
from helpers.processes import free_port, running
from psycopg import sql
from sqlalchemy import make_url

from finops_warehouse.database import connect_to
from finops_warehouse.semantic import table_for

from .downloads import DIMENSIONS, MEASURES, Served

COPIES = 60


@pytest.fixture(scope="module")
def big(server: str, built_template: str) -> Iterator[str]:
    """The DSN of built tables with every row sixty times, each of a SKU and a cost of its own: nothing compresses."""
    name = f"big_{uuid.uuid4().hex[:12]}"
    dsn = make_url(server).set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(server, autocommit=True) as connection:
        make = sql.SQL("create database {} template {}")
        connection.execute(make.format(sql.Identifier(name), sql.Identifier(built_template)))
        with connect_to(dsn, autocommit=True) as inside:
            _multiply(inside, table_for(set(DIMENSIONS)))
        yield dsn
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def _multiply(connection: psycopg.Connection, table: str) -> None:
    described = connection.execute(sql.SQL("select * from finops.{} limit 0").format(sql.Identifier(table)))
    assert described.description is not None
    names = [column.name for column in described.description]
    other = {"sku_id": "sku_id || copy", **dict.fromkeys(MEASURES, "(random() * 1000)::numeric(12, 9)")}
    made = [sql.SQL(other[name]) if name in other else sql.Identifier(name) for name in names]
    connection.execute(
        sql.SQL("insert into finops.{table} ({names}) select {made} from finops.{table}, generate_series(2, {n}) copy")
        .format(
            table=sql.Identifier(table),
            names=sql.SQL(", ").join(map(sql.Identifier, names)),
            made=sql.SQL(", ").join(made),
            n=sql.Literal(COPIES),
        )
    )  # fmt: skip
    connection.execute("vacuum analyze")


@pytest.fixture(scope="module")
def served(big: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A running `finops serve` over it."""
    home: Path = tmp_path_factory.mktemp("serve")
    port = free_port()
    settings = {"DATABASE_URL": big, "LOG_FORMAT": "json"}
    with (
        running(home, "serve", "--port", str(port), settings=settings) as process,
        connect_to(big, autocommit=True) as watch,
    ):
        url = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                httpx.get(f"{url}/livez")
                break
            except httpx.ConnectError:
                assert process.poll() is None, (home / "stderr.log").read_text()
                time.sleep(0.1)
        yield Served("127.0.0.1", port, url, psutil.Process(process.pid), watch, home / "stderr.log")
