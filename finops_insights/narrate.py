"""From a subject to a text that may be stored: asked of a writer, checked here, and written by the rules otherwise.

Whatever writes, this decides. A model's text that the checker refuses, a provider that fails and a budget that is spent
all end in the same place: the rules engine's words, and the reason beside them.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Protocol

from finops_insights import rules
from finops_insights.claims import Template, check_template
from finops_insights.prompts import PROMPT_VERSION, Prompt
from finops_insights.subjects import Subject

SCHEMA_VERSION: Final = 1
"""Of what is kept in the cache."""


@dataclass(frozen=True)
class Call:
    """A conversation with a model, over or broken off."""

    provider: str
    model: str
    outcome: str
    requests: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None
    """None when nobody knows the price."""
    latency_ms: int
    payload: Any
    """Exactly what was sent and what came back."""


@dataclass(frozen=True)
class Draft:
    """What a writer has to say: a text, or why there is none."""

    template: Template | None
    why_none: str | None = None
    attempts: int = 1
    call: Call | None = None


class LLMService(Protocol):
    """Whoever writes texts."""

    @property
    def engine(self) -> str:
        """`rules`, or provider and model."""

    def write(self, subject: Subject, prompt: Callable[[], Prompt], refuse: Callable[[Template], list[str]]) -> Draft:
        """A text about the subject. Never raises for what a provider does; `refuse` is to be asked before answering."""


class RulesEngine:
    """The writer that needs nobody."""

    engine: str = rules.ENGINE

    def write(self, subject: Subject, prompt: Callable[[], Prompt], refuse: Callable[[Template], list[str]]) -> Draft:  # noqa: ARG002
        """The rules' text."""
        return Draft(rules.write(subject))


@dataclass(frozen=True)
class Cached:
    """A text that was written from the same facts before."""

    template: Template
    attempts: int


@dataclass(frozen=True)
class Narrated:
    """A text that passed the checks, and how it came to be."""

    subject: Subject
    template: Template
    engine: str
    fallback_reason: str | None
    attempts: int
    input_hash: str
    call: Call | None
    is_new: bool
    """Whether a model wrote it just now: worth keeping for the next time."""


class Refused(ValueError):
    """The rules' own text does not pass the checks: a fault of ours."""


def narrate(
    subjects: Sequence[Subject],
    service: LLMService,
    prompt_of: Callable[[Subject], Prompt],
    cached: Mapping[str, Cached] | None = None,
) -> list[Narrated]:
    """A checked text for each subject. `cached` is by input hash; a text in it is checked like any other."""
    return [_narrate(subject, service, prompt_of, cached or {}) for subject in subjects]


def _narrate(
    subject: Subject, service: LLMService, prompt_of: Callable[[Subject], Prompt], cached: Mapping[str, Cached]
) -> Narrated:
    names = subject.names

    def refuse(template: Template) -> list[str]:
        return check_template(template, subject.facts, names)

    digest = input_hash(subject, service.engine)
    known = cached.get(digest)
    if known is not None and not refuse(known.template):
        return Narrated(subject, known.template, service.engine, None, known.attempts, digest, None, is_new=False)
    draft = service.write(subject, lambda: prompt_of(subject), refuse)
    objections = refuse(draft.template) if draft.template is not None else ["there is no text"]
    if draft.template is not None and not objections:
        is_new = service.engine != rules.ENGINE
        return Narrated(
            subject, draft.template, service.engine, None, draft.attempts, digest, draft.call, is_new=is_new
        )
    if service.engine == rules.ENGINE:
        raise Refused(f"The rules' text about {subject.subject} {subject.subject_id} is refused: {objections}")
    reason = draft.why_none or "refused: " + "; ".join(objections)
    by_rules = rules.write(subject)
    if objections := refuse(by_rules):
        raise Refused(f"The rules' text about {subject.subject} {subject.subject_id} is refused: {objections}")
    return Narrated(subject, by_rules, rules.ENGINE, reason, draft.attempts, digest, draft.call, is_new=False)


def input_hash(subject: Subject, engine: str) -> str:
    """The hash of everything a text is written from: the same hash, the same text."""
    written_from = [
        SCHEMA_VERSION,
        PROMPT_VERSION,
        engine,
        subject.subject,
        subject.period,
        subject.period_start.isoformat(),
        dict(subject.notes),
        {name: fact.model_dump(mode="json") for name, fact in subject.facts.items()},
    ]
    canonical = json.dumps(written_from, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
