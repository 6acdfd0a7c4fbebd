"""Where things stand: what is complete, what is behind, what was restated, what is left of each invoice."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import psycopg
from psycopg.rows import class_row

from finops_warehouse import invoices, ledger
from finops_warehouse.freshness import complete_through
from finops_warehouse.ledger import FailedBuild


@dataclass(frozen=True)
class Restatement:
    """A served total that moved."""

    usage_day: date
    billing_account_id: str
    billing_currency: str
    billed_cost_before: Decimal
    billed_cost_after: Decimal
    cause: str
    export_days: list[date]
    restated_at: datetime


@dataclass(frozen=True)
class InvoiceMonth:
    """An invoice, what it adds up to and what is left of it."""

    invoice_month: str
    billing_account_id: str
    billing_currency: str
    state: str
    """open, closing (the month is over, late rows still fall into it) or closed."""
    billed_cost: Decimal
    invoice_total: Decimal | None
    residual: Decimal | None
    late_billed_cost: Decimal
    """What arrived after it closed."""
    moved_after_close: bool
    """Whether it is not what it was when it closed, and nobody accepted that."""


@dataclass(frozen=True)
class Load:
    """An export day as it was last loaded, and the usage days that load moved."""

    export_day: date
    loaded_at: datetime
    row_count: int
    unknown_columns: list[str]
    touched_usage_days: list[date]


@dataclass(frozen=True)
class Spent:
    """What reading the export was billed for on a day (UTC)."""

    day: date
    queried_bytes: int
    read_bytes: int
    slot_ms: int
    estimated_usd: Decimal
    """At the prices of the settings; what has not ended counts by its estimate."""


@dataclass(frozen=True)
class Kept:
    """An export day whose charges stay although the export no longer holds it."""

    export_day: date
    kept_because: str
    kept_at: datetime


@dataclass(frozen=True)
class Status:
    """Where the warehouse stands."""

    complete_through: date | None
    export_days_loaded: int
    charges: int
    last_export_day: date | None
    dirty_usage_days: list[date]
    """Usage days whose charges moved after one of their tables was built, parked ones included."""
    loads: list[Load]
    """The latest 31, newest first."""
    failed: list[FailedBuild]
    restatements: list[Restatement]
    """The latest hundred, newest first."""
    invoice_months: list[InvoiceMonth]
    spent: list[Spent]
    """Of the latest 31 days on which anything was, newest first; empty where nobody bills."""
    kept_export_days: list[Kept]
    missing_export_days: list[tuple[date, date]]
    """First and last day of each stretch without a single row, between the first and the last loaded day."""


LAST_RESTATEMENTS = 100
LAST_LOADS = 31

# A load and the changes it notes are one transaction, so they bear the same moment.
_LOADS = """
    select export_day, loaded_at, row_count, unknown_columns,
        array(
            select usage_day from finops.usage_day_changes as changes
            where changes.export_day = loads.export_day and changes.noted_at = loads.loaded_at order by usage_day
        ) as touched_usage_days
    from finops.export_day_ledger as loads order by loaded_at desc, export_day desc limit %s
"""

_INVOICE_MONTHS = f"""
    select invoice_month, billing_account_id, billing_currency, {invoices.STATE} as state,
        billed_cost, invoice_total, residual, late_billed_cost,
        (invoice_month, billing_account_id, billing_currency) in (
            select moved.invoice_month, moved.billing_account_id, moved.billing_currency
            from ({invoices.MOVED_AFTER_CLOSE}) as moved
        ) as moved_after_close
    from finops.invoice_months order by invoice_month, billing_account_id
"""  # noqa: S608 -- the state is a constant of ours

_RESTATEMENTS = """
    select usage_day, billing_account_id, billing_currency, billed_cost_before, billed_cost_after, cause, export_days,
        restated_at
    from finops.restatements order by restatement_id desc limit %s
"""


_SPENT = """
    select (spent_at at time zone 'UTC')::date as day,
        coalesce(sum(billed_bytes) filter (where kind = 'query'), 0)::bigint as queried_bytes,
        coalesce(sum(billed_bytes) filter (where kind = 'storage_read'), 0)::bigint as read_bytes,
        coalesce(sum(slot_ms), 0)::bigint as slot_ms, sum(estimated_usd) as estimated_usd
    from finops.source_spending group by 1 order by 1 desc limit 31
"""

_KEPT = """
    select export_day, kept_because, kept_at from finops.export_day_ledger where kept_at is not null order by 1
"""


def read_status(connection: psycopg.Connection, daily_tables: list[str]) -> Status:
    """Where the warehouse stands, with `daily_tables` as the tables by usage day."""
    [(loaded, charges, last)] = connection.execute(
        "select count(*), coalesce(sum(row_count), 0)::bigint, max(export_day) from finops.export_day_ledger"
    ).fetchall()
    return Status(
        complete_through=complete_through(connection),
        export_days_loaded=loaded,
        charges=charges,
        last_export_day=last,
        dirty_usage_days=_dirty(connection, daily_tables),
        loads=connection.cursor(row_factory=class_row(Load)).execute(_LOADS, [LAST_LOADS]).fetchall(),
        failed=ledger.failed_builds(connection),
        restatements=connection.cursor(row_factory=class_row(Restatement))
        .execute(_RESTATEMENTS, [LAST_RESTATEMENTS])
        .fetchall(),
        invoice_months=connection.cursor(row_factory=class_row(InvoiceMonth))
        .execute(_INVOICE_MONTHS, {"first": None, "last": None})
        .fetchall(),
        spent=connection.cursor(row_factory=class_row(Spent)).execute(_SPENT).fetchall(),
        kept_export_days=connection.cursor(row_factory=class_row(Kept)).execute(_KEPT).fetchall(),
        missing_export_days=ledger.missing_export_days(connection, []),
    )


def _dirty(connection: psycopg.Connection, daily_tables: list[str]) -> list[date]:
    rows = connection.execute(
        """
        select distinct ledger.usage_day
        from finops.usage_day_ledger as ledger cross join unnest(%s::text[]) as asset
        left join finops.materialisation as built
            on built.asset = asset.asset and built.partition_key = ledger.usage_day::text
        where ledger.source_version > coalesce(built.source_version, 0)
        order by 1
        """,
        [daily_tables],
    ).fetchall()
    return [day for (day,) in rows]
