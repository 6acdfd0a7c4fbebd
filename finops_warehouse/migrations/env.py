"""How Alembic meets our database: one connection, one transaction, partitions left alone."""

from collections.abc import MutableMapping
from typing import Literal

import sqlalchemy as sa
from alembic import context

from finops_warehouse.database import warehouse_dsn
from finops_warehouse.settings import load_settings, sqlalchemy_url
from finops_warehouse.tables import SCHEMA, metadata

Kind = Literal["schema", "table", "column", "index", "unique_constraint", "foreign_key_constraint", "check_constraint"]
ParentNames = MutableMapping[Literal["schema_name", "table_name", "schema_qualified_table_name"], str | None]


def migrate(connection: sa.Connection) -> None:
    """Run what is asked for (upgrade, check, autogenerate) on `connection`."""
    connection.execute(sa.text(f"create schema if not exists {SCHEMA}"))
    partitions = set(
        connection.scalars(
            sa.text(
                "select relname from pg_class join pg_namespace n on n.oid = relnamespace "
                "where relispartition and nspname = :schema"
            ),
            {"schema": SCHEMA},
        )
    )
    # A role named like our schema has it as its default, and Alembic would then take our tables for strangers.
    connection.execute(sa.text("set search_path to public"))
    connection.dialect.default_schema_name = "public"
    connection.commit()

    def belongs_to_us(name: str | None, kind: Kind, _: ParentNames) -> bool:
        if kind == "schema":
            return name == SCHEMA
        return kind != "table" or name not in partitions

    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_schemas=True,
        include_name=belongs_to_us,
        version_table_schema=SCHEMA,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()  # all of an upgrade or none of it


given: sa.Connection | None = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    settings = load_settings()
    url = sqlalchemy_url(warehouse_dsn(settings), "psycopg")
    with sa.create_engine(url, echo=settings.sqlalchemy_echo).connect() as own:
        migrate(own)
