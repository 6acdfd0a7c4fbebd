"""Facts: the only figures a text may show, each with the place it comes from.

A fact is made by SQL or by arithmetic on other facts, never by a model. It knows how to be computed again, so a
reader can open it, and a checker can refuse a text whose facts no longer hold.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Literal, assert_never

from pydantic import BaseModel, ConfigDict, Field

from finops_warehouse.algebra import Term, check_difference, check_sum
from finops_warehouse.cells import Cell
from finops_warehouse.semantic import MEASURES

Direction = Literal["up", "down"]
Unit = Literal["currency", "percent", "count", "days", "day", "month", "name"]
Operation = Literal["difference", "sum", "ratio_percent", "change_percent", "mean_per_day"]

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
MINUS = "\N{MINUS SIGN}"


class _Source(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FromCell(_Source):
    """The sum of a served cell."""

    kind: Literal["cell"] = "cell"
    cell: Cell


class Derived(_Source):
    """Arithmetic on other facts of the same set, in the order given."""

    kind: Literal["derived"] = "derived"
    operation: Operation
    of: tuple[str, ...]


class Stored(_Source):
    """One column of one row of a table of ours; the sum of it where the key names several rows.

    `*` as the column is how many rows there are; a slash leads into JSON: `causes/0/share_percent`.
    """

    kind: Literal["stored"] = "stored"
    table: str
    key: Mapping[str, str]
    column: str


class Given(_Source):
    """A name or a day: part of the question, no figure."""

    kind: Literal["given"] = "given"


Source = Annotated[FromCell | Derived | Stored | Given, Field(discriminator="kind")]


class Fact(BaseModel):
    """One figure, name or day that a text may refer to by its id."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^f_[a-z0-9_]+$")
    label: str
    value: Decimal | None
    """None for names and days."""
    unit: Unit
    currency: str | None = None
    formatted: str
    direction: Direction | None = None
    """Which way a change goes; words that say otherwise are refused."""
    source: Source


Recall = Callable[[FromCell | Stored], Decimal | None]
"""Reads the value of a cell or of a stored column as it is now; None where it is gone."""


def recomputed(facts: Mapping[str, Fact], recall: Recall) -> dict[str, Decimal | None]:
    """The value of every fact that has one, computed again from its source.

    Raises `NotAddable` for a sum or difference of facts that is no amount of anything.
    """
    found: dict[str, Decimal | None] = {}

    def value_of(fact: Fact) -> Decimal | None:
        if fact.id not in found:
            match fact.source:
                case FromCell() | Stored() as source:
                    found[fact.id] = recall(source)
                case Derived(operation=operation, of=of):
                    check_arithmetic(operation, [facts[name] for name in of], facts)
                    parts = [value_of(facts[name]) for name in of]
                    known = [part for part in parts if part is not None]
                    found[fact.id] = derive(operation, known) if len(known) == len(parts) else None
                case Given():
                    found[fact.id] = fact.value
                case unknown:
                    assert_never(unknown)
        return found[fact.id]

    for fact in facts.values():
        value_of(fact)
    return found


def check_arithmetic(operation: Operation, parts: Sequence[Fact], facts: Mapping[str, Fact]) -> None:
    """Raises `NotAddable` for a sum or difference of facts that is no amount of anything."""
    if operation == "sum":
        check_sum([_term(fact, facts) for fact in parts])
    if operation == "difference":
        check_difference([_term(fact, facts) for fact in parts])


def _term(fact: Fact, facts: Mapping[str, Fact]) -> Term:
    """What the algebra has to know of a fact; a sum is of the measure its parts are of."""
    match fact.source:
        case FromCell(cell=cell):
            unit = "currency" if MEASURES[cell.measure].unit == "currency" else "count"
            return Term(
                fact.label,
                unit,
                cell.billing_currency if unit == "currency" else None,
                cell.measure,
                days=(cell.start, cell.end),
                members=cell.members,
            )
        case Derived(operation="sum" | "difference", of=of):
            measures = {_term(facts[name], facts).measure for name in of}
            measure = measures.pop() if len(measures) == 1 else None
            return Term(fact.label, fact.unit, fact.currency, measure)
        case Derived():
            return Term(fact.label, fact.unit, fact.currency, is_ratio=True)
        case Stored() | Given():
            return Term(fact.label, fact.unit, fact.currency, is_ratio=fact.unit == "percent")


def stale(facts: Mapping[str, Fact], recall: Recall) -> list[str]:
    """The ids of the facts whose value is no longer what their source says."""
    now = recomputed(facts, recall)
    return [fact.id for fact in facts.values() if now[fact.id] != fact.value]


def derive(operation: Operation, parts: list[Decimal]) -> Decimal | None:
    """Exact arithmetic on the parts; None where it has no answer, as a change from nothing has none.

    Percentages have two decimals, means the precision of a Decimal division.
    """
    match operation:
        case "difference":
            return parts[0] - sum(parts[1:], Decimal(0))
        case "sum":
            return sum(parts, Decimal(0))
        case "ratio_percent":
            return _percent(parts[0], parts[1])
        case "change_percent":
            return _percent(parts[0] - parts[1], abs(parts[1]))
        case "mean_per_day":
            return parts[0] / parts[1] if parts[1] else None


def _percent(part: Decimal, whole: Decimal) -> Decimal | None:
    return (part / whole * 100).quantize(Decimal("0.01"), ROUND_HALF_UP) if whole else None


def money(value: Decimal, currency: str, *, cents: bool = False) -> str:
    """An amount as a reader sees it: whole units in text, with cents on request."""
    rounded = abs(value).quantize(Decimal("0.01") if cents else Decimal(1), ROUND_HALF_UP)
    if rounded < 10 and not cents:
        rounded = abs(value).quantize(Decimal("0.01"), ROUND_HALF_UP)  # $0 would say that nothing was spent
    sign = MINUS if value < 0 and rounded else ""
    symbol = SYMBOLS.get(currency, f"{currency} ")
    return f"{sign}{symbol}{rounded:,f}"


def percent(value: Decimal) -> str:
    """A percentage with one decimal below ten and none above."""
    shown = abs(value).quantize(Decimal("0.1") if abs(value) < 10 else Decimal(1), ROUND_HALF_UP)
    return f"{MINUS if value < 0 and shown else ''}{shown:,f}%"


def day(value: date) -> str:
    """A usage day, without its year: `16 November`."""
    return f"{value.day} {MONTHS[value.month - 1]}"


def month(value: date) -> str:
    """A month with its year: `November 2026`."""
    return f"{MONTHS[value.month - 1]} {value.year}"
