"""Every table that answers are made of tells of its changes when they are committed."""

from alembic import op

revision = "0009"
down_revision = "0007"
branch_labels = None
depends_on = None

# What the API keeps answers of. Not raw_charges: evidence reads it anew each time.
_TABLES = (
    "account_completeness",
    "aggregated_cost_data",
    "allocated_costs",
    "build_attempts",
    "cost_anomalies",
    "cost_by_custom_daily",
    "cost_by_project_service_daily",
    "cost_by_service_daily",
    "cost_by_sku_region_daily",
    "cost_forecast_days",
    "cost_forecasts",
    "cost_maturity",
    "dimension_rules",
    "export_day_ledger",
    "focus_conformance",
    "focus_export_months",
    "forecast_accuracy",
    "invoice_files",
    "invoice_month_ledger",
    "invoice_month_parts",
    "invoice_months",
    "invoice_seals",
    "invoices",
    "llm_insights",
    "materialisation",
    "materialisation_log",
    "restatements",
    "savings_recommendations",
    "superseded_cost_data",
    "usage_day_arrivals",
    "usage_day_changes",
    "usage_day_ledger",
)


def upgrade() -> None:
    op.execute(
        """
        create function finops.tell_of_changes() returns trigger language plpgsql as $$
        begin
            perform pg_notify('materialised', '');
            return null;
        end
        $$
        """
    )
    for table in _TABLES:
        op.execute(
            f"create trigger tell_of_changes after insert or update or delete or truncate on finops.{table} "
            "for each statement execute function finops.tell_of_changes()"
        )


def downgrade() -> None:
    op.execute("drop function finops.tell_of_changes() cascade")
