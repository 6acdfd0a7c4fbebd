"""How long does a number take to open? Cells of a year's answer, from the API to the charges they are made of.

A year of charges is loaded and built. The API itself, in this process, is asked what each service cost in each month;
of that answer the cells with the most, the middle and the fewest charges are opened through `/v1/evidence`, which adds
up all charges behind a cell, compares the sum with the served one and returns the first page. Beside it the limit: the
plain `select sum(billed_cost)` over the same charges in SQL. Both take turns; medians. At most one second is the aim.

    make bench            or    .venv/bin/python -m benchmarks.evidence [rows]

500,000 charges unless told otherwise; ROWS=5000000 is a large company's year and takes some ten minutes.
"""

import asyncio
import os
import statistics
import sys
import time
from datetime import date
from decimal import Decimal
from typing import Any

import httpx
import psycopg

from benchmarks.rebuild import fill
from benchmarks.warehouse import warehouse
from finops_api.app import create_app
from finops_api.observability import configure_logging
from finops_pipeline.sample_export import write_sample_export
from finops_pipeline.sources.files import FilesSource
from finops_warehouse.assignment import apply
from finops_warehouse.dimensions import default_rules
from finops_warehouse.settings import Settings

FIRST_DAY, LAST_DAY = date(2025, 11, 1), date(2026, 10, 31)
END = date(2026, 11, 1)
ROUNDS = 5
DEFAULT_ROWS = 500_000

Cell = dict[str, Any]

PEER = """
    select sum(billed_cost), count(*) from finops.raw_charges
    where usage_day >= %(start)s and usage_day < %(end)s and billing_currency = %(billing_currency)s
    and service_id = %(service)s
"""


def month_of(item: Cell) -> dict[str, str]:
    """The question that opens an item of the answer."""
    year, month = map(int, item["month"].split("-"))
    return {
        "start": f"{item['month']}-01",
        "end": f"{year + month // 12}-{month % 12 + 1:02}-01",
        "billing_currency": item["billing_currency"],
        "service": item["service"],
    }


async def answer(api: httpx.AsyncClient, path: str, asked: dict[str, Any]) -> tuple[Any, float]:
    """What the API says, and after how many seconds. Raises for a refusal."""
    began = time.perf_counter()
    said = await api.get(path, params=asked)
    took = time.perf_counter() - began
    said.raise_for_status()
    return said.json(), took


async def measure(connection: psycopg.Connection, api: httpx.AsyncClient) -> None:
    """Ask, open and print."""
    year = {
        "start": str(FIRST_DAY), "end": str(END), "granularity": "monthly", "group_by": "service",
        "measure": ["billed_cost", "charge_count"], "include_unfinished": "true",
    }  # fmt: skip
    page, took = await answer(api, "/v1/costs", year)
    cells = sorted(page["items"], key=lambda item: int(item["charge_count"]))
    print(f"a year by service and month: {len(cells)} cells in {took:.3f} s")
    for name, item in (("largest", cells[-1]), ("median", cells[len(cells) // 2]), ("smallest", cells[0])):
        asked, ours, limit = month_of(item), [], []
        for _ in range(ROUNDS):
            opened, took = await answer(api, "/v1/evidence", {**asked, "limit": 50})
            ours.append(took)
            began = time.perf_counter()
            [(total, rows)] = connection.execute(PEER, asked).fetchall()
            limit.append(time.perf_counter() - began)
        if not opened["matches"] or Decimal(opened["rows_sum"]) != total:
            raise AssertionError(f"{asked}: the rows behind the cell come to {opened['rows_sum']}, in SQL to {total}.")
        seconds, peer = statistics.median(ours), statistics.median(limit)
        print(
            f"{name:9}{item['service_name']}, {item['month']}: {rows:,} charges, {total:,.2f} "
            f"{asked['billing_currency']}, {seconds:.3f} s; sum in SQL {peer:.3f} s; ratio {seconds / peer:.1f}"
        )


async def main(wanted: int) -> None:
    """Fill, measure and print."""
    days = (END - FIRST_DAY).days
    with warehouse() as (connection, folder):
        apply(connection, default_rules(), "dimensions.yaml")
        export = write_sample_export(
            folder / "export", days=days, rows_per_day=wanted // days, seed=1, last_export_day=LAST_DAY
        )
        fill(connection, FilesSource(export.table_dir), FIRST_DAY, LAST_DAY)
        connection.execute("vacuum analyze")
        print(f"{export.rows:,} charges of {days} export days")
        dsn = f"{connection.info.dsn} password={connection.info.password}"
        settings = Settings(finops_home=folder, log_level="WARNING")
        configure_logging(settings)
        app = create_app(dsn, settings)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api", timeout=300) as api,
        ):
            await measure(connection, api)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("ROWS", DEFAULT_ROWS))))
