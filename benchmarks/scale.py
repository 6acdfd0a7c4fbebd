"""How does it grow? The same 92 days with more and more charges, copied by EXTRACT_GRAIN=day, and read.

For each size: how many rows PostgreSQL holds of how many charges, how long they take to load and to build, how large
the database is, what rebuilding the busiest day costs, and how long the API takes for what a dashboard asks first. The
sums are compared with those of the export, which DuckDB adds up by itself.

    make bench            or    .venv/bin/python -m benchmarks.scale [charges ...]

A million charges unless told otherwise. 1000000 10000000 100000000 is the curve in benchmarks/results/scale.md; it is
run by hand, since the last of them takes most of an hour.
"""

import asyncio
import shutil
import statistics
import sys
import time
from datetime import date, timedelta
from decimal import Decimal

import duckdb
import httpx
import psycopg

from benchmarks.rebuild import rebuild
from benchmarks.warehouse import peak_memory_mb, warehouse
from finops_api.app import create_app
from finops_api.observability import configure_logging
from finops_pipeline.assets.sql_assets import monthly_tables
from finops_pipeline.loading import load_export_day
from finops_pipeline.rebuilding import rebuild_invoice_month
from finops_pipeline.sample_export import SampleExport, write_sample_export
from finops_pipeline.sources.files import FilesSource
from finops_warehouse import identities, ledger
from finops_warehouse.assignment import apply
from finops_warehouse.dimensions import default_rules
from finops_warehouse.settings import Settings
from finops_warehouse.sql_models import sql_model

DEFAULT_SIZE = 1_000_000
LAST_DAY = date(2026, 10, 31)
DAYS = 92
ROUNDS = 5
UNCACHED = {"Cache-Control": "no-cache"}


def load(connection: psycopg.Connection, source: FilesSource) -> float:
    """Load every export day. Returns the seconds."""
    began = time.perf_counter()
    for day, fingerprint in source.partitions().items():
        load_export_day(
            connection, source, day, fingerprint=fingerprint, billing_timezone="America/Los_Angeles",
            first_usage_day=date(2024, 1, 1), run_id="bench", grain="day",
        )  # fmt: skip
    return time.perf_counter() - began


def build(connection: psycopg.Connection) -> float:
    """Build facts, rollups and months of everything that is behind. Returns the seconds."""
    began = time.perf_counter()
    days = connection.execute("select usage_day from finops.usage_day_ledger order by 1").fetchall()
    for (day,) in days:
        rebuild(connection, day)
    months = {item.partition_key for item in ledger.behind(connection, {}, monthly_tables())}
    for table in monthly_tables():
        for month in sorted(months):
            rebuild_invoice_month(connection, sql_model("marts", table), month, run_id="bench")
    return time.perf_counter() - began


def refuse_other_sums(connection: psycopg.Connection, export: SampleExport) -> Decimal:
    """The sum of all costs. Raises when facts, rows and the export itself do not agree on it to the last digit."""
    [(exported, charges)] = (
        duckdb.connect()
        .sql(
            "select sum(cost::decimal(38, 9) + coalesce(list_sum(list_transform(credits, "
            "lambda c: c.amount::decimal(38, 9))), 0)), count(*) "
            f"from read_parquet('{export.table_dir}/*/*.parquet', hive_partitioning = false)"
        )
        .fetchall()
    )
    [(built, counted)] = connection.execute(
        "select sum(billed_cost), sum(charge_count)::bigint from finops.aggregated_cost_data"
    ).fetchall()
    differing = [
        difference
        for identity in (identities.RAW_EQUALS_SOURCE, identities.FACTS_EQUAL_RAW, *identities.rollup_identities())
        for difference in identities.differences(connection, identity)
    ]
    if (exported, charges) != (built, counted) or differing:
        raise AssertionError(f"exported {exported} in {charges}, built {built} in {counted}; {differing[:3]}")
    return Decimal(built)


async def answers(settings: Settings, dsn: str) -> dict[str, float]:
    """Milliseconds of what a dashboard asks first, medians, without any cache."""
    questions: dict[str, dict[str, str | list[str]]] = {
        "three months by service": {"granularity": "monthly", "group_by": "service"},
        "30 days by project": {"granularity": "daily", "group_by": "project", "top": "10"},
        "three months by SKU": {"granularity": "monthly", "group_by": "sku", "top": "20"},
    }
    app = create_app(dsn, settings)
    found = {}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://api", timeout=600, headers=UNCACHED
        ) as api,
    ):
        for name, question in questions.items():
            first = LAST_DAY - timedelta(days=29 if name.startswith("30") else DAYS - 1)
            asked = {"start": str(first), "end": str(LAST_DAY + timedelta(days=1)), "include_unfinished": "true"}
            took = []
            for _ in range(ROUNDS):
                began = time.perf_counter()
                said = await api.get("/v1/costs", params={**asked, **question})
                took.append(time.perf_counter() - began)
                said.raise_for_status()
            found[name] = statistics.median(took) * 1000
    return found


def measure(wanted: int) -> None:
    """Fill a warehouse, measure and print a line for each figure."""
    with warehouse() as (connection, folder):
        apply(connection, default_rules(), "dimensions.yaml")
        export = write_sample_export(
            folder / "export", days=DAYS, rows_per_day=wanted // DAYS, seed=1, last_export_day=LAST_DAY
        )
        print(f"== {export.rows:,} charges of {DAYS} export days", flush=True)
        seconds = load(connection, FilesSource(export.table_dir))
        print(f"loaded in {seconds:,.0f} s: {export.rows / seconds:,.0f} charges/s", flush=True)
        print(f"peak memory of this process {peak_memory_mb()} MB; it wrote the export, too", flush=True)
        seconds = build(connection)
        print(f"facts, rollups and months built in {seconds:,.0f} s", flush=True)
        connection.execute("vacuum analyze")
        [(rows, facts, size)] = connection.execute(
            "select (select count(*) from finops.raw_charges), (select count(*) from finops.aggregated_cost_data), "
            "pg_database_size(current_database())"
        ).fetchall()
        print(f"{rows:,} rows of raw_charges ({export.rows / rows:.1f} charges each), {facts:,} facts", flush=True)
        print(f"database {size / 2**20:,.0f} MB, {size / export.rows:.0f} bytes a charge", flush=True)
        print(f"sums agree: {refuse_other_sums(connection, export):,.9f}", flush=True)
        [(busiest,)] = connection.execute(
            "select usage_day from finops.aggregated_cost_data group by 1 order by count(*) desc limit 1"
        ).fetchall()
        took = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            rebuild(connection, busiest)
            took.append(time.perf_counter() - began)
        print(f"the busiest day rebuilt, with its rollups, in {statistics.median(took) * 1000:,.0f} ms", flush=True)
        settings = Settings(finops_home=folder, log_level="WARNING")
        configure_logging(settings)
        dsn = f"{connection.info.dsn} password={connection.info.password}"
        for name, milliseconds in asyncio.run(answers(settings, dsn)).items():
            print(f"{name}: {milliseconds:,.0f} ms", flush=True)
        shutil.rmtree(folder / "export")


if __name__ == "__main__":
    for size in [int(given) for given in sys.argv[1:]] or [DEFAULT_SIZE]:
        measure(size)
