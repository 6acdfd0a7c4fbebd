"""A folder of files: what counts as an export day, when it has changed, and how each kind of damage is said."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finops_pipeline.sources.contract import EXPORT_FIELDS
from finops_pipeline.sources.files import FilesSource
from finops_warehouse.errors import (
    BadValue,
    ExportDayVanished,
    MissingColumn,
    UnknownTable,
    UnreadableFile,
    WrongColumnType,
)

DAY = date(2026, 1, 2)
Charge = Callable[..., dict[str, Any]]
Put = Callable[..., Path]
RowsOf = Callable[..., pa.Table]


def retyped(**types: pa.DataType) -> pa.Schema:
    """The export's schema with some columns of other types."""
    return pa.schema([pa.field(field.name, types.get(field.name, field.type)) for field in EXPORT_FIELDS])


def test_older_and_newer_files_of_one_day_are_read_together_in_the_order_of_their_names(
    charge: Charge, put: Put, rows_of: RowsOf
) -> None:
    """Google adds a column on a Tuesday afternoon; that day has files from before and after."""
    older = pa.schema([field for field in EXPORT_FIELDS if field.name not in {"price", "tags"}])
    put([charge(2)], "c.jsonl.gz")
    put([charge(0)], "a.parquet", schema=older)
    folder = put([charge(1)], "b.parquet").parent.parent

    table = rows_of(FilesSource(folder))

    assert table["cost"].to_pylist() == [charge(hour)["cost"] for hour in range(3)]
    assert [price is None for price in table["price"].to_pylist()] == [True, False, False]


def test_a_fingerprint_changes_for_exactly_the_day_whose_content_did(charge: Charge, put: Put) -> None:
    """Copying or touching an export must reload nothing; a changed cost must reload its day and no other."""
    put([charge(0)], day="2026-01-02")
    path = put([charge(1)], day="2026-01-03")
    source = FilesSource(path.parent.parent)
    before = source.partitions()

    path.touch()
    (path.parent / "_SUCCESS").touch()
    (path.parent.parent / "notes").mkdir()
    (path.parent.parent / "export_day=2026-01-04").mkdir()
    assert source.partitions() == before

    put([charge(1, cost=9.0)], day="2026-01-03")
    after = source.partitions()
    assert list(after) == [date(2026, 1, 2), date(2026, 1, 3)]
    assert after[date(2026, 1, 2)] == before[date(2026, 1, 2)]
    assert after[date(2026, 1, 3)] != before[date(2026, 1, 3)]


