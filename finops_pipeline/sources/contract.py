"""What a billing export row looks like here, and how a table that holds less, more or nearly that is made to.

Google adds columns without notice, older tables lack the newer ones, and files carry other widths of the same kind of
value. Whatever a source holds leaves it in `EXPORT_SCHEMA`. A column the contract does not know is kept in `extra` and
reported, never dropped. A column that no figure can be made without must be there, and no type is guessed.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, cast

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from duckdb.sqltypes import DuckDBPyType

from finops_warehouse.errors import BadValue, MissingColumn, WrongColumnType

BATCH_ROWS = 2_048
"""No batch a source yields is longer. A row is about 1 KB, and half a dozen batches are held at once on the way."""

REQUIRED_COLUMNS = frozenset(
    {
        "billing_account_id",
        "service",
        "sku",
        "usage_start_time",
        "usage_end_time",
        "project",
        "labels",
        "location",
        "export_time",
        "cost",
        "currency",
        "usage",
        "credits",
        "credits.amount",
        "invoice",
        "invoice.month",
        "cost_type",
    }
)
"""In every export since the beginning; without one of them some figure would be wrong or could not be made."""

LEFT_OUT_BY_JSON_WRITERS = frozenset({"project", "location", "usage"})
"""A JSON writer leaves a NULL out, and these are NULL in charges that belong to no project or place."""

_REFUSED = "finops refuses the value of "
_TIMESTAMPS = frozenset(
    {
        "timestamp",
        "timestamp_s",
        "timestamp_ms",
        "timestamp_ns",
        "timestamp with time zone",
        "timestamptz_ns",
    }
)
_NUMBERS = frozenset(
    {
        "tinyint",
        "smallint",
        "integer",
        "bigint",
        "hugeint",
        "utinyint",
        "usmallint",
        "uinteger",
        "ubigint",
        "uhugeint",
        "float",
        "double",
        "decimal",
    }
)
_ARROW_TYPES: dict[str, pa.DataType] = {
    "STRING": pa.string(),
    "FLOAT": pa.float64(),
    "NUMERIC": pa.decimal128(38, 9),
    "TIMESTAMP": pa.timestamp("us", "UTC"),
    "BOOLEAN": pa.bool_(),
}
_SQL_TYPES = {
    "STRING": "VARCHAR",
    "FLOAT": "DOUBLE",
    "NUMERIC": "DECIMAL(38,9)",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
    "BOOLEAN": "BOOLEAN",
}


@dataclass(frozen=True)
class ConformingSelect:
    """How to read a source's rows as rows of the contract."""

    select_list: str
    """DuckDB expressions, one per field of `EXPORT_SCHEMA`, in its order."""
    unknown_columns: tuple[str, ...]
    """Columns and nested fields (`price.new_thing`) that are only in `extra`."""


def conforming_select(held: Mapping[str, DuckDBPyType], place: str, *, is_json: bool = False) -> ConformingSelect:
    """The select list that turns columns `held` (as DuckDB types them) into the contract's.

    `place` names the source in errors. With `is_json`, values may come as text and are parsed strictly.
    Raises `MissingColumn` and `WrongColumnType`; a value that does not fit fails the query, see `refused_value`.
    """
    columns = _Columns(place, is_json)
    by_name = {name.lower(): (name, found) for name, found in held.items()}
    select: list[str] = []
    unknown: list[tuple[str, str]] = []
    for field in EXPORT_FIELDS:
        name, found = by_name.pop(field.name, (field.name, None))
        column = _quoted(name)
        if found is None:
            converted = columns.absent(field.type, field.name)
        else:
            converted = columns.converted(column, found, field.type, field.name)
            unknown += columns.unknown_values(column, found, field.type, field.name)
        select.append(f"{converted} AS {_quoted(field.name)}")

    unknown += [(name, _quoted(name)) for name, _ in by_name.values()]
    select.append(f"{_extra(unknown)} AS extra")
    return ConformingSelect(",\n".join(select), tuple(path for path, _ in unknown))


def json_reading_types(inferred: Mapping[str, DuckDBPyType], place: str) -> dict[str, str]:
    """The type each column of a JSON Lines file is to be read as: the file's shape, with every known value as text.

    Left to itself DuckDB would read a label that looks like a date as a date and change how it is written.
    """
    return dict(_json_reading_types(list(inferred.items()), EXPORT_FIELDS, "", place))


