"""What pipeline tests share."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from helpers.road import Export, Road

from finops_warehouse.settings import Settings, load_settings


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """An empty billing export."""
    return Export(tmp_path / "export")


@pytest.fixture
def road(connection: psycopg.Connection, export: Export) -> Road:
    """The way from this test's export to this test's tables."""
    return Road(connection, export.folder)


@pytest.fixture
def read_export(export: Export, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the settings of this process mean this test's export."""
    monkeypatch.setenv("BILLING_EXPORT_URL", export.folder.as_uri())
    load_settings.cache_clear()


@pytest.fixture(scope="session")
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance in memory."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance
