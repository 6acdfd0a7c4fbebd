"""The columns of the sample: the detailed export's own, as they are now or as they were in 2023."""

from typing import Any, Literal

import pyarrow as pa

from finops_pipeline.sources.contract import EXPORT_SCHEMA

SchemaAge = Literal["current", "2023"]

OURS = "extra"
"""A column the pipeline adds to what it reads; no export has it."""
NOT_YET_IN_2023 = {
    "cost_at_effective_price_default",
    "cost_at_list_consumption_model",
    "consumption_model",
    "subscription",
    "transaction_type",
    "seller_name",
}
FIELDS_NOT_YET_IN_2023 = {
    "price": {"list_price", "effective_price_default", "list_price_consumption_model"},
    "invoice": {"publisher_type"},
}


def schema_of(age: SchemaAge) -> pa.Schema:
    """The nested schema of a detailed export of that age, columns in Google's order."""
    fields = [field for field in EXPORT_SCHEMA if field.name != OURS]
    if age == "current":
        return pa.schema(fields)
    return pa.schema([_as_in_2023(field) for field in fields if field.name not in NOT_YET_IN_2023])


def _as_in_2023(field: "pa.Field[Any]") -> "pa.Field[Any]":
    missing = FIELDS_NOT_YET_IN_2023.get(field.name)
    if missing is None:
        return field
    return pa.field(field.name, pa.struct([inner for inner in field.type if inner.name not in missing]))
