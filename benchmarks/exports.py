"""Does a large export cost what copying it costs, and nobody else anything?

A warehouse of 30 days gets a million cost rows. For each format the same rows are downloaded from a server in a process
of its own, and for CSV copied by psycopg without a server in between, in turns. Printed for each: seconds, the ratio of
the speeds, the server's peak memory above what it took before, and the slowest of the requests that were sent
meanwhile. `table` is a plain read of the rows, so that it shows the sending and nothing else; `question` is `/v1/costs`
over them, which PostgreSQL adds up and sorts first.

    make bench            or    .venv/bin/python -m benchmarks.exports [rows]
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from select import select
from urllib.parse import urlencode

import psycopg
import uvicorn
from fastapi import Response
from psycopg import AsyncConnection, sql

from benchmarks.serving import get, serving
from benchmarks.warehouse import copy_rows, warehouse
from finops_api.app import create_app
from finops_api.exports.formats import Column, Format, Kind, copying
from finops_api.exports.models import CostExportQuery
from finops_api.exports.queries import Export, costs_export
from finops_api.exports.stream import Download
from finops_api.observability import configure_logging
from finops_warehouse.assignment import apply
from finops_warehouse.dimensions import default_rules
from finops_warehouse.row_scope import EVERY_ROW
from finops_warehouse.settings import Settings

DEFAULT_ROWS = 1_000_000
LAST_DAY = date(2026, 10, 31)
DAYS = 30
ROUNDS = 3
LEAST_RATIO = 0.6
MOST_MB = 64
MOST_MILLISECONDS = 50
QUESTION = {"start": "2026-09-01", "end": "2026-12-01", "include_unfinished": "true", "group_by": ["sku", "region"]}
COLUMNS = [
    Column("usage_day", Kind.day),
    *(Column(name, Kind.text) for name in ("billing_account_id", "invoice_month", "service_id", "service_name")),
    *(Column(name, Kind.text) for name in ("sku_id", "sku_description", "region_id", "billing_currency")),
    *(Column(name, Kind.number) for name in ("billed_cost", "list_cost")),
]
"""Eleven, as of the export of a person's own making."""


async def whole_table(_: AsyncConnection) -> Export:
    """Every row as it is stored."""
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in COLUMNS)
    select = sql.SQL("select {} from finops.cost_by_sku_region_daily").format(names)
    return Export("table", select, {}, COLUMNS, {})


def serve(dsn: str, port: int) -> None:
    """The application, with one more route."""
    settings = Settings(log_level="ERROR", answers_kept_mb=0)  # other requests must be work, too
    configure_logging(settings)
    app = create_app(dsn, settings)

    async def table(form: Format) -> Response:
        return Download(app.state.exports, form, whole_table, rows=EVERY_ROW, ended=lambda _: None, formula_safe=True)

    app.add_api_route("/table.{form}", table)
    app.router.routes.insert(0, app.router.routes.pop())  # the dashboard answers every other path
    uvicorn.run(app, port=port, log_config=None, access_log=False)


def download(port: int, path: str) -> tuple[int, float]:
    """Bytes and seconds of a download that must be whole."""
    began = time.perf_counter()
    connection = HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("GET", path)
    answer = connection.getresponse()
    size = 0
    while piece := answer.read(256 * 1024):
        size += len(piece)
    connection.close()
    if answer.status != 200:
        raise AssertionError(f"{path}: {answer.status}")
    return size, time.perf_counter() - began


def copied(dsn: str, statement: str) -> tuple[int, float]:
    """Bytes and seconds of the same COPY without a server in between."""
    began = time.perf_counter()
    size = 0
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        for line in copy:
            size += len(line)
    return size, time.perf_counter() - began


@contextmanager
def others(port: int) -> Iterator[dict[str, float]]:
    """Requests of other people, one after the other, from a process of their own; afterwards the slowest of each."""
    slowest: dict[str, float] = {}
    asking = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.exports", "others", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert asking.stdout is not None
    asking.stdout.readline()
    yield slowest
    said, _ = asking.communicate("enough")
    slowest.update(json.loads(said))


