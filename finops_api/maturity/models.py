"""The answers of `/v1/maturity` and `/v1/nowcast`."""

from datetime import date

from pydantic import BaseModel, Field

from finops_api.questions import Member, Question
from finops_warehouse.conditions import MAX_VALUES


class MaturityQuery(Question):
    """Whose curves?"""

    billing_account: list[Member] = Field([], max_length=MAX_VALUES)
    service: list[Member] = Field([], max_length=MAX_VALUES, description="Service name; `(all)` is the whole account.")


class Point(BaseModel):
    """A point of a curve."""

    age_hours: int = Field(description="Hours since the end of the usage day.")
    known_share: str = Field(description="Median share of the final cost that is known by then.")
    known_share_low: str = Field(description="19 of 20 days had more.")
    known_share_high: str = Field(description="19 of 20 days had less.")


class Curve(BaseModel):
    """How the cost of a service's usage days becomes final."""

    billing_account_id: str
    billing_currency: str
    service_name: str
    days_learned_from: int
    points: list[Point]


class AccountInfo(BaseModel):
    """From when an account's usage days count as complete."""

    billing_account_id: str
    complete_through: date
    after_days: int = Field(description="Export days after the usage day that have to be loaded.")
    days_learned_from: int = Field(description="0 where it is set by COMPLETE_AFTER_DAYS, or assumed.")
    known_share: str = Field(description="Share of the final cost that nine of ten past days had by then.")


class MaturityMeta(BaseModel):
    """When it was learned."""

    as_of_day: date | None


class Maturity(BaseModel):
    """Curves by account and service, and what follows from them for each account."""

    items: list[Curve]
    accounts: list[AccountInfo]
    meta: MaturityMeta


class NowcastQuery(Question):
    """Of which account, and by service?"""

    billing_account: list[Member] = Field([], max_length=MAX_VALUES)
    by_service: bool = Field(default=False, description="A row a service instead of one an account.")


class NowcastInfo(BaseModel):
    """An unfinished usage day: what is known of it, and what it is expected to come to. No total holds either."""

    usage_day: date
    billing_account_id: str
    billing_currency: str
    service_name: str = Field(description="`(all)` is the whole account.")
    age_hours: int = Field(description="Hours from the end of the day to the newest charge that is loaded.")
    known_cost: str = Field(description="Billed cost of its usage and purchases so far.")
    known_share: str | None
    expected_cost: str | None = Field(description="Null when too little is known to say it.")
    low: str | None = Field(description="Nine of ten such days ended between low and high.")
    high: str | None
    days_learned_from: int


class NowcastMeta(BaseModel):
    """How far totals go."""

    complete_through: date


class Nowcasts(BaseModel):
    """Unfinished days, oldest first."""

    items: list[NowcastInfo]
    meta: NowcastMeta
