"""The query that has BigQuery add up the hours of an export day: raw_charges_by_day.bigquery.sql over one table.

Tables differ: older ones lack columns, newer ones have some we do not know. The query reads `billing_export`, which is
written here for the table at hand, column by column.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from finops_pipeline.sources.bigquery.table import TableName
from finops_pipeline.sources.contract import EXPORT_FIELDS, REQUIRED_COLUMNS, export_type
from finops_warehouse.errors import MissingColumn, WrongColumnType
from finops_warehouse.sql_models import sql_model

if TYPE_CHECKING:
    from google.cloud.bigquery import SchemaField

_NUMBERS = frozenset({"FLOAT", "FLOAT64", "NUMERIC", "INTEGER", "INT64"})
_SQL_TYPES = {
    "STRING": "STRING",
    "FLOAT": "FLOAT64",
    "NUMERIC": "NUMERIC",
    "TIMESTAMP": "TIMESTAMP",
    "BOOLEAN": "BOOL",
}


def day_query(table: TableName, schema: Iterable["SchemaField"]) -> str:
    """GoogleSQL with the parameters `start`, `end` (timestamps of partitions) and `billing_timezone`.

    Raises `MissingColumn` and `WrongColumnType` for a table no figure can be made of.
    """
    held = {field.name.lower(): field for field in schema}
    place = f"BigQuery table {table}"
    columns = [
        f"{_expression(field, held.get(field.name), field.name, f'`{field.name}`', place)} AS {field.name}"
        for field in EXPORT_FIELDS
    ]
    strangers = ", ".join(f"`{name}`" for name in unknown_columns(held.values()) if "." not in name)
    # Rows that differ in what we do not know are not the same row.
    columns.append(
        f"TO_JSON_STRING(STRUCT({strangers})) AS unknown" if strangers else "CAST(NULL AS STRING) AS unknown"
    )
    body = sql_model("extract", "raw_charges_by_day.bigquery").query.removeprefix("with ")
    selected = ",\n        ".join(columns)
    return f"""with billing_export as (
    select
        {selected}
    from `{table}`
    where _PARTITIONTIME >= @start and _PARTITIONTIME < @end
),

{body}"""  # noqa: S608  names come from the contract and from the table itself


def unknown_columns(schema: Iterable["SchemaField"]) -> list[str]:
    """Columns and nested fields (`price.new_thing`) that the contract does not know."""
    return list(_unknown(schema, EXPORT_FIELDS, ""))


def _unknown(schema: Iterable["SchemaField"], expected: Iterable["pa.Field[Any]"], parent: str) -> Iterator[str]:
    known = {field.name: field.type for field in expected}
    for held in schema:
        kind = known.get(held.name.lower())
        if kind is None:
            yield parent + held.name
        elif fields := _fields_of(kind):
            yield from _unknown(held.fields, fields, f"{parent}{held.name}.")


def _expression(field: "pa.Field[Any]", held: "SchemaField | None", path: str, value: str, place: str) -> str:
    """The GoogleSQL that makes `value` what the contract says."""
    if held is None:
        if path in REQUIRED_COLUMNS:
            raise MissingColumn(
                f"{place} has no column {path}, and no figure can be made without it. "
                "Point BILLING_EXPORT_URL at the detailed or standard usage cost export as Google writes it."
            )
        return f"CAST({'[]' if pa.types.is_list(field.type) else 'NULL'} AS {_sql_type(field.type)})"
    _refuse_another_type(field, held, path, place)
    fields = _fields_of(field.type)
    if not fields:
        return value
    inner = {sub.name.lower(): sub for sub in held.fields}
    if [sub.name for sub in held.fields] == [sub.name for sub in fields]:
        return value
    item = "item" if pa.types.is_list(field.type) else value
    parts = ", ".join(
        f"{_expression(sub, inner.get(sub.name), f'{path}.{sub.name}', f'{item}.`{sub.name}`', place)} AS {sub.name}"
        for sub in fields
    )
    if pa.types.is_list(field.type):
        return f"ARRAY(SELECT AS STRUCT {parts} FROM UNNEST({value}) AS item)"  # noqa: S608  names of the contract
    return f"IF({value} IS NULL, NULL, STRUCT({parts}))"


def _refuse_another_type(field: "pa.Field[Any]", held: "SchemaField", path: str, place: str) -> None:
    expected = export_type(field.type).removeprefix("REPEATED ")
    found = {"STRUCT": "RECORD", "BOOL": "BOOLEAN"}.get(held.field_type, held.field_type)
    is_list = (held.mode == "REPEATED") == pa.types.is_list(field.type)
    if is_list and (found == expected or (expected in _NUMBERS and found in _NUMBERS)):
        return
    raise WrongColumnType(
        f"{place}: column {path} holds {held.mode} {held.field_type} where the billing export has "
        f"{export_type(field.type)}. Name the export's own table."
    )


def _fields_of(kind: pa.DataType) -> list["pa.Field[Any]"]:
    inner = kind.value_type if pa.types.is_list(kind) else kind
    return list(inner) if pa.types.is_struct(inner) else []


def _sql_type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"ARRAY<{_sql_type(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"STRUCT<{', '.join(f'{field.name} {_sql_type(field.type)}' for field in kind)}>"
    return _SQL_TYPES[export_type(kind)]
