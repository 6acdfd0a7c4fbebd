"""What is due, and what is left alone: the one place that decides what gets rebuilt."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from threading import Thread

import psycopg
import pytest

from finops_warehouse import ledger
from finops_warehouse.database import connect
from finops_warehouse.errors import BadValue, SecondExport
from finops_warehouse.ledger import Due
from finops_warehouse.settings import Settings

PACIFIC = "America/Los_Angeles"

FACTS = {"aggregated_cost_data": None}
WITH_ROLLUP = {**FACTS, "cost_by_service_daily": "aggregated_cost_data"}

Put = Callable[..., None]


def keys(due: list[Due]) -> list[tuple[str, str]]:
    """What is due, as pairs."""
    return [(item.asset, item.partition_key) for item in due]


def test_a_day_is_behind_until_it_is_built_from_all_its_charges(connection: psycopg.Connection, usage_day: Put) -> None:
    """Never built, built from less, built from all: only the last is done."""
    usage_day("2026-10-01")
    usage_day("2026-10-02", source_version=3, built=2)
    usage_day("2026-10-03", source_version=3, built=3)

    assert keys(ledger.behind(connection, FACTS, [])) == [
        ("aggregated_cost_data", "2026-10-01"),
        ("aggregated_cost_data", "2026-10-02"),
    ]


def test_a_rollup_follows_its_facts_and_not_the_charges(connection: psycopg.Connection, usage_day: Put) -> None:
    """While the facts of a day are behind, a rollup of them would be built from what is about to change."""
    usage_day("2026-10-01")
    assert keys(ledger.behind(connection, WITH_ROLLUP, [])) == [("aggregated_cost_data", "2026-10-01")]

    ledger.materialised(connection, "aggregated_cost_data", "2026-10-01", 1, 10, "run")
    assert keys(ledger.behind(connection, WITH_ROLLUP, [])) == [("cost_by_service_daily", "2026-10-01")]

    ledger.materialised(connection, "cost_by_service_daily", "2026-10-01", 1, 10, "run")
    assert ledger.behind(connection, WITH_ROLLUP, []) == []


def test_an_invoice_month_is_behind_when_its_facts_moved(connection: psycopg.Connection) -> None:
    """Two touches are two versions, and one build after both is enough."""
    ledger.touch_invoice_months(connection, ["202609", "202610", "202609"])
    ledger.touch_invoice_months(connection, ["202610"])

    assert keys(ledger.behind(connection, {}, ["invoice_months"])) == [
        ("invoice_months", "202609"),
        ("invoice_months", "202610"),
    ]
    ledger.materialised(connection, "invoice_months", "202610", 1, 1, "run")
    assert ("invoice_months", "202610") in keys(ledger.behind(connection, {}, ["invoice_months"]))
    ledger.materialised(connection, "invoice_months", "202610", 2, 1, "run")
    assert keys(ledger.behind(connection, {}, ["invoice_months"])) == [("invoice_months", "202609")]


def fail(connection: psycopg.Connection, times: int, day: str = "2026-10-01") -> None:
    """Let the facts of a day fail."""
    for _ in range(times):
        ledger.note_failure(connection, "aggregated_cost_data", day, BadValue("a cost that is no number"))


def waits(connection: psycopg.Connection) -> float:
    """Seconds from the last failure to the next attempt."""
    [(seconds,)] = connection.execute(
        "select round(extract(epoch from next_attempt_at - now()) / 10) * 10 from finops.build_attempts"
    ).fetchall()
    return float(seconds)


def test_each_failure_waits_twice_as_long_and_the_fifth_parks(connection: psycopg.Connection, usage_day: Put) -> None:
    """A bad row is not retried all night; a database that restarts is retried within a minute."""
    usage_day("2026-10-01")
    waited = []
    for attempt in range(1, 6):
        fail(connection, 1)
        waited.append(waits(connection))
        [failed] = ledger.failed_builds(connection)
        assert (failed.attempts, failed.parked) == (attempt, attempt == 5)

    assert waited == [60, 120, 240, 480, 960]
    assert failed.last_error == "BadValue: a cost that is no number"


def test_what_waits_or_is_parked_is_not_due(connection: psycopg.Connection, usage_day: Put) -> None:
    """Or the sensor would ask for the poisoned day at every tick."""
    for day in ("2026-10-01", "2026-10-02", "2026-10-03"):
        usage_day(day)
    fail(connection, 1, "2026-10-01")
    fail(connection, 5, "2026-10-02")
    assert keys(ledger.behind(connection, FACTS, [])) == [("aggregated_cost_data", "2026-10-03")]

    connection.execute("update finops.build_attempts set next_attempt_at = now() - interval '1 second'")

    assert keys(ledger.behind(connection, FACTS, [])) == [
        ("aggregated_cost_data", "2026-10-01"),
        ("aggregated_cost_data", "2026-10-03"),
    ]


def test_a_build_that_succeeds_clears_its_failures(connection: psycopg.Connection, usage_day: Put) -> None:
    """Repaired and rebuilt by hand, a parked day is a day like any other: its next failure is its first."""
    usage_day("2026-10-01")
    fail(connection, 5)
    ledger.materialised(connection, "aggregated_cost_data", "2026-10-01", 1, 10, "run")
    assert ledger.failed_builds(connection) == []

    fail(connection, 1)
    [failed] = ledger.failed_builds(connection)
    assert (failed.attempts, failed.parked) == (1, False)


def test_a_parked_day_stays_parked_when_it_fails_again(connection: psycopg.Connection, usage_day: Put) -> None:
    """Somebody tried it by hand and it is still bad: the moment it was parked does not move."""
    usage_day("2026-10-01")
    fail(connection, 5)
    parked = connection.execute("select parked_at from finops.build_attempts").fetchone()
    fail(connection, 1)

    assert connection.execute("select parked_at from finops.build_attempts").fetchone() == parked


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (psycopg.OperationalError("server closed the connection unexpectedly"), False),
        (psycopg.errors.AdminShutdown("terminating connection"), False),
        (psycopg.errors.DiskFull("no space left"), False),
        (psycopg.errors.QueryCanceled("canceling statement due to statement timeout"), True),
        (psycopg.errors.NumericValueOutOfRange("numeric field overflow"), True),
        (ValueError("anything else"), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_database_that_is_down_counts_against_no_day(
    connection: psycopg.Connection, error: Exception, counts: bool
) -> None:
    """An hour's outage must not park every day that was due in it."""
    ledger.note_failure(connection, "raw_charges", "2026-10-01", error)

    assert bool(ledger.failed_builds(connection)) is counts


