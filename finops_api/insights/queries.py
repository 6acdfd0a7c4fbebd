"""The SQL behind anomalies, forecasts and recommendations; each answer is one statement's."""

from typing import Any

from psycopg import AsyncConnection

from finops_api.database import rows

NARROWED = """
    (cardinality(%(currencies)s::text[]) = 0 or billing_currency = any(%(currencies)s))
    and (cardinality(%(projects)s::text[]) = 0 or coalesce(sub_account_id, '(unattributed)') = any(%(projects)s)
        or sub_account_name = any(%(projects)s))
    and (cardinality(%(services)s::text[]) = 0 or coalesce(service_id, '(unattributed)') = any(%(services)s)
        or service_name = any(%(services)s))
"""

ANOMALIES = f"""
    with events as (
        select
            anomaly_id, scope, direction, billing_account_id, billing_currency,
            sub_account_id as project, max(sub_account_name) as project_name,
            service_id as service, max(service_name) as service_name,
            min(start_day) as start_day, max(usage_day) as last_day, count(*) as days,
            (array_agg(usage_day order by abs(excess_cost) desc))[1] as peak_day,
            (array_agg(severity order by usage_day desc))[1] as severity,
            trim_scale(sum(actual_cost))::text as actual_cost,
            trim_scale(sum(expected_cost))::text as expected_cost,
            trim_scale(sum(excess_cost))::text as excess_cost,
            abs(sum(excess_cost)) as size,
            (array_agg(causes order by abs(excess_cost) desc))[1] as causes,
            (array_agg(to_jsonb(explained_by) order by cardinality(explained_by) desc))[1] as explained_by
        from finops.cost_anomalies
        where {NARROWED}
        group by anomaly_id, scope, direction, billing_account_id, billing_currency, sub_account_id, service_id
    ),
    shown as (
        select
            events.*,
            (select insight_id from finops.llm_insights
                where subject = 'anomaly' and subject_id = anomaly_id order by period_start desc limit 1) as insight_id
        from events
        where last_day >= %(start)s and start_day < %(end)s
        and (%(include_explained)s or scope = 'project_service' or explained_by = '[]')
    )
    select
        (select coalesce(json_agg(to_jsonb(shown) - 'size' order by start_day desc, size desc), '[]') from shown),
        (select coalesce(max(version), 0) from finops.materialisation where asset = 'cost_anomalies')
"""  # noqa: S608 -- made of constants of ours

_BOUNDS = """json_build_object(
    'start', start_day, 'end', end_day, 'actual_to_date', trim_scale(actual_to_date)::text,
    'expected_cost', trim_scale(expected_cost)::text, 'low_80', trim_scale(low_80)::text,
    'high_80', trim_scale(high_80)::text, 'low_95', trim_scale(low_95)::text, 'high_95', trim_scale(high_95)::text
)"""

FORECASTS = f"""
    with newest as (
        select max(as_of_day) as day from finops.cost_forecasts where as_of_day <= coalesce(%(as_of)s, 'infinity'::date)
        and (%(as_of)s::date is null or as_of_day = %(as_of)s)
    ),
    asked as (
        select cost_forecasts.* from finops.cost_forecasts join newest on as_of_day = newest.day
        where scope = %(scope)s
        and (cardinality(%(members)s::text[]) = 0 or member = any(%(members)s) or member_name = any(%(members)s))
        and (cardinality(%(currencies)s::text[]) = 0 or billing_currency = any(%(currencies)s))
    ),
    items as (
        select
            as_of_day, scope, member, billing_currency, max(member_name) as member_name, max(model) as model,
            max(status) as status, max(history_days) as history_days,
            (array_agg({_BOUNDS}) filter (where period = 'month_end'))[1] as month_end,
            (array_agg({_BOUNDS}) filter (where period = 'next_30_days'))[1] as next_30_days,
            max(expected_cost) as size,
            (
                select json_agg(json_build_object(
                    'usage_day', usage_day, 'expected_cost', trim_scale(expected_cost)::text,
                    'low_80', trim_scale(low_80)::text, 'high_80', trim_scale(high_80)::text,
                    'low_95', trim_scale(low_95)::text, 'high_95', trim_scale(high_95)::text
                ) order by usage_day)
                from finops.cost_forecast_days as by_day
                where (by_day.as_of_day, by_day.scope, by_day.member, by_day.billing_currency)
                    = (asked.as_of_day, asked.scope, asked.member, asked.billing_currency)
            ) as days
        from asked
        group by as_of_day, scope, member, billing_currency
    )
    select
        (select coalesce(json_agg(to_jsonb(items) - 'size' order by size desc, member), '[]') from items),
        (select day from newest),
        (select coalesce(max(version), 0) from finops.materialisation where asset = 'cost_forecasts')
"""  # noqa: S608 -- made of constants of ours

