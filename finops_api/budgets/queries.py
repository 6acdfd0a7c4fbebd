"""What is spent of budgets: the cells of `/v1/costs` they are, added up in one statement, beside their forecasts."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, LiteralString

from psycopg import AsyncConnection, sql

from finops_api.budgets.models import BudgetInfo, BudgetMeta, BudgetStatus
from finops_api.catalogue.queries import applied_rules, last_complete_day
from finops_api.database import rows
from finops_api.errors import NothingLoaded
from finops_warehouse.budgets import BUDGETS, Budget, as_row, first_of, month_after
from finops_warehouse.cells import cell_values

BY_NAME: LiteralString = (
    f"{BUDGETS} where cardinality(%(currencies)s::text[]) = 0 or billing_currency = any(%(currencies)s) order by name"
)
ONE: LiteralString = f"{BUDGETS} where budget_id = %(budget_id)s"

# Without parameters: the values are literals, in which a percent sign is one.
STATUSES = """
    with asked (place, budget_amount, thresholds, forecast_thresholds, billing_currency, scope, member) as (
        values {asked}
    ),
    added_up (place, spent) as ({spent}),
    known as (
        select asked.*, coalesce(spent, 0) as spent, forecast.*
        from asked
        left join added_up using (place)
        left join lateral (
            select as_of_day, model, status, expected_cost, low_80, high_80, low_95, high_95
            from finops.cost_forecasts as forecasts
            where (forecasts.scope, forecasts.member, forecasts.billing_currency)
                = (asked.scope, asked.member, asked.billing_currency)
            and period = 'month_end' and start_day = {month} and as_of_day <= {complete}
            order by as_of_day desc limit 1
        ) as forecast on true
    )
    select place, json_build_object(
        'spent', trim_scale(spent)::text,
        'spent_percent', round(spent * 100 / budget_amount, 2)::text,
        'remaining', trim_scale(budget_amount - spent)::text,
        'state', case
            when spent > budget_amount then 'over'
            when exists (select from unnest(thresholds) as t where spent * 100 >= budget_amount * t)
                or exists (select from unnest(forecast_thresholds) as t where expected_cost * 100 >= budget_amount * t)
            then 'warning'
            else 'ok'
        end,
        'forecast', case when as_of_day is not null then json_build_object(
            'expected', trim_scale(expected_cost)::text,
            'expected_percent', round(expected_cost * 100 / budget_amount, 2)::text,
            'low_80', trim_scale(low_80)::text, 'high_80', trim_scale(high_80)::text,
            'low_95', trim_scale(low_95)::text, 'high_95', trim_scale(high_95)::text,
            'as_of_day', as_of_day, 'scope', scope, 'member', member, 'model', model, 'confidence', status
        ) end
    )
    from known order by place
"""
NOTHING_SPENT = "select null::int, null::numeric where false"

ALERTS = """
    select budget_id, json_agg(json_build_object(
        'alert_id', alert_id, 'kind', kind, 'threshold', threshold, 'crossed_on', crossed_on,
        'amount', trim_scale(amount)::text, 'budget_amount', trim_scale(budget_amount)::text,
        'source_version', source_version, 'noticed_at', noticed_at, 'posted_at', posted_at,
        'withdrawn_at', withdrawn_at
    ) order by alert_id desc)
    from finops.budget_alerts where month = %(month)s and budget_id = any(%(budgets)s) group by budget_id
"""

MISSING = """
    select day::date from generate_series(%(first)s::date, %(last)s::date, interval '1 day') as day
    where not exists (
        select from finops.materialisation where asset = 'aggregated_cost_data' and partition_key = day::date::text
    )
    order by 1
