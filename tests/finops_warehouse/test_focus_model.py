"""The requirement model as SQL: every rule is decided or said not to be, and every predicate can fail."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from finops_warehouse.focus import compiling, model
from finops_warehouse.focus.compiling import RowCheck, UnknownRequirement, compiled
from finops_warehouse.focus.conformance import Counted, Verdict, plan, score, verdicts
from finops_warehouse.focus.model import Rule, missing_features, proofs, rules
from finops_warehouse.focus.view import COLUMN_TYPES

CANDIDATES = {
    "numeric": ["null", "0", "1", "2", "-1", "'NaN'"],
    "text": ["null", "'x'", "' '"],
    "timestamptz": ["null", "'2026-01-01'", "'infinity'", "'2026-01-01 00:00 America/Los_Angeles'",
                    "'2026-02-01 00:00 America/Los_Angeles'"],
    "jsonb": ["null", "'{}'", """'{"a": {}}'""", "'[]'", "'1'"],
}  # fmt: skip
LITERAL = re.compile(r"'(?:[^']|'')*'")


@pytest.fixture
def with_rule(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`with_rule("BilledCost-C-003-M", requirement=...)` changes a rule of the model for this test."""

    def change(rule_id: str, **changes: object) -> None:
        changed = {**rules(), rule_id: replace(rules()[rule_id], **changes)}  # type: ignore[arg-type]
        monkeypatch.setattr(compiling, "rules", lambda: changed)

    return change


def test_every_rule_is_decided_or_said_not_to_be() -> None:
    """620 and more rules: none is passed over in silence."""
    singles = {rule_id for rule_id, rule in rules().items() if not rule.is_composite}
    by_row = {check.rule_id for check in plan().row_checks}

    assert sum(rule.is_static for rule in rules().values()) == 420
    assert by_row | set(plan().settled) | set(plan().not_applicable) == singles
    assert len(by_row) + len(plan().settled) + len(plan().not_applicable) == len(singles)
    assert all(reason for reason in plan().not_applicable.values())


@pytest.mark.parametrize("check", plan().row_checks, ids=lambda check: str(check.rule_id))
def test_every_predicate_can_fail_and_can_hold(check: RowCheck, connection: psycopg.Connection) -> None:
    """A predicate that no row breaks proves nothing, one that every row breaks is wrong."""
    text = f"{check.applies} {check.broken}"
    columns = [name for name in COLUMN_TYPES if f'"{name}"' in text]
    literals = LITERAL.findall(text)
    given = {
        name: [*CANDIDATES[COLUMN_TYPES[name]], *(literals if COLUMN_TYPES[name] == "text" else [])] for name in columns
    }
    for name, values in given.items():
        if name in ("x_InvoiceMonth", "x_AdjustmentType", "BillingCurrency"):
            values += ["'202601'", "'USAGE_CORRECTION'", "'USD'"]
    tables = ", ".join(
        f'unnest(array[{", ".join(dict.fromkeys(values))}]::{COLUMN_TYPES[name]}[]) as c{place} ("{name}")'
        for place, (name, values) in enumerate(given.items())
    )
    alone = ", ".join("'alone'" if COLUMN_TYPES[name] == "text" else "null" for name in columns)
    statement = f"""
        with focus as (select * from {tables} union all select {alone})
        select count(*) filter (where {check.broken}),
            count(*) filter (where {check.applies} and not {check.broken})
        from focus
    """
    [(broken, holding)] = connection.execute(statement.encode()).fetchall()

    assert broken > 0, statement
    assert holding > 0, statement


def test_what_is_not_known_is_an_error(with_rule: Callable[..., None]) -> None:
    """A newer model with a new check function must be read by somebody, not passed."""
    with_rule("BilledCost-C-003-M", requirement={"CheckFunction": "CheckMoonPhase", "ColumnName": "BilledCost"})

    with pytest.raises(UnknownRequirement, match="CheckMoonPhase"):
        compiled(COLUMN_TYPES)


@pytest.mark.parametrize(
    "condition",
    [
        {"CheckFunction": "CheckMoonPhase", "ColumnName": "BilledCost"},
        {"CheckFunction": "CheckValue", "CheckCondition": "BilledCost", "Value": None},
        {"CheckFunction": "CheckValue", "ColumnName": 'BilledCost" is null or "', "Value": None},
        {"CheckFunction": "CheckValue", "ColumnName": "BilledCost", "Value": 0.5},
    ],
    ids=["function", "argument", "column", "value"],
)
def test_a_condition_that_is_not_known_is_an_error_too(
    condition: dict[str, Any], with_rule: Callable[..., None]
) -> None:
    """A condition read as `always` would accuse rows the rule does not speak about."""
    with_rule("BilledCost-C-003-M", condition=condition)

    with pytest.raises(UnknownRequirement):
        compiled(COLUMN_TYPES)


