"""What must be equal for a served number to be right, and a statement that finds where it is not.

raw = source (as counted before a row was copied), facts = raw, effective = billed, rollups = facts, allocated =
facts, months = facts, months = invoices.
Every statement takes a window of its table's clock and returns a row for each place where the two sides differ.
Nothing is rounded and no currencies are added.
"""

from dataclasses import dataclass
from decimal import Decimal

import psycopg
from psycopg import sql

from finops_warehouse import invoices
from finops_warehouse.sql_models import postgres_models

_KEYS = {
    "export_day": ("export_day", "billing_account_id", "billing_currency"),
    "usage_day": ("usage_day", "billing_account_id", "billing_currency"),
    "invoice_month": ("invoice_month", "billing_account_id", "billing_currency"),
}


@dataclass(frozen=True)
class Identity:
    """Two tables that must hold the same money and the same number of charges."""

    name: str
    table: str
    """The one that is checked."""
    against: str
    clock: str
    """The column that says which partition a row belongs to."""
    measure: str = "billed_cost"
    """What is added up in `table`; in `against` it is always the billed cost."""


@dataclass(frozen=True)
class Difference:
    """A place where an identity does not hold."""

    identity: str
    where: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.identity} {self.where}: {self.found} instead of {self.expected}"


@dataclass(frozen=True)
class Held:
    """How far an identity was compared, and what is left over where it does not hold."""

    identity: str
    compared: int
    """Places: accounts of a day or month, days, texts."""
    differing: int
    residual: dict[str, Decimal]
    """By currency, as absolute amounts, so that two differences cannot cancel out; empty where nothing is an amount."""


RAW_EQUALS_SOURCE = Identity("raw = source", "raw_charges", "usage_day_arrivals", "export_day")
FACTS_EQUAL_RAW = Identity("facts = raw", "aggregated_cost_data", "raw_charges", "usage_day")
EFFECTIVE_EQUALS_BILLED = Identity(
    "effective = billed", "aggregated_cost_data", "aggregated_cost_data", "usage_day", "effective_cost"
)
"""Commitment fees move between the charges of a day, an account and a currency; none is lost, none is counted twice."""
MONTHS_EQUAL_FACTS = Identity("months = facts", "invoice_months", "aggregated_cost_data", "invoice_month")
PARTS_EQUAL_SOURCE = Identity("parts = source", "invoice_month_parts", "usage_day_arrivals", "invoice_month")
MONTHS_EQUAL_PARTS = Identity("months = parts", "invoice_months", "invoice_month_parts", "invoice_month")


def rollup_identities() -> list[Identity]:
    """One for every rollup of the fact table."""
    return [
        Identity(f"{model.table} = facts", model.table, "aggregated_cost_data", "usage_day")
        for model in postgres_models()
        if model.header.partition == "usage_day"
        and model.header.inputs == ("aggregated_cost_data",)
        and "dimension" not in model.header.grain
    ]


def differences(
    connection: psycopg.Connection, identity: Identity, first: object = None, last: object = None
) -> list[Difference]:
    """Every place between `first` and `last` (both included; None is open) where the identity does not hold."""
    return compared(connection, identity, first, last)[1]


def compared(
    connection: psycopg.Connection, identity: Identity, first: object = None, last: object = None
) -> tuple[Held, list[Difference]]:
    """How far the identity holds between `first` and `last` (both included; None is open), and where it does not."""
    keys = sql.SQL(", ").join(map(sql.Identifier, _KEYS[identity.clock]))
    statement = sql.SQL(
        """
        with found as ({found}), expected as ({expected})
        select {keys}, found.billed_cost, found.charges, expected.billed_cost, expected.charges
        from found full join expected using ({keys})
        order by {keys}
        """
    ).format(
        found=_totals(identity, identity.table, identity.measure),
        expected=_totals(identity, identity.against, "billed_cost"),
        keys=keys,
    )
    rows = connection.execute(statement, {"first": first, "last": last}).fetchall()
    width = len(_KEYS[identity.clock])
    residual: dict[str, Decimal] = {}
    found: list[Difference] = []
    for row in rows:
        currency, (cost, charges, expected_cost, expected_charges) = row[width - 1], row[width:]
        left = abs((cost or Decimal(0)) - (expected_cost or Decimal(0)))
        residual[currency] = residual.get(currency, Decimal(0)) + left
        if (cost, charges) != (expected_cost, expected_charges):
            where = " ".join(str(part) for part in row[:width])
            found.append(Difference(identity.name, where, _said(cost, charges), _said(expected_cost, expected_charges)))
    return Held(identity.name, len(rows), len(found), residual), found


def held_by_invoices(connection: psycopg.Connection) -> Held:
    """How far the closed months whose invoice was handed in add up to it."""
    rows = connection.execute(
        "select billing_currency, count(*), count(*) filter (where residual <> 0), sum(abs(residual)) "
        "from finops.invoice_months where closed_from <= current_date and invoice_total is not null "
        "group by 1 order by 1"
    ).fetchall()
    return Held(
        "months = invoices", sum(row[1] for row in rows), sum(row[2] for row in rows), {row[0]: row[3] for row in rows}
    )


