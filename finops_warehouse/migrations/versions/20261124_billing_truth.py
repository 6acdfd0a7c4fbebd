"""What readers saw before a restatement, how complete each day is, and the parts of an invoice."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_CREDITS = tuple(
    f"credit_{name}"
    for name in (
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
)
_COUNT_AGAIN = f"""
    insert into finops.usage_day_arrivals (
        export_day, usage_day, invoice_month, billing_account_id, billing_currency, service_name, cost_type,
        charge_count, correction_count, cost, {", ".join(_CREDITS)}, billed_cost, last_export_time, charges_hash
    )
    select export_day, usage_day, invoice_month, billing_account_id, billing_currency, service_name, cost_type,
        count(*), count(*) filter (where cost_type = 'adjustment' or adjustment_type is not null), sum(cost),
        {", ".join(f"coalesce(sum({name}), 0)" for name in _CREDITS)}, sum(billed_cost), max(export_time),
        sum(('x' || substr(encode(row_hash, 'hex'), 1, 15))::bit(60)::bigint)
    from finops.raw_charges
    group by 1, 2, 3, 4, 5, 6, 7, date_bin('3 hours', export_time, '2000-01-01T00:00Z')
"""  # noqa: S608 -- the names are constants


def upgrade() -> None:
    op.create_table(
        "account_completeness",
        sa.Column("as_of_day", sa.Date(), nullable=False),
        sa.Column("billing_account_id", sa.Text(), nullable=False),
        sa.Column("after_days", sa.Integer(), nullable=False),
        sa.Column("days_learned_from", sa.Integer(), nullable=False),
        sa.Column("known_share", sa.Numeric(), nullable=False),
        sa.Column("learned_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("as_of_day", "billing_account_id", name=op.f("account_completeness_pkey")),
        schema="finops",
        comment="After how many export days the cost of a usage day is as good as final, learned from past arrivals.",
    )
    op.create_table(
        "cost_maturity",
        sa.Column("as_of_day", sa.Date(), nullable=False),
        sa.Column("billing_account_id", sa.Text(), nullable=False),
        sa.Column("billing_currency", sa.Text(), nullable=False),
        sa.Column("service_name", sa.Text(), nullable=False),
        sa.Column("age_hours", sa.Integer(), nullable=False),
        sa.Column("days_learned_from", sa.Integer(), nullable=False),
        sa.Column("known_share", sa.Numeric(), nullable=False),
        sa.Column("known_share_low", sa.Numeric(), nullable=False),
        sa.Column("known_share_high", sa.Numeric(), nullable=False),
        sa.PrimaryKeyConstraint(
            "as_of_day",
            "billing_account_id",
            "billing_currency",
            "service_name",
            "age_hours",
            name=op.f("cost_maturity_pkey"),
        ),
        schema="finops",
        comment="Which share of its final cost is known so many hours after the end of a usage day, by service.",
    )
    op.create_table(
        "invoice_files",
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("refused_because", sa.Text(), nullable=True),
        sa.Column("taken_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("file_name", name=op.f("invoice_files_pkey")),
        schema="finops",
        comment="The files of INVOICES_DIR that were looked at, and why one was refused.",
    )
    op.create_table(
        "invoice_month_parts",
        sa.Column("invoice_month", sa.Text(), nullable=False),
        sa.Column("billing_account_id", sa.Text(), nullable=False),
        sa.Column("billing_currency", sa.Text(), nullable=False),
        sa.Column("export_day", sa.Date(), nullable=False),
        sa.Column("cost_type", sa.Text(), nullable=False),
        sa.Column("cost", sa.Numeric(), nullable=False),
        sa.Column("credit_committed_usage_discount", sa.Numeric(), nullable=False),
        sa.Column("credit_committed_usage_discount_dollar_base", sa.Numeric(), nullable=False),
        sa.Column("credit_discount", sa.Numeric(), nullable=False),
        sa.Column("credit_fee_utilization_offset", sa.Numeric(), nullable=False),
        sa.Column("credit_free_tier", sa.Numeric(), nullable=False),
        sa.Column("credit_promotion", sa.Numeric(), nullable=False),
        sa.Column("credit_reseller_margin", sa.Numeric(), nullable=False),
        sa.Column("credit_subscription_benefit", sa.Numeric(), nullable=False),
        sa.Column("credit_sustained_usage_discount", sa.Numeric(), nullable=False),
        sa.Column("credit_other", sa.Numeric(), nullable=False),
        sa.Column("billed_cost", sa.Numeric(), nullable=False),
        sa.Column("charge_count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "invoice_month",
            "billing_account_id",
            "billing_currency",
            "export_day",
            "cost_type",
            name=op.f("invoice_month_parts_pkey"),
        ),
        schema="finops",
        comment="What each export day brought for each invoice by cost type and credit type, counted in the source.",
    )
    op.create_table(
        "invoice_seals",
        sa.Column("seal_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("invoice_month", sa.Text(), nullable=False),
        sa.Column("billing_account_id", sa.Text(), nullable=False),
        sa.Column("billing_currency", sa.Text(), nullable=False),
        sa.Column("billed_cost", sa.Numeric(), nullable=False),
        sa.Column("charge_count", sa.BigInteger(), nullable=False),
        sa.Column("input_hash", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("sealed_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("seal_id", name=op.f("invoice_seals_pkey")),
        schema="finops",
        comment="What an invoice month was when it closed. A later seal is somebody's word that it moved rightly.",
    )
    op.create_index(
        op.f("invoice_seals_invoice_month_billing_account_id_billing_currency_idx"),
        "invoice_seals",
        ["invoice_month", "billing_account_id", "billing_currency"],
        unique=False,
        schema="finops",
    )
    op.create_table(
        "materialisation_log",
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("partition_key", sa.Text(), nullable=False),
        sa.Column("source_version", sa.BigInteger(), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("materialised_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("materialisation_log_pkey")),
        schema="finops",
        comment="Every build there was: what a reader was served at any moment.",
    )
    op.create_index(
        op.f("materialisation_log_asset_partition_key_materialised_at_idx"),
        "materialisation_log",
        ["asset", "partition_key", "materialised_at"],
        unique=False,
        schema="finops",
    )
    op.create_table(
        "superseded_cost_data",
        sa.Column("usage_day", sa.Date(), nullable=False),
        sa.Column("invoice_month", sa.Text(), nullable=False),
        sa.Column("billing_account_id", sa.Text(), nullable=False),
        sa.Column("billing_currency", sa.Text(), nullable=False),
        sa.Column("sub_account_id", sa.Text(), nullable=True),
        sa.Column("sub_account_name", sa.Text(), nullable=True),
        sa.Column("service_id", sa.Text(), nullable=True),
        sa.Column("service_name", sa.Text(), nullable=True),
        sa.Column("sku_id", sa.Text(), nullable=True),
        sa.Column("sku_description", sa.Text(), nullable=True),
        sa.Column("region_id", sa.Text(), nullable=True),
        sa.Column("charge_category", sa.Text(), nullable=False),
        sa.Column("cost_type", sa.Text(), nullable=False),
        sa.Column("consumed_unit", sa.Text(), nullable=True),
        sa.Column("pricing_unit", sa.Text(), nullable=True),
        sa.Column("list_cost", sa.Numeric(), nullable=False),
        sa.Column("contracted_cost", sa.Numeric(), nullable=False),
        sa.Column("cost", sa.Numeric(), nullable=False),
        sa.Column("credit_committed_usage_discount", sa.Numeric(), nullable=False),
        sa.Column("credit_committed_usage_discount_dollar_base", sa.Numeric(), nullable=False),
        sa.Column("credit_discount", sa.Numeric(), nullable=False),
        sa.Column("credit_fee_utilization_offset", sa.Numeric(), nullable=False),
        sa.Column("credit_free_tier", sa.Numeric(), nullable=False),
        sa.Column("credit_promotion", sa.Numeric(), nullable=False),
        sa.Column("credit_reseller_margin", sa.Numeric(), nullable=False),
        sa.Column("credit_subscription_benefit", sa.Numeric(), nullable=False),
        sa.Column("credit_sustained_usage_discount", sa.Numeric(), nullable=False),
        sa.Column("credit_other", sa.Numeric(), nullable=False),
        sa.Column("billed_cost", sa.Numeric(), nullable=False),
        sa.Column("effective_cost", sa.Numeric(), nullable=False),
        sa.Column("consumed_quantity", sa.Numeric(), nullable=True),
        sa.Column("pricing_quantity", sa.Numeric(), nullable=True),
        sa.Column("charge_count", sa.BigInteger(), nullable=False),
        sa.Column("repeated_cost", sa.Numeric(), nullable=False),
        sa.Column("from_version", sa.BigInteger(), nullable=False),
        sa.Column("until_version", sa.BigInteger(), nullable=False),
        schema="finops",
        comment="Rows of aggregated_cost_data that were served once, and from which to which version of their day.",
        postgresql_partition_by="RANGE (usage_day)",
    )
    op.create_index(
        op.f("superseded_cost_data_usage_day_idx"), "superseded_cost_data", ["usage_day"], unique=False, schema="finops"
    )
    # Facts that are there were served from the version they were built as.
    op.add_column("aggregated_cost_data", sa.Column("from_version", sa.BigInteger()), schema="finops")
    op.execute(
        "update finops.aggregated_cost_data as facts set from_version = built.version "
        "from finops.materialisation as built "
        "where built.asset = 'aggregated_cost_data' and built.partition_key = facts.usage_day::text"
    )
    op.execute("update finops.aggregated_cost_data set from_version = 0 where from_version is null")
    op.alter_column("aggregated_cost_data", "from_version", nullable=False, schema="finops")
    op.execute(
        "insert into finops.materialisation_log "
        "select version, asset, partition_key, source_version, row_count, run_id, materialised_at "
        "from finops.materialisation"
    )
    op.add_column("export_day_ledger", sa.Column("billing_timezone", sa.Text()), schema="finops")
    op.add_column("invoices", sa.Column("invoice_id", sa.Text()), schema="finops")

    # Months are added up again: what they are now made from was not kept before.
    op.execute("truncate finops.invoice_months")
    op.add_column("invoice_months", sa.Column("late_billed_cost", sa.Numeric(), nullable=False), schema="finops")
    op.add_column("invoice_months", sa.Column("late_charge_count", sa.BigInteger(), nullable=False), schema="finops")
    op.add_column("invoice_months", sa.Column("input_hash", sa.Text(), nullable=False), schema="finops")
    op.add_column("invoice_months", sa.Column("invoice_id", sa.Text()), schema="finops")
    op.execute("update finops.invoice_month_ledger set source_version = source_version + 1")

    op.execute("truncate finops.usage_day_arrivals")
    op.add_column("usage_day_arrivals", sa.Column("cost_type", sa.Text(), nullable=False), schema="finops")
    for name in _CREDITS:
        op.add_column("usage_day_arrivals", sa.Column(name, sa.Numeric(), nullable=False), schema="finops")
    op.add_column("usage_day_arrivals", sa.Column("charges_hash", sa.Numeric(), nullable=False), schema="finops")
    op.execute(_COUNT_AGAIN)


def downgrade() -> None:
    op.drop_column("usage_day_arrivals", "charges_hash", schema="finops")
    for name in (*_CREDITS, "cost_type"):
        op.drop_column("usage_day_arrivals", name, schema="finops")
    op.drop_column("invoices", "invoice_id", schema="finops")
    op.drop_column("invoice_months", "invoice_id", schema="finops")
    op.drop_column("invoice_months", "input_hash", schema="finops")
    op.drop_column("invoice_months", "late_charge_count", schema="finops")
    op.drop_column("invoice_months", "late_billed_cost", schema="finops")
    op.drop_column("export_day_ledger", "billing_timezone", schema="finops")
    op.drop_column("aggregated_cost_data", "from_version", schema="finops")
    op.drop_index(op.f("superseded_cost_data_usage_day_idx"), table_name="superseded_cost_data", schema="finops")
    op.drop_table("superseded_cost_data", schema="finops")
    op.drop_index(
        op.f("materialisation_log_asset_partition_key_materialised_at_idx"),
        table_name="materialisation_log",
        schema="finops",
    )
    op.drop_table("materialisation_log", schema="finops")
    op.drop_index(
        op.f("invoice_seals_invoice_month_billing_account_id_billing_currency_idx"),
        table_name="invoice_seals",
        schema="finops",
    )
    op.drop_table("invoice_seals", schema="finops")
    op.drop_table("invoice_month_parts", schema="finops")
    op.drop_table("invoice_files", schema="finops")
    op.drop_table("cost_maturity", schema="finops")
    op.drop_table("account_completeness", schema="finops")
