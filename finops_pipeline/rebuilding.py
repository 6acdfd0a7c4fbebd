"""Building one partition of a table from the tables it stands on: whole, in one transaction, proven before it shows.

The order of the statements is the protocol: lock the partition, read how far its source has come, *then* read
the source. A restatement that commits in between is in the rows and not in the stamp, so the partition stays
behind and is built again; the other way round it would be lost.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import psycopg
from psycopg import sql

from finops_warehouse import ledger
from finops_warehouse.errors import ProofFailed
from finops_warehouse.partitions import ensure_month
from finops_warehouse.sql_models import SqlModel
from finops_warehouse.tables import aggregated_cost_data, metadata

FACT_TABLE = aggregated_cost_data.name


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuild did."""

    partition_key: str
    row_count: int
    billed_cost: dict[str, Decimal]
    """By currency."""
    source_version: int
    version: int
    restated: bool
    """Whether a total that was already served has moved."""


Totals = Mapping[tuple[str, str], tuple[Decimal, int]]
"""Billed cost and number of charges, by billing account and currency."""


def rebuild_usage_day(connection: psycopg.Connection, model: SqlModel, usage_day: date, *, run_id: str) -> Rebuilt:
    """Make the model's table hold exactly what its input says of `usage_day`.

    Raises `ProofFailed` when the sums differ from those of the input; the table is then as before.
    """
    if _is_partitioned(model.table):
        ensure_month(connection, model.table, usage_day)
    key = usage_day.isoformat()
    window = {"start_day": usage_day, "end_day": usage_day + timedelta(days=1)}
    with connection.transaction():
        ledger.lock_partition(connection, model.table, usage_day.toordinal())
        source_version = _source_version(connection, model, usage_day)
        served_version = _served_source_version(connection, model.table, key)
        before = _totals(connection, model.table, usage_day)
        months = _invoice_months(connection, model.table, usage_day) if model.table == FACT_TABLE else set()
        connection.execute(_delete(model.table, "usage_day"), [usage_day])
        after, expected = _insert(connection, model, window)
        if after != expected:
            raise ProofFailed(_difference(model, key, after, expected))
        restated = False
        if model.table == FACT_TABLE:
            if served_version is not None:
                restated = _record_restatements(
                    connection, usage_day, before, after, served_version, source_version, run_id
                )
            months |= _invoice_months(connection, model.table, usage_day)
            ledger.touch_invoice_months(connection, months)
        row_count = _count(connection, model.table, "usage_day", usage_day)
        version = ledger.materialised(connection, model.table, key, source_version, row_count, run_id)
    return Rebuilt(key, row_count, _by_currency(after), source_version, version, restated)


def rebuild_invoice_month(
    connection: psycopg.Connection, model: SqlModel, invoice_month: str, *, run_id: str
) -> Rebuilt:
    """Make the model's table hold exactly what the fact table says of `invoice_month` (YYYYMM).

    Raises `ProofFailed` when the month does not add up to the facts; the table is then as before.
    """
    with connection.transaction():
        ledger.lock_partition(connection, model.table, int(invoice_month))
        [source_version] = connection.execute(
            "select source_version from finops.invoice_month_ledger where invoice_month = %s", [invoice_month]
        ).fetchone() or (0,)
        connection.execute(_delete(model.table, "invoice_month"), [invoice_month])
        after, expected = _insert(connection, model, {"invoice_month": invoice_month})
        if after != expected:
            raise ProofFailed(_difference(model, invoice_month, after, expected))
        row_count = _count(connection, model.table, "invoice_month", invoice_month)
        version = ledger.materialised(connection, model.table, invoice_month, source_version, row_count, run_id)
    return Rebuilt(invoice_month, row_count, _by_currency(after), source_version, version, restated=False)


# What a model's rows must add up to: the rows of its input, seen by the same statement and so at the same moment.
# For the fact table that is what the ledger counted in the source, before a single row was copied.
INPUT_TOTALS = {
    "raw_charges": """
        select billing_account_id, billing_currency, sum(billed_cost), sum(charge_count)::bigint
        from finops.usage_day_arrivals where usage_day >= %(start_day)s and usage_day < %(end_day)s group by 1, 2
    """,
    "aggregated_cost_data": """
        select billing_account_id, billing_currency, sum(billed_cost), sum(charge_count)::bigint
        from finops.aggregated_cost_data where usage_day >= %(start_day)s and usage_day < %(end_day)s group by 1, 2
    """,
    "aggregated_cost_data by invoice_month": """
        select billing_account_id, billing_currency, sum(billed_cost), sum(charge_count)::bigint
        from finops.aggregated_cost_data where invoice_month = %(invoice_month)s group by 1, 2
    """,
}


