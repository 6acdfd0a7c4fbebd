"""Rows as Arrow tables and DataFrames. An amount is decimal128 there and `Decimal` here: never a float."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from finops_client.errors import MissingPandas

if TYPE_CHECKING:
    import pandas as pd

PLACES = 9
"""Decimal places of an amount, as the API's own exports have them. A column with more digits gets as many as it has."""

DIGITS = 38


def decimals_of(values: Sequence[Decimal | None]) -> pa.DataType:
    """The type that holds these amounts to the last digit."""
    exponents = [value.as_tuple().exponent for value in values if value is not None]
    return pa.decimal128(DIGITS, max([PLACES, *(-e for e in exponents if isinstance(e, int))]))


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, pa.DataType | None]) -> pa.Table:
    """The rows with these columns, in this order; None as a type is whatever amounts need."""
    arrays, fields = [], []
    for name, kind in columns.items():
        values = [row.get(name) for row in rows]
        kind = decimals_of(values) if kind is None else kind
        arrays.append(pa.array(values, kind))
        fields.append(pa.field(name, kind))
    return pa.table(arrays, schema=pa.schema(fields))


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, pa.DataType | None]:
    """The columns of rows whose fields nobody has named, by what stands in them."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: _kind([row.get(name) for row in rows]) for name in names}


def _kind(values: list[Any]) -> pa.DataType | None:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {Decimal}:
        return None
    return pa.date32() if kinds == {date} else pa.array(values).type


def frame(of: pa.Table) -> "pd.DataFrame":
    """The table as a DataFrame: amounts are `Decimal` objects, days are timestamps. Raises `MissingPandas`."""
    try:
        import pandas as pd  # noqa: F401 -- pyarrow imports it itself, and would say less of it
    except ImportError:
        raise MissingPandas from None
    return of.to_pandas(date_as_object=False)
