"""From a subject to a text that may be stored: whoever writes, the checker decides."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal

import pytest
from helpers.subjects import DAY, HOSTILE, days
from hypothesis import HealthCheck, given, settings

from finops_insights import rules
from finops_insights.claims import Template
from finops_insights.narrate import Cached, Draft, LLMService, Narrated, Refused, RulesEngine, input_hash, narrate
from finops_insights.prompts import Prompt, band, prompt
from finops_insights.subjects import DayRows, Spent, Subject, of_day

KEY = b"k" * 32
GOOD = Template(
    headline="Spend in {{f_month}} came to {{f_spend}}", body="{{f_service_1}} rose by {{f_service_1_change}}."
)
WRONG = Template(headline="Spend came to 500", body="{{f_service_1}} fell by {{f_service_1_change}}.")


def a_day(now: str = "500", project: str = "shop", service: str = "BigQuery") -> Subject:
    spent = Spent("USD", project, project, f"id of {service}", service, Decimal(now), Decimal(300), Decimal(900))
    [subject] = of_day(DayRows(DAY, DAY.replace(month=1), [spent], [], [], []))
    return subject


@dataclass
class Scribe:
    """A writer that says what it was told to, and counts."""

    says: Template | None
    why_none: str | None = None
    engine: str = "scribe:one"
    asked: list[str] = field(default_factory=list)

    def write(self, subject: Subject, prompt: Callable[[], Prompt], refuse: Callable[[Template], list[str]]) -> Draft:
        self.asked.append(prompt().text)
        return Draft(self.says, self.why_none, attempts=2)


def narrated(subject: Subject, scribe: LLMService, cached: dict[str, Cached] | None = None) -> Narrated:
    [found] = narrate([subject], scribe, lambda s: prompt(s, KEY), cached)
    return found


def test_a_good_text_of_a_model_is_the_models() -> None:
    """And worth keeping for the next time."""
    found = narrated(a_day(), Scribe(GOOD))

    assert (found.template, found.engine, found.fallback_reason) == (GOOD, "scribe:one", None)
    assert found.is_new


def test_a_refused_text_is_replaced_by_the_rules_with_the_reason() -> None:
    """Even if whoever wrote it says that it was checked."""
    found = narrated(a_day(), Scribe(WRONG))

    assert found.template == rules.write(a_day())
    assert found.engine == "rules"
    assert found.fallback_reason is not None
    assert "a number" in found.fallback_reason
    assert not found.is_new


def test_a_model_that_says_nothing_is_replaced_too() -> None:
    """With its own words for why."""
    found = narrated(a_day(), Scribe(None, "the provider did not answer in time"))

    assert (found.engine, found.fallback_reason) == ("rules", "the provider did not answer in time")


def test_what_was_written_before_is_not_asked_for_again() -> None:
    """Unless the facts moved: by a cent is enough."""
    before = {input_hash(a_day(), "scribe:one"): Cached(GOOD, 1)}
    scribe = Scribe(WRONG)

    assert narrated(a_day(), scribe, before).template == GOOD
    assert scribe.asked == []
    assert narrated(a_day("500.01"), scribe, before).engine == "rules"
    assert len(scribe.asked) == 1


def test_a_text_from_the_cache_is_checked_like_any_other() -> None:
    """A row of a table is not more trustworthy than a model."""
    scribe = Scribe(GOOD)
    before = {input_hash(a_day(), "scribe:one"): Cached(WRONG, 1)}

    assert narrated(a_day(), scribe, before).template == GOOD
    assert len(scribe.asked) == 1


@pytest.mark.parametrize(
    "other",
    [
        lambda s: a_day("500.01"),
        lambda s: a_day(project="other"),
        lambda s: replace(s, notes={"comparison": "none"}),
        lambda s: replace(s, period_start=DAY.replace(day=19)),
        lambda s: replace(s, facts={**s.facts, "f_day": s.facts["f_month"].model_copy(update={"id": "f_day"})}),
    ],
)
def test_whatever_a_text_is_written_from_is_in_its_hash(other: Callable[[Subject], Subject]) -> None:
    """Or a day would keep a text about other figures."""
    assert input_hash(other(a_day()), "scribe:one") != input_hash(a_day(), "scribe:one")


def test_another_model_is_another_hash() -> None:
    """Whoever changes LLM_MODEL_NAME wants its texts, and not those of the old one."""
    assert input_hash(a_day(), "scribe:one") != input_hash(a_day(), "scribe:two")
    assert input_hash(a_day(), "scribe:one") == input_hash(a_day(), "scribe:one")


def test_a_fault_of_the_rules_is_an_error_and_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nobody left to write then; the texts stay as they were."""
    monkeypatch.setattr(rules, "write", lambda _: WRONG)

    with pytest.raises(Refused, match="a number"):
        narrated(a_day(), RulesEngine())
    with pytest.raises(Refused, match="a number"):
        narrated(a_day(), Scribe(None, "down"))


# -- what a model is told


def test_a_model_is_told_directions_and_sizes_and_no_amounts() -> None:
    """A model that never saw a figure cannot repeat one."""
    told = prompt(a_day("51234.56"), KEY).text

    for secret in ("51234", "51,235", "300", "shop", "November", "2026", "USD", "$", "20"):
        assert secret not in told
    assert '"token": "{{f_change}}"' in told
    assert '"direction": "up"' in told
    assert '"size": "large"' in told
    assert '"stands_for": "BigQuery"' in told


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(days())
def test_no_name_reaches_a_model(rows: DayRows) -> None:
    """Of no project, account, SKU or region; services as Google calls them, and no other."""
    for subject in of_day(rows):
        asked = prompt(subject, KEY)
        stands_for = {alias for alias, _ in asked.aliases.items()}
        assert all(len(alias.split("_")[-1]) == 12 for alias in stands_for)
        for entity in subject.entities.values():
            for text in (entity.value, entity.name):
                is_a_token_of_ours = any(text in name for name in subject.facts)  # Hypothesis reads our source, too
                if len(text) > 12 and text != "BigQuery" and not is_a_token_of_ours:
                    assert text not in asked.text
                    assert text[:40] not in asked.text
        assert asked.text.isascii()


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_name_is_an_alias_and_a_model_that_repeats_it_is_refused(hostile: str) -> None:
    """The injection does not arrive; had it, its fruits would not pass."""
    subject = a_day(project=hostile, service=hostile)
    obeyed = Scribe(GOOD.model_copy(update={"body": hostile}))

    found = narrated(subject, obeyed)

    assert found.engine == "rules"
    if hostile != "{{f_spend}}":  # that one is a token of the text, and stands there as one
        assert hostile not in obeyed.asked[0]
    assert '"stands_for": "service_' in obeyed.asked[0]


@pytest.mark.parametrize(
    ("name", "size"), [("f_spend", "large"), ("f_change_percent", "large"), ("f_service_1_change", "large")]
)
def test_sizes_are_words(name: str, size: str) -> None:
    """Relative to the largest amount of the text."""
    assert band(a_day().facts[name], Decimal(500)) == size
    assert band(a_day().facts["f_spend"], Decimal(5000)) == "medium"
    assert band(a_day().facts["f_spend"], Decimal(50000)) == "small"
