"""The export in FOCUS columns, and how far it conforms."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "focus_conformance",
        sa.Column("usage_day", sa.Date(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("rows_checked", sa.BigInteger(), nullable=False),
        sa.Column("rows_failed", sa.BigInteger(), nullable=False),
        sa.Column("examples", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("usage_day", "rule_id", name=op.f("focus_conformance_pkey")),
        schema="finops",
        comment=(
            "How many FOCUS rows of each usage day each rule of the specification speaks about, and which break it."
        ),
    )
    op.create_table(
        "focus_export_months",
        sa.Column("invoice_month", sa.Text(), nullable=False),
        sa.Column("billing_account_id", sa.Text(), nullable=False),
        sa.Column("billing_currency", sa.Text(), nullable=False),
        sa.Column("billed_cost", sa.Numeric(), nullable=False),
        sa.Column("charge_count", sa.BigInteger(), nullable=False),
        sa.Column("last_export_time", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "invoice_month", "billing_account_id", "billing_currency", name=op.f("focus_export_months_pkey")
        ),
        schema="finops",
        comment="What Google's own FOCUS export bills each month: the second witness beside the invoice.",
    )
    # Effective cost is spread from now on: days that hold commitments are behind, and built again with the new rule.
    op.execute(
        "update finops.usage_day_ledger set source_version = source_version + 1, touched_at = now() "
        "where usage_day in (select usage_day from finops.aggregated_cost_data where charge_category = 'Purchase')"
    )


def downgrade() -> None:
    op.drop_table("focus_export_months", schema="finops")
    op.drop_table("focus_conformance", schema="finops")
