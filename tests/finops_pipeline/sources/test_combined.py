"""Several exports as one: their days together, and never the same charge twice."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from bqserver import BigQueryServer, StoredTable

from finops_pipeline.sources import open_source
from finops_pipeline.sources.base import TableFacts
from finops_pipeline.sources.combined import CombinedSource
from finops_pipeline.sources.files import FilesSource
from finops_warehouse.errors import ExportDayVanished, SecondExport, SettingsError

ONE, TWO = "01AAAA-BBBBBB-CCCCCC", "02AAAA-BBBBBB-CCCCCC"
DAY, NEXT_DAY = date(2026, 1, 2), date(2026, 1, 3)
Charge = Callable[..., dict[str, Any]]
Put = Callable[..., Path]
RowsOf = Callable[..., pa.Table]


@pytest.fixture
def two(charge: Charge, put: Put) -> tuple[Path, Path]:
    """Two folders of two billing accounts: both hold 2 January, and only the second one 3 January."""
    first = put([charge(hour, billing_account_id=ONE) for hour in range(3)], export="one")
    put([charge(hour, billing_account_id=TWO) for hour in range(4)], export="two")
    second = put([charge(24, billing_account_id=TWO)], export="two", day="2026-01-03")
    return first.parent.parent, second.parent.parent


def test_a_day_is_that_of_every_export(two: tuple[Path, Path], rows_of: RowsOf) -> None:
    """In the order in which the exports are named."""
    source = open_source(f"{two[0].as_uri()}\n  {two[1].as_uri()}")

    assert list(source.partitions()) == [DAY, NEXT_DAY]
    assert rows_of(source)["billing_account_id"].to_pylist() == [ONE] * 3 + [TWO] * 4
    assert rows_of(source, NEXT_DAY)["billing_account_id"].to_pylist() == [TWO]
    assert source.url == f"{two[0].as_uri()} {two[1].as_uri()}"
    with source.read(DAY) as opened:
        assert opened.bytes_read == source.estimate([DAY]).estimated_bytes
    with pytest.raises(ExportDayVanished, match="2026-02-01"), source.read(date(2026, 2, 1)):
        pass


def test_a_fingerprint_changes_when_one_of_the_exports_does(charge: Charge, put: Put, two: tuple[Path, Path]) -> None:
    """And with which of them it was, and with a day that one of them begins to hold."""
    source = CombinedSource([FilesSource(folder) for folder in two])
    before = source.partitions()

    put([charge(24, billing_account_id=ONE)], export="one", day="2026-01-03")
    after = source.partitions()

    assert after[DAY] == before[DAY]
    assert after[NEXT_DAY] != before[NEXT_DAY]
    turned_round = CombinedSource([FilesSource(folder) for folder in reversed(two)]).partitions()
    assert turned_round[DAY] != before[DAY]


def test_a_day_that_one_of_the_exports_lost_is_not_half_read(two: tuple[Path, Path]) -> None:
    """Half of the charges would look like a saving."""
    source = CombinedSource([FilesSource(folder) for folder in two])
    source.partitions()
    (two[1] / "export_day=2026-01-02" / "a.parquet").unlink()

    with pytest.raises(ExportDayVanished, match="two"), source.read(DAY):
        pass


def test_files_and_bigquery_can_be_read_as_one(
    charge: Charge, put: Put, two: tuple[Path, Path], rows_of: RowsOf
) -> None:
    """One account exported long ago, and one that still is."""
    with BigQueryServer({"acme.billing.export": StoredTable(two[1])}) as server:
        source = open_source(
            f"{two[0].as_uri()} bigquery://acme.billing.export?mode=query",
            bigquery_api_endpoint=server.api_endpoint,
            bigquery_storage_endpoint=server.storage_endpoint,
        )
        assert list(source.partitions()) == [DAY, NEXT_DAY]
        assert rows_of(source).num_rows == 7
        assert source.facts().created_at == datetime(2025, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("bigquery://a.b.gcp_billing_export_v1_01A_B", "bigquery://a.b.gcp_billing_export_resource_v1_01A_B"),
        ("bigquery://a.b.gcp_billing_export_v1_01A_B", "bigquery://other.eu.gcp_billing_export_v1_01A_B"),
        ("file:///data/gcp_billing_export_resource_v1_01A_B", "bigquery://a.b.gcp_billing_export_v1_01A_B"),
        ("bigquery://a.b.export", "bigquery://a.b.export?mode=query"),
        ("file:///data/export", "file:///data/export/"),
    ],
)
def test_two_exports_of_one_account_are_refused_by_their_names(first: str, second: str) -> None:
    """Before anything is read: costs would be twice what they are."""
    with pytest.raises(SecondExport, match="count twice"):
        open_source(f"{first} {second}")


def test_exports_of_two_accounts_are_accepted() -> None:
    """Which is what this is for."""
    url = "bigquery://a.b.gcp_billing_export_v1_01A_B bigquery://a.b.gcp_billing_export_resource_v1_02A_B"
    assert open_source(url).url == url


@pytest.mark.parametrize("day", ["2026-01-02", "2026-01-03"])
def test_one_account_in_two_exports_is_refused_while_reading(
    charge: Charge, put: Put, rows_of: RowsOf, day: str
) -> None:
    """Names may hide it, and it need not be the same day."""
    first = put([charge(0, billing_account_id=ONE)], export="one").parent.parent
    second = put([charge(0, billing_account_id=ONE)], export="two", day=day).parent.parent
    source = CombinedSource([FilesSource(first), FilesSource(second)])

    with pytest.raises(SecondExport, match=f"account {ONE}"):
        [rows_of(source, held) for held in source.partitions()]


def test_rows_and_what_they_add_up_to_do_not_mix(two: tuple[Path, Path]) -> None:
    """They have other columns, and the loader takes a day as one or the other."""
    with BigQueryServer({"acme.billing.export": StoredTable(two[1])}) as server:
        source = open_source(
            f"{two[0].as_uri()} bigquery://acme.billing.export",
            bigquery_api_endpoint=server.api_endpoint,
            bigquery_storage_endpoint=server.storage_endpoint,
            added_up_in="America/Los_Angeles",
        )
        with pytest.raises(SettingsError, match="mode=storage"), source.read(DAY):
            pass


def test_the_newest_table_and_the_shortest_memory_are_the_facts(two: tuple[Path, Path]) -> None:
    """A table made anew brings weeks before it again, whichever of them it is."""
    made_anew = datetime(2026, 1, 1, tzinfo=UTC)
    tables = {
        "acme.billing.old": StoredTable(two[0], keeps_days_for=timedelta(days=90)),
        "acme.billing.new": StoredTable(two[1], created=made_anew, keeps_days_for=timedelta(days=400)),
    }
    with BigQueryServer(tables) as server:
        source = open_source(
            f"bigquery://acme.billing.old bigquery://acme.billing.new {two[0].as_uri()}",
            bigquery_api_endpoint=server.api_endpoint,
            bigquery_storage_endpoint=server.storage_endpoint,
        )
        assert source.facts() == TableFacts(made_anew, timedelta(days=90))
