"""The tables of schema `finops`, as Alembic compares them with a database.

Columns carry FOCUS names in snake case where FOCUS has one. Money is NUMERIC without a scale: what the export
says is kept to its last digit, and nothing is rounded on the way. Partitions are made by whoever writes first
to a month, never by a migration, and there is no default partition: it would hide a missing one.
"""

import sqlalchemy as sa
from sqlalchemy import BigInteger, Column, Date, Identity, Index, Integer, LargeBinary, Numeric, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

SCHEMA = "finops"

metadata = sa.MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
    },
)

Instant = TIMESTAMP(timezone=True)

CREDIT_TYPES = (
    "committed_usage_discount",
    "committed_usage_discount_dollar_base",
    "discount",
    "fee_utilization_offset",
    "free_tier",
    "promotion",
    "reseller_margin",
    "subscription_benefit",
    "sustained_usage_discount",
    "other",
)
"""Google's credit types; `other` holds those without a type (rows before 2020-09) and any not known yet."""

CREDIT_COLUMNS = tuple(f"credit_{credit_type}" for credit_type in CREDIT_TYPES)


def _money(*names: str, nullable: bool = True) -> list[Column[object]]:
    return [Column(name, Numeric, nullable=nullable) for name in names]


def _text(*names: str, nullable: bool = True) -> list[Column[object]]:
    return [Column(name, Text, nullable=nullable) for name in names]


def _noted(done: str) -> tuple[Column[object], Column[object]]:
    """When something was done, and by whom."""
    return (
        Column(f"{done}_at", Instant, nullable=False, server_default=sa.func.now()),
        Column(f"{done}_by", Text, nullable=False),
    )


raw_charges = sa.Table(
    "raw_charges",
    metadata,
    Column("export_day", Date, nullable=False),
    Column("row_hash", LargeBinary, nullable=False),
    Column("occurrence", Integer, nullable=False),
    Column("usage_day", Date, nullable=False),
    *_text("billing_account_id", "invoice_month", "billing_currency", "cost_type", nullable=False),
    *_text("invoice_publisher_type", "service_id", "service_name", "sku_id", "sku_description"),
    Column("usage_start_time", Instant, nullable=False),
    Column("usage_end_time", Instant),
    Column("export_time", Instant, nullable=False),
    *_text("sub_account_id", "sub_account_name", "project_number", "project_ancestry_numbers"),
    *(Column(name, JSONB) for name in ("project_ancestors", "project_labels", "labels", "system_labels", "tags")),
    *_text("location", "country", "region", "zone"),
    *_money("cost", nullable=False),
    Column("credits", JSONB),
    *_money(*CREDIT_COLUMNS),
    *_money("billed_cost", nullable=False),
    *_money("cost_at_list", "cost_at_effective_price_default", "cost_at_list_consumption_model"),
    *_money("currency_conversion_rate", "consumed_quantity"),
    *_text("consumed_unit"),
    *_money("pricing_quantity"),
    *_text("pricing_unit"),
    *_money("effective_price", "tier_start_amount"),
    *_text("price_unit"),
    *_money("pricing_unit_quantity", "list_price", "effective_price_default", "list_price_consumption_model"),
    *_text("adjustment_id", "adjustment_description", "adjustment_mode", "adjustment_type"),
    *_text("consumption_model_id", "consumption_model_description", "transaction_type", "seller_name"),
    *_text("resource_name", "resource_global_name", "subscription_instance_id"),
    Column("extra", JSONB),
    Column("charge_count", Integer, nullable=False, server_default="1"),
    Column("repeated_cost", Numeric),
    Index(None, "usage_day"),
    postgresql_partition_by="RANGE (export_day)",
    comment=(
        "One row of the billing export, or with EXTRACT_GRAIN=day what charge_count rows of a usage day add up to. "
        "(export_day, row_hash, occurrence) names a row for ever."
    ),
)

COST_MEASURES = ("list_cost", "contracted_cost", "cost", *CREDIT_COLUMNS, "billed_cost", "effective_cost")
"""Every additive amount of money, in the order tables hold them."""

