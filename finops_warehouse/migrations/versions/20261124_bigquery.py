"""Days instead of rows where an export is too large, what reading it costs, and export days that are kept."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_OLD_COMMENT = "One row of the billing export. (export_day, row_hash, occurrence) names a row for ever."
_NEW_COMMENT = (
    "One row of the billing export, or with EXTRACT_GRAIN=day what charge_count rows of a usage day add up to. "
    "(export_day, row_hash, occurrence) names a row for ever."
)


def upgrade() -> None:
    op.add_column(
        "raw_charges", sa.Column("charge_count", sa.Integer(), server_default="1", nullable=False), schema="finops"
    )
    op.add_column("raw_charges", sa.Column("repeated_cost", sa.Numeric()), schema="finops")
    op.create_table_comment("raw_charges", _NEW_COMMENT, existing_comment=_OLD_COMMENT, schema="finops")
    op.add_column(
        "export_day_ledger", sa.Column("grain", sa.Text(), server_default="row", nullable=False), schema="finops"
    )
    instant = postgresql.TIMESTAMP(timezone=True)
    op.add_column("export_day_ledger", sa.Column("table_created_at", instant), schema="finops")
    op.add_column("export_day_ledger", sa.Column("kept_because", sa.Text()), schema="finops")
    op.add_column("export_day_ledger", sa.Column("kept_at", instant), schema="finops")
    op.create_table(
        "source_spending",
        sa.Column("spending_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("spent_at", instant, server_default=sa.text("now()"), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("export_day", sa.Date()),
        sa.Column("estimated_bytes", sa.BigInteger(), nullable=False),
        sa.Column("billed_bytes", sa.BigInteger()),
        sa.Column("slot_ms", sa.BigInteger()),
        sa.Column("job_id", sa.Text()),
        sa.Column("estimated_usd", sa.Numeric(), nullable=False),
        sa.PrimaryKeyConstraint("spending_id", name=op.f("source_spending_pkey")),
        schema="finops",
        comment=(
            "What reading the export was billed for: a query by the bytes it processed, a Storage Read by the bytes "
            "it returned. Without billed_bytes it has not ended yet, or its process died; its estimate counts all the "
            "same."
        ),
    )
    op.create_index(op.f("source_spending_spent_at_idx"), "source_spending", ["spent_at"], schema="finops")


def downgrade() -> None:
    op.drop_index(op.f("source_spending_spent_at_idx"), table_name="source_spending", schema="finops")
    op.drop_table("source_spending", schema="finops")
    for name in ("kept_at", "kept_because", "table_created_at", "grain"):
        op.drop_column("export_day_ledger", name, schema="finops")
    op.create_table_comment("raw_charges", _OLD_COMMENT, existing_comment=_NEW_COMMENT, schema="finops")
    op.drop_column("raw_charges", "repeated_cost", schema="finops")
    op.drop_column("raw_charges", "charge_count", schema="finops")