"""

IS_OVER = "Every day of the month is complete: what is spent is what it came to."
IS_OF_ANOTHER_COST = "Only billed_cost is forecast."
IS_OF_MORE = (
    "Forecasts are of everything in a currency, or of one billing account, project or service. None is of exactly this."
)
IS_NOT_THERE = (
    "No forecast of this month is there: it takes 14 complete days, and costs by then. A project or service is found "
    "by its id, not by its name."
)


async def with_statuses(
    moment: AsyncConnection, budgets: Sequence[Budget], asked: str | None
) -> tuple[list[BudgetInfo], BudgetMeta]:
    """The budgets with what is spent of them in a month, by default in that of the last complete day."""
    try:
        complete = await last_complete_day(moment)
    except NothingLoaded as nothing:
        meta = BudgetMeta(
            month=asked, complete_through=None, counted_through=None, elapsed_percent=None, missing_days=[]
        )
        return [_info(budget, None, str(nothing), []) for budget in budgets], meta
    month = first_of(asked) if asked else complete.replace(day=1)
    end = max(month, min(month_after(month), complete + timedelta(days=1)))
    _, rules = await applied_rules(moment)
    custom = rules.semantic()
    why = {budget.budget_id: _why_no_status(budget, month, set(custom)) for budget in budgets}
    told = [budget for budget in budgets if why[budget.budget_id] is None]
    statuses = await _statuses(moment, told, month, end, complete) if told else {}
    alerts = dict(await rows(moment, ALERTS, {"month": month, "budgets": [budget.budget_id for budget in budgets]}))
    items = [
        _info(budget, statuses.get(budget.budget_id), why[budget.budget_id], alerts.get(budget.budget_id, []))
        for budget in budgets
    ]
    return items, await _meta(moment, month, end, complete)


def _info(budget: Budget, status: BudgetStatus | None, why: str | None, alerts: list[Any]) -> BudgetInfo:
    given = {"status": status, "why_no_status": why, "alerts": alerts}
    return BudgetInfo.model_validate({**budget.model_dump(), **given})


def _why_no_status(budget: Budget, month: date, custom: set[str]) -> str | None:
    if not budget.holds_in(month):
        last = f" to {budget.end_month}" if budget.end_month else ""
        return f"The budget holds from {budget.start_month}{last}, and not in {month:%Y-%m}."
    gone = sorted(set(budget.of_custom) - custom)
    if gone:
        return f"The rules in force make no dimension {', '.join(gone)}: change the budget, or the rules."
    return None


async def _statuses(
    moment: AsyncConnection, budgets: Sequence[Budget], month: date, end: date, complete: date
) -> dict[int, BudgetStatus]:
    spent = cell_values([budget.cell(month, end) for budget in budgets]) if month < end else sql.SQL(NOTHING_SPENT)
    is_over = end == month_after(month)
    asked = [as_row(place, budget, None if is_over else budget.forecast()) for place, budget in enumerate(budgets)]
    statement = sql.SQL(STATUSES).format(
        asked=sql.SQL(", ").join(asked), spent=spent, month=sql.Literal(month), complete=sql.Literal(complete)
    )
    found = {}
    for place, status in await rows(moment, statement):
        budget = budgets[place]
        why = None if status["forecast"] else IS_OVER if is_over else _why_no_forecast(budget)
        found[budget.budget_id] = BudgetStatus.model_validate({**status, "why_no_forecast": why})
    return found


def _why_no_forecast(budget: Budget) -> str:
    if budget.measure != "billed_cost":
        return IS_OF_ANOTHER_COST
    return IS_OF_MORE if budget.forecast() is None else IS_NOT_THERE


async def _meta(moment: AsyncConnection, month: date, end: date, complete: date) -> BudgetMeta:
    last = end - timedelta(days=1)
    share = Decimal((end - month).days * 100) / (month_after(month) - month).days
    return BudgetMeta(
        month=f"{month:%Y-%m}",
        complete_through=complete,
        counted_through=last if end > month else None,
        elapsed_percent=format(share.quantize(Decimal("0.01")), "f"),
        missing_days=[day for (day,) in await rows(moment, MISSING, {"first": month, "last": last})],
    )
