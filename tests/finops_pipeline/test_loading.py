"""From the export into raw_charges: exact, whole, in one piece, or not at all."""

import math
import os
import signal
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from helpers.road import FILE_SCHEMA, Export, Road, charge

from finops_warehouse.errors import BadValue, ExportDayVanished, FinopsError, MissingColumn, UnreadableFile


def test_two_equal_rows_are_two_charges(export: Export, road: Road) -> None:
    """The export has no row id; whoever de-duplicates it loses real money."""
    twin = charge(1.25)
    export.write("2026-09-11", [twin, twin, twin, charge(1.25, project="other")])

    road.walk()

    occurrences = road.connection.execute(
        "select sub_account_id, array_agg(occurrence order by occurrence), count(distinct row_hash) "
        "from finops.raw_charges group by 1 order by 1"
    ).fetchall()
    assert occurrences == [("other", [1], 1), ("shop", [1, 2, 3], 1)]
    assert road.total() == Decimal("5.00")


def test_a_row_keeps_its_name_when_its_day_is_loaded_again(export: Export, road: Road) -> None:
    """(export_day, row_hash, occurrence) names a row for ever: evidence that was linked yesterday still opens."""
    export.write("2026-09-11", [charge(1), charge(2), charge(2)])
    names = "select row_hash, occurrence, cost from finops.raw_charges order by 1, 2"
    road.load("2026-09-11")
    before = road.connection.execute(names).fetchall()

    export.write("2026-09-11", [charge(2), charge(9), charge(2), charge(1)])
    road.load("2026-09-11")

    after = road.connection.execute(names).fetchall()
    assert set(before) < set(after)
    assert len(after) == 4


def test_an_empty_text_is_not_an_absent_one(export: Export, road: Road) -> None:
    """Rows that differ only in where a text stands, or in whether it is there at all, are not the same row twice."""
    texts = [(None, None), ("", None), (None, ""), ("a", None), (None, "a"), ("a", "")]
    export.write("2026-09-11", [charge(1, transaction_type=kind, seller_name=seller) for kind, seller in texts])

    road.load("2026-09-11")

    [(names, last)] = road.connection.execute(
        "select count(distinct row_hash), max(occurrence) from finops.raw_charges"
    ).fetchall()
    assert (names, last) == (len(texts), 1)


def test_a_row_keeps_its_name_when_usage_days_are_cut_anew(export: Export, road: Road) -> None:
    """Another billing time zone moves a charge to another day; what was noted about the charge still finds it."""
    export.write("2026-09-11", [charge(1, start="2026-09-10T03:00")])
    names = "select usage_day::text, row_hash from finops.raw_charges"
    road.load("2026-09-11")
    [(pacific_day, before)] = road.connection.execute(names).fetchall()

    road.timezone = "Etc/UTC"
    road.load("2026-09-11")

    [(utc_day, after)] = road.connection.execute(names).fetchall()
    assert (pacific_day, utc_day) == ("2026-09-09", "2026-09-10")
    assert before == after


@pytest.mark.parametrize(
    ("start", "usage_day"),
    [
        ("2026-09-10T06:59", "2026-09-09"),
        ("2026-09-10T07:00", "2026-09-10"),
        ("2026-03-08T07:59", "2026-03-07"),  # the night clocks go forward begins in winter time
        ("2026-03-08T08:00", "2026-03-08"),
        ("2026-03-09T06:59", "2026-03-08"),  # … and the 23rd hour ends in summer time
        ("2026-03-09T07:00", "2026-03-09"),
        ("2026-11-01T07:00", "2026-11-01"),
        ("2026-11-02T07:59", "2026-11-01"),  # the 25th hour
        ("2026-11-02T08:00", "2026-11-02"),
    ],
)
def test_a_usage_day_is_a_pacific_day(start: str, usage_day: str, export: Export, road: Road) -> None:
    """Google's reports and invoices count days from Pacific midnight, 23 and 25 hour days included."""
    export.write("2026-11-03", [charge(1, start=start)])

    loaded = road.load("2026-11-03")

    assert [day.isoformat() for day in loaded.touched_usage_days] == [usage_day]


def test_credits_never_multiply_the_cost(export: Export, road: Road) -> None:
    """Joining the credits of a row to it counts its cost once a credit: Google shipped that query itself once."""
    paid_by = [("PROMOTION", -1.0), ("FREE_TIER", -2.0), ("PROMOTION", -0.5), (None, -0.25), ("NEW_KIND", -0.125)]
    export.write("2026-09-11", [charge(10, paid_by=paid_by)])

    road.walk()

    [row] = road.connection.execute(
        "select cost, credit_promotion, credit_free_tier, credit_other, credit_discount, billed_cost "
        "from finops.aggregated_cost_data"
    ).fetchall()
    assert row == (10, Decimal("-1.5"), -2, Decimal("-0.375"), 0, Decimal("6.125"))


