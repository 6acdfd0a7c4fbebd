"""What tests share: one real PostgreSQL for the whole run, a fresh migrated database for each test that wants one."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import psycopg
import pytest
from helpers.redis_server import RedisServer
from psycopg import sql
from sqlalchemy import make_url

from finops_pipeline.sample_export import SampleExport, write_sample_export
from finops_warehouse.database import connect, init_db
from finops_warehouse.embedded import EmbeddedPostgres
from finops_warehouse.settings import Settings, load_settings, setting_names

SHARED_FOLDER = "FINOPS_TESTS_FOLDER"
"""Set by the first process of a run; its workers inherit it and so find the same server."""

REDIS_FOR_ALL = os.environ.get("FINOPS_TESTS_REDIS_URL")
"""A Redis that every test runs under which names none; `make prove` names one that is not there."""

SAMPLE_LAST_DAY = date(2026, 10, 20)
SAMPLE_DAYS = 50
SAMPLE_ROWS_PER_DAY = 500


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder that all workers of this run share."""
    if SHARED_FOLDER not in os.environ:
        folder = Path(tempfile.mkdtemp(prefix="finops-tests-"))
        folder.chmod(0o755)  # as root the server runs as nobody, who must be able to enter
        os.environ[SHARED_FOLDER] = str(folder)
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A test says what it runs under; neither the developer's environment nor their .env may."""
    for name in [*setting_names(), "DAGSTER_HOME"]:
        monkeypatch.delenv(name, raising=False)
    if REDIS_FOR_ALL:
        monkeypatch.setenv("REDIS_URL", REDIS_FOR_ALL)
    monkeypatch.setenv("FINOPS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """A folder of this run that everybody may enter."""
    return Path(os.environ[SHARED_FOLDER])


@pytest.fixture(scope="session")
def server(shared_folder: Path) -> Iterator[str]:
    """The DSN of the run's PostgreSQL; the last worker to leave stops it."""
    postgres = EmbeddedPostgres(shared_folder)
    yield postgres.start()
    postgres.leave()


@pytest.fixture
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis of this test alone."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture(scope="session")
def template(server: str) -> str:
    """The name of a migrated, empty database of this worker, to make others from."""
    name = f"template_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    init_db(Settings(database_url=_at(server, name)))
    return name


@pytest.fixture
def database_url(server: str, template: str) -> Iterator[str]:
    """A database of this test alone, migrated and empty."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        make = sql.SQL("create database {} template {}")
        connection.execute(make.format(sql.Identifier(name), sql.Identifier(template)))
        yield _at(server, name)
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of this process: the test's own database. `load_settings` gives the same."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    load_settings.cache_clear()
    return load_settings()


@pytest.fixture
def connection(settings: Settings) -> Iterator[psycopg.Connection]:
    """A connection to the test's database, in autocommit mode as the pipeline's are."""
    with connect(settings, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def sample(shared_folder: Path) -> SampleExport:
    """A small sample export: 50 export days to 20 October 2026, September's invoice among its truth."""
    return write_sample_export(
        shared_folder / f"sample-{os.getpid()}",
        days=SAMPLE_DAYS,
        rows_per_day=SAMPLE_ROWS_PER_DAY,
        seed=7,
        last_export_day=SAMPLE_LAST_DAY,
    )


@pytest.fixture
def owned(server: str) -> Iterator[str]:
    """The DSN of an empty database whose owner may create no roles, as managed databases often give one."""
    name = f"owner_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("create role {} login password 'p'").format(sql.Identifier(name)))
        connection.execute(sql.SQL("create database {0} owner {0}").format(sql.Identifier(name)))
        yield make_url(server).set(database=name, username=name, password="p").render_as_string(hide_password=False)
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def _at(server: str, database: str) -> str:
    return make_url(server).set(database=database).render_as_string(hide_password=False)