def ask_until_told(port: int) -> None:
    """Be the others."""
    slowest = dict.fromkeys(("/livez", "/v1/dimensions"), 0.0)
    print("begun", flush=True)
    while not select([sys.stdin], [], [], 0.01)[0]:
        for path in slowest:
            began = time.perf_counter()
            get(port, path)
            slowest[path] = max(slowest[path], (time.perf_counter() - began) * 1000)
    print(json.dumps(slowest))


def memory_mb(pid: int, what: str) -> float:
    """`VmRSS`, what a process takes now, or `VmHWM`, what it took at most."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(what)]
    return int(line.split()[1]) / 1024


def fill(connection: psycopg.Connection, folder: Path, rows: int) -> None:
    """Build 30 days, and add rows of SKUs of their own until there are so many."""
    # Not at the top: what the pipeline took and gave back would hide what the server takes.
    from benchmarks.scale import build, load
    from finops_pipeline.sample_export import write_sample_export
    from finops_pipeline.sources.files import FilesSource

    apply(connection, default_rules(), "dimensions.yaml")
    export = write_sample_export(folder / "export", days=DAYS, rows_per_day=500, seed=1, last_export_day=LAST_DAY)
    load(connection, FilesSource(export.table_dir))
    build(connection)
    copy_rows(connection, "cost_by_sku_region_daily", rows, {"sku_id": "sku_id || copy"})
    connection.execute("vacuum analyze")


async def statement_of(dsn: str, what: str) -> str:
    """The COPY of the CSV route, with no thought for spreadsheets: what psycopg is given."""
    async with await AsyncConnection.connect(dsn) as connection:
        query = CostExportQuery.model_validate(QUESTION)
        asked = whole_table if what == "table" else partial(costs_export, query=query)
        export = await asked(connection)
        statement = copying(Format.csv, export.columns, export.select, formula_safe=False)
        cursor = psycopg.AsyncClientCursor(connection)
        return cursor.mogrify(statement, export.parameters)


def measure(rows: int) -> None:
    """Fill a warehouse, download from it in every format, print a line for each."""
    with warehouse() as (connection, folder):
        fill(connection, folder, rows)
        dsn = f"{connection.info.dsn} password={connection.info.password}"
        port = 20000 + os.getpid() % 20000
        with serving(port, "benchmarks.exports", dsn, str(port)) as server:
            for what in ("table", "question"):
                asked = "/table.{}" if what == "table" else f"/v1/exports/costs.{{}}?{urlencode(QUESTION, doseq=True)}"
                statement = asyncio.run(statement_of(dsn, what))
                copied(dsn, statement)  # the first read of a table is another thing
                for form in Format:
                    _measured(dsn, port, server, what, form, asked.format(form), statement)


def _measured(dsn: str, port: int, server: int, what: str, form: Format, path: str, statement: str) -> None:
    idle = memory_mb(server, "VmRSS")
    Path(f"/proc/{server}/clear_refs").write_text("5")
    alone, served = [], []
    with others(port) as slowest:
        for _ in range(ROUNDS):
            size, seconds = download(port, path)
            served.append(seconds)
    peak = memory_mb(server, "VmHWM") - idle
    if form is Format.csv:
        for _ in range(ROUNDS):
            alone.append(copied(dsn, statement)[1])
            served.append(download(port, path)[1])
    ratio = f"; COPY {min(alone):.2f} s, ratio {min(alone) / min(served):.2f} (>= {LEAST_RATIO})" if alone else ""
    waited = ", ".join(f"{path} {milliseconds:.0f} ms" for path, milliseconds in slowest.items())
    print(
        f"{what} {form}: {size / 1e6:,.1f} MB in {min(served):.2f} s{ratio}; peak +{peak:.0f} MB (<= {MOST_MB}); "
        f"slowest other {waited} (<= {MOST_MILLISECONDS})",
        flush=True,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], int(sys.argv[3]))
    elif sys.argv[1:2] == ["others"]:
        ask_until_told(int(sys.argv[2]))
    else:
        measure(int(sys.argv[1]) if sys.argv[1:] else DEFAULT_ROWS)
