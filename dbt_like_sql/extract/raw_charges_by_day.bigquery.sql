/*
description: >-
  What the hours of a usage day add up to, computed by BigQuery itself: the twin of raw_charges_by_day.sql, for exports
  too large to copy row by row. `billing_export` has the rows of one export day in the columns of the detailed export,
  with NULL for those the table does not have yet, and `unknown` for those we do not know. The same charges are added
  up by both twins, to the last digit.
grain: usage_day and all that tells charges apart but the hour; a commitment's charges stay alone
partition: export_day
dialect: bigquery
inputs: [billing_export]
owner: finops
columns:
  credits: {description: "Of a charge that stays alone; others have their credits by type"}
  arrivals: {description: "What arrived when, by three hours of export_time: how a day becomes final is learned from it"}
  repeated_cost: {description: "Billed cost of rows that are identical to an earlier one; NULL of a charge that stays alone", unit: billing_currency}
*/
with exact as (
    select
        *,
        if(
            cost is null or not (is_nan(cost) or is_inf(cost)),
            cast(coalesce(cost, 0) as numeric),
            error(concat('cost is ', cast(cost as string), ' in a charge of SKU ', coalesce(sku.description, sku.id, '?')))
        ) as exact_cost,
        array(
            select as struct c.name, cast(coalesce(c.amount, 0) as numeric) as amount, c.full_name, c.id, c.type
            from unnest(credits) as c
        ) as paid_by,
        concat(' in a charge of SKU ', coalesce(sku.description, sku.id, '?')) as in_a_charge,
        md5(to_json_string(billing_export)) as content
    from billing_export
),

