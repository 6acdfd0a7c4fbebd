"""Budgets with the alerts they led to, and views of the dashboard that were given a name."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_TOLD = ("budgets", "budget_alerts")


def upgrade() -> None:
    instant = postgresql.TIMESTAMP(timezone=True)
    now = sa.text("now()")
    op.create_table(
        "budgets",
        sa.Column("budget_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("billing_currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(), nullable=False),
        sa.Column("measure", sa.Text(), nullable=False),
        sa.Column("filters", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("thresholds", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column("forecast_thresholds", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column("start_month", sa.Date(), nullable=False),
        sa.Column("end_month", sa.Date()),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", instant, server_default=now, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("updated_at", instant, server_default=now, nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("budgets_amount_check")),
        sa.PrimaryKeyConstraint("budget_id", name=op.f("budgets_pkey")),
        sa.UniqueConstraint("name", name=op.f("budgets_name_key")),
        schema="finops",
        comment=(
            "What may be spent in each calendar month of usage, of which charges, and from which shares on to tell."
        ),
    )
    op.create_table(
        "budget_alerts",
        sa.Column("alert_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("budget_id", sa.BigInteger(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("threshold", sa.Integer(), nullable=False),
        sa.Column("crossed_on", sa.Date(), nullable=False),
        sa.Column("amount", sa.Numeric(), nullable=False),
        sa.Column("budget_amount", sa.Numeric(), nullable=False),
        sa.Column("source_version", sa.BigInteger(), nullable=False),
        sa.Column("noticed_at", instant, server_default=now, nullable=False),
        sa.Column("posted_at", instant),
        sa.Column("withdrawn_at", instant),
        sa.ForeignKeyConstraint(
            ["budget_id"], ["finops.budgets.budget_id"], name=op.f("budget_alerts_budget_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("budget_alerts_pkey")),
        schema="finops",
        comment="Every threshold that a budget reached: on which day, at which amount, and whether that still holds.",
    )
    op.create_index(
        "budget_alerts_standing_idx",
        "budget_alerts",
        ["budget_id", "month", "kind", "threshold"],
        unique=True,
        schema="finops",
        postgresql_where=sa.text("withdrawn_at is null"),
    )
    op.create_table(
        "saved_views",
        sa.Column("view_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("owner_rows", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("created_at", instant, server_default=now, nullable=False),
        sa.Column("updated_at", instant, server_default=now, nullable=False),
        sa.PrimaryKeyConstraint("view_id", name=op.f("saved_views_pkey")),
        sa.UniqueConstraint("owner", "owner_rows", "name", name=op.f("saved_views_owner_owner_rows_name_key")),
        schema="finops",
        comment=(
            "Views of the dashboard that somebody gave a name: its address, whose it is, and whether others see it."
        ),
    )
    for table in _TOLD:
        op.execute(
            f"create trigger tell_of_changes after insert or update or delete or truncate on finops.{table} "
            "for each statement execute function finops.tell_of_changes()"
        )


def downgrade() -> None:
    for table in ("saved_views", "budget_alerts", "budgets"):
        op.drop_table(table, schema="finops")
