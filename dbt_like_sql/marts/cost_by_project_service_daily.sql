/*
description: What each project spent on each service on each usage day.
grain: [usage_day, invoice_month, billing_account_id, billing_currency, sub_account_id, service_id, charge_category]
partition: usage_day
inputs: [aggregated_cost_data]
owner: finops
columns:
  usage_day: {description: "Day of use in the billing time zone", tests: [not_null]}
  invoice_month: {description: "The invoice the charge is on, YYYYMM", tests: [not_null]}
  billing_account_id: {description: "Billing account that pays", tests: [not_null]}
  billing_currency: {description: "Currency of every amount in the row", tests: [not_null]}
  sub_account_id: {description: "Project; NULL is unattributed: support, some taxes, the first hours of a project"}
  sub_account_name: {description: "Name of the project, the last in the alphabet if it was renamed that day"}
  service_id: {description: "Id of the service"}
  service_name: {description: "Name of the service, as on the invoice"}
  charge_category: {description: "FOCUS: Usage, Purchase (a commitment's fee), Tax or Adjustment", tests: [not_null]}
  list_cost: {description: "At list price; cost where the export gives no list price", unit: billing_currency, tests: [not_null]}
  contracted_cost: {description: "At the contract's price, before commitments and credits", unit: billing_currency, tests: [not_null]}
  cost: {description: "The export's cost: after negotiated prices, before credits", unit: billing_currency, tests: [not_null]}
  credit_committed_usage_discount: {description: "Resource-based commitments, the covered usage", unit: billing_currency, tests: [not_null]}
  credit_committed_usage_discount_dollar_base: {description: "Spend-based commitments of the older model, the covered usage", unit: billing_currency, tests: [not_null]}
  credit_discount: {description: "Negotiated discounts", unit: billing_currency, tests: [not_null]}
  credit_fee_utilization_offset: {description: "Takes back the fee of a used commitment, which its usage carries again; not a saving", unit: billing_currency, tests: [not_null]}
  credit_free_tier: {description: "Free tiers", unit: billing_currency, tests: [not_null]}
  credit_promotion: {description: "Promotions and trials", unit: billing_currency, tests: [not_null]}
  credit_reseller_margin: {description: "A reseller's margin", unit: billing_currency, tests: [not_null]}
  credit_subscription_benefit: {description: "Benefits of subscriptions", unit: billing_currency, tests: [not_null]}
  credit_sustained_usage_discount: {description: "Sustained use", unit: billing_currency, tests: [not_null]}
  credit_other: {description: "Credits of no type or of one not known yet", unit: billing_currency, tests: [not_null]}
  billed_cost: {description: "Cost after all credits; adds up to the invoice", unit: billing_currency, tests: [not_null]}
  effective_cost: {description: "Billed cost; a commitment's fee stays on the day it is billed", unit: billing_currency, tests: [not_null]}
  charge_count: {description: "Rows of the export behind this row", tests: [not_null]}
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
    sub_account_id,
    max(sub_account_name) as sub_account_name,
    service_id,
    max(service_name) as service_name,
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
group by usage_day, invoice_month, billing_account_id, billing_currency, sub_account_id, service_id, charge_category
