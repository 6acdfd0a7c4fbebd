"""Copying an export day into `raw_charges`: read and checked as a whole first, then replaced in one transaction."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import chain
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
from pgpq import ArrowToPostgresBinaryEncoder
from pgpq.encoders import StringEncoderBuilder
from pgpq.schema import Jsonb
from psycopg import sql

from finops_pipeline.checked_day import JSONB_COLUMNS, MEMORY_MB, Arrival, CheckedDay, checked_day
from finops_pipeline.sources.base import BillingSource, Grain
from finops_warehouse import ledger
from finops_warehouse.errors import BadValue, ProofFailed
from finops_warehouse.partitions import ensure_month
from finops_warehouse.tables import usage_day_arrivals


@dataclass(frozen=True)
class Loaded:
    """What a load did."""

    export_day: date
    row_count: int
    """Rows of the export, also where their hours were added up."""
    billed_cost: dict[str, Decimal]
    """By currency."""
    touched_usage_days: tuple[date, ...]
    unknown_columns: tuple[str, ...]
    bytes_read: int
    version: int


def load_export_day(
    connection: psycopg.Connection,
    source: BillingSource,
    export_day: date,
    *,
    fingerprint: str,
    billing_timezone: str,
    first_usage_day: date,
    run_id: str,
    grain: Grain = "row",
    table_created_at: datetime | None = None,
    memory_mb: int = MEMORY_MB,
) -> Loaded:
    """Make `raw_charges` hold exactly what the source holds for `export_day`.

    With grain `day` its hours are added up, here unless the source did. `table_created_at` is what the source says.
    `fingerprint` is the one the source gave *before* the day was read, so that a change in between is seen
    again. Raises a `SourceError` when the source cannot be read as it is and `ProofFailed` when what arrived
    is not what was sent; the tables are then as before.
    """
    with checked_day(source, export_day, billing_timezone, grain=grain, memory_mb=memory_mb) as day:
        _refuse_days_without_partition(day.arrivals, first_usage_day, export_day)
        ensure_month(connection, "raw_charges", export_day)
        stamp = Stamp(export_day, source.url, fingerprint, billing_timezone, grain, table_created_at)
        with connection.transaction():
            return _replace(connection, day, stamp, run_id)


def _refuse_days_without_partition(arrivals: list[Arrival], first_usage_day: date, export_day: date) -> None:
    oldest = min((row["usage_day"] for row in arrivals), default=first_usage_day)
    if oldest < first_usage_day:
        raise BadValue(
            f"Export day {export_day} holds charges for usage day {oldest}, before BILLING_START_DAY "
            f"({first_usage_day}). Nothing of it was loaded. Set BILLING_START_DAY={oldest} or earlier."
        )


@dataclass(frozen=True)
class Stamp:
    """What a load is remembered by: another fingerprint, time zone of usage days or grain is another load."""

    export_day: date
    source_url: str
    fingerprint: str
    billing_timezone: str
    grain: Grain
    table_created_at: datetime | None


def _replace(connection: psycopg.Connection, day: CheckedDay, stamp: Stamp, run_id: str) -> Loaded:
    """Old rows out, new rows in, ledger moved: all of it visible at once, or nothing."""
    export_day, key = stamp.export_day, stamp.export_day.isoformat()
    ledger.lock_partition(connection, "raw_charges", export_day.toordinal())
    before = connection.execute(
        "select usage_day from finops.usage_day_arrivals where export_day = %s", [export_day]
    ).fetchall()
    connection.execute("delete from finops.raw_charges where export_day = %s", [export_day])
    rows = day.rows()
    copy_batches(connection, "finops.raw_charges", rows.schema, rows)
    _prove_raw_equals_source(connection, day.scratch, export_day)
    _replace_arrivals(connection, day.arrivals, export_day)
    row_count = sum(row["charge_count"] for row in day.arrivals)
    load_count, moved_clock = _stamp_export_day(connection, day, stamp, row_count)
    touched = sorted({usage_day for (usage_day,) in before} | {row["usage_day"] for row in day.arrivals})
    corrected = {row["usage_day"] for row in day.arrivals if row["correction_count"]}
    again = "rule change" if moved_clock else "re-export"
    causes = {d: again if load_count > 1 else "correction" if d in corrected else "late usage" for d in touched}
    totals = day.scratch.execute(
        "select billing_currency, sum(billed_cost) from charges group by 1 order by 1"
    ).fetchall()
    ledger.touch_usage_days(connection, causes, export_day)
    version = ledger.materialised(connection, "raw_charges", key, load_count, row_count, run_id)
    return Loaded(export_day, row_count, dict(totals), tuple(touched), day.unknown_columns, day.bytes_read, version)


def copy_batches(
    connection: psycopg.Connection, table: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]
) -> None:
    """Stream Arrow batches into `table` (`schema.name`) by binary COPY, a batch at a time."""
    encoders: dict[str, Any] = {
        column.name: StringEncoderBuilder.new_with_output(column, Jsonb())
        if column.name in JSONB_COLUMNS
        else ArrowToPostgresBinaryEncoder.infer_encoder(column)
        for column in schema
    }
    encoder = ArrowToPostgresBinaryEncoder.new_with_encoders(schema, encoders)
    statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, schema.names))
    )
    parts = chain([encoder.write_header()], map(encoder.write_batch, batches))
    with connection.cursor().copy(statement) as stream, closing(_made_ahead(parts)) as ahead:
        for part in ahead:
            stream.write(part)
        stream.write(encoder.finish())


def _made_ahead(parts: Iterator[bytes]) -> Generator[bytes, None, None]:
    """The same parts, each made while PostgreSQL takes the one before: it would wait while rows are named."""
    with ThreadPoolExecutor(1, "copy") as thread:
        coming = thread.submit(next, parts, None)
        while (part := coming.result()) is not None:
            coming = thread.submit(next, parts, None)
            yield part


def _prove_raw_equals_source(
    connection: psycopg.Connection, scratch: duckdb.DuckDBPyConnection, export_day: date
) -> None:
    [sent] = scratch.execute(
        "select count(*), coalesce(sum(cost), 0), coalesce(sum(billed_cost), 0) from charges"
    ).fetchall()
    [arrived] = connection.execute(
        "select count(*), coalesce(sum(cost), 0), coalesce(sum(billed_cost), 0) from finops.raw_charges "
        "where export_day = %s",
        [export_day],
    ).fetchall()
    if sent != arrived:
        raise ProofFailed(
            f"Export day {export_day}: the source holds (rows, cost, billed cost) {sent}, raw_charges would hold "
            f"{arrived}. Nothing of it was loaded. This is a fault of ours; please report it with the run's log."
        )


def _replace_arrivals(connection: psycopg.Connection, arrivals: list[Arrival], export_day: date) -> None:
    connection.execute("delete from finops.usage_day_arrivals where export_day = %s", [export_day])
    names = [column.name for column in usage_day_arrivals.columns if column.name != "export_day"]
    statement = sql.SQL("copy finops.usage_day_arrivals (export_day, {}) from stdin").format(
        sql.SQL(", ").join(map(sql.Identifier, names))
    )
    with connection.cursor().copy(statement) as stream:
        for row in arrivals:
            stream.write_row((export_day, *(row[name] for name in names)))


def _stamp_export_day(
    connection: psycopg.Connection, day: CheckedDay, stamp: Stamp, row_count: int
) -> tuple[int, bool]:
    """Note what was loaded. Returns how often this export day has been, and whether its usage days are cut anew."""
    before = connection.execute(
        "select billing_timezone from finops.export_day_ledger where export_day = %s", [stamp.export_day]
    ).fetchone()
    [(load_count,)] = connection.execute(
        """
        insert into finops.export_day_ledger as ledger (export_day, source_url, fingerprint, row_count, bytes_read,
            unknown_columns, load_count, loaded_at, billing_timezone, grain, table_created_at)
        values (%s, %s, %s, %s, %s, %s, 1, now(), %s, %s, %s)
        on conflict (export_day) do update set
            source_url = excluded.source_url, fingerprint = excluded.fingerprint, row_count = excluded.row_count,
            bytes_read = excluded.bytes_read, unknown_columns = excluded.unknown_columns,
            load_count = ledger.load_count + 1, loaded_at = excluded.loaded_at,
            billing_timezone = excluded.billing_timezone, grain = excluded.grain,
            table_created_at = excluded.table_created_at, kept_because = null, kept_at = null
        returning load_count
        """,
        [
            stamp.export_day,
            stamp.source_url,
            stamp.fingerprint,
            row_count,
            day.bytes_read,
            list(day.unknown_columns),
            stamp.billing_timezone,
            stamp.grain,
            stamp.table_created_at,
        ],
    ).fetchall()
    moved_clock = before is not None and before[0] not in (None, stamp.billing_timezone)
    return int(load_count), moved_clock
