"""One export and every way in: what is loaded does not depend on where it came from, or how it was read."""

import hashlib
import json
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bqserver import BigQueryServer

from finops_pipeline.sample_export import write_sample_export
from finops_pipeline.sources.contract import BATCH_ROWS, EXPORT_FIELDS, EXPORT_SCHEMA
from finops_pipeline.sources.files import FilesSource

DAY = date(2026, 1, 2)
OLDER = pa.schema(
    [
        *(
            field
            for field in EXPORT_FIELDS
            if field.name not in {"tags", "price", "resource", "subscription", "project"}
        ),
        pa.field("project", pa.struct([("id", pa.string()), ("name", pa.string())])),
    ]
)
NEWER = pa.schema(
    [
        *(field for field in EXPORT_FIELDS if field.name not in {"price", "credits"}),
        pa.field("price", pa.struct([("unit", pa.string()), ("new_thing", pa.string())])),
        pa.field(
            "credits", pa.list_(pa.struct([("name", pa.string()), ("amount", pa.float64()), ("new", pa.bool_())]))
        ),
        pa.field("brand_new", pa.struct([("a", pa.string()), ("b", pa.list_(pa.string()))])),
    ]
)


def content_hash(table: pa.Table) -> str:
    """Two tables with the same one hold the same charges, each as often."""
    rows = sorted(json.dumps(row, default=str, sort_keys=True) for row in table.to_pylist())
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


@pytest.fixture
def every_way(
    put: Callable[..., Path],
    rows_of: Callable[..., pa.Table],
    bigquery_server: Callable[[Path], BigQueryServer],
    source_at: Callable[..., Any],
) -> Callable[..., list[tuple[pa.Table, set[str]]]]:
    """Write rows as Parquet and JSON Lines, put the first in BigQuery, and read them back: files, storage, query."""

    def read(rows: list[dict[str, Any]], schema: pa.Schema) -> list[tuple[pa.Table, set[str]]]:
        parquet = put(rows, "a.parquet", export="parquet", schema=schema).parent.parent
        jsonl = put(rows, "a.jsonl", export="jsonl").parent.parent
        server = bigquery_server(parquet)
        ways = [source_at(server), source_at(server, streams=3), source_at(server, mode="query")]
        answers = []
        for source in [FilesSource(parquet), FilesSource(jsonl), *ways]:
            with source.read(DAY) as opened:
                unknown = set(opened.unknown_columns)
            answers.append((rows_of(source), unknown))
        return answers

    return read


def test_the_same_rows_give_the_same_table_from_parquet_json_and_bigquery(
    charge: Callable[..., dict[str, Any]], every_way: Callable[..., list[tuple[pa.Table, set[str]]]]
) -> None:
    """Someone who moves from files to BigQuery must not see a single number change."""
    rows = [charge(hour) for hour in range(48)] + [
        charge(1, project=None, location=None, labels=[], credits=[]),
        charge(2, cost=-4.0, cost_type="adjustment", adjustment_info={"id": "a", "type": "GOODWILL"}),
        charge(3),
        charge(3),
    ]

    answers = every_way(rows, pa.schema(EXPORT_FIELDS))

    for table, unknown in answers:
        assert table.schema.equals(EXPORT_SCHEMA, check_metadata=True)
        assert table.num_rows == len(rows)
        assert unknown == set()
    assert len({content_hash(table) for table, _ in answers}) == 1


def test_the_standard_export_reads_the_same_without_resources(
    charge: Callable[..., dict[str, Any]], every_way: Callable[..., list[tuple[pa.Table, set[str]]]]
) -> None:
    """It has never had the column, and every charge all the same."""
    rows = [charge(hour) for hour in range(10)]
    for row in rows:
        del row["resource"]

    answers = every_way(rows, pa.schema([field for field in EXPORT_FIELDS if field.name != "resource"]))

    assert len({content_hash(table) for table, _ in answers}) == 1
    for table, _ in answers:
        assert table["resource"].null_count == table.num_rows == 10


