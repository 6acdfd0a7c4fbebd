"""The question and the answer of `/v1/focus/conformance`."""

from datetime import date
from typing import Literal

from pydantic import BaseModel, Field

from finops_api.questions import Day, Question


class ConformanceQuery(Question):
    """Over which usage days?"""

    start: Day | None = Field(None, description="First usage day; without it, the first there is.")
    end: Day | None = Field(None, description="Day after the last.")
    status: Literal["failed", "passed", "not_applicable"] = Field(
        "failed", description="Which rules to list; the score is always over all."
    )


class RuleInfo(BaseModel):
    """A rule of the specification and what came of it."""

    rule_id: str
    reference: str = Field(description="The column or attribute it is about.")
    keyword: str
    sentence: str
    is_static: bool
    status: Literal["failed", "passed", "not_applicable"]
    reason: str | None = Field(description="What failed, or why the rule does not apply.")
    corrected_because: str | None = Field(
        description="Why the check is ours: the machine-readable one is not what the sentence says."
    )
    rows_checked: int = Field(description="Rows it speaks about; of a composite, the most of any part.")
    rows_failed: int
    examples: list[str] = Field(description="Rows that break it, by the name that `x_Row` gives; or invoices.")


class ConformanceMeta(BaseModel):
    """Over what, and what it comes to."""

    focus_version: str
    first_usage_day: date | None
    last_usage_day: date | None
    data_version: int
    score_percent: str | None = Field(
        description="Static rules that hold, of those that apply, rounded down to a hundredth; null before any day."
    )
    static_passed: int
    static_failed: int
    static_not_applicable: int
    dynamic_passed: int
    dynamic_failed: int
    dynamic_not_proven: int


class Conformance(BaseModel):
    """The rules asked for, in the order of the specification."""

    items: list[RuleInfo]
    meta: ConformanceMeta
