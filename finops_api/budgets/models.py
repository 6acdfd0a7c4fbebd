"""The questions and answers of `/v1/budgets`."""

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field

from finops_api.questions import Member, Question
from finops_warehouse.budgets import Budget, Month
from finops_warehouse.conditions import MAX_VALUES


class MonthQuery(Question):
    """Of which month?"""

    month: Month | None = Field(None, description="A calendar month of usage. Left out: that of the last complete day.")


class BudgetQuery(MonthQuery):
    """Which budgets? All of them, if nothing is said."""

    billing_currency: list[Member] = Field([], max_length=MAX_VALUES, description="Only these currencies.")


class BudgetForecast(BaseModel):
    """What the month will come to; amounts are decimal strings in the budget's `billing_currency`."""

    expected: str
    expected_percent: str = Field(description="Of the budget.")
    low_80: str
    high_80: str
    low_95: str
    high_95: str
    as_of_day: date
    source: Literal["cost_forecasts"] = "cost_forecasts"
    scope: str = Field(description="With `member`: which of `/v1/forecasts` it is.")
    member: str
    model: str
    confidence: str = Field(description="The forecast's own `status`: `low_history` is of few days.")


class BudgetStatus(BaseModel):
    """How much of a budget is spent; amounts are decimal strings in its `billing_currency`."""

    spent: str = Field(description="On the days up to `meta.counted_through`, to the last digit what `/v1/costs` says.")
    spent_percent: str = Field(description="Of the budget, with two decimals.")
    remaining: str = Field(description="Negative once it is over.")
    state: Literal["ok", "warning", "over"] = Field(
        description="`over`: more is spent than may be. `warning`: a threshold is reached, by what is spent or by the "
        "forecast."
    )
    forecast: BudgetForecast | None
    why_no_forecast: str | None


class BudgetAlert(BaseModel):
    """A threshold that was reached."""

    alert_id: int
    kind: Literal["actual", "forecast"]
    threshold: int = Field(description="Percent of the budget.")
    crossed_on: date = Field(description="First usage day with which so much was spent, or whose forecast said so.")
    amount: str = Field(description="What was spent by then, or forecast then.")
    budget_amount: str = Field(description="The budget as it was.")
    source_version: int = Field(description="The newest build it was noticed in.")
    noticed_at: datetime
    posted_at: datetime | None = Field(description="When ALERT_WEBHOOK_URL took it.")
    withdrawn_at: datetime | None = Field(
        description="When it was found not to hold any more: costs were restated, or the budget was changed."
    )


class BudgetInfo(Budget):
    """A budget and its month."""

    status: BudgetStatus | None
    why_no_status: str | None
    alerts: list[BudgetAlert] = Field(description="Of the month, the newest first; those that were withdrawn as well.")


class BudgetMeta(BaseModel):
    """Which days are counted."""

    month: Month | None = Field(description="None before any day is complete.")
    complete_through: date | None = Field(description="Last usage day whose charges have all had time to arrive.")
    counted_through: date | None = Field(description="Last day of the month that is counted; None when there is none.")
    elapsed_percent: str | None = Field(description="The days counted of those of the month: an even pace.")
    missing_days: list[date] = Field(description="Days among those counted that are not built. They are not zeroes.")


class BudgetPage(BaseModel):
    """Budgets, in the order of their names."""

    items: list[BudgetInfo]
    meta: BudgetMeta
