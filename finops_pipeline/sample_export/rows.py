"""From charges in integers to the export's nested Arrow columns: the only place where money becomes a float.

Whatever a line never changes is made once and taken by position. A float is the one nearest to its decimal, because it
is an integer divided by a power of ten.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from finops_pipeline.sample_export.charges import COST_TYPES, NONE, Charges
from finops_pipeline.sample_export.credits import CREDITS
from finops_pipeline.sample_export.descriptions import line_columns, publisher_type, row_labels
from finops_pipeline.sample_export.estate import PROJECTS, project_record
from finops_pipeline.sample_export.fleet import Fleet
from finops_pipeline.sample_export.lateness import ADJUSTMENTS
from finops_pipeline.sample_export.prices import RATE_SCALE

MILLION = 1_000_000
CONSUMPTION_MODELS = (
    {"id": "7754-699E-0EBF", "description": "Default"},
    {"id": "70D7-D1AB-12A4", "description": "Compute Flexible CUDs 1 Year"},
)

Column: TypeAlias = "pa.Array[Any]"


class RowMaker:
    """Makes Arrow tables of one schema from the charges of one fleet."""

    def __init__(self, fleet: Fleet, schema: pa.Schema, seed: int) -> None:
        self._schema = schema
        self._of_line = line_columns(fleet, schema)
        labels = row_labels(fleet, seed)
        self._no_labels = len(labels)
        self._labels = pa.array([*labels, []], schema.field("labels").type)
        records = [project_record(project, moved=moved) for project in PROJECTS for moved in (False, True)]
        self._projects = pa.array(records, schema.field("project").type)
        self._base_per_pricing = fleet.floats(lambda line: line.offer.sku.units.base_per_pricing)
        self._base_unit = pa.array([line.offer.sku.units.base for line in fleet.lines])
        self._pricing_unit = pa.array([line.offer.sku.units.pricing for line in fleet.lines])
        self._publisher = pa.array([publisher_type(line) for line in fleet.lines])
        reasons = [
            {"id": a.adjustment_id, "description": a.description, "mode": a.mode, "type": a.type} for a in ADJUSTMENTS
        ]
        self._adjustments = pa.array(reasons, schema.field("adjustment_info").type)
        self._credits = {
            "name": pa.array([credit.name for credit in CREDITS]),
            "full_name": pa.array([credit.full_name for credit in CREDITS]),
            "id": pa.array([credit.credit_id for credit in CREDITS]),
            "type": pa.array([credit.type for credit in CREDITS]),
        }

    def table(self, charges: Charges) -> pa.Table:
        """The charges as rows of the export, in their order."""
        line = pa.array(charges["line"])
        columns = {name: values.take(line) for name, values in self._of_line.items()} | {
            "usage_start_time": _instants(charges["start"]),
            "usage_end_time": _instants(charges["end"]),
            "project": self._projects.take(_positions(charges["project"])),
            "labels": self._labels_of(charges),
            "export_time": _instants(charges["export"]),
            "cost": pa.array(charges["cost"] / MILLION),
            "currency_conversion_rate": pa.array(charges["rate"] / RATE_SCALE),
            "usage": self._usage(charges, line),
            "credits": self._credits_of(charges),
            "invoice": self._invoice(charges, line),
            "cost_type": pa.array(COST_TYPES).take(pa.array(charges["cost_type"])),
            "adjustment_info": self._adjustments.take(_positions(charges["adjustment"])),
            "price": self._price(charges, line),
            "cost_at_list": pa.array(charges["list_cost"] / MILLION),
            "cost_at_effective_price_default": _numeric(charges["default_cost"] * 1000),
            "cost_at_list_consumption_model": _numeric(charges["model_list_cost"] * 1000),
        }
        if "consumption_model" in self._schema.names:
            models = pa.array(CONSUMPTION_MODELS, self._schema.field("consumption_model").type)
            columns["consumption_model"] = models.take(pa.array(charges["model"]))
        return pa.table([columns[name] for name in self._schema.names], schema=self._schema)

    def _labels_of(self, charges: Charges) -> Column:
        """No row's labels are NULL: a repeated field is empty when there is nothing in it."""
        position = np.where(charges["labels"] == NONE, self._no_labels, charges["labels"])
        taken: Column = self._labels.take(_array(position))
        return taken

    def _usage(self, charges: Charges, line: Column) -> Column:
        amount = charges["usage"] / MILLION
        parts = {
            "amount": pa.array(np.round(amount * self._base_per_pricing[charges["line"]], 6)),
            "unit": self._base_unit.take(line),
            "amount_in_pricing_units": pa.array(amount),
            "pricing_unit": self._pricing_unit.take(line),
        }
        return self._record("usage", parts)

    def _invoice(self, charges: Charges, line: Column) -> Column:
        months, position = np.unique(charges["invoice_month"], return_inverse=True)
        parts: dict[str, Column] = {
            "month": pa.array([str(month) for month in months]).take(_array(position)),
            "publisher_type": self._publisher.take(line),
        }
        return self._record("invoice", parts)

    def _price(self, charges: Charges, line: Column) -> Column:
        """What nothing was metered for has no price."""
        parts = {
            "effective_price": _numeric(charges["price"]),
            "tier_start_amount": _numeric(charges["tier_start"] * 1_000_000_000),
            "unit": self._pricing_unit.take(line),
            "pricing_unit_quantity": _numeric(np.full(len(charges), 1_000_000_000, np.int64)),
            "list_price": _numeric(charges["list_price"]),
            "effective_price_default": _numeric(charges["default_price"]),
            "list_price_consumption_model": _numeric(charges["model_list_price"]),
        }
        return self._record("price", parts, absent=charges["list_price"] == 0)

    def _credits_of(self, charges: Charges) -> Column:
        given = charges["credit"] != NONE
        offsets = np.concatenate([[0], np.cumsum(given.sum(axis=1))]).astype(np.int32)
        which = pa.array(charges["credit"][given])
        list_type = self._schema.field("credits").type
        parts: dict[str, Column] = {field: values.take(which) for field, values in self._credits.items()}
        parts["amount"] = pa.array(charges["credit_amount"][given] / MILLION)
        child = list_type.value_type
        credits_given = pa.StructArray.from_arrays([parts[field.name] for field in child], fields=list(child))
        starts: pa.Int32Array = pa.array(offsets, pa.int32())
        lists: Column = pa.ListArray.from_arrays(starts, credits_given, type=list_type)
        return lists

    def _record(self, column: str, parts: dict[str, Column], absent: npt.NDArray[np.bool_] | None = None) -> Column:
        """A struct column of the fields this schema has."""
        fields = list(self._schema.field(column).type)
        mask = None if absent is None else pa.array(absent)
        record: Column = pa.StructArray.from_arrays([parts[field.name] for field in fields], fields=fields, mask=mask)
        return record


def _array(values: npt.NDArray[Any]) -> Column:
    array: Column = pa.array(values)
    return array


def _instants(microseconds: npt.NDArray[np.int64]) -> Column:
    instants: Column = _array(microseconds).cast(pa.timestamp("us", "UTC"))
    return instants


def _positions(index: npt.NDArray[np.integer[Any]]) -> Column:
    """Positions to take by, NULL where there is nothing to take."""
    return pa.array(np.ascontiguousarray(index), mask=index == NONE)


def _numeric(billionths: npt.NDArray[np.int64]) -> Column:
    """NUMERIC values from whole billionths: 64 bits, sign-extended to the 128 of a decimal."""
    words = np.empty((len(billionths), 2), np.int64)
    words[:, 0], words[:, 1] = billionths, billionths >> 63
    return pa.Array.from_buffers(pa.decimal128(38, 9), len(words), [None, pa.py_buffer(words.tobytes())])
