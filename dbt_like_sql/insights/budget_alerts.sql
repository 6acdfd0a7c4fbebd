/*
description: >-
  Which thresholds the budgets of a month have reached: by what was spent on its complete days, and by the forecasts of
  its end as they were published. Each once, on the first day with which it was so. Spending is the cells of /v1/costs
  that the budgets are of, by usage day.
grain: [budget_id, month, kind, threshold]
partition: month
inputs: [budgets, cost_forecasts, cost_by_project_service_daily]
owner: finops
columns:
  alert_id: {description: "Names the alert, also to whom it is posted", tests: [not_null]}
  budget_id: {description: "The budget", tests: [not_null]}
  month: {description: "First day of the calendar month of usage", tests: [not_null]}
  kind: {description: "actual or forecast", tests: [not_null]}
  threshold: {description: "Percent of the budget that was reached", tests: [not_null]}
  crossed_on: {description: "First usage day with which so much was spent, or whose forecast said so", tests: [not_null]}
  amount: {description: "What was spent by the end of that day, or forecast then", unit: billing_currency, tests: [not_null]}
  budget_amount: {description: "The budget when it was noticed", unit: billing_currency, tests: [not_null]}
  source_version: {description: "The newest build of any table when it was noticed", tests: [not_null]}
  noticed_at: {description: "When it was first found", tests: [not_null]}
  posted_at: {description: "When ALERT_WEBHOOK_URL took it"}
  withdrawn_at: {description: "When it was found not to hold any more: costs were restated, or the budget was changed"}
*/
with watched (budget_id, budget_amount, thresholds, forecast_thresholds, billing_currency, scope, member) as (
    values :watched
),

spending (budget_id, usage_day, spent) as (
    select * from (:spending) as cells
),

running as (
    select budget_id, usage_day, sum(spent) over (partition by budget_id order by usage_day) as amount
    from spending
),

reached as (
    select budget_id, budget_amount, 'actual' as kind, threshold, usage_day as crossed_on, amount
    from watched
    join running using (budget_id)
    cross join unnest(thresholds) as threshold
    union all
    select budget_id, budget_amount, 'forecast', threshold, as_of_day, expected_cost
    from watched
    join finops.cost_forecasts using (scope, member, billing_currency)
    cross join unnest(forecast_thresholds) as threshold
    where period = 'month_end' and start_day = :month and as_of_day <= :complete_through
)

select distinct on (budget_id, kind, threshold) budget_id, budget_amount, kind, threshold, crossed_on, amount
from reached
where amount * 100 >= budget_amount * threshold
order by budget_id, kind, threshold, crossed_on
