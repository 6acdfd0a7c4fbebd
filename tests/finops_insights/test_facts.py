"""Facts: how they are computed again, and how a reader sees them."""

from datetime import date
from decimal import Decimal

import pytest

from finops_insights.facts import (
    Derived,
    Fact,
    FromCell,
    Given,
    Operation,
    Stored,
    derive,
    money,
    percent,
    recomputed,
    stale,
)
from finops_warehouse.algebra import NotAddable
from finops_warehouse.cells import Cell

CELL = FromCell(cell=Cell(start=date(2026, 9, 1), end=date(2026, 9, 2), billing_currency="USD"))
STORED = Stored(table="cost_anomalies", key={"anomaly_id": "a"}, column="expected_cost")


def fact(name: str, value: str, source: FromCell | Derived | Stored | Given) -> Fact:
    """A figure in dollars."""
    amount = Decimal(value)
    return Fact(
        id=name,
        label=name,
        value=amount,
        unit="currency",
        currency="USD",
        formatted=money(amount, "USD"),
        source=source,
    )


FACTS = {
    f.id: f
    for f in (
        fact("f_actual", "30.10", CELL),
        fact("f_expected", "20.00", STORED),
        fact("f_excess", "10.10", Derived(operation="difference", of=("f_actual", "f_expected"))),
    )
}


def test_facts_that_hold_are_not_stale() -> None:
    """Each is what its source says."""
    assert stale(FACTS, lambda source: Decimal("30.10") if source == CELL else Decimal("20.00")) == []


def test_a_cent_in_a_cell_makes_it_and_what_is_computed_from_it_stale() -> None:
    """A restatement reaches the sentence, not only the table."""
    moved = stale(FACTS, lambda source: Decimal("30.11") if source == CELL else Decimal("20.00"))

    assert moved == ["f_actual", "f_excess"]


def test_what_is_gone_is_stale() -> None:
    """The anomaly is no anomaly any more."""
    assert stale(FACTS, lambda source: Decimal("30.10") if source == CELL else None) == ["f_expected", "f_excess"]


@pytest.mark.parametrize(
    ("operation", "parts", "expected"),
    [
        ("difference", ["30.1", "20"], "10.1"),
        ("sum", ["0.1", "0.2"], "0.3"),
        ("ratio_percent", ["1", "3"], "33.33"),
        ("change_percent", ["150", "100"], "50.00"),
        ("change_percent", ["-50", "-100"], "50.00"),
        ("change_percent", ["5", "0"], None),
        ("ratio_percent", ["5", "0"], None),
        ("mean_per_day", ["70", "7"], "10"),
        ("mean_per_day", ["70", "0"], None),
    ],
)
def test_arithmetic_is_exact(operation: Operation, parts: list[str], expected: str | None) -> None:
    """And a change from nothing has no percentage."""
    found = derive(operation, [Decimal(part) for part in parts])

    assert found == (None if expected is None else Decimal(expected))


@pytest.mark.parametrize(
    ("value", "currency", "cents", "shown"),
    [
        ("6165.13", "USD", False, "$6,165"),
        ("6165.135", "USD", True, "$6,165.14"),
        ("-0.4", "EUR", False, "\N{MINUS SIGN}€0.40"),
        ("0", "USD", False, "$0.00"),
        ("1234567", "JPY", False, "¥1,234,567"),
        ("12.5", "CHF", False, "CHF 13"),
        ("-0.001", "USD", True, "$0.00"),
    ],
)
def test_money_is_shown_to_be_read(value: str, currency: str, *, cents: bool, shown: str) -> None:
    """Whole units in a text, cents on request, and never a cost of nothing that was something."""
    assert money(Decimal(value), currency, cents=cents) == shown


def test_percentages_have_a_decimal_while_it_says_something() -> None:
    """4.1 % and 76 %."""
    assert [percent(Decimal(value)) for value in ("4.11", "76.2", "-0.5", "0")] == [
        "4.1%", "76%", "\N{MINUS SIGN}0.5%", "0.0%",
    ]  # fmt: skip


def test_facts_that_do_not_add_up_have_no_sum() -> None:
    """Two currencies, or one charge twice: no text can be made of it, and nothing made before is served."""

    def costs(name: str, currency: str, **members: list[str]) -> Fact:
        cell = Cell(start=date(2026, 10, 1), end=date(2026, 10, 2), billing_currency=currency, custom=members)
        return Fact(
            id=name, label=name, value=Decimal(1), unit="currency", currency=currency, formatted="1",
            source=FromCell(cell=cell),
        )  # fmt: skip

    def total(*parts: Fact) -> dict[str, Fact]:
        source = Derived(operation="sum", of=tuple(part.id for part in parts))
        whole = parts[0].model_copy(update={"id": "f_total", "source": source})
        return {fact.id: fact for fact in (*parts, whole)}

    a, b = costs("f_a", "USD", team=["a"]), costs("f_b", "USD", team=["b"])
    assert recomputed(total(a, b), lambda _: Decimal(1))["f_total"] == 2
    with pytest.raises(NotAddable, match="different currencies"):
        recomputed(total(a, costs("f_c", "EUR", team=["b"])), lambda _: Decimal(1))
    with pytest.raises(NotAddable, match="may hold the same charges"):
        recomputed(total(a, costs("f_c", "USD", cost_center=["1"])), lambda _: Decimal(1))
