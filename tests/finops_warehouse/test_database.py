"""The way to the database: errors an operator can act on, and a schema that only migrations make."""

import re
import socket
import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import make_url

from finops_warehouse.database import (
    MIGRATIONS,
    alembic_config,
    connect,
    connect_to,
    dagster_dsn,
    init_db,
    schema_revision,
)
from finops_warehouse.errors import NewerSchema, WarehouseError, WarehouseUnreachable, WrongCredentials
from finops_warehouse.partitions import ensure_month
from finops_warehouse.settings import Settings, sqlalchemy_url

SECRET = "hunter2-is-no-password"


@pytest.fixture
def unused_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def empty(server: str) -> Iterator[str]:
    """The DSN of a database no migration has ever seen."""
    name = f"empty_{threading.get_ident()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def at(dsn: str, **parts: object) -> str:
    """`dsn` with some parts of it exchanged."""
    return make_url(dsn).set(**parts).render_as_string(hide_password=False)  # type: ignore[arg-type]


Spoil = Callable[[str, int], str]
REFUSED: dict[str, tuple[Spoil, type[WarehouseError], str]] = {
    "a wrong password": (lambda dsn, _: at(dsn, password=SECRET), WrongCredentials, "password in DATABASE_URL"),
    "an unknown user": (lambda dsn, _: at(dsn, username="stranger", password=SECRET), WrongCredentials, "stranger"),
    "no password": (
        lambda dsn, _: re.sub(":[^:@/]*@", "@", dsn), WrongCredentials, "password in DATABASE_URL"
    ),
    "nobody listening": (
        lambda dsn, port: at(dsn, port=port, password=SECRET), WarehouseUnreachable, "Check DATABASE_URL"
    ),
    "an unknown host": (
        lambda dsn, _: at(dsn, host="nowhere.invalid", password=SECRET), WarehouseUnreachable, "nowhere.invalid"
    ),
    "a missing database": (lambda dsn, _: at(dsn, database="no_such_db"), WarehouseUnreachable, "'no_such_db'"),
    "a missing database named like a role": (
        lambda dsn, _: at(dsn, database="payrole"), WarehouseUnreachable, "Create it"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "kind", "said"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("use", ["connect", "init_db"])
def test_a_database_that_cannot_be_used_is_named_with_a_remedy(
    server: str, unused_port: int, use: str, spoil: Spoil, kind: type[WarehouseError], said: str
) -> None:
    """The operator reads one sentence at night; it says what to change and holds no password."""
    dsn = spoil(server, unused_port)
    settings = Settings.model_validate({"database_url": dsn})

    with pytest.raises(WarehouseError) as refused:
        connect(settings) if use == "connect" else init_db(settings)

    assert type(refused.value) is kind, refused.value
    assert said in str(refused.value)
    password = make_url(server).password
    assert password is not None
    assert SECRET not in str(refused.value)
    assert password not in str(refused.value)
    assert "\n" not in str(refused.value)


def tables_of(dsn: str) -> list[tuple[str, ...]]:
    """Everything in the database that is not PostgreSQL's own."""
    with connect_to(dsn) as connection:
        return connection.execute(
            "select table_schema, table_name, column_name, data_type from information_schema.columns "
            "where table_schema not in ('pg_catalog', 'information_schema') order by 1, 2, 3"
        ).fetchall()


def test_a_newer_schema_is_left_as_it_is(database_url: str, settings: Settings) -> None:
    """An old release started by mistake must not "repair" what a newer one made."""
    with connect_to(database_url, autocommit=True) as connection:
        connection.execute("update finops.alembic_version set version_num = '9999'")
    before = tables_of(database_url)

    with pytest.raises(NewerSchema, match=r"'9999'.*Upgrade this installation"):
        init_db(settings)

    assert tables_of(database_url) == before
    with connect_to(database_url) as connection:
        assert connection.execute("select version_num from finops.alembic_version").fetchall() == [("9999",)]


@pytest.fixture
def engine(settings: Settings) -> Iterator[sa.Engine]:
    """SQLAlchemy on the test's database."""
    assert settings.database_url is not None
    url = sqlalchemy_url(settings.database_url.get_secret_value(), "psycopg")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    yield engine
    engine.dispose()


def test_the_migrations_make_exactly_the_tables_we_declare(engine: sa.Engine, connection: psycopg.Connection) -> None:
    """`alembic check`: a column added to tables.py and to no migration would be missing in production alone."""
    for table in ("raw_charges", "aggregated_cost_data"):
        ensure_month(connection, table, connection.execute("select current_date").fetchall()[0][0])

    with engine.connect() as checked:
        command.check(alembic_config(checked))


def test_a_stray_column_is_seen(engine: sa.Engine, connection: psycopg.Connection) -> None:
    """The check above can fail."""
    connection.execute("alter table finops.invoices add column stray text")

    with engine.connect() as checked, pytest.raises(Exception, match="stray"):
        command.check(alembic_config(checked))


def test_migrations_are_one_line_without_branches() -> None:
    """Two heads mean that two people's migrations were never applied one after the other."""
    scripts = ScriptDirectory(str(MIGRATIONS))

    assert len(scripts.get_heads()) == 1
    assert len(scripts.get_bases()) == 1


def test_the_first_migration_cannot_be_undone(engine: sa.Engine, connection: psycopg.Connection) -> None:
    """`alembic downgrade base` would drop every charge ever loaded; it refuses, and everything is there still."""
    dsn = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    before = tables_of(dsn)

    with engine.connect() as downgraded, pytest.raises(RuntimeError, match="cannot be undone"):
        command.downgrade(alembic_config(downgraded), "base")

    assert tables_of(dsn) == before


def test_several_processes_that_start_together_migrate_once(empty: str) -> None:
    """A code server, a daemon and an API start at the same second on an empty database."""
    start, errors = threading.Barrier(4), list[BaseException]()

    def come_up() -> None:
        start.wait()
        try:
            init_db(Settings.model_validate({"database_url": empty}))
        except BaseException as error:  # noqa: BLE001 -- it would be lost in the thread
            errors.append(error)

    threads = [threading.Thread(target=come_up, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert errors == []
    assert not any(thread.is_alive() for thread in threads), "they wait for each other"
    with connect_to(empty) as connection:
        assert connection.execute("select count(*) from finops.alembic_version").fetchall() == [(1,)]
        [(locks,)] = connection.execute(
            "select count(*) from pg_locks join pg_database as d on d.oid = database "
            "where locktype = 'advisory' and datname = current_database()"
        ).fetchall()
    assert locks == 0


def test_migrating_twice_changes_nothing(empty: str) -> None:
    """Every command begins with it."""
    settings = Settings.model_validate({"database_url": empty})
    init_db(settings)
    before = tables_of(empty)
    init_db(settings)

    assert tables_of(empty) == before
    with sa.create_engine(sqlalchemy_url(empty, "psycopg"), poolclass=sa.NullPool).connect() as connection:
        assert schema_revision(connection) == ScriptDirectory(str(MIGRATIONS)).get_current_head()


def test_a_database_never_migrated_has_no_revision(empty: str) -> None:
    """Not an error: it is how a fresh database is told from a newer one."""
    with sa.create_engine(sqlalchemy_url(empty, "psycopg"), poolclass=sa.NullPool).connect() as connection:
        assert schema_revision(connection) is None


def test_a_user_named_like_the_schema_can_migrate_and_check(server: str, empty: str) -> None:
    """`finops` is a likely user name; its own schema then comes first on the search path."""
    assert make_url(server).username == "finops"
    init_db(Settings.model_validate({"database_url": empty}))

    with sa.create_engine(sqlalchemy_url(empty, "psycopg"), poolclass=sa.NullPool).connect() as connection:
        command.check(alembic_config(connection))


def test_dagster_has_a_database_of_its_own(settings: Settings, server: str) -> None:
    """Its tables stay out of ours; made on first use, found again after."""
    dsn = dagster_dsn(settings)

    assert make_url(dsn).database == "dagster"
    assert dagster_dsn(settings) == dsn
    with psycopg.connect(dsn) as connection:
        assert connection.info.dbname == "dagster"


def test_a_user_that_may_not_create_dagsters_database_is_told_so(server: str, database_url: str) -> None:
    """A managed database gives one database to one user: the way out is a setting, and it is named."""
    role = f"limited_{threading.get_ident()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("create role {} login password 'p'").format(sql.Identifier(role)))
        connection.execute("drop database if exists dagster with (force)")
    try:
        with pytest.raises(WrongCredentials, match="DAGSTER_DATABASE_URL"):
            dagster_dsn(Settings.model_validate({"database_url": at(database_url, username=role, password="p")}))
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


def test_times_are_read_in_utc(settings: Settings) -> None:
    """A server set to another zone must not shift a day."""
    with connect(settings) as connection:
        assert connection.execute("show timezone").fetchall() == [("UTC",)]