def test_floats_become_exact_decimals_once(export: Export, road: Road) -> None:
    """A thousand charges of ten cents are a hundred dollars, not 99.9999999999986."""
    export.write("2026-09-11", [charge(0.1, sku=f"sku {n}") for n in range(1000)])

    road.walk()

    assert road.total("raw_charges") == road.total("cost_by_service_daily") == Decimal(100)


def test_what_has_no_project_label_or_region_is_kept(export: Export, road: Road) -> None:
    """Support and some taxes belong to no project: dropping them makes the month smaller than its invoice."""
    export.write("2026-09-11", [charge(3, project=None, location=None), charge(4)])

    road.walk()

    rows = road.connection.execute(
        "select sub_account_id, region_id, billed_cost from finops.aggregated_cost_data order by billed_cost"
    ).fetchall()
    assert rows == [(None, None, 3), ("shop", "us-central1", 4)]


def test_currencies_are_never_added(export: Export, road: Road) -> None:
    """Dollars added to euros give a number that is true of nothing: every table keeps them in rows of their own."""
    export.write("2026-09-11", [charge(3, currency="USD"), charge(4, currency="EUR")])

    road.walk()

    for table in road.contents():
        rows = road.connection.execute(
            f"select distinct billing_currency, billed_cost from finops.{table} order by 1"
        ).fetchall()
        assert rows == [("EUR", 4), ("USD", 3)], table


def test_an_unknown_column_is_kept_and_reported(export: Export, road: Road) -> None:
    """Google adds columns without notice; losing one silently would be found out months later."""
    schema = FILE_SCHEMA.append(pa.field("carbon", pa.struct([("grams", pa.float64())])))
    export.write("2026-09-11", [charge(3, carbon={"grams": 1.5})], schema)

    loaded = road.load("2026-09-11")

    assert loaded.unknown_columns == ("carbon",)
    [(extra,)] = road.connection.execute("select extra from finops.raw_charges").fetchall()
    assert extra == {"carbon": {"grams": 1.5}}


BAD_ROWS: dict[str, dict[str, Any]] = {
    "cost is nan": {"cost": math.nan},
    "cost is inf": {"cost": math.inf},
    "credits.amount is nan": {"paid_by": [("PROMOTION", math.nan)]},
    "usage_start_time is NULL": {"usage_start_time": None},
    "invoice.month is 2026-09": {"month": "2026-09"},
    "currency is NULL": {"currency": None},
    "cost_type is NULL": {"cost_type": None},
    "export_time is NULL": {"export_time": None},
}


@pytest.mark.parametrize("said", BAD_ROWS)
def test_a_value_no_figure_can_be_made_of_is_refused(said: str, export: Export, road: Road) -> None:
    """One bad row among good ones: the day is refused, by name, and what was loaded before stays as it was."""
    export.write("2026-09-11", [charge(1), charge(2)])
    road.walk()
    before = road.contents(["raw_charges", "usage_day_ledger", "export_day_ledger", *road.contents()])
    bad = BAD_ROWS[said]
    row = charge(5, **{key: value for key, value in bad.items() if key in ("paid_by", "month")})
    row |= {key: value for key, value in bad.items() if key not in ("paid_by", "month", "cost")}
    row["cost"] = bad.get("cost", 5.0)
    export.write("2026-09-11", [charge(7), row, charge(8)])

    with pytest.raises(BadValue, match=said) as refused:
        road.load("2026-09-11")

    assert "2026-09-11" in str(refused.value)
    assert "service Compute Engine, SKU N2 Core" in str(refused.value)
    assert road.contents(list(before)) == before


