"""From charges in integers to the export's nested Arrow columns: the only place where money becomes a float.

Whatever a line never changes is made once and taken by position; a float is the one nearest to its decimal, because it
is an integer divided by a power of ten.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from finops_pipeline.sample_export.charges import COST_TYPES, NONE, Charges
from finops_pipeline.sample_export.credits import CREDITS
from finops_pipeline.sample_export.descriptions import line_columns, row_labels
from finops_pipeline.sample_export.estate import PROJECTS, project_record
from finops_pipeline.sample_export.fleet import Fleet
from finops_pipeline.sample_export.lateness import ADJUSTMENTS
from finops_pipeline.sample_export.prices import RATE_SCALE, PriceList

MILLION = 1_000_000
CONSUMPTION_MODELS = (("7754-699E-0EBF", "Default"), ("70D7-D1AB-12A4", "Compute Flexible CUDs 1 Year"))


def export_months(instants: npt.NDArray[np.int64]) -> list[str]:
    return [str(month) for month in instants.tolist()]


class RowMaker:
    """Makes Arrow tables of one schema from charges of one fleet."""

    def __init__(self, fleet: Fleet, schema: pa.Schema, seed: int) -> None:
        self._schema = schema
        self._of_line = line_columns(fleet, schema)
        self._labels = pa.array(row_labels(fleet, seed), schema.field("labels").type)
        records = [project_record(project, moved=moved) for project in PROJECTS for moved in (False, True)]
        self._projects = pa.array(records, schema.field("project").type)
        self._base_per_pricing = fleet.floats(lambda line: line.offer.sku.units.base_per_pricing)
        self._adjustments = self._records("adjustment_info", [dict(zip(("id", "description", "mode", "type"), a, strict=True)) for a in ADJUSTMENTS])
