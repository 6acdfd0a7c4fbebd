"""GET /v1/focus/conformance: every rule of the specification against our rows."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from finops_api.access import Pool, Reader
from finops_api.database import rows, snapshot
from finops_api.errors import AskedTwice, BadQuestion, DatabaseUnreachable, EmptyWindow, NotAllowed, documented
from finops_api.focus.models import Conformance, ConformanceMeta, ConformanceQuery, RuleInfo
from finops_api.questions import each_once
from finops_warehouse.focus.conformance import FOUND, INVOICE_RULE, INVOICES, Counted, Verdict, score, verdicts

router = APIRouter(prefix="/v1/focus", tags=["focus"])

DAYS = """
    select min(usage_day), max(usage_day),
        (select coalesce(max(version), 0) from finops.materialisation where asset = 'focus_conformance')
    from finops.focus_conformance
    where (%(first)s::date is null or usage_day >= %(first)s) and (%(last)s::date is null or usage_day <= %(last)s)
"""


@router.get(
    "/conformance",
    operation_id="getFocusConformance",
    responses=documented(BadQuestion, AskedTwice, EmptyWindow, NotAllowed, DatabaseUnreachable),
)
async def get_focus_conformance(
    query: Annotated[ConformanceQuery, Query()],
    pool: Pool,
    _: Reader,
    __: Annotated[None, each_once(ConformanceQuery)],
) -> Conformance:
    """The computed score over FOCUS 1.2, and each rule that fails with its reason and rows that break it.

    Counted when a usage day is built. That rows add up to their invoices is proven by closed month, whatever the
    window.
    """
    if query.start and query.end and query.start >= query.end:
        raise EmptyWindow(f"No day lies from {query.start} to {query.end}: end is not included.")
    window = {"first": query.start, "last": query.end - timedelta(days=1) if query.end else None}
    async with snapshot(pool) as moment:
        [(first, last, version)] = await rows(moment, DAYS, window)
        found = {rule_id: Counted(*counts) for rule_id, *counts in await rows(moment, FOUND, window)}
        [invoices] = await rows(moment, INVOICES)
    judged = verdicts({**found, INVOICE_RULE: Counted(*invoices)})
    static = score(judged)
    dynamic = [verdict.status for verdict in judged.values() if not verdict.rule.is_static]
    return Conformance(
        items=[_told(verdict) for verdict in judged.values() if verdict.status == query.status],
        meta=ConformanceMeta(
            focus_version="1.2",
            first_usage_day=first,
            last_usage_day=last,
            data_version=version,
            score_percent=None if first is None or static.percent is None else f"{static.percent:.2f}",
            static_passed=static.passed,
            static_failed=static.failed,
            static_not_applicable=static.not_applicable,
            dynamic_passed=dynamic.count("passed"),
            dynamic_failed=dynamic.count("failed"),
            dynamic_not_proven=dynamic.count("not_applicable"),
        ),
    )


def _told(verdict: Verdict) -> RuleInfo:
    rule, counted = verdict.rule, verdict.counted
    return RuleInfo(
        rule_id=rule.rule_id,
        reference=rule.reference,
        keyword=rule.keyword,
        sentence=rule.sentence,
        is_static=rule.is_static,
        status=verdict.status,
        reason=verdict.reason,
        corrected_because=rule.corrected_because,
        rows_checked=counted.rows_checked,
        rows_failed=counted.rows_failed,
        examples=list(counted.examples),
    )
