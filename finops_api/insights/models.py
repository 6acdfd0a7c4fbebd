"""The questions and answers of `/v1/anomalies`, `/v1/forecasts`, `/v1/recommendations` and `/v1/insights`."""

from datetime import date, datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from finops_api.costs.models import MAX_DAYS
from finops_api.questions import Day, Member, Question
from finops_insights.facts import Fact
from finops_warehouse.conditions import MAX_VALUES

Decimal = str
"""An exact decimal number, written out."""
Severity = Literal["high", "medium", "low"]
Direction = Literal["up", "down"]
Scope = Literal["total", "billing_account", "project", "service"]


class Narrowed(Question):
    """What every list here can be narrowed to."""

    billing_currency: list[Member] = Field([], max_length=MAX_VALUES, description="Only these currencies.")
    project: list[Member] = Field([], max_length=MAX_VALUES, description="Id or name.")
    service: list[Member] = Field([], max_length=MAX_VALUES, description="Id or name.")


class Windowed(Narrowed):
    """The same, between two days."""

    start: Day | None = Field(None, description="First day. Left out: 90 days before the end.")
    end: Day | None = Field(None, description="Day after the last. Left out: the day after the last complete one.")

    @model_validator(mode="after")
    def _days_lie_between(self) -> Self:
        if self.start and self.end and not 0 < (self.end - self.start).days <= MAX_DAYS:
            raise ValueError(f"end is not included and at most {MAX_DAYS} days after start; give an end after start")
        return self


class AnomalyQuery(Windowed):
    """Which anomalies?"""

    include_explained: bool = Field(
        default=False, description="Also an account's anomalies that services in its projects explain."
    )


class Cause(BaseModel):
    """The member that explains most of a change, of the slice named by the causes before it."""

    dimension: str
    member: str
    name: str
    share_percent: Decimal = Field(description="Its part of the whole change.")


class AnomalyInfo(BaseModel):
    """An event: neighbouring days that cost more, or less, than the past explains."""

    anomaly_id: str
    start_day: date
    last_day: date
    days: int
    peak_day: date
    scope: Literal["billing_account", "project_service"]
    billing_account_id: str
    billing_currency: str
    project: str | None
    project_name: str | None
    service: str | None
    service_name: str | None
    direction: Direction
    severity: Severity
    actual_cost: Decimal = Field(description="Of the event's days; usage and commitments, without taxes.")
    expected_cost: Decimal
    excess_cost: Decimal
    causes: list[Cause]
    explained_by: list[str] = Field(description="Anomalies of services in projects that make up this one.")
    insight_id: str | None = Field(description="The explanation in `/v1/insights`.")


class Thresholds(BaseModel):
    """When a day counts as an anomaly."""

    sensitivity: Decimal = Field(description="Times its usual deviation.")
    min_amount: Decimal = Field(description="In the billing currency.")
    min_percent_of_account: Decimal = Field(description="Of what the account costs in a day.")
    min_percent: Decimal = Field(description="Of what was expected.")


class AnomalyMeta(BaseModel):
    """What was looked at."""

    start: date
    end: date
    complete_through: date
    data_version: int
    thresholds: Thresholds


class AnomalyPage(BaseModel):
    """Anomalies, the latest first."""

    items: list[AnomalyInfo]
    meta: AnomalyMeta


class ForecastQuery(Question):
    """Which forecasts?"""

    as_of: Day | None = Field(None, description="As it looked at the end of this day. Left out: the newest.")
    scope: Scope = "total"
    member: list[Member] = Field([], max_length=MAX_VALUES, description="Ids; left out: all of the scope.")
    billing_currency: list[Member] = Field([], max_length=MAX_VALUES)


class Bounds(BaseModel):
    """A sum that lies ahead, with its intervals."""

    start: date
    end: date = Field(description="Not included.")
    actual_to_date: Decimal = Field(description="The part of it that is billed already.")
    expected_cost: Decimal
    low_80: Decimal
    high_80: Decimal
    low_95: Decimal
    high_95: Decimal


class ForecastDay(BaseModel):
    """A day that lies ahead."""

    usage_day: date
    expected_cost: Decimal
    low_80: Decimal
    high_80: Decimal
    low_95: Decimal
    high_95: Decimal