def _insert(connection: psycopg.Connection, model: SqlModel, parameters: Mapping[str, object]) -> tuple[Totals, Totals]:
    """Run the model into its table. Returns what went in and what its input holds, of one snapshot."""
    source = model.header.inputs[0]
    totals = INPUT_TOTALS[source if model.header.partition == "usage_day" else f"{source} by invoice_month"]
    columns = [column.name for column in metadata.tables[f"finops.{model.table}"].columns]
    statement = f"""
        with model as ({model.as_psycopg()}),
        inserted as (
            insert into finops.{model.table} ({", ".join(columns)}) select {", ".join(columns)} from model
            returning billing_account_id, billing_currency, billed_cost, charge_count
        )
        select 'in', billing_account_id, billing_currency, sum(billed_cost), sum(charge_count)::bigint
        from inserted group by 2, 3
        union all
        select 'expected', input.* from ({totals}) as input
    """  # noqa: S608 -- names come from our own files and tables, values are bound
    found: dict[str, dict[tuple[str, str], tuple[Decimal, int]]] = {"in": {}, "expected": {}}
    for side, account, currency, billed_cost, charges in connection.execute(statement, parameters).fetchall():
        found[side][account, currency] = (billed_cost, charges)
    return found["in"], found["expected"]


def _source_version(connection: psycopg.Connection, model: SqlModel, usage_day: date) -> int:
    """How far the input has come: the ledger for the fact table, what the facts were built from for a rollup."""
    if model.table == FACT_TABLE:
        row = connection.execute(
            "select source_version from finops.usage_day_ledger where usage_day = %s", [usage_day]
        ).fetchone()
    else:
        row = connection.execute(
            "select source_version from finops.materialisation where asset = %s and partition_key = %s",
            [model.header.inputs[0], usage_day.isoformat()],
        ).fetchone()
    return int(row[0]) if row else 0


def _served_source_version(connection: psycopg.Connection, table: str, key: str) -> int | None:
    row = connection.execute(
        "select source_version from finops.materialisation where asset = %s and partition_key = %s", [table, key]
    ).fetchone()
    return int(row[0]) if row else None


def _totals(connection: psycopg.Connection, table: str, usage_day: date) -> Totals:
    rows = connection.execute(
        sql.SQL(
            "select billing_account_id, billing_currency, sum(billed_cost), sum(charge_count)::bigint "
            "from {} where usage_day = %s group by 1, 2"
        ).format(sql.Identifier("finops", table)),
        [usage_day],
    ).fetchall()
    return {(account, currency): (billed_cost, charges) for account, currency, billed_cost, charges in rows}


def _record_restatements(
    connection: psycopg.Connection,
    usage_day: date,
    before: Totals,
    after: Totals,
    served_version: int,
    source_version: int,
    run_id: str,
) -> bool:
    """Write down every account whose served total moved, and why. Returns whether any did."""
    moved = [pair for pair in sorted({*before, *after}) if _cost(before, pair) != _cost(after, pair)]
    for pair in moved:
        connection.execute(
            """
            insert into finops.restatements (usage_day, billing_account_id, billing_currency, billed_cost_before,
                billed_cost_after, cause, export_days, source_version, run_id)
            select %(day)s, %(account)s, %(currency)s, %(before)s, %(after)s,
                case
                    when bool_or(cause = 'correction') then 'correction'
                    when bool_or(cause = 're-export') then 're-export'
                    else 'late usage'
                end,
                coalesce(array_agg(distinct export_day order by export_day), '{}'), %(version)s, %(run_id)s
            from finops.usage_day_changes
            where usage_day = %(day)s and source_version > %(served)s and source_version <= %(version)s
            """,
            {
                "day": usage_day,
                "account": pair[0],
                "currency": pair[1],
                "before": _cost(before, pair),
                "after": _cost(after, pair),
                "served": served_version,
                "version": source_version,
                "run_id": run_id,
            },
        )
    return bool(moved)


def _cost(totals: Totals, pair: tuple[str, str]) -> Decimal:
    return totals[pair][0] if pair in totals else Decimal(0)


def _by_currency(totals: Totals) -> dict[str, Decimal]:
    by_currency: dict[str, Decimal] = {}
    for (_, currency), (billed_cost, _) in sorted(totals.items()):
        by_currency[currency] = by_currency.get(currency, Decimal(0)) + billed_cost
    return by_currency


def _invoice_months(connection: psycopg.Connection, table: str, usage_day: date) -> set[str]:
    rows = connection.execute(
        sql.SQL("select distinct invoice_month from {} where usage_day = %s").format(sql.Identifier("finops", table)),
        [usage_day],
    ).fetchall()
    return {month for (month,) in rows}


def _delete(table: str, column: str) -> sql.Composed:
    return sql.SQL("delete from {} where {} = %s").format(sql.Identifier("finops", table), sql.Identifier(column))


def _count(connection: psycopg.Connection, table: str, column: str, key: date | str) -> int:
    statement = sql.SQL("select count(*) from {} where {} = %s").format(
        sql.Identifier("finops", table), sql.Identifier(column)
    )
    [(rows,)] = connection.execute(statement, [key]).fetchall()
    return int(rows)


def _is_partitioned(table: str) -> bool:
    return metadata.tables[f"finops.{table}"].dialect_options["postgresql"]["partition_by"] is not None


def _difference(model: SqlModel, key: str, after: Totals, expected: Totals) -> str:
    wrong = [
        f"{account} {currency}: {after.get((account, currency), 0)} instead of {expected.get((account, currency), 0)}"
        for account, currency in sorted({*after, *expected})
        if after.get((account, currency)) != expected.get((account, currency))
    ]
    return (
        f"{model.table} {key} would not add up to {model.header.inputs[0]} (billed cost, charges): {'; '.join(wrong)}. "
        "The table is as before. `finops verify` shows which table is wrong; reload the export days it names."
    )