def truncate(file: Path) -> None:
    """Cut a file in the middle."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize(
    ("spoil", "error"),
    [(truncate, UnreadableFile), (lambda file: file.write_text("cost,currency\n1,USD\n"), UnreadableFile)],
    ids=["truncated", "not Parquet"],
)
def test_a_spoilt_file_leaves_everything_as_it_was(
    spoil: object, error: type[FinopsError], export: Export, road: Road
) -> None:
    """A file cut short by a full disk must not become half a day of costs."""
    file = export.write("2026-09-11", [charge(float(n)) for n in range(1, 500)])
    road.walk()
    before = road.contents(["raw_charges", *road.contents()])
    assert callable(spoil)
    spoil(file)

    with pytest.raises(error, match=file.name):
        road.load("2026-09-11")

    assert road.contents(list(before)) == before


def test_a_missing_column_is_refused(export: Export, road: Road) -> None:
    """Without credits the net would be wrong; better no day than a wrong one."""
    schema = pa.schema([column for column in FILE_SCHEMA if column.name != "credits"])
    export.write("2026-09-11", [{k: v for k, v in charge(1).items() if k != "credits"}], schema)

    with pytest.raises(MissingColumn, match="credits"):
        road.load("2026-09-11")


def test_a_day_that_vanished_is_not_taken_for_an_empty_one(export: Export, road: Road) -> None:
    """Partitions expire; a month whose days were deleted would otherwise shrink to nothing, silently."""
    file = export.write("2026-09-11", [charge(1)])
    road.walk()
    file.unlink()

    with pytest.raises(ExportDayVanished, match="2026-09-11"):
        road.load("2026-09-11")

    assert road.total() == 1


def test_a_day_restated_to_nothing_is_emptied(export: Export, road: Road) -> None:
    """Google took every charge of the day back: the old ones must not stay because there is nothing in their place."""
    export.write("2026-09-11", [charge(1)])
    road.walk()
    export.write("2026-09-11", [])

    loaded = road.load("2026-09-11")

    assert (loaded.row_count, loaded.touched_usage_days) == (0, (date(2026, 9, 10),))
    assert road.total("raw_charges") is None


def test_charges_before_the_first_partition_are_refused(export: Export, road: Road) -> None:
    """A usage day Dagster has no partition for could never be built: say so when it is loaded, not later."""
    export.write("2026-09-11", [charge(1, start="2023-12-31T20:00")])

    with pytest.raises(BadValue, match="BILLING_START_DAY=2023-12-31"):
        road.load("2026-09-11")


def test_a_connection_lost_while_copying_leaves_the_old_day(
    export: Export, road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database goes away in the middle of a load: the day that was there is still there, whole."""
    export.write("2026-09-11", [charge(1)])
    road.walk()
    export.write("2026-09-11", [charge(float(n)) for n in range(1, 50)])

    from finops_pipeline import loading

    def cut(*_: object) -> None:
        [(pid,)] = road.connection.execute("select pg_backend_pid()").fetchall()
        with psycopg.connect(road.connection.info.dsn + f" password={road.connection.info.password}") as other:
            other.execute("select pg_terminate_backend(%s)", [pid])
            other.commit()

    monkeypatch.setattr(loading, "_replace_arrivals", cut)
    with pytest.raises(psycopg.OperationalError):
        road.load("2026-09-11")

    with psycopg.connect(road.connection.info.dsn + f" password={road.connection.info.password}") as other:
        assert other.execute("select cost from finops.raw_charges").fetchall() == [(1,)]
        assert other.execute("select max(source_version) from finops.usage_day_ledger").fetchall() == [(1,)]


LOAD_UNTIL_KILLED = """
import os, signal, sys
from datetime import date
from pathlib import Path
import psycopg
from finops_pipeline import checked_day, loading
from finops_pipeline.sources.files import FilesSource

def until_killed(connection, table, schema, batches):
    def two_batches():
        yield next(batches)
        yield next(batches)
        os.kill(os.getpid(), signal.SIGKILL)
    copy_batches(connection, table, schema, two_batches())

copy_batches, loading.copy_batches = loading.copy_batches, until_killed
checked_day.BATCH_ROWS = 100
with psycopg.connect(os.environ["DSN"], autocommit=True) as connection:
    loading.load_export_day(
        connection, FilesSource(Path(sys.argv[1])), date(2026, 9, 11), fingerprint="x", run_id="killed",
        billing_timezone="America/Los_Angeles", first_usage_day=date(2024, 1, 1),
    )
"""


def test_a_load_killed_between_batches_leaves_the_old_day_and_can_be_repeated(export: Export, road: Road) -> None:
    """The machine takes the process away in the middle of the day: no half day, and the next load is exact."""
    export.write("2026-09-11", [charge(1)])
    road.walk()
    before = road.contents(["raw_charges", "usage_day_ledger", "export_day_ledger"])
    export.write("2026-09-11", [charge(0.1, sku=f"sku {n}") for n in range(3000)])
    dsn = f"{road.connection.info.dsn} password={road.connection.info.password}"

    killed = subprocess.run(
        [sys.executable, "-c", LOAD_UNTIL_KILLED, str(export.folder)],
        env={**os.environ, "DSN": dsn, "TMPDIR": str(export.folder)},
        check=False,
    )

    assert killed.returncode == -signal.SIGKILL
    assert road.contents(list(before)) == before
    road.walk()
    assert road.total("raw_charges") == road.total("cost_by_service_daily") == Decimal(300)


def test_reloading_a_day_touches_the_days_it_held_and_holds(export: Export, road: Road) -> None:
    """A charge that moves to another usage day must also leave the one it was on."""
    export.write("2026-09-11", [charge(1, start="2026-09-10T12:00"), charge(2, start="2026-09-09T12:00")])
    road.walk()
    export.write("2026-09-11", [charge(1, start="2026-09-08T12:00"), charge(2, start="2026-09-09T12:00")])

    loaded = road.load("2026-09-11")

    assert loaded.touched_usage_days == (date(2026, 9, 8), date(2026, 9, 9), date(2026, 9, 10))
    road.rebuild_behind()
    rows = road.connection.execute(
        "select usage_day::text, billed_cost from finops.cost_by_service_daily order by 1"
    ).fetchall()
    assert rows == [("2026-09-08", 1), ("2026-09-09", 2)]
