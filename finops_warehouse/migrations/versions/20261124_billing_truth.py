"""What readers saw before a restatement, how complete each day is, and the parts of an invoice."""

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
