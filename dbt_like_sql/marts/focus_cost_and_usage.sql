/*
description: >-
  The billing export in the columns of FOCUS 1.2: a row of the export each, and one more for the unused part of each
  commitment fee. Nothing is stored; it is read as a view or by a window of usage days. Billed costs add up to the
  invoice of their billing period, effective costs to the facts of their usage day.
materialized: view
grain: one row of the export, or the unused part of one
partition: usage_day
inputs: [raw_charges, invoices]
owner: finops
columns:
  BillingAccountId: {type: text, description: "billing_account_id"}
  BillingAccountName: {type: text, description: "The id: the export holds no names"}
  BillingAccountType: {type: text, description: "Billing Account"}
  BillingCurrency: {type: text, description: "currency"}
  BillingPeriodStart: {type: timestamptz, description: "First day of invoice.month, midnight in Los Angeles"}
  BillingPeriodEnd: {type: timestamptz, description: "First day of the month after it, midnight in Los Angeles; not included"}
  InvoiceId: {type: text, description: "The number of the invoice that was handed in; NULL until then"}
  InvoiceIssuerName: {type: text, description: "Google Cloud"}
  ChargePeriodStart: {type: timestamptz, description: "usage_start_time"}
  ChargePeriodEnd: {type: timestamptz, description: "usage_end_time; not included"}
  ChargeCategory: {type: text, description: "regular: Usage, or Purchase for the fee of a commitment; tax: Tax; adjustment and rounding_error: Adjustment"}
  ChargeClass: {type: text, description: "Correction where adjustment_info corrects usage of an earlier month than the invoice's"}
  ChargeDescription: {type: text, description: "sku.description"}
  ChargeFrequency: {type: text, description: "Usage: Usage-Based; Purchase: Recurring; others: One-Time"}
  BilledCost: {type: numeric, description: "cost and all credits; 0 for an unused commitment, which its purchase was billed for"}
  EffectiveCost: {type: numeric, description: "BilledCost with the used part of a commitment's fee on the usage it covers; 0 for the purchase"}
  ContractedCost: {type: numeric, description: "cost_at_effective_price_default, or cost where the export has none"}
  ListCost: {type: numeric, description: "cost_at_list, or cost where the export has none"}
  ContractedUnitPrice: {type: numeric, description: "price.effective_price_default where that times the quantity is the cost; else what a unit came to"}
  ListUnitPrice: {type: numeric, description: "price.list_price where that times the quantity is the cost; else what a unit came to"}
  PricingQuantity: {type: numeric, description: "usage.amount_in_pricing_units; 0 for an unused commitment"}
  PricingUnit: {type: text, description: "usage.pricing_unit in the words of FOCUS"}
  ConsumedQuantity: {type: numeric, description: "usage.amount, of usage"}
  ConsumedUnit: {type: text, description: "usage.unit in the words of FOCUS"}
  PricingCategory: {type: text, description: "Committed under a consumption model or a commitment's credit, Dynamic for Spot and preemptible SKUs, else Standard"}
  PricingCurrency: {type: text, description: "USD, which Google's price list is in"}
  PricingCurrencyContractedUnitPrice: {type: numeric, description: "ContractedUnitPrice by currency_conversion_rate"}
  PricingCurrencyEffectiveCost: {type: numeric, description: "EffectiveCost by currency_conversion_rate"}
  PricingCurrencyListUnitPrice: {type: numeric, description: "ListUnitPrice by currency_conversion_rate"}
  CommitmentDiscountId: {type: text, description: "subscription.instance_id; where the export has none, the SKU of the fee, the kind of credit or the consumption model"}
  CommitmentDiscountName: {type: text, description: "The fee's SKU, the credit's full name or the consumption model"}
  CommitmentDiscountCategory: {type: text, description: "Usage for resource-based commitments, Spend for others"}
  CommitmentDiscountType: {type: text, description: "Resource-based or Spend-based"}
  CommitmentDiscountStatus: {type: text, description: "Used on covered usage, Unused on what is left of a fee"}
  CommitmentDiscountQuantity: {type: numeric, description: "Resource-based: units covered, bought or unused; spend-based: money"}
  CommitmentDiscountUnit: {type: text, description: "The pricing unit or the currency"}
  ProviderName: {type: text, description: "Google Cloud"}
  PublisherName: {type: text, description: "seller_name of third parties, else Google Cloud"}
  SubAccountId: {type: text, description: "project.id"}
  SubAccountName: {type: text, description: "project.name"}
  SubAccountType: {type: text, description: "Project"}
  RegionId: {type: text, description: "location.region, or location.location"}
  RegionName: {type: text, description: "The same: the export has no other name"}
  AvailabilityZone: {type: text, description: "location.zone"}
  ResourceId: {type: text, description: "resource.global_name, or resource.name; of a purchase, the commitment"}
  ResourceName: {type: text, description: "resource.name"}
  ResourceType: {type: text, description: "The collection in the global name, such as instances"}
  ServiceName: {type: text, description: "service.description"}
  ServiceCategory: {type: text, description: "By seeds/service_categories.csv; Other for services that are not in it"}
  ServiceSubcategory: {type: text, description: "By the same file"}
  SkuId: {type: text, description: "sku.id"}
  SkuMeter: {type: text, description: "sku.description without its place"}
  SkuPriceId: {type: text, description: "sku.id, the tier's start and the consumption model"}
  SkuPriceDetails: {type: jsonb, description: "Tier start and consumption model"}
  Tags: {type: jsonb, description: "Labels as they are; project labels, system labels and tags with the prefixes project/, system/ and tag/<namespace>/"}
  x_CostType: {type: text, description: "cost_type"}
  x_Credits: {type: jsonb, description: "credits, as exported; they are in BilledCost"}
  x_InvoiceMonth: {type: text, description: "invoice.month"}
  x_UsageDay: {type: date, description: "The usage day, in the billing time zone"}
  x_ExportDay: {type: date, description: "The day Google wrote the row"}
  x_ExportTime: {type: timestamptz, description: "export_time"}
  x_AdjustmentId: {type: text, description: "adjustment_info.id"}
  x_AdjustmentMode: {type: text, description: "adjustment_info.mode"}
  x_AdjustmentType: {type: text, description: "adjustment_info.type"}
  x_ConsumptionModelId: {type: text, description: "consumption_model.id"}
  x_ProjectAncestors: {type: jsonb, description: "project.ancestors"}
  x_ListCostIsEstimated: {type: bool, description: "Whether the export has no list cost"}
  x_Row: {type: text, description: "Names the row of raw_charges"}
*/
with charges as (
    {{ ref('charges') }}
),

