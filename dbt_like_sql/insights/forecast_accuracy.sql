/*
description: >-
  The rolling back-test: what was forecast as of a day, against what the days since then have cost. Its sums add up
  over as-of days, so the error and the coverage of any stretch of them is one division.
grain: [as_of_day, scope, billing_currency, horizon_days]
partition: as_of_day
inputs: [cost_forecast_days, cost_by_project_service_daily]
owner: finops
columns:
  as_of_day: {description: "The day whose forecasts are judged", tests: [not_null]}
  scope: {description: "total, billing_account, project or service", tests: [not_null]}
  billing_currency: {description: "Currency of every amount in the row", tests: [not_null]}
  horizon_days: {description: "How far ahead the days were: 1-7, 8-14 or 15-31", tests: [not_null]}
  points: {description: "Forecast days that are over", tests: [not_null]}
  actual_cost: {description: "What those days cost, as absolute amounts", unit: billing_currency, tests: [not_null]}
  absolute_error: {description: "How far off the forecasts were; divided by actual_cost it is the WAPE", unit: billing_currency, tests: [not_null]}
  floor_absolute_error: {description: "How far off the same weekday again would have been", unit: billing_currency, tests: [not_null]}
  error: {description: "Forecast less actual; divided by actual_cost it is the bias", unit: billing_currency, tests: [not_null]}
  within_80: {description: "Points inside their 80 % interval", tests: [not_null]}
  within_95: {description: "Points inside their 95 % interval", tests: [not_null]}
*/
with forecasts as (
    select * from finops.cost_forecast_days
    where as_of_day >= :start_day and as_of_day < :end_day and usage_day <= :complete_through
),

costs as (
    select
        usage_day,
        billing_currency,
        case
            when grouping(billing_account_id) = 0 then 'billing_account'
            when grouping(coalesce(sub_account_id, '(unattributed)')) = 0 then 'project'
            when grouping(coalesce(service_id, '(unattributed)')) = 0 then 'service'
            else 'total'
        end as scope,
        coalesce(
            billing_account_id, coalesce(sub_account_id, '(unattributed)'), coalesce(service_id, '(unattributed)'), 'all'
        ) as member,
        sum(billed_cost) as billed_cost
    from finops.cost_by_project_service_daily
    where usage_day > :start_day and usage_day <= :complete_through and usage_day < :end_day + 31
    group by usage_day, billing_currency, grouping sets (
        (), (billing_account_id), (coalesce(sub_account_id, '(unattributed)')), (coalesce(service_id, '(unattributed)'))
    )
),

judged as (
    select
        forecasts.*,
        coalesce(costs.billed_cost, 0) as actual_cost,
        case
            when forecasts.usage_day - forecasts.as_of_day <= 7 then '1-7'
            when forecasts.usage_day - forecasts.as_of_day <= 14 then '8-14'
            else '15-31'
        end as horizon_days
    from forecasts left join costs using (usage_day, billing_currency, scope, member)
)

select
    as_of_day,
    scope,
    billing_currency,
    horizon_days,
    count(*) as points,
    sum(abs(actual_cost)) as actual_cost,
    sum(abs(expected_cost - actual_cost)) as absolute_error,
    sum(abs(floor_cost - actual_cost)) as floor_absolute_error,
    sum(expected_cost - actual_cost) as error,
    count(*) filter (where actual_cost between low_80 - 0.005 and high_80 + 0.005) as within_80,
    count(*) filter (where actual_cost between low_95 - 0.005 and high_95 + 0.005) as within_95
from judged
group by as_of_day, scope, billing_currency, horizon_days
