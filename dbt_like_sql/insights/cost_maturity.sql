/*
description: >-
  Which share of the final cost of a usage day is known so many hours after its end, learned for each service from the
  days that are old enough to be final. Made of the ledger of arrivals: no charge is read.
grain: [as_of_day, billing_account_id, billing_currency, service_name, age_hours]
partition: as_of_day
inputs: [usage_day_arrivals]
owner: finops
columns:
  as_of_day: {description: "The day as of which it was learned", tests: [not_null]}
  billing_account_id: {description: "Billing account whose days they are", tests: [not_null]}
  billing_currency: {description: "Currency of the account", tests: [not_null]}
  service_name: {description: "Service, as on the invoice; (all) is the account as a whole", tests: [not_null]}
  age_hours: {description: "Hours since the end of the usage day in the billing time zone; below 0 it is not over", tests: [not_null]}
  days_learned_from: {description: "Usage days behind the shares", tests: [not_null]}
  known_share: {description: "The median share of final billed cost that is known at this age; above 1 before credits came", tests: [not_null]}
  known_share_low: {description: "The share that 19 of 20 days exceed", tests: [not_null]}
  known_share_high: {description: "The share that 1 of 20 days exceeds", tests: [not_null]}
*/
with ages as (
    select age_hours, row_number() over (order by age_hours) as place
    from (
        select generate_series(-12, 48, 3) as age_hours
        union all
        select unnest(array[60, 72, 96, 120, 168, 240, 336, 480, 720])
    ) as each_age
),

arrivals as (
    select
        usage_day,
        billing_account_id,
        billing_currency,
        coalesce(service_name, '(unattributed)') as service_name,
        billed_cost,
        -- The place of the first age at which it is known.
        width_bucket(
            ceil(extract(epoch from last_export_time - ((usage_day + 1)::timestamp at time zone :billing_timezone)) / 3600)
            - 1,
            array(select age_hours::numeric from ages order by age_hours)
        ) + 1 as place
    from finops.usage_day_arrivals
    -- A day of 30 days ago is final but for its rare corrections; older than four months, a service behaved otherwise.
    where usage_day > :start_day - 120 and usage_day <= :start_day - 30 and cost_type = 'regular'
),

members as (
    select
        usage_day, billing_account_id, billing_currency, coalesce(service_name, '(all)') as service_name, place,
        sum(billed_cost) as billed_cost
    from arrivals
    group by usage_day, billing_account_id, billing_currency, place, grouping sets ((service_name), ())
),

finals as (
    select usage_day, billing_account_id, billing_currency, service_name, sum(billed_cost) as billed_cost
    from members
    group by usage_day, billing_account_id, billing_currency, service_name
    having sum(billed_cost) > 0
),

known as (
    select
        ages.age_hours,
        finals.billing_account_id,
        finals.billing_currency,
        finals.service_name,
        sum(coalesce(members.billed_cost, 0)) over (
            partition by finals.usage_day, finals.billing_account_id, finals.billing_currency, finals.service_name
            order by ages.place
        ) / finals.billed_cost as share
    from finals
    cross join ages
    left join members using (usage_day, billing_account_id, billing_currency, service_name, place)
)

select
    :start_day::date as as_of_day,
    billing_account_id,
    billing_currency,
    service_name,
    age_hours,
    count(*) as days_learned_from,
    round(percentile_disc(0.5) within group (order by share), 6) as known_share,
    round(percentile_disc(0.05) within group (order by share), 6) as known_share_low,
    round(percentile_disc(0.95) within group (order by share), 6) as known_share_high
from known
group by billing_account_id, billing_currency, service_name, age_hours
