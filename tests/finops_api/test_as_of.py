"""What a reader saw at a moment: restatements move today's answers and never the answer as of then."""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from helpers.road import Export, Road, charge

from finops_warehouse.database import connect_to

QUESTIONS: list[dict[str, Any]] = [
    {"start": "2026-08-01", "end": "2026-08-08"},
    {
        "start": "2026-08-01",
        "end": "2026-08-08",
        "group_by": ["service", "project"],
        "measure": ["billed_cost", "cost"],
    },
    {"start": "2026-08-01", "end": "2026-09-01", "granularity": "monthly", "group_by": ["project"]},
    {"start": "2026-08-01", "end": "2026-08-08", "granularity": "total", "group_by": ["project"], "top": 1},
    {"start": "2026-08-03", "end": "2026-08-05", "granularity": "total", "compare": "previous"},
    {"window": "7d", "granularity": "total", "group_by": ["invoice_month", "charge_category"]},
    {"start": "2026-08-01", "end": "2026-08-08", "include_unfinished": True, "billing_account": ["B"]},
]


def ask(api: httpx.Client, question: dict[str, Any], as_of: datetime | None = None) -> dict[str, Any]:
    """The answer to a cost question."""
    answer = api.get("/v1/costs", params=question | ({"as_of": as_of.isoformat()} if as_of else {}))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def figures(answer: dict[str, Any]) -> dict[str, Any]:
    """All a reader sees of an answer but where it was read from and which moment it says."""
    meta = {name: value for name, value in answer["meta"].items() if name not in ("table", "data_version", "as_of")}
    return {"items": sorted(answer["items"], key=str), "totals": answer["totals"], "meta": meta}


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """Seven usage days of two accounts, exported the day after each."""
    export = Export(tmp_path / "export")
    for day in range(1, 8):
        export.write(
            f"2026-08-{day + 1:02}",
            [
                charge(10 + day, start=f"2026-08-{day:02}T20:00"),
                charge(3, start=f"2026-08-{day:02}T20:00", project="data", service="BigQuery"),
                charge(1, start=f"2026-08-{day:02}T21:00", project="data", account="B", currency="EUR"),
            ],
        )
    return export


@pytest.fixture
def road(connection: psycopg.Connection, export: Export) -> Road:
    """The way from this export to this test's tables."""
    road = Road(connection, export.folder)
    road.walk()
    return road


def moment_between() -> datetime:
    """A moment after everything that was done and before anything that will be."""
    time.sleep(0.01)
    moment = datetime.now(UTC)
    time.sleep(0.01)
    return moment


def correct(export: Export, road: Road, *, round_: int) -> None:
    """Late usage, a correction that takes a project's charge away, and a re-export of a day."""
    export.write(
        f"2026-08-{20 + round_}",
        [
            charge(5 + round_, start="2026-08-02T20:00"),
            charge(-3, start="2026-08-03T20:00", project="data", service="BigQuery", month="202609"),
            charge(2, start="2026-08-04T20:00", account="B", currency="EUR", project=None),
        ],
    )
    export.write("2026-08-06", [charge(99 + round_, start="2026-08-05T20:00", project="other")])
    road.walk()


@pytest.mark.usefixtures("road")
@pytest.mark.parametrize("question", QUESTIONS)
def test_the_answer_as_of_a_moment_is_the_one_given_then(
    question: dict[str, Any], database_url: str, export: Export, road: Road, api_over: Callable[..., httpx.Client]
) -> None:
    """To the cent, with its totals, its members, its complete days and what had been restated by then."""
    api = api_over(database_url)
    seen = []
    for round_ in range(3):
        seen.append((moment_between(), figures(ask(api, question))))
        correct(export, road, round_=round_)

    for moment, then in seen:
        assert figures(ask(api, question, moment)) == then
    assert figures(ask(api, question, moment_between())) == figures(ask(api, question))


@pytest.mark.usefixtures("road")
def test_todays_answer_moves_and_says_so(
    database_url: str, export: Export, road: Road, api_over: Callable[..., httpx.Client]
) -> None:
    """A reader of a restated window is told which days moved, when, and by how much together."""
    api = api_over(database_url)
    question = QUESTIONS[0] | {"include_unfinished": True}
    before = ask(api, question)
    correct(export, road, round_=0)
    after = ask(api, question)

    assert before["meta"]["restated"] is False
    assert after["meta"]["restated"] is True
    assert after["meta"]["restated_days"] == ["2026-08-02", "2026-08-03", "2026-08-04", "2026-08-05"]
    moved = {moved["billing_currency"]: Decimal(moved["billed_cost_change"]) for moved in after["meta"]["restated_by"]}
    assert moved == {"USD": Decimal(5 - 3 + 99 - 15 - 3), "EUR": Decimal(2 - 1)}
    totals = {t["billing_currency"]: Decimal(t["billed_cost"]) for t in after["totals"]}
    totals_before = {t["billing_currency"]: Decimal(t["billed_cost"]) for t in before["totals"]}
    assert {currency: totals[currency] - totals_before[currency] for currency in totals} == moved


