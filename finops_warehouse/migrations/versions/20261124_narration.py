"""Texts, the conversations with models that wrote them, and the aliases models are told instead of names."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "aliases",
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("alias", name=op.f("aliases_pkey")),
        schema="finops",
        comment="What language models are told instead of the names of projects, accounts and SKUs.",
    )
    op.create_table(
        "deployment_keys",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("deployment_keys_pkey")),
        schema="finops",
        comment="Random keys of this deployment, made on first use.",
    )
    op.create_table(
        "llm_cache",
        sa.Column("input_hash", sa.Text(), nullable=False),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("template", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("written_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("input_hash", name=op.f("llm_cache_pkey")),
        schema="finops",
        comment="Texts that models wrote and that passed the checks, by the hash of all they were written from.",
    )
    op.create_table(
        "llm_calls",
        sa.Column("call_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("partition_key", sa.Text(), nullable=False),
        sa.Column("insight_id", sa.Text(), nullable=False),
        sa.Column("input_hash", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("prompt_version", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_usd", sa.Numeric(), nullable=True),
        sa.Column("latency_ms", sa.Integer(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("called_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("call_id", name=op.f("llm_calls_pkey")),
        schema="finops",
        comment="Every conversation with a language model: what was sent and answered, what it took, how it ended.",
    )
    op.create_index(
        op.f("llm_calls_asset_partition_key_idx"),
        "llm_calls",
        ["asset", "partition_key"],
        unique=False,
        schema="finops",
    )
    op.create_table(
        "llm_insights",
        sa.Column("insight_id", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("period_start", sa.Date(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("billing_currency", sa.Text(), nullable=False),
        sa.Column("sub_account_id", sa.Text(), nullable=True),
        sa.Column("service_id", sa.Text(), nullable=True),
        sa.Column("severity", sa.Text(), nullable=True),
        sa.Column("template", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("fallback_reason", sa.Text(), nullable=True),
        sa.Column("prompt_version", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("input_hash", sa.Text(), nullable=False),
        sa.Column("input_version", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("period", "period_start", "insight_id", name=op.f("llm_insights_pkey")),
        schema="finops",
        comment="Texts with tokens in place of figures, and the facts behind each: what the rest means, in words.",
    )
    op.create_index(op.f("llm_insights_insight_id_idx"), "llm_insights", ["insight_id"], unique=False, schema="finops")
    op.create_index(op.f("llm_insights_subject_id_idx"), "llm_insights", ["subject_id"], unique=False, schema="finops")


def downgrade() -> None:
    op.drop_table("llm_insights", schema="finops")
    op.drop_table("llm_calls", schema="finops")
    op.drop_table("llm_cache", schema="finops")
    op.drop_table("deployment_keys", schema="finops")
    op.drop_table("aliases", schema="finops")
