"""What may be added to what, and over what. A sum that would be no amount of anything is refused, with the reason.

Amounts add up when they are of one unit and currency, of one cost, and of charges that are not the same ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import combinations

from finops_warehouse.semantic import COST_BASES, MEASURES, SHARES

GROSS = ("cost", "contracted_cost", "list_cost")
"""Costs before credits: there a commitment's fee and the usage it pays for are both counted in full."""

PAID_BY_A_FEE = ("effective_cost", "contracted_cost", "list_cost", "cost")
"""Costs of usage in which what a commitment pays for is counted."""


class NotAddable(ValueError):
    """A sum that would be no amount of anything. The message says why, and what can be asked instead."""


@dataclass(frozen=True)
class Term:
    """A part of a sum or difference."""

    label: str
    unit: str
    """`currency`, `count`, `percent`, …"""
    currency: str | None = None
    measure: str | None = None
    """None where it is no measure of charges: a forecast, an expectation."""
    is_ratio: bool = False
    """Shares, changes in percent, means and prices: quotients, whose sum is no quotient of anything."""
    days: tuple[date, date] | None = None
    """Of the charges behind it: first usage day, and the day after the last."""
    members: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Of the charges behind it: the members by dimension."""


def check_sum(terms: Sequence[Term]) -> None:
    """Raises `NotAddable` unless the terms may be added."""
    _check_alike(terms, "added")
    for term in terms:
        if term.is_ratio:
            raise NotAddable(
                f"{term.label} is a quotient, and a sum of quotients is none: add the amounts above and below the line "
                "and divide once."
            )
    for one, other in combinations(terms, 2):
        _check_fee(one, other)
        _check_fee(other, one)
        _check_cost(one, other)
        if _overlap(one, other):
            raise NotAddable(
                f"{one.label} and {other.label} may hold the same charges, which would count twice. Add parts that "
                "differ in their days, or in the members of one and the same dimension."
            )


def check_difference(terms: Sequence[Term]) -> None:
    """Raises `NotAddable` unless all other terms may be taken from the first one.

    What one cost leaves of another is an amount, of the same charges: list minus contracted is the discount.
    """
    _check_alike(terms, "subtracted")
    if len(terms) > 2:
        check_sum(terms[1:])
    for other in terms[1:]:
        one = terms[0]
        costs = {one.measure, other.measure} & set(COST_BASES)
        if len(costs) == 2 and (one.days, _sets(one)) != (other.days, _sets(other)):
            raise NotAddable(
                f"{one.label} ({one.measure}) and {other.label} ({other.measure}) are two costs of different charges: "
                "their difference mixes what was spent with what it was priced at."
            )


def check_cell(measure: str, members: Mapping[str, Sequence[str]]) -> None:
    """Raises `NotAddable` unless the measure may be added up over charges of these members."""
    if measure in SHARES:
        raise NotAddable(
            f"{measure} is a share, which is not added up over days or members: /v1/{measure} computes it from the two "
            "amounts it is the quotient of."
        )
    if measure in GROSS and {"Purchase", "Usage"} <= set(members.get("charge_category", ())):
        raise NotAddable(_fee_reason(measure, measure))


def _check_alike(terms: Sequence[Term], done: str) -> None:
    currencies = sorted({term.currency for term in terms if term.currency is not None})
    if len(currencies) > 1:
        raise NotAddable(
            f"{' and '.join(currencies)} are different currencies and are never {done}: ask for each by itself."
        )
    units = sorted({term.unit for term in terms})
    if len(units) > 1:
        raise NotAddable(f"{' and '.join(units)} are different units, and no number is both.")


def _check_fee(purchase: Term, usage: Term) -> None:
    """A commitment's fee with the usage that it pays for, where the measures count it on both sides."""
    is_fee = "Purchase" in purchase.members.get("charge_category", ())
    is_usage = "Usage" in usage.members.get("charge_category", ())
    pays_twice = purchase.measure != "effective_cost" and usage.measure in PAID_BY_A_FEE
    if is_fee and is_usage and pays_twice and purchase.measure in COST_BASES:
        raise NotAddable(_fee_reason(str(purchase.measure), str(usage.measure)))
    if purchase.measure == "credit_fee_utilization_offset" and usage.measure in ("list_cost", "contracted_cost"):
        raise NotAddable(
            f"{usage.measure} is before commitments, and credit_fee_utilization_offset takes back a fee that their "
            "usage carries: together they are neither price. effective_cost has both sides in it."
        )


def _fee_reason(purchase: str, usage: str) -> str:
    return (
        f"The {purchase} of Purchase is a commitment's fee, and the {usage} of Usage holds the usage that fee pays "
        "for: together it counts twice. Ask for billed_cost or effective_cost, or for each category by itself."
    )


def _check_cost(one: Term, other: Term) -> None:
    """Two costs are two answers about the same money; the export's own cost and its credits are parts of one."""
    if one.measure is None or other.measure is None or one.measure == other.measure:
        return
    parts_of_one = {one.measure, other.measure} <= {"cost", *(m for m in MEASURES if m.startswith("credit_"))}
    if not parts_of_one:
        raise NotAddable(
            f"{one.measure} and {other.measure} are different measures of charges and their sum is neither. What adds "
            "up is one measure, or cost and its credits."
        )


def _overlap(one: Term, other: Term) -> bool:
    if one.days is None or other.days is None or one.measure != other.measure:
        return False
    if one.days[1] <= other.days[0] or other.days[1] <= one.days[0]:
        return False
    return all(
        set(members) & set(other.members[name]) for name, members in one.members.items() if name in other.members
    )


def _sets(term: Term) -> dict[str, frozenset[str]]:
    return {name: frozenset(members) for name, members in term.members.items()}