def test_a_column_that_is_missing_fails_its_presence_and_nothing_else() -> None:
    """Its other rules have nothing to look at, and say so."""
    found = compiled({name: type_ for name, type_ in COLUMN_TYPES.items() if name != "BilledCost"})

    assert [rule_id for rule_id, holds in found.settled.items() if not holds] == [
        rule_id for rule_id, rule in rules().items() if rule.requirement.get("ColumnName") == "BilledCost"
        and rule.requirement["CheckFunction"] == "ColumnPresent"
    ]  # fmt: skip
    assert found.not_applicable["BilledCost-C-003-M"] == "there is no column BilledCost"


def test_a_column_of_the_wrong_type_fails_its_type() -> None:
    """Money as text would sort and add up wrongly wherever it is read."""
    found = compiled({**COLUMN_TYPES, "BilledCost": "text"})

    assert [rule_id for rule_id, holds in found.settled.items() if not holds] == ["BilledCost-C-001-M"]


def test_every_feature_is_said_to_be_there_or_why_not() -> None:
    """Eighteen, as the model lists them."""
    features = {name for rule in rules().values() for name in rule.features}

    assert set(missing_features()) < features <= set(model._readings()["features"])


def test_every_reading_is_of_a_rule_there_is_and_is_needed() -> None:
    """A correction that says what the model says already has outlived its reason."""
    corrected = {rule_id: rule for rule_id, rule in rules().items() if rule.corrected_because}

    assert set(model._readings()["corrections"]) == set(corrected)
    assert set(proofs()) <= {rule_id for rule_id, rule in rules().items() if not rule.is_static}
    given = json.loads((model.FOLDER / "requirements_1_2.json").read_text(encoding="utf-8"))["ModelRules"]
    for rule_id, rule in corrected.items():
        criteria = given[rule_id]["ValidationCriteria"]
        assert (rule.requirement, rule.condition) != (criteria["Requirement"], criteria["Condition"]), rule_id


def judged(**counts: tuple[int, int]) -> dict[str, Verdict]:
    """Verdicts where every rule that is decided holds for ten rows, but for those given (`A_C_1` is A-C-1)."""
    all_hold = {check.rule_id: Counted(10, 0) for check in plan().row_checks} | {
        rule_id: Counted(10, 0) for rule_id in plan().settled
    }
    return verdicts({**all_hold, **{name.replace("_", "-"): Counted(*found) for name, found in counts.items()}})


def test_a_rule_that_fails_fails_what_it_is_a_part_of() -> None:
    """Up to the dataset as a whole; what does not contain it is untouched."""
    found = judged(BilledCost_C_003_M=(10, 1))

    failed = {rule_id for rule_id, verdict in found.items() if verdict.status == "failed"}
    assert {"BilledCost-C-003-M", "BilledCost-C-000-M"} <= failed
    assert "EffectiveCost-C-000-M" not in failed
    assert found["BilledCost-C-000-M"].reason == "its parts fail: BilledCost-C-003-M"


def test_the_score_counts_what_applies() -> None:
    """Rules without rows to speak about are in neither number, and 100 % is not rounded up to."""
    whole, one_bad = score(judged()), score(judged(BilledCost_C_003_M=(10, 1)))
    vacuous = score(judged(ChargeClass_C_005_C=(0, 0)))

    assert whole.failed == 0
    assert whole.percent == 100
    assert one_bad.percent is not None
    assert 98 < one_bad.percent < 100
    assert whole.passed - vacuous.passed == vacuous.not_applicable - whole.not_applicable == 1
    assert whole.passed + whole.failed + whole.not_applicable == 420


def test_of_alternatives_one_is_enough() -> None:
    """InvoiceId is NULL or it is not: the two rules contradict each other, and the composite is an OR."""
    rule: Rule = rules()["InvoiceId-C-003-C"]

    assert rule.any_part_is_enough
    assert {plan().not_applicable[part] for part in rule.parts} == {
        "one of several alternatives, of which any may be chosen"
    }
