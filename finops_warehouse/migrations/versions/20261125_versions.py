"""Every change has a name, by which processes know that they have heard of the same; and a key to seal answers with."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # One name for all changes of a transaction, so that it is told once. The number alone comes again after a restore
    # of an older state; the moment with it does not.
    op.execute(
        """
        create or replace function finops.tell_of_changes() returns trigger language plpgsql as $$
        begin
            perform pg_notify('materialised', 'change ' || pg_current_xact_id() || ' ' || extract(epoch from now()));
            return null;
        end
        $$
        """
    )
    op.execute(
        """
        insert into finops.deployment_keys (name, key)
        select 'answers', decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')
        on conflict do nothing
        """
    )


def downgrade() -> None:
    op.execute("delete from finops.deployment_keys where name = 'answers'")
    op.execute(
        """
        create or replace function finops.tell_of_changes() returns trigger language plpgsql as $$
        begin
            perform pg_notify('materialised', '');
            return null;
        end
        $$
        """
    )
