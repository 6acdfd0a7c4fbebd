"""Late and corrected charges: every table they touch follows, nothing else moves, and readers can see that it did."""

import threading
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from helpers.proofs import count
from helpers.road import Export, Road, Row, charge
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finops_pipeline import rebuilding
from finops_pipeline.rebuilding import rebuild_usage_day
from finops_warehouse import ledger
from finops_warehouse.database import connect_to
from finops_warehouse.errors import ProofFailed
from finops_warehouse.sql_models import sql_model

FACTS = sql_model("core", "aggregated_cost_data")


def restatements(road: Road) -> list[tuple[Any, ...]]:
    """What readers are told that moved."""
    return road.connection.execute(
        "select usage_day::text, billed_cost_before, billed_cost_after, cause, export_days::text[] "
        "from finops.restatements order by restatement_id"
    ).fetchall()


def test_a_late_charge_moves_its_day_and_no_other(export: Export, road: Road) -> None:
    """A charge exported 40 days late reaches the day it was used on; guessed look-back windows lose it."""
    export.write("2026-08-02", [charge(10, start="2026-08-01T20:00"), charge(5, start="2026-08-02T20:00")])
    road.walk()

    export.write("2026-09-10", [charge(7, start="2026-08-01T21:00", month="202609")])
    built = road.walk()

    assert built == {"2026-08-01", "202608", "202609"}
    assert restatements(road) == [("2026-08-01", 10, 17, "late usage", ["2026-09-10"])]


def test_a_correction_is_called_one(export: Export, road: Road) -> None:
    """Readers see why a number moved, not only that it did."""
    export.write("2026-08-02", [charge(10, start="2026-08-01T20:00")])
    road.walk()

    why = {"mode": "PARTIAL_CORRECTION", "type": "PRICE_CORRECTION"}
    export.write("2026-09-10", [charge(-4, start="2026-08-01T20:00", month="202609", adjustment_info=why)])
    road.walk()

    assert restatements(road) == [("2026-08-01", 10, 6, "correction", ["2026-09-10"])]


def test_a_changed_export_day_is_a_re_export(export: Export, road: Road) -> None:
    """An export day is immutable; when it changes all the same, that is the cause readers are told."""
    export.write("2026-08-02", [charge(10, start="2026-08-01T20:00")])
    road.walk()

    export.write("2026-08-02", [charge(11, start="2026-08-01T20:00")])
    road.walk()

    assert restatements(road) == [("2026-08-01", 10, 11, "re-export", ["2026-08-02"])]


def test_a_day_restated_to_nothing_loses_its_rows(export: Export, road: Road) -> None:
    """Deleting only the keys that arrived would keep the old cost for ever."""
    export.write("2026-08-02", [charge(10, start="2026-08-01T20:00"), charge(1, start="2026-08-02T20:00")])
    road.walk()

    export.write("2026-08-02", [charge(1, start="2026-08-02T20:00")])
    road.walk()

    assert road.total(where="usage_day = '2026-08-01'") is None
    assert road.total("cost_by_sku_region_daily") == road.total("invoice_months") == 1
    assert restatements(road) == [("2026-08-01", 10, 0, "re-export", ["2026-08-02"])]


def test_building_again_what_did_not_move_changes_no_row(export: Export, road: Road) -> None:
    """Backfilling a month twice must be harmless, or nobody dares to do it."""
    export.write("2026-08-02", [charge(10, start="2026-08-01T20:00"), charge(2, start="2026-08-01T21:00")])
    road.walk()
    before = road.contents()

    road.load("2026-08-02")
    road.rebuild_behind()

    assert road.contents() == before
    assert restatements(road) == []


def test_an_unchanged_export_asks_for_nothing(export: Export, road: Road) -> None:
    """The fingerprint is of the content: writing the same file again is no change."""
    rows = [charge(10, start="2026-08-01T20:00")]
    export.write("2026-08-02", rows)
    road.walk()

    export.write("2026-08-02", rows)

    assert road.load_changed() == []
    assert road.rebuild_behind() == set()