ACCURACY = """
    with recent as (
        select * from finops.forecast_accuracy
        where as_of_day > (select max(as_of_day) from finops.forecast_accuracy) - 60
    ),
    items as (
        select
            scope, billing_currency, coalesce(horizon_days, '1-31') as horizon_days, sum(points)::bigint as points,
            round(sum(absolute_error) / nullif(sum(actual_cost), 0), 4)::text as wape,
            round(sum(floor_absolute_error) / nullif(sum(actual_cost), 0), 4)::text as floor_wape,
            round(sum(error) / nullif(sum(actual_cost), 0), 4)::text as bias,
            round(sum(within_80) / sum(points), 4)::text as coverage_80,
            round(sum(within_95) / sum(points), 4)::text as coverage_95
        from recent
        group by scope, billing_currency, rollup (horizon_days)
    )
    select
        (select coalesce(json_agg(items order by scope, billing_currency, points desc), '[]') from items),
        (select min(as_of_day) from recent),
        (select max(as_of_day) from recent),
        (select coalesce(max(version), 0) from finops.materialisation where asset = 'forecast_accuracy')
"""

# Of an anomaly only what was written last is shown; of a summary, the last one of each currency and period.
INSIGHTS = """
    with newest as (
        select distinct on (period, subject, subject_id, billing_currency) *
        from finops.llm_insights
        where period_start < %(end)s
        and (%(period)s::text is null or period = %(period)s) and (%(subject)s::text is null or subject = %(subject)s)
        and (cardinality(%(currencies)s::text[]) = 0 or billing_currency = any(%(currencies)s))
        and (cardinality(%(projects)s::text[]) = 0 or subject = 'spend_summary' or sub_account_id = any(%(projects)s))
        and (cardinality(%(services)s::text[]) = 0 or subject = 'spend_summary' or service_id = any(%(services)s))
        order by period, subject, subject_id, billing_currency, period_start desc
    )
    select json_build_object(
        'insight_id', insight_id, 'subject', subject, 'subject_id', subject_id, 'period', period,
        'period_start', period_start, 'billing_currency', billing_currency, 'project', sub_account_id,
        'service', service_id, 'severity', severity, 'template', template, 'facts', facts, 'engine', engine,
        'fallback_reason', fallback_reason, 'prompt_version', prompt_version,
        'data_through', case period when 'day' then period_start
            else least((period_start + interval '1 month')::date - 1, %(complete)s) end,
        'run_id', run_id, 'materialised_at', created_at
    )
    from newest
    where period_start >= %(start)s
    order by period_start desc, subject desc, array_position(array['high', 'medium', 'low'], severity), insight_id
    limit %(limit)s
"""

RECOMMENDATIONS = f"""
    with newest as (
        select max(partition_key)::date as day from finops.materialisation where asset = 'savings_recommendations'
    ),
    asked as (
        select savings_recommendations.* from finops.savings_recommendations
        join newest on as_of_day = newest.day
        where {NARROWED}
    ),
    items as (
        select
            recommendation_id, rule_id, title, billing_account_id, billing_currency,
            sub_account_id as project, sub_account_name as project_name, service_id as service, service_name,
            sku_description as sku_name, region_id as region,
            trim_scale(monthly_saving_low)::text as monthly_saving_low,
            trim_scale(monthly_saving_mid)::text as monthly_saving_mid,
            trim_scale(monthly_saving_high)::text as monthly_saving_high,
            confidence, assumption, exclusive_group, counted, first_seen, status, evidence,
            monthly_saving_mid * case confidence when 'high' then 1 when 'medium' then 0.6 else 0.25 end as size
        from asked
    ),
    totals as (
        select
            billing_currency,
            trim_scale(coalesce(sum(monthly_saving_low) filter (where counted), 0))::text as monthly_saving_low,
            trim_scale(coalesce(sum(monthly_saving_mid) filter (where counted), 0))::text as monthly_saving_mid,
            trim_scale(coalesce(sum(monthly_saving_high) filter (where counted), 0))::text as monthly_saving_high,
            count(*) as count
        from asked group by billing_currency
    )
    select
        (select coalesce(json_agg(to_jsonb(items) - 'size' order by size desc, recommendation_id), '[]') from items),
        (select coalesce(json_agg(totals order by billing_currency), '[]') from totals),
        (select day from newest),
        (select coalesce(max(version), 0) from finops.materialisation where asset = 'savings_recommendations')
"""  # noqa: S608 -- made of constants of ours


async def one_row(connection: AsyncConnection, statement: str, parameters: dict[str, Any]) -> tuple[Any, ...]:
    """The single row of a statement that aggregates its answer."""
    [row] = await rows(connection, statement, parameters)
    return row
