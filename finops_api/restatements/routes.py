"""GET /v1/restatements."""

from typing import Annotated

from fastapi import APIRouter, Query

from finops_api.access import Pool, Reader
from finops_api.database import rows
from finops_api.errors import AskedTwice, BadQuestion, DatabaseUnreachable, NotAllowed, documented
from finops_api.questions import each_once, within
from finops_api.restatements.models import RestatementInfo, RestatementMeta, RestatementQuery, Restatements

router = APIRouter(prefix="/v1", tags=["restatements"])

NEWEST_FIRST = """
    select json_build_object(
        'restatement_id', restatement_id, 'usage_day', usage_day, 'billing_account_id', billing_account_id,
        'billing_currency', billing_currency, 'billed_cost_before', trim_scale(billed_cost_before)::text,
        'billed_cost_after', trim_scale(billed_cost_after)::text,
        'billed_cost_change', trim_scale(billed_cost_after - billed_cost_before)::text,
        'cause', cause, 'export_days', export_days, 'restated_at', restated_at, 'run_id', run_id
    )
    from finops.restatements
    where (%(start)s::date is null or usage_day >= %(start)s) and (%(end)s::date is null or usage_day < %(end)s)
    and (%(since)s::timestamptz is null or restated_at > %(since)s)
    and (%(accounts)s::text[] = '{}' or billing_account_id = any(%(accounts)s))
    and (%(causes)s::text[] = '{}' or cause = any(%(causes)s))
    and (%(before)s::bigint is null or restatement_id < %(before)s)
    order by restatement_id desc limit %(limit)s
"""


@router.get(
    "/restatements",
    operation_id="listRestatements",
    responses=documented(AskedTwice, BadQuestion, NotAllowed, DatabaseUnreachable),
)
async def list_restatements(
    query: Annotated[RestatementQuery, Query()],
    pool: Pool,
    principal: Reader,
    _: Annotated[None, each_once(RestatementQuery)],
) -> Restatements:
    """Every usage day and account whose served figures moved: before, after, cause, and the export days that did it."""
    principal.sees_whole_accounts()
    query = within(query, pool.scope)
    parameters = {
        **query.model_dump(include={"start", "end", "since", "before"}),
        "accounts": query.billing_account,
        "causes": query.cause,
        "limit": query.limit + 1,  # one more tells whether there is a next page
    }
    found = [RestatementInfo.model_validate(item) for (item,) in await rows(pool, NEWEST_FIRST, parameters)]
    page = found[: query.limit]
    return Restatements(
        items=page, meta=RestatementMeta(next=page[-1].restatement_id if len(found) > len(page) else None)
    )
