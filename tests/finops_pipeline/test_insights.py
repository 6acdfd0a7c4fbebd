"""Anomalies, forecasts, their back-test and savings as tables: built from complete days, followed when costs move."""

import shutil
import uuid
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from helpers.insights import THOUGHT_OF_COSTS, think, think_about_what_is_behind
from helpers.road import Export, Road, Row, charge
from psycopg import sql
from sqlalchemy import make_url

from finops_insights.facts import Fact, FromCell
from finops_pipeline.insight_days import replace_day
from finops_pipeline.proving import prove
from finops_warehouse import ledger
from finops_warehouse.cells import cell_charges, cell_value
from finops_warehouse.database import connect_to, init_db
from finops_warehouse.freshness import complete_through
from finops_warehouse.settings import Settings

FIRST = date(2026, 6, 1)
DAYS = 75
SPIKE = date(2026, 8, 5)


def a_day(day: date, cost: float = 100.0) -> list[Row]:
    """A day of two projects: exported the next morning."""
    used = f"{day}T20:00"
    exported = f"{day + timedelta(days=1)}T03:00"
    weekend = 0.6 if day.weekday() >= 5 else 1.0
    return [
        charge(cost * weekend, start=used, exported=exported, project="shop"),
        charge(3.0, start=used, exported=exported, project="shop", sku="Static Ip Charge", service="Networking"),
        charge(50.0 * weekend, start=used, exported=exported, project="data", service="BigQuery", sku="Analysis"),
    ]


def eleven_weeks(spike: float = 100.0) -> list[Row]:
    """The days of the export; one of them may cost what it should not."""
    days = [FIRST + timedelta(days=i) for i in range(DAYS)]
    return [row for i, day in enumerate(days) for row in a_day(day, spike if day == SPIKE else 100.0 + i % 5)]


