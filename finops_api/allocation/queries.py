"""The SQL of coverage and allocations, each of one snapshot."""

from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection

from finops_api.allocation.models import (
    Allocated,
    AllocatedTotal,
    AllocationMeta,
    AllocationQuery,
    Allocations,
    Coverage,
    CoverageQuery,
    Covered,
    CoveredDay,
)
from finops_api.catalogue.queries import applied_rules
from finops_api.costs.models import MAX_ROWS, ResolvedQuery
from finops_api.database import rows
from finops_api.errors import TooManyRows, UnknownDimension
from finops_api.known import Known
from finops_warehouse.dimensions import CustomDimension

COVERED_FROM = "cost_by_custom_daily"
ALLOCATED_FROM = "allocated_costs"

COVERED = """
    with days as (
        select usage_day, billing_currency, sum(billed_cost) as billed_cost,
            coalesce(sum(billed_cost) filter (
                where coalesce(custom ->> %(dimension)s, %(default)s) <> %(default)s
            ), 0) as owned_cost
        from finops.cost_by_custom_daily
        where usage_day >= %(start)s and usage_day < %(end)s
        and (%(accounts)s::text[] = '{}' or billing_account_id = any(%(accounts)s))
        and (%(currencies)s::text[] = '{}' or billing_currency = any(%(currencies)s))
        group by 1, 2
    ),
    totals as (
        select billing_currency, sum(owned_cost) as owned_cost, sum(billed_cost) as billed_cost
        from days where usage_day < %(counted_end)s group by 1
    )
    select
        (select coalesce(json_agg(json_build_object(
            'billing_currency', billing_currency, 'owned_cost', trim_scale(owned_cost)::text,
            'billed_cost', trim_scale(billed_cost)::text, 'share', round(owned_cost / nullif(billed_cost, 0), 6)::text
        ) order by billing_currency), '[]') from totals),
        (select coalesce(json_agg(json_build_object(
            'usage_day', usage_day, 'estimated', usage_day >= %(counted_end)s,
            'billing_currency', billing_currency, 'owned_cost', trim_scale(owned_cost)::text,
            'billed_cost', trim_scale(billed_cost)::text, 'share', round(owned_cost / nullif(billed_cost, 0), 6)::text
        ) order by usage_day, billing_currency), '[]') from days)
"""

ALLOCATED = """
    with lines as (
        select case when %(daily)s then usage_day end as usage_day, billing_currency, member, moved_by,
            sum(direct_cost) as direct_cost, sum(moved_cost) as moved_cost
        from finops.allocated_costs
        where dimension = %(dimension)s and usage_day >= %(start)s and usage_day < %(counted_end)s
        and (%(accounts)s::text[] = '{}' or billing_account_id = any(%(accounts)s))
        and (%(currencies)s::text[] = '{}' or billing_currency = any(%(currencies)s))
        and (%(members)s::text[] = '{}' or member = any(%(members)s))
        group by 1, 2, 3, 4
    ),
    members as (
        select usage_day, billing_currency, member, sum(direct_cost) as direct_cost, sum(moved_cost) as moved_cost,
            json_agg(
                json_build_object('shared_cost', moved_by, 'amount', trim_scale(moved_cost)::text) order by moved_by
            ) filter (where moved_by is not null) as moved
        from lines group by 1, 2, 3
        order by usage_day, billing_currency, sum(direct_cost + moved_cost) desc, member limit %(limit)s
    )
    select
        (select coalesce(json_agg(json_build_object(
            'usage_day', usage_day, 'billing_currency', billing_currency, 'member', member,
            'direct_cost', trim_scale(direct_cost)::text, 'moved_cost', trim_scale(moved_cost)::text,
            'billed_cost', trim_scale(direct_cost + moved_cost)::text, 'moved', coalesce(moved, '[]')
        )), '[]') from members),
        (select coalesce(json_agg(total order by total.billing_currency), '[]') from (
            select billing_currency, trim_scale(sum(direct_cost))::text as direct_cost,
                trim_scale(sum(moved_cost))::text as moved_cost,
                trim_scale(sum(direct_cost + moved_cost))::text as billed_cost
            from lines group by 1
        ) as total)
"""


async def coverage(connection: AsyncConnection, asked: CoverageQuery, when: ResolvedQuery, known: Known) -> Coverage:
    """The answer. Raises `UnknownDimension` when the rules in force have no such dimension."""
    version, custom = await _dimension(connection, asked.dimension)
    [(totals, days)] = await rows(connection, COVERED, {**_parameters(asked, when), "default": custom.default})
    return Coverage(
        totals=[Covered.model_validate(total) for total in totals],
        items=[CoveredDay.model_validate(day) for day in days],
        meta=_meta(asked, when, known, version),
    )


async def allocations(
    connection: AsyncConnection, asked: AllocationQuery, when: ResolvedQuery, known: Known
) -> Allocations:
    """The answer. Raises as `coverage` does, and `TooManyRows` rather than cut an answer short unseen."""
    version, _ = await _dimension(connection, asked.dimension)
    daily = asked.granularity == "daily"
    parameters = {**_parameters(asked, when), "daily": daily, "members": asked.member, "limit": MAX_ROWS + 1}
    [(items, totals)] = await rows(connection, ALLOCATED, parameters)
    if len(items) > MAX_ROWS:
        raise TooManyRows(f"The answer has more than {MAX_ROWS} rows. Take a shorter window, or granularity total.")
    return Allocations(
        items=[Allocated.model_validate(item) for item in items],
        totals=[AllocatedTotal.model_validate(total) for total in totals],
        meta=_meta(asked, when, known, version),
    )


async def _dimension(connection: AsyncConnection, name: str) -> tuple[int, CustomDimension]:
    version, rules = await applied_rules(connection)
    if version is None or name not in rules.by_name:
        there_are = ", ".join(rules.by_name) or "none"
        raise UnknownDimension(f"There is no custom dimension {name}. There are: {there_are}.")
    return version, rules.by_name[name]


def _parameters(asked: CoverageQuery, when: ResolvedQuery) -> dict[str, Any]:
    return {
        "dimension": asked.dimension,
        "start": when.start,
        "end": when.end,
        "counted_end": when.counted_end,
        "accounts": asked.billing_account,
        "currencies": asked.billing_currency,
    }


def _meta(asked: CoverageQuery, when: ResolvedQuery, known: Known, version: int) -> AllocationMeta:
    counted_through = when.counted_end - timedelta(days=1)
    return AllocationMeta(
        dimension=asked.dimension,
        start=when.start,
        end=when.end,
        rules_version=version,
        data_version=known.version,
        complete_through=when.complete_through,
        counted_through=counted_through if counted_through >= when.start else None,
        missing_days=known.missing_days((when.start, when.end)),
        behind_days=known.behind_days(when.start, when.end),
    )
