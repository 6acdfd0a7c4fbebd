"""The questions of `/v1/exports`."""

from pydantic import Field, field_validator

from finops_api.costs.models import CostQuery
from finops_api.questions import Question

FORMULA_SAFE = (
    "In CSV, put an apostrophe before text that begins with `=`, `+`, `-`, `@`, a tab or a carriage return: anybody "
    "may name a project, and a spreadsheet would run it as a formula. Numbers are never touched."
)


class CostExportQuery(CostQuery):
    """The question of `/v1/costs`, answered with every row."""

    formula_safe: bool = Field(default=True, description=FORMULA_SAFE)


class FocusExportQuery(Question):
    """The charges of which invoice?"""

    month: str = Field(
        pattern=r"^\d{4}-?(0[1-9]|1[0-2])$", description="Month of the invoice the charges are on: 202610 or 2026-10."
    )
    formula_safe: bool = Field(default=True, description=FORMULA_SAFE)

    @field_validator("month")
    @classmethod
    def _as_google_writes_it(cls, month: str) -> str:
        return month.replace("-", "")