flattened as (
    select
        ---------- what tells charges apart but their hour
        struct(
            coalesce(
                date(usage_start_time, @billing_timezone), error(concat('usage_start_time is NULL', in_a_charge))
            ) as usage_day,
            coalesce(billing_account_id, error(concat('billing_account_id is NULL', in_a_charge))) as billing_account_id,
            if(
                regexp_contains(invoice.month, r'^[0-9]{4}(0[1-9]|1[0-2])$'),
                invoice.month,
                error(concat('invoice.month is ', coalesce(invoice.month, 'NULL'), in_a_charge))
            ) as invoice_month,
            coalesce(currency, error(concat('currency is NULL', in_a_charge))) as billing_currency,
            coalesce(cost_type, error(concat('cost_type is NULL', in_a_charge))) as cost_type,
            invoice.publisher_type as invoice_publisher_type,
            service.id as service_id,
            service.description as service_name,
            sku.id as sku_id,
            sku.description as sku_description,
            project.id as sub_account_id,
            project.name as sub_account_name,
            project.number as project_number,
            project.ancestry_numbers as project_ancestry_numbers,
            project.ancestors as project_ancestors,
            project.labels as project_labels,
            labels as labels,
            system_labels as system_labels,
            tags as tags,
            location.location as location,
            location.country as country,
            location.region as region,
            location.zone as zone,
            cast(currency_conversion_rate as numeric) as currency_conversion_rate,
            usage.unit as consumed_unit,
            usage.pricing_unit as pricing_unit,
            price.effective_price as effective_price,
            price.tier_start_amount as tier_start_amount,
            price.unit as price_unit,
            price.pricing_unit_quantity as pricing_unit_quantity,
            price.list_price as list_price,
            price.effective_price_default as effective_price_default,
            price.list_price_consumption_model as list_price_consumption_model,
            adjustment_info.id as adjustment_id,
            adjustment_info.description as adjustment_description,
            adjustment_info.mode as adjustment_mode,
            adjustment_info.type as adjustment_type,
            consumption_model.id as consumption_model_id,
            consumption_model.description as consumption_model_description,
            transaction_type as transaction_type,
            seller_name as seller_name,
            resource.name as resource_name,
            resource.global_name as resource_global_name,
            subscription.instance_id as subscription_instance_id
        ) as charge,
        content,
        row_number() over (partition by content) as occurrence,

        ---------- when
        usage_start_time,
        usage_end_time,
        coalesce(export_time, error(concat('export_time is NULL', in_a_charge))) as export_time,
        div(unix_seconds(export_time), 10800) as arrived_in,

        ---------- how much
        paid_by,
        exact_cost as cost,
        (select sum(c.amount) from unnest(paid_by) as c where c.type = 'COMMITTED_USAGE_DISCOUNT') as credit_committed_usage_discount,
        (select sum(c.amount) from unnest(paid_by) as c where c.type = 'COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE') as credit_committed_usage_discount_dollar_base,
        (select sum(c.amount) from unnest(paid_by) as c where c.type = 'DISCOUNT') as credit_discount,
        (select sum(c.amount) from unnest(paid_by) as c where c.type = 'FEE_UTILIZATION_OFFSET') as credit_fee_utilization_offset,
        (select sum(c.amount) from unnest(paid_by) as c where c.type = 'FREE_TIER') as credit_free_tier,
        (select sum(c.amount) from unnest(paid_by) as c where c.type = 'PROMOTION') as credit_promotion,
        (select sum(c.amount) from unnest(paid_by) as c where c.type = 'RESELLER_MARGIN') as credit_reseller_margin,
        (select sum(c.amount) from unnest(paid_by) as c where c.type = 'SUBSCRIPTION_BENEFIT') as credit_subscription_benefit,
        (select sum(c.amount) from unnest(paid_by) as c where c.type = 'SUSTAINED_USAGE_DISCOUNT') as credit_sustained_usage_discount,
        (
            select sum(c.amount) from unnest(paid_by) as c
            where c.type is null or c.type not in (
                'COMMITTED_USAGE_DISCOUNT', 'COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE', 'DISCOUNT', 'FEE_UTILIZATION_OFFSET',
                'FREE_TIER', 'PROMOTION', 'RESELLER_MARGIN', 'SUBSCRIPTION_BENEFIT', 'SUSTAINED_USAGE_DISCOUNT'
            )
        ) as credit_other,
        exact_cost + coalesce((select sum(c.amount) from unnest(paid_by) as c), 0) as billed_cost,
        cast(cost_at_list as numeric) as cost_at_list,
        cost_at_effective_price_default,
        cost_at_list_consumption_model,
        cast(usage.amount as numeric) as consumed_quantity,
        cast(usage.amount_in_pricing_units as numeric) as pricing_quantity
    from exact
),

-- The fee of a commitment is spread over the charges it covers in proportion to each, and rounded: sums would be
-- rounded otherwise. So these stay alone.
marked as (
    select
        *,
        starts_with(lower(coalesce(charge.sku_description, '')), 'commitment')
        or coalesce(credit_committed_usage_discount, 0) <> 0
        or coalesce(credit_committed_usage_discount_dollar_base, 0) <> 0 as is_alone
    from flattened
),

-- A missing list cost stands for the cost: charges with and without one do not mix.
keyed as (
    select
        *,
        md5(to_json_string(struct(
            charge,
            cost_at_list is null as has_no_list_cost,
            cost_at_effective_price_default is null as has_no_default_cost,
            if(is_alone, content, null) as only_content,
            if(is_alone, occurrence, null) as only_occurrence
        ))) as key
    from marked
),

