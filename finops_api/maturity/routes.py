"""GET /v1/maturity and /v1/nowcast."""

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Query, Request

from finops_api.access import Pool, Reader
from finops_api.catalogue.queries import last_complete_day
from finops_api.database import rows, snapshot
from finops_api.errors import AskedTwice, BadQuestion, DatabaseUnreachable, NotAllowed, NothingLoaded, documented
from finops_api.maturity.models import (
    AccountInfo,
    Curve,
    Maturity,
    MaturityMeta,
    MaturityQuery,
    NowcastInfo,
    NowcastMeta,
    NowcastQuery,
    Nowcasts,
)
from finops_api.questions import each_once, within
from finops_insights.nowcast import Shares, nowcast
from finops_warehouse.freshness import ACCOUNTS
from finops_warehouse.settings import Settings

router = APIRouter(prefix="/v1", tags=["maturity"])

REFUSALS = documented(AskedTwice, BadQuestion, NotAllowed, NothingLoaded, DatabaseUnreachable)

CURVES = """
    with newest as (select max(as_of_day) as as_of_day from finops.cost_maturity)
    select as_of_day, json_build_object(
        'billing_account_id', billing_account_id, 'billing_currency', billing_currency, 'service_name', service_name,
        'days_learned_from', max(days_learned_from),
        'points', json_agg(json_build_object(
            'age_hours', age_hours, 'known_share', trim_scale(known_share)::text,
            'known_share_low', trim_scale(known_share_low)::text, 'known_share_high', trim_scale(known_share_high)::text
        ) order by age_hours)
    )
    from finops.cost_maturity join newest using (as_of_day)
    where (%(accounts)s::text[] = '{}' or billing_account_id = any(%(accounts)s))
    and (%(services)s::text[] = '{}' or service_name = any(%(services)s))
    group by as_of_day, billing_account_id, billing_currency, service_name
    order by billing_account_id, billing_currency, service_name
"""

# Regular charges only, as the curves are learned: a tax or an adjustment is not there in part.
UNFINISHED = """
    with heard as (
        select billing_account_id, max(last_export_time) as at from finops.usage_day_arrivals
        where export_day >= (select max(export_day) - 7 from finops.export_day_ledger where row_count > 0)
        group by billing_account_id
    ),
    known as (
        select usage_day, billing_account_id, billing_currency,
            case when %(by_service)s then coalesce(service_name, '(unattributed)') else '(all)' end as service_name,
            sum(billed_cost) as known_cost
        from finops.cost_by_service_daily
        where usage_day > %(complete_through)s and charge_category in ('Usage', 'Purchase')
        and (%(accounts)s::text[] = '{}' or billing_account_id = any(%(accounts)s))
        group by 1, 2, 3, 4
    ),
    aged as (
        select known.*, floor(extract(
            epoch from heard.at - ((usage_day + 1)::timestamp at time zone %(billing_timezone)s)
        ) / 3600)::int as age_hours
        from known join heard using (billing_account_id)
    )
    select aged.*, curve.days_learned_from, curve.known_share, curve.known_share_low, curve.known_share_high
    from aged
    left join lateral (
        select * from finops.cost_maturity as point
        where point.as_of_day = (select max(as_of_day) from finops.cost_maturity)
        and point.billing_account_id = aged.billing_account_id and point.billing_currency = aged.billing_currency
        and point.service_name = aged.service_name and point.age_hours <= aged.age_hours
        order by point.age_hours desc limit 1
    ) as curve on true
    order by aged.usage_day, aged.billing_account_id, aged.known_cost desc, aged.service_name
"""


@router.get("/maturity", operation_id="getMaturity", responses=REFUSALS)
async def get_maturity(
    query: Annotated[MaturityQuery, Query()], pool: Pool, _: Reader, __: Annotated[None, each_once(MaturityQuery)]
) -> Maturity:
    """Which share of final cost is known how long after a usage day, by service, and how many days say so."""
    query = within(query, pool.scope)
    async with snapshot(pool) as moment:
        found = await rows(moment, CURVES, {"accounts": query.billing_account, "services": query.service})
        accounts = await rows(moment, ACCOUNTS)
    return Maturity(
        items=[Curve.model_validate(curve) for _, curve in found],
        accounts=[
            AccountInfo(
                billing_account_id=account,
                after_days=after_days,
                days_learned_from=days,
                known_share=f"{share.normalize():f}",
                complete_through=complete,
            )
            for account, after_days, days, share, complete in accounts
        ],
        meta=MaturityMeta(as_of_day=found[0][0] if found else None),
    )


@router.get("/nowcast", operation_id="getNowcast", responses=REFUSALS)
async def get_nowcast(
    request: Request,
    query: Annotated[NowcastQuery, Query()],
    pool: Pool,
    _: Reader,
    __: Annotated[None, each_once(NowcastQuery)],
) -> Nowcasts:
    """What the unfinished days are expected to come to. No total, comparison, forecast or test ever holds it."""
    settings: Settings = request.app.state.settings
    query = within(query, pool.scope)
    async with snapshot(pool) as moment:
        complete = await last_complete_day(moment, query.billing_account)
        found = await rows(
            moment,
            UNFINISHED,
            {
                "complete_through": complete,
                "accounts": query.billing_account,
                "by_service": query.by_service,
                "billing_timezone": settings.billing_timezone,
            },
        )
    return Nowcasts(items=[_estimated(*row) for row in found], meta=NowcastMeta(complete_through=complete))


def _estimated(
    usage_day: object,
    account: str,
    currency: str,
    service: str,
    known: Decimal,
    age_hours: int,
    days: int | None,
    *shares: Decimal | None,
) -> NowcastInfo:
    median, low, high = shares
    learned = None if median is None or low is None or high is None else Shares(days or 0, median, low, high)
    expected = nowcast(known, learned)
    return NowcastInfo.model_validate(
        {
            "usage_day": usage_day,
            "billing_account_id": account,
            "billing_currency": currency,
            "service_name": service,
            "age_hours": age_hours,
            "known_cost": f"{known.normalize():f}",
            "known_share": None if median is None else f"{median.normalize():f}",
            "expected_cost": None if expected is None else f"{expected.expected_cost:f}",
            "low": None if expected is None else f"{expected.low:f}",
            "high": None if expected is None else f"{expected.high:f}",
            "days_learned_from": days or 0,
        }
    )
