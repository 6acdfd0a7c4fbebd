"""Ten times the corrections and late charges: the sample stays true, and the whole road adds up to its invoices."""

import csv
import hashlib
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import psycopg
import pytest
from helpers.road import Road

from finops_pipeline.proving import prove
from finops_pipeline.sample_export import SampleExport, write_sample_export
from finops_warehouse.errors import BadRequest
from finops_warehouse.invoices import hand_in

LAST_DAY = date(2026, 10, 20)


def written(out: Path, corrections: int) -> SampleExport:
    """Forty export days with September's invoices, of a seed no other test uses."""
    return write_sample_export(
        out, days=40, rows_per_day=500, seed=23, last_export_day=LAST_DAY, corrections=corrections
    )


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> SampleExport:
    return written(tmp_path_factory.mktemp("usual"), 1)


@pytest.fixture(scope="module")
def tenfold(tmp_path_factory: pytest.TempPathFactory) -> SampleExport:
    return written(tmp_path_factory.mktemp("tenfold"), 10)


def counted(sample: SampleExport, condition: str) -> int:
    """How many rows of the export fulfil a condition."""
    [(count,)] = (
        duckdb.connect().execute(f"select count(*) from '{sample.table_dir}/*/*.parquet' where {condition}").fetchall()
    )
    return int(count)


@pytest.mark.parametrize(
    "condition",
    [
        "cost_type = 'adjustment' and adjustment_info.type = 'USAGE_CORRECTION'",
        "cost_type = 'regular' and export_time - usage_end_time > interval 49 hour",
    ],
    ids=["corrections of usage", "late charges"],
)
def test_there_are_as_many_times_more_as_was_asked_for(
    condition: str, usual: SampleExport, tenfold: SampleExport
) -> None:
    """Ten times, give or take what chance does to a few dozen rows."""
    before, after = counted(usual, condition), counted(tenfold, condition)

    assert before > 15
    assert 6 < after / before < 15


def test_the_usage_is_the_same_and_only_what_is_thought_of_it_later_differs(
    usual: SampleExport, tenfold: SampleExport
) -> None:
    """Costs as first billed do not depend on how often they are corrected."""
    first_billed = "cost_type = 'regular' and usage_start_time between '2026-09-12' and '2026-10-01'"

    assert counted(usual, first_billed) == pytest.approx(counted(tenfold, first_billed), rel=0.01)


def test_each_invoice_is_still_the_sum_of_its_rows(tenfold: SampleExport) -> None:
    """The truth counts what was exported, however often it was put right."""
    billed = {
        row[:3]: row[3]
        for row in duckdb.connect()
        .execute(f"""
            select billing_account_id, invoice.month, currency, sum(cost::decimal(28, 9)
                + coalesce(list_sum(list_transform(credits, lambda c: c.amount::decimal(28, 9))), 0))
            from '{tenfold.table_dir}/*/*.parquet' group by all
        """)
        .fetchall()
    }
    with (tenfold.truth_dir / "invoices.csv").open(newline="") as file:
        invoices = list(csv.DictReader(file))

    assert len(invoices) == 2
    for invoice in invoices:
        key = (invoice["billing_account_id"], invoice["invoice_month"], invoice["billing_currency"])
        assert Decimal(invoice["total"]) == billed[key]


def test_the_whole_road_proves_itself(tenfold: SampleExport, connection: psycopg.Connection) -> None:
    """Every identity holds with nothing left over, and both invoices are met to the cent."""
    road = Road(connection, tenfold.table_dir)
    hand_in(connection, tenfold.truth_dir / "invoices.csv")
    road.walk()

    proof = prove(connection, road.source, road.timezone)

    assert proof.holds, proof.differences
    assert proof.rows == tenfold.rows
    left_over = {held.identity: amount for held in proof.identities for amount in held.residual.values() if amount}
    assert left_over == {}
    assert proof.closed_invoices == 2
    [(residual,)] = connection.execute(
        "select sum(abs(residual)) from finops.invoice_months where invoice_total is not null"
    ).fetchall()
    assert residual == 0


def test_without_the_option_the_sample_is_the_one_it_always_was(tmp_path: Path) -> None:
    """Reports and scores speak of figures of a seed. Who changes these bytes changes what they are about."""
    write_sample_export(tmp_path, days=12, rows_per_day=500, seed=1, last_export_day=LAST_DAY, format="jsonl")

    digest = hashlib.sha256()
    for path in sorted(tmp_path.rglob("*.jsonl")):
        digest.update(path.read_bytes())
    assert digest.hexdigest() == "e2a8c33ee97c5a820903b4132a20b6eebd3d48aed93649668304e6cfa348ce9f"


@pytest.mark.parametrize("times", [0, -1, 51])
def test_what_cannot_be_is_refused_in_plain_words(times: int, tmp_path: Path) -> None:
    """The message says what would work."""
    with pytest.raises(BadRequest, match="1 to 50 times"):
        written(tmp_path, times)