def refused_value(error: Exception, place: str) -> BadValue | None:
    """The error to raise for a query that failed at a value of the wrong kind; None if it failed for another reason."""
    _, marker, said = str(error).partition(_REFUSED)
    if not marker:
        return None
    sentence = said.split("\n\nLINE ", 1)[0].strip()
    return BadValue(f"{place}: {sentence} Correct the value, or export that day again.")


def as_they_are(rows: pa.Table) -> pa.Table | None:
    """`rows` with an empty `extra`, when they hold exactly the contract's columns and no list is NULL; else None.

    Such is a current export in BigQuery, and a select over it would take 0.6 s of CPU for 200,000 rows.
    """
    names = [field.name for field in EXPORT_FIELDS]
    if sorted(rows.schema.names) != sorted(names):
        return None
    found = rows.select(names)
    if not all(_is_held_as(rows.schema.field(field.name).type, field.type) for field in EXPORT_FIELDS):
        return None
    if any(_misses_a_list(column, 0) for column in found.columns):
        return None
    return found.append_column("extra", pa.nulls(len(rows), pa.string()))


def _is_held_as(found: pa.DataType, expected: pa.DataType) -> bool:
    """Whether the types agree, whatever the items of lists are called."""
    if pa.types.is_list(expected):
        return pa.types.is_list(found) and _is_held_as(found.value_type, expected.value_type)
    if pa.types.is_struct(expected):
        return (
            pa.types.is_struct(found)
            and [field.name for field in found] == [field.name for field in expected]
            and all(_is_held_as(found.field(field.name).type, field.type) for field in expected)
        )
    return bool(found == expected)


def _misses_a_list(column: "pa.ChunkedArray[Any]", missing_around: int) -> bool:
    """Whether a list in `column` is NULL where what it belongs to is not."""
    if pa.types.is_list(column.type):
        return bool(column.null_count > missing_around)
    if pa.types.is_struct(column.type):
        parts = (pc.struct_field(column, field.name) for field in column.type)
        return any(_misses_a_list(part, column.null_count) for part in parts)
    return False


def as_contract(batch: pa.RecordBatch) -> pa.RecordBatch:
    """`batch`, selected with a `ConformingSelect`, in exactly `EXPORT_SCHEMA` (DuckDB names list items otherwise)."""
    return batch.cast(EXPORT_SCHEMA)


