"""What may be added to what: each refusal with its reason, and what is next to it and allowed."""

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from finops_warehouse.algebra import NotAddable, Term, check_cell, check_difference, check_sum
from finops_warehouse.cells import Cell

OCTOBER = (date(2026, 10, 1), date(2026, 11, 1))
NOVEMBER = (date(2026, 11, 1), date(2026, 12, 1))


def cost(
    measure: str = "billed_cost", currency: str = "USD", days: tuple[date, date] = OCTOBER, **members: list[str]
) -> Term:
    """A cost of charges."""
    return Term(f"{measure} of {members or 'all'}", "currency", currency, measure, days=days, members=members)


SHARE = Term("share of A", "percent", is_ratio=True)

ADDABLE = {
    "days beside each other": [cost(), cost(days=NOVEMBER)],
    "members of one dimension": [cost(team=["a"]), cost(team=["b"])],
    "one in common is told apart by another": [
        cost(team=["a"], service=["x"]), cost(team=["a"], service=["y"]),
    ],
    "a fee and its usage as billed": [cost(charge_category=["Purchase"]), cost(charge_category=["Usage"])],
    "a fee and its usage, effectively": [
        cost("effective_cost", charge_category=["Purchase"]), cost("effective_cost", charge_category=["Usage"]),
    ],
    "cost and its credits": [cost("cost"), cost("credit_discount"), cost("credit_fee_utilization_offset")],
    "what is no measure": [Term("expected", "currency", "USD"), Term("expected, too", "currency", "USD")],
    "counts": [Term("days", "count"), Term("days, too", "count")],
}  # fmt: skip


@pytest.mark.parametrize("terms", ADDABLE.values(), ids=ADDABLE.keys())
def test_what_adds_up_is_added(terms: list[Term]) -> None:
    """Whichever comes first."""
    check_sum(terms)
    check_sum(terms[::-1])


NOT_ADDABLE = {
    "currencies": ([cost(), cost(currency="EUR", days=NOVEMBER)], "EUR and USD are different currencies"),
    "units": ([cost(), Term("charges", "count", days=NOVEMBER)], "count and currency are different units"),
    "shares": ([SHARE, Term("share of B", "percent", is_ratio=True)], "a sum of quotients is none"),
    "two labels of one charge": ([cost(team=["a"]), cost(cost_center=["1"])], "may hold the same charges"),
    "a part and the whole": ([cost(), cost(team=["a"])], "may hold the same charges"),
    "a member twice": ([cost(team=["a", "b"]), cost(team=["b", "c"])], "may hold the same charges"),
    "days twice": ([cost(), cost(days=(date(2026, 10, 31), date(2026, 11, 9)))], "may hold the same charges"),
    "two costs": ([cost(), cost("list_cost", days=NOVEMBER)], "different measures of charges"),
    "a credit that is in it already": ([cost(), cost("credit_discount")], "different measures of charges"),
    "a fee and the usage it pays for, at list prices": (
        [cost("list_cost", charge_category=["Purchase"]), cost("list_cost", charge_category=["Usage"])],
        "is a commitment's fee",
    ),
    "a fee and the usage it pays for, effectively": (
        [cost("billed_cost", charge_category=["Purchase"]), cost("effective_cost", charge_category=["Usage"])],
        "is a commitment's fee",
    ),
    "a fee and the usage it pays for, at the committed price": (
        [cost("cost", charge_category=["Purchase"]), cost("contracted_cost", charge_category=["Usage"])],
        "is a commitment's fee",
    ),
    "list prices and the offset of a fee": (
        [cost("list_cost"), cost("credit_fee_utilization_offset")], "takes back a fee",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("terms", "reason"), NOT_ADDABLE.values(), ids=NOT_ADDABLE.keys())
def test_what_would_be_no_amount_of_anything_is_refused(terms: list[Term], reason: str) -> None:
    """Whichever comes first, in words somebody can act on."""
    for given in (terms, terms[::-1]):
        with pytest.raises(NotAddable, match=reason):
            check_sum(given)


def test_what_one_cost_leaves_of_another_is_an_amount() -> None:
    """List minus contracted is the discount, of the same charges; a month minus the one before is a change."""
    check_difference([cost("list_cost", team=["a"]), cost("contracted_cost", team=["a"])])
    check_difference([cost(), cost(days=NOVEMBER)])
    check_difference([SHARE, Term("share before", "percent", is_ratio=True)])


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ([cost("list_cost"), cost("contracted_cost", team=["a"])], "two costs of different charges"),
        ([cost(), cost(currency="EUR")], "never subtracted"),
        ([cost(), SHARE], "different units"),
        ([cost(), cost(team=["a"]), cost(cost_center=["1"])], "may hold the same charges"),
    ],
)
def test_a_difference_of_what_is_not_alike_is_refused(terms: list[Term], reason: str) -> None:
    """What is taken away is itself a sum."""
    with pytest.raises(NotAddable, match=reason):
        check_difference(terms)


def test_a_share_is_not_added_up_over_days() -> None:
    """Coverage of a month is no sum and no mean of its days."""
    with pytest.raises(NotAddable, match=r"is a share.*/v1/coverage"):
        check_cell("coverage", {})


@pytest.mark.parametrize("measure", ["cost", "contracted_cost", "list_cost"])
def test_a_cell_holds_no_fee_beside_what_it_pays_for(measure: str) -> None:
    """Asked for both by name, at a price before credits."""
    asked: dict[str, Any] = {
        "start": date(2026, 10, 1), "end": date(2026, 10, 2), "billing_currency": "USD",
        "filters": {"charge_category": ["Usage", "Purchase"]},
    }  # fmt: skip

    with pytest.raises(ValidationError, match="is a commitment's fee"):
        Cell(measure=measure, **asked)
    Cell(measure="billed_cost", **asked)
    Cell(measure="effective_cost", **asked)
    Cell(measure=measure, **{**asked, "filters": {"charge_category": ["Usage"]}})