aggregated_cost_data = sa.Table(
    "aggregated_cost_data",
    metadata,
    Column("usage_day", Date, nullable=False),
    *_text("invoice_month", "billing_account_id", "billing_currency", nullable=False),
    *_text("sub_account_id", "sub_account_name", "service_id", "service_name", "sku_id", "sku_description"),
    *_text("region_id"),
    *_text("charge_category", "cost_type", nullable=False),
    *_text("consumed_unit", "pricing_unit"),
    *(Column(name, JSONB, nullable=False, server_default="{}") for name in ("custom", "assigned_by")),
    *_money(*COST_MEASURES, nullable=False),
    *_money("consumed_quantity", "pricing_quantity"),
    Column("charge_count", BigInteger, nullable=False),
    Column("repeated_cost", Numeric, nullable=False, server_default="0"),
    Column("from_version", BigInteger, nullable=False),
    Index(None, "usage_day"),
    Index(None, "invoice_month"),
    postgresql_partition_by="RANGE (usage_day)",
    comment="The fact table: what each usage day cost by everything a reader may group by.",
)

STAMPED_COLUMNS = frozenset(("from_version", "until_version", "learned_at"))
"""What the writer of a row notes about it: no model selects them, and two rows that differ in them alone are equal."""

superseded_cost_data = sa.Table(
    "superseded_cost_data",
    metadata,
    *(Column(column.name, column.type, nullable=column.nullable) for column in aggregated_cost_data.columns),
    Column("until_version", BigInteger, nullable=False),
    Index(None, "usage_day"),
    postgresql_partition_by="RANGE (usage_day)",
    comment="Rows of aggregated_cost_data that were served once, and from which to which version of their day.",
)


def _rollup(name: str, *dimensions: str, comment: str, more: tuple[Column[object], ...] = ()) -> sa.Table:
    """A daily rollup of the fact table by `dimensions`."""
    return sa.Table(
        name,
        metadata,
        Column("usage_day", Date, nullable=False),
        *_text("invoice_month", "billing_account_id", "billing_currency", nullable=False),
        *_text(*dimensions),
        *_text("charge_category", nullable=False),
        *_money(*COST_MEASURES, nullable=False),
        Column("charge_count", BigInteger, nullable=False),
        *more,
        Index(None, "usage_day"),
        comment=comment,
    )


cost_by_service_daily = _rollup(
    "cost_by_service_daily", "service_id", "service_name", comment="What each service cost on each usage day."
)
cost_by_project_service_daily = _rollup(
    "cost_by_project_service_daily",
    *("sub_account_id", "sub_account_name", "service_id", "service_name"),
    comment="What each project spent on each service on each usage day.",
    more=(Column("repeated_cost", Numeric, nullable=False, server_default="0"),),
)
cost_by_sku_region_daily = _rollup(
    "cost_by_sku_region_daily",
    *("service_id", "service_name", "sku_id", "sku_description", "region_id"),
    comment="What each SKU cost in each region on each usage day.",
)

cost_by_custom_daily = sa.Table(
    "cost_by_custom_daily",
    metadata,
    Column("usage_day", Date, nullable=False),
    *_text("invoice_month", "billing_account_id", "billing_currency", nullable=False),
    Column("custom", JSONB, nullable=False),
    *_text("charge_category", nullable=False),
    *_money(*COST_MEASURES, nullable=False),
    Column("charge_count", BigInteger, nullable=False),
    Index(None, "usage_day"),
    comment="What the members of the custom dimensions cost on each usage day.",
)

allocated_costs = sa.Table(
    "allocated_costs",
    metadata,
    Column("usage_day", Date, nullable=False),
    *_text("billing_account_id", "billing_currency", "dimension", "member", nullable=False),
    *_text("moved_by"),
    *_money("direct_cost", "moved_cost", "billed_cost", nullable=False),
    Column("charge_count", BigInteger, nullable=False),
    Index(None, "usage_day"),
    comment="What each member of a custom dimension cost once shared costs are split: nothing is lost or made.",
)

dimension_rules = sa.Table(
    "dimension_rules",
    metadata,
    Column("version", BigInteger, Identity(always=True), primary_key=True),
    *_text("rules_hash", nullable=False),
    Column("rules", JSONB, nullable=False),
    Column("applied_at", Instant, nullable=False, server_default=sa.func.now()),
    comment="The rules of custom dimensions and shared costs, as they were applied; the newest are in force.",
)

INVOICE_COSTS = ("cost_regular", "cost_tax", "cost_adjustment", "cost_rounding_error")