def test_an_older_export_lacks_columns_and_reads_as_if_they_were_null(
    charge: Callable[..., dict[str, Any]], every_way: Callable[..., list[tuple[pa.Table, set[str]]]]
) -> None:
    """Tables from before 2022 have no tags, prices or folders; their costs count all the same."""
    rows = [charge(hour, project={"id": "shop-prod", "name": "Shop"}) for hour in range(3)]
    for row in rows:
        del row["tags"], row["price"], row["resource"]

    answers = every_way(rows, OLDER)

    assert len({content_hash(table) for table, _ in answers}) == 1
    [first, *_] = answers[0][0].to_pylist()
    assert (first["tags"], first["price"], first["project"]["ancestors"]) == ([], None, [])
    assert first["extra"] is None


def test_columns_google_adds_are_kept_in_extra_and_reported(
    charge: Callable[..., dict[str, Any]], every_way: Callable[..., list[tuple[pa.Table, set[str]]]]
) -> None:
    """A new column may matter later; losing it until the next release would be for good."""
    rows = [
        charge(
            0,
            price={"unit": "hour", "new_thing": "x"},
            credits=[{"name": "CUD", "amount": -1.0, "new": True}],
            brand_new={"a": "1", "b": ["2"]},
        ),
        charge(1, price=None, credits=[{"name": "CUD", "amount": -1.0}], brand_new=None),
    ]

    answers = every_way(rows, NEWER)

    assert all(unknown == {"price.new_thing", "credits.new", "brand_new"} for _, unknown in answers)
    for table, _ in answers:
        # Several streams come in any order.
        old, new = sorted(table["extra"].to_pylist(), key=bool)
        assert json.loads(str(new)) == {
            "price.new_thing": "x",
            "credits.new": [True],
            "brand_new": {"a": "1", "b": ["2"]},
        }
        assert old is None
    assert len({content_hash(table.drop_columns("extra")) for table, _ in answers}) == 1


@pytest.mark.parametrize("schema", ["current", "2023"])
def test_the_sample_export_reads_the_same_from_parquet_json_and_bigquery(
    schema: Literal["current", "2023"],
    tmp_path: Path,
    rows_of: Callable[..., pa.Table],
    bigquery_server: Callable[[Path], BigQueryServer],
    source_at: Callable[..., Any],
) -> None:
    """A made-up company's days with everything that makes real exports hard."""
    write = partial(write_sample_export, days=2, rows_per_day=1000, seed=7, last_export_day=DAY, schema=schema)
    parquet = write(tmp_path / "parquet", format="parquet").table_dir
    jsonl = write(tmp_path / "jsonl", format="jsonl").table_dir
    server = bigquery_server(parquet)
    sources = [FilesSource(parquet), FilesSource(jsonl), source_at(server), source_at(server, mode="query")]

    assert len({tuple(source.partitions()) for source in sources}) == 1
    for day in sources[0].partitions():
        assert len({content_hash(rows_of(source, day)) for source in sources}) == 1


def test_a_big_day_comes_in_bounded_batches_and_in_one_order(
    charge: Callable[..., dict[str, Any]],
    put: Callable[..., Path],
    bigquery_server: Callable[[Path], BigQueryServer],
    source_at: Callable[..., Any],
) -> None:
    """Memory is for a batch, however large the day; and a row keeps its place from one reading to the next."""
    path = put([charge(hour) for hour in range(100)])
    pq.write_table(pa.concat_tables([pq.read_table(path, partitioning=None)] * 400), path, row_group_size=10_000)
    folder = path.parent.parent

    costs = []
    for source in (FilesSource(folder), source_at(bigquery_server(folder))):
        with source.read(DAY) as opened:
            batches = list(opened.batches)
        assert all(0 < batch.num_rows <= BATCH_ROWS for batch in batches)
        assert all(batch.schema.equals(EXPORT_SCHEMA) for batch in batches)
        costs.append([cost for batch in batches for cost in batch["cost"].to_pylist()])

    assert len(costs[0]) == 40_000
    assert costs[0] == costs[1]
    assert costs[0][:100] == [charge(hour)["cost"] for hour in range(100)]
