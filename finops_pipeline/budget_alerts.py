"""Alerts of budgets: which thresholds are reached, whether those noticed before still are, and telling of them once.

A threshold that is reached stands for its month until costs are restated, or the budget is changed, so that it never
was: then it is withdrawn, and if it is reached after all, a new one is noticed. A forecast that falls again takes
nothing back: it was published.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from finops_pipeline.webhook import post
from finops_warehouse import ledger
from finops_warehouse.assignment import applied
from finops_warehouse.budgets import ASSET, BUDGETS, Budget, as_row, month_after, state_of
from finops_warehouse.cells import cells_by_day
from finops_warehouse.freshness import complete_through
from finops_warehouse.settings import Settings
from finops_warehouse.sql_models import sql_model

ALERTS = sql_model("insights", ASSET)

POSTING = 20260011
"""Held by whoever posts: two would post the same."""

NEWS_DAYS = 7
"""What was noticed longer ago is not posted any more: a webhook that is set up today is not told of last year."""

OF_A_MONTH = f"""
    {BUDGETS} where start_month <= %(month)s and (end_month is null or end_month >= %(month)s)
    order by budget_id for share
"""

NOTE = """
    with reached as ({reached}),
    withdrawn as (
        update finops.budget_alerts as noticed set withdrawn_at = now()
        where month = {month} and withdrawn_at is null and not budget_id = any({left_alone})
        and not exists (
            select from reached where (reached.budget_id, reached.kind, reached.threshold)
                = (noticed.budget_id, noticed.kind, noticed.threshold)
        )
        returning alert_id
    ),
    added as (
        insert into finops.budget_alerts
            (budget_id, month, kind, threshold, crossed_on, amount, budget_amount, source_version)
        select budget_id, {month}, kind, threshold, crossed_on, amount, budget_amount,
            (select coalesce(max(version), 0) from finops.materialisation)
        from reached
        where not exists (
            select from finops.budget_alerts as noticed
            where (noticed.budget_id, noticed.month, noticed.kind, noticed.threshold)
                = (reached.budget_id, {month}, reached.kind, reached.threshold)
            and noticed.withdrawn_at is null
        )
        returning alert_id
    )
    select (select count(*) from reached), (select count(*) from added), (select count(*) from withdrawn)
"""

NOBODY = "(null::bigint, null::numeric, null::int[], null::int[], null, null, null)"
NOTHING = "select null::bigint, null::date, null::numeric where false"

UNTOLD = """
    select alert_id, budgets.name as budget, to_char(month, 'YYYY-MM') as month, kind, threshold,
        crossed_on::text as crossed_on, trim_scale(alerts.amount)::text as amount,
        trim_scale(budget_amount)::text as budget_amount, billing_currency,
        round(alerts.amount * 100 / budget_amount, 1)::text as percent
    from finops.budget_alerts as alerts join finops.budgets using (budget_id)
    where posted_at is null and withdrawn_at is null and noticed_at > now() - make_interval(days => %s)
    order by alert_id
"""
POSTED = "update finops.budget_alerts set posted_at = now() where alert_id = %s"


@dataclass(frozen=True)
class Untold:
    """An alert as it is posted; amounts are decimal strings in `billing_currency`."""

    alert_id: int
    budget: str
    month: str
    kind: Literal["actual", "forecast"]
    threshold: int
    crossed_on: str
    amount: str
    budget_amount: str
    billing_currency: str
    percent: str

    def said(self) -> str:
        """The alert in a sentence."""
        amount = f"{Decimal(self.amount):,.2f} {self.billing_currency}"
        of = f"{self.percent} % of {Decimal(self.budget_amount):,.2f}"
        told = f"you asked to be told at {self.threshold} %."
        if self.kind == "forecast":
            forecast = f"{self.month} is forecast to come to {amount}, {of}, as of {self.crossed_on}"
            return f"Budget {self.budget}: {forecast}; {told}"
        return f"Budget {self.budget}: {amount}, {of}, was spent in {self.month} by {self.crossed_on}; {told}"


@dataclass(frozen=True)
class Watched:
    """What looking at a month's budgets found."""

    reached: int
    added: int
    withdrawn: int
    source_version: int


def watch_month(connection: psycopg.Connection, month: date, *, run_id: str) -> Watched:
    """Have the alerts of a month be those of its budgets, costs and forecasts. Done twice, nothing is written twice."""
    with connection.transaction():
        ledger.lock_partition(connection, ASSET, month.toordinal())
        complete = complete_through(connection) or month - timedelta(days=1)
        # Before anything is read: what moves meanwhile is in the alerts, or it is found behind again.
        state = state_of(connection, month, complete)
        found = connection.execute(OF_A_MONTH, {"month": month}).fetchall()
        budgets = [Budget.model_validate(budget) for (budget,) in found]
        rules = applied(connection)
        custom = set(rules.rules.semantic()) if rules else set()
        # Of a dimension that no rule makes nothing is known, neither that a threshold is reached nor that it is not.
        known = [budget for budget in budgets if custom.issuperset(budget.of_custom)]
        left_alone = [budget.budget_id for budget in budgets if budget not in known]
        statement = sql.SQL(NOTE).format(
            reached=_reached(known, month, complete), month=sql.Literal(month), left_alone=sql.Literal(left_alone)
        )
        [(reached, added, withdrawn)] = connection.execute(statement).fetchall()
        key = f"{month:%Y%m}"
        is_built = connection.execute(
            "select from finops.materialisation where asset = %s and partition_key = %s", [ASSET, key]
        ).fetchone()
        if is_built and not added and not withdrawn:
            ledger.confirmed(connection, ASSET, key, state)
        else:
            ledger.materialised(connection, ASSET, key, state, reached, run_id)
    return Watched(reached, added, withdrawn, state)


def _reached(budgets: Sequence[Budget], month: date, complete: date) -> sql.Composed:
    """The query of `budget_alerts.sql`, without parameters: in a literal a percent sign is one."""
    end = min(month_after(month), complete + timedelta(days=1))
    cells = {budget.budget_id: budget.cell(month, end) for budget in budgets} if month < end else {}
    return sql.SQL(ALERTS.as_template()).format(
        watched=sql.SQL(", ").join(as_row(budget.budget_id, budget, budget.forecast()) for budget in budgets)
        if budgets
        else sql.SQL(NOBODY),
        spending=cells_by_day(cells) if cells else sql.SQL(NOTHING),
        month=sql.Literal(month),
        complete_through=sql.Literal(complete),
    )


def tell_of_alerts(connection: psycopg.Connection, settings: Settings) -> int:
    """Post each alert that nobody was told of. Returns how many. Raises as `post` does; what is left is told later.

    Whoever is killed between a post and its note posts that one again: `alert_id` says that it is the same. None is
    lost.
    """
    if settings.alert_webhook_url is None:
        return 0
    [(alone,)] = connection.execute("select pg_try_advisory_lock(%s)", [POSTING]).fetchall()
    if not alone:
        return 0  # somebody else is telling of them
    try:
        with connection.cursor(row_factory=class_row(Untold)) as cursor:
            untold = cursor.execute(UNTOLD, [NEWS_DAYS]).fetchall()
        for alert in untold:
            post(settings, {"text": alert.said(), **vars(alert)})
            connection.execute(POSTED, [alert.alert_id])
    finally:
        connection.execute("select pg_advisory_unlock(%s)", [POSTING])
    return len(untold)
