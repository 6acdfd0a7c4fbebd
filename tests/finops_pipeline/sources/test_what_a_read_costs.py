"""A day of a table costs a day's bytes, by storage and by query, and nothing asks for more than it needs."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bqserver import MINIMUM_BYTES_BILLED, BigQueryServer, StoredTable

from finops_pipeline.sources.bigquery import BigQuerySource

TABLE = "acme.billing.export"
DAYS = 90
FIRST_DAY = date(2026, 1, 2)
READ_DAY = FIRST_DAY + timedelta(days=40)


@pytest.fixture
def server(
    charge: Callable[..., dict[str, Any]],
    put: Callable[..., Path],
    bigquery_server: Callable[[StoredTable], BigQueryServer],
) -> BigQueryServer:
    """Ninety days of as many charges each, in a table that takes no question without a filter on its partitions."""
    path = put([charge(hour) for hour in range(100)])
    rows = pq.read_table(path, partitioning=None)
    for day in range(1, DAYS):
        folder = path.parent.parent / f"export_day={FIRST_DAY + timedelta(days=day)}"
        folder.mkdir()
        pq.write_table(rows, folder / "a.parquet")
    return bigquery_server(StoredTable(path.parent.parent, require_partition_filter=True))


def test_a_day_read_from_storage_costs_its_own_bytes_and_no_job(
    server: BigQueryServer, source_at: Callable[..., BigQuerySource], rows_of: Callable[..., pa.Table]
) -> None:
    """Reading the whole table every day would be ninety times the bill."""
    with source_at(server).read(READ_DAY) as opened:
        cost = opened.bytes_read
        rows = sum(batch.num_rows for batch in opened.batches)

    assert rows == 100
    assert 0 < cost * 60 <= server.full_scan_bytes(TABLE)
    assert cost * DAYS == server.full_scan_bytes(TABLE)
    assert not [name for name in server.requests if name.startswith("POST")]
    [session] = [call.asked for call in server.calls if call.name == "CreateReadSession"]
    assert session["row_restriction"].startswith("_PARTITIONTIME >= TIMESTAMP '2026-02-11 00:00:00+00' AND ")
    assert "resource" in session["selected_fields"]


def test_a_day_read_by_query_costs_its_own_bytes(
    server: BigQueryServer, source_at: Callable[..., BigQuerySource], rows_of: Callable[..., pa.Table]
) -> None:
    """The bounds are constants beside the bare column; anything else would read every partition."""
    with source_at(server, mode="query").read(READ_DAY) as opened:
        assert sum(batch.num_rows for batch in opened.batches) == 100

    [job] = server.jobs
    assert MINIMUM_BYTES_BILLED < opened.bytes_read < 2 * MINIMUM_BYTES_BILLED
    assert job.processed_bytes * DAYS == server.full_scan_bytes(TABLE)
    assert job.billed_bytes == MINIMUM_BYTES_BILLED


def test_every_question_filters_partitions(
    server: BigQueryServer, source_at: Callable[..., BigQuerySource], rows_of: Callable[..., pa.Table]
) -> None:
    """The server refuses one that does not, so that all of them pass is the proof."""
    for mode in ("storage", "query"):
        source = source_at(server, mode=mode)
        assert len(source.partitions()) == DAYS
        source.estimate(source.partitions())
        rows_of(source, READ_DAY)

    assert {call.name.split(" ")[0] for call in server.calls} >= {"GET", "POST", "CreateReadSession"}
