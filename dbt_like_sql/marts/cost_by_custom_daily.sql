/*
description: What the members of the custom dimensions cost on each usage day.
grain: [usage_day, invoice_month, billing_account_id, billing_currency, custom, charge_category]
partition: usage_day
inputs: [aggregated_cost_data]
owner: finops
identities:
  - sum(billed_cost) = sum(aggregated_cost_data.billed_cost)
  - sum(charge_count) = sum(aggregated_cost_data.charge_count)
*/
with facts as (
    select * from finops.aggregated_cost_data
    where usage_day >= :start_day and usage_day < :end_day
)

select
    usage_day,
    invoice_month,
    billing_account_id,
    billing_currency,
    custom,
    charge_category,
    sum(list_cost) as list_cost,
    sum(contracted_cost) as contracted_cost,
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
    sum(effective_cost) as effective_cost,
    sum(charge_count) as charge_count
from facts
group by usage_day, invoice_month, billing_account_id, billing_currency, custom, charge_category
