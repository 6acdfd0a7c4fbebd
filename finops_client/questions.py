"""What can be asked, in the API's own words: `/docs` of an API explains each of them.

A tuple or list is several members; one text is one. Days are `date`s or `2026-11-01`; moments know their time zone.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Literal, TypeAlias, TypedDict

Granularity = Literal["daily", "weekly", "monthly", "invoice_month", "total"]
Window = Literal["7d", "14d", "30d", "90d", "180d", "365d", "mtd", "ytd", "lastmonth"]
Compare = Literal["previous", "previous_month", "period"]
TimeBasis = Literal["usage_day", "invoice_month"]
Operator = Literal["in", "contains", "starts_with"]
Several = str | Sequence[str]
Filters = Mapping[str, Several]
"""Members by dimension, by id or name: of one dimension any of them, of several dimensions all of them."""

BUILT_IN = (
    "billing_account", "invoice_month", "project", "service", "sku", "region", "charge_category", "cost_type",
)  # fmt: skip
"""The dimensions that have a parameter of their own. Every other one is custom, made by the deployment's rules."""


class Is(TypedDict):
    """The member of a dimension is one of these, or its id or name contains or begins with one of them."""

    dimension: str
    operator: Operator
    values: Sequence[str]


And = TypedDict("And", {"and": Sequence["Condition"]})
Or = TypedDict("Or", {"or": Sequence["Condition"]})
Not = TypedDict("Not", {"not": "Condition"})
Condition: TypeAlias = Is | And | Or | Not
"""A condition on charges, combined in any way."""


class CostQuestion(TypedDict, total=False):
    """What was it, by these dimensions? `start` and `end`, or `window`; the rest may be left out."""

    start: date | str
    """First usage day."""
    end: date | str
    """Day after the last: `end` is not included."""
    window: Window
    """Instead of both: the last complete days, month or year to date, or last month."""
    time_basis: TimeBasis
    """What start and end are days of. With `invoice_month`, late charges count in the month they are billed in."""
    granularity: Granularity
    """A row a day, a week, a month, an invoice month, or one. Daily if left out."""
    group_by: Several
    """Up to three dimensions."""
    measure: Several
    """What to add up. Billed cost if left out."""
    compare: Compare
    """Also what it was before, and by how much it changed."""
    compare_start: date | str
    """With compare=period: the first day of the other period."""
    top: int
    """So many members of the one dimension grouped by; the rest is one member, `(other)`."""
    include_unfinished: bool
    """Count days whose charges are still arriving in totals, too."""
    billing_currency: Several
    """Only these currencies."""
    as_of: datetime | str
    """As at this moment: what a reader was served then."""
    filters: Filters
    where: Condition
    """Conditions combined by `and`, `or` and `not`; the filters hold beside it."""


class EvidenceQuestion(TypedDict, total=False):
    """Which number? A cell in the words of a cost question, or a figure of an insight, anomaly or recommendation."""

    start: date | str
    end: date | str
    window: Window
    granularity: Literal["daily", "monthly", "total"]
    """That of the answer the cell is in; without it a cell is named by its days and filters alone."""
    billing_currency: str
    measure: str
    group_by: Several
    top: int
    ranked_by: str
    include_unfinished: bool
    period: str
    """The cell's usage day or month."""
    member: Several
    """The cell's member of each dimension in `group_by`, in its order."""
    filters: Filters
    where: Condition
    """The conditions of the cost question."""
    insight_id: str
    anomaly_id: str
    recommendation_id: str
    fact_id: str
    limit: int
    """Rows of a page, 200 at most."""
    offset: int


def check_names(given: Mapping[str, object], question: type) -> None:
    """Raises `TypeError` for a parameter that the question has not."""
    known = question.__annotations__
    for name in given:
        if name not in known:
            raise TypeError(f"there is no parameter {name}; there are: {', '.join(known)}")


def as_body(question: Mapping[str, object], one: Sequence[str] = ()) -> dict[str, object]:
    """A question as JSON: filters under the names of their parameters, days and moments as texts.

    `one`: parameters that this question takes once, and others as often as somebody likes.
    """
    body: dict[str, object] = {}
    custom: list[str] = []
    for name, value in question.items():
        if name == "filters":
            assert isinstance(value, Mapping)
            for dimension, members in value.items():
                if dimension in BUILT_IN:
                    body[dimension] = _several(members)
                else:
                    custom += [f"{dimension}:{member}" for member in _several(members)]
        elif value is not None:
            body[name] = _several(value) if name in _SEVERAL and name not in one else _plain(name, value)
    return body | ({"custom": custom} if custom else {})


def as_parameters(question: Mapping[str, object]) -> list[tuple[str, str]]:
    """A question as the parameters of an address; what can be meant several times is there several times."""
    return [
        (name, str(one).lower() if isinstance(one, bool) else str(one))
        for name, value in as_body(question).items()
        for one in (value if isinstance(value, list) else [value])
    ]


_SEVERAL = frozenset((*BUILT_IN, "group_by", "measure", "billing_currency", "member", "cause"))


def _several(given: object) -> list[object]:
    return [given] if isinstance(given, str) else list(given)  # type: ignore[call-overload]


def _plain(name: str, value: object) -> object:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{name} is a moment without a time zone; give it one: {value.isoformat()}+00:00 is UTC")
        return value.isoformat()
    return value.isoformat() if isinstance(value, date) else value
