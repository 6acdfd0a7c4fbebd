/*
description: >-
  Every row of the billing export, flattened. Floats become exact decimals here, once, as Google's own queries do it.
  DuckDB runs this over the rows of one export day, whatever source they came from; `billing_export` has the columns
  of the detailed export, plus `extra`. The hash that names a row is made of what this gives, when it is loaded.
grain: one row of the export
partition: export_day
dialect: duckdb
inputs: [billing_export]
owner: finops
columns:
  usage_day: {description: "Day of usage_start_time in the billing time zone: 23 or 25 hours when the clock changes"}
  billed_cost: {description: "Cost after credits, what the invoice adds up", unit: billing_currency}
  credit_other: {description: "Credits of no type or of one not known yet", unit: billing_currency}
  row_hash: {description: "MD5 of all the row holds; equal rows are told apart by their occurrence"}
*/
with checked as (
    select
        *,

        ---------- what no figure can be made of; the values are cast below only where they are sound
        case
            when not isfinite(cost) then 'cost is ' || cost
            when len(list_filter(credits, lambda c: not isfinite(c.amount))) > 0
                then 'credits.amount is ' || list_filter(credits, lambda c: not isfinite(c.amount))[1].amount
            when not isfinite(cost_at_list) then 'cost_at_list is ' || cost_at_list
            when usage_start_time is null then 'usage_start_time is NULL'
            when export_time is null then 'export_time is NULL'
            when billing_account_id is null then 'billing_account_id is NULL'
            when not coalesce(regexp_full_match(invoice.month, '[0-9]{4}(0[1-9]|1[0-2])'), false)
                then 'invoice.month is ' || coalesce(invoice.month, 'NULL')
            when currency is null then 'currency is NULL'
            when cost_type is null then 'cost_type is NULL'
        end as fault
    from billing_export
),

exact as (
    select
        * exclude (cost, credits, cost_at_list, currency_conversion_rate),

        ---------- money
        case when isfinite(cost) then cost::decimal(38, 9) else 0 end as cost,
        list_transform(credits, lambda c: struct_pack(
            name := c.name,
            amount := case when isfinite(c.amount) then c.amount::decimal(38, 9) else 0 end,
            full_name := c.full_name,
            id := c.id,
            type := c.type
        )) as paid_by,
        case when isfinite(cost_at_list) then cost_at_list::decimal(38, 9) end as cost_at_list,
        currency_conversion_rate::decimal(38, 9) as currency_conversion_rate
    from checked
),

flattened as (
    select
        ---------- which row
        $export_day::date as export_day,

        ---------- when
        -- The one place that refuses: the charge is described for that alone, and not for every row.
        case
            when fault is null then (usage_start_time at time zone $billing_timezone)::date
            else error(fault || ' in a charge of ' || concat_ws(
                ', ', 'service ' || coalesce(service.description, service.id, '?'), 'SKU ' || coalesce(sku.description, sku.id, '?'),
                'usage start ' || coalesce(usage_start_time::text, '?')
            ))
        end as usage_day,
        usage_start_time,
        usage_end_time,
        export_time,

        ---------- who pays
        billing_account_id,
        invoice.month as invoice_month,
        currency as billing_currency,
        cost_type,
        invoice.publisher_type as invoice_publisher_type,

        ---------- for what
        service.id as service_id,
        service.description as service_name,
        sku.id as sku_id,
        sku.description as sku_description,

        ---------- where
        project.id as sub_account_id,
        project.name as sub_account_name,
        project.number as project_number,
        project.ancestry_numbers as project_ancestry_numbers,
        -- A charge of no project has empty lists of it: a result of BigQuery knows no missing ones.
        coalesce(to_json(project.ancestors)::text, '[]') as project_ancestors,
        coalesce(to_json(project.labels)::text, '[]') as project_labels,
        to_json(labels)::text as labels,
        to_json(system_labels)::text as system_labels,
        to_json(tags)::text as tags,
        location.location as location,
        location.country as country,
        location.region as region,
        location.zone as zone,

        ---------- how much
        cost,
        to_json(paid_by)::text as credits,
        list_sum(list_transform(list_filter(paid_by, lambda c: c.type = 'COMMITTED_USAGE_DISCOUNT'), lambda c: c.amount)) as credit_committed_usage_discount,
        list_sum(list_transform(list_filter(paid_by, lambda c: c.type = 'COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE'), lambda c: c.amount)) as credit_committed_usage_discount_dollar_base,
        list_sum(list_transform(list_filter(paid_by, lambda c: c.type = 'DISCOUNT'), lambda c: c.amount)) as credit_discount,
        list_sum(list_transform(list_filter(paid_by, lambda c: c.type = 'FEE_UTILIZATION_OFFSET'), lambda c: c.amount)) as credit_fee_utilization_offset,
        list_sum(list_transform(list_filter(paid_by, lambda c: c.type = 'FREE_TIER'), lambda c: c.amount)) as credit_free_tier,
        list_sum(list_transform(list_filter(paid_by, lambda c: c.type = 'PROMOTION'), lambda c: c.amount)) as credit_promotion,
        list_sum(list_transform(list_filter(paid_by, lambda c: c.type = 'RESELLER_MARGIN'), lambda c: c.amount)) as credit_reseller_margin,
        list_sum(list_transform(list_filter(paid_by, lambda c: c.type = 'SUBSCRIPTION_BENEFIT'), lambda c: c.amount)) as credit_subscription_benefit,
        list_sum(list_transform(list_filter(paid_by, lambda c: c.type = 'SUSTAINED_USAGE_DISCOUNT'), lambda c: c.amount)) as credit_sustained_usage_discount,
        list_sum(list_transform(
            list_filter(paid_by, lambda c: c.type is null or c.type not in (
                'COMMITTED_USAGE_DISCOUNT',
                'COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE',
                'DISCOUNT',
                'FEE_UTILIZATION_OFFSET',
                'FREE_TIER',
                'PROMOTION',
                'RESELLER_MARGIN',
                'SUBSCRIPTION_BENEFIT',
                'SUSTAINED_USAGE_DISCOUNT'
            )),
            lambda c: c.amount
        )) as credit_other,
        (cost + coalesce(list_sum(list_transform(paid_by, lambda c: c.amount)), 0))::decimal(38, 9) as billed_cost,
        cost_at_list,
        cost_at_effective_price_default,
        cost_at_list_consumption_model,
        currency_conversion_rate,
        usage.amount::decimal(38, 9) as consumed_quantity,
        usage.unit as consumed_unit,
        usage.amount_in_pricing_units::decimal(38, 9) as pricing_quantity,
        usage.pricing_unit as pricing_unit,

        ---------- at what price
        price.effective_price as effective_price,
        price.tier_start_amount as tier_start_amount,
        price.unit as price_unit,
        price.pricing_unit_quantity as pricing_unit_quantity,
        price.list_price as list_price,
        price.effective_price_default as effective_price_default,
        price.list_price_consumption_model as list_price_consumption_model,

        ---------- why
        adjustment_info.id as adjustment_id,
        adjustment_info.description as adjustment_description,
        adjustment_info.mode as adjustment_mode,
        adjustment_info.type as adjustment_type,
        consumption_model.id as consumption_model_id,
        consumption_model.description as consumption_model_description,
        transaction_type,
        seller_name,
        resource.name as resource_name,
        resource.global_name as resource_global_name,
        subscription.instance_id as subscription_instance_id,
        extra
    from exact
)

select * from flattened
