/*
description: >-
  What an export day brought for each usage day, counted before a row of it is copied. DuckDB runs this over
  `charges_arrived`: what was charged for, and in `arrived` how much of it came when. Whether hours were added up before
  or not, it comes to the same.
grain: [usage_day, invoice_month, billing_account_id, billing_currency, service_name, cost_type, three hours of export]
partition: export_day
dialect: duckdb
inputs: [raw_charges]
owner: finops
columns:
  charges_hash: {description: "Sum over what charges are for, each weighed by its amount: the same in whatever order they come"}
*/
with arrived_for as (
    select
        usage_day,
        invoice_month,
        billing_account_id,
        billing_currency,
        service_name,
        cost_type,
        -- How a day becomes final is learned to within three hours.
        time_bucket(interval '3 hours', arrived.last_export_time) as arrived_in,
        -- Hashed below: added up first, that takes a third of the time.
        sub_account_id,
        sku_id,
        region,
        location,
        labels,
        project_labels,
        tags,
        max(arrived.last_export_time) as last_export_time,
        sum(arrived.charge_count)::bigint as charge_count,
        sum(arrived.correction_count)::bigint as correction_count,
        sum(arrived.cost) as cost,
        sum(arrived.credit_committed_usage_discount) as credit_committed_usage_discount,
        sum(arrived.credit_committed_usage_discount_dollar_base) as credit_committed_usage_discount_dollar_base,
        sum(arrived.credit_discount) as credit_discount,
        sum(arrived.credit_fee_utilization_offset) as credit_fee_utilization_offset,
        sum(arrived.credit_free_tier) as credit_free_tier,
        sum(arrived.credit_promotion) as credit_promotion,
        sum(arrived.credit_reseller_margin) as credit_reseller_margin,
        sum(arrived.credit_subscription_benefit) as credit_subscription_benefit,
        sum(arrived.credit_sustained_usage_discount) as credit_sustained_usage_discount,
        sum(arrived.credit_other) as credit_other,
        sum(arrived.billed_cost) as billed_cost
    from charges_arrived
    group by
        usage_day, invoice_month, billing_account_id, billing_currency, service_name, cost_type, arrived_in,
        sub_account_id, sku_id, region, location, labels, project_labels, tags
)

select
    usage_day,
    invoice_month,
    billing_account_id,
    billing_currency,
    service_name,
    cost_type,
    max(last_export_time) as last_export_time,
    sum(charge_count)::bigint as charge_count,
    sum(correction_count)::bigint as correction_count,
    sum(cost) as cost,
    coalesce(sum(credit_committed_usage_discount), 0) as credit_committed_usage_discount,
    coalesce(sum(credit_committed_usage_discount_dollar_base), 0) as credit_committed_usage_discount_dollar_base,
    coalesce(sum(credit_discount), 0) as credit_discount,
    coalesce(sum(credit_fee_utilization_offset), 0) as credit_fee_utilization_offset,
    coalesce(sum(credit_free_tier), 0) as credit_free_tier,
    coalesce(sum(credit_promotion), 0) as credit_promotion,
    coalesce(sum(credit_reseller_margin), 0) as credit_reseller_margin,
    coalesce(sum(credit_subscription_benefit), 0) as credit_subscription_benefit,
    coalesce(sum(credit_sustained_usage_discount), 0) as credit_sustained_usage_discount,
    coalesce(sum(credit_other), 0) as credit_other,
    sum(billed_cost) as billed_cost,
    -- 32 bits of a hash, 60 of an amount and 30 of a number of rows fit into a HUGEINT.
    sum(
        ('0x' || substr(md5(concat_ws(
            chr(0), coalesce(sub_account_id, chr(1)), coalesce(sku_id, chr(1)), coalesce(region, chr(1)),
            coalesce(location, chr(1)), labels, project_labels, tags
        )), 1, 8))::hugeint * (billed_cost * 1000000000 + charge_count)::hugeint
    ) as charges_hash
from arrived_for
group by usage_day, invoice_month, billing_account_id, billing_currency, service_name, cost_type, arrived_in
order by all
