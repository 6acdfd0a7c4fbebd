"""Up to which day the numbers are complete: the one date every total and every chart stands on."""

from collections.abc import Callable
from datetime import date

import psycopg
import pytest

from finops_warehouse.freshness import complete_through

Put = Callable[..., None]


def test_an_empty_warehouse_is_complete_through_no_day(connection: psycopg.Connection) -> None:
    """None, and not some day long ago."""
    assert complete_through(connection) is None


def test_loaded_and_not_built_is_not_complete(connection: psycopg.Connection, usage_day: Put, export_day: Put) -> None:
    """The charges are there and no table has them yet: a chart would show nothing for that day."""
    export_day("2026-10-10")
    usage_day("2026-10-01")

    assert complete_through(connection) is None


@pytest.mark.parametrize(
    ("last_export_day", "expected"),
    [("2026-10-05", "2026-10-03"), ("2026-10-06", "2026-10-04"), ("2026-10-20", "2026-10-04")],
    ids=["two days are waited for", "the day arrives", "not beyond the last usage day"],
)
def test_a_day_is_complete_two_export_days_later(
    connection: psycopg.Connection, usage_day: Put, export_day: Put, last_export_day: str, expected: str
) -> None:
    """Google delivers within a day and sometimes later: yesterday's sum is not yet yesterday's cost."""
    for day in ("2026-10-02", "2026-10-03", "2026-10-04"):
        usage_day(day, built=1)
    export_day(last_export_day)

    assert complete_through(connection) == date.fromisoformat(expected)


def test_a_day_that_was_never_built_ends_the_run_of_complete_days(
    connection: psycopg.Connection, usage_day: Put, export_day: Put
) -> None:
    """What follows it may be right; a total over it is not."""
    usage_day("2026-10-02", built=1)
    usage_day("2026-10-03")
    usage_day("2026-10-04", built=1)
    export_day("2026-10-20")

    assert complete_through(connection) == date(2026, 10, 2)


def test_a_day_that_is_being_restated_ends_nothing(
    connection: psycopg.Connection, usage_day: Put, export_day: Put
) -> None:
    """One late correction must not take six weeks out of everybody's totals until its day is built again."""
    usage_day("2026-10-02", built=1)
    usage_day("2026-10-03", source_version=2, built=1)
    usage_day("2026-10-04", built=1)
    export_day("2026-10-20")

    assert complete_through(connection) == date(2026, 10, 4)


def test_an_export_day_without_rows_is_no_sign_of_arrival(
    connection: psycopg.Connection, usage_day: Put, export_day: Put
) -> None:
    """An empty shard written ahead of the data must not make unfinished days complete."""
    for day in ("2026-10-02", "2026-10-03", "2026-10-04"):
        usage_day(day, built=1)
    export_day("2026-10-05")
    export_day("2026-10-06", rows=0)

    assert complete_through(connection) == date(2026, 10, 3)
