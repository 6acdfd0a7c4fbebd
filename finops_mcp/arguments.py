"""What each tool takes. The names and words are those of the API, which judges whether a question makes sense."""

from datetime import date
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from finops_client.questions import Compare, Granularity, TimeBasis, Window

Filters = dict[str, list[str]]


class Arguments(BaseModel):
    """Of a tool. An argument that it has not is refused: one that is ignored would answer another question."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Nothing(Arguments):
    """No argument."""


class Costs(Arguments):
    """A cost question. Give `start` and `end`, or `window`."""

    start: date | None = None
    """First usage day."""
    end: date | None = None
    """Day after the last: `end` is not included."""
    window: Window | None = None
    """Instead of start and end: the last complete days, month or year to date, or last month."""
    granularity: Granularity = "total"
    """A row a day, a week, a month, an invoice month, or one for the whole window."""
    group_by: list[str] = Field([], max_length=3)
    """Up to three dimensions; list_dimensions tells which there are."""
    filters: Filters = {}
    """Members by dimension, ids or names: {"project": ["shop"], "team": ["search"]}."""
    where: dict[str, JsonValue] | None = None
    """A condition: {"dimension": …, "operator": "in" | "contains" | "starts_with", "values": […]}, combined by
    {"and": […]}, {"or": […]} and {"not": …}."""
    measure: list[str] = ["billed_cost"]
    """What to add up; list_dimensions tells which measures there are."""
    compare: Compare | None = None
    """Also what it was in the days just before, or on the same days of the month before."""
    compare_start: date | None = None
    """With compare=period: the first day of the other period."""
    top: int | None = Field(None, ge=1, le=50)
    """Keep so many members of the one dimension grouped by; the rest is one member, "(other)"."""
    billing_currency: list[str] = []
    """Only these currencies."""
    time_basis: TimeBasis = "usage_day"
    """Whether days are those of usage, or of the invoices the charges are on."""
    include_unfinished: bool = False
    """Count days whose charges are still arriving in totals, too."""
    as_of: AwareDatetime | None = None
    """As at this moment, with its time zone: the figures a reader was served then."""
    max_rows: int = Field(50, ge=1, le=500)
    """Rows to show. Totals are of all rows, and the answer says how many were left out."""


class Evidence(Arguments):
    """A figure: take these arguments from the `evidence` beside it, unchanged."""

    start: date | None = None
    end: date | None = None
    granularity: Literal["daily", "monthly", "total"] | None = None
    billing_currency: str | None = None
    measure: str | None = None
    filters: Filters = {}
    where: dict[str, JsonValue] | None = None
    group_by: list[str] = []
    member: list[str] = []
    period: str | None = None
    top: int | None = None
    ranked_by: str | None = None
    include_unfinished: bool | None = None
    insight_id: str | None = None
    anomaly_id: str | None = None
    recommendation_id: str | None = None
    fact_id: str | None = None
    limit: int = Field(20, ge=1, le=200)
    """Charges to show, the largest first."""
    offset: int = Field(0, ge=0)
    """Charges to pass over, to show the next ones."""


class Members(Arguments):
    """Of which dimension?"""

    dimension: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    search: str = ""
    """Part of an id or name."""
    limit: int = Field(50, ge=1, le=500)


class Listed(Arguments):
    """What lists have in common."""

    max_items: int = Field(20, ge=1, le=100)
    """Items to show; the answer says how many were left out."""


class Narrowed(Listed):
    """What most lists can be narrowed to."""

    billing_currency: list[str] = []
    project: list[str] = []
    """Ids or names."""
    service: list[str] = []
    """Ids or names."""


class Anomalies(Narrowed):
    """Of which days?"""

    start: date | None = None
    """First day; 90 days before the end, if left out."""
    end: date | None = None
    """Day after the last."""
    include_explained: bool = False
    """Also an account's anomalies that services in its projects explain."""


class Forecasts(Listed):
    """Of what?"""

    scope: Literal["total", "billing_account", "project", "service"] = "total"
    member: list[str] = []
    """Ids; all of the scope, if left out."""
    as_of: date | None = None
    """As it looked at the end of this day."""
    billing_currency: list[str] = []
    with_days: bool = False
    """Also each of the 30 days ahead."""


class Insights(Narrowed):
    """Which texts?"""

    start: date | None = None
    end: date | None = None
    period: Literal["day", "month"] | None = None
    subject: Literal["spend_summary", "anomaly"] | None = None
    max_items: int = Field(5, ge=1, le=50)


class Budgets(Listed):
    """Of which month?"""

    month: str | None = None
    """A calendar month, 2026-11; that of the last complete day, if left out."""
    billing_currency: list[str] = []


class Restatements(Listed):
    """Of which usage days?"""

    start: date | None = None
    end: date | None = None
    since: AwareDatetime | None = None
    """Only those made after this moment."""
    billing_account: list[str] = []


class InvoiceMonths(Listed):
    """Which invoices?"""

    invoice_month: list[str] = []
    """As 202611."""
    billing_account: list[str] = []
