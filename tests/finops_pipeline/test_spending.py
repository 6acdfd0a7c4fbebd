"""What reading the export costs: written down before it is spent, and stopped before it is too much."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from threading import Barrier, Thread

import psycopg
import pytest

from finops_pipeline.sources.base import Spend
from finops_pipeline.spending import TIB, LedgerPurse, estimated_usd
from finops_warehouse.errors import BudgetReached
from finops_warehouse.settings import Settings
from finops_warehouse.status import read_status

DAY = date(2026, 10, 1)
READ = Spend("storage_read", "read export day", DAY, estimated_bytes=TIB)
QUERY = Spend("query", "add up export day", DAY, estimated_bytes=TIB // 4)

Costing = Callable[..., Settings]


@pytest.fixture
def costing(settings: Settings, connection: psycopg.Connection) -> Costing:
    """Settings with a budget; a TiB costs 1 USD to read and 4 to query."""

    def make(per_run: int = 100, per_day: int = 100) -> Settings:
        return settings.model_copy(
            update={
                "bigquery_usd_per_tib_read": Decimal(1),
                "bigquery_usd_per_tib_queried": Decimal(4),
                "bigquery_max_usd_per_run": Decimal(per_run),
                "bigquery_max_usd_per_day": Decimal(per_day),
            }
        )

    return make


def spent(connection: psycopg.Connection) -> list[tuple[object, ...]]:
    """The books."""
    return connection.execute(
        "select run_id, kind, estimated_bytes, billed_bytes, estimated_usd from finops.source_spending order by 1, 2"
    ).fetchall()


def test_a_tib_costs_what_the_settings_say(costing: Costing) -> None:
    """To a millionth: a day of a small export is less than a cent."""
    assert estimated_usd(costing(), "query", TIB // 2) == 2
    assert estimated_usd(costing(), "storage_read", TIB // 2**20) == Decimal("0.000001")


def test_what_was_billed_takes_the_place_of_the_estimate(costing: Costing, connection: psycopg.Connection) -> None:
    """`finops status`, the run's metadata and the books say the same."""
    settings = costing()
    purse = LedgerPurse(settings, "run 1")
    for planned, billed in ((READ, TIB // 2), (QUERY, TIB // 4)):
        purse.allow(planned)
        purse.pay(Spend(planned.kind, planned.purpose, DAY, planned.estimated_bytes, billed, slot_ms=7, job_id="job"))

    assert spent(connection) == [
        ("run 1", "query", TIB // 4, TIB // 4, Decimal(1)),
        ("run 1", "storage_read", TIB, TIB // 2, Decimal("0.5")),
    ]
    assert purse.usd(purse.spent_on(DAY)) == Decimal("1.5")
    [today] = read_status(connection, []).spent
    assert (today.queried_bytes, today.read_bytes, today.slot_ms) == (TIB // 4, TIB // 2, 14)
    assert today.estimated_usd == Decimal("1.5")


def test_a_run_stops_before_its_budget_is_crossed(costing: Costing, connection: psycopg.Connection) -> None:
    """Exactly the budget may be spent; a byte more is refused, and nothing of it is in the books."""
    purse = LedgerPurse(costing(per_run=1), "run 1")
    purse.allow(READ)

    with pytest.raises(BudgetReached, match=r"read export day 2026-10-01.*BIGQUERY_MAX_USD_PER_RUN is 1"):
        purse.allow(READ)
    assert len(spent(connection)) == 1
    LedgerPurse(costing(per_run=1), "run 2").allow(READ)


def test_a_day_stops_before_its_budget_is_crossed_by_all_runs_together(
    costing: Costing, connection: psycopg.Connection
) -> None:
    """Yesterday's spending does not count."""
    settings = costing(per_day=2)
    for run in ("run 1", "run 2"):
        LedgerPurse(settings, run).allow(READ)

    with pytest.raises(BudgetReached, match="BIGQUERY_MAX_USD_PER_DAY is 2"):
        LedgerPurse(settings, "run 3").allow(QUERY)
    connection.execute("update finops.source_spending set spent_at = spent_at - interval '25 hours'")
    LedgerPurse(settings, "run 3").allow(QUERY)


def test_two_runs_at_the_same_moment_cannot_both_take_the_last_of_a_budget(
    costing: Costing, connection: psycopg.Connection
) -> None:
    """Each would see that enough is left, if it looked without writing down its plan."""
    settings, refused, start = costing(per_day=3), [], Barrier(8)

    def read(number: int) -> None:
        start.wait()
        try:
            LedgerPurse(settings, f"run {number}").allow(READ)
        except BudgetReached:
            refused.append(number)

    runs = [Thread(target=read, args=[number]) for number in range(8)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()

    assert len(spent(connection)) == 3
    assert len(refused) == 5


def test_what_a_killed_process_may_have_been_billed_counts(costing: Costing, connection: psycopg.Connection) -> None:
    """It never said what it was; the estimate stands for it."""
    settings = costing(per_day=1)
    LedgerPurse(settings, "killed").allow(READ)

    with pytest.raises(BudgetReached, match=r"1\.000000 are spent"):
        LedgerPurse(settings, "the next").allow(QUERY)


def test_every_pass_of_a_command_or_sensor_is_a_run_of_its_own(
    costing: Costing, connection: psycopg.Connection
) -> None:
    """Under one name for ever, months of looks for changes would use up the budget of a single run."""
    settings = costing(per_run=1)

    for _ in range(3):
        LedgerPurse.of_one_pass(settings, "sensor").allow(READ)

    assert len({run for run, *_ in spent(connection)}) == 3
