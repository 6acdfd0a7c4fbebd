"""People who sign in, and their sessions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant = postgresql.TIMESTAMP(timezone=True)
    op.create_table(
        "users",
        sa.Column("user_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("issuer", sa.Text()),
        sa.Column("subject", sa.Text()),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("role", sa.Text()),
        sa.Column("billing_accounts", postgresql.ARRAY(sa.Text())),
        sa.Column("projects", postgresql.ARRAY(sa.Text())),
        sa.Column("created_at", instant, server_default=sa.text("now()"), nullable=False),
        sa.Column("last_signed_in_at", instant),
        sa.Column("disabled_at", instant),
        sa.CheckConstraint("role in ('viewer', 'analyst', 'admin')", name=op.f("users_role_check")),
        sa.CheckConstraint("(subject is null) = (issuer is null)", name=op.f("users_subject_check")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("users_pkey")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("users_issuer_subject_key")),
        schema="finops",
        comment=(
            "People who signed in, or whose rows were settled before they do: what they may do, and which rows they "
            "see."
        ),
    )
    op.create_index(op.f("users_email_idx"), "users", ["email"], schema="finops")
    op.create_table(
        "sessions",
        sa.Column("session_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("sign_in_digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", instant, server_default=sa.text("now()"), nullable=False),
        sa.Column("last_used_at", instant, server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", instant, nullable=False),
        sa.Column("ended_at", instant),
        sa.Column("ip", sa.Text()),
        sa.Column("user_agent", sa.Text()),
        sa.PrimaryKeyConstraint("session_id", name=op.f("sessions_pkey")),
        sa.UniqueConstraint("digest", name=op.f("sessions_digest_key")),
        sa.UniqueConstraint("sign_in_digest", name=op.f("sessions_sign_in_digest_key")),
        schema="finops",
        comment="Who is signed in: a keyed digest of each session's cookie, never the cookie.",
    )
    op.create_index(op.f("sessions_expires_at_idx"), "sessions", ["expires_at"], schema="finops")
    op.create_index(op.f("sessions_user_id_idx"), "sessions", ["user_id"], schema="finops")


def downgrade() -> None:
    op.drop_table("sessions", schema="finops")
    op.drop_table("users", schema="finops")
