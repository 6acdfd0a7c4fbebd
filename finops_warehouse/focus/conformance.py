"""How far rows conform to FOCUS: from counts by rule to a verdict on every rule and a score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Literal

from psycopg import sql

from finops_warehouse.focus.compiling import ROW, Compiled, compiled
from finops_warehouse.focus.model import Rule, rules
from finops_warehouse.focus.view import COLUMN_TYPES, MODEL

INVOICE_RULE = "BilledCost-C-007-M"
"""The sum of an invoice's rows is the invoice: proven by month, by `invoice_months`, and not by day."""

MAX_EXAMPLES = 3

FOUND = """
    select rule_id, sum(rows_checked)::bigint, sum(rows_failed)::bigint,
        coalesce((array_agg(examples order by usage_day desc) filter (where rows_failed > 0))[1], '[]')
    from finops.focus_conformance
    where (%(first)s::date is null or usage_day >= %(first)s) and (%(last)s::date is null or usage_day <= %(last)s)
    group by rule_id
"""
"""What was counted of each rule from `first` to `last` (both included; NULL is open), with rows of the last bad day."""

INVOICES = """
    select count(*), count(*) filter (where residual <> 0),
        coalesce(json_agg(invoice_month || ' ' || billing_account_id || ' ' || billing_currency
            order by invoice_month desc) filter (where residual <> 0), '[]')
    from finops.invoice_months where invoice_total is not null and closed_from <= current_date
"""
"""The closed invoices that were handed in, and those that the rows do not add up to."""

Status = Literal["passed", "failed", "not_applicable"]


@dataclass(frozen=True)
class Counted:
    """What was found of a rule."""

    rows_checked: int
    rows_failed: int
    examples: tuple[str, ...] = ()
    """Names of rows that break it."""


@dataclass(frozen=True)
class Verdict:
    """What is to be said of a rule."""

    rule: Rule
    status: Status
    reason: str | None
    """Why it does not apply, or what failed."""
    counted: Counted


@dataclass(frozen=True)
class Score:
    """Static rules that apply, and how many of them hold. Composites are counted as the rules they are."""

    passed: int
    failed: int
    not_applicable: int

    @property
    def percent(self) -> Decimal | None:
        """Of those that apply, rounded down to a hundredth; None when none does."""
        applicable = self.passed + self.failed
        return Decimal(self.passed * 10000 // applicable) / 100 if applicable else None


@cache
def plan() -> Compiled:
    """The requirement model, compiled for our columns. Raises `UnknownRequirement`."""
    return compiled(COLUMN_TYPES)


def counting_statement() -> sql.Composed:
    """One scan of a day's rows: how many there are, and for each rule how many it speaks about and how many break it.

    Takes start_day and end_day.
    """
    counts = ", ".join(
        f"count(*) filter (where {check.applies}), count(*) filter (where {check.broken})"
        for check in plan().row_checks
    )
    return _over_focus(f"select count(*), {counts} from focus")  # noqa: S608 -- made of the model we ship


def examples_statement(rule_ids: Sequence[str]) -> sql.Composed:
    """The first rows that break each of these rules, as rule id and names. Takes start_day and end_day."""
    broken = {check.rule_id: check.broken for check in plan().row_checks}
    parts = [
        f"select '{rule_id}', array(select {ROW} from focus where {broken[rule_id]} "  # noqa: S608 -- as above
        f"order by 1 limit {MAX_EXAMPLES})"
        for rule_id in rule_ids
    ]
    return _over_focus(" union all ".join(parts))


def verdicts(found: Mapping[str, Counted]) -> dict[str, Verdict]:
    """A verdict on every rule of the model, from what was counted of those that are no composites."""
    known: dict[str, Verdict] = {}

    def judged(rule_id: str) -> Verdict:
        if rule_id not in known:
            rule = rules()[rule_id]
            known[rule_id] = _composite(rule, [judged(part) for part in rule.parts]) if rule.parts else _single(
                rule, found.get(rule_id)
            )  # fmt: skip
        return known[rule_id]

    return {rule_id: judged(rule_id) for rule_id in rules()}


def score(found: Mapping[str, Verdict]) -> Score:
    """The score over the Static rules."""
    statuses = [verdict.status for verdict in found.values() if verdict.rule.is_static]
    return Score(statuses.count("passed"), statuses.count("failed"), statuses.count("not_applicable"))


def _single(rule: Rule, counted: Counted | None) -> Verdict:
    nothing = Counted(0, 0)
    if rule.rule_id in plan().not_applicable and counted is None:
        return Verdict(rule, "not_applicable", plan().not_applicable[rule.rule_id], nothing)
    if counted is None or not counted.rows_checked:
        return Verdict(rule, "not_applicable", "no row that the rule speaks about", nothing)
    if counted.rows_failed:
        said = f"{counted.rows_failed} of {counted.rows_checked} rows: {rule.sentence}"
        return Verdict(rule, "failed", said, counted)
    return Verdict(rule, "passed", None, counted)


def _composite(rule: Rule, parts: Sequence[Verdict]) -> Verdict:
    """A composite holds when its parts do; those that do not apply say nothing. Of alternatives one is enough."""
    applicable = [part for part in parts if part.status != "not_applicable"]
    failed = [part for part in applicable if part.status == "failed"]
    most = Counted(
        max((part.counted.rows_checked for part in applicable), default=0),
        max((part.counted.rows_failed for part in failed), default=0),
    )
    if not applicable:
        return Verdict(rule, "not_applicable", "none of its parts applies", most)
    if failed and not (rule.any_part_is_enough and len(failed) < len(applicable)):
        return Verdict(rule, "failed", f"its parts fail: {', '.join(part.rule.rule_id for part in failed)}", most)
    return Verdict(rule, "passed", None, Counted(most.rows_checked, 0))


def _over_focus(query: str) -> sql.Composed:
    parts = MODEL.as_template(), query
    window = {"start_day": sql.Placeholder("start_day"), "end_day": sql.Placeholder("end_day")}
    focus = sql.SQL(parts[0].replace("%", "%%")).format(**window)
    return sql.SQL("with focus as materialized ({}) ").format(focus) + sql.SQL(query.replace("%", "%%"))
