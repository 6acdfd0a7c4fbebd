"""The question and the answer of `/v1/restatements`."""

from datetime import date, datetime
from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

from finops_api.questions import Day, Member, Moment, Question
from finops_warehouse.conditions import MAX_VALUES

Cause = Literal["late usage", "correction", "re-export", "rule change"]


class RestatementQuery(Question):
    """Which restatements? All of them, newest first, if nothing is said."""

    start: Day | None = Field(None, description="First usage day.")
    end: Day | None = Field(None, description="Day after the last usage day.")
    since: Moment | None = Field(None, description="Only those made after this moment.")
    billing_account: list[Member] = Field([], max_length=MAX_VALUES)
    cause: list[Cause] = Field([], description="Only these causes.")
    before: int | None = Field(None, ge=1, le=2**63 - 1, description="The `next` of the page before.")
    limit: int = Field(100, ge=1, le=1000)

    @model_validator(mode="after")
    def _has_days(self) -> Self:
        if self.start and self.end and self.start >= self.end:
            raise ValueError(f"no day lies from {self.start} to {self.end}: end is not included")
        return self


class RestatementInfo(BaseModel):
    """A usage day of an account whose served figures moved. Equal totals: cost moved between projects or teams."""

    restatement_id: int
    usage_day: date
    billing_account_id: str
    billing_currency: str
    billed_cost_before: str
    billed_cost_after: str
    billed_cost_change: str
    cause: Cause
    export_days: list[date] = Field(description="The export days whose charges moved it.")
    restated_at: datetime = Field(
        description="The new figures are served from here on; `as_of` before it shows the old."
    )
    run_id: str | None


class RestatementMeta(BaseModel):
    """What there is beyond this page."""

    next: int | None = Field(description="Give it as `before` for the next page; null on the last one.")


class Restatements(BaseModel):
    """Restatements, newest first."""

    items: list[RestatementInfo]
    meta: RestatementMeta
