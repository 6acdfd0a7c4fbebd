/*
description: >-
  After how many export days the cost of a usage day is as good as final, for each billing account: the fewest after
  which nine of ten past days were known to the share that is asked for, service by service, and never less than two. "Complete through" follows.
grain: [as_of_day, billing_account_id]
partition: as_of_day
inputs: [usage_day_arrivals]
owner: finops
columns:
  as_of_day: {description: "The day as of which it was learned", tests: [not_null]}
  billing_account_id: {description: "Billing account whose days they are", tests: [not_null]}
  after_days: {description: "Export days after the usage day that have to be loaded", tests: [not_null]}
  days_learned_from: {description: "Usage days behind it; 0 where it is set, or assumed of an account with too short a past", tests: [not_null]}
  known_share: {description: "The share of final cost that nine of ten days had by then; 1 less what was missing or moved, service by service", tests: [not_null]}
*/
with arrivals as (
    select
        billing_account_id,
        billing_currency,
        usage_day,
        coalesce(service_name, '(unattributed)') as service_name,
        greatest(export_day - usage_day, 0) as after_days,
        sum(billed_cost) as billed_cost
    from finops.usage_day_arrivals
    where usage_day > :start_day - 120 and usage_day <= :start_day - 30 and cost_type = 'regular'
    group by billing_account_id, billing_currency, usage_day, service_name, export_day
),

accounts as (
    select distinct billing_account_id from finops.usage_day_arrivals where usage_day > :start_day - 120
),

services as (
    select
        lags.after_days,
        arrivals.billing_account_id,
        arrivals.usage_day,
        abs(sum(arrivals.billed_cost)) as final_cost,
        abs(coalesce(sum(arrivals.billed_cost) filter (where arrivals.after_days > lags.after_days), 0)) as missing_cost
    from arrivals cross join generate_series(0, 14) as lags (after_days)
    group by
        lags.after_days, arrivals.billing_account_id, arrivals.billing_currency, arrivals.usage_day,
        arrivals.service_name
),

-- The amounts of a service are weighed within one account, which has one currency; none are added across accounts.
days as (
    select
        after_days,
        billing_account_id,
        usage_day,
        1 - sum(missing_cost) / nullif(sum(final_cost), 0) as known_share
    from services
    group by after_days, billing_account_id, usage_day
),

known as (
    select
        billing_account_id,
        after_days,
        count(known_share) as days_learned_from,
        percentile_disc(0.1) within group (order by known_share) as known_share
    from days
    group by billing_account_id, after_days
),

learned as (
    select distinct on (billing_account_id) billing_account_id, after_days, days_learned_from, known_share
    from known
    where days_learned_from >= 28 and (known_share >= :complete_share or after_days = 14)
    order by billing_account_id, after_days
)

select
    :start_day::date as as_of_day,
    accounts.billing_account_id,
    -- A few weeks show no rare slow day: less than two days are never learned, only set.
    coalesce(:complete_after_days::int, greatest(learned.after_days, 2), 2) as after_days,
    case when :complete_after_days::int is null then coalesce(learned.days_learned_from, 0) else 0 end as days_learned_from,
    case
        when :complete_after_days::int is null then round(coalesce(learned.known_share, 0), 6) else 0
    end as known_share
from accounts left join learned using (billing_account_id)
