"""The sample export, loaded, and then its next five days with all they correct."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import psycopg
import pytest
from helpers.road import Road

from finops_pipeline.proving import prove
from finops_pipeline.sample_export import SampleExport, write_sample_export
from finops_warehouse.invoices import hand_in
from finops_warehouse.sql_models import postgres_models
from finops_warehouse.status import read_status

FIRST_LAST_DAY = date(2026, 10, 10)
DAILY = [model.table for model in postgres_models() if model.header.partition == "usage_day"]


def written(folder: Path, days: int) -> SampleExport:
    """The sample's first `days` export days."""
    first = FIRST_LAST_DAY - timedelta(days=39)
    return write_sample_export(
        folder, days=days, rows_per_day=500, seed=11, last_export_day=first + timedelta(days=days - 1)
    )


def test_the_next_export_days_change_the_usage_days_they_touch_and_no_other(
    connection: psycopg.Connection, tmp_path: Path
) -> None:
    """Five days later: what arrived reaches every day it belongs to, and every other row is the row it was."""
    export = written(tmp_path, 40)
    road = Road(connection, export.table_dir)
    road.walk()
    before = {table: set(map(repr, rows)) for table, rows in road.contents().items()}
    versions: dict[date, int] = dict(
        connection.execute("select usage_day, source_version from finops.usage_day_ledger").fetchall()
    )

    export = written(tmp_path, 45)
    loaded = road.load_changed()

    new_files = [str(export.table_dir / f"export_day={day}" / "*.parquet") for day in loaded]
    touched = {
        day
        for (day,) in duckdb.connect()
        .execute(
            "select distinct (usage_start_time at time zone 'America/Los_Angeles')::date from read_parquet($1)",
            [new_files],
        )
        .fetchall()
    }
    status = read_status(connection, DAILY)
    assert len(loaded) == 5
    assert set(status.dirty_usage_days) == touched
    assert {day for load in status.loads[:5] for day in load.touched_usage_days} == touched
    assert min(touched) < FIRST_LAST_DAY - timedelta(days=10), "the sample corrects days far back"

    road.rebuild_behind()

    after = {table: set(map(repr, rows)) for table, rows in road.contents().items()}
    for table in DAILY:
        moved = {day for (day,) in connection.execute(f"select distinct usage_day from finops.{table}").fetchall()}
        changed = before[table] ^ after[table]
        days = {day for day in moved if any(repr(day) in row for row in changed)}
        assert days <= touched, table
    now: dict[date, int] = dict(
        connection.execute("select usage_day, source_version from finops.usage_day_ledger").fetchall()
    )
    assert {day for day in now if now[day] != versions.get(day)} == touched
    assert {restated.usage_day for restated in read_status(connection, DAILY).restatements} <= touched


def test_every_closed_month_adds_up_to_its_invoice(connection: psycopg.Connection, sample: SampleExport) -> None:
    """To the cent, for both accounts and currencies, against totals the pipeline has never seen."""
    road = Road(connection, sample.table_dir)
    hand_in(connection, sample.truth_dir / "invoices.csv")
    road.walk()

    rows = connection.execute(
        "select invoice_month, billing_currency, residual from finops.invoice_months "
        "where closed_from <= '2026-10-20' order by 1, 2"
    ).fetchall()

    assert rows
    assert all(residual == Decimal(0) for _, _, residual in rows), rows
    proof = prove(connection, road.source, "America/Los_Angeles")
    assert proof.holds
    assert proof.rows == sample.rows
    assert proof.closed_invoices == len(rows)


@pytest.mark.parametrize(
    "column",
    [
        "cost = cost + 0.01",
        "labels = '[]'",
        "service_name = 'Other'",
        "usage_start_time = usage_start_time + interval '1 hour'",
    ],
)
def test_one_altered_raw_row_is_found(column: str, connection: psycopg.Connection, sample: SampleExport) -> None:
    """Somebody edits a row by hand: the proof names the export day, even when no sum moves."""
    road = Road(connection, sample.table_dir)
    road.load("2026-10-10")
    labels = "labels <> '[]'"
    connection.execute(
        f"update finops.raw_charges set {column} where ctid = (select min(ctid) from finops.raw_charges where {labels})"
    )

    found = [
        str(d) for d in prove(connection, road.source, "America/Los_Angeles").differences if "2026-10-10" in str(d)
    ]

    assert any("raw = source export day 2026-10-10: 1 rows" in line for line in found), found
