/*
description: >-
  The fact table: what each usage day cost by everything a reader may group by. Days are rebuilt whole, so a
  correction that moves a charge to another project also takes it away from the first.
grain: [usage_day, invoice_month, billing_account_id, billing_currency, sub_account_id, service_id, sku_id, region_id, charge_category, cost_type, consumed_unit, pricing_unit, custom, assigned_by]
partition: usage_day
inputs: [raw_charges]
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
  sku_id: {description: "Id of the SKU"}
  sku_description: {description: "Name of the SKU, as on the invoice"}
  region_id: {description: "Region, or the wider location where a charge has no region"}
  charge_category: {description: "FOCUS: Usage, Purchase (a commitment's fee), Tax or Adjustment", tests: [not_null]}
  cost_type: {description: "regular, tax, adjustment or rounding_error", tests: [not_null]}
  consumed_unit: {description: "Unit of consumed_quantity"}
  pricing_unit: {description: "Unit of pricing_quantity"}
  custom: {description: "Member by custom dimension, as the rules assigned it; a dimension's default member is written out", tests: [not_null]}
  assigned_by: {description: "By custom dimension, the rule that assigned the member: a source, or default", tests: [not_null]}
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
  effective_cost: {description: "Billed cost, with the used part of a commitment's fee on the usage it covers; adds up to billed_cost every day", unit: billing_currency, tests: [not_null]}
  charge_count: {description: "Rows of the export behind this row", tests: [not_null]}
  repeated_cost: {description: "Billed cost of rows that are identical to an earlier one of their export day: real charges, worth a question", unit: billing_currency, tests: [not_null]}
  consumed_quantity: {description: "Amount used, in consumed_unit"}
  pricing_quantity: {description: "Amount priced, in pricing_unit"}
identities:
  - sum(billed_cost) = sum(raw_charges.billed_cost)
  - sum(charge_count) = sum(raw_charges.charge_count)
  - sum(effective_cost) = sum(billed_cost)
*/
with charges as (
    {{ ref('charges') }}
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
    sku_id,
    max(sku_description) as sku_description,
    region_id,
    charge_category,
    cost_type,
    consumed_unit,
    pricing_unit,
    finops.members_of(assignment) as custom,
    finops.rules_of(assignment) as assigned_by,
    sum(list_cost) as list_cost,
    sum(contracted_cost) as contracted_cost,
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
    sum(effective_cost) as effective_cost,
    sum(consumed_quantity) as consumed_quantity,
    sum(pricing_quantity) as pricing_quantity,
    sum(charge_count) as charge_count,
    sum(coalesce(repeated_cost, case when occurrence > 1 then billed_cost else 0 end)) as repeated_cost
from charges
group by
    usage_day, invoice_month, billing_account_id, billing_currency, sub_account_id, service_id,
    sku_id, region_id, charge_category, cost_type, consumed_unit, pricing_unit, assignment
