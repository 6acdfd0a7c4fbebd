/*
description: >-
  The rows of the export with what FOCUS derives from each: region, category, and the costs, effective cost among them.
  No table is made of it: models, evidence and the FOCUS rows select from this one text, so that a fact is always the
  sum of its rows. Whoever does not ask for effective_cost does not pay for it: PostgreSQL leaves the join out.
materialized: ephemeral
grain: one row of the export
partition: usage_day
inputs: [raw_charges]
owner: finops
columns:
  stored_in: {description: "The storage partition, and with stored_at the place of the row in it: for the one statement that reads both"}
  stored_at: {description: "The place of the row"}
  region_id: {description: "Region, or the wider location where a charge has no region"}
  charge_category: {description: "FOCUS: Usage, Purchase (a commitment's fee), Tax or Adjustment"}
  list_cost: {description: "At list price; cost where the export gives no list price", unit: billing_currency}
  contracted_cost: {description: "At the contract's price, before commitments and credits", unit: billing_currency}
  effective_cost: {description: "Billed cost, with the used part of a commitment's fee on the usage it covers", unit: billing_currency}
  assignment: {description: "For each custom dimension the member and the rule that assigned it"}
*/
with charges as not materialized (
    select
        *,
        tableoid as stored_in,
        ctid as stored_at,
        coalesce(region, location) as region_id,
        case cost_type
            when 'regular' then case when sku_description ~* '^commitment' then 'Purchase' else 'Usage' end
            when 'tax' then 'Tax'
            else 'Adjustment'
        end as charge_category,
        coalesce(cost_at_list, cost) as list_cost,
        coalesce(cost_at_effective_price_default, cost) as contracted_cost
    from finops.raw_charges
    where usage_day >= :start_day and usage_day < :end_day
    -- The ledger knows which export days hold rows of these usage days: of the other partitions PostgreSQL looks into the
    -- index only. Bounds instead of the list would leave them out, and took a day's facts from 0.11 to 0.16 s.
    and export_day = any(array(
        select distinct arrivals.export_day from finops.usage_day_arrivals as arrivals
        where arrivals.usage_day >= :start_day and arrivals.usage_day < :end_day
    ))
),

-- Commitments of the consumption model need nothing: the fee is credited back as far as it was used and the usage is
-- billed at the committed price, so what is billed is effective already. The older models bill a fee and give credits.
commitments as (
    select
        charges.export_day, charges.row_hash, charges.occurrence,
        usage_day, billing_account_id, billing_currency, sku_id, service_id, service_name, region_id, pricing_unit,
        side.is_spend_based,
        charge_category = 'Purchase' as is_fee,
        case when charge_category = 'Purchase' then billed_cost else 0 end as fee,
        coalesce(credit_fee_utilization_offset, 0) <> 0 as is_offset,
        -- How much a fee pays for: usage at its price without the commitment, or a quantity.
        case
            when charge_category <> 'Purchase' then 0
            when not side.is_spend_based then pricing_quantity
            when service_name ~* 'sql' then cost / case when sku_description ~* '3.?year' then 0.48 else 0.75 end
            else cost / case when sku_description ~* '3.?year' then 0.54 else 0.72 end
        end as capacity,
        -- How much of a charge a commitment pays for, in the same terms.
        case
            when charge_category = 'Purchase' then 0
            when side.is_spend_based then -side.credit
            else -side.credit * pricing_quantity / nullif(cost, 0)
        end as covered
    from charges
    cross join lateral (
        values
            (true, credit_committed_usage_discount_dollar_base),
            (false, credit_committed_usage_discount)
    ) as side (is_spend_based, credit)
    where (
        charge_category = 'Purchase'
        or credit_committed_usage_discount_dollar_base <> 0
        or credit_committed_usage_discount <> 0
    )
    and case charge_category
        when 'Purchase' then side.is_spend_based = (sku_description ~* 'dollar.based')
        when 'Usage' then side.credit <> 0
    end
),

-- Who pays for whom: a resource-based commitment for its unit in its region; a spend-based one for its service, and
-- the one of Compute Engine, which is flexible, for services without a commitment of their own as well.
pooled as (
    select
        *,
        case when is_spend_based then null else concat_ws(' ', region_id, pricing_unit) end as unit_pool,
        case
            when is_spend_based and service_name <> 'Compute Engine' and bool_or(is_fee) over of_service then service_id
        end as service_pool,
        is_fee and bool_or(is_offset) over of_sku as is_consumption_model
    from commitments
    window
        of_service as (partition by usage_day, billing_account_id, billing_currency, is_spend_based, service_id),
        of_sku as (partition by usage_day, billing_account_id, billing_currency, is_spend_based, sku_id)
),

measured as (
    select
        *,
        sum(fee) over pool as pool_fee,
        greatest(sum(capacity) over pool, sum(covered) over pool) as pool_capacity,
        sum(covered) over pool as pool_covered,
        sum(fee) over (pool order by row_hash, occurrence, export_day rows unbounded preceding) as fee_so_far
    from pooled
    where not is_consumption_model
    window pool as (
        partition by usage_day, billing_account_id, billing_currency, is_spend_based, service_pool, unit_pool
    )
),

covering as (
    select
        *,
        case
            when is_fee or pool_fee = 0 or pool_covered <= 0 then 0
            else coalesce(round(pool_fee * covered / pool_capacity, 9), 0)
        end as received
    from measured
),

-- What the usage received leaves the fees, to the last digit: each gives the difference of two rounded running shares.
balanced as (
    select
        *,
        sum(received) over (
            partition by usage_day, billing_account_id, billing_currency, is_spend_based, service_pool, unit_pool
        ) as pool_received
    from covering
),

moved as (
    select
        export_day, row_hash, occurrence,
        sum(case
            when not is_fee or pool_received = 0 then received
            else round(pool_received * (fee_so_far - fee) / pool_fee, 9) - round(pool_received * fee_so_far / pool_fee, 9)
        end) as amount
    from balanced
    group by export_day, row_hash, occurrence
)

select charges.*, charges.billed_cost + coalesce(moved.amount, 0) as effective_cost, assigned.assignment
from charges
left join moved
    on moved.export_day = charges.export_day
    and moved.row_hash = charges.row_hash
    and moved.occurrence = charges.occurrence
-- Many charges carry the same labels, so their assignment is computed once and remembered. HAVING says that it is one
-- row: PostgreSQL then keeps it apart from the query around it, and leaves it out where nobody asks for it.
left join lateral (
    select finops.assign_dimensions(
        charges.labels, charges.project_labels, charges.tags, charges.project_ancestors, charges.sub_account_id,
        charges.sub_account_name
    ) as assignment
    having true
) as assigned on true
