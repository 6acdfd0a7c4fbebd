"""The way to the database: whichever one the settings mean, with errors an operator can act on."""

import re
from functools import lru_cache
from pathlib import Path

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import errors
from sqlalchemy import make_url

from finops_warehouse.embedded import EmbeddedPostgres
from finops_warehouse.errors import NewerSchema, WarehouseError, WarehouseUnreachable, WrongCredentials
from finops_warehouse.focus.view import make_view
from finops_warehouse.row_scope import make_row_scope
from finops_warehouse.settings import Settings, libpq_url, sqlalchemy_url

CONNECT_TIMEOUT_SECONDS = 10
MIGRATIONS = Path(__file__).parent / "migrations"
DAGSTER_DATABASE = "dagster"
REFUSED = re.compile(r'authentication failed|no password supplied|no pg_hba.conf entry|role ".*?" (does|is) not ')


@lru_cache(maxsize=4)
def embedded_server(home: Path) -> EmbeddedPostgres:
    """This process's one handle on the embedded server of `home`."""
    return EmbeddedPostgres(home)


def warehouse_dsn(settings: Settings) -> str:
    """The libpq URL of the warehouse; starts the embedded server when that is the one meant."""
    if settings.database_url is not None:
        return libpq_url(settings.database_url.get_secret_value())
    return embedded_server(settings.finops_home).start()


def connect(settings: Settings, *, autocommit: bool = False) -> psycopg.Connection:
    """A connection to the warehouse.

    Raises `WarehouseUnreachable` when nobody answers and `WrongCredentials` when we are refused.
    """
    return connect_to(warehouse_dsn(settings), autocommit=autocommit)


def connect_to(dsn: str, *, autocommit: bool = False) -> psycopg.Connection:
    """A connection to `dsn`, times in UTC. Raises as `connect` does; no message holds the password."""
    try:
        return psycopg.connect(
            dsn, autocommit=autocommit, connect_timeout=CONNECT_TIMEOUT_SECONDS, options="-c timezone=UTC"
        )
    except psycopg.OperationalError as error:
        raise _explained(error, dsn) from None


def _explained(error: psycopg.OperationalError, dsn: str) -> WarehouseError:
    url = make_url(dsn)
    place = f"{url.host or 'localhost'}:{url.port or 5432}"
    said = re.sub(r"\s+", " ", str(error)).strip()
    if REFUSED.search(said):
        return WrongCredentials(
            f"The database at {place} refuses user {url.username!r}. Check the user and password in DATABASE_URL."
        )
    if isinstance(error, errors.InvalidCatalogName) or "does not exist" in said:
        return WarehouseUnreachable(
            f"The server at {place} has no database {url.database!r}. Create it, or name another in DATABASE_URL."
        )
    return WarehouseUnreachable(
        f"Nobody answers at {place} ({said}). Check DATABASE_URL and that PostgreSQL runs there."
    )


def init_db(settings: Settings) -> None:
    """Bring the warehouse to this release's schema: tables by Alembic migrations and nothing else, the FOCUS
    view, and the roles of restricted keys.

    A read replica is left as it is: it has the schema of its primary. Raises `NewerSchema` when a newer release has
    already migrated it: nothing is changed then; and `WarehouseError` for a replica whose primary is not migrated yet.
    """
    engine = sa.create_engine(
        sqlalchemy_url(warehouse_dsn(settings), "psycopg"), echo=settings.sqlalchemy_echo, poolclass=sa.NullPool
    )
    connect(settings).close()  # an operator's error for what would be a driver's
    with engine.connect() as connection:
        if connection.scalar(sa.text("select pg_is_in_recovery()")):
            _refuse_newer(connection)
            _refuse_replica_of_older(connection)
            return
        # Two processes that start together would both find an empty database.
        connection.execute(sa.text("select pg_advisory_lock(hashtext('finops.migrations'))"))
        connection.commit()
        _refuse_newer(connection)
        command.upgrade(alembic_config(connection), "head")
        with connect(settings, autocommit=True) as ours:
            make_view(ours, settings.focus_version)
            make_row_scope(ours)


def alembic_config(connection: sa.Connection) -> Config:
    """Alembic set up for `connection`, wherever the package is installed."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def schema_revision(connection: sa.Connection) -> str | None:
    """The migration the database stands at; None when it has never been migrated."""
    if connection.scalar(sa.text("select to_regclass('finops.alembic_version')")) is None:
        return None
    revision: str | None = connection.scalar(sa.text("select version_num from finops.alembic_version"))
    return revision


def _refuse_newer(connection: sa.Connection) -> None:
    revision = schema_revision(connection)
    connection.commit()
    known = {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
    if revision is not None and revision not in known:
        raise NewerSchema(
            f"The database stands at migration {revision!r}, which this release does not know: a newer release "
            "migrated it. Upgrade this installation, or restore the database from before that release."
        )


def _refuse_replica_of_older(connection: sa.Connection) -> None:
    newest = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    if schema_revision(connection) != newest:
        raise WarehouseError(
            f"DATABASE_URL is a read replica, and what it replicates is not at migration {newest!r} of this release. "
            "Run `finops migrate` with the primary's DATABASE_URL first."
        )


def dagster_dsn(settings: Settings) -> str:
    """The libpq URL of Dagster's own database, made on first use when it lives beside the warehouse."""
    if settings.dagster_database_url is not None:
        return libpq_url(settings.dagster_database_url.get_secret_value())
    dsn = warehouse_dsn(settings)
    with connect_to(dsn, autocommit=True) as server:
        if not server.execute("select 1 from pg_database where datname = %s", [DAGSTER_DATABASE]).fetchone():
            try:
                server.execute(f"create database {DAGSTER_DATABASE}")
            except (errors.DuplicateDatabase, errors.UniqueViolation):
                pass  # another process of ours was first
            except errors.InsufficientPrivilege:
                raise WrongCredentials(
                    f"The user of DATABASE_URL may not create the database {DAGSTER_DATABASE!r} for Dagster. "
                    "Create it, or set DAGSTER_DATABASE_URL."
                ) from None
    return make_url(dsn).set(database=DAGSTER_DATABASE).render_as_string(hide_password=False)
