"""Costs as files: the answer of `/v1/costs`, whatever its format, and all of it."""

import csv
import io
import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from helpers.road import Export, Road, charge

from finops_api.costs import queries
from finops_api.exports import queries as export_queries
from finops_warehouse.database import connect_to

WINDOW = {"start": "2026-09-20", "end": "2026-10-11"}
QUESTIONS: dict[str, dict[str, Any]] = {
    "a day": WINDOW,
    "days that still arrive": {"window": "7d", "include_unfinished": True, "group_by": ["service"]},
    "named members": {**WINDOW, "group_by": ["service", "project", "sku"], "measure": ["cost", "billed_cost"]},
    "months": {**WINDOW, "granularity": "monthly", "group_by": ["region"], "measure": ["charge_count", "list_cost"]},
    "a total": {**WINDOW, "granularity": "total", "group_by": ["invoice_month", "cost_type"]},
    "custom dimensions": {**WINDOW, "group_by": ["team", "team_rule", "service"]},
    "custom filters": {**WINDOW, "granularity": "total", "group_by": ["team"], "custom": ["team:sre", "team:growth"]},
    "filters": {**WINDOW, "service": ["Compute Engine", "BigQuery"], "billing_currency": ["USD"], "group_by": ["sku"]},
    "weeks": {**WINDOW, "granularity": "weekly", "group_by": ["service"]},
    "invoice months": {**WINDOW, "granularity": "invoice_month", "group_by": ["invoice_month", "service"]},
    "an invoice": {
        "time_basis": "invoice_month",
        "start": "2026-10-01",
        "end": "2026-11-01",
        "granularity": "total",
        "group_by": ["service"],
        "include_unfinished": True,
    },
    "nothing": {**WINDOW, "service": ["no such service"], "group_by": ["service"]},
    "as of a moment": {**WINDOW, "as_of": "2099-01-01T00:00:00Z", "group_by": ["project"]},
}


def export(api: httpx.Client, form: str, asked: dict[str, Any]) -> httpx.Response:
    """An export of costs that is answered."""
    answer = api.get(f"/v1/exports/costs.{form}", params=asked)
    assert answer.status_code == 200, answer.text
    return answer


def csv_rows(text: str) -> list[dict[str, str]]:
    """The rows of a CSV file by the names in its first line."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


def as_text(value: object) -> str:
    """A value as CSV writes it."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case _:
            return str(value)


def as_typed(value: object) -> object:
    """A value as a typed file holds it, to be compared with one of json: numbers by value, days by their text."""
    match value:
        case date():
            return value.isoformat()
        case Decimal() | int() if not isinstance(value, bool):
            return f"{Decimal(value).normalize():f}"
        case _:
            return value


@pytest.mark.parametrize("asked", QUESTIONS.values(), ids=QUESTIONS)
def test_every_format_holds_the_answer_of_costs(api: httpx.Client, asked: dict[str, Any]) -> None:
    """The same question, the same figures in the same order: a file that differs from the screen proves nothing."""
    answer = api.get("/v1/costs", params=asked).json()
    items = answer["items"]
    names = list(items[0]) if items else ["usage_day", "estimated", "service", "service_name"]

    lines = export(api, "csv", asked).text
    assert lines.startswith(",".join(names))
    assert [{name: as_text(value) for name, value in item.items()} for item in items] == csv_rows(lines)
    assert items == [json.loads(line) for line in export(api, "ndjson", asked).text.splitlines()]
    for table in (
        pa.ipc.open_stream(export(api, "arrow", asked).content).read_all(),
        pq.read_table(io.BytesIO(export(api, "parquet", asked).content)),
    ):
        found = [{name: as_typed(value) for name, value in row.items()} for row in table.to_pylist()]
        assert [{n: v if n == "estimated" else as_typed(number(v, n)) for n, v in i.items()} for i in items] == found
        assert table.column_names[: len(names)] == names
    assert items or asked["service"] == ["no such service"]


def number(value: object, name: str) -> object:
    """A figure of json as the number it is."""
    is_figure = name.endswith("cost") or name == "charge_count"
    return Decimal(str(value)) if is_figure else value


def test_money_is_decimal_and_days_are_days(api: httpx.Client) -> None:
    """A float would be a cent off somewhere; a day as text cannot be compared with one."""
    asked = {**WINDOW, "measure": ["billed_cost", "charge_count"]}
    schema = pq.read_schema(io.BytesIO(export(api, "parquet", asked).content))

    assert [
        ("usage_day", pa.date32()),
        ("estimated", pa.bool_()),
        ("billing_currency", pa.string()),
        ("billed_cost", pa.decimal128(38, 9)),
        ("charge_count", pa.int64()),
    ] == [(field.name, field.type) for field in schema]


