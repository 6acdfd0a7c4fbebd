/*
description: >-
  What each member of a custom dimension cost on each usage day once shared costs are split over the members. A row
  without a shared cost is what the member's own charges cost; a row with one is what the member gave away of it
  (negative) or took of it. Every dimension tells all costs once: never add two of them.
grain: [usage_day, billing_account_id, billing_currency, dimension, member, moved_by]
partition: usage_day
inputs: [aggregated_cost_data]
owner: finops
columns:
  usage_day: {description: "Day of use in the billing time zone", tests: [not_null]}
  billing_account_id: {description: "Billing account that pays; a cost stays with its account, however it is split", tests: [not_null]}
  billing_currency: {description: "Currency of every amount in the row", tests: [not_null]}
  dimension: {description: "Custom dimension", tests: [not_null]}
  member: {description: "Its member; (not split) where a shared cost found nobody to be split over", tests: [not_null]}
  moved_by: {description: "Name of the shared cost; NULL is what the member's own charges cost"}
  direct_cost: {description: "Billed cost of the member's own charges, shared ones included", unit: billing_currency, tests: [not_null]}
  moved_cost: {description: "What the shared cost took from the member (negative) or gave to it", unit: billing_currency, tests: [not_null]}
  billed_cost: {description: "direct_cost + moved_cost; adds up to the facts of the day, for every dimension", unit: billing_currency, tests: [not_null]}
  charge_count: {description: "Rows of the export behind direct_cost", tests: [not_null]}
identities:
  - sum(billed_cost) = sum(aggregated_cost_data.billed_cost), for every dimension
  - sum(moved_cost) = 0, for every shared cost
*/
with facts as (
    select
        *,
        finops.shared_cost_rules(
            billing_account_id, invoice_month, sub_account_id, sub_account_name, service_id, service_name, sku_id,
            sku_description, region_id, charge_category, cost_type, custom
        ) as shared_by
    from finops.aggregated_cost_data
    where usage_day >= :start_day and usage_day < :end_day
),

own as (
    select
        facts.usage_day, facts.billing_account_id, facts.billing_currency, assigned.dimension, assigned.member,
        facts.shared_by ->> assigned.dimension as moved_by,
        sum(facts.billed_cost) as billed_cost,
        sum(facts.effective_cost) as effective_cost,
        sum(facts.contracted_cost) as contracted_cost,
        sum(facts.list_cost) as list_cost,
        sum(facts.cost) as cost,
        sum(facts.charge_count) as charge_count
    from facts cross join lateral jsonb_each_text(facts.custom) as assigned (dimension, member)
    group by 1, 2, 3, 4, 5, 6
),

splits as (
    select
        rule.name as moved_by,
        rule.split ->> 'dimension' as dimension,
        rule.split ->> 'how' as how,
        rule.split ->> 'by' as by_measure,
        rule.split -> 'members' as members,
        rule.split -> 'shares' as shares,
        rule.split ->> 'default' as default_member
    from jsonb_each(finops.shared_cost_splits()) as rule (name, split)
),

pools as (
    select usage_day, billing_account_id, billing_currency, dimension, moved_by, sum(billed_cost) as amount
    from own
    where moved_by is not null
    group by 1, 2, 3, 4, 5
),

-- Costs that are shared themselves are nobody's measure: so no split waits for another.
measured as (
    select
        own.usage_day, own.billing_currency, splits.moved_by, own.member,
        case splits.how when 'even' then 1 else sum(
            case splits.by_measure
                when 'billed_cost' then own.billed_cost
                when 'effective_cost' then own.effective_cost
                when 'contracted_cost' then own.contracted_cost
                when 'list_cost' then own.list_cost
                when 'cost' then own.cost
            end
        ) end as weight
    from own
    inner join splits on own.dimension = splits.dimension
    where own.moved_by is null
    and splits.how <> 'fixed'
    and case
        when jsonb_typeof(splits.members) = 'array' then splits.members ? own.member
        else own.member <> splits.default_member
    end
    group by own.usage_day, own.billing_currency, splits.moved_by, splits.how, own.member
),

weights as (
    select * from measured where weight > 0
    union all
    select distinct pools.usage_day, pools.billing_currency, splits.moved_by, share.member, share.percent::numeric
    from pools
    inner join splits on pools.moved_by = splits.moved_by
    cross join lateral jsonb_each_text(splits.shares) as share (member, percent)
),

split as (
    select
        pools.usage_day, pools.billing_account_id, pools.billing_currency, pools.dimension, pools.moved_by,
        array_agg(weights.member order by weights.member) as members,
        finops.split_cost(pools.amount, array_agg(weights.weight order by weights.member)) as parts
    from pools
    inner join weights
        on pools.usage_day = weights.usage_day
        and pools.billing_currency = weights.billing_currency
        and pools.moved_by = weights.moved_by
    group by 1, 2, 3, 4, 5, pools.amount
),

moved as (
    select usage_day, billing_account_id, billing_currency, dimension, member, moved_by, -billed_cost as amount
    from own
    where moved_by is not null
    union all
    select usage_day, billing_account_id, billing_currency, dimension, taken.member, moved_by, taken.part
    from split cross join lateral unnest(members, parts) as taken (member, part)
    union all
    select usage_day, billing_account_id, billing_currency, dimension, '(not split)', moved_by, amount
    from pools
    where not exists (
        select from split
        where split.usage_day = pools.usage_day
        and split.billing_account_id = pools.billing_account_id
        and split.billing_currency = pools.billing_currency
        and split.dimension = pools.dimension
        and split.moved_by = pools.moved_by
    )
),

lines as (
    select
        usage_day, billing_account_id, billing_currency, dimension, member, null::text as moved_by,
        billed_cost as direct_cost, 0 as moved_cost, charge_count
    from own
    union all
    select usage_day, billing_account_id, billing_currency, dimension, member, moved_by, 0, amount, 0 from moved
)

select
    usage_day,
    billing_account_id,
    billing_currency,
    dimension,
    member,
    moved_by,
    sum(direct_cost) as direct_cost,
    sum(moved_cost) as moved_cost,
    sum(direct_cost + moved_cost) as billed_cost,
    sum(charge_count) as charge_count
from lines
group by 1, 2, 3, 4, 5, 6
