"""Dimensions of the reader's own, and how shared costs are split."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_COSTS = (
    "list_cost",
    "contracted_cost",
    "cost",
    "credit_committed_usage_discount",
    "credit_committed_usage_discount_dollar_base",
    "credit_discount",
    "credit_fee_utilization_offset",
    "credit_free_tier",
    "credit_promotion",
    "credit_reseller_margin",
    "credit_subscription_benefit",
    "credit_sustained_usage_discount",
    "credit_other",
    "billed_cost",
    "effective_cost",
)
_OLD_COMMENT = "Why each version of a usage day exists: the export day that moved it, and how."
_NEW_COMMENT = "Why each version of a usage day exists: the export day that moved it, or a rule that changed."

# No dimension yet: the first rules that are applied replace these and put the days behind that they change.
_CHARGE = (
    "labels jsonb, project_labels jsonb, tags jsonb, project_ancestors jsonb, sub_account_id text, "
    "sub_account_name text"
)
_FACT = (
    "billing_account_id text, invoice_month text, sub_account_id text, sub_account_name text, service_id text, "
    "service_name text, sku_id text, sku_description text, region_id text, charge_category text, cost_type text, "
    "custom jsonb"
)
_FUNCTIONS = {
    "assign_dimensions": _CHARGE,
    "members_of": "assignment jsonb",
    "rules_of": "assignment jsonb",
    "shared_cost_rules": _FACT,
    "shared_cost_splits": "",
}

# Each part is cut off after the ninth digit; what is left goes in ninth digits to the parts that lost most by it, the
# first of equals first, and what amounts have beyond the ninth digit to the very first. All of it is integer
# arithmetic, so the parts add up to the amount to the last digit, whatever the weights are.
_SPLIT_COST = """
    create function finops.split_cost(amount numeric, weights numeric[]) returns numeric[]
    language sql immutable strict parallel safe as $$
        with total as (select sum(weight) as weight from unnest(weights) as weight),
        cut as (
            select place, div(amount * each.weight * 1000000000, total.weight) as units,
                abs(mod(amount * each.weight * 1000000000, total.weight)) as lost
            from unnest(weights) with ordinality as each (weight, place) cross join total
        ),
        ranked as (
            select place, units, row_number() over (order by lost desc, place) as rank,
                amount * 1000000000 - sum(units) over () as left_over
            from cut
        )
        select array_agg(
            trim_scale((units
                + case when rank <= abs(trunc(left_over)) then sign(left_over) else 0 end
                + case when rank = 1 then left_over - trunc(left_over) else 0 end
            ) * 0.000000001)
            order by place
        )
        from ranked
    $$
"""


def upgrade() -> None:
    for table in ("aggregated_cost_data", "superseded_cost_data"):
        for name in ("custom", "assigned_by"):
            column = sa.Column(name, postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False)
            op.add_column(table, column, schema="finops")
    for name in ("custom", "assigned_by"):  # whoever supersedes a row knows what it held
        op.alter_column("superseded_cost_data", name, server_default=None, schema="finops")
    op.create_table(
        "cost_by_custom_daily",
        sa.Column("usage_day", sa.Date(), nullable=False),
        sa.Column("invoice_month", sa.Text(), nullable=False),
        sa.Column("billing_account_id", sa.Text(), nullable=False),
        sa.Column("billing_currency", sa.Text(), nullable=False),
        sa.Column("custom", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("charge_category", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Numeric(), nullable=False) for name in _COSTS),
        sa.Column("charge_count", sa.BigInteger(), nullable=False),
        schema="finops",
        comment="What the members of the custom dimensions cost on each usage day.",
    )
    op.create_table(
        "allocated_costs",
        sa.Column("usage_day", sa.Date(), nullable=False),
        sa.Column("billing_account_id", sa.Text(), nullable=False),
        sa.Column("billing_currency", sa.Text(), nullable=False),
        sa.Column("dimension", sa.Text(), nullable=False),
        sa.Column("member", sa.Text(), nullable=False),
        sa.Column("moved_by", sa.Text(), nullable=True),
        sa.Column("direct_cost", sa.Numeric(), nullable=False),
        sa.Column("moved_cost", sa.Numeric(), nullable=False),
        sa.Column("billed_cost", sa.Numeric(), nullable=False),
        sa.Column("charge_count", sa.BigInteger(), nullable=False),
        schema="finops",
        comment="What each member of a custom dimension cost once shared costs are split: nothing is lost or made.",
    )
    for table in ("cost_by_custom_daily", "allocated_costs"):
        op.create_index(op.f(f"{table}_usage_day_idx"), table, ["usage_day"], unique=False, schema="finops")
    op.create_table(
        "dimension_rules",
        sa.Column("version", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("rules_hash", sa.Text(), nullable=False),
        sa.Column("rules", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("applied_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("dimension_rules_pkey")),
        schema="finops",
        comment="The rules of custom dimensions and shared costs, as they were applied; the newest are in force.",
    )
    op.alter_column("usage_day_changes", "export_day", nullable=True, schema="finops")
    op.create_table_comment("usage_day_changes", _NEW_COMMENT, existing_comment=_OLD_COMMENT, schema="finops")
    for name, arguments in _FUNCTIONS.items():
        op.execute(
            f"create function finops.{name} ({arguments}) returns jsonb language sql stable parallel safe "
            "as $$select '{}'::jsonb$$"
        )
    op.execute(_SPLIT_COST)


def downgrade() -> None:
    op.execute("drop function finops.split_cost")
    for name in _FUNCTIONS:
        op.execute(f"drop function finops.{name}")
    # A change of rules has no export day; the version it made stays in the ledger.
    op.execute("delete from finops.usage_day_changes where export_day is null")
    op.alter_column("usage_day_changes", "export_day", nullable=False, schema="finops")
    op.create_table_comment("usage_day_changes", _OLD_COMMENT, existing_comment=_NEW_COMMENT, schema="finops")
    for table in ("dimension_rules", "allocated_costs", "cost_by_custom_daily"):
        op.drop_table(table, schema="finops")
    for table in ("superseded_cost_data", "aggregated_cost_data"):
        for name in ("assigned_by", "custom"):
            op.drop_column(table, name, schema="finops")