def test_more_rows_than_one_answer_holds(api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `/v1/costs` refuses is what exports are for; none is missing and none is there twice."""
    asked = {"start": "2026-09-01", "end": "2026-10-20", "group_by": ["sku", "project", "region"]}
    assert api.get("/v1/costs", params=asked).json()["title"] == "TooManyRows"

    found = csv_rows(export(api, "csv", asked).text)

    monkeypatch.setattr(queries, "MAX_ROWS", 10**6)
    # In another word, for what the same words ask was settled before the limit was gone.
    items = api.get("/v1/costs", params={**asked, "granularity": "daily"}).json()["items"]
    assert len(found) > 5000
    assert [(row["usage_day"], row["sku"], row["billed_cost"]) for row in found] == [
        (item["usage_day"], item["sku"], item["billed_cost"]) for item in items
    ]


def test_the_response_says_what_it_is(api: httpx.Client) -> None:
    """A file name a folder of exports can be kept under, and the version that tells two of them apart."""
    meta = api.get("/v1/costs", params=WINDOW).json()["meta"]

    for form, kind in (
        ("csv", "text/csv; charset=utf-8; header=present"),
        ("ndjson", "application/x-ndjson"),
        ("arrow", "application/vnd.apache.arrow.stream"),
        ("parquet", "application/vnd.apache.parquet"),
    ):
        headers = export(api, form, WINDOW).headers
        assert kind == headers["content-type"]
        assert f'attachment; filename="costs-2026-09-20-to-2026-10-10.{form}"' == headers["content-disposition"]
        assert str(meta["data_version"]) == headers["x-data-version"]
        assert meta["complete_through"] == headers["x-complete-through"]
        assert headers["x-missing-days"] == "0"


def test_days_that_are_missing_are_counted(spoilt: str, api_over: Callable[..., httpx.Client]) -> None:
    """They have no rows, and whoever adds a file up must be able to see that this is not a zero."""
    with psycopg.connect(spoilt, autocommit=True) as connection:
        connection.execute("delete from finops.materialisation where partition_key in ('2026-09-21', '2026-09-23')")

    assert export(api_over(spoilt), "csv", WINDOW).headers["x-missing-days"] == "2"


@pytest.mark.parametrize(
    ("form", "asked", "title"),
    [
        ("csv", {**WINDOW, "compare": "previous", "granularity": "total"}, "NotExported"),
        ("parquet", {**WINDOW, "top": 3, "group_by": "service"}, "NotExported"),
        ("csv", {**WINDOW, "limit": 3}, "NotExported"),
        ("csv", {**WINDOW, "group_by": "squad"}, "UnknownDimension"),
        ("arrow", {**WINDOW, "custom": "squad:a"}, "UnknownDimension"),
        ("ndjson", {"start": "2026-09-20", "end": "2026-09-20"}, "EmptyWindow"),
        ("csv", {"start": "2026-09-20"}, "BadParameter"),
        ("csv", {**WINDOW, "projects": "a"}, "BadParameter"),
        ("csv", {**WINDOW, "start": ["2026-09-20", "2026-09-21"]}, "AskedTwice"),
        ("xlsx", WINDOW, "BadParameter"),
        ("csv", {**WINDOW, "as_of": "2001-01-01T00:00:00Z"}, "NothingServedThen"),
    ],
)
def test_a_question_without_an_answer_is_a_problem_and_no_file(
    api: httpx.Client, form: str, asked: dict[str, Any], title: str
) -> None:
    """A script that saves whatever comes would keep a sentence as its data: the status says it first."""
    answer = api.get(f"/v1/exports/costs.{form}", params=asked)

    assert (422, title) == (answer.status_code, answer.json()["title"])
    assert answer.headers["content-type"] == "application/problem+json"
    assert "content-disposition" not in answer.headers


ODD = [
    "=1+1",
    "+1",
    "-1",
    "@sum",
    "\tx",
    "\rx",
    'say "hi", \\n',
    "line\nbreak",
    "ünï",
    "'quoted",
    "\\.",
    "plain",
    "a=b",
]


@pytest.fixture
def oddly_named(database_url: str, tmp_path: Path) -> str:
    """A warehouse whose projects are named by people who had an idea."""
    files = Export(tmp_path / "export")
    names = [charge(1 - 2 * (index % 2), project=name) for index, name in enumerate(ODD)]
    files.write("2026-09-11", [*names, charge(7, project=None)])
    files.write("2026-09-14", [charge(1, start="2026-09-13T12:00")])
    with connect_to(database_url, autocommit=True) as connection:
        Road(connection, files.folder).walk()
    return database_url


ODD_DAY = {"start": "2026-09-10", "end": "2026-09-11", "group_by": "project"}


def test_no_text_begins_a_formula_in_csv(oddly_named: str, api_over: Callable[..., httpx.Client]) -> None:
    """A project named `=HYPERLINK(…)` runs in the spreadsheet of whoever opens the file; a negative cost must not
    become text."""
    api = api_over(oddly_named)
    rows = csv_rows(export(api, "csv", ODD_DAY).text)

    expected = {f"'{name}" if name[0] in "=+-@\t\r" else name for name in ODD} | {"(unattributed)"}
    assert expected == {row["project"] for row in rows}
    assert expected - {"(unattributed)"} == {row["project_name"] for row in rows if row["project_name"]}
    assert {"1", "-1", "7"} == {row["billed_cost"] for row in rows}


def test_the_apostrophe_can_be_left_out(oddly_named: str, api_over: Callable[..., httpx.Client]) -> None:
    """For programs, to whom a name is a name."""
    rows = csv_rows(export(api_over(oddly_named), "csv", {**ODD_DAY, "formula_safe": "false"}).text)

    assert {*ODD, "(unattributed)"} == {row["project"] for row in rows}


@pytest.mark.parametrize("form", ["ndjson", "arrow", "parquet"])
def test_names_come_through_as_they_are(oddly_named: str, api_over: Callable[..., httpx.Client], form: str) -> None:
    """Quotes, backslashes and line breaks on their way through COPY; and no name is not an empty one."""
    content = export(api_over(oddly_named), form, ODD_DAY).content
    match form:
        case "ndjson":
            rows = [json.loads(line) for line in content.decode().removesuffix("\n").split("\n")]
        case "arrow":
            rows = pa.ipc.open_stream(content).read_all().to_pylist()
        case _:
            rows = pq.read_table(io.BytesIO(content)).to_pylist()

    assert {**{name: name for name in ODD}, "(unattributed)": None} == {r["project"]: r["project_name"] for r in rows}


def test_as_of_a_moment_is_what_was_served_then(
    database_url: str, tmp_path: Path, api_over: Callable[..., httpx.Client]
) -> None:
    """An export that is asked for again for an audit holds what its first reader got, not what is known since."""
    files = Export(tmp_path / "export")
    files.write("2026-09-11", [charge(10)])
    files.write("2026-09-14", [charge(1, start="2026-09-13T12:00")])
    with connect_to(database_url, autocommit=True) as connection:
        road = Road(connection, files.folder)
        road.walk()
        [(then,)] = connection.execute("select clock_timestamp()").fetchall()
        files.write("2026-09-15", [charge(5, exported="2026-09-15T03:00")])
        road.walk()
    api = api_over(database_url)
    asked = {"start": "2026-09-10", "end": "2026-09-11"}

    now, before = (csv_rows(export(api, "csv", question).text) for question in (asked, {**asked, "as_of": then}))

    assert ([row["billed_cost"] for row in now], [row["billed_cost"] for row in before]) == (["15"], ["10"])


def test_rows_and_their_version_are_of_one_moment(
    spoilt: str, api_over: Callable[..., httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rebuild between the header and the rows must not put new rows under an old version: files are kept by it."""
    read_meta = queries.meta_of

    async def and_then_a_day_is_rebuilt(*arguments: Any) -> Any:  # noqa: ANN401 -- passed through
        told = await read_meta(*arguments)
        with connect_to(spoilt, autocommit=True) as other:
            other.execute("update finops.materialisation set version = version + 1000000")
            other.execute("update finops.cost_by_service_daily set billed_cost = billed_cost + 1000000")
        return told

    api = api_over(spoilt)
    before = export(api, "csv", WINDOW)
    monkeypatch.setattr(export_queries, "meta_of", and_then_a_day_is_rebuilt)
    meanwhile = export(api, "csv", WINDOW)
    monkeypatch.undo()
    after = export(api, "csv", WINDOW)

    assert (meanwhile.text, meanwhile.headers["x-data-version"]) == (before.text, before.headers["x-data-version"])
    assert after.text != before.text
    assert int(after.headers["x-data-version"]) > 1000000
