"""Downloads of the client: whole, or not there."""

from decimal import Decimal
from pathlib import Path
from typing import Literal

import httpx
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq
import pytest

from finops_client import BadQuestion, BrokenDownload, FinOps, Row

from .between import between

FORMATS: tuple[Literal["parquet", "arrow", "csv", "ndjson"], ...] = ("parquet", "arrow", "csv", "ndjson")


def amounts(rows: list[Row]) -> list[tuple[str, Decimal]]:
    """What is compared, whatever the file writes days as."""
    return sorted((row["sku"], Decimal(row["billed_cost"])) for row in rows)


def read(path: Path) -> pa.Table:
    """A file of any format as a table."""
    text = pa.schema([("sku", pa.string()), ("billed_cost", pa.string())])
    match path.suffix:
        case ".parquet":
            return pq.read_table(path)
        case ".arrow":
            return pa.ipc.open_stream(path.read_bytes()).read_all()
        case ".csv":
            return pa.csv.read_csv(path, convert_options=pa.csv.ConvertOptions(column_types=text))
        case _:
            return pa.json.read_json(path, parse_options=pa.json.ParseOptions(explicit_schema=text))


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_has_every_row_of_the_answer(
    finops: FinOps, tmp_path: Path, form: Literal["parquet", "arrow", "csv", "ndjson"]
) -> None:
    """In each format, with how far it can be trusted; and nothing else is left in the folder."""
    answer = finops.costs(start="2026-09-01", end="2026-10-21", granularity="total", group_by="sku")

    path = tmp_path / f"costs.{form}"
    file = finops.export_costs(
        to=path, format=form, start="2026-09-01", end="2026-10-21", granularity="total", group_by="sku"
    )

    assert amounts(read(path).to_pylist()) == amounts(answer.rows)
    assert (file.path, file.size) == (path, path.stat().st_size)
    assert (file.data_version, file.complete_through) == (
        answer.meta["data_version"], answer.meta["complete_through"]
    )  # fmt: skip
    assert file.missing_days == len(answer.meta["missing_days"])
    assert list(tmp_path.iterdir()) == [path]


def test_the_arrow_stream_is_a_table_of_every_row(finops: FinOps) -> None:
    """More than the pages of an answer hold at once, with the same total to the last digit."""
    table = finops.export_costs_arrow(start="2026-09-01", end="2026-10-01", group_by=["project", "sku", "region"])
    answer = finops.costs(start="2026-09-01", end="2026-10-01", granularity="total")

    assert table.num_rows > 5000
    assert table.schema.field("billed_cost").type == pa.decimal128(38, 9)
    by_currency = table.group_by("billing_currency").aggregate([("billed_cost", "sum")]).to_pylist()
    assert {one["billing_currency"]: one["billed_cost_sum"] for one in by_currency} == {
        total["billing_currency"]: total["billed_cost"] for total in answer.totals
    }


@pytest.mark.parametrize("form", FORMATS)
def test_a_transfer_that_breaks_leaves_no_file(
    url: str, tmp_path: Path, form: Literal["parquet", "arrow", "csv", "ndjson"]
) -> None:
    """Half a CSV opens in a spreadsheet and is short; the file of yesterday stays what it was."""
    path = tmp_path / f"costs.{form}"
    path.write_text("yesterday's")
    with between(url) as gateway, FinOps(gateway.url) as finops:
        gateway.cut_after = 1000
        with pytest.raises(BrokenDownload, match="broke off"):
            finops.export_costs(to=path, format=form, window="30d", group_by="sku")

    assert path.read_text() == "yesterday's"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("cut_after", [10, 1000, 50_000])
def test_an_arrow_stream_that_breaks_is_no_table(url: str, cut_after: int) -> None:
    """Also between two batches, where Arrow itself sees nothing missing."""
    with between(url) as gateway, FinOps(gateway.url) as finops:
        gateway.cut_after = cut_after
        with pytest.raises(BrokenDownload):
            finops.export_costs_arrow(window="30d", group_by=["sku", "project", "region"])


def test_what_does_not_say_where_it_ends_is_not_trusted(url: str, tmp_path: Path) -> None:
    """An old proxy ends an answer by hanging up, as a fault would."""
    with between(url) as gateway, FinOps(gateway.url) as finops:
        gateway.says_where_it_ends = False
        with pytest.raises(BrokenDownload, match="does not say where its answer ends"):
            finops.export_costs(to=tmp_path / "costs.csv", format="csv", window="7d")

    assert list(tmp_path.iterdir()) == []


def test_what_is_no_arrow_stream_is_no_table(url: str) -> None:
    """A page of a proxy with status 200."""
    with between(url) as gateway, FinOps(gateway.url) as finops:
        gateway.first = [(200, {"Content-Type": "text/html"}, b"<html>" * 1000)]
        with pytest.raises(BrokenDownload, match="no Arrow stream"):
            finops.export_costs_arrow(window="7d")


def test_a_refusal_leaves_no_file(finops: FinOps, tmp_path: Path) -> None:
    """An export is not compared and has no top; the API says so before a byte is sent."""
    with pytest.raises(BadQuestion, match="leave out `compare`"):
        finops.export_costs(to=tmp_path / "costs.parquet", window="7d", compare="previous")

    assert list(tmp_path.iterdir()) == []


def test_whoever_interrupts_a_download_finds_no_file(url: str, tmp_path: Path) -> None:
    """Ctrl-C in a notebook is no error of ours, and leaves nothing either."""

    class Interrupted(FinOps):
        def __init__(self, url: str) -> None:
            super().__init__(url)
            whole = self._api.pieces

            def pieces(answer: httpx.Response) -> object:
                yield next(whole(answer))
                raise KeyboardInterrupt

            self._api.pieces = pieces  # type: ignore[assignment,method-assign]

    with Interrupted(url) as finops, pytest.raises(KeyboardInterrupt):
        finops.export_costs(to=tmp_path / "costs.csv", format="csv", window="7d")

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_said_before_anything_is_asked(finops: FinOps, tmp_path: Path) -> None:
    """By its own error, which names it."""
    with pytest.raises(FileNotFoundError, match="nowhere"):
        finops.export_costs(to=tmp_path / "nowhere" / "costs.csv", format="csv", window="7d")