arrived as (
    select
        key,
        any_value(charge) as charge,
        any_value(is_alone) as is_alone,
        any_value(paid_by) as paid_by,
        min(usage_start_time) as usage_start_time,
        max(usage_end_time) as usage_end_time,
        max(export_time) as export_time,
        count(*) as charge_count,
        countif(charge.cost_type = 'adjustment' or charge.adjustment_type is not null) as correction_count,
        sum(if(occurrence > 1, billed_cost, 0)) as repeated_cost,
        sum(cost) as cost,
        sum(credit_committed_usage_discount) as credit_committed_usage_discount,
        sum(credit_committed_usage_discount_dollar_base) as credit_committed_usage_discount_dollar_base,
        sum(credit_discount) as credit_discount,
        sum(credit_fee_utilization_offset) as credit_fee_utilization_offset,
        sum(credit_free_tier) as credit_free_tier,
        sum(credit_promotion) as credit_promotion,
        sum(credit_reseller_margin) as credit_reseller_margin,
        sum(credit_subscription_benefit) as credit_subscription_benefit,
        sum(credit_sustained_usage_discount) as credit_sustained_usage_discount,
        sum(credit_other) as credit_other,
        sum(billed_cost) as billed_cost,
        sum(cost_at_list) as cost_at_list,
        sum(cost_at_effective_price_default) as cost_at_effective_price_default,
        sum(cost_at_list_consumption_model) as cost_at_list_consumption_model,
        sum(consumed_quantity) as consumed_quantity,
        sum(pricing_quantity) as pricing_quantity
    from keyed
    group by key, arrived_in
),

added_up as (
    select
        any_value(charge) as charge,
        any_value(is_alone) as is_alone,
        any_value(paid_by) as paid_by,
        min(usage_start_time) as usage_start_time,
        max(usage_end_time) as usage_end_time,
        max(export_time) as export_time,
        sum(charge_count) as charge_count,
        sum(repeated_cost) as repeated_cost,
        sum(cost) as cost,
        sum(credit_committed_usage_discount) as credit_committed_usage_discount,
        sum(credit_committed_usage_discount_dollar_base) as credit_committed_usage_discount_dollar_base,
        sum(credit_discount) as credit_discount,
        sum(credit_fee_utilization_offset) as credit_fee_utilization_offset,
        sum(credit_free_tier) as credit_free_tier,
        sum(credit_promotion) as credit_promotion,
        sum(credit_reseller_margin) as credit_reseller_margin,
        sum(credit_subscription_benefit) as credit_subscription_benefit,
        sum(credit_sustained_usage_discount) as credit_sustained_usage_discount,
        sum(credit_other) as credit_other,
        sum(billed_cost) as billed_cost,
        sum(cost_at_list) as cost_at_list,
        sum(cost_at_effective_price_default) as cost_at_effective_price_default,
        sum(cost_at_list_consumption_model) as cost_at_list_consumption_model,
        sum(consumed_quantity) as consumed_quantity,
        sum(pricing_quantity) as pricing_quantity,
        array_agg(struct(
            export_time as last_export_time, charge_count, correction_count, cost,
            credit_committed_usage_discount, credit_committed_usage_discount_dollar_base, credit_discount,
            credit_fee_utilization_offset, credit_free_tier, credit_promotion, credit_reseller_margin,
            credit_subscription_benefit, credit_sustained_usage_discount, credit_other, billed_cost
        )) as arrivals
    from arrived
    group by key
)

select
    charge.*,
    added_up.* except (charge, is_alone, paid_by, repeated_cost),
    if(is_alone, null, repeated_cost) as repeated_cost,
    if(is_alone, paid_by, array(
        select as struct
            cast(null as string) as name, by_type.amount, cast(null as string) as full_name, cast(null as string) as id, by_type.type
        from unnest([
            struct('COMMITTED_USAGE_DISCOUNT' as type, credit_committed_usage_discount as amount),
            struct('COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE' as type, credit_committed_usage_discount_dollar_base as amount),
            struct('DISCOUNT' as type, credit_discount as amount),
            struct('FEE_UTILIZATION_OFFSET' as type, credit_fee_utilization_offset as amount),
            struct('FREE_TIER' as type, credit_free_tier as amount),
            struct('PROMOTION' as type, credit_promotion as amount),
            struct('RESELLER_MARGIN' as type, credit_reseller_margin as amount),
            struct('SUBSCRIPTION_BENEFIT' as type, credit_subscription_benefit as amount),
            struct('SUSTAINED_USAGE_DISCOUNT' as type, credit_sustained_usage_discount as amount),
            struct(cast(null as string) as type, credit_other as amount)
        ]) as by_type
        where by_type.amount <> 0
        order by by_type.type
    )) as credits
from added_up
