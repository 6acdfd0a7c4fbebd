"""Anomalies, forecasts with their back-test, and savings: what is thought of the costs, by day."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Days built before have none noted until they are rebuilt; the column only ever explains, it is in no total.
    for table in ("aggregated_cost_data", "cost_by_project_service_daily"):
        repeated = sa.Column("repeated_cost", sa.Numeric(), server_default="0", nullable=False)
        op.add_column(table, repeated, schema="finops")
    op.create_table(
        "cost_anomalies",
        sa.Column("usage_day", sa.Date(), nullable=False),
        sa.Column("anomaly_id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("billing_account_id", sa.Text(), nullable=False),
        sa.Column("billing_currency", sa.Text(), nullable=False),
        sa.Column("sub_account_id", sa.Text(), nullable=True),
        sa.Column("sub_account_name", sa.Text(), nullable=True),
        sa.Column("service_id", sa.Text(), nullable=True),
        sa.Column("service_name", sa.Text(), nullable=True),
        sa.Column("start_day", sa.Date(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("actual_cost", sa.Numeric(), nullable=False),
        sa.Column("expected_cost", sa.Numeric(), nullable=False),
        sa.Column("excess_cost", sa.Numeric(), nullable=False),
        sa.Column("event_excess_cost", sa.Numeric(), nullable=False),
        sa.Column("score", sa.Numeric(), nullable=False),
        sa.Column("causes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("explained_by", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("usage_day", "anomaly_id", name=op.f("cost_anomalies_pkey")),
        schema="finops",
        comment="Days on which an account, or a service in a project, cost more or less than its past explains.",
    )
    op.create_table(
        "cost_forecast_days",
        sa.Column("as_of_day", sa.Date(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("member", sa.Text(), nullable=False),
        sa.Column("billing_currency", sa.Text(), nullable=False),
        sa.Column("usage_day", sa.Date(), nullable=False),
        sa.Column("expected_cost", sa.Numeric(), nullable=False),
        sa.Column("low_80", sa.Numeric(), nullable=False),
        sa.Column("high_80", sa.Numeric(), nullable=False),
        sa.Column("low_95", sa.Numeric(), nullable=False),
        sa.Column("high_95", sa.Numeric(), nullable=False),
        sa.Column("floor_cost", sa.Numeric(), nullable=False),
        sa.PrimaryKeyConstraint(
            "as_of_day", "scope", "billing_currency", "member", "usage_day", name=op.f("cost_forecast_days_pkey")
        ),
        schema="finops",
        comment="The daily path behind each forecast, and the seasonal-naive one it has to beat.",
    )
    op.create_table(
        "cost_forecasts",
        sa.Column("as_of_day", sa.Date(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("member", sa.Text(), nullable=False),
        sa.Column("billing_currency", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("member_name", sa.Text(), nullable=True),
        sa.Column("start_day", sa.Date(), nullable=False),
        sa.Column("end_day", sa.Date(), nullable=False),
        sa.Column("actual_to_date", sa.Numeric(), nullable=False),
        sa.Column("expected_cost", sa.Numeric(), nullable=False),
        sa.Column("low_80", sa.Numeric(), nullable=False),
        sa.Column("high_80", sa.Numeric(), nullable=False),
        sa.Column("low_95", sa.Numeric(), nullable=False),
        sa.Column("high_95", sa.Numeric(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("history_days", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(
            "as_of_day", "scope", "billing_currency", "member", "period", name=op.f("cost_forecasts_pkey")
        ),
        schema="finops",
        comment="What a month and the next 30 days will cost, as it looked on the as-of day, with its intervals.",
    )
    op.create_table(
        "forecast_accuracy",
        sa.Column("as_of_day", sa.Date(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("billing_currency", sa.Text(), nullable=False),
        sa.Column("horizon_days", sa.Text(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("actual_cost", sa.Numeric(), nullable=False),
        sa.Column("absolute_error", sa.Numeric(), nullable=False),
        sa.Column("floor_absolute_error", sa.Numeric(), nullable=False),
        sa.Column("error", sa.Numeric(), nullable=False),
        sa.Column("within_80", sa.BigInteger(), nullable=False),
        sa.Column("within_95", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "as_of_day", "scope", "billing_currency", "horizon_days", name=op.f("forecast_accuracy_pkey")
        ),
        schema="finops",
        comment="The rolling back-test: the forecasts published before the as-of day against what came.",
    )
    op.create_table(
        "savings_recommendations",
        sa.Column("as_of_day", sa.Date(), nullable=False),
        sa.Column("recommendation_id", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("rule_version", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("billing_account_id", sa.Text(), nullable=False),
        sa.Column("billing_currency", sa.Text(), nullable=False),
        sa.Column("sub_account_id", sa.Text(), nullable=True),
        sa.Column("sub_account_name", sa.Text(), nullable=True),
        sa.Column("service_id", sa.Text(), nullable=True),
        sa.Column("service_name", sa.Text(), nullable=True),
        sa.Column("sku_id", sa.Text(), nullable=True),
        sa.Column("sku_description", sa.Text(), nullable=True),
        sa.Column("region_id", sa.Text(), nullable=True),
        sa.Column("window_start", sa.Date(), nullable=False),
        sa.Column("window_end", sa.Date(), nullable=False),
        sa.Column("evidence", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("monthly_saving_low", sa.Numeric(), nullable=False),
        sa.Column("monthly_saving_mid", sa.Numeric(), nullable=False),
        sa.Column("monthly_saving_high", sa.Numeric(), nullable=False),
        sa.Column("confidence", sa.Text(), nullable=False),
        sa.Column("assumption", sa.Text(), nullable=False),
        sa.Column("exclusive_group", sa.Text(), nullable=False),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column("first_seen", sa.Date(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("as_of_day", "recommendation_id", name=op.f("savings_recommendations_pkey")),
        schema="finops",
        comment="What could be saved, from billing rows alone: the evidence, the assumption, and how sure it is.",
    )


def downgrade() -> None:
    for table in ("aggregated_cost_data", "cost_by_project_service_daily"):
        op.drop_column(table, "repeated_cost", schema="finops")
    op.drop_table("cost_anomalies", schema="finops")
    op.drop_table("cost_forecast_days", schema="finops")
    op.drop_table("cost_forecasts", schema="finops")
    op.drop_table("forecast_accuracy", schema="finops")
    op.drop_table("savings_recommendations", schema="finops")
