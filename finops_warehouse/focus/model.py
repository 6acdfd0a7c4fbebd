"""The requirement model of FOCUS 1.2, as the specification's authors publish it, with our readings of it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

Check = Mapping[str, Any]
"""A check function of the model with its arguments; empty where there is none."""

FOLDER = files("finops_warehouse.focus")


@dataclass(frozen=True)
class Proof:
    """A Dynamic rule in our own words: which rows it speaks about and what must hold of them, in SQL."""

    holds: str
    when: str = "true"


@dataclass(frozen=True)
class Rule:
    """One rule of the model."""

    rule_id: str
    reference: str
    """The column or attribute it is about."""
    function: str
    keyword: str
    sentence: str
    features: tuple[str, ...]
    is_static: bool
    requirement: Check
    condition: Check
    corrected_because: str | None
    """Why the requirement or condition is ours: the model's own is not what the sentence says."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The rules a composite consists of."""
        return tuple(rule_parts(self.requirement))

    @property
    def is_composite(self) -> bool:
        """Whether it says nothing by itself and stands for its parts."""
        return bool(self.parts)

    @property
    def any_part_is_enough(self) -> bool:
        """Whether the parts are alternatives."""
        return self.is_composite and self.requirement["CheckFunction"] == "OR"


def rule_parts(check: Check) -> Iterator[str]:
    """The rules a requirement refers to."""
    if check.get("CheckFunction") == "CheckModelRule":
        yield check["ModelRuleId"]
    for item in check.get("Items", ()):
        yield from rule_parts(item)


@cache
def rules() -> Mapping[str, Rule]:
    """Every rule of the model by its id, in the model's order."""
    given = json.loads((FOLDER / "requirements_1_2.json").read_text(encoding="utf-8"))["ModelRules"]
    corrections = _readings()["corrections"]
    return {rule_id: _rule(rule_id, content, corrections.get(rule_id, {})) for rule_id, content in given.items()}


@cache
def missing_features() -> Mapping[str, str]:
    """The features the billing export has not, each with the reason."""
    return {name: said for name, said in _readings()["features"].items() if said is not True}


@cache
def currencies() -> tuple[str, ...]:
    """The codes of national currencies."""
    return tuple(_readings()["currencies"].split())


@cache
def proofs() -> Mapping[str, Proof]:
    """The Dynamic rules our rows can prove."""
    return {rule_id: Proof(**reading) for rule_id, reading in _readings()["proofs"].items()}


def _rule(rule_id: str, content: Mapping[str, Any], correction: Mapping[str, Any]) -> Rule:
    criteria = content["ValidationCriteria"]
    return Rule(
        rule_id=rule_id,
        reference=content["Reference"],
        function=content["Function"],
        keyword=criteria["Keyword"],
        sentence=criteria["MustSatisfy"],
        features=tuple(content["ApplicabilityCriteria"]),
        is_static=content["Type"] == "Static",
        requirement=correction.get("requirement", criteria["Requirement"]),
        condition=correction.get("condition", criteria["Condition"]),
        corrected_because=correction.get("why"),
    )


@cache
def _readings() -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load((FOLDER / "readings.yaml").read_text(encoding="utf-8"))
    return found