def test_charges_that_arrive_during_a_rebuild_are_not_lost(
    export: Export, road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The race every automation condition loses: a day restated between the reading and the writing of it."""
    export.write("2026-08-02", [charge(10, start="2026-08-01T20:00")])
    road.load("2026-08-02")
    export.write("2026-08-03", [charge(5, start="2026-08-01T20:00")])
    replace = rebuilding._replace_facts
    dsn = f"{road.connection.info.dsn} password={road.connection.info.password}"

    def replace_after_a_load(*arguments: Any) -> Any:  # noqa: ANN401 -- passed through
        with connect_to(dsn, autocommit=True) as other:
            late = Road(other, export.folder)
            late.load("2026-08-03")
        return replace(*arguments)

    monkeypatch.setattr(rebuilding, "_replace_facts", replace_after_a_load)
    rebuild_usage_day(road.connection, FACTS, date(2026, 8, 1), run_id="test")
    monkeypatch.undo()

    assert [item.partition_key for item in ledger.behind(road.connection, {FACTS.table: None}, [])] == ["2026-08-01"]
    road.rebuild_behind()
    assert road.total() == road.total("cost_by_service_daily") == 15


def test_rebuilding_a_day_four_times_at_once_builds_it_once(export: Export, road: Road) -> None:
    """A backfill from the UI and a sensor may meet on a day: throttling runs does not part them, a lock does."""
    export.write("2026-08-02", [charge(float(n), start="2026-08-01T20:00", sku=f"{n}") for n in range(1, 101)])
    road.load("2026-08-02")
    dsn = f"{road.connection.info.dsn} password={road.connection.info.password}"
    failures: list[BaseException] = []

    def rebuild() -> None:
        try:
            with connect_to(dsn, autocommit=True) as mine:
                rebuild_usage_day(mine, FACTS, date(2026, 8, 1), run_id="test")
        except BaseException as error:  # noqa: BLE001 -- told by the main thread
            failures.append(error)

    threads = [threading.Thread(target=rebuild) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert road.total() == 5050


def test_a_fact_that_does_not_add_up_is_never_shown(export: Export, road: Road) -> None:
    """A rebuild proves itself before it commits: a hand-altered raw row stops it, and readers keep the old day."""
    export.write("2026-08-02", [charge(10, start="2026-08-01T20:00")])
    road.walk()
    road.connection.execute("update finops.raw_charges set billed_cost = 11")

    with pytest.raises(ProofFailed, match="2026-08-01"):
        rebuild_usage_day(road.connection, FACTS, date(2026, 8, 1), run_id="test")

    assert road.total() == 10


def test_another_time_zone_cuts_every_usage_day_anew(export: Export, road: Road) -> None:
    """BILLING_TIMEZONE was wrong for a month: the charges near midnight move, nothing is lost, readers are told why."""
    rows = [charge(n, start=f"2026-08-02T{hour:02}:30") for n, hour in ((1, 1), (2, 6), (4, 8), (8, 23))]
    export.write("2026-08-03", [*rows, charge(16, start="2026-08-03T20:00")])
    road.walk()
    before = road.total()
    assert road.total(where="usage_day = '2026-08-01'") == 3

    utc = Road(road.connection, export.folder, timezone="Etc/UTC")
    assert utc.load_changed() == [date(2026, 8, 3)]
    utc.rebuild_behind()

    assert road.total(where="usage_day = '2026-08-01'") is None
    assert road.total(where="usage_day = '2026-08-02'") == 15
    assert road.total() == road.total("invoice_months") == before
    assert [(day, cause) for day, _, _, cause, _ in restatements(road)] == [
        ("2026-08-01", "rule change"),
        ("2026-08-02", "rule change"),
    ]
    assert utc.load_changed() == []


def test_an_account_is_told_its_own_cause(export: Export, road: Road) -> None:
    """Two accounts share an export day: one got a correction, the other late usage; a third got nothing."""
    both = [charge(10, start="2026-08-01T20:00", account=name) for name in ("A", "B", "C")]
    export.write("2026-08-02", both)
    road.walk()

    why = {"mode": "PARTIAL_CORRECTION", "type": "PRICE_CORRECTION"}
    export.write("2026-09-10", [charge(-4, start="2026-08-01T20:00", account="A", adjustment_info=why)])
    export.write("2026-09-11", [charge(3, start="2026-08-01T20:00", account="B")])
    road.walk()

    assert road.connection.execute(
        "select billing_account_id, cause, export_days::text[] from finops.restatements order by 1"
    ).fetchall() == [("A", "correction", ["2026-09-10"]), ("B", "late usage", ["2026-09-11"])]


# -- any order, any lateness, any crash

charges = st.lists(
    st.builds(
        lambda cost, day, hour, late, project: charge(
            cost / 100,
            start=f"2026-08-{day:02}T{hour:02}:00",
            exported=f"2026-08-{day + late:02}T23:00",
            project=project,
            adjustment_info={"type": "USAGE_CORRECTION"} if cost < 0 else None,
        ),
        cost=st.integers(-500, 5000),
        day=st.integers(1, 6),
        hour=st.integers(0, 23),
        late=st.integers(0, 20),
        project=st.sampled_from(["shop", "data", None]),
    ),
    min_size=1,
    max_size=25,
)


def by_export_day(rows: list[Row]) -> dict[str, list[Row]]:
    """The rows as an export would hold them."""
    days: dict[str, list[Row]] = {}
    for row in rows:
        days.setdefault(f"{row['export_time']:%Y-%m-%d}", []).append(row)
    return days


@settings(
    max_examples=count(8, 300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(rows=charges, data=st.data())
def test_any_order_and_lateness_gives_the_same_tables(
    tmp_path_factory: pytest.TempPathFactory, connection: psycopg.Connection, rows: list[Row], data: st.DataObject
) -> None:
    """Export days arrive in any order, some first with other content, with rebuilds in between: the end is the same."""
    final = by_export_day(rows)
    folder = tmp_path_factory.mktemp("export")
    export, road = Export(folder), Road(connection, folder)
    road.forget()
    for day in data.draw(st.permutations(sorted(final)), label="order"):
        if data.draw(st.booleans(), label="first with other content"):
            export.write(day, data.draw(charges, label="other content"))
            road.load_changed()
        export.write(day, final[day])
        if data.draw(st.booleans(), label="rebuild now"):
            road.walk()
    road.walk()
    by_chance = road.contents(["raw_charges", *road.contents()])

    road.forget()
    for day in sorted(final):
        export.write(day, final[day])
    road.walk()

    assert by_chance == road.contents(["raw_charges", *road.contents()])


class DyingConnection(psycopg.Connection[Any]):
    """A connection whose process dies at the statement before its `lives_left`th."""

    lives_left: int | None = None

    def execute(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 -- passed through
        """Run a statement, or die: the server sees what it sees of a killed process, a connection that is gone."""
        if self.lives_left is not None:
            self.lives_left -= 1
            if self.lives_left <= 0:
                self.pgconn.finish()
                raise KeyboardInterrupt
        return super().execute(*arguments, **options)


@pytest.mark.parametrize("step", range(count(3, 12)))
def test_dying_at_any_statement_loses_and_doubles_nothing(
    step: int, export: Export, road: Road, tmp_path: Path
) -> None:
    """Whatever moment a run is killed at, starting it again ends where an undisturbed run ends."""
    first = [charge(n / 10, start=f"2026-08-0{1 + n % 3}T20:00", project=f"p{n % 2}") for n in range(1, 9)]
    export.write("2026-08-04", first)
    road.walk()
    export.write("2026-08-04", first[2:])
    export.write("2026-08-05", [charge(9, start="2026-08-02T20:00"), charge(1, start="2026-08-04T20:00")])
    dsn = f"{road.connection.info.dsn} password={road.connection.info.password}"

    deaths = 0
    lives = 1 + step
    while True:
        with DyingConnection.connect(dsn, autocommit=True) as dying:
            dying.lives_left = lives
            try:
                Road(dying, export.folder).walk()
            except KeyboardInterrupt:
                deaths += 1
                lives += count(7, 1)  # die a little later each time, until it gets through
                continue
        break

    assert deaths > 3
    disturbed = road.contents(["raw_charges", *road.contents()])
    road.forget()
    road.walk()
    assert disturbed == road.contents(["raw_charges", *road.contents()])
    assert road.total() == sum((Decimal(n) / 10 for n in range(3, 9)), Decimal(10))