def allocation_differences(
    connection: psycopg.Connection, first: object = None, last: object = None
) -> list[Difference]:
    """Every day, account, currency and custom dimension whose allocated costs are not those of the facts, and every
    shared cost that gives away more or less than it takes."""
    window = {"first": first, "last": last}
    unequal = connection.execute(ALLOCATED_EQUALS_FACTS, window).fetchall()
    leaking = connection.execute(MOVED_IS_NOTHING, window).fetchall()
    return [
        *(
            Difference("allocated = facts", " ".join(map(str, row[:4])), _said(*row[4:6]), _said(*row[6:]))
            for row in unequal
        ),
        *(Difference("moved = 0", " ".join(map(str, row[:5])), f"{row[5]:f}", "0") for row in leaking),
    ]


ALLOCATED_EQUALS_FACTS = """
    with found as (
        select usage_day, billing_account_id, billing_currency, dimension,
            sum(billed_cost) as billed_cost, sum(charge_count)::bigint as charges
        from finops.allocated_costs
        where (%(first)s::date is null or usage_day >= %(first)s) and (%(last)s::date is null or usage_day <= %(last)s)
        group by 1, 2, 3, 4
    ),
    expected as (
        select usage_day, billing_account_id, billing_currency, dimension,
            sum(billed_cost) as billed_cost, sum(charge_count)::bigint as charges
        from finops.aggregated_cost_data cross join lateral jsonb_object_keys(custom) as dimension
        where (%(first)s::date is null or usage_day >= %(first)s) and (%(last)s::date is null or usage_day <= %(last)s)
        group by 1, 2, 3, 4
    )
    select usage_day, billing_account_id, billing_currency, dimension,
        found.billed_cost, found.charges, expected.billed_cost, expected.charges
    from found full join expected using (usage_day, billing_account_id, billing_currency, dimension)
    where (found.billed_cost, found.charges) is distinct from (expected.billed_cost, expected.charges)
    order by 1, 2, 3, 4
"""

MOVED_IS_NOTHING = """
    select usage_day, billing_account_id, billing_currency, dimension, moved_by, sum(moved_cost)
    from finops.allocated_costs
    where moved_by is not null
    and (%(first)s::date is null or usage_day >= %(first)s) and (%(last)s::date is null or usage_day <= %(last)s)
    group by 1, 2, 3, 4, 5
    having sum(moved_cost) <> 0
    order by 1, 2, 3, 4, 5
"""


def unsettled_invoices(
    connection: psycopg.Connection, first: str | None = None, last: str | None = None
) -> list[Difference]:
    """Every closed invoice month whose sum is not the total Google printed on the invoice."""
    rows = connection.execute(
        """
        select invoice_month, billing_account_id, billing_currency, billed_cost, invoice_total
        from finops.invoice_months
        where residual <> 0 and closed_from <= current_date
        and (%(first)s::text is null or invoice_month >= %(first)s)
        and (%(last)s::text is null or invoice_month <= %(last)s)
        order by invoice_month, billing_account_id
        """,
        {"first": first, "last": last},
    ).fetchall()
    return [
        Difference("months = invoices", f"{month} {account} {currency}", f"{billed:f}", f"{total:f}")
        for month, account, currency, billed, total in rows
    ]


def moved_after_close(
    connection: psycopg.Connection, first: str | None = None, last: str | None = None
) -> list[Difference]:
    """Every closed invoice month that is not what it was when it closed, and that nobody said should have moved."""
    rows = connection.execute(invoices.MOVED_AFTER_CLOSE, {"first": first, "last": last}).fetchall()
    return [
        Difference(
            "closed months stand still",
            f"{month} {account} {currency}",
            f"{billed:f} ({more:+d} charges)",
            f"{sealed:f} when it closed",
        )
        for month, account, currency, billed, sealed, more in rows
    ]


def other_than_the_focus_export(
    connection: psycopg.Connection, first: str | None = None, last: str | None = None
) -> list[Difference]:
    """Every closed invoice month that Google's own FOCUS export bills otherwise, by a cent or more.

    Half a cent is what its floating-point costs may lose over a month's rows.
    """
    rows = connection.execute(
        """
        select invoice_month, billing_account_id, billing_currency, months.billed_cost, witness.billed_cost
        from finops.invoice_months as months
        join finops.focus_export_months as witness using (invoice_month, billing_account_id, billing_currency)
        where abs(months.billed_cost - witness.billed_cost) >= 0.005 and closed_from <= current_date
        and (%(first)s::text is null or invoice_month >= %(first)s)
        and (%(last)s::text is null or invoice_month <= %(last)s)
        order by invoice_month, billing_account_id, billing_currency
        """,
        {"first": first, "last": last},
    ).fetchall()
    return [
        Difference("months = FOCUS export", f"{month} {account} {currency}", f"{billed:f}", f"{witness:f}")
        for month, account, currency, billed, witness in rows
    ]


def _totals(identity: Identity, table: str, measure: str) -> sql.Composed:
    return sql.SQL(
        """
        select {keys}, sum({measure}) as billed_cost, sum(charge_count)::bigint as charges from {table}
        where (%(first)s::{type} is null or {clock} >= %(first)s) and (%(last)s::{type} is null or {clock} <= %(last)s)
        group by {keys}
        """
    ).format(
        keys=sql.SQL(", ").join(map(sql.Identifier, _KEYS[identity.clock])),
        measure=sql.Identifier(measure),
        table=sql.Identifier("finops", table),
        clock=sql.Identifier(identity.clock),
        type=sql.SQL("text" if identity.clock == "invoice_month" else "date"),
    )


def _said(billed_cost: object, charges: object) -> str:
    return "nothing" if charges is None else f"{billed_cost} in {charges} charges"
