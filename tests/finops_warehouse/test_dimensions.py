"""The file of rules: what it may say, and how what it may not say is refused."""

import re
from pathlib import Path

import pytest
from helpers.checkout import TOP

from finops_warehouse.dimensions import BY_DEFAULT, default_rules, load_rules, rules_from, rules_of
from finops_warehouse.errors import BadRules
from finops_warehouse.settings import Settings

TEAM = """\
dimensions:
  - name: team
    description: Who answers for it.
    sources:
      - label: team
"""
SHARED = """\
shared_costs:
  - name: network
    description: The network hub.
    split_over: team
    where: {project: [hub]}
"""

REFUSED = {
    "a key nobody knows": (TEAM + "    colour: red\n", 6, "colour is not known here"),
    "a key of a source nobody knows": (TEAM.replace("label", "lable"), 5, "lable is not known here"),
    "a dimension twice": (TEAM + TEAM.split("\n", 1)[1], 6, "there are two dimensions team"),
    "a built-in dimension": (TEAM.replace("name: team", "name: project"), 2, "project is a built-in dimension"),
    "a word of the answers": (TEAM.replace("name: team", "name: billed_cost"), 2, "a word of the answers"),
    "a name of another's rules": (TEAM.replace("name: team", "name: team_rule"), 2, "a word of the answers"),
    "a name that is no identifier": (TEAM.replace("name: team", 'name: "team; drop"'), 2, "name: String should match"),
    "a bad regex": (TEAM + "        regex: 'a('\n", 5, "regex is none"),
    "a regex without a group": (TEAM + "        regex: 'a'\n", 5, "no group"),
    "a value without a regex": (TEAM + "        value: x\n", 5, "value belongs to a regex"),
    "no sources": (TEAM.replace("      - label: team\n", "").replace("sources:", "sources: []"), 4, "at least 1 item"),
    "a source of nowhere": (TEAM.replace("label: team", "regex: (a)"), 5, "one origin"),
    "a source of two places": (TEAM + "        project: id\n", 5, "one origin"),
    "a namespace of no tag": (TEAM + "        namespace: x\n", 5, "belong to a tag"),
    "a map of nothing": (TEAM + "        map: {}\n", 5, "map is empty"),
    "a map of numbers": (TEAM + "        map: {a: 1}\n", 6, "valid string"),
    "a dimension that comes later": (TEAM.replace("label: team", "dimension: unit"), 5, "no earlier dimension"),
    "a key that stands twice": (TEAM + "    name: other\n", 6, "name stands twice"),
    "a NUL": (TEAM.replace("label: team", 'label: "te\\0am"'), 5, "label: String should match"),
    "an alias": ("dimensions: &a\n  - *a\n", 2, "refers to another place"),
    "no YAML": ("dimensions: [\n", 2, "is no YAML"),
    "a list": ("- team\n", 1, "valid dictionary"),
    "shares that are not all": (TEAM + SHARED + "    how: fixed\n    shares: {a: 60, b: 30}\n", 7, "add up to 90"),
    "shares that take away": (TEAM + SHARED + "    how: fixed\n    shares: {a: 120, b: -20}\n", 7, "above 0"),
    "a proportional split by nothing": (TEAM + SHARED + "    how: proportional\n", 7, "by names the measure"),
    "a split over no dimension": (TEAM + SHARED.replace("over: team", "over: project") + "    how: even\n", 9,
                                  "project is no dimension of the file; those are: team"),
    "a filter of no dimension": (TEAM + SHARED.replace("{project", "{projekt") + "    how: even\n", 10,
                                 "there is no dimension projekt; there are: billing_account"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_rule_is_refused_with_its_line_and_the_reason(text: str, line: int, reason: str) -> None:
    """Whoever writes the file finds the place at once."""
    with pytest.raises(BadRules) as refused:
        rules_from(text, "rules.yaml")

    assert str(refused.value).startswith(f"rules.yaml, line {line}: "), refused.value
    assert reason in str(refused.value)


def test_every_mistake_of_a_file_is_told_at_once() -> None:
    """Not one by one, run after run."""
    with pytest.raises(BadRules) as refused:
        rules_from(TEAM.replace("label: team", "label: team\n        regex: 'a('") + "    colour: red\n", "rules.yaml")

    assert [line.split(":")[0] for line in str(refused.value).splitlines()] == [
        "rules.yaml, line 5", "rules.yaml, line 7",
    ]  # fmt: skip


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With the setting that names it."""
    with pytest.raises(BadRules, match=r"nothing\.yaml: cannot be read.*DIMENSIONS_FILE"):
        load_rules(tmp_path / "nothing.yaml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """A spreadsheet, say."""
    (tmp_path / "rules.yaml").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(BadRules, match="is not UTF-8"):
        load_rules(tmp_path / "rules.yaml")


def test_the_shipped_rules_stand_in_for_a_file(tmp_path: Path) -> None:
    """Unset, there are the three dimensions everybody asks for; set, the file alone counts."""
    (tmp_path / "rules.yaml").write_text(TEAM)

    assert list(rules_of(Settings()).by_name) == ["team", "environment", "cost_center"]
    assert list(rules_of(Settings(dimensions_file=tmp_path / "rules.yaml")).by_name) == ["team"]


def test_an_empty_file_has_no_dimensions() -> None:
    """Which is how somebody does without them."""
    assert rules_from("", "rules.yaml").dimensions == ()


def test_files_that_say_the_same_have_one_hash() -> None:
    """A comment restates nothing."""
    commented = rules_from("# ours\n" + TEAM, "rules.yaml")

    assert commented.hash == rules_from(TEAM, "other.yaml").hash
    assert commented.hash != rules_from(TEAM.replace("label: team", "label: squad"), "rules.yaml").hash


def test_a_dimension_comes_with_the_one_of_its_rules() -> None:
    """Readers group by who assigned a member as by the member."""
    semantic = default_rules().semantic()

    assert (semantic["team"].column, semantic["team"].json_key) == ("custom", "team")
    assert (semantic["team_rule"].column, semantic["team_rule"].json_key) == ("assigned_by", "team")
    assert BY_DEFAULT in semantic["team_rule"].description


def test_the_example_of_the_documents_is_good() -> None:
    """Somebody copies it."""
    text = (TOP / "docs/dimensions.md").read_text(encoding="utf-8")
    [example] = re.findall(r"^```yaml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)

    rules = rules_from(example, "docs/dimensions.md")
    assert list(rules.by_name) == ["team", "cost_center"]
    assert [shared.name for shared in rules.shared_costs] == ["network", "support"]
