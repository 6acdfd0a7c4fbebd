/*
description: >-
  What the hours of a usage day add up to, with EXTRACT_GRAIN=day. DuckDB runs this over the charges of one export day
  that were copied row by row; where the export is a BigQuery table, raw_charges_by_day.bigquery.sql has BigQuery itself
  add them up, to the same last digit. `numbered` has the rows that raw_charges would have,
  each with where it stands.
grain: usage_day and all that tells charges apart but the hour; a commitment's charges stay alone
partition: export_day
dialect: duckdb
inputs: [raw_charges]
owner: finops
columns:
  usage_start_time: {description: "When the first of the charges began"}
  usage_end_time: {description: "When the last of them ended"}
  export_time: {description: "When the last of them was exported"}
  credits: {description: "Of a charge that stays alone; others have their credits by type"}
  charge_count: {description: "How many rows of the export this row stands for"}
  repeated_cost: {description: "Billed cost of rows that are identical to an earlier one; NULL of a charge that stays alone", unit: billing_currency}
*/
with marked as (
    -- The fee of a commitment is spread over the charges it covers in proportion to each, and rounded: sums would be
    -- rounded otherwise. So these stay alone.
    select
        *,
        starts_with(lower(coalesce(sku_description, '')), 'commitment')
        or coalesce(credit_committed_usage_discount, 0) <> 0
        or coalesce(credit_committed_usage_discount_dollar_base, 0) <> 0 as is_alone
    from numbered
),

added_up as (
    select
        export_day,
        null::text as extra,
        usage_day, billing_account_id, invoice_month, billing_currency, cost_type, invoice_publisher_type,
        service_id, service_name, sku_id, sku_description, sub_account_id, sub_account_name, project_number,
        project_ancestry_numbers, location, country, region, zone, currency_conversion_rate, consumed_unit,
        pricing_unit, effective_price, tier_start_amount, price_unit, pricing_unit_quantity, list_price,
        effective_price_default, list_price_consumption_model, adjustment_id, adjustment_description,
        adjustment_mode, adjustment_type, consumption_model_id, consumption_model_description, transaction_type,
        seller_name, resource_name, resource_global_name, subscription_instance_id, project_ancestors,
        project_labels, labels, system_labels, tags,
        min(usage_start_time) as usage_start_time,
        max(usage_end_time) as usage_end_time,
        max(export_time) as export_time,
        sum(cost) as cost,
        is_alone,
        case when is_alone then file_index end as only_file,
        case when is_alone then file_row_number end as only_row,
        -- A missing list cost stands for the cost: charges with and without one do not mix.
        cost_at_list is null as has_no_list_cost,
        cost_at_effective_price_default is null as has_no_default_cost,
        any_value(credits) as credits,
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
        count(*)::integer as charge_count,
        sum(case when occurrence > 1 then billed_cost else 0 end) as repeated_cost
    from marked
    group by all
)

select
    * exclude (is_alone, only_file, only_row, has_no_list_cost, has_no_default_cost) replace (
        case when not is_alone then repeated_cost end as repeated_cost,
        case when is_alone then credits else to_json(list_filter([
            {'name': null::text, 'amount': credit_other, 'full_name': null::text, 'id': null::text, 'type': null},
            {'name': null::text, 'amount': credit_committed_usage_discount, 'full_name': null::text, 'id': null::text, 'type': 'COMMITTED_USAGE_DISCOUNT'},
            {'name': null::text, 'amount': credit_committed_usage_discount_dollar_base, 'full_name': null::text, 'id': null::text, 'type': 'COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE'},
            {'name': null::text, 'amount': credit_discount, 'full_name': null::text, 'id': null::text, 'type': 'DISCOUNT'},
            {'name': null::text, 'amount': credit_fee_utilization_offset, 'full_name': null::text, 'id': null::text, 'type': 'FEE_UTILIZATION_OFFSET'},
            {'name': null::text, 'amount': credit_free_tier, 'full_name': null::text, 'id': null::text, 'type': 'FREE_TIER'},
            {'name': null::text, 'amount': credit_promotion, 'full_name': null::text, 'id': null::text, 'type': 'PROMOTION'},
            {'name': null::text, 'amount': credit_reseller_margin, 'full_name': null::text, 'id': null::text, 'type': 'RESELLER_MARGIN'},
            {'name': null::text, 'amount': credit_subscription_benefit, 'full_name': null::text, 'id': null::text, 'type': 'SUBSCRIPTION_BENEFIT'},
            {'name': null::text, 'amount': credit_sustained_usage_discount, 'full_name': null::text, 'id': null::text, 'type': 'SUSTAINED_USAGE_DISCOUNT'}
        ], lambda by_type: by_type.amount <> 0))::text end as credits
    )
from added_up
