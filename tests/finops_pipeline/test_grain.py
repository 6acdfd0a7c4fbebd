"""EXTRACT_GRAIN=day: hours are added up, by DuckDB or by BigQuery itself, and every served number is the same."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from bqserver import BigQueryServer
from helpers.road import TABLES, Export, Road, charge

from finops_pipeline import checked_day
from finops_pipeline.checked_day import extracted_rows
from finops_pipeline.proving import prove
from finops_pipeline.sample_export import SampleExport, write_sample_export
from finops_pipeline.sources import open_source
from finops_pipeline.sources.base import BillingSource
from finops_pipeline.sources.files import FilesSource
from finops_warehouse.errors import BadValue, MissingColumn

TABLE = "acme.billing.gcp_billing_export_resource_v1_01A7C3"
PACIFIC = "America/Los_Angeles"
DAYS = [f"2026-10-{day:02}" for day in (1, 2, 3, 20)]

Contents = Mapping[str, list[tuple[Any, ...]]]
Added = Callable[[Path], BillingSource]


@pytest.fixture
def added_up_by_bigquery() -> Iterator[Added]:
    """A folder as a BigQuery table whose days BigQuery adds up."""
    servers = []

    def open_table(folder: Path) -> BillingSource:
        server = BigQueryServer({TABLE: folder})
        servers.append(server)
        server.__enter__()
        return open_source(
            f"bigquery://{TABLE}",
            bigquery_api_endpoint=server.api_endpoint,
            bigquery_storage_endpoint=server.storage_endpoint,
            added_up_in=PACIFIC,
        )

    yield open_table
    for server in servers:
        server.__exit__(None, None, None)


def rows_of(source: BillingSource, day: str) -> list[str]:
    """The rows a day is loaded as, with their hashes, in an order of their own."""
    with extracted_rows(source, date.fromisoformat(day), PACIFIC, grain="day") as reader:
        return sorted(repr(sorted(row.items())) for row in reader.read_all().to_pylist())


def built(connection: psycopg.Connection, road: Road) -> Contents:
    """Every table that is served, and what was counted in the source, built from the days."""
    for day in DAYS:
        road.load(day)
    road.rebuild_behind()
    return road.contents([*TABLES, "usage_day_arrivals"])


def test_every_served_table_is_the_same_whoever_adds_up_and_whether_anybody_does(
    connection: psycopg.Connection, sample: SampleExport, added_up_by_bigquery: Added
) -> None:
    """Facts, rollups, months with their hashes, and the arrivals that maturity is learned from: to the last digit."""
    by_row = Road(connection, sample.table_dir)
    expected = built(connection, by_row)
    [(rows,)] = connection.execute("select count(*) from finops.raw_charges").fetchall()

    for source in (FilesSource(sample.table_dir), added_up_by_bigquery(sample.table_dir)):
        by_row.forget()
        by_day = Road(connection, sample.table_dir)
        by_day.source, by_day.grain = source, "day"
        assert built(connection, by_day) == expected, source.url
        [(fewer, charges)] = connection.execute("select count(*), sum(charge_count) from finops.raw_charges").fetchall()
        assert charges == rows > fewer
        assert [d for d in prove(connection, source, PACIFIC, "day").differences if "not loaded" not in str(d)] == []


@pytest.mark.parametrize("schema", ["current", "2023"])
def test_both_engines_add_up_to_the_same_rows(schema: str, tmp_path: Path, added_up_by_bigquery: Added) -> None:
    """Row by row with their hashes; older tables lack columns, and the query is written for the table at hand."""
    export = write_sample_export(
        tmp_path, days=2, rows_per_day=1500, seed=11, last_export_day=date(2026, 3, 9),
        schema="2023" if schema == "2023" else "current",
    )  # fmt: skip
    bigquery, files = added_up_by_bigquery(export.table_dir), FilesSource(export.table_dir)

    for day in files.partitions():
        ours = rows_of(files, day.isoformat())
        assert rows_of(bigquery, day.isoformat()) == ours
        assert len(ours) > 100


def test_a_day_that_does_not_fit_into_memory_is_added_up_in_turns(
    sample: SampleExport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million rows by fifty columns: each turn takes a share of the resources, and no group is cut in two."""
    at_once = rows_of(FilesSource(sample.table_dir), DAYS[0])

    monkeypatch.setattr(checked_day, "ADDED_UP_PER_MB", 1)

    assert rows_of(FilesSource(sample.table_dir), DAYS[0]) == at_once


