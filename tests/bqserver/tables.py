"""The tables: what a folder of Parquet files looks like as an ingestion-time partitioned BigQuery table."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from duckdb.sqltypes import DuckDBPyType

_TYPES = {
    "VARCHAR": "STRING",
    "DOUBLE": "FLOAT",
    "BIGINT": "INTEGER",
    "BOOLEAN": "BOOLEAN",
    "DATE": "DATE",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
    "DECIMAL(38,9)": "NUMERIC",
}
_WINDOW = re.compile(
    r"_PARTITIONTIME >= TIMESTAMP '(?P<start>[^']+)' AND _PARTITIONTIME < TIMESTAMP '(?P<end>[^']+)'", re.IGNORECASE
)


class NotModelled(Exception):
    """The test server does not know what real BigQuery would answer."""


@dataclass(frozen=True)
class Partition:
    """One partition as INFORMATION_SCHEMA.PARTITIONS lists it."""

    partition_id: str
    total_rows: int
    last_modified_us: int


class StoredTable:
    """One folder. A day folder called `export_day=__UNPARTITIONED__` holds what is still in the streaming buffer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def schema(self) -> list[dict[str, Any]]:
        """The columns as tables.get answers them, in order of first appearance."""
        relation = self._relation(duckdb.connect(), self._files(self._partition_folders().values()))
        return [
            _field(name, kind)
            for name, kind in zip(relation.columns, relation.types, strict=True)
            if name != "filename"
        ]

    def partitions(self) -> list[Partition]:
        """Every partition, its rows and when it last changed."""
        listed = []
        for partition_id, folder in self._partition_folders().items():
            files = self._files([folder])
            rows = sum(pq.read_metadata(path).num_rows for path in files)
            modified = max((path.stat().st_mtime_ns // 1000 for path in files), default=0)
            listed.append(Partition(partition_id, rows, modified))
        return listed

    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self._files(self._partition_folders().values()))

    def scan(self, fields: list[str], restriction: str) -> tuple[pa.Table, int]:
        """The rows a read session sees, and the bytes it is said to scan."""
        window = _WINDOW.fullmatch(restriction.strip())
        if window is None:
            raise NotModelled(f"row_restriction {restriction!r}")
        start, end = (datetime.fromisoformat(window[bound]).strftime("%Y%m%d") for bound in ("start", "end"))
        folders = self._partition_folders()
        inside = self._files(folder for name, folder in folders.items() if name.isdigit() and start <= name < end)
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            relation = self._relation(connection, self._files(folders.values()))
            if unknown := set(fields) - set(relation.columns):
                raise NotModelled(f"selected_fields {sorted(unknown)}")
            lists = {name for name, kind in zip(relation.columns, relation.types, strict=True) if kind.id == "list"}
            # BigQuery knows no NULL array: what a file leaves NULL comes back empty.
            columns = [f'coalesce("{name}", []) AS "{name}"' if name in lists else f'"{name}"' for name in fields]
            wanted = ", ".join(f"'{path}'" for path in inside)
            rows = relation.filter(f"filename IN ({wanted or 'NULL'})").project(", ".join(columns)).to_arrow_table()
        return rows, sum(path.stat().st_size for path in inside)

    def _partition_folders(self) -> dict[str, Path]:
        found = {path.name.partition("=")[2]: path for path in self._folder.iterdir() if "=" in path.name}
        return {name.replace("-", ""): found[name] for name in sorted(found)}

    def _files(self, folders: Iterable[Path]) -> list[Path]:
        return [path for folder in folders for path in sorted(folder.glob("*.parquet"))]

    def _relation(self, connection: duckdb.DuckDBPyConnection, files: list[Path]) -> duckdb.DuckDBPyRelation:
        # A BigQuery table has one schema: a file without a column holds NULL there.
        return connection.read_parquet(
            [str(path) for path in files], union_by_name=True, hive_partitioning=False, filename=True
        )


def _field(name: str, kind: DuckDBPyType) -> dict[str, Any]:
    children = cast("list[tuple[str, DuckDBPyType]]", kind.children) if kind.id in {"list", "struct"} else []
    if kind.id == "list":
        return _field(name, children[0][1]) | {"mode": "REPEATED"}
    if kind.id == "struct":
        fields = [_field(inner, inner_kind) for inner, inner_kind in children]
        return {"name": name, "type": "RECORD", "mode": "NULLABLE", "fields": fields}
    if str(kind) not in _TYPES:
        raise NotModelled(f"a column of type {kind}")
    return {"name": name, "type": _TYPES[str(kind)], "mode": "NULLABLE"}
