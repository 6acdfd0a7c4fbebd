"""Rows that need no conversion are handed on as they are: only when a conversion would have changed nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finops_pipeline.sources.contract import EXPORT_FIELDS, EXPORT_SCHEMA, as_they_are, conforming_select, connect

Charge = Callable[..., dict[str, Any]]
HELD = pa.schema(EXPORT_FIELDS)


def converted(rows: pa.Table) -> pa.Table:
    """`rows` as a select makes them the contract's."""
    connection = connect()
    held = connection.from_arrow(rows)
    select = conforming_select(dict(zip(held.columns, held.types, strict=True)), "the table of the test")
    found: pa.Table = held.project(select.select_list).to_arrow_table().cast(EXPORT_SCHEMA)
    return found


@pytest.fixture
def rows(charge: Charge, put: Callable[..., Path]) -> pa.Table:
    """A charge with labels and credits, and one of no project."""
    path = put([charge(0), charge(1, project=None)])
    return pq.read_table(path, partitioning=None).select(HELD.names).cast(HELD)


def test_what_is_handed_on_is_what_a_select_gives(rows: pa.Table) -> None:
    """In another order of columns and with other names for the items of lists too."""
    reversed_columns = rows.select(HELD.names[::-1])

    found = as_they_are(reversed_columns)

    assert found is not None
    assert found.cast(EXPORT_SCHEMA).equals(converted(reversed_columns))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("labels", None),
        ("credits", None),
        ("project", {"id": "shop", "number": "1", "name": "Shop", "labels": None, "ancestors": []}),
    ],
)
def test_a_missing_list_is_converted(rows: pa.Table, column: str, value: object) -> None:
    """It is an empty list in every other source."""
    position = HELD.get_field_index(column)
    missing = rows.set_column(position, HELD.field(column), pa.array([value, value], HELD.field(column).type))

    assert as_they_are(missing) is None
    assert as_they_are(converted(missing).select(HELD.names)) is not None


@pytest.mark.parametrize(
    "other",
    [
        lambda rows: rows.drop_columns(["resource"]),
        lambda rows: rows.append_column("new_thing", pa.array(["a", "b"])),
        lambda rows: rows.set_column(
            HELD.get_field_index("cost"), "cost", rows["cost"].cast(pa.decimal128(38, 9), safe=False)
        ),
        lambda rows: rows.rename_columns([name.upper() for name in HELD.names]),
    ],
    ids=["a column less", "a column more", "another type", "other names"],
)
def test_another_shape_is_converted(rows: pa.Table, other: Callable[[pa.Table], pa.Table]) -> None:
    """Whatever is not the contract to the letter takes the long way."""
    assert as_they_are(other(rows)) is None