def test_asking_again_reads_no_file_again(charge: Charge, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sensor asks twice a minute; a year of files must not be read twice a minute."""
    source = FilesSource(put([charge(0)]).parent.parent)
    before = source.partitions()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("hashlib.file_digest", refuse)
    assert source.partitions() == before


def test_the_folder_may_be_called_pt_and_hold_glob_characters(charge: Charge, put: Put, rows_of: RowsOf) -> None:
    """Names are names: brackets in a path are no pattern."""
    path = put([charge(0)], "part-[0]*.parquet", export="ex[1]port's")
    path.parent.rename(path.parent.parent / "pt=2026-01-02")

    assert rows_of(FilesSource(path.parent.parent)).num_rows == 1


def test_an_export_shard_without_rows_is_no_error(charge: Charge, put: Put, rows_of: RowsOf) -> None:
    """BigQuery writes empty shards, and an empty JSON file tells no columns."""
    put([], "a.jsonl")
    put([], "b.jsonl.gz")
    folder = put([charge(0)], "c.parquet").parent.parent

    assert rows_of(FilesSource(folder)).num_rows == 1


def test_other_widths_of_the_same_kind_are_widened(charge: Charge, put: Put, rows_of: RowsOf) -> None:
    """Hand-made Parquet has whole-number costs, naive UTC timestamps and other precisions; they mean the same."""
    rows = [charge(0, cost=2, cost_at_effective_price_default=Decimal("0.10"), seller_name=None)]
    naive = [row | {"usage_start_time": row["usage_start_time"].replace(tzinfo=None)} for row in rows]
    schema = retyped(
        cost=pa.int64(),
        usage_start_time=pa.timestamp("ms"),
        export_time=pa.timestamp("ns", "UTC"),
        cost_at_effective_price_default=pa.decimal128(10, 2),
        seller_name=pa.null(),
    )

    [row] = rows_of(FilesSource(put(naive, schema=schema).parent.parent)).to_pylist()

    assert (row["cost"], row["cost_at_effective_price_default"]) == (2.0, Decimal("0.1"))
    assert row["usage_start_time"] == rows[0]["usage_start_time"]
    assert row["export_time"] == rows[0]["export_time"]


def test_a_cost_that_is_no_number_passes_for_the_loader_to_refuse(charge: Charge, put: Put, rows_of: RowsOf) -> None:
    """Whether NaN is acceptable is a question about charges, not about files."""
    [row] = rows_of(FilesSource(put([charge(0, cost=float("inf"))]).parent.parent)).to_pylist()

    assert row["cost"] == float("inf")


@pytest.mark.parametrize("damage", ["cut short", "text", "damaged inside"])
def test_a_damaged_parquet_file_is_named(charge: Charge, put: Put, rows_of: RowsOf, damage: str) -> None:
    """Whoever has to export the day again needs the name of the file, not a decoder's stack."""
    path = put([charge(hour) for hour in range(2000)])
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(
        {
            "cut short": content[:middle],
            "text": b"not parquet at all",
            "damaged inside": content[:100] + b"\xff" * 4000 + content[4100:],
        }[damage]
    )

    with pytest.raises(UnreadableFile, match=r"a\.parquet .*Export that day again"):
        rows_of(FilesSource(path.parent.parent))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"cost": 1, ', UnreadableFile),
        ("[1, 2]", UnreadableFile),
        ("hello", UnreadableFile),
    ],
)
def test_a_broken_json_line_is_named(
    charge: Charge, put: Put, rows_of: RowsOf, line: str, expected: type[Exception]
) -> None:
    """A download that stopped half-way is the usual cause."""
    path = put([charge(0)], "a.jsonl")
    path.write_text(path.read_text() + line)

    with pytest.raises(expected, match=r"a\.jsonl"):
        rows_of(FilesSource(path.parent.parent))


def test_a_gzip_file_that_was_cut_short_is_named(charge: Charge, put: Put, rows_of: RowsOf) -> None:
    """Half a day of charges must not load as a whole one."""
    path = put([charge(hour) for hour in range(500)], "a.jsonl.gz")
    path.write_bytes(path.read_bytes()[:-40])

    with pytest.raises(UnreadableFile, match=r"a\.jsonl\.gz"):
        rows_of(FilesSource(path.parent.parent))


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl"])
@pytest.mark.parametrize("column", ["cost", "credits", "invoice.month", "export_time"])
def test_a_missing_column_is_named(charge: Charge, put: Put, rows_of: RowsOf, name: str, column: str) -> None:
    """Without it some figure would be wrong; a NULL in its place would hide that."""
    row = charge(0)
    top, _, leaf = column.partition(".")
    if leaf:
        row[top] = {"publisher_type": "GOOGLE"}
        schema = retyped(invoice=pa.struct([("publisher_type", pa.string())]))
    else:
        del row[top]
        schema = pa.schema([field for field in EXPORT_FIELDS if field.name != top])
    path = put([row], name, schema=schema)

    with pytest.raises(MissingColumn, match=rf"{name} has no column {column}\b"):
        rows_of(FilesSource(path.parent.parent))