classed as (
    select
        charges.*,
        portion.is_unused,
        charge_category = 'Purchase' as is_fee,
        charge_category in ('Usage', 'Purchase') as is_priced,
        -- A correction of a period that was invoiced before; corrections within the open period are plain charges.
        case
            when adjustment_type like '%\_CORRECTION' and to_char(usage_start_time at time zone 'America/Los_Angeles', 'YYYYMM') < invoice_month
            then 'Correction'
        end as charge_class,
        charge_category = 'Usage' and (
            coalesce(consumption_model_description, 'Default') <> 'Default'
            or credit_committed_usage_discount <> 0
            or credit_committed_usage_discount_dollar_base <> 0
        ) as is_covered
    from charges
    -- What is left on a fee is a row of its own: unused, billed with the purchase, effective here.
    cross join lateral (values (false), (true)) as portion (is_unused)
    where not portion.is_unused or (charge_category = 'Purchase' and effective_cost <> 0)
),

committed as (
    select
        *,
        case when is_fee or is_covered then coalesce(
            subscription_instance_id,
            case
                when is_fee then sku_id
                when credit_committed_usage_discount <> 0 then 'committed-usage-discount'
                when credit_committed_usage_discount_dollar_base <> 0 then 'committed-usage-discount-dollar-base'
                else consumption_model_id
            end
        ) end as commitment_id,
        case when is_fee then sku_description else coalesce(
            (
                select credit ->> 'full_name' from jsonb_array_elements(credits) as credit
                where credit ->> 'type' in ('COMMITTED_USAGE_DISCOUNT', 'COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE') limit 1
            ),
            consumption_model_description
        ) end as commitment_name,
        coalesce(
            case when is_fee then sku_description !~* 'dollar.based' else credit_committed_usage_discount <> 0 end, false
        ) as is_resource_based
    from classed
),