def test_a_long_error_is_cut(connection: psycopg.Connection) -> None:
    """`finops status` shows it; a megabyte of it helps nobody."""
    ledger.note_failure(connection, "raw_charges", "2026-10-01", ValueError("x" * 100_000))

    [failed] = ledger.failed_builds(connection)
    assert len(failed.last_error) == 2000


def test_an_export_day_is_changed_when_its_fingerprint_is_another(
    connection: psycopg.Connection, export_day: Put
) -> None:
    """New, other, the same: the first two are loaded."""
    export_day("2026-10-01")
    export_day("2026-10-02")
    held = {date(2026, 10, 3): "new", date(2026, 10, 2): "other", date(2026, 10, 1): "as loaded"}

    assert ledger.changed_export_days(connection, held, PACIFIC, "row") == [date(2026, 10, 2), date(2026, 10, 3)]


def test_an_export_day_that_cannot_be_loaded_is_not_asked_for_at_every_tick(connection: psycopg.Connection) -> None:
    """The same patience as for usage days; `finops backfill` loads it whenever somebody says so."""
    day = date(2026, 10, 1)
    ledger.note_failure(connection, "raw_charges", day.isoformat(), BadValue("truncated"))
    assert ledger.changed_export_days(connection, {day: "new"}, PACIFIC, "row") == []

    connection.execute("update finops.build_attempts set next_attempt_at = now() - interval '1 second'")
    assert ledger.changed_export_days(connection, {day: "new"}, PACIFIC, "row") == [day]

    for _ in range(4):
        ledger.note_failure(connection, "raw_charges", day.isoformat(), BadValue("truncated"))
    connection.execute("update finops.build_attempts set next_attempt_at = now() - interval '1 second'")
    assert ledger.changed_export_days(connection, {day: "new"}, PACIFIC, "row") == []


def test_export_days_that_are_gone_are_named(connection: psycopg.Connection, export_day: Put) -> None:
    """A partition that expired in BigQuery; a day that was loaded empty has nothing to miss."""
    for day, rows in (("2026-10-01", 10), ("2026-10-02", 0), ("2026-10-03", 10)):
        export_day(day, rows=rows)

    assert ledger.vanished_export_days(connection, [date(2026, 10, 3)]) == [date(2026, 10, 1)]
    assert ledger.vanished_export_days(connection, []) == [date(2026, 10, 1), date(2026, 10, 3)]


def test_a_day_that_somebody_decided_to_keep_is_not_missed_any_more(
    connection: psycopg.Connection, export_day: Put
) -> None:
    """A decision that is kept with the day, and that only loading it again ends."""
    export_day("2026-10-01")
    export_day("2026-10-02")

    assert ledger.keep_export_days(connection, [date(2026, 10, 1), date(2026, 9, 1)], "moved") == [date(2026, 10, 1)]
    assert ledger.vanished_export_days(connection, []) == [date(2026, 10, 2)]


