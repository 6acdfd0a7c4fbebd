/*
description: >-
  What each invoice adds up to, by cost type and credit type, and what is left when the total that Google printed
  on it is taken away. A correction is on the invoice of the month it was issued in, whatever day it corrects.
grain: [invoice_month, billing_account_id, billing_currency]
partition: invoice_month
inputs: [aggregated_cost_data, usage_day_arrivals, invoices]
owner: finops
columns:
  invoice_month: {description: "The invoice, YYYYMM", tests: [not_null]}
  cost_regular: {description: "Usage and purchases before credits", unit: billing_currency, tests: [not_null]}
  cost_tax: {description: "Taxes", unit: billing_currency, tests: [not_null]}
  cost_adjustment: {description: "Corrections and goodwill", unit: billing_currency, tests: [not_null]}
  cost_rounding_error: {description: "What rounds the invoice to whole cents", unit: billing_currency, tests: [not_null]}
  billed_cost: {description: "The sum of all of these: what the invoice should say", unit: billing_currency, tests: [not_null]}
  charge_count: {description: "Rows of the export on this invoice", tests: [not_null]}
  closing_from: {description: "First day after the month: usage no longer falls into it, late rows still do"}
  closed_from: {description: "Fifth business day after the month: the invoice is out, nothing may move any more"}
  late_billed_cost: {description: "What export days after closed_from brought for this invoice, which was out by then; part of billed_cost", unit: billing_currency, tests: [not_null]}
  late_charge_count: {description: "Rows of the export behind late_billed_cost", tests: [not_null]}
  input_hash: {description: "Hash of the rows behind the month: the same in whatever order they came, another when one changes", tests: [not_null]}
  invoice_id: {description: "The number on the invoice, once somebody handed it in"}
  invoice_total: {description: "The total on the invoice, once somebody handed it in", unit: billing_currency}
  residual: {description: "billed_cost less invoice_total; 0 is the proof", unit: billing_currency}
identities:
  - billed_cost = cost_regular + cost_tax + cost_adjustment + cost_rounding_error + credits
*/
with facts as (
    select * from finops.aggregated_cost_data
    where invoice_month = :invoice_month
),

summed as (
    select
        invoice_month,
        billing_account_id,
        billing_currency,
        coalesce(sum(cost) filter (where cost_type = 'regular'), 0) as cost_regular,
        coalesce(sum(cost) filter (where cost_type = 'tax'), 0) as cost_tax,
        coalesce(sum(cost) filter (where cost_type not in ('regular', 'tax', 'rounding_error')), 0) as cost_adjustment,
        coalesce(sum(cost) filter (where cost_type = 'rounding_error'), 0) as cost_rounding_error,
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
    from facts
    group by invoice_month, billing_account_id, billing_currency
),

closing as (
    select
        month_end::date as closing_from,
        -- Google's invoice is there by the fifth business day of the next month.
        (
            select day::date
            from generate_series(month_end, month_end + interval '10 days', interval '1 day') as day
            where extract(isodow from day) < 6
            order by day offset 4 limit 1
        ) as closed_from
    from (select to_date(:invoice_month, 'YYYYMM') + interval '1 month' as month_end) as month
),

arrived as (
    select
        arrivals.billing_account_id,
        arrivals.billing_currency,
        coalesce(sum(arrivals.billed_cost) filter (where arrivals.export_day >= closing.closed_from), 0) as late_billed_cost,
        coalesce(sum(arrivals.charge_count) filter (where arrivals.export_day >= closing.closed_from), 0) as late_charge_count,
        md5(string_agg(
            concat_ws(
                ' ', arrivals.export_day, arrivals.usage_day, arrivals.service_name, arrivals.cost_type,
                extract(epoch from arrivals.last_export_time), arrivals.charge_count,
                trim_scale(arrivals.charges_hash)
            ),
            E'\n' order by
                arrivals.export_day, arrivals.usage_day, arrivals.service_name collate "C",
                arrivals.cost_type collate "C", arrivals.last_export_time
        )) as input_hash
    from finops.usage_day_arrivals as arrivals cross join closing
    where arrivals.invoice_month = :invoice_month
    group by arrivals.billing_account_id, arrivals.billing_currency
)

select
    summed.invoice_month,
    summed.billing_account_id,
    summed.billing_currency,
    summed.cost_regular,
    summed.cost_tax,
    summed.cost_adjustment,
    summed.cost_rounding_error,
    summed.credit_committed_usage_discount,
    summed.credit_committed_usage_discount_dollar_base,
    summed.credit_discount,
    summed.credit_fee_utilization_offset,
    summed.credit_free_tier,
    summed.credit_promotion,
    summed.credit_reseller_margin,
    summed.credit_subscription_benefit,
    summed.credit_sustained_usage_discount,
    summed.credit_other,
    summed.billed_cost,
    summed.charge_count,
    closing.closing_from,
    closing.closed_from,
    coalesce(arrived.late_billed_cost, 0) as late_billed_cost,
    coalesce(arrived.late_charge_count, 0) as late_charge_count,
    coalesce(arrived.input_hash, '') as input_hash,
    invoices.invoice_id,
    invoices.total as invoice_total,
    summed.billed_cost - invoices.total as residual
from summed
cross join closing
-- A load that took all charges of the month away may be in while the facts still show them: their rebuild follows.
left join arrived
    on arrived.billing_account_id = summed.billing_account_id
    and arrived.billing_currency = summed.billing_currency
left join finops.invoices as invoices
    on invoices.invoice_month = summed.invoice_month
    and invoices.billing_account_id = summed.billing_account_id
    and invoices.billing_currency = summed.billing_currency
