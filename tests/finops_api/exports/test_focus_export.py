"""The rows of FOCUS as files: those of the view, by invoice month."""

import csv
import io
import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx
import psycopg
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from finops_warehouse.database import connect_to
from finops_warehouse.focus.view import COLUMN_TYPES, column_names, make_view

MONTH = "202609"
VIEW = "select * from finops.focus_cost_and_usage where \"x_InvoiceMonth\" = '202609'"
PLACES = {"Price": 18, "Quantity": 12}


def export(api: httpx.Client, form: str, month: str = MONTH) -> httpx.Response:
    """An export of FOCUS rows that is answered."""
    answer = api.get(f"/v1/exports/focus.{form}", params={"month": month, "formula_safe": False})
    assert answer.status_code == 200, answer.text
    return answer


def in_view(connection: psycopg.Connection, select: str = VIEW) -> list[dict[str, Any]]:
    """The rows of the view by their names in it, in the order of their names."""
    cursor = connection.execute(select)
    assert cursor.description is not None
    names = [column.name for column in cursor.description]
    return by_row(dict(zip(names, row, strict=True)) for row in cursor.fetchall())


def by_row(rows: Any) -> list[dict[str, Any]]:  # noqa: ANN401 -- rows of any kind
    """Rows in an order of their own: files have none."""
    return sorted(rows, key=lambda row: (str(row["x_Row"]), str(row["CommitmentDiscountStatus"])))


def as_iso(value: datetime) -> str:
    """A moment as FOCUS wants it: in UTC, with a Z."""
    return f"{value:%Y-%m-%dT%H:%M:%S}" + (f".{value.microsecond:06}Z" if value.microsecond else "Z")


def same(name: str, value: object, written: str | dict[str, Any] | None) -> bool:
    """Whether a cell of CSV or NDJSON is what the view holds."""
    match value:
        case None:
            return written in ("", None)
        case bool():
            return str(value).lower() == str(written).lower()
        case Decimal():
            return isinstance(written, str) and value == Decimal(written)
        case datetime():
            return as_iso(value) == written
        case dict() | list():
            return value == (json.loads(written) if isinstance(written, str) else written)
        case _:
            return str(value) == written


def test_text_files_are_the_view(api: httpx.Client, charges: psycopg.Connection) -> None:
    """Every row, every column, every digit."""
    expected = in_view(charges)
    assert len(expected) > 5000

    for rows in (
        csv.DictReader(io.StringIO(export(api, "csv").text, newline="")),
        map(json.loads, export(api, "ndjson", "2026-09").text.splitlines()),
    ):
        found = by_row(rows)
        assert len(expected) == len(found)
        assert list(found[0]) == list(COLUMN_TYPES)
        assert [
            (name, row[name], written[name])
            for row, written in zip(expected, found, strict=True)
            for name in row
            if not same(name, row[name], written[name])
        ] == []


def test_typed_files_are_the_view(api: httpx.Client, charges: psycopg.Connection) -> None:
    """With types of their own: moments in UTC, amounts as decimals, and both formats the same table."""
    expected = in_view(charges)
    table = pa.ipc.open_stream(export(api, "arrow").content).read_all()

    assert table.equals(pq.read_table(io.BytesIO(export(api, "parquet").content)))
    found = by_row(table.to_pylist())
    assert len(expected) == len(found)
    for row, written in zip(expected, found, strict=True):
        for name, value in row.items():
            match value:
                case Decimal():
                    places = next((places for ending, places in PLACES.items() if name.endswith(ending)), 9)
                    assert abs(value - written[name]) <= Decimal(5).scaleb(-places - 1), name
                case dict() | list():
                    assert value == json.loads(written[name]), name
                case _:
                    assert value == written[name], name
    assert sum(row["BilledCost"] for row in expected) == sum(row["BilledCost"] for row in found)


def test_columns_have_the_names_of_the_version_that_is_set(spoilt: str, api_over: Callable[..., httpx.Client]) -> None:
    """Whoever chose FOCUS 1.4 gets its files, too."""
    with connect_to(spoilt, autocommit=True) as connection:
        make_view(connection, "1.4")

    header = export(api_over(spoilt), "csv").text.split("\n", 1)[0]

    assert header.split(",") == [name for _, name in column_names("1.4")]


def test_the_version_rises_when_a_charge_moves(spoilt: str, api_over: Callable[..., httpx.Client]) -> None:
    """Two files of one version hold the same."""
    api = api_over(spoilt)
    before = int(export(api, "csv").headers["x-data-version"])
    with connect_to(spoilt, autocommit=True) as connection:
        connection.execute(
            "update finops.usage_day_ledger set source_version = source_version + 1 where usage_day = '2026-09-21'"
        )

    answer = export(api, "csv")

    assert int(answer.headers["x-data-version"]) == before + 1
    assert answer.headers["content-disposition"] == 'attachment; filename="focus-2026-09.csv"'


@pytest.mark.parametrize(
    ("month", "title", "said"),
    [
        ("203001", "NoSuchMonth", "There are: 202609, 202610."),
        ("2026-13", "BadParameter", "month"),
        ("202609; drop", "BadParameter", "month"),
        ("", "BadParameter", "month"),
    ],
)
def test_a_month_without_charges_is_refused(api: httpx.Client, month: str, title: str, said: str) -> None:
    """A file of no rows would say that the month cost nothing."""
    answer = api.get("/v1/exports/focus.csv", params={"month": month})

    assert (answer.status_code, answer.json()["title"]) == (422, title)
    assert said in answer.json()["detail"]


def test_nothing_is_known_before_anything_is_loaded(database_url: str, api_over: Callable[..., httpx.Client]) -> None:
    """An empty warehouse says so."""
    answer = api_over(database_url).get("/v1/exports/focus.parquet", params={"month": MONTH})

    assert (answer.status_code, "none yet" in answer.json()["detail"]) == (422, True)
