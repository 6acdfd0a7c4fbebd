"""Logical bytes, as BigQuery counts what a query processes: of a column's values, however they are compressed.

A STRING is two bytes and its text in UTF-8, a NUMERIC is sixteen bytes, a BOOL is one, any other number or moment is
eight, and NULL is nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import duckdb
from duckdb.sqltypes import DuckDBPyType

_FIXED = {"DOUBLE": 8, "BIGINT": 8, "DATE": 8, "TIMESTAMP WITH TIME ZONE": 8, "DECIMAL(38,9)": 16, "BOOLEAN": 1}

_counted: dict[tuple[Path, int, int], dict[str, int]] = {}


def leaf_sizes(files: Sequence[Path], columns: Mapping[str, DuckDBPyType]) -> dict[Path, dict[str, int]]:
    """Bytes by leaf column (`service.id`) of each file. A file is counted once for as long as it stays the same."""
    states = {path: (path, path.stat().st_size, path.stat().st_mtime_ns) for path in files}
    new = [path for path, state in states.items() if state not in _counted]
    if new:
        expressions = [pair for name, kind in columns.items() for pair in _sizes(f'"{name}"', name, kind)]
        sums = ", ".join(f"coalesce(sum({expression}), 0)::BIGINT" for _, expression in expressions)
        # Naming every column keeps files that lack one countable: it is NULL there.
        empty = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in columns.items())
        paths = ", ".join("'" + str(path).replace("'", "''") + "'" for path in new)
        with duckdb.connect() as connection:
            counted = connection.execute(
                f"SELECT filename, {sums} FROM (SELECT {empty}, '' AS filename WHERE false UNION ALL BY NAME "
                f"FROM read_parquet([{paths}], union_by_name = true, hive_partitioning = false, filename = true)) "
                "GROUP BY filename"
            ).fetchall()
        by_file = {row[0]: row[1:] for row in counted}
        for path in new:
            sizes = by_file.get(str(path), [0] * len(expressions))
            _counted[states[path]] = dict(zip((leaf for leaf, _ in expressions), sizes, strict=True))
    return {path: _counted[state] for path, state in states.items()}


def _sizes(value: str, path: str, kind: DuckDBPyType) -> Iterator[tuple[str, str]]:
    children = cast("list[tuple[str, DuckDBPyType]]", kind.children) if kind.id in {"list", "struct"} else []
    if kind.id == "list":
        element = f"x{len(value)}"
        for leaf, size in _sizes(element, path, children[0][1]):
            yield leaf, f"coalesce(list_sum(list_transform({value}, lambda {element}: {size})), 0)"
    elif kind.id == "struct":
        for name, inner in children:
            yield from _sizes(f"struct_extract({value}, '{name}')", f"{path}.{name}", inner)
    elif str(kind) == "VARCHAR":
        yield path, f"CASE WHEN {value} IS NULL THEN 0 ELSE 2 + strlen({value}) END"
    else:
        yield path, f"CASE WHEN {value} IS NULL THEN 0 ELSE {_FIXED[str(kind)]} END"
