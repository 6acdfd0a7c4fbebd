"""The renderer: tokens become facts, once, and all else stays."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops_insights.rendering import TOKEN, render, token, tokens


@dataclass(frozen=True)
class Shown:
    formatted: str


names = st.from_regex(r"f_[a-z0-9_]{1,8}", fullmatch=True)
plain = st.text(max_size=12).filter(lambda text: "{" not in text and "}" not in text)


@given(st.dictionaries(names, st.text(max_size=20), min_size=1, max_size=5), st.data())
def test_every_token_becomes_its_fact_and_nothing_else_changes(facts: dict[str, str], data: st.DataObject) -> None:
    """Whatever the facts hold, and whatever stands between the tokens."""
    used = data.draw(st.lists(st.sampled_from(sorted(facts)), max_size=6))
    between = data.draw(st.lists(plain, min_size=len(used) + 1, max_size=len(used) + 1))
    template = between[0] + "".join(token(name) + text for name, text in zip(used, between[1:], strict=True))
    expected = between[0] + "".join(facts[name] + text for name, text in zip(used, between[1:], strict=True))

    assert tokens(template) == used
    assert render(template, {name: Shown(text) for name, text in facts.items()}) == expected


def test_a_fact_that_holds_a_token_is_shown_as_it_is() -> None:
    """A project may be named `{{f_cost}}`; it must not show a figure in its place."""
    facts = {"f_project": Shown("{{f_cost}}"), "f_cost": Shown("$5")}

    assert render("{{f_project}} spent {{f_cost}}", facts) == "{{f_cost}} spent $5"


def test_a_backslash_in_a_name_is_a_backslash() -> None:
    """`\\1` and `\\g<0>` mean something to a regular expression, and nothing here."""
    assert render("{{f_a}}", {"f_a": Shown(r"\1 \g<0> \n")}) == r"\1 \g<0> \n"


def test_an_unknown_token_is_an_error() -> None:
    """A half-rendered text must not reach anybody."""
    with pytest.raises(KeyError):
        render("{{f_gone}}", {})


@pytest.mark.parametrize("text", ["{{F_A}}", "{{f_A}}", "{{ f_a }}", "{f_a}", "{{f_\u0661}}", "{{g_a}}", "{{f_}}"])
def test_only_tokens_are_tokens(text: str) -> None:
    """What merely looks like one is left for the checker to refuse."""
    assert TOKEN.findall(text) == []
