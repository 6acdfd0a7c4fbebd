"""API keys, and a record of what was done that nobody can change."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant = postgresql.TIMESTAMP(timezone=True)
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("billing_accounts", postgresql.ARRAY(sa.Text())),
        sa.Column("projects", postgresql.ARRAY(sa.Text())),
        sa.Column("created_at", instant, server_default=sa.text("now()"), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_at", instant),
        sa.Column("last_used_at", instant),
        sa.Column("revoked_at", instant),
        sa.Column("replaced_by", sa.BigInteger()),
        sa.CheckConstraint(
            "scopes <@ array['read', 'export', 'admin'] and cardinality(scopes) > 0",
            name=op.f("api_keys_scopes_check"),
        ),
        sa.PrimaryKeyConstraint("key_id", name=op.f("api_keys_pkey")),
        sa.UniqueConstraint("prefix", name=op.f("api_keys_prefix_key")),
        sa.UniqueConstraint("digest", name=op.f("api_keys_digest_key")),
        schema="finops",
        comment="Keys of the API: a keyed digest of each, never the key; what it may do, and which rows it sees.",
    )
    op.create_table(
        "audit_event",
        sa.Column("event_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", instant, server_default=sa.text("now()"), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("key_id", sa.BigInteger()),
        sa.Column("scope", sa.Text()),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("rows", sa.BigInteger()),
        sa.Column("ip", sa.Text()),
        sa.Column("request_id", sa.Text()),
        sa.PrimaryKeyConstraint("event_id", name=op.f("audit_event_pkey")),
        schema="finops",
        comment=(
            "Who did what: keys made, rotated and revoked, exports, invoices handed in. Nothing of it can be changed."
        ),
    )
    op.create_index(op.f("audit_event_at_idx"), "audit_event", ["at"], schema="finops")
    # A trigger, because a grant binds everybody but the owner, and the owner is whom we connect as.
    op.execute(
        """
        create function finops.refuse_to_rewrite_audit() returns trigger language plpgsql as $$
        begin
            raise exception 'finops.audit_event only grows: nothing in it is changed or removed'
                using errcode = 'insufficient_privilege';
        end
        $$
        """
    )
    op.execute(
        "create trigger audit_event_only_grows before update or delete or truncate on finops.audit_event "
        "for each statement execute function finops.refuse_to_rewrite_audit()"
    )


def downgrade() -> None:
    op.drop_table("audit_event", schema="finops")
    op.execute("drop function finops.refuse_to_rewrite_audit")
    op.drop_table("api_keys", schema="finops")