class ForecastInfo(BaseModel):
    """What something will cost."""

    as_of_day: date
    scope: Scope
    member: str
    member_name: str | None
    billing_currency: str
    model: str
    status: Literal["ok", "low_history"]
    history_days: int
    month_end: Bounds
    next_30_days: Bounds
    days: list[ForecastDay]


class ForecastMeta(BaseModel):
    """What was known."""

    as_of_day: date | None
    data_version: int
    why_none: str | None = Field(description="Why there is no forecast, where there is none.")


class ForecastPage(BaseModel):
    """Forecasts, the largest first."""

    items: list[ForecastInfo]
    meta: ForecastMeta


class AccuracyInfo(BaseModel):
    """How good the forecasts have been."""

    scope: Scope
    billing_currency: str
    horizon_days: str
    points: int
    wape: Decimal | None = Field(description="Sum of absolute errors by sum of costs.")
    floor_wape: Decimal | None = Field(description="The same for the same weekday again: what has to be beaten.")
    bias: Decimal | None = Field(description="Sum of errors by sum of costs; positive when forecasts were too high.")
    coverage_80: Decimal = Field(description="Part of the days inside their 80 % interval.")
    coverage_95: Decimal


class AccuracyMeta(BaseModel):
    """Which forecasts were judged."""

    first_as_of_day: date | None
    last_as_of_day: date | None
    data_version: int


class AccuracyPage(BaseModel):
    """The rolling back-test over the last 60 as-of days."""

    items: list[AccuracyInfo]
    meta: AccuracyMeta


class RecommendationInfo(BaseModel):
    """Something to do, and what it may save in a month."""

    recommendation_id: str
    rule_id: str
    title: str
    billing_account_id: str
    billing_currency: str
    project: str | None
    project_name: str | None
    service: str | None
    service_name: str | None
    sku_name: str | None
    region: str | None
    monthly_saving_low: Decimal
    monthly_saving_mid: Decimal
    monthly_saving_high: Decimal
    confidence: Literal["high", "medium", "low"]
    assumption: str
    exclusive_group: str
    counted: bool = Field(description="Whether it is in the totals: of what excludes each other, the largest is.")
    first_seen: date
    status: str
    evidence: list[Fact]


class SavingTotal(BaseModel):
    """What all counted recommendations of a currency add up to."""

    billing_currency: str
    monthly_saving_low: Decimal
    monthly_saving_mid: Decimal
    monthly_saving_high: Decimal
    count: int


class RecommendationMeta(BaseModel):
    """What was looked at."""

    as_of_day: date | None
    data_version: int
    totals: list[SavingTotal]


class RecommendationPage(BaseModel):
    """Recommendations, the most certain money first."""

    items: list[RecommendationInfo]
    meta: RecommendationMeta


class InsightQuery(Windowed):
    """Which insights?"""

    period: Literal["day", "month"] | None = None
    subject: Literal["spend_summary", "anomaly"] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class Text(BaseModel):
    """The parts of an insight's text."""

    headline: str
    body: str
    check: str | None = None


class InsightInfo(BaseModel):
    """A text whose every figure is a fact: `template` refers to `facts` by id, `text` has them filled in."""

    insight_id: str
    subject: Literal["spend_summary", "anomaly"]
    subject_id: str
    period: Literal["day", "month"]
    period_start: date
    billing_currency: str
    project: str | None
    service: str | None
    severity: Severity | None
    template: Text
    facts: dict[str, Fact]
    text: Text
    engine: str = Field(description="`rules`, or provider and model.")
    fallback_reason: str | None
    prompt_version: str
    figures_verified: int = Field(description="Figures that were computed again for this answer.")
    verified_at: datetime
    data_through: date
    run_id: str
    materialised_at: datetime


class InsightMeta(BaseModel):
    """What was looked at."""

    start: date
    end: date
    complete_through: date
    data_version: int
    withheld: int = Field(description="Insights whose figures have moved since and that are being written anew.")


class InsightPage(BaseModel):
    """Insights, the latest first."""

    items: list[InsightInfo]
    meta: InsightMeta