@pytest.mark.parametrize(
    ("column", "value", "kind", "found", "expected"),
    [
        ("cost", "1.5", pa.string(), "VARCHAR", "FLOAT"),
        ("labels", "team=checkout", pa.string(), "VARCHAR", "REPEATED RECORD"),
        ("service", "Compute", pa.string(), "VARCHAR", "RECORD"),
        ("currency", 840, pa.int64(), "BIGINT", "STRING"),
        ("usage_start_time", 1767312000, pa.int64(), "BIGINT", "TIMESTAMP"),
    ],
)
def test_a_column_of_another_kind_is_named_with_both_types(
    charge: Charge,
    put: Put,
    rows_of: RowsOf,
    column: str,
    value: object,
    kind: pa.DataType,
    found: str,
    expected: str,
) -> None:
    """A cost exported as text adds up to nothing; guessing what was meant would be worse."""
    path = put([charge(0, **{column: value})], schema=retyped(**{column: kind}))

    with pytest.raises(WrongColumnType, match=rf"a\.parquet: column {column} holds {found} where .* {expected}"):
        rows_of(FilesSource(path.parent.parent))


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"cost": "twelve"}, "cost"),
        ({"usage_start_time": "yesterday"}, "usage_start_time"),
        ({"credits": [{"name": "CUD", "amount": "-1,5"}]}, r"credits\.amount"),
        ({"price": {"effective_price": "free"}}, r"price\.effective_price"),
    ],
)
def test_json_text_that_does_not_parse_is_named(
    charge: Charge, put: Put, rows_of: RowsOf, changes: dict[str, Any], column: str
) -> None:
    """JSON has no types, so a wrong value is only met while reading; it is said with its file, column and text."""
    path = put([charge(0), charge(1, **changes)], "a.jsonl")

    with pytest.raises(BadValue, match=rf"a\.jsonl: column {column}: \S+ is not a (FLOAT|TIMESTAMP|NUMERIC) value"):
        rows_of(FilesSource(path.parent.parent))


@pytest.mark.parametrize("labels", ["team=checkout", {"team": "checkout"}])
@pytest.mark.parametrize("others", [0, 1])
def test_json_of_another_shape_is_refused(
    charge: Charge, put: Put, rows_of: RowsOf, labels: object, others: int
) -> None:
    """Whether all rows have the wrong shape or one of them does."""
    path = put([charge(0)] * others + [charge(1, labels=labels)], "a.jsonl")

    with pytest.raises(WrongColumnType, match=r"a\.jsonl"):
        rows_of(FilesSource(path.parent.parent))


def test_a_number_too_large_for_its_column_is_named(charge: Charge, put: Put, rows_of: RowsOf) -> None:
    """A float may hold what NUMERIC cannot."""
    schema = retyped(cost_at_effective_price_default=pa.float64())
    path = put([charge(0, cost_at_effective_price_default=1e60)], schema=schema)

    with pytest.raises(BadValue, match=r"a\.parquet: column cost_at_effective_price_default: 1e\+?60 is not a NUMERIC"):
        rows_of(FilesSource(path.parent.parent))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Most often a volume that is not mounted."""
    with pytest.raises(UnknownTable, match=r"no folder .*nowhere"):
        FilesSource(tmp_path / "nowhere").partitions()


def test_a_day_that_is_no_longer_there_is_named(charge: Charge, put: Put) -> None:
    """Between the sensor's question and the run someone may have moved it."""
    source = FilesSource(put([charge(0)]).parent.parent)

    with pytest.raises(ExportDayVanished, match="2026-02-01"), source.read(date(2026, 2, 1)):
        pass


@pytest.mark.parametrize("written", ["2026-13-01", "20260102", "yesterday"])
def test_a_folder_that_names_no_day_is_refused(charge: Charge, put: Put, written: str) -> None:
    """Skipping it would lose its charges in silence."""
    path = put([charge(0)], day=written)

    with pytest.raises(UnreadableFile, match=f"export_day={written} names no day"):
        FilesSource(path.parent.parent).partitions()


def test_bytes_read_is_what_the_files_weigh(charge: Charge, put: Put) -> None:
    """So that a run says what it read."""
    first, second = put([charge(0)], "a.parquet"), put([charge(1)], "b.jsonl")

    with FilesSource(first.parent.parent).read(DAY) as opened:
        assert opened.bytes_read == first.stat().st_size + second.stat().st_size


def test_leaving_a_read_early_is_fine(charge: Charge, put: Put) -> None:
    """A load that fails for its own reasons closes what it opened."""
    path = put([charge(0)])
    pq.write_table(pq.read_table(path, partitioning=None).take(pa.array([0] * 50_000)), path)

    with FilesSource(path.parent.parent).read(DAY) as opened:
        assert next(opened.batches).num_rows > 0
