"""The questions and answers of `/v1/coverage` and `/v1/allocations`."""

from datetime import date
from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

from finops_api.costs.models import CostQuery, ResolvedQuery, Window
from finops_api.questions import Day, Member, Question
from finops_warehouse.conditions import MAX_VALUES, CustomName


class CoverageQuery(Question):
    """How much of the cost of these days has an owner in this dimension?"""

    dimension: CustomName = Field(description="A custom dimension: `/v1/dimensions` lists them.")
    start: Day | None = Field(None, description="First usage day.")
    end: Day | None = Field(None, description="Day after the last: `end` is not included.")
    window: Window | None = Field(None, description="Instead of start and end, as in `/v1/costs`.")
    billing_account: list[Member] = Field([], max_length=MAX_VALUES)
    billing_currency: list[Member] = Field([], max_length=MAX_VALUES)

    @model_validator(mode="after")
    def _names_its_days(self) -> Self:
        self._costs()
        return self

    def resolved(self, complete_through: date) -> ResolvedQuery:
        """The question with its days settled, as those of `/v1/costs` are. Raises as they do."""
        return self._costs().resolved(complete_through)

    def _costs(self) -> CostQuery:
        return CostQuery(
            start=self.start,
            end=self.end,
            window=self.window,
            billing_account=self.billing_account,
            billing_currency=self.billing_currency,
        )


class AllocationQuery(CoverageQuery):
    """What does each member of this dimension carry, once shared costs are split?"""

    granularity: Literal["daily", "total"] = Field("total", description="A row a usage day, or one for the window.")
    member: list[Member] = Field([], max_length=MAX_VALUES, description="Only these members.")


class AllocationMeta(BaseModel):
    """How far an answer can be trusted."""

    dimension: str
    start: date
    end: date
    rules_version: int = Field(description="Version of the rules of custom dimensions and shared costs.")
    data_version: int = Field(description="Rises whenever any day of the table it is read from is rebuilt.")
    complete_through: date
    counted_through: date | None = Field(description="Last usage day in totals; None when there is none.")
    missing_days: list[date] = Field(description="Days of the window that are not built. They are not zeroes.")
    behind_days: list[date] = Field(description="Days whose charges or rules moved since they were built.")


class Covered(BaseModel):
    """Of the billed cost, what has an owner. The share is that of the two amounts, never a mean of days."""

    billing_currency: str
    owned_cost: str = Field(description="Billed cost of members other than the default one.")
    billed_cost: str
    share: str | None = Field(description="owned_cost / billed_cost, six decimals; null where nothing was billed.")


class CoveredDay(Covered):
    """The same of one usage day."""

    usage_day: date
    estimated: bool


class Coverage(BaseModel):
    """Coverage of the window by currency, and its days."""

    totals: list[Covered]
    items: list[CoveredDay]
    meta: AllocationMeta


class Moved(BaseModel):
    """What a shared cost took from a member (negative) or gave to it."""

    shared_cost: str
    amount: str


class Allocated(BaseModel):
    """What a member carries."""

    usage_day: date | None = Field(description="With granularity daily.")
    billing_currency: str
    member: str
    direct_cost: str = Field(description="What its own charges cost, those that are shared included.")
    moved_cost: str = Field(description="What shared costs took from it and gave to it, together.")
    billed_cost: str = Field(description="direct_cost + moved_cost: what it carries.")
    moved: list[Moved]


class AllocatedTotal(BaseModel):
    """A currency: moving costs between members changes nothing here."""

    billing_currency: str
    direct_cost: str
    moved_cost: str = Field(description="0 over all members.")
    billed_cost: str


class Allocations(BaseModel):
    """Members by currency, the largest first, over the days up to `counted_through`."""

    items: list[Allocated]
    totals: list[AllocatedTotal]
    meta: AllocationMeta