def connect() -> duckdb.DuckDBPyConnection:
    """A DuckDB of its own that keeps rows in order, counts time in UTC and never asks the network for anything."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False})
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET preserve_insertion_order = true")
    # What is read here is flattened by another DuckDB, which uses the other cores. A second thread takes 100 MB more.
    connection.execute("SET threads = 1")
    connection.execute("SET memory_limit = '96MB'")  # without it, a Parquet file of two million rows took 25 MB more
    return connection


class _Columns:
    """The conversions of one source, which all name the same place and follow the same rule for text."""

    def __init__(self, place: str, is_json: bool) -> None:
        self._place = place
        self._is_json = is_json

    def absent(self, expected: pa.DataType, path: str) -> str:
        """What stands for a column or field the source lacks."""
        tolerated = self._is_json and path in LEFT_OUT_BY_JSON_WRITERS
        if path in REQUIRED_COLUMNS and not tolerated:
            raise MissingColumn(
                f"{self._place} has no column {path}, and no figure can be made without it. "
                "Point BILLING_EXPORT_URL at the detailed or standard usage cost export as Google writes it, "
                "or export again with that column."
            )
        return _nothing(expected)

    def converted(self, value: str, found: DuckDBPyType, expected: pa.DataType, path: str) -> str:
        """The SQL that makes `value` the contract's type. No SQL is written where the types agree already."""
        if found.id == "null":
            return _nothing(expected)
        if pa.types.is_list(expected):
            return self._converted_list(value, found, expected, path)
        if pa.types.is_struct(expected):
            return self._converted_struct(value, found, expected, path)
        return self._converted_scalar(value, found, expected, path)

    def unknown_values(
        self, value: str, found: DuckDBPyType, expected: pa.DataType, path: str
    ) -> Iterator[tuple[str, str]]:
        """Every field inside `value` that the contract does not know, with the SQL that reads it."""
        if pa.types.is_list(expected) and found.id == "list":
            element = _element_name(path)
            inside = self.unknown_values(element, _item_type(found), expected.value_type, path)
            for inner_path, inner in inside:
                yield inner_path, f"list_transform({value}, lambda {element}: {inner})"
        elif pa.types.is_struct(expected) and found.id == "struct":
            known = {field.name: field for field in expected}
            for name, inner_type in _struct_fields(found):
                inner, inner_path = _field(value, name), f"{path}.{name}"
                if name.lower() in known:
                    yield from self.unknown_values(inner, inner_type, known[name.lower()].type, inner_path)
                else:
                    yield inner_path, inner

    def _converted_list(self, value: str, found: DuckDBPyType, expected: "pa.ListType[Any]", path: str) -> str:
        if found.id not in {"list", "array"}:
            raise self._wrong_type(found, expected, path)
        element = _element_name(path)
        item = self.converted(element, _item_type(found), expected.value_type, path)
        items = value if item == element else f"list_transform({value}, lambda {element}: {item})"
        # A repeated field without values is an empty list in BigQuery and NULL in some files: one of them is enough.
        return f"coalesce({items}, {_nothing(expected)})"

    def _converted_struct(self, value: str, found: DuckDBPyType, expected: pa.StructType, path: str) -> str:
        if found.id != "struct":
            raise self._wrong_type(found, expected, path)
        held = {name.lower(): (name, inner) for name, inner in _struct_fields(found)}
        fields = []
        for field in expected:
            inner_path = f"{path}.{field.name}"
            if field.name in held:
                name, inner_type = held[field.name]
                inner = self.converted(_field(value, name), inner_type, field.type, inner_path)
            else:
                inner = self.absent(field.type, inner_path)
            fields.append((field.name, inner))
        if [name for name, _ in _struct_fields(found)] == [name for name, _ in fields] and all(
            inner == _field(value, name) for name, inner in fields
        ):
            return value
        packed = ", ".join(f"{_quoted(name)} := {inner}" for name, inner in fields)
        return f"CASE WHEN {value} IS NOT NULL THEN struct_pack({packed}) END"

    def _converted_scalar(self, value: str, found: DuckDBPyType, expected: pa.DataType, path: str) -> str:
        target = _sql_type(expected)
        if str(found) == target:
            return value
        if pa.types.is_string(expected) and found.id == "enum":
            return f"CAST({value} AS VARCHAR)"
        is_text = self._is_json and found.id == "varchar"
        is_wider_number = found.id in _NUMBERS and (pa.types.is_floating(expected) or pa.types.is_decimal(expected))
        is_other_timestamp = found.id in _TIMESTAMPS and pa.types.is_timestamp(expected)
        if not (is_text or is_wider_number or is_other_timestamp):
            raise self._wrong_type(found, expected, path)
        return _checked_cast(value, expected, path)

    def _wrong_type(self, found: DuckDBPyType, expected: pa.DataType, path: str) -> WrongColumnType:
        return _wrong_type(self._place, path, str(found), expected)


def _json_reading_types(
    inferred: Iterable[tuple[str, DuckDBPyType]], expected: Iterable["pa.Field[Any]"], parent: str, place: str
) -> Iterator[tuple[str, str]]:
    known = {field.name: field for field in expected}
    for name, found in inferred:
        if field := known.get(name.lower()):
            yield name, _json_reading_type(found, field.type, parent + name, place)
        else:
            yield name, "JSON"


def _json_reading_type(found: DuckDBPyType, expected: pa.DataType, path: str, place: str) -> str:
    if str(found) in {"JSON", '"NULL"'}:
        # What DuckDB says of a column whose values show no one shape: all NULL, all empty, or mixed. The last of
        # them fails as soon as the rows are read.
        return _text_type(expected)
    if pa.types.is_list(expected) and found.id == "list":
        return f"{_json_reading_type(_item_type(found), expected.value_type, path, place)}[]"
    if pa.types.is_struct(expected) and found.id == "struct":
        fields = _json_reading_types(_struct_fields(found), expected, f"{path}.", place)
        return f"STRUCT({', '.join(f'{_quoted(name)} {kind}' for name, kind in fields)})"
    if pa.types.is_nested(expected) or found.id in {"list", "struct", "map"}:
        raise _wrong_type(place, path, str(found), expected)
    return "VARCHAR"


