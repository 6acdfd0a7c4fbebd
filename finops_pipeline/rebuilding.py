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

from finops_warehouse import identities, invoices, ledger
from finops_warehouse.assignment import hold_rules
from finops_warehouse.errors import ProofFailed
from finops_warehouse.partitions import ensure_month
from finops_warehouse.sql_models import SqlModel
from finops_warehouse.tables import aggregated_cost_data, invoice_months, metadata, superseded_cost_data

FACT_TABLE = aggregated_cost_data.name
SUPERSEDED_TABLE = superseded_cost_data.name


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
    """Whether a figure that was already served has moved."""


Totals = Mapping[tuple[str, str], tuple[Decimal, int]]
"""Billed cost and number of charges, by billing account and currency."""


def rebuild_usage_day(connection: psycopg.Connection, model: SqlModel, usage_day: date, *, run_id: str) -> Rebuilt:
    """Make the model's table hold exactly what its input says of `usage_day`.

    Raises `ProofFailed` when the sums differ from those of the input; the table is then as before.
    """
    if _is_partitioned(model.table):
        ensure_month(connection, model.table, usage_day)
    if model.table == FACT_TABLE:
        return _rebuild_facts(connection, model, usage_day, run_id)
    key = usage_day.isoformat()
    window = {"start_day": usage_day, "end_day": usage_day + timedelta(days=1)}
    with connection.transaction():
        ledger.lock_partition(connection, model.table, usage_day.toordinal())
        hold_rules(connection)
        source_version = _source_version(connection, model, usage_day)
        connection.execute(_delete(model.table, "usage_day"), [usage_day])
        after, expected = _insert(connection, model, window)
        if after != expected:
            raise ProofFailed(_difference(model, key, after, expected))
        row_count = _count(connection, model.table, "usage_day", usage_day)
        version = ledger.materialised(connection, model.table, key, source_version, row_count, run_id)
    return Rebuilt(key, row_count, _by_currency(after), source_version, version, restated=False)


def _rebuild_facts(connection: psycopg.Connection, model: SqlModel, usage_day: date, run_id: str) -> Rebuilt:
    """A day of facts: what was served of it before stays known, and what moved is told to readers and months."""
    ensure_month(connection, SUPERSEDED_TABLE, usage_day)
    key = usage_day.isoformat()
    with connection.transaction():
        ledger.lock_partition(connection, model.table, usage_day.toordinal())
        hold_rules(connection)
        source_version = _source_version(connection, model, usage_day)
        served_version = _served_source_version(connection, model.table, key)
        before = _totals(connection, model.table, usage_day)
        months = _invoice_months(connection, model.table, usage_day)
        version = ledger.next_version(connection)
        after, expected, moved = _replace_facts(connection, model, usage_day, version)
        if after != expected:
            raise ProofFailed(_difference(model, key, after, expected))
        if uneven := identities.differences(connection, identities.EFFECTIVE_EQUALS_BILLED, usage_day, usage_day):
            raise ProofFailed(f"{'; '.join(map(str, uneven))}. The table is as before.")
        months |= _invoice_months(connection, model.table, usage_day)
        ledger.touch_invoice_months(connection, months)
        row_count = _count(connection, model.table, "usage_day", usage_day)
        ledger.materialised(connection, model.table, key, source_version, row_count, run_id, version)
        restated = moved if served_version is not None else set()
        for account, currency in sorted(restated):
            pair = (account, currency)
            change = Change(pair, _cost(before, pair), _cost(after, pair), served_version or 0, source_version, version)
            _record_restatement(connection, usage_day, change, run_id)
    return Rebuilt(key, row_count, _by_currency(after), source_version, version, bool(restated))


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
        if model.table == invoice_months.name:
            invoices.seal_what_closed(connection)
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
    # Every custom dimension tells all of the day's costs once.
    "aggregated_cost_data by dimension": """
        select billing_account_id, billing_currency, sum(billed_cost), sum(charge_count)::bigint
        from finops.aggregated_cost_data cross join lateral jsonb_object_keys(custom)
        where usage_day >= %(start_day)s and usage_day < %(end_day)s group by 1, 2
    """,
    "aggregated_cost_data by invoice_month": """
        select billing_account_id, billing_currency, sum(billed_cost), sum(charge_count)::bigint
        from finops.aggregated_cost_data where invoice_month = %(invoice_month)s group by 1, 2
    """,
    "usage_day_arrivals by invoice_month": """
        select billing_account_id, billing_currency, sum(billed_cost), sum(charge_count)::bigint
        from finops.usage_day_arrivals where invoice_month = %(invoice_month)s group by 1, 2
    """,
}


def _insert(connection: psycopg.Connection, model: SqlModel, parameters: Mapping[str, object]) -> tuple[Totals, Totals]:
    """Run the model into its table. Returns what went in and what its input holds, of one snapshot."""
    source = model.header.inputs[0]
    totals = INPUT_TOTALS[source if model.header.partition == "usage_day" else f"{source} by invoice_month"]
    if "dimension" in model.header.grain:
        totals = INPUT_TOTALS[f"{source} by dimension"]
    columns = list(model.columns)
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


