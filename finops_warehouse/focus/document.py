"""The parts of docs/focus.md that are made from the model, our readings of it and what a run found."""

import re
from collections.abc import Iterator, Mapping
from itertools import groupby

from finops_warehouse.focus.conformance import INVOICE_RULE, Verdict, plan, score
from finops_warehouse.focus.model import missing_features, proofs, rules
from finops_warehouse.focus.view import COLUMN_TYPES, MODEL

PART = re.compile(r"(?P<open><!-- generated: (?P<name>[a-z]+) -->\n).*?(?P<close><!-- end -->)", re.DOTALL)


def filled_in(page: str, judged: Mapping[str, Verdict]) -> str:
    """The page with its generated parts as they are now. `judged` is the verdict on every rule.

    Raises `KeyError` for a part of a name there is none of.
    """
    parts = {
        "mapping": _mapping(),
        "score": _score(judged),
        "failing": _failing(judged),
        "corrected": _corrected(),
        "out": _out(),
        "features": (f"- `{name}`: {reason}." for name, reason in missing_features().items()),
        "proofs": (f"- `{rule_id}`: {rules()[rule_id].sentence}" for rule_id in (*proofs(), INVOICE_RULE)),
    }

    def part(found: re.Match[str]) -> str:
        lines = "\n".join(parts[found["name"]])
        return f"{found['open']}{lines}\n{found['close']}"

    return PART.sub(part, page)


def _mapping() -> Iterator[str]:
    yield "| Column | Type | From |\n|---|---|---|"
    for name, column in MODEL.header.columns.items():
        yield f"| `{name}` | {COLUMN_TYPES[name]} | {column.description} |"


def _score(judged: Mapping[str, Verdict]) -> Iterator[str]:
    total = score(judged)
    dynamic = [verdict for verdict in judged.values() if not verdict.rule.is_static]
    yield (
        f"On the sample export **{total.percent} %** of the Static rules that apply hold: {total.passed} of "
        f"{total.passed + total.failed}; {total.not_applicable} do not apply. Of the {len(dynamic)} Dynamic rules, "
        f"which the authors leave to people, {sum(verdict.status == 'passed' for verdict in dynamic)} are proven."
    )


def _failing(judged: Mapping[str, Verdict]) -> Iterator[str]:
    failed = [verdict for verdict in judged.values() if verdict.status == "failed"]
    for verdict in failed:
        yield f"- `{verdict.rule.rule_id}`: {verdict.rule.sentence}"
    if not failed:
        yield "None on the sample export."


def _corrected() -> Iterator[str]:
    for rule in rules().values():
        if rule.corrected_because:
            yield f"- `{rule.rule_id}`: {rule.corrected_because}. “{rule.sentence}”"


def _out() -> Iterator[str]:
    reasons = sorted((why, rule_id) for rule_id, why in plan().not_applicable.items() if rules()[rule_id].is_static)
    for why, found in groupby(reasons, key=lambda pair: pair[0]):
        yield f"- {why[0].upper()}{why[1:]}: {', '.join(f'`{rule_id}`' for _, rule_id in found)}."
