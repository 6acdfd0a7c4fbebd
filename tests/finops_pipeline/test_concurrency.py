"""Many writers and many readers at once: no reader ever sees a part of a day, and the end is right."""

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from helpers.proofs import count
from helpers.road import Export, Road, Row, charge

from finops_pipeline.assets.sql_assets import daily_inputs
from finops_pipeline.rebuilding import rebuild_usage_day
from finops_warehouse import ledger
from finops_warehouse.database import connect_to
from finops_warehouse.sql_models import postgres_models

WRITERS, READERS = 8, 3
DAYS = range(1, 6)
STATES: dict[str, tuple[int, str]] = {"many": (40, "2.5"), "few": (5, "31")}
"""How many charges of which cost an export day holds for its usage day, in either state."""
ALLOWED = {Decimal(100), Decimal(155)}

MODELS = {model.table: model for model in postgres_models()}
DAILY = sorted(daily_inputs(), key=lambda table: daily_inputs()[table] is not None)


def rows_of(state: str, day: int) -> list[Row]:
    """What the export day after `day` holds."""
    charges, cost = STATES[state]
    return [
        charge(float(cost), start=f"2026-08-{day:02}T20:00", project=f"p{number % 7}", sku=f"{number}")
        for number in range(charges)
    ]


@pytest.fixture
def exports(tmp_path: Path) -> dict[str, Export]:
    """The same export in both states, and days in between that one holds and the other does not."""
    found = {state: Export(tmp_path / state) for state in STATES}
    for state, export in found.items():
        for day in DAYS:
            export.write(f"2026-08-{day + 1:02}", rows_of(state, day))
    return found


def test_writers_and_readers_at_once(connection: psycopg.Connection, exports: dict[str, Export]) -> None:
    """Eight writers load and rebuild overlapping days, back and forth; readers hold snapshots over all of it."""
    dsn = f"{connection.info.dsn} password={connection.info.password}"
    Road(connection, exports["many"].folder).walk()
    failures: list[BaseException] = []
    looks = [0] * READERS
    done = threading.Event()

    def guarded(work: Callable[[psycopg.Connection, int], None]) -> Callable[[int], None]:
        def run(number: int) -> None:
            try:
                with connect_to(dsn, autocommit=True) as mine:
                    work(mine, number)
            except BaseException as error:  # noqa: BLE001 -- told by the main thread
                failures.append(error)

        return run

    def write(mine: psycopg.Connection, number: int) -> None:
        chance = random.Random(number)
        for _ in range(count(12, 60)):
            first = chance.choice(DAYS)
            road = Road(mine, exports[chance.choice(sorted(STATES))].folder)
            for day in range(first, min(first + 3, DAYS[-1] + 1)):
                road.load(f"2026-08-{day + 1:02}")
                for table in DAILY:
                    rebuild_usage_day(mine, MODELS[table], date(2026, 8, day), run_id="test")

    def read(mine: psycopg.Connection, number: int) -> None:
        while not done.is_set():
            with mine.transaction():
                mine.execute("set transaction isolation level repeatable read")
                first = totals(mine)
                assert set(first.values()) <= ALLOWED, first
                assert set(first) == {date(2026, 8, day) for day in DAYS}
                by_service = totals(mine, "cost_by_service_daily")
                assert set(by_service.values()) <= ALLOWED, by_service
                time.sleep(0.05)
                assert totals(mine) == first  # a snapshot stays one, whoever writes meanwhile
            moment = datetime.now(UTC)
            time.sleep(0.01)
            seen = as_of(mine, moment)
            assert set(seen.values()) <= ALLOWED, seen
            time.sleep(0.05)
            assert as_of(mine, moment) == seen  # and so does what was served at a moment
            looks[number] += 1

    writers = [threading.Thread(target=guarded(write), args=[number]) for number in range(WRITERS)]
    readers = [threading.Thread(target=guarded(read), args=[number]) for number in range(READERS)]
    for thread in (*writers, *readers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()

    assert failures == []
    assert all(looks)
    road = Road(connection, exports["few"].folder)
    for day in DAYS:
        road.load(f"2026-08-{day + 1:02}")
    road.rebuild_behind()
    assert totals(connection) == {date(2026, 8, day): Decimal(155) for day in DAYS}
    assert totals(connection, "cost_by_service_daily") == totals(connection)
    assert ledger.behind(connection, daily_inputs(), ["invoice_months"]) == []


def totals(connection: psycopg.Connection, table: str = "aggregated_cost_data") -> dict[date, Decimal]:
    """What each usage day costs."""
    rows: list[tuple[Any, ...]] = connection.execute(
        f"select usage_day, sum(billed_cost) from finops.{table} group by 1"
    ).fetchall()
    return dict(rows)


def as_of(connection: psycopg.Connection, moment: datetime) -> dict[date, Decimal]:
    """What each usage day cost a reader at a moment."""
    connection.execute(ledger.SETTLED)
    rows: list[tuple[Any, ...]] = connection.execute(
        """
        with served as (
            select partition_key::date as usage_day, max(version) as version from finops.materialisation_log
            where asset = 'aggregated_cost_data' and materialised_at <= %(moment)s group by 1
        )
        select usage_day, sum(billed_cost) from (
            select usage_day, billed_cost, version from finops.aggregated_cost_data join served using (usage_day)
            where from_version <= version
            union all
            select usage_day, billed_cost, version from finops.superseded_cost_data join served using (usage_day)
            where from_version <= version and until_version > version
        ) as seen group by 1
        """,
        {"moment": moment},
    ).fetchall()
    return dict(rows)