def hours(**changes: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """The same charge in three hours of a day."""
    return [charge(1.1, start=f"2026-09-10T{hour}:00", **changes) for hour in (12, 13, 14)]


def test_what_is_not_additive_stays_alone(
    connection: psycopg.Connection, tmp_path: Path, added_up_by_bigquery: Added
) -> None:
    """A commitment's charges; the same row again, told as repeated; a charge whose list price is not known."""
    covered = hours(sku="N2 RAM", paid_by=[("COMMITTED_USAGE_DISCOUNT", -0.4)])
    export = Export(tmp_path / "export")
    plain = hours(sku="N2 Core", paid_by=[("DISCOUNT", -0.1), ("DISCOUNT", -0.2), ("NEW_KIND", -0.3)])
    listed, unlisted = hours(sku="Fee", cost_at_list=2.0), charge(1.1, start="2026-09-10T15:00", sku="Fee")
    export.write("2026-09-11", [*plain, plain[0], *covered, covered[0], *listed, unlisted])
    road = Road(connection, export.folder)
    road.grain = "day"
    expected = [
        ("Fee", 2, 3, None, Decimal("6.0"), Decimal(0), []),
        ("N2 Core", 1, 4, Decimal("-1.2"), None, Decimal("0.5"), [(None, -1.2), ("DISCOUNT", -1.2)]),
        ("N2 RAM", 4, 1, None, None, Decimal("0.7"), [("COMMITTED_USAGE_DISCOUNT", -0.4)]),
    ]

    for source in (FilesSource(export.folder), added_up_by_bigquery(export.folder)):
        road.source = source
        road.load("2026-09-11")
        found = connection.execute(
            "select sku_description, count(*), max(charge_count), min(credit_discount), min(cost_at_list), "
            "sum(coalesce(repeated_cost, case when occurrence > 1 then billed_cost else 0 end)), "
            "(array_agg(credits))[1] from finops.raw_charges group by 1 order by 1"
        ).fetchall()
        assert [(*row[:6], [(credit["type"], credit["amount"]) for credit in row[6]]) for row in found] == expected


def test_a_new_column_is_reported_and_tells_rows_apart(tmp_path: Path, added_up_by_bigquery: Added) -> None:
    """Its values are not kept by day; two rows that differ in it alone are not one repeated."""
    import pyarrow as pa
    from helpers.road import FILE_SCHEMA

    schema = pa.schema([*FILE_SCHEMA, pa.field("brand_new", pa.string())])
    Export(tmp_path).write("2026-09-11", [{**charge(1), "brand_new": text} for text in ("a", "b", "b")], schema)
    day = date(2026, 9, 11)

    for source in (FilesSource(tmp_path), added_up_by_bigquery(tmp_path)):
        with source.read(day) as opened:
            assert opened.unknown_columns == ("brand_new",)
            list(opened.batches)
        with extracted_rows(source, day, PACIFIC, grain="day") as reader:
            [row] = reader.read_all().to_pylist()
        assert (row["charge_count"], row["repeated_cost"]) == (3, 1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cost": float("nan")}, "cost is nan in a charge of SKU N2 Core"),
        ({"invoice": {"month": "2026-09"}}, r"invoice\.month is 2026-09 in a charge of SKU N2 Core"),
        ({"currency": None}, "currency is NULL in a charge of SKU N2 Core"),
        ({"usage_start_time": None}, "usage_start_time is NULL in a charge of SKU N2 Core"),
    ],
)
def test_a_value_no_sum_can_hold_is_refused_by_bigquery_with_its_sku(
    changes: dict[str, Any], said: str, tmp_path: Path, connection: psycopg.Connection, added_up_by_bigquery: Added
) -> None:
    """As for rows; nothing of the day is loaded."""
    Export(tmp_path).write("2026-09-11", [charge(1), {**charge(1), **changes}])
    road = Road(connection, tmp_path)
    road.source, road.grain = added_up_by_bigquery(tmp_path), "day"

    with pytest.raises(BadValue, match=said):
        road.load("2026-09-11")
    assert road.total("raw_charges") is None


def test_a_table_without_costs_is_refused_before_anything_is_asked(tmp_path: Path, added_up_by_bigquery: Added) -> None:
    """Another table than the export, most often."""
    from helpers.road import FILE_SCHEMA

    Export(tmp_path).write("2026-09-11", [charge(1)], FILE_SCHEMA.remove(FILE_SCHEMA.get_field_index("cost")))

    with pytest.raises(MissingColumn, match="no column cost"), added_up_by_bigquery(tmp_path).read(date(2026, 9, 11)):
        pass


def test_another_grain_loads_every_day_again_and_moves_no_number(
    connection: psycopg.Connection, tmp_path: Path
) -> None:
    """Who switches sees the same totals, and no restatement."""
    Export(tmp_path).write("2026-09-11", hours())
    road = Road(connection, tmp_path)
    road.walk()
    before = road.contents()
    road.grain = "day"

    assert road.load_changed() == [date(2026, 9, 11)]
    road.rebuild_behind()

    assert road.contents() == before
    assert road.load_changed() == []
    assert connection.execute("select count(*) from finops.restatements").fetchall() == [(0,)]