invoice_months = sa.Table(
    "invoice_months",
    metadata,
    *_text("invoice_month", "billing_account_id", "billing_currency", nullable=False),
    *_money(*INVOICE_COSTS, *CREDIT_COLUMNS, "billed_cost", nullable=False),
    Column("charge_count", BigInteger, nullable=False),
    Column("closing_from", Date, nullable=False),
    Column("closed_from", Date, nullable=False),
    *_money("late_billed_cost", nullable=False),
    Column("late_charge_count", BigInteger, nullable=False),
    *_text("input_hash", nullable=False),
    *_text("invoice_id"),
    *_money("invoice_total", "residual"),
    sa.PrimaryKeyConstraint("invoice_month", "billing_account_id", "billing_currency"),
    comment="What each invoice adds up to, and what is left when the invoice's own total is taken away.",
)

invoice_month_parts = sa.Table(
    "invoice_month_parts",
    metadata,
    *_text("invoice_month", "billing_account_id", "billing_currency", nullable=False),
    Column("export_day", Date, nullable=False),
    *_text("cost_type", nullable=False),
    *_money("cost", *CREDIT_COLUMNS, "billed_cost", nullable=False),
    Column("charge_count", BigInteger, nullable=False),
    sa.PrimaryKeyConstraint("invoice_month", "billing_account_id", "billing_currency", "export_day", "cost_type"),
    comment="What each export day brought for each invoice by cost type and credit type, counted in the source.",
)

invoices = sa.Table(
    "invoices",
    metadata,
    *_text("billing_account_id", "invoice_month", "billing_currency", nullable=False),
    *_money("total", nullable=False),
    *_text("invoice_id"),
    Column("received_at", Instant, nullable=False, server_default=sa.func.now()),
    sa.PrimaryKeyConstraint("billing_account_id", "invoice_month", "billing_currency"),
    comment="Totals of the invoices Google sent, as somebody handed them in.",
)

focus_export_months = sa.Table(
    "focus_export_months",
    metadata,
    *_text("invoice_month", "billing_account_id", "billing_currency", nullable=False),
    *_money("billed_cost", nullable=False),
    Column("charge_count", BigInteger, nullable=False),
    Column("last_export_time", Instant),
    *_text("fingerprint", nullable=False),
    sa.PrimaryKeyConstraint("invoice_month", "billing_account_id", "billing_currency"),
    comment="What Google's own FOCUS export bills each month: the second witness beside the invoice.",
)

invoice_files = sa.Table(
    "invoice_files",
    metadata,
    Column("file_name", Text, primary_key=True),
    *_text("content_hash", nullable=False),
    *_text("refused_because"),
    Column("taken_at", Instant, nullable=False, server_default=sa.func.now()),
    comment="The files of INVOICES_DIR that were looked at, and why one was refused.",
)

invoice_seals = sa.Table(
    "invoice_seals",
    metadata,
    Column("seal_id", BigInteger, Identity(always=True), primary_key=True),
    *_text("invoice_month", "billing_account_id", "billing_currency", nullable=False),
    *_money("billed_cost", nullable=False),
    Column("charge_count", BigInteger, nullable=False),
    *_text("input_hash", "reason", nullable=False),
    Column("sealed_at", Instant, nullable=False, server_default=sa.func.now()),
    Index(None, "invoice_month", "billing_account_id", "billing_currency"),
    comment="What an invoice month was when it closed. A later seal is somebody's word that it moved rightly.",
)

account_completeness = sa.Table(
    "account_completeness",
    metadata,
    Column("as_of_day", Date, nullable=False),
    *_text("billing_account_id", nullable=False),
    Column("after_days", Integer, nullable=False),
    Column("days_learned_from", Integer, nullable=False),
    Column("known_share", Numeric, nullable=False),
    Column("learned_at", Instant, nullable=False, server_default=sa.func.now()),
    sa.PrimaryKeyConstraint("as_of_day", "billing_account_id"),
    comment="After how many export days the cost of a usage day is as good as final, learned from past arrivals.",
)

cost_maturity = sa.Table(
    "cost_maturity",
    metadata,
    Column("as_of_day", Date, nullable=False),
    *_text("billing_account_id", "billing_currency", "service_name", nullable=False),
    Column("age_hours", Integer, nullable=False),
    Column("days_learned_from", Integer, nullable=False),
    *_money("known_share", "known_share_low", "known_share_high", nullable=False),
    sa.PrimaryKeyConstraint("as_of_day", "billing_account_id", "billing_currency", "service_name", "age_hours"),
    comment="Which share of its final cost is known so many hours after the end of a usage day, by service.",
)