# One statement, so that all of it sees one moment. A row that is as it was keeps the version it came
# with; of a row that is not, the old state is kept. GROUP BY takes two NULLs for equal, a join does not.
REPLACE_FACTS = """
    with model as ({query}),
    old as (delete from finops.{facts} where usage_day = %(start_day)s returning *),
    both_states as (
        select {columns}, min(from_version) as from_version, bool_or(is_new) as is_new
        from (
            select {columns}, from_version, false as is_new from old
            union all
            select {columns}, null, true from model
        ) as states
        group by {columns}
    ),
    inserted as (
        insert into finops.{facts} ({columns}, from_version)
        select {columns}, coalesce(from_version, %(version)s) from both_states where is_new
        returning billing_account_id, billing_currency, billed_cost, charge_count
    ),
    superseded as (
        insert into finops.{superseded} ({columns}, from_version, until_version)
        select {columns}, from_version, %(version)s from both_states where not is_new
    )
    select 'in', billing_account_id, billing_currency, sum(billed_cost), sum(charge_count)::bigint
    from inserted group by 2, 3
    union all
    select 'expected', input.* from ({totals}) as input
    union all
    select distinct 'moved', billing_account_id, billing_currency, null::numeric, null::bigint
    from both_states where not is_new or from_version is null
"""


def _replace_facts(
    connection: psycopg.Connection, model: SqlModel, usage_day: date, version: int
) -> tuple[Totals, Totals, set[tuple[str, str]]]:
    """Put the model's rows in the place of the day's. Returns what went in, what the input holds, and who moved."""
    statement = REPLACE_FACTS.format(
        query=model.as_psycopg(),
        facts=FACT_TABLE,
        superseded=SUPERSEDED_TABLE,
        columns=", ".join(model.columns),
        totals=INPUT_TOTALS[model.header.inputs[0]],
    )
    window = {"start_day": usage_day, "end_day": usage_day + timedelta(days=1), "version": version}
    found: dict[str, dict[tuple[str, str], tuple[Decimal, int]]] = {"in": {}, "expected": {}, "moved": {}}
    for side, account, currency, billed_cost, charges in connection.execute(statement, window).fetchall():
        found[side][account, currency] = (billed_cost, charges)
    return found["in"], found["expected"], set(found["moved"])


@dataclass(frozen=True)
class Change:
    """An account whose served figures of a day moved, between which versions of its charges, and when."""

    account: tuple[str, str]
    """Billing account and currency."""
    before: Decimal
    after: Decimal
    served_version: int
    source_version: int
    version: int
    """The version of the day that shows it."""


def _record_restatement(connection: psycopg.Connection, usage_day: date, change: Change, run_id: str) -> None:
    """Write down what moved, why, and by which export days. A day that only moved between projects has equal totals."""
    connection.execute(
        """
        with noted as (
            select changes.export_day, changes.cause, bool_or(arrivals.correction_count > 0) as is_correction,
                count(arrivals.export_day) > 0 as is_ours
            from finops.usage_day_changes as changes
            left join finops.usage_day_arrivals as arrivals
                on arrivals.export_day = changes.export_day and arrivals.usage_day = changes.usage_day
                and arrivals.billing_account_id = %(account)s and arrivals.billing_currency = %(currency)s
            where changes.usage_day = %(day)s
            and changes.source_version > %(served)s and changes.source_version <= %(source)s
            group by changes.export_day, changes.source_version, changes.cause
        ),
        -- What other accounts' charges did to the day is none of this account's causes. Charges that a re-export or a
        -- change of rules took away are in no arrival any more, and theirs all the same.
        causing as (select * from noted where is_ours or cause in ('re-export', 'rule change'))
        insert into finops.restatements (usage_day, billing_account_id, billing_currency, billed_cost_before,
            billed_cost_after, cause, export_days, source_version, run_id, restated_at)
        select %(day)s, %(account)s, %(currency)s, %(before)s, %(after)s,
            case
                when bool_or(cause = 'correction' and is_correction) then 'correction'
                when bool_or(cause in ('late usage', 'correction')) then 'late usage'
                when bool_or(cause = 're-export') then 're-export'
                else 'rule change'
            end,
            coalesce(array_agg(distinct export_day order by export_day) filter (where export_day is not null), '{}'),
            %(source)s, %(run_id)s,
            (select materialised_at from finops.materialisation_log where version = %(version)s)
        from causing
        """,
        {
            "day": usage_day,
            "account": change.account[0],
            "currency": change.account[1],
            "before": change.before,
            "after": change.after,
            "served": change.served_version,
            "source": change.source_version,
            "version": change.version,
            "run_id": run_id,
        },
    )


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
