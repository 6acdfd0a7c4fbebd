"""How final a day is, learned from how past days became final: curves, complete-through, and estimates that hold."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from helpers.insights import think
from helpers.road import Export, Road, Row, charge

from finops_insights.nowcast import Shares, nowcast
from finops_pipeline.insight_days import replace_day
from finops_pipeline.sample_export import write_sample_export
from finops_pipeline.thoughts import WhenComplete, reader
from finops_warehouse.freshness import ACCOUNTS, complete_through

FIRST = date(2026, 8, 1)
DAYS = 80
LEARNED = WhenComplete()


def slow(day: int) -> list[Row]:
    """A day of an account whose BigQuery arrives three export days later, and of one that is there at once."""
    usage = FIRST + timedelta(days=day)
    start = f"{usage}T20:00"
    return [
        charge(60, start=start, exported=f"{usage + timedelta(days=1)}T12:00"),
        charge(40, start=start, exported=f"{usage + timedelta(days=3)}T12:00", service="BigQuery"),
        charge(100, start=start, exported=f"{usage + timedelta(days=1)}T12:00", account="B", currency="EUR"),
    ]


@pytest.fixture
def road(connection: psycopg.Connection, export: Export) -> Road:
    """Eighty days of the two accounts, the last export day as far as it got."""
    rows = [row for day in range(DAYS) for row in slow(day)]
    last = FIRST + timedelta(days=DAYS)
    export.write_by_export_time([row for row in rows if row["export_time"].date() <= last])
    road = Road(connection, export.folder)
    road.walk()
    return road


def learn(road: Road, wanted: WhenComplete = LEARNED) -> None:
    """Learn as of the last complete day."""
    day = complete_through(road.connection)
    assert day is not None
    rows, version = reader("cost_maturity", road.connection, complete=wanted)(day)
    replace_day(road.connection, "cost_maturity", day, rows, source_version=version, run_id="test")


def learned(road: Road) -> dict[str, tuple[int, int]]:
    """After how many days each account is complete, and from how many days that was learned."""
    rows = road.connection.execute(ACCOUNTS).fetchall()
    return {account: (after, days) for account, after, days, *_ in rows}


def test_complete_through_follows_what_each_account_needs(road: Road) -> None:
    """Two days are assumed; the slow account needs three. Another account's readers do not wait for it."""
    last = FIRST + timedelta(days=DAYS)
    assert complete_through(road.connection) == last - timedelta(days=2)

    learn(road)

    assert {account: after for account, (after, _) in learned(road).items()} == {"A": 3, "B": 2}
    assert complete_through(road.connection) == last - timedelta(days=3)


def test_a_deployment_can_say_it_itself(road: Road) -> None:
    """COMPLETE_AFTER_DAYS is taken as it is, and says that nothing was learned."""
    learn(road, WhenComplete(after_days=5))

    assert learned(road) == {"A": (5, 0), "B": (5, 0)}
    assert complete_through(road.connection) == FIRST + timedelta(days=DAYS - 5)


def test_a_share_that_is_enough_ends_the_waiting(road: Road) -> None:
    """Who is content with half of the cost has it after the two days that are never undercut."""
    learn(road, WhenComplete(share=Decimal("0.5")))

    assert learned(road)["A"][0] == 2


def test_a_short_past_teaches_nothing(connection: psycopg.Connection, export: Export) -> None:
    """Forty days hold ten that are old enough: two days are assumed, as before, and said to be."""
    export.write_by_export_time([row for day in range(40) for row in slow(day)])
    road = Road(connection, export.folder)
    road.walk()

    learn(road)

    assert learned(road) == {"A": (2, 0), "B": (2, 0)}


def test_a_curve_says_what_was_known_when(road: Road) -> None:
    """Exported at noon UTC of the day after: 5 hours after the Pacific day's end; BigQuery 53 hours after it."""
    learn(road)

    curve: dict[int, Decimal] = dict(
        road.connection.execute(
            "select age_hours, known_share from finops.cost_maturity "
            "where billing_account_id = 'A' and service_name = '(all)'"
        ).fetchall()
    )
    assert [curve[age] for age in (0, 6, 48, 72)] == [0, Decimal("0.6"), Decimal("0.6"), 1]


def test_a_record_of_what_was_learned_is_kept(road: Road) -> None:
    """What was learned as of a day is not learned otherwise because the day is looked at again."""
    learn(road)
    before = road.connection.execute("select * from finops.account_completeness order by 1, 2").fetchall()

    think(road.connection, "cost_maturity", [before[0][0]])

    assert road.connection.execute("select * from finops.account_completeness order by 1, 2").fetchall() == before


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample export whose last days the estimates are tried on."""
    folder = tmp_path_factory.mktemp("history")
    sample = write_sample_export(folder, days=100, rows_per_day=500, seed=31, last_export_day=date(2026, 11, 20))
    return sample.table_dir


KNOWN_AND_FINAL = """
    with arrivals as (
        select billing_account_id, billed_cost, extract(
            epoch from last_export_time - ((usage_day + 1)::timestamp at time zone 'America/Los_Angeles')
        ) / 3600 as age_hours
        from finops.usage_day_arrivals where usage_day = %(day)s and cost_type = 'regular'
    )
    select billing_account_id, ages.age_hours,
        coalesce(sum(billed_cost) filter (where arrivals.age_hours <= ages.age_hours), 0), sum(billed_cost)
    from arrivals cross join unnest(%(ages)s::int[]) as ages (age_hours) group by 1, 2
"""


def test_most_days_end_in_their_interval(history: Path, connection: psycopg.Connection) -> None:
    """Learned on the days before, tried on 24 later days 3 to 24 hours after their end: better than what is known.

    Ends that two accounts share are few, and nine of ten is a rate: 45 to 58 past days cannot promise it of 24 others.
    """
    Road(connection, history).walk()
    tried, held, off, known_off = 0, 0, Decimal(0), Decimal(0)
    for back in range(12, 36):
        day = date(2026, 11, 20) - timedelta(days=back)
        rows, _ = reader("cost_maturity", connection)(day)
        curves = {
            (c["billing_account_id"], c["age_hours"]): Shares(
                c["days_learned_from"], c["known_share"], c["known_share_low"], c["known_share_high"]
            )
            for c in rows["cost_maturity"]
            if c["service_name"] == "(all)"
        }
        ages = {"day": day, "ages": [3, 9, 15, 24]}
        for account, age, known, final in connection.execute(KNOWN_AND_FINAL, ages).fetchall():
            estimate = nowcast(known, curves.get((account, age)))
            if estimate is not None:
                tried += 1
                held += estimate.low <= final <= estimate.high
                off += abs(estimate.expected_cost - final)
                known_off += abs(known - final)
    assert tried >= 100
    assert held / tried >= 0.8
    assert off < known_off / 2
