"""Files that are whole or not there, and that are left alone when nothing in them changed."""

import filecmp
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from finops_warehouse.errors import BadRequest

Format = Literal["parquet", "jsonl"]
FOLDER = "export_day="


def refuse_other_days(table_dir: Path, days: list[date]) -> None:
    """Two samples in one folder would add up to a bill nobody got."""
    wanted = {f"{FOLDER}{day}" for day in days}
    strangers = sorted(path.name for path in table_dir.glob(f"{FOLDER}*") if path.name not in wanted)
    if strangers:
        raise BadRequest(
            f"{table_dir} already holds {strangers[0]}, which is not among the days to write "
            f"({days[0]} to {days[-1]}). Two samples do not mix: choose another folder, or delete {table_dir}."
        )


def write_day(table_dir: Path, day: date, tables: Iterator[pa.Table], schema: pa.Schema, file_format: Format) -> None:
    """One export day as one file, from tables that are made as they are written."""
    folder = table_dir / f"{FOLDER}{day}"
    other_format = folder / f"part-000.{'jsonl' if file_format == 'parquet' else 'parquet'}"
    if other_format.exists():
        raise BadRequest(f"{other_format} exists: the day would be there twice. Choose another folder, or delete it.")

    def write(target: BinaryIO) -> None:
        if file_format == "parquet":
            _write_parquet(target, tables, schema)
        else:
            _write_jsonl(target, tables)

    replace_if_different(folder / f"part-000.{file_format}", write)


def replace_if_different(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """A reader sees the old file or the new one; a file that would not change keeps its age."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as target:
            write(target)
        if not (path.exists() and filecmp.cmp(draft, path, shallow=False)):
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _write_parquet(target: BinaryIO, tables: Iterator[pa.Table], schema: pa.Schema) -> None:
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table)


def _write_jsonl(target: BinaryIO, tables: Iterator[pa.Table]) -> None:
    for table in tables:
        for row in table.to_pylist():
            target.write(json.dumps(_as_bigquery_writes(row), ensure_ascii=False, separators=(",", ":")).encode())
            target.write(b"\n")


def _as_bigquery_writes(value: object) -> object:
    """The conventions of BigQuery's own JSON export: no nulls, NUMERIC as text, instants with their zone's name."""
    if isinstance(value, dict):
        return {key: _as_bigquery_writes(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_as_bigquery_writes(inner) for inner in value]
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, datetime):
        return _instant(value)
    return value


def _instant(instant: datetime) -> str:
    text = instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    fraction = f".{instant.microsecond:06d}".rstrip("0") if instant.microsecond else ""
    return f"{text}{fraction} UTC"