export_day_ledger = sa.Table(
    "export_day_ledger",
    metadata,
    Column("export_day", Date, primary_key=True),
    *_text("source_url", "fingerprint", nullable=False),
    Column("row_count", BigInteger, nullable=False),
    Column("bytes_read", BigInteger, nullable=False),
    Column("unknown_columns", ARRAY(Text), nullable=False),
    Column("load_count", Integer, nullable=False),
    Column("loaded_at", Instant, nullable=False),
    *_text("billing_timezone"),
    Column("grain", Text, nullable=False, server_default="row"),
    Column("table_created_at", Instant),
    *_text("kept_because"),
    Column("kept_at", Instant),
    comment="Which export days are loaded, and the fingerprint of what was loaded.",
)

source_spending = sa.Table(
    "source_spending",
    metadata,
    Column("spending_id", BigInteger, Identity(always=True), primary_key=True),
    Column("spent_at", Instant, nullable=False, server_default=sa.func.now()),
    *_text("run_id", nullable=False),
    *_text("kind", "purpose", nullable=False),
    Column("export_day", Date),
    Column("estimated_bytes", BigInteger, nullable=False),
    Column("billed_bytes", BigInteger),
    Column("slot_ms", BigInteger),
    *_text("job_id"),
    Column("estimated_usd", Numeric, nullable=False),
    Index(None, "spent_at"),
    comment=(
        "What reading the export was billed for: a query by the bytes it processed, a Storage Read by the bytes it "
        "returned. Without billed_bytes it has not ended yet, or its process died; its estimate counts all the same."
    ),
)

usage_day_arrivals = sa.Table(
    "usage_day_arrivals",
    metadata,
    Column("export_day", Date, nullable=False),
    Column("usage_day", Date, nullable=False),
    *_text("invoice_month", "billing_account_id", "billing_currency", nullable=False),
    *_text("service_name"),
    *_text("cost_type", nullable=False),
    Column("charge_count", BigInteger, nullable=False),
    Column("correction_count", BigInteger, nullable=False),
    *_money("cost", *CREDIT_COLUMNS, "billed_cost", nullable=False),
    Column("last_export_time", Instant, nullable=False),
    Column("charges_hash", Numeric, nullable=False),
    Index(None, "usage_day", "export_day"),
    Index(None, "export_day"),
    Index(None, "invoice_month"),
    comment="What each export day brought for each usage day, counted in the source before a row is copied.",
)

usage_day_ledger = sa.Table(
    "usage_day_ledger",
    metadata,
    Column("usage_day", Date, primary_key=True),
    Column("source_version", BigInteger, nullable=False),
    Column("touched_at", Instant, nullable=False),
    comment="How often the charges of a usage day have moved. A table built from less is behind.",
)

usage_day_changes = sa.Table(
    "usage_day_changes",
    metadata,
    Column("usage_day", Date, nullable=False),
    Column("source_version", BigInteger, nullable=False),
    Column("export_day", Date),
    *_text("cause", nullable=False),
    Column("noted_at", Instant, nullable=False, server_default=sa.func.now()),
    sa.PrimaryKeyConstraint("usage_day", "source_version"),
    comment="Why each version of a usage day exists: the export day that moved it, or a rule that changed.",
)

invoice_month_ledger = sa.Table(
    "invoice_month_ledger",
    metadata,
    Column("invoice_month", Text, primary_key=True),
    Column("source_version", BigInteger, nullable=False),
    Column("touched_at", Instant, nullable=False),
    comment="How often the facts of an invoice month have moved.",
)

