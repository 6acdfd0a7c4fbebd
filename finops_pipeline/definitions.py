"""Everything Dagster loads: a table of contents, and the policy all assets share. Loading opens no connection."""

import dagster as dg

from finops_pipeline import checks, sensors
from finops_pipeline.assets import budget_alerts, insight_assets, llm_insights
from finops_pipeline.assets.raw_charges import billing_export, raw_charges, usage_day_charges
from finops_pipeline.assets.sql_assets import sql_assets
from finops_pipeline.warehouse import Warehouse


def with_house_policy(spec: dg.AssetSpec) -> dg.AssetSpec:
    """What is true of every table is said once, here; an asset says only what is its own."""
    return spec.replace_attributes(owners=spec.owners or ["team:finops"])


defs = dg.Definitions(
    assets=[
        billing_export,
        raw_charges,
        usage_day_charges,
        *sql_assets(),
        *dg.load_assets_from_modules([insight_assets, llm_insights, budget_alerts]),
    ],
    asset_checks=[*checks.all_checks(), *llm_insights.text_checks()],
    jobs=[
        sensors.load_export_days,
        sensors.rebuild_usage_days,
        sensors.prove_invoice_months,
        sensors.think_about_days,
        sensors.write_about_months,
        sensors.watch_budgets,
    ],
    sensors=[
        sensors.changed_export_days,
        sensors.dirty_usage_days,
        sensors.moved_invoice_months,
        sensors.insights_behind,
        sensors.month_texts_behind,
        sensors.budgets_behind,
        sensors.tell_of_failed_runs,
        sensors.tell_of_days_that_stay_behind,
        sensors.tell_of_budgets,
    ],
    schedules=[sensors.every_morning],
    resources={"warehouse": Warehouse()},
    executor=dg.in_process_executor,  # the work is in Postgres and DuckDB; a process for each step only adds delay
).map_resolved_asset_specs(func=with_house_policy)