@pytest.fixture(scope="module")
def once(server: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Eleven weeks with one spike, all tables built and thought about: the database's name, and the export."""
    name = f"thought_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as maker:
        maker.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    dsn = make_url(server).set(database=name).render_as_string(hide_password=False)
    init_db(Settings(database_url=dsn))
    export = Export(tmp_path_factory.mktemp("eleven-weeks") / "export")
    export.write_by_export_time(eleven_weeks(spike=400.0))
    with connect_to(dsn, autocommit=True) as connection:
        Road(connection, export.folder).walk()
        think_about_what_is_behind(connection)
    return name, export.folder


@pytest.fixture
def built(server: str, once: tuple[str, Path], tmp_path: Path) -> Iterator[tuple[Export, Road]]:
    """A copy of it for one test, to do to it what it wants."""
    template, folder = once
    shutil.copytree(folder, tmp_path / "export")
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as maker:
        make = sql.SQL("create database {} template {}")
        maker.execute(make.format(sql.Identifier(name), sql.Identifier(template)))
        dsn = make_url(server).set(database=name).render_as_string(hide_password=False)
        with connect_to(dsn, autocommit=True) as connection:
            yield Export(tmp_path / "export"), Road(connection, tmp_path / "export")
        maker.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def contents(road: Road, tables: Sequence[str]) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of tables of insights."""
    return dict(road.contents(tables))


ALL_TABLES = ["cost_anomalies", "cost_forecasts", "cost_forecast_days", "forecast_accuracy", "savings_recommendations"]


def test_the_spike_is_an_anomaly_with_its_amounts_and_its_cause(built: tuple[Export, Road]) -> None:
    """What it cost is exact, what was expected is told to the cent, and the SKU is named."""
    _, road = built
    rows = road.connection.execute(
        "select usage_day, scope, sub_account_id, service_name, direction, actual_cost, expected_cost, excess_cost, "
        "event_excess_cost, start_day from finops.cost_anomalies where scope = 'project_service'"
    ).fetchall()

    [(day, _, project, service, direction, actual, expected, excess, event, start)] = rows
    assert (day, project, service, direction, start) == (SPIKE, "shop", "Compute Engine", "up", SPIKE)
    assert actual == Decimal(400)
    assert excess == actual - expected == event
    assert Decimal(95) < expected < Decimal(110)


def test_unfinished_days_are_in_nothing(built: tuple[Export, Road]) -> None:
    """A half-arrived day looks like a fall, would bend a fit, and is in no table."""
    _, road = built
    complete = complete_through(road.connection)

    assert complete is not None
    for table, column in (("cost_anomalies", "usage_day"), ("cost_forecasts", "as_of_day")):
        [(last,)] = road.connection.execute(f"select max({column}) from finops.{table}").fetchall()
        assert last <= complete
    assert (
        think(road.connection, "cost_anomalies", [complete + timedelta(days=1)])[
            complete + timedelta(days=1)
        ].source_version
        == 0
    )


def test_a_day_alone_is_as_it_was_in_its_range(built: tuple[Export, Road]) -> None:
    """A backfill of one day, in any order, gives what the range gave."""
    _, road = built
    before = contents(road, ALL_TABLES)
    for asset in THOUGHT_OF_COSTS:
        for day in (date(2026, 8, 6), date(2026, 7, 3), SPIKE):
            assert not think(road.connection, asset, [day])[day].changed, (asset, day)

    assert contents(road, ALL_TABLES) == before


def test_nothing_is_behind_once_everything_was_thought_about(built: tuple[Export, Road]) -> None:
    """Or the sensor would ask for ever."""
    _, road = built

    assert ledger.behind_insights(road.connection, complete_through(road.connection)) == []
    assert think_about_what_is_behind(road.connection) == {}


def test_a_correction_reaches_the_anomaly_it_takes_away(built: tuple[Export, Road]) -> None:
    """Google takes back what was billed in error: the spike was none, and no table may go on telling of it."""
    export, road = built
    export.write(
        "2026-08-20",
        [charge(-300.0, start=f"{SPIKE}T20:00", exported="2026-08-20T03:00", project="shop", cost_type="regular")],
    )
    road.walk()
    rebuilt = think_about_what_is_behind(road.connection)

    assert SPIKE in rebuilt["cost_anomalies"]
    assert not any(day < SPIKE - timedelta(days=14) for day in rebuilt["cost_anomalies"]), "those days never saw it"
    assert road.connection.execute("select * from finops.cost_anomalies where usage_day = %s", [SPIKE]).fetchall() == []


def test_an_old_forecast_is_a_record(built: tuple[Export, Road]) -> None:
    """What was forecast then stays what was forecast then; only the newest follows a correction."""
    export, road = built
    newest = complete_through(road.connection)
    before: dict[date, Decimal] = dict(
        road.connection.execute("select as_of_day, sum(expected_cost) from finops.cost_forecasts group by 1").fetchall()
    )
    export.write("2026-08-14", [*a_day(date(2026, 8, 13)), *a_day(date(2026, 7, 1), cost=5000.0)])
    road.walk()
    rebuilt = think_about_what_is_behind(road.connection)
    after: dict[date, Decimal] = dict(
        road.connection.execute("select as_of_day, sum(expected_cost) from finops.cost_forecasts group by 1").fetchall()
    )

    assert rebuilt["cost_forecasts"] == [newest]
    assert {day for day in before if before[day] != after[day]} <= {newest}


def test_a_forecast_says_what_is_billed_and_what_is_to_come(built: tuple[Export, Road]) -> None:
    """Month to date is exact; the rest lies in its interval; projects and services are there beside the total."""
    _, road = built
    as_of = date(2026, 8, 10)
    rows = road.connection.execute(
        "select scope, member, actual_to_date, expected_cost, low_95, low_80, high_80, high_95, start_day, end_day "
        "from finops.cost_forecasts where as_of_day = %s and period = 'month_end'",
        [as_of],
    ).fetchall()
    [(billed,)] = road.connection.execute(
        "select sum(billed_cost) from finops.aggregated_cost_data where usage_day between '2026-08-01' and %s", [as_of]
    ).fetchall()

    by_scope = {(scope, member): rest for scope, member, *rest in rows}
    assert {scope for scope, _ in by_scope} == {"total", "billing_account", "project", "service"}
    to_date, expected, low_95, low_80, high_80, high_95, start, end = by_scope["total", "all"]
    assert to_date == billed
    assert (start, end) == (date(2026, 8, 1), date(2026, 9, 1))
    assert to_date < low_95 <= low_80 <= expected <= high_80 <= high_95


def test_the_back_test_compares_what_was_published_with_what_came(built: tuple[Export, Road]) -> None:
    """Added up by hand from the daily forecasts and the costs, for one as-of day."""
    _, road = built
    as_of = date(2026, 7, 20)
    days = road.connection.execute(
        "select usage_day, expected_cost, low_95, high_95 from finops.cost_forecast_days "
        "where as_of_day = %s and scope = 'total' and usage_day <= %s::date + 7",
        [as_of, as_of],
    ).fetchall()
    costs: dict[date, Decimal] = dict(
        road.connection.execute(
            "select usage_day, sum(billed_cost) from finops.aggregated_cost_data group by 1"
        ).fetchall()
    )
    [(points, error, within)] = road.connection.execute(
        "select points, absolute_error, within_95 from finops.forecast_accuracy "
        "where as_of_day = %s and scope = 'total' and horizon_days = '1-7'",
        [as_of],
    ).fetchall()

    assert points == len(days) == 7
    assert error == sum(abs(expected - costs[day]) for day, expected, _, _ in days)
    assert within == sum(low - Decimal("0.005") <= costs[day] <= high + Decimal("0.005") for day, _, low, high in days)


def test_a_recommendation_stands_on_charges_that_add_up(built: tuple[Export, Road]) -> None:
    """The unattached address: its evidence is a cell, the cell its charges, and the saving no more than both."""
    _, road = built
    [(evidence, low, high, first_seen)] = road.connection.execute(
        "select evidence, monthly_saving_low, monthly_saving_high, first_seen from finops.savings_recommendations "
        "where rule_id = 'idle-address' order by as_of_day desc limit 1"
    ).fetchall()
    fact = Fact.model_validate(evidence[0])
    assert isinstance(fact.source, FromCell)
    cell = fact.source.cell
    [(served,)] = road.connection.execute(*cell_value(cell)).fetchall()
    [(charged, rows)] = road.connection.execute(cell_charges(cell, sql.SQL("sum(billed_cost), count(*)"))).fetchall()

    assert fact.value == served == charged == Decimal(90)
    assert rows == 30
    assert low == high == Decimal(90)
    assert first_seen == FIRST + timedelta(days=29)


def test_a_day_that_fails_leaves_the_table_as_it_was(built: tuple[Export, Road]) -> None:
    """A row that no table can hold: nothing of the day is written, and its stamp does not move."""
    _, road = built
    before = contents(road, ["cost_anomalies", "materialisation"])
    row = dict(zip(_columns(road, "cost_anomalies"), before["cost_anomalies"][0], strict=True)) | {"scope": None}
    with pytest.raises(psycopg.errors.NotNullViolation):
        replace_day(
            road.connection,
            "cost_anomalies",
            row["usage_day"],
            {"cost_anomalies": [row]},
            source_version=99,
            run_id="t",
        )

    assert contents(road, ["cost_anomalies", "materialisation"]) == before


def _columns(road: Road, table: str) -> list[str]:
    cursor = road.connection.execute(f"select * from finops.{table} limit 0")
    return [column.name for column in cursor.description or []]


def test_rows_that_occur_twice_are_charges_and_no_anomaly(connection: psycopg.Connection, tmp_path: Path) -> None:
    """They are in every total; that a day's rows came twice is another finding than that the day was busy."""
    export = Export(tmp_path / "export")
    rows = eleven_weeks()
    twice = [row for row in rows if row["usage_start_time"].date() == SPIKE and row["project"]["id"] == "shop"]
    export.write_by_export_time([*rows, *twice])
    road = Road(connection, export.folder)
    road.walk()
    think_about_what_is_behind(connection)
    [(billed, repeated)] = connection.execute(
        "select sum(billed_cost), sum(repeated_cost) from finops.cost_by_project_service_daily "
        "where usage_day = %s and sub_account_id = 'shop'",
        [SPIKE],
    ).fetchall()

    assert billed == 2 * repeated > 0
    assert connection.execute("select * from finops.cost_anomalies").fetchall() == []
    [(saving,)] = connection.execute(
        "select monthly_saving_high from finops.savings_recommendations where rule_id = 'repeated-charges' "
        "and as_of_day = %s",
        [SPIKE],
    ).fetchall()
    assert saving == repeated


ANOTHER_FIGURE = """
    facts = jsonb_set(facts, array[
        (select min(name) from jsonb_object_keys(facts) as name where facts -> name -> 'value' <> 'null'), 'value'
    ], '"12345.67"')
"""
A_DIGIT = """template = jsonb_set(template, '{headline}', '"Costs rose by 7 percent"')"""


@pytest.mark.parametrize(
    ("spoil", "said"),
    [(ANOTHER_FIGURE, "texts = facts"), (A_DIGIT, "texts say only facts")],
    ids=["a figure", "a digit"],
)
def test_verify_finds_a_text_that_is_not_its_facts(built: tuple[Export, Road], spoil: str, said: str) -> None:
    """Whoever changed it, in the database itself: `finops verify` computes every figure again."""
    _, road = built
    sound = prove(road.connection, road.source, "America/Los_Angeles")
    road.connection.execute(
        f"update finops.llm_insights set {spoil} where ctid = (select min(ctid) from finops.llm_insights)"
    )
    spoilt = prove(road.connection, road.source, "America/Los_Angeles")

    assert (sound.holds, sound.insights > 50) == (True, True)
    assert not spoilt.holds
    assert {difference.identity for difference in spoilt.differences} == {said}
