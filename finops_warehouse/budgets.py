"""Budgets: what may be spent in a calendar month of usage, what of it is spent, and which months have to be looked at.

A budget is of usage and not of an invoice. Usage days are what forecasts are of and what is known to be complete; an
invoice goes on moving until the month after, when nobody can spend less any more.
"""

import json
import re
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, LiteralString, Self

import psycopg
from psycopg import errors, sql
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from finops_warehouse.algebra import check_cell
from finops_warehouse.cells import Cell
from finops_warehouse.keys import RECORD, Event
from finops_warehouse.semantic import DIMENSIONS, READ_FROM

MAX_BUDGETS = 500
"""So many are added up in one statement within the time a question may take."""
MAX_DIMENSIONS = 10
MAX_MEMBERS = 100

_CUSTOM = re.compile(r"[a-z][a-z0-9_]{0,44}")


def _can_be_read(name: str) -> str:
    if not name.isprintable() or name != name.strip():
        raise ValueError("a name is printable characters, without spaces at its ends")
    return name


Month = Annotated[str, Field(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$", examples=["2026-11"])]
Name = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(_can_be_read)]
Amount = Annotated[str, Field(pattern=r"^[0-9]{1,15}(\.[0-9]{1,9})?$", examples=["12000"])]
Percents = Annotated[list[Annotated[int, Field(ge=1, le=1000, strict=True)]], Field(max_length=10)]
Measure = Literal["billed_cost", "effective_cost", "contracted_cost", "list_cost", "cost"]
"""The costs of the semantic layer, each a whole of its own."""


class BudgetPlan(BaseModel):
    """What may be spent in a calendar month of usage, of which charges, and when to tell."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name = Field(examples=["Shop in production"])
    billing_currency: str = Field(pattern=r"^[A-Z]{3}$", examples=["USD"])
    amount: Amount = Field(description="For each month, in `billing_currency`.")
    measure: Measure = Field("billed_cost", description="Which cost counts, in the words of `/v1/costs`.")
    filters: dict[str, list[str]] = Field(
        default={},
        max_length=MAX_DIMENSIONS,
        description="Members by dimension, built-in or custom, ids or names: of each dimension any of them, of several "
        "all of them. Empty: everything in `billing_currency`.",
        examples=[{"project": ["nw-shop-prod"]}],
    )
    thresholds: Percents = Field(
        default=[50, 90, 100], description="Percent of `amount`: each is told once a month, when so much is spent."
    )
    forecast_thresholds: Percents = Field(
        default=[100], description="Percent of `amount`: each is told when the forecast of the month's end reaches it."
    )
    start_month: Month = Field(description="The first month it holds for.")
    end_month: Month | None = Field(None, description="The last one. Left out: it goes on.")

    @field_validator("amount")
    @classmethod
    def _is_more_than_nothing(cls, amount: str) -> str:
        if Decimal(amount) == 0:
            raise ValueError("a budget is more than nothing")
        return format(Decimal(amount).normalize(), "f")

    @field_validator("thresholds", "forecast_thresholds")
    @classmethod
    def _each_once(cls, percents: list[int]) -> list[int]:
        return sorted(set(percents))

    @field_validator("filters")
    @classmethod
    def _can_be_asked(cls, filters: dict[str, list[str]]) -> dict[str, list[str]]:
        for name, members in filters.items():
            if name == "invoice_month":
                raise ValueError("a budget is of every month from start_month on: leave invoice_month out")
            if name not in DIMENSIONS and not _CUSTOM.fullmatch(name):
                raise ValueError("a dimension is one of /v1/dimensions")
            if not 1 <= len(members) <= MAX_MEMBERS:
                raise ValueError(f"{name} takes 1 to {MAX_MEMBERS} members; leave it out for all of them")
            if not all(1 <= len(member) <= 500 and member.isprintable() for member in members):
                raise ValueError(f"a member of {name} is 1 to 500 printable characters")
        return {name: list(dict.fromkeys(members)) for name, members in filters.items()}

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        check_cell(self.measure, self.filters)
        if self.end_month is not None and self.end_month < self.start_month:
            raise ValueError("end_month is before start_month")
        return self

    @property
    def of_custom(self) -> list[str]:
        """The dimensions it filters by that only rules make."""
        return [name for name in self.filters if name not in DIMENSIONS]

    def holds_in(self, month: date) -> bool:
        """Whether the month is one of its months."""
        return self.start_month <= f"{month:%Y-%m}" <= (self.end_month or "9999-12")

    def cell(self, start: date, end: date) -> Cell:
        """What of it falls on these usage days; `end` is not included."""
        return Cell(
            measure=self.measure,
            start=start,
            end=end,
            billing_currency=self.billing_currency,
            filters={name: members for name, members in self.filters.items() if name in DIMENSIONS},
            custom={name: members for name, members in self.filters.items() if name not in DIMENSIONS},
        )

    def forecast(self) -> tuple[str, str] | None:
        """Scope and member of the forecasts that are of exactly its charges; None when there are none of them."""
        if self.measure != "billed_cost":
            return None
        match list(self.filters.items()):
            case []:
                return "total", "all"
            case [(("billing_account" | "project" | "service") as scope, [member])]:
                return scope, member
            case _:
                return None

    def parameters(self) -> dict[str, Any]:
        """What `INSERT` and `UPDATE` are asked with."""
        return {
            **self.model_dump(),
            "filters": json.dumps(self.filters),
            "start_month": first_of(self.start_month),
            "end_month": self.end_month and first_of(self.end_month),
        }


class Budget(BudgetPlan):
    """A budget as it is kept."""

    budget_id: int
    version: int = Field(description="Rises with every change; `If-Match` names it.")
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str

    def plan(self) -> BudgetPlan:
        """What of it somebody asked for."""
        return BudgetPlan.model_validate(self.model_dump(include=set(BudgetPlan.model_fields)))


def as_row(number: int, budget: Budget, forecast: tuple[str, str] | None) -> sql.Composed:
    """A budget as a row of `values`: its number there, what it is held against, scope and member of its forecasts."""
    return sql.SQL("({}, {}::numeric, {}::int[], {}::int[], {}, {}::text, {}::text)").format(
        number,
        budget.amount,
        budget.thresholds,
        budget.forecast_thresholds,
        budget.billing_currency,
        *(forecast or (None, None)),
    )


def first_of(month: str) -> date:
    """The first day of a month like `2026-11`."""
    return date.fromisoformat(f"{month}-01")


def month_after(month: date) -> date:
    """The first day of the month after the one that begins on this day."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


BUDGETS: LiteralString = """
    select json_build_object(
        'budget_id', budget_id, 'name', name, 'billing_currency', billing_currency,
        'amount', trim_scale(amount)::text, 'measure', measure, 'filters', filters, 'thresholds', thresholds,
        'forecast_thresholds', forecast_thresholds, 'start_month', to_char(start_month, 'YYYY-MM'),
        'end_month', to_char(end_month, 'YYYY-MM'), 'version', version, 'created_at', created_at,
        'created_by', created_by, 'updated_at', updated_at, 'updated_by', updated_by
    )
    from finops.budgets
"""

INSERT: LiteralString = """
    insert into finops.budgets (
        name, billing_currency, amount, measure, filters, thresholds, forecast_thresholds, start_month, end_month,
        created_by, updated_by
    )
    select %(name)s, %(billing_currency)s, %(amount)s, %(measure)s, %(filters)s, %(thresholds)s,
        %(forecast_thresholds)s, %(start_month)s, %(end_month)s, %(actor)s, %(actor)s
    returning budget_id
"""

UPDATE: LiteralString = """
    update finops.budgets set
        name = %(name)s, billing_currency = %(billing_currency)s, amount = %(amount)s, measure = %(measure)s,
        filters = %(filters)s, thresholds = %(thresholds)s, forecast_thresholds = %(forecast_thresholds)s,
        start_month = %(start_month)s, end_month = %(end_month)s,
        version = version + 1, updated_at = now(), updated_by = %(actor)s
    where budget_id = %(budget_id)s
"""


def hand_in(connection: psycopg.Connection, plans: Sequence[BudgetPlan], *, actor: str) -> int:
    """Make those of the budgets that there are none of the same name of, and write it down. Returns how many."""
    made = 0
    for plan in plans:
        try:
            with connection.transaction():
                connection.execute(INSERT, {**plan.parameters(), "actor": actor})
                connection.execute(RECORD, Event(actor, "budget.create", detail=plan.model_dump()).parameters())
        except errors.UniqueViolation:
            continue  # an earlier one, which somebody may have changed since
        made += 1
    return made


ASSET = "budget_alerts"

# What the alerts of a month follow from: its budgets, the builds of its days and of its forecasts, how far it is
# complete, and the rules its members are told by. A fingerprint, because a budget that goes lowers every sum.
_STATES = """
    with months as (
        select generate_series(
            greatest(start_month, (select date_trunc('month', min(usage_day)) from finops.usage_day_ledger)),
            least(end_month, date_trunc('month', %(complete)s::date + 1)),
            interval '1 month'
        )::date as month from finops.budgets
        union
        select month from finops.budget_alerts where withdrawn_at is null
    ),
    spans as (select month, (month + interval '1 month')::date as month_after from months)
    select month, ('x' || left(md5(concat_ws(
        ';',
        least(%(complete)s::date, month_after - 1),
        (select max(version) from finops.dimension_rules),
        (
            select string_agg(budget_id || ' ' || version, ',' order by budget_id) from finops.budgets
            where start_month <= month and (end_month is null or end_month >= month)
        ),
        (
            select string_agg(version::text, ',' order by asset, partition_key) from finops.materialisation
            where asset = any(%(tables)s) and partition_key >= month::text and partition_key < month_after::text
        ),
        (
            select string_agg(version::text, ',' order by partition_key) from finops.materialisation
            where asset = 'cost_forecasts'
            and partition_key >= (month - 1)::text and partition_key < (month_after - 1)::text
        )
    )), 14))::bit(56)::bigint as state
    from spans
"""

_BEHIND = f"""
    with states as ({_STATES})
    select month from states
    left join finops.materialisation as built
        on built.asset = %(asset)s and built.partition_key = to_char(month, 'YYYYMM')
    left join finops.build_attempts as tried
        on tried.asset = %(asset)s and tried.partition_key = to_char(month, 'YYYYMM')
    where state is distinct from built.source_version
    and tried.parked_at is null
    and coalesce(tried.next_attempt_at <= now(), true)
    order by 1
"""  # noqa: S608 -- made of constants of ours


def behind_months(connection: psycopg.Connection, complete_through: date | None) -> list[date]:
    """The months whose alerts are not those of their budgets and costs, and may be tried now, oldest first."""
    if complete_through is None:
        return []
    return [month for (month,) in connection.execute(_BEHIND, _asked(complete_through)).fetchall()]


def state_of(connection: psycopg.Connection, month: date, complete_through: date) -> int:
    """What the alerts of a month follow from, as a number that is another one when any of it moves; 0 for nothing."""
    statement = f"select state from ({_STATES}) as states where month = %(month)s"  # noqa: S608 -- a constant of ours
    found = connection.execute(statement.encode(), {**_asked(complete_through), "month": month}).fetchone()
    return found[0] if found else 0


def _asked(complete_through: date) -> dict[str, object]:
    return {"complete": complete_through, "tables": list(READ_FROM), "asset": ASSET}