materialisation = sa.Table(
    "materialisation",
    metadata,
    *_text("asset", "partition_key", nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("source_version", BigInteger, nullable=False),
    Column("row_count", BigInteger, nullable=False),
    *_text("run_id"),
    Column("materialised_at", Instant, nullable=False),
    sa.PrimaryKeyConstraint("asset", "partition_key"),
    comment="What is served: the version of each partition, the version of its source, and the run.",
)

materialisation_version = sa.Sequence("materialisation_version", metadata=metadata)

materialisation_log = sa.Table(
    "materialisation_log",
    metadata,
    Column("version", BigInteger, primary_key=True),
    *_text("asset", "partition_key", nullable=False),
    Column("source_version", BigInteger, nullable=False),
    Column("row_count", BigInteger, nullable=False),
    *_text("run_id"),
    Column("materialised_at", Instant, nullable=False),
    Index(None, "asset", "partition_key", "materialised_at"),
    comment="Every build there was: what a reader was served at any moment.",
)

build_attempts = sa.Table(
    "build_attempts",
    metadata,
    *_text("asset", "partition_key", nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Instant, nullable=False),
    Column("parked_at", Instant),
    *_text("last_error", nullable=False),
    sa.PrimaryKeyConstraint("asset", "partition_key"),
    comment="Partitions whose last build failed. Gone again with the first build that succeeds.",
)

restatements = sa.Table(
    "restatements",
    metadata,
    Column("restatement_id", BigInteger, Identity(always=True), primary_key=True),
    Column("usage_day", Date, nullable=False),
    *_text("billing_account_id", "billing_currency", nullable=False),
    *_money("billed_cost_before", "billed_cost_after", nullable=False),
    *_text("cause", nullable=False),
    Column("export_days", ARRAY(Date), nullable=False),
    Column("source_version", BigInteger, nullable=False),
    *_text("run_id"),
    Column("restated_at", Instant, nullable=False, server_default=sa.func.now()),
    Index(None, "usage_day"),
    comment="Every served total that moved after it was first served: before, after and why.",
)

cost_anomalies = sa.Table(
    "cost_anomalies",
    metadata,
    Column("usage_day", Date, nullable=False),
    *_text("anomaly_id", "scope", "billing_account_id", "billing_currency", nullable=False),
    *_text("sub_account_id", "sub_account_name", "service_id", "service_name"),
    Column("start_day", Date, nullable=False),
    *_text("direction", "severity", nullable=False),
    *_money("actual_cost", "expected_cost", "excess_cost", "event_excess_cost", nullable=False),
    *_money("score", nullable=False),
    Column("causes", JSONB, nullable=False),
    Column("explained_by", ARRAY(Text), nullable=False),
    sa.PrimaryKeyConstraint("usage_day", "anomaly_id"),
    comment="Days on which an account, or a service in a project, cost more or less than its past explains.",
)

cost_forecasts = sa.Table(
    "cost_forecasts",
    metadata,
    Column("as_of_day", Date, nullable=False),
    *_text("scope", "member", "billing_currency", "period", nullable=False),
    *_text("member_name"),
    Column("start_day", Date, nullable=False),
    Column("end_day", Date, nullable=False),
    *_money("actual_to_date", "expected_cost", "low_80", "high_80", "low_95", "high_95", nullable=False),
    *_text("model", "status", nullable=False),
    Column("history_days", Integer, nullable=False),
    sa.PrimaryKeyConstraint("as_of_day", "scope", "billing_currency", "member", "period"),
    comment="What a month and the next 30 days will cost, as it looked on the as-of day, with its intervals.",
)

cost_forecast_days = sa.Table(
    "cost_forecast_days",
    metadata,
    Column("as_of_day", Date, nullable=False),
    *_text("scope", "member", "billing_currency", nullable=False),
    Column("usage_day", Date, nullable=False),
    *_money("expected_cost", "low_80", "high_80", "low_95", "high_95", "floor_cost", nullable=False),
    sa.PrimaryKeyConstraint("as_of_day", "scope", "billing_currency", "member", "usage_day"),
    comment="The daily path behind each forecast, and the seasonal-naive one it has to beat.",
)

forecast_accuracy = sa.Table(
    "forecast_accuracy",
    metadata,
    Column("as_of_day", Date, nullable=False),
    *_text("scope", "billing_currency", "horizon_days", nullable=False),
    Column("points", BigInteger, nullable=False),
    *_money("actual_cost", "absolute_error", "floor_absolute_error", "error", nullable=False),
    Column("within_80", BigInteger, nullable=False),
    Column("within_95", BigInteger, nullable=False),
    sa.PrimaryKeyConstraint("as_of_day", "scope", "billing_currency", "horizon_days"),
    comment="The rolling back-test: the forecasts published before the as-of day against what came.",
)

focus_conformance = sa.Table(
    "focus_conformance",
    metadata,
    Column("usage_day", Date, nullable=False),
    *_text("rule_id", nullable=False),
    Column("rows_checked", BigInteger, nullable=False),
    Column("rows_failed", BigInteger, nullable=False),
    Column("examples", JSONB, nullable=False),
    sa.PrimaryKeyConstraint("usage_day", "rule_id"),
    comment="How many FOCUS rows of each usage day each rule of the specification speaks about, and which break it.",
)

savings_recommendations = sa.Table(
    "savings_recommendations",
    metadata,
    Column("as_of_day", Date, nullable=False),
    *_text("recommendation_id", "rule_id", "rule_version", "title", nullable=False),
    *_text("billing_account_id", "billing_currency", nullable=False),
    *_text("sub_account_id", "sub_account_name", "service_id", "service_name", "sku_id", "sku_description"),
    *_text("region_id"),
    Column("window_start", Date, nullable=False),
    Column("window_end", Date, nullable=False),
    Column("evidence", JSONB, nullable=False),
    *_money("monthly_saving_low", "monthly_saving_mid", "monthly_saving_high", nullable=False),
    *_text("confidence", "assumption", "exclusive_group", nullable=False),
    Column("counted", sa.Boolean, nullable=False),
    Column("first_seen", Date, nullable=False),
    *_text("status", nullable=False),
    sa.PrimaryKeyConstraint("as_of_day", "recommendation_id"),
    comment="What could be saved, from billing rows alone: the evidence, the assumption, and how sure it is.",
)

llm_insights = sa.Table(
    "llm_insights",
    metadata,
    *_text("insight_id", "period", nullable=False),
    Column("period_start", Date, nullable=False),
    *_text("subject", "subject_id", "billing_currency", nullable=False),
    *_text("sub_account_id", "service_id", "severity"),
    Column("template", JSONB, nullable=False),
    Column("facts", JSONB, nullable=False),
    *_text("engine", nullable=False),
    *_text("fallback_reason"),
    *_text("prompt_version", nullable=False),
    Column("attempts", Integer, nullable=False),
    *_text("input_hash", nullable=False),
    Column("input_version", BigInteger, nullable=False),
    *_text("run_id", nullable=False),
    Column("created_at", Instant, nullable=False, server_default=sa.func.now()),
    sa.PrimaryKeyConstraint("period", "period_start", "insight_id"),
    Index(None, "insight_id"),
    Index(None, "subject_id"),
    comment="Texts with tokens in place of figures, and the facts behind each: what the rest means, in words.",
)

llm_calls = sa.Table(
    "llm_calls",
    metadata,
    Column("call_id", BigInteger, Identity(always=True), primary_key=True),
    *_text("asset", "partition_key", "insight_id", "input_hash", nullable=False),
    *_text("provider", "model", "prompt_version", "outcome", nullable=False),
    Column("requests", Integer, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    *_money("cost_usd"),
    Column("latency_ms", Integer, nullable=False),
    Column("payload", JSONB, nullable=False),
    *_text("run_id", nullable=False),
    Column("called_at", Instant, nullable=False, server_default=sa.func.now()),
    Index(None, "asset", "partition_key"),
    comment="Every conversation with a language model: what was sent and answered, what it took, how it ended.",
)

llm_cache = sa.Table(
    "llm_cache",
    metadata,
    Column("input_hash", Text, primary_key=True),
    *_text("engine", nullable=False),
    Column("template", JSONB, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("written_at", Instant, nullable=False, server_default=sa.func.now()),
    comment="Texts that models wrote and that passed the checks, by the hash of all they were written from.",
)

aliases = sa.Table(
    "aliases",
    metadata,
    Column("alias", Text, primary_key=True),
    *_text("kind", "value", nullable=False),
    comment="What language models are told instead of the names of projects, accounts and SKUs.",
)

deployment_keys = sa.Table(
    "deployment_keys",
    metadata,
    Column("name", Text, primary_key=True),
    Column("key", LargeBinary, nullable=False),
    Column("made_at", Instant, nullable=False, server_default=sa.func.now()),
    comment="Random keys of this deployment, made on first use.",
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    Column("key_id", BigInteger, Identity(always=True), primary_key=True),
    *_text("name", nullable=False),
    Column("prefix", Text, nullable=False, unique=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("billing_accounts", ARRAY(Text)),
    Column("projects", ARRAY(Text)),
    Column("created_at", Instant, nullable=False, server_default=sa.func.now()),
    *_text("created_by", nullable=False),
    *(Column(name, Instant) for name in ("expires_at", "last_used_at", "revoked_at")),
    Column("replaced_by", BigInteger),
    sa.CheckConstraint("scopes <@ array['read', 'export', 'admin'] and cardinality(scopes) > 0", name="scopes"),
    comment="Keys of the API: a keyed digest of each, never the key; what it may do, and which rows it sees.",
)

audit_event = sa.Table(
    "audit_event",
    metadata,
    Column("event_id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", Instant, nullable=False, server_default=sa.func.now()),
    *_text("actor", "action", nullable=False),
    Column("key_id", BigInteger),
    *_text("scope"),
    Column("detail", JSONB, nullable=False, server_default="{}"),
    Column("rows", BigInteger),
    *_text("ip", "request_id"),
    Index(None, "at"),
    comment="Who did what: keys made, rotated and revoked, exports, invoices handed in. Nothing of it can be changed.",
)

users = sa.Table(
    "users",
    metadata,
    Column("user_id", BigInteger, Identity(always=True), primary_key=True),
    *_text("issuer", "subject"),
    *_text("email", nullable=False),
    *_text("name", "role"),
    Column("billing_accounts", ARRAY(Text)),
    Column("projects", ARRAY(Text)),
    Column("created_at", Instant, nullable=False, server_default=sa.func.now()),
    *(Column(name, Instant) for name in ("last_signed_in_at", "disabled_at")),
    sa.UniqueConstraint("issuer", "subject"),
    sa.CheckConstraint("role in ('viewer', 'analyst', 'admin')", name="role"),
    sa.CheckConstraint("(subject is null) = (issuer is null)", name="subject"),
    Index(None, "email"),
    comment=(
        "People who signed in, or whose rows were settled before they do: what they may do, and which rows they see."
    ),
)

sessions = sa.Table(
    "sessions",
    metadata,
    Column("session_id", BigInteger, Identity(always=True), primary_key=True),
    Column("user_id", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("sign_in_digest", LargeBinary, nullable=False, unique=True),
    *(Column(name, Instant, nullable=False, server_default=sa.func.now()) for name in ("created_at", "last_used_at")),
    Column("expires_at", Instant, nullable=False),
    Column("ended_at", Instant),
    *_text("ip", "user_agent"),
    Index(None, "expires_at"),
    Index(None, "user_id"),
    comment="Who is signed in: a keyed digest of each session's cookie, never the cookie.",
)

budgets = sa.Table(
    "budgets",
    metadata,
    Column("budget_id", BigInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    *_text("billing_currency", nullable=False),
    *_money("amount", nullable=False),
    *_text("measure", nullable=False),
    Column("filters", JSONB, nullable=False),
    *(Column(name, ARRAY(Integer), nullable=False) for name in ("thresholds", "forecast_thresholds")),
    Column("start_month", Date, nullable=False),
    Column("end_month", Date),
    Column("version", Integer, nullable=False, server_default="1"),
    *(column for done in ("created", "updated") for column in _noted(done)),
    sa.CheckConstraint("amount > 0", name="amount"),
    comment="What may be spent in each calendar month of usage, of which charges, and from which shares on to tell.",
)

budget_alerts = sa.Table(
    "budget_alerts",
    metadata,
    Column("alert_id", BigInteger, Identity(always=True), primary_key=True),
    Column("budget_id", BigInteger, sa.ForeignKey("finops.budgets.budget_id", ondelete="CASCADE"), nullable=False),
    Column("month", Date, nullable=False),
    *_text("kind", nullable=False),
    Column("threshold", Integer, nullable=False),
    Column("crossed_on", Date, nullable=False),
    *_money("amount", "budget_amount", nullable=False),
    Column("source_version", BigInteger, nullable=False),
    Column("noticed_at", Instant, nullable=False, server_default=sa.func.now()),
    *(Column(name, Instant) for name in ("posted_at", "withdrawn_at")),
    Index(
        "budget_alerts_standing_idx",
        *("budget_id", "month", "kind", "threshold"),
        unique=True,
        postgresql_where=sa.text("withdrawn_at is null"),
    ),
    comment="Every threshold that a budget reached: on which day, at which amount, and whether that still holds.",
)

saved_views = sa.Table(
    "saved_views",
    metadata,
    Column("view_id", BigInteger, Identity(always=True), primary_key=True),
    *_text("owner", "owner_rows", "name", "query", nullable=False),
    Column("shared", sa.Boolean, nullable=False),
    *(Column(name, Instant, nullable=False, server_default=sa.func.now()) for name in ("created_at", "updated_at")),
    sa.UniqueConstraint("owner", "owner_rows", "name"),
    comment="Views of the dashboard that somebody gave a name: its address, whose it is, and whether others see it.",
)
