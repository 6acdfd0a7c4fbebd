"""The export in FOCUS columns, and how far it conforms."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Effective cost is spread from now on: days that hold commitments are behind, and built again with the new rule.
    op.execute(
        "update finops.usage_day_ledger set source_version = source_version + 1, touched_at = now() "
        "where usage_day in (select usage_day from finops.aggregated_cost_data where charge_category = 'Purchase')"
    )


def downgrade() -> None:
    pass
