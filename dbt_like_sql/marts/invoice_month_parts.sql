/*
description: >-
  What each export day brought for each invoice, by cost type and credit type: the parts whose sum an invoice month
  is. Counted in the source before a row was copied, so it is a second road to the same total as the facts.
grain: [invoice_month, billing_account_id, billing_currency, export_day, cost_type]
partition: invoice_month
inputs: [usage_day_arrivals]
owner: finops
columns:
  invoice_month: {description: "The invoice, YYYYMM", tests: [not_null]}
  billing_account_id: {description: "Billing account that pays", tests: [not_null]}
  billing_currency: {description: "Currency of every amount in the row", tests: [not_null]}
  export_day: {description: "The day Google exported the rows, UTC", tests: [not_null]}
  cost_type: {description: "regular, tax, adjustment or rounding_error", tests: [not_null]}
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
  billed_cost: {description: "Cost after all credits", unit: billing_currency, tests: [not_null]}
  charge_count: {description: "Rows of the export behind this row", tests: [not_null]}
identities:
  - sum(billed_cost) = sum(usage_day_arrivals.billed_cost)
  - sum(billed_cost) = sum(invoice_months.billed_cost)
*/
select
    invoice_month,
    billing_account_id,
    billing_currency,
    export_day,
    cost_type,
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
    sum(charge_count) as charge_count
from finops.usage_day_arrivals
where invoice_month = :invoice_month
group by invoice_month, billing_account_id, billing_currency, export_day, cost_type
