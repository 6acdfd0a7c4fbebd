"""The tables: what a folder of Parquet files looks like as an ingestion-time partitioned BigQuery table."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import duckdb
import pyarrow.parquet as pq
from duckdb.sqltypes import DuckDBPyType

from bqserver.refusals import NotModelled
from bqserver.sizes import leaf_sizes

PSEUDO_COLUMNS = ("_PARTITIONTIME", "_PARTITIONDATE")

FileState = tuple[Path, int, int]
"""A file as it is now: its size and its time of change say whether what is known of it still holds."""

_TYPES = {
    "VARCHAR": "STRING",
    "DOUBLE": "FLOAT",
    "BIGINT": "INTEGER",
    "BOOLEAN": "BOOLEAN",
    "DATE": "DATE",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
    "DECIMAL(38,9)": "NUMERIC",
}


@dataclass(frozen=True)
class Partition:
    """One partition as INFORMATION_SCHEMA.PARTITIONS lists it."""

    partition_id: str
    total_rows: int
    last_modified: datetime
    files: tuple[Path, ...]

    @property
    def day(self) -> date | None:
        """None for what is still in the streaming buffer, as `_PARTITIONTIME` is NULL there."""
        if not self.partition_id.isdigit():
            return None
        return datetime.strptime(self.partition_id, "%Y%m%d").replace(tzinfo=UTC).date()


@dataclass(frozen=True)
class StoredTable:
    """One folder. A day folder called `export_day=__UNPARTITIONED__` holds what is still in the streaming buffer."""

    folder: Path
    created: datetime = datetime(2025, 1, 1, tzinfo=UTC)
    keeps_days_for: timedelta | None = None
    require_partition_filter: bool = False
    location: str = "US"

    def columns(self) -> dict[str, DuckDBPyType]:
        """Every column of any file, in order of first appearance: a BigQuery table has one schema."""
        return _columns_of(tuple(file_state(path) for partition in self.partitions() for path in partition.files))

    def schema(self) -> list[dict[str, Any]]:
        """The columns as tables.get answers them."""
        return [_field(name, kind) for name, kind in self.columns().items()]

    def partitions(self) -> list[Partition]:
        """Every partition that has files, its rows and when it last changed."""
        folders = {
            path.name.partition("=")[2].replace("-", ""): path for path in self.folder.iterdir() if "=" in path.name
        }
        listed = []
        for partition_id, folder in sorted(folders.items()):
            if files := tuple(sorted(folder.glob("*.parquet"))):
                rows = sum(_row_count(file_state(path)) for path in files)
                modified_us = max(path.stat().st_mtime_ns // 1000 for path in files)
                modified = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=modified_us)
                listed.append(Partition(partition_id, rows, modified, files))
        return listed

    def logical_bytes(self, partitions: Iterable[Partition], leaves: Iterable[str]) -> int:
        """What BigQuery counts for these leaf columns (`cost`, `service.id`) in these partitions."""
        files = [path for partition in partitions for path in partition.files]
        wanted = frozenset(leaves)
        return sum(
            size
            for sizes in leaf_sizes(files, self.columns()).values()
            for leaf, size in sizes.items()
            if leaf in wanted
        )

    def create_view(self, connection: duckdb.DuckDBPyConnection, name: str, partitions: Iterable[Partition]) -> None:
        """A view of the rows of these partitions, with the pseudo columns, in the order of days and files."""
        wanted = ", ".join(_text(str(path)) for partition in partitions for path in partition.files)
        opened = f"read_parquet([{wanted}], union_by_name = true, hive_partitioning = false, filename = true)"
        # A file without a column holds NULL there; and there may be no file at all.
        typed = ", ".join(f'NULL::{kind} AS "{column}"' for column, kind in self.columns().items())
        rows = f"SELECT {typed}, NULL::VARCHAR AS filename WHERE false"
        if wanted:
            rows += f" UNION ALL BY NAME FROM {opened}"
        # BigQuery knows no NULL array: what a file leaves NULL comes back empty.
        columns = ", ".join(
            f'coalesce("{column}", []) AS "{column}"' if kind.id == "list" else f'"{column}"'
            for column, kind in self.columns().items()
        )
        day = r"try_strptime(regexp_extract(filename, '=([0-9-]+)/[^/]*$', 1), '%Y-%m-%d')"
        connection.execute(
            f'CREATE TEMP VIEW "{name}" AS '
            f"SELECT {columns}, {day}::TIMESTAMP AT TIME ZONE 'UTC' AS _PARTITIONTIME, {day}::DATE AS _PARTITIONDATE "
            f"FROM ({rows})"
        )


def leaves_of(name: str, kind: DuckDBPyType) -> list[str]:
    """The dotted paths of the scalar values in a column."""
    if kind.id == "list":
        return leaves_of(name, _children(kind)[0][1])
    if kind.id == "struct":
        return [leaf for inner, inner_kind in _children(kind) for leaf in leaves_of(f"{name}.{inner}", inner_kind)]
    return [name]


def selection(columns: Mapping[str, DuckDBPyType], selected_fields: Iterable[str]) -> str:
    """The SELECT list for `selected_fields` of a read session, `cost` or `service.description`; all when none are."""
    wanted = list(selected_fields)
    held = {leaf for name, kind in columns.items() for leaf in leaves_of(name, kind)}
    for path in wanted:
        if not any(leaf == path or leaf.startswith(f"{path}.") for leaf in held):
            raise NotModelled(f"the selected field {path}")
    quoted = {name: f'"{name}"' for name in columns}
    parts = [
        f"{_selected(quoted[name], name, kind, wanted)} AS {quoted[name]}"
        for name, kind in columns.items()
        if not wanted or any(path == name or path.startswith(f"{name}.") for path in wanted)
    ]
    return ", ".join(parts)


def _selected(value: str, path: str, kind: DuckDBPyType, wanted: list[str]) -> str:
    """SQL for `value` with only the wanted fields of its structs."""
    inside = [other for other in wanted if other.startswith(f"{path}.")]
    if not inside or path in wanted:
        return value
    if kind.id == "list":
        element = f"x{path.count('.')}_{len(path)}"
        return f"list_transform({value}, lambda {element}: {_selected(element, path, _children(kind)[0][1], wanted)})"
    fields = ", ".join(
        f'"{name}" := {_selected(f"struct_extract({value}, {_text(name)})", f"{path}.{name}", inner, wanted)}'
        for name, inner in _children(kind)
        if any(other == f"{path}.{name}" or other.startswith(f"{path}.{name}.") for other in inside)
    )
    return f"CASE WHEN {value} IS NOT NULL THEN struct_pack({fields}) END"


def file_state(path: Path) -> FileState:
    status = path.stat()
    return path, status.st_size, status.st_mtime_ns


@lru_cache(maxsize=10_000)
def _row_count(file: FileState) -> int:
    return int(pq.read_metadata(file[0]).num_rows)


@lru_cache(maxsize=1_000)
def _columns_of(files: tuple[FileState, ...]) -> dict[str, DuckDBPyType]:
    with duckdb.connect() as connection:
        relation = connection.read_parquet(
            [str(path) for path, _, _ in files], union_by_name=True, hive_partitioning=False
        )
        return dict(zip(relation.columns, relation.types, strict=True))


def _children(kind: DuckDBPyType) -> list[tuple[str, DuckDBPyType]]:
    return cast("list[tuple[str, DuckDBPyType]]", kind.children)


def _field(name: str, kind: DuckDBPyType) -> dict[str, Any]:
    if kind.id == "list":
        return _field(name, _children(kind)[0][1]) | {"mode": "REPEATED"}
    if kind.id == "struct":
        fields = [_field(inner, inner_kind) for inner, inner_kind in _children(kind)]
        return {"name": name, "type": "RECORD", "mode": "NULLABLE", "fields": fields}
    if str(kind) not in _TYPES:
        raise NotModelled(f"a column of type {kind}")
    return {"name": name, "type": _TYPES[str(kind)], "mode": "NULLABLE"}


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