def test_days_older_than_the_table_keeps_are_kept_by_themselves_and_younger_ones_are_missed(
    connection: psycopg.Connection, export_day: Put
) -> None:
    """A table that expires its days is no alarm; a partition that somebody deleted is."""
    today = datetime.now(UTC).date()
    old, young = today - timedelta(days=61), today - timedelta(days=10)
    export_day(old.isoformat())
    export_day(young.isoformat())
    url, keeps = "file:///export", timedelta(days=60)

    assert ledger.keep_what_expired(connection, [], "file:///another", keeps) == []
    assert ledger.keep_what_expired(connection, [], url, None) == []
    assert ledger.keep_what_expired(connection, [old], url, keeps) == []
    assert ledger.keep_what_expired(connection, [], url, keeps) == [old]
    assert ledger.keep_what_expired(connection, [], url, keeps) == []
    assert ledger.vanished_export_days(connection, []) == [young]


def test_a_stretch_without_a_single_row_is_seen_as_one(connection: psycopg.Connection, export_day: Put) -> None:
    """The export was switched off: nothing catches up on it, and no total would look wrong."""
    for day, rows in (("2026-10-01", 5), ("2026-10-02", 0), ("2026-10-03", 5)):
        export_day(day, rows=rows)

    assert ledger.missing_export_days(connection, [date(2026, 10, 6), date(2026, 10, 7)]) == [
        (date(2026, 10, 2), date(2026, 10, 2)),
        (date(2026, 10, 4), date(2026, 10, 5)),
    ]


def test_a_table_made_anew_under_the_same_name_is_refused_until_its_old_days_are_decided_about(
    connection: psycopg.Connection, export_day: Put
) -> None:
    """Google writes the weeks before again into a new table, on new export days."""
    url, born, reborn = "file:///export", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 10, 5, tzinfo=UTC)
    export_day("2026-10-01")
    export_day("2026-10-02")
    connection.execute("update finops.export_day_ledger set table_created_at = %s", [born])

    ledger.refuse_second_export(connection, [], url, born)
    with pytest.raises(SecondExport, match=r"made anew at 2026-10-05.*--from 2026-10-01 --to 2026-10-02"):
        ledger.refuse_second_export(connection, [date(2026, 10, 6)], url, reborn)
    with pytest.raises(SecondExport, match="BILLING_EXPORT_URL is file:///moved"):
        ledger.refuse_second_export(connection, [], "file:///moved", born)

    ledger.keep_export_days(connection, [date(2026, 10, 1), date(2026, 10, 2)], "the new one begins in November")
    ledger.refuse_second_export(connection, [date(2026, 10, 6)], url, reborn)


def test_versions_only_rise_and_listeners_are_told_at_commit(
    settings: Settings, connection: psycopg.Connection
) -> None:
    """A cache that hears of a version may drop what it kept, and not before the rows are there."""
    with connect(settings, autocommit=True) as listener:
        listener.execute("listen materialised")
        with connection.transaction():
            first = ledger.materialised(connection, "aggregated_cost_data", "2026-10-01", 1, 10, "run")
            assert list(listener.notifies(timeout=0.1, stop_after=1)) == []
            connection.execute("update finops.invoices set total = total")
        told = [notice.payload for notice in listener.notifies(timeout=10, stop_after=1)]
        second = ledger.materialised(connection, "aggregated_cost_data", "2026-10-01", 1, 10, "run")
        told += [notice.payload for notice in listener.notifies(timeout=1)][:1]

    assert second > first
    # Once for a transaction, whatever it changed, and by a name that no other one has.
    assert [name.split(" ")[0] for name in told] == ["change", "change"]
    assert len(set(told)) == 2


def test_a_partition_is_built_by_one_at_a_time_and_its_neighbour_is_free(settings: Settings) -> None:
    """Two rebuilds of a day side by side would both insert its rows."""
    order: list[str] = []
    with connect(settings) as one, connect(settings) as other:
        ledger.lock_partition(one, "aggregated_cost_data", 5)
        ledger.lock_partition(other, "aggregated_cost_data", 6)
        ledger.lock_partition(other, "cost_by_service_daily", 5)

        def second() -> None:
            ledger.lock_partition(other, "aggregated_cost_data", 5)
            order.append("second")

        waiting = Thread(target=second)
        waiting.start()
        waiting.join(timeout=0.3)
        order.append("first")
        one.commit()
        waiting.join()

    assert order == ["first", "second"]
