"""Google's own FOCUS export as a second witness: its months beside ours, and what is wrong with either is seen."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.road import Export, Road, charge

from finops_pipeline.focus_export import folder_of, take_focus_export
from finops_pipeline.proving import prove
from finops_warehouse.errors import SourceError
from finops_warehouse.identities import Difference, other_than_the_focus_export


def row(cost: float, *, start: str = "2026-08-01T07:00:00Z", currency: str = "USD") -> dict[str, Any]:
    """A row as Google's export has it: costs are floats, and a period begins at midnight in Los Angeles."""
    return {
        "BillingPeriodStart": start,
        "BillingAccountId": "A",
        "BillingCurrency": currency,
        "BilledCost": cost,
        "x_ExportTime": "2026-08-05T01:02:03Z",
        "Tags": [{"key": "team", "value": "a"}],
    }


def parquet(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    """Write a file of a day."""
    file = folder / "export_day=2026-08-05" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), file)


def months(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    """What is kept of the export."""
    return connection.execute(
        "select invoice_month, billing_currency, billed_cost, charge_count "
        "from finops.focus_export_months order by 1, 2"
    ).fetchall()


def test_months_are_added_up_over_every_file(connection: psycopg.Connection, tmp_path: Path) -> None:
    """Parquet and JSONL, an account's currencies apart, the month by the period and not by the day of the file."""
    parquet(tmp_path, "part-0.parquet", [row(0.1), row(0.2), row(5, currency="EUR")])
    parquet(tmp_path, "part-1.parquet", [row(-0.05), row(3, start="2026-09-01T00:00:00Z")])
    (tmp_path / "more.jsonl").write_text(json.dumps(row(0.7)) + "\n")

    assert take_focus_export(connection, tmp_path) == 3
    assert months(connection) == [
        ("202608", "EUR", 5, 1),
        ("202608", "USD", Decimal("0.95"), 4),
        ("202609", "USD", 3, 1),
    ]


def test_files_that_are_as_they_were_are_not_read_again(
    connection: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sensor asks twice a minute; a file that was added is seen."""
    parquet(tmp_path, "part-0.parquet", [row(1)])
    take_focus_export(connection, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("finops_pipeline.focus_export.contract.connect", lambda: pytest.fail("it was read again"))
        assert take_focus_export(connection, tmp_path) == 1

    parquet(tmp_path, "part-1.parquet", [row(2)])
    take_focus_export(connection, tmp_path)

    assert months(connection) == [("202608", "USD", 3, 2)]


def test_an_export_that_cannot_be_right_is_refused_and_the_last_one_stays(
    connection: psycopg.Connection, tmp_path: Path
) -> None:
    """An empty folder, a file without costs, one that is no Parquet: each says which folder and what is missing."""
    with pytest.raises(SourceError, match="holds no Parquet or JSONL"):
        take_focus_export(connection, tmp_path)
    parquet(tmp_path, "part-0.parquet", [row(1)])
    take_focus_export(connection, tmp_path)
    parquet(tmp_path, "part-0.parquet", [{"BilledCost": 1.0}])
    with pytest.raises(SourceError, match="must have the columns BillingPeriodStart"):
        take_focus_export(connection, tmp_path)
    (tmp_path / "bad.parquet").write_bytes(b"not at all")
    with pytest.raises(SourceError, match="cannot be added up"):
        take_focus_export(connection, tmp_path)

    assert months(connection) == [("202608", "USD", 1, 1)]


def test_a_closed_month_is_matched_with_it(export: Export, road: Road, tmp_path: Path) -> None:
    """To the cent: a float's last digits are no difference, a cent is, and an open month is not judged yet."""
    witness = tmp_path / "witness"
    export.write("2026-08-02", [charge(10.1, start="2026-08-01T20:00")])
    export.write("2026-11-24", [charge(5, start="2026-11-23T20:00", month="209901")])
    road.walk()
    open_month = row(4, start="2099-01-01T08:00:00Z")
    parquet(witness, "part-0.parquet", [row(10), row(0.1 + 1e-9), open_month])
    take_focus_export(road.connection, witness)
    assert other_than_the_focus_export(road.connection) == []

    parquet(witness, "part-1.parquet", [row(-0.01)])
    take_focus_export(road.connection, witness)

    [found] = other_than_the_focus_export(road.connection)
    assert found == Difference("months = FOCUS export", "202608 A USD", "10.100000000", "10.090000001")
    proof = prove(road.connection, road.source, "America/Los_Angeles")
    assert proof.differences == (found,)
    assert [(h.compared, h.differing) for h in proof.identities if h.identity == found.identity] == [(1, 1)]
    assert other_than_the_focus_export(road.connection, "202609", "202610") == []


def test_a_url_names_a_folder() -> None:
    """Also one with a space in it."""
    assert folder_of("file:///exports/my%20focus") == Path("/exports/my focus")
