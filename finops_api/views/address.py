"""The address of a view of the dashboard: which parameters it has, and the same question put to `/v1/costs`.

`dashboard/src/lib/view.ts` writes and reads it; a test holds the two together. What is open for the moment, the
evidence of a figure, is no part of a view.
"""

from datetime import date, timedelta
from typing import Literal, Self, get_args
from urllib.parse import parse_qsl, urlencode

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from finops_api.questions import Day
from finops_warehouse.budgets import Measure

MAX_LENGTH = 4000
MAX_PARAMETERS = 150

Group = Literal["service", "project", "sku", "region"]
COMPARED = {"month": "previous_month", "previous": "previous"}


class Address(BaseModel):
    """What an address says; whatever it leaves out is as the dashboard has it by default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    period: Literal["mtd", "7d", "30d", "90d", "lastmonth"] | None = None
    from_: Day | None = Field(None, alias="from")
    to: Day | None = None
    cmp: Literal["month", "previous", "none"] | None = None
    by: Group | None = None
    metric: Measure | None = None
    cur: str | None = Field(None, pattern=r"^[A-Z]{3}$")
    f: list[str] = Field([], max_length=100)
    view: Literal["daily", "cumulative", "table"] | None = None
    open: list[str] = Field([], max_length=50)
    show: Literal["savings"] | None = None

    @field_validator("f", "open")
    @classmethod
    def _are_members(cls, given: list[str]) -> list[str]:
        if not all(1 <= len(one) <= 520 and one.isprintable() for one in given):
            raise ValueError("a member is 1 to 500 printable characters")
        return given

    @field_validator("f")
    @classmethod
    def _are_filters(cls, given: list[str]) -> list[str]:
        for one in given:
            group, _, member = one.partition(":")
            if group not in get_args(Group) or not member:
                raise ValueError("a filter is service:, project:, sku: or region: and a member")
        return given

    @model_validator(mode="after")
    def _has_days(self) -> Self:
        if (self.from_ is None) != (self.to is None) or (self.from_ and self.to and self.from_ > self.to):
            raise ValueError("from and to are given together, from first")
        if self.to == date.max:
            raise ValueError("to has no day after it")
        return self

    def costs(self) -> str:
        """The question of `/v1/costs` that the view shows the answer of."""
        asked: list[tuple[str, str]] = []
        if self.from_ and self.to:
            asked += [("start", str(self.from_)), ("end", str(self.to + timedelta(days=1)))]
        else:
            asked.append(("window", self.period or "mtd"))
        asked += [("group_by", self.by or "service"), ("measure", self.metric or "billed_cost")]
        asked += [("billing_currency", self.cur)] if self.cur else []
        asked += [(group, member) for group, _, member in (one.partition(":") for one in self.f)]
        asked += [("compare", COMPARED[self.cmp])] if self.cmp in COMPARED else []
        return f"/v1/costs?{urlencode(asked)}"


MANY = frozenset(("f", "open"))


def read(query: str) -> tuple[Address, str]:
    """What an address says, and the address as it is kept: the same in one spelling.

    Raises `ValueError`, saying which parameter is not understood and never what it holds.
    """
    if len(query) > MAX_LENGTH:
        raise ValueError(f"an address is {MAX_LENGTH} characters at most")
    try:
        pairs = parse_qsl(
            query.removeprefix("?"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS
        )
    except ValueError:
        raise ValueError(f"an address is UTF-8, and {MAX_PARAMETERS} parameters at most") from None
    given: dict[str, str | list[str]] = {}
    for name, value in pairs:
        if name in MANY:
            given[name] = [*given.get(name, []), value]
        elif name in given:
            raise ValueError("a parameter that can be meant once is given twice")
        else:
            given[name] = value
    try:
        address = Address.model_validate(given)
    except ValidationError as refused:
        known = {field.alias or name for name, field in Address.model_fields.items()}
        wrong = {str(error["loc"][0]) if error["loc"] else "from, to" for error in refused.errors()}
        named = ", ".join(sorted(wrong & {*known, "from, to"})) or "a parameter that no view has"
        raise ValueError(f"not understood: {named}. Known are {', '.join(sorted(known))}") from None
    return address, urlencode(pairs)