@pytest.mark.usefixtures("road")
def test_every_restatement_is_served_with_its_cause(
    database_url: str, export: Export, road: Road, api_over: Callable[..., httpx.Client]
) -> None:
    """Before, after, cause and export days, by usage day and account, newest first and by pages."""
    api = api_over(database_url)
    export.write(
        "2026-08-21",
        [
            charge(-4, start="2026-08-02T20:00", adjustment_info={"type": "PRICE_CORRECTION"}),
            charge(2, start="2026-08-02T20:00", account="B", currency="EUR"),
        ],
    )
    export.write("2026-08-06", [charge(15, start="2026-08-05T20:00", project="elsewhere")])
    road.walk()

    found = api.get("/v1/restatements").json()["items"]

    said = {(r["usage_day"], r["billing_account_id"]): r for r in found}
    correction, late = said["2026-08-02", "A"], said["2026-08-02", "B"]
    assert (correction["cause"], correction["billed_cost_before"], correction["billed_cost_after"]) == (
        "correction", "15", "11",
    )  # fmt: skip
    assert (late["cause"], late["billed_cost_change"], late["export_days"]) == ("late usage", "2", ["2026-08-21"])
    assert (said["2026-08-05", "A"]["cause"], said["2026-08-05", "A"]["billed_cost_change"]) == ("re-export", "-3")
    assert said["2026-08-05", "B"]["billed_cost_after"] == "0"
    first = api.get("/v1/restatements", params={"limit": 1}).json()
    rest = api.get("/v1/restatements", params={"before": first["meta"]["next"]}).json()
    assert first["items"] + rest["items"] == found
    assert rest["meta"]["next"] is None
    by_cause = api.get("/v1/restatements", params={"cause": "correction", "billing_account": "A"}).json()["items"]
    assert by_cause == [correction]


@pytest.mark.usefixtures("road")
def test_cost_that_only_moved_between_projects_is_a_restatement(
    database_url: str, export: Export, road: Road, api_over: Callable[..., httpx.Client]
) -> None:
    """The day's total stands, a project's figure does not: its readers are told all the same."""
    api = api_over(database_url)
    export.write(
        "2026-08-02",
        [
            charge(11, start="2026-08-01T20:00", project="moved"),
            charge(3, start="2026-08-01T20:00", project="data", service="BigQuery"),
            charge(1, start="2026-08-01T21:00", project="data", account="B", currency="EUR"),
        ],
    )
    road.walk()

    [moved] = api.get("/v1/restatements").json()["items"]

    assert (moved["usage_day"], moved["billing_account_id"]) == ("2026-08-01", "A")
    assert moved["billed_cost_before"] == moved["billed_cost_after"] == "14"


@pytest.mark.parametrize(
    ("question", "status", "problem"),
    [
        ({"as_of": "2020-01-01T00:00:00Z"}, 422, "NothingServedThen"),
        ({"as_of": "2026-08-10"}, 422, "BadParameter"),
        ({"as_of": "2026-08-10T00:00:00"}, 422, "BadParameter"),
    ],
)
@pytest.mark.usefixtures("road")
def test_a_moment_is_asked_with_its_time_zone(
    question: dict[str, Any], status: int, problem: str, database_url: str, api_over: Callable[..., httpx.Client]
) -> None:
    """Nine in the morning is nine hours apart between two readers; before the first build there is no answer."""
    answer = api_over(database_url).get("/v1/costs", params=QUESTIONS[0] | question)

    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (status, problem)


def test_a_row_that_stands_keeps_its_moment(export: Export, road: Road, database_url: str) -> None:
    """Only rows that changed go into the history: a day restated ten times does not keep ten copies of all of it."""
    with connect_to(database_url, autocommit=True) as connection:
        before: dict[str, int] = dict(connection.execute(
            "select service_name, from_version from finops.aggregated_cost_data "
            "where usage_day = '2026-08-02' and billing_account_id = 'A'"
        ).fetchall())  # fmt: skip
        correct(export, road, round_=0)
        after: dict[str, int] = dict(connection.execute(
            "select service_name, from_version from finops.aggregated_cost_data "
            "where usage_day = '2026-08-02' and billing_account_id = 'A'"
        ).fetchall())  # fmt: skip
        history = connection.execute(
            "select service_name, billed_cost, until_version > from_version from finops.superseded_cost_data "
            "where usage_day = '2026-08-02'"
        ).fetchall()

    assert after["BigQuery"] == before["BigQuery"]
    assert after["Compute Engine"] > before["Compute Engine"]
    assert history == [("Compute Engine", 12, True)]


def test_the_days_complete_then_are_those_of_then(
    export: Export, road: Road, database_url: str, api_over: Callable[..., httpx.Client]
) -> None:
    """Totals as of then stop where they stopped then, however much is complete today."""
    api = api_over(database_url)
    then, answer = moment_between(), ask(api, {"window": "mtd"})
    for day in range(8, 12):
        export.write(f"2026-08-{day + 1:02}", [charge(7, start=f"2026-08-{day:02}T20:00")])
    road.walk()

    assert ask(api, {"window": "mtd"})["meta"]["complete_through"] > answer["meta"]["complete_through"]
    assert figures(ask(api, {"window": "mtd"}, then)) == figures(answer)
    assert date.fromisoformat(answer["meta"]["complete_through"]) == date(2026, 8, 8) - timedelta(days=2)