def _wrong_type(place: str, path: str, found: str, expected: pa.DataType) -> WrongColumnType:
    return WrongColumnType(
        f"{place}: column {path} holds {found} where the billing export has {export_type(expected)}. "
        "Export again with the table's own types."
    )


def _checked_cast(value: str, expected: pa.DataType, path: str) -> str:
    """A cast that names the column and the value it stops at: DuckDB's own message names neither."""
    cast = f"TRY_CAST({value} AS {_sql_type(expected)})"
    said = _literal(f"{_REFUSED}column {path}: ")
    shown = f"left(CAST({value} AS VARCHAR), 60)"
    ends = _literal(f" is not a {export_type(expected)} value.")
    return f"CASE WHEN {value} IS NOT NULL AND {cast} IS NULL THEN error({said} || {shown} || {ends}) ELSE {cast} END"


def _extra(unknown: list[tuple[str, str]]) -> str:
    """A JSON object of the unknown values a row has; NULL when it has none, be they NULL, empty or lists of NULLs."""
    if not unknown:
        return "CAST(NULL AS VARCHAR)"
    entries = ", ".join(f"struct_pack(k := {_literal(path)}, v := to_json({value}))" for path, value in unknown)
    held = rf"list_filter([{entries}], lambda entry: NOT regexp_full_match(CAST(entry.v AS VARCHAR), '[\[\],nul]*'))"
    return f"CAST(nullif(CAST(to_json(map_from_entries({held})) AS VARCHAR), '{{}}') AS VARCHAR)"


def _nothing(expected: pa.DataType) -> str:
    empty = "[]" if pa.types.is_list(expected) else "NULL"
    return f"CAST({empty} AS {_sql_type(expected)})"


def _struct_fields(found: DuckDBPyType) -> list[tuple[str, DuckDBPyType]]:
    return cast("list[tuple[str, DuckDBPyType]]", found.children)


def _item_type(found: DuckDBPyType) -> DuckDBPyType:
    [(_, inner), *_] = _struct_fields(found)
    return inner


def _element_name(path: str) -> str:
    # A list within a list needs a name of its own, or the inner lambda would hide the outer one's element.
    return f"element_of_{path.replace('.', '_')}"


def _field(value: str, name: str) -> str:
    return f"struct_extract({value}, {_literal(name)})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _sql_type(expected: pa.DataType) -> str:
    """`expected` as DuckDB writes it."""
    if pa.types.is_list(expected):
        return f"{_sql_type(expected.value_type)}[]"
    if pa.types.is_struct(expected):
        return f"STRUCT({', '.join(f'{_quoted(field.name)} {_sql_type(field.type)}' for field in expected)})"
    return _SQL_TYPES[export_type(expected)]


def _text_type(expected: pa.DataType) -> str:
    """`expected` with text for every value, as DuckDB writes it."""
    if pa.types.is_list(expected):
        return f"{_text_type(expected.value_type)}[]"
    if pa.types.is_struct(expected):
        return f"STRUCT({', '.join(f'{_quoted(field.name)} {_text_type(field.type)}' for field in expected)})"
    return "VARCHAR"


def export_type(expected: pa.DataType) -> str:
    """`expected` in the words of BigQuery's schema."""
    if pa.types.is_list(expected):
        return f"REPEATED {export_type(expected.value_type)}"
    if pa.types.is_struct(expected):
        return "RECORD"
    return next(name for name, arrow in _ARROW_TYPES.items() if arrow == expected)


def _arrow_field(column: dict[str, Any]) -> "pa.Field[Any]":
    if column["type"] == "RECORD":
        kind: pa.DataType = pa.struct([_arrow_field(field) for field in column["fields"]])
    else:
        kind = _ARROW_TYPES[column["type"]]
    return pa.field(column["name"], pa.list_(kind) if column["mode"] == "REPEATED" else kind)


def _export_fields() -> tuple["pa.Field[Any]", ...]:
    packaged = files("finops_pipeline.sources").joinpath("detailed_export_schema.json").read_text(encoding="utf-8")
    return tuple(_arrow_field(column) for column in json.loads(packaged))


EXPORT_FIELDS = _export_fields()
"""The columns of Google's detailed export, in its order."""

EXPORT_SCHEMA = pa.schema([*EXPORT_FIELDS, pa.field("extra", pa.string())])
"""What every source gives: the export's columns, and `extra`, a JSON object of those the contract does not know."""
