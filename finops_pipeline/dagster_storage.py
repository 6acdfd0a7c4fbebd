"""Dagster's own storage, in the database our settings mean.

Dagster's configuration can name an environment variable and nothing more, so a bare `dagster dev` would need
the address of a server that may not even run yet. This storage asks our settings instead, and starts the
embedded server when that is the one meant: one dagster.yaml serves a laptop, Compose and Kubernetes.
"""

from collections.abc import Mapping
from typing import Any, Self

from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage

from finops_warehouse.database import dagster_dsn
from finops_warehouse.settings import load_settings, sqlalchemy_url


class StorageBesideTheWarehouse(DagsterPostgresStorage):
    """Runs, events and schedules in DAGSTER_DATABASE_URL, or in the database `dagster` beside the warehouse."""

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        """It has no configuration of its own."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Build the storage from the settings of this process."""
        # Dagster ships psycopg2, and since SQLAlchemy 2.1 a bare postgresql:// means psycopg 3.
        url = sqlalchemy_url(dagster_dsn(load_settings()), "psycopg2")
        return cls(
            postgres_url=url.render_as_string(hide_password=False),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            inst_data=inst_data,
        )
