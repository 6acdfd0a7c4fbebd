"""Proving every number again, from the source rows up.

The identities compare stored tables; here the source is read once more and compared with `raw_charges` row by
row and column by column, so that a single altered value is found, not only one that moves a sum.
"""

from dataclasses import dataclass
from datetime import date

import psycopg

from finops_pipeline.loading import copy_batches, extracted_rows
from finops_pipeline.sources.base import BillingSource
from finops_warehouse import identities
from finops_warehouse.errors import SourceError
from finops_warehouse.identities import Difference


@dataclass(frozen=True)
class Proof:
    """What was compared and where it differs."""

    rows: int
    export_days: int
    invoice_months: int
    closed_invoices: int
    """Closed months whose invoice total is known; each must leave a residual of 0."""
    differences: tuple[Difference, ...]

    @property
    def holds(self) -> bool:
        """Whether every identity holds to the last digit."""
        return not self.differences


def prove(connection: psycopg.Connection, source: BillingSource, billing_timezone: str) -> Proof:
    """Recompute source = raw = facts = rollups = months = invoices.

    Export days the source no longer holds, or holds in another state than was loaded, are differences too.
    """
    loaded: dict[date, str] = dict(
        connection.execute("select export_day, fingerprint from finops.export_day_ledger order by 1").fetchall()
    )
    held = source.partitions()
    found: list[Difference] = []
    for day in sorted({*loaded, *held}):
        found += _day_against_source(connection, source, day, held.get(day), loaded.get(day), billing_timezone)
    checked = [
        identities.RAW_EQUALS_SOURCE,
        identities.FACTS_EQUAL_RAW,
        *identities.rollup_identities(),
        identities.MONTHS_EQUAL_FACTS,
    ]
    for identity in checked:
        found += identities.differences(connection, identity)
    found += identities.unsettled_invoices(connection)
    [(rows,)] = connection.execute("select count(*) from finops.raw_charges").fetchall()
    [(months, closed)] = connection.execute(
        "select count(*), count(*) filter (where closed_from <= current_date and invoice_total is not null) "
        "from finops.invoice_months"
    ).fetchall()
    return Proof(rows, len(loaded), months, closed, tuple(found))


def _day_against_source(
    connection: psycopg.Connection,
    source: BillingSource,
    day: date,
    held: str | None,
    loaded: str | None,
    billing_timezone: str,
) -> list[Difference]:
    where = f"export day {day}"
    if loaded is None:
        return [Difference("raw = source", where, "not loaded", "the source's rows")]
    if held is None:
        return [Difference("raw = source", where, "loaded rows", "nothing: the source no longer holds that day")]
    if held != loaded:
        return [Difference("raw = source", where, "what was loaded", "another content: the source changed since")]
    try:
        missing, surplus = _compare_rows(connection, source, day, billing_timezone)
    except SourceError as error:
        return [Difference("raw = source", where, "loaded rows", f"an export that can be read: {error}")]
    if missing or surplus:
        return [Difference("raw = source", where, f"{surplus} rows the source does not hold", f"{missing} others")]
    return []


def _compare_rows(
    connection: psycopg.Connection, source: BillingSource, day: date, billing_timezone: str
) -> tuple[int, int]:
    """How many rows of the source are not in `raw_charges`, and how many there are not in the source."""
    with extracted_rows(source, day, billing_timezone) as rows, connection.transaction():
        connection.execute("create temporary table source_rows (like finops.raw_charges) on commit drop")
        copy_batches(connection, "pg_temp.source_rows", rows.schema, rows)
        columns = ", ".join(rows.schema.names)
        [(missing, surplus)] = connection.execute(
            f"""
            with raw as (select {columns} from finops.raw_charges where export_day = %(day)s),
            source as (select {columns} from source_rows)
            select
                (select count(*) from (select * from source except all select * from raw) as missing),
                (select count(*) from (select * from raw except all select * from source) as surplus)
            """,  # noqa: S608 -- the names are our own table's
            {"day": day},
        ).fetchall()
    return int(missing), int(surplus)
