"""A warehouse with a week of the sample in all of its tables."""

from collections.abc import Callable
from datetime import date

import psycopg
import pytest

from finops_pipeline.assets.sql_assets import daily_inputs, monthly_tables
from finops_pipeline.loading import load_export_day
from finops_pipeline.rebuilding import rebuild_invoice_month, rebuild_usage_day
from finops_pipeline.sample_export import SampleExport
from finops_pipeline.sources import open_source
from finops_warehouse import ledger
from finops_warehouse.assignment import apply
from finops_warehouse.dimensions import default_rules
from finops_warehouse.sql_models import postgres_models

LOADED = [date(2026, 9, 29), date(2026, 9, 30), date(2026, 10, 1), date(2026, 10, 2), date(2026, 10, 3)]
"""Export days that hold rows of two invoice months, both accounts, taxes and corrections."""


@pytest.fixture
def built(connection: psycopg.Connection, sample: SampleExport) -> psycopg.Connection:
    """A connection to this test's own database with every table built from a few export days."""
    source = open_source(sample.table_dir.as_uri())
    held = source.partitions()
    apply(connection, default_rules(), "dimensions.yaml")
    for day in LOADED:
        load_export_day(
            connection, source, day, fingerprint=held[day], billing_timezone="America/Los_Angeles",
            first_usage_day=date(2024, 1, 1), run_id="tests",
        )  # fmt: skip
    models = {model.table: model for model in postgres_models()}
    while due := ledger.behind(connection, daily_inputs(), []):
        for item in due:
            rebuild_usage_day(connection, models[item.asset], date.fromisoformat(item.partition_key), run_id="tests")
    for item in ledger.behind(connection, {}, monthly_tables()):
        rebuild_invoice_month(connection, models[item.asset], item.partition_key, run_id="tests")
    return connection


@pytest.fixture
def usage_day(connection: psycopg.Connection) -> Callable[..., None]:
    """`usage_day("2026-10-01", source_version=2, built=1)` puts a day into the ledger, built that far."""

    def put(
        day: str, *, source_version: int = 1, built: int | None = None, asset: str = "aggregated_cost_data"
    ) -> None:
        connection.execute("insert into finops.usage_day_ledger values (%s, %s, now())", [day, source_version])
        if built is not None:
            ledger.materialised(connection, asset, day, built, 1, "tests")

    return put


@pytest.fixture
def export_day(connection: psycopg.Connection) -> Callable[..., None]:
    """`export_day("2026-10-01")` puts a loaded export day into the ledger."""

    def put(day: str, *, fingerprint: str = "as loaded", rows: int = 10) -> None:
        connection.execute(
            "insert into finops.export_day_ledger values (%s, 'file:///export', %s, %s, 100, '{}', 1, now())",
            [day, fingerprint, rows],
        )

    return put
