"""Schemas and rows as the REST API writes them in JSON."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from bqserver.refusals import NotModelled

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def schema_of(table: pa.Table) -> list[dict[str, Any]]:
    """The fields of a result, as getQueryResults lists them."""
    return [_field(field.name, field.type) for field in table.schema]


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """Timestamps as microseconds, which the client asks for; every scalar as text."""
    return [{"f": [{"v": _value(value)} for value in row.values()]} for row in table.to_pylist()]


def _field(name: str, kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(kind):
        return _field(name, kind.value_type) | {"mode": "REPEATED"}
    if pa.types.is_struct(kind):
        fields = [_field(inner.name, inner.type) for inner in kind]
        return {"name": name, "type": "RECORD", "mode": "NULLABLE", "fields": fields}
    return {"name": name, "type": _type_name(kind), "mode": "NULLABLE"}


def _type_name(kind: pa.DataType) -> str:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "STRING"
    if pa.types.is_integer(kind):
        return "INTEGER"
    if pa.types.is_floating(kind):
        return "FLOAT"
    if pa.types.is_decimal(kind):
        return "NUMERIC"
    if pa.types.is_boolean(kind):
        return "BOOLEAN"
    if pa.types.is_date(kind):
        return "DATE"
    if pa.types.is_timestamp(kind) and kind.tz:
        return "TIMESTAMP"
    raise NotModelled(f"a result of type {kind}")


def _value(value: object) -> object:
    if value is None:
        return None
    if isinstance(value, list):
        return [{"v": _value(item)} for item in value]
    if isinstance(value, dict):
        return {"f": [{"v": _value(item)} for item in value.values()]}
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return str((value - _EPOCH) // timedelta(microseconds=1))
    return str(value)
