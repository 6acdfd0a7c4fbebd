"""Days that the export no longer holds: kept or removed, and what the tables say then."""

import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path

import psycopg
from helpers.road import Export, Road, charge

from finops_pipeline.export_days import held_export_days, told
from finops_pipeline.proving import prove
from finops_warehouse import ledger

FIRST, SECOND = date(2026, 9, 11), date(2026, 9, 12)


def two_days(connection: psycopg.Connection, folder: Path) -> Road:
    """A usage day whose charges came on two export days; 10 USD and 5 USD."""
    export = Export(folder)
    export.write(FIRST.isoformat(), [charge(10)])
    export.write(SECOND.isoformat(), [charge(5, exported="2026-09-12T03:00")])
    road = Road(connection, folder)
    road.walk()
    return road


def test_a_removed_day_takes_its_charges_out_of_every_table_and_is_told_as_a_restatement(
    connection: psycopg.Connection, tmp_path: Path
) -> None:
    """What a table made anew told again; readers see that a served number moved, and why."""
    road = two_days(connection, tmp_path / "export")
    shutil.rmtree(tmp_path / "export" / f"export_day={SECOND}")

    assert ledger.remove_export_day(connection, SECOND, "test") == [date(2026, 9, 10)]
    road.rebuild_behind()

    assert road.total("raw_charges") == road.total() == road.total("invoice_months") == 10
    assert connection.execute(
        "select billed_cost_before, billed_cost_after, cause, export_days from finops.restatements"
    ).fetchall() == [(Decimal(15), Decimal(10), "re-export", [SECOND])]
    assert ledger.vanished_export_days(connection, road.source.partitions()) == []
    assert prove(connection, road.source, road.timezone).holds
    assert ledger.remove_export_day(connection, SECOND, "test") == []


def test_a_kept_day_stays_in_every_total_and_verify_says_that_it_cannot_be_compared(
    connection: psycopg.Connection, tmp_path: Path
) -> None:
    """Without the decision the proof fails for ever; with it, what is not proven is counted."""
    road = two_days(connection, tmp_path / "export")
    shutil.rmtree(tmp_path / "export" / f"export_day={FIRST}")

    assert not prove(connection, road.source, road.timezone).holds
    ledger.keep_export_days(connection, [FIRST], "the old dataset was deleted")
    proof = prove(connection, road.source, road.timezone)

    assert proof.holds
    assert [(held.identity, held.compared) for held in proof.identities if "kept" in held.identity] == [
        ("kept export days, not compared", 1)
    ]
    assert road.total() == 15


def test_loading_a_kept_day_again_ends_the_decision(connection: psycopg.Connection, tmp_path: Path) -> None:
    """The export holds it again, and it is compared again."""
    road = two_days(connection, tmp_path / "export")
    ledger.keep_export_days(connection, [FIRST], "gone")
    Export(tmp_path / "export").write(FIRST.isoformat(), [charge(11)])

    road.walk()

    assert road.total() == 16
    assert connection.execute("select 1 from finops.export_day_ledger where kept_at is not null").fetchall() == []


def test_a_gap_in_the_export_is_told(connection: psycopg.Connection, tmp_path: Path) -> None:
    """It was switched off for two days, and no total looks wrong for it."""
    road = two_days(connection, tmp_path / "export")
    Export(tmp_path / "export").write("2026-09-15", [charge(1, exported="2026-09-15T03:00")])

    [sentence] = told(held_export_days(connection, road.source))

    assert "no rows at all of 2026-09-13 to 2026-09-14" in sentence