priced as (
    select
        *,
        -- The price list's price where the charge is it times the quantity; else what a unit came to, over tiers.
        case
            when pricing_quantity * list_price / coalesce(pricing_unit_quantity, 1) between list_cost - 0.000001 and list_cost + 0.000001
            then list_price / coalesce(pricing_unit_quantity, 1)
            else coalesce(list_cost / nullif(pricing_quantity, 0), list_price / coalesce(pricing_unit_quantity, 1))
        end as list_unit_price,
        case
            when pricing_quantity * effective_price_default / coalesce(pricing_unit_quantity, 1)
                between contracted_cost - 0.000001 and contracted_cost + 0.000001
            then effective_price_default / coalesce(pricing_unit_quantity, 1)
            else coalesce(contracted_cost / nullif(pricing_quantity, 0), effective_price_default / coalesce(pricing_unit_quantity, 1))
        end as contracted_unit_price,
        case
            when is_unused then 0
            when charge_category <> 'Tax' then pricing_quantity
        end as quantity,
        coalesce(units.focus_unit, pricing_unit) as unit,
        case when is_fee and not is_unused then 0 else effective_cost end as focus_effective_cost
    from committed
    left join ({{ ref('focus_units') }}) as units on units.export_unit = pricing_unit
)

select
    ---------- who pays, when
    priced.billing_account_id as "BillingAccountId",
    priced.billing_account_id as "BillingAccountName",
    'Billing Account' as "BillingAccountType",
    priced.billing_currency as "BillingCurrency",
    to_date(priced.invoice_month, 'YYYYMM')::timestamp at time zone 'America/Los_Angeles' as "BillingPeriodStart",
    (to_date(priced.invoice_month, 'YYYYMM') + interval '1 month') at time zone 'America/Los_Angeles' as "BillingPeriodEnd",
    invoices.invoice_id as "InvoiceId",
    'Google Cloud' as "InvoiceIssuerName",
    usage_start_time as "ChargePeriodStart",
    coalesce(usage_end_time, usage_start_time) as "ChargePeriodEnd",

    ---------- what kind of charge
    case when is_unused then 'Usage' else charge_category end as "ChargeCategory",
    charge_class as "ChargeClass",
    sku_description as "ChargeDescription",
    case
        when is_unused or charge_category = 'Usage' then 'Usage-Based'
        when is_fee then 'Recurring'
        else 'One-Time'
    end as "ChargeFrequency",

    ---------- how much
    case when is_unused then 0 else billed_cost end as "BilledCost",
    focus_effective_cost as "EffectiveCost",
    case when is_unused then 0 else contracted_cost end as "ContractedCost",
    case when is_unused then 0 else list_cost end as "ListCost",
    case when is_priced then contracted_unit_price end as "ContractedUnitPrice",
    case when is_priced then list_unit_price end as "ListUnitPrice",
    quantity as "PricingQuantity",
    case when quantity is not null then unit end as "PricingUnit",
    case when charge_category = 'Usage' then consumed_quantity end as "ConsumedQuantity",
    case when charge_category = 'Usage' and consumed_quantity is not null then coalesce(consumed.focus_unit, consumed_unit) end
        as "ConsumedUnit",
    case
        when is_unused or is_covered then 'Committed'
        when is_priced and sku_description ~* '\m(spot|preemptible)\M' then 'Dynamic'
        when is_priced then 'Standard'
    end as "PricingCategory",

    ---------- in the currency of the price list
    case when currency_conversion_rate <> 0 or priced.billing_currency = 'USD' then 'USD' else priced.billing_currency end
        as "PricingCurrency",
    case when is_priced then contracted_unit_price / coalesce(nullif(currency_conversion_rate, 0), 1) end
        as "PricingCurrencyContractedUnitPrice",
    focus_effective_cost / coalesce(nullif(currency_conversion_rate, 0), 1) as "PricingCurrencyEffectiveCost",
    case when is_priced then list_unit_price / coalesce(nullif(currency_conversion_rate, 0), 1) end
        as "PricingCurrencyListUnitPrice",

    ---------- commitments
    commitment_id as "CommitmentDiscountId",
    case when commitment_id is not null then commitment_name end as "CommitmentDiscountName",
    case when commitment_id is not null then case when is_resource_based then 'Usage' else 'Spend' end end
        as "CommitmentDiscountCategory",
    case when commitment_id is not null then case when is_resource_based then 'Resource-based' else 'Spend-based' end end
        as "CommitmentDiscountType",
    case when is_unused then 'Unused' when is_covered then 'Used' end as "CommitmentDiscountStatus",
    case
        when commitment_id is null or charge_class is not null then null
        when is_unused and is_resource_based then pricing_quantity * effective_cost / nullif(billed_cost, 0)
        when is_unused then effective_cost
        when is_fee and is_resource_based then pricing_quantity
        when is_fee then cost
        when is_resource_based then -pricing_quantity * credit_committed_usage_discount / nullif(cost, 0)
        when credit_committed_usage_discount_dollar_base <> 0 then effective_cost - billed_cost
        else billed_cost
    end as "CommitmentDiscountQuantity",
    case
        when commitment_id is null or charge_class is not null then null
        when is_resource_based then unit
        else priced.billing_currency
    end as "CommitmentDiscountUnit",

    ---------- by whom
    'Google Cloud' as "ProviderName",
    case when transaction_type like 'THIRD\_PARTY%' then coalesce(seller_name, 'Google Cloud') else 'Google Cloud' end
        as "PublisherName",

    ---------- for whom, where
    sub_account_id as "SubAccountId",
    case when sub_account_id is not null then coalesce(sub_account_name, sub_account_id) end as "SubAccountName",
    case when sub_account_id is not null then 'Project' end as "SubAccountType",
    region_id as "RegionId",
    region_id as "RegionName",
    zone as "AvailabilityZone",

    ---------- of what
    case when is_fee then commitment_id else coalesce(resource_global_name, resource_name) end as "ResourceId",
    case when is_fee then sku_description when coalesce(resource_global_name, resource_name) is not null then resource_name end
        as "ResourceName",
    case
        when is_fee then 'Commitment'
        when coalesce(resource_global_name, resource_name) is not null
        then coalesce(substring(resource_global_name from '([^/]+)/[^/]+$'), priced.service_name)
    end as "ResourceType",
    coalesce(priced.service_name, 'Unknown') as "ServiceName",
    coalesce(services.service_category, 'Other') as "ServiceCategory",
    coalesce(services.service_subcategory, 'Other (Other)') as "ServiceSubcategory",
    case when charge_category <> 'Tax' then sku_id end as "SkuId",
    case when charge_category <> 'Tax' then regexp_replace(sku_description, ' (running )?(in|from|to|for) .*$', '') end
        as "SkuMeter",
    case when charge_category <> 'Tax' then concat_ws('/', sku_id, trim_scale(tier_start_amount), consumption_model_id) end
        as "SkuPriceId",
    case when charge_category <> 'Tax' then jsonb_build_object(
        'x_TierStartAmount', tier_start_amount, 'x_ConsumptionModel', consumption_model_description
    ) end as "SkuPriceDetails",
    -- Labels of the resource keep their keys; those of the project, the system and the tags are told apart by a prefix.
    (
        select jsonb_object_agg(pairs.key, pairs.value)
        from (
            select pair ->> 'key' as key, pair ->> 'value' as value from jsonb_array_elements(labels) as pair
            union all
            select 'project/' || (pair ->> 'key'), pair ->> 'value' from jsonb_array_elements(project_labels) as pair
            union all
            select 'system/' || (pair ->> 'key'), pair ->> 'value' from jsonb_array_elements(system_labels) as pair
            union all
            select concat_ws('/', 'tag', pair ->> 'namespace', pair ->> 'key'), pair ->> 'value'
            from jsonb_array_elements(tags) as pair
        ) as pairs
        where pairs.key is not null
    ) as "Tags",

    ---------- what FOCUS has no column for
    cost_type as "x_CostType",
    case when is_unused then null else credits end as "x_Credits",
    priced.invoice_month as "x_InvoiceMonth",
    usage_day as "x_UsageDay",
    export_day as "x_ExportDay",
    export_time as "x_ExportTime",
    adjustment_id as "x_AdjustmentId",
    adjustment_mode as "x_AdjustmentMode",
    adjustment_type as "x_AdjustmentType",
    consumption_model_id as "x_ConsumptionModelId",
    project_ancestors as "x_ProjectAncestors",
    cost_at_list is null as "x_ListCostIsEstimated",
    to_char(export_day, 'YYYYMMDD') || '-' || encode(row_hash, 'hex') || '-' || occurrence as "x_Row"
from priced
left join ({{ ref('focus_units') }}) as consumed on consumed.export_unit = consumed_unit
left join ({{ ref('service_categories') }}) as services on services.service_name = priced.service_name
left join finops.invoices as invoices
    on invoices.billing_account_id = priced.billing_account_id
    and invoices.invoice_month = priced.invoice_month
    and invoices.billing_currency = priced.billing_currency
