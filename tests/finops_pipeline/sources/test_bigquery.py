"""BigQuery through the unmodified Google clients: what is asked of it, what it costs, and how each refusal is said."""

import socket
import threading
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bqserver import BigQueryServer, Fault, StoredTable

from finops_pipeline.sources.bigquery import Access, BigQuerySource, TableName, patience
from finops_pipeline.sources.contract import BATCH_ROWS
from finops_warehouse.errors import (
    ExportDayVanished,
    FinopsError,
    NoPermission,
    SettingsError,
    SourceError,
    SourceUnreachable,
    UnknownTable,
)

DAY = date(2026, 1, 2)
Charge = Callable[..., dict[str, Any]]
Put = Callable[..., Path]
RowsOf = Callable[..., pa.Table]
Serve = Callable[[Path], BigQueryServer]
SourceAt = Callable[..., BigQuerySource]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 1.0)


@pytest.fixture
def server(charge: Charge, put: Put, bigquery_server: Serve) -> BigQueryServer:
    """A table with two days: 30,000 rows on 2 January and one row on 3 January."""
    path = put([charge(hour) for hour in range(100)])
    pq.write_table(pa.concat_tables([pq.read_table(path, partitioning=None)] * 300), path)
    put([charge(24)], day="2026-01-03")
    return bigquery_server(path.parent.parent)


@pytest.fixture
def large_day(charge: Charge, put: Put) -> Path:
    """300,000 rows on 2 January: more pages than may wait for whoever reads them."""
    path = put([charge(hour) for hour in range(100)])
    pq.write_table(pa.concat_tables([pq.read_table(path, partitioning=None)] * 3000), path)
    return path


def test_reading_a_day_runs_no_job(server: BigQueryServer, source_at: SourceAt, rows_of: RowsOf) -> None:
    """A job bills at least 10 MiB and may queue; reading storage does neither."""
    table = rows_of(source_at(server))

    assert table.num_rows == 30_000
    assert [call.split("/")[0] for call in server.requests] == ["GET ", "CreateReadSession", "ReadRows@0"]


def test_a_stream_that_breaks_is_taken_up_where_it_broke(
    server: BigQueryServer, source_at: SourceAt, rows_of: RowsOf
) -> None:
    """Neither a lost nor a doubled row: both are wrong money."""
    server.plan(Fault("ReadRows", "UNAVAILABLE", times=2, after_rows=8192))

    table = rows_of(source_at(server))

    assert table["cost"].to_pylist() == [0.1 * (hour + 1) for hour in range(100)] * 300
    assert server.requests[-3:] == ["ReadRows@0", "ReadRows@8192", "ReadRows@16384"]


def test_several_streams_hold_every_row_once(server: BigQueryServer, source_at: SourceAt, rows_of: RowsOf) -> None:
    """More streams are faster and come in another order; the charges are the same."""
    table = rows_of(source_at(server, streams=3))

    assert sorted(map(float, table["cost"].to_numpy())) == sorted([0.1 * (hour + 1) for hour in range(100)] * 300)
    assert server.requests.count("ReadRows@0") == 3


def test_leaving_a_read_early_ends_every_stream(large_day: Path, bigquery_server: Serve, source_at: SourceAt) -> None:
    """A load that fails for its own reasons must not leave threads that go on reading what is billed."""
    with source_at(bigquery_server(large_day.parent.parent), streams=3).read(DAY) as opened:
        next(opened.batches)
        assert [thread for thread in threading.enumerate() if thread.name.startswith("storage read")]

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("storage read")]


@pytest.mark.parametrize("streams", [1, 3])
def test_a_reader_that_takes_its_time_is_not_flooded(
    large_day: Path, bigquery_server: Serve, source_at: SourceAt, streams: int
) -> None:
    """However large the day, only a few pages of each stream are decoded ahead of whoever loads it."""
    whole = pq.read_table(large_day, partitioning=None).nbytes
    source = source_at(bigquery_server(large_day.parent.parent), streams=streams)

    before = pa.total_allocated_bytes()
    with source.read(DAY) as opened:
        next(opened.batches)
        time.sleep(1.0)
        assert pa.total_allocated_bytes() - before < whole * 2 / 3
        assert sum(batch.num_rows for batch in opened.batches) == 300_000 - BATCH_ROWS


@pytest.mark.parametrize("mode", ["storage", "query"])
def test_a_table_in_europe_is_asked_there(
    server: BigQueryServer, put: Put, charge: Charge, source_at: SourceAt, rows_of: RowsOf, mode: str
) -> None:
    """A job anywhere else would not find it."""
    folder = put([charge(0)], export="europe").parent.parent
    with BigQueryServer({"acme.billing.export": StoredTable(folder, location="EU")}) as europe:
        source = source_at(europe, mode=mode)
        assert list(source.partitions()) == [DAY]
        assert rows_of(source).num_rows == 1


def test_a_stream_that_keeps_breaking_is_reported(server: BigQueryServer, source_at: SourceAt, rows_of: RowsOf) -> None:
    """Within a minute, not ten: somebody is waiting."""
    server.plan(Fault("ReadRows", "UNAVAILABLE"))

    with pytest.raises(SourceUnreachable, match=r"acme\.billing\.export does not answer"):
        rows_of(source_at(server))


def test_a_stream_broken_for_another_reason_is_reported_while_it_is_read(
    server: BigQueryServer, source_at: SourceAt
) -> None:
    """Also when a part of the day has been handed on already."""
    server.plan(Fault("ReadRows", "INTERNAL", after_rows=24576))

    with source_at(server).read(DAY) as opened:
        assert next(opened.batches).num_rows == BATCH_ROWS
        with pytest.raises(SourceUnreachable):
            list(opened.batches)


def test_a_fingerprint_changes_for_exactly_the_day_whose_rows_did(
    charge: Charge, put: Put, server: BigQueryServer, source_at: SourceAt
) -> None:
    """Late charges land in one ingestion day; only that one is read again."""
    source = source_at(server)
    before = source.partitions()
    assert before == source.partitions()

    put([charge(24), charge(25)], day="2026-01-03")
    put([charge(26)], day="__UNPARTITIONED__")
    after = source.partitions()

    assert list(after) == [date(2026, 1, 2), date(2026, 1, 3)]
    assert after[DAY] == before[DAY]
    assert after[date(2026, 1, 3)] != before[date(2026, 1, 3)]


def test_a_busy_service_is_asked_again(
    server: BigQueryServer, source_at: SourceAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Google asks clients to, and an operator should not have to know."""
    server.plan(Fault(r"GET .*/tables/export", 503, "backendError", times=1))
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 10.0)

    assert len(source_at(server).partitions()) == 2


@pytest.mark.parametrize(
    ("fault", "expected", "said"),
    [
        (Fault("GET", 403, "accessDenied"), NoPermission, r"roles/bigquery\.dataViewer .* dataset billing"),
        (Fault("POST", 403, "accessDenied"), NoPermission, r"roles/bigquery\.jobUser"),
        (Fault("GET", 404, "notFound"), UnknownTable, r"acme\.billing\.export.*BILLING_EXPORT_URL"),
        (Fault("POST", 403, "quotaExceeded"), SourceUnreachable, "quota is used up"),
        (Fault("GET", 503, "backendError"), SourceUnreachable, "does not answer"),
        (Fault("POST", 400, "invalid"), SourceError, "cannot be read"),
    ],
)
def test_each_refusal_of_the_api_says_what_to_do(
    server: BigQueryServer, source_at: SourceAt, fault: Fault, expected: type[FinopsError], said: str
) -> None:
    """The message is all an operator sees."""
    server.plan(fault)

    with pytest.raises(expected, match=said) as refused:
        source_at(server).partitions()
    assert type(refused.value) is expected


@pytest.mark.parametrize(
    ("status", "expected", "said"),
    [
        ("PERMISSION_DENIED", NoPermission, r"roles/bigquery\.readSessionUser"),
        ("NOT_FOUND", UnknownTable, "BILLING_EXPORT_URL"),
        ("RESOURCE_EXHAUSTED", SourceUnreachable, "quota is used up"),
        ("UNAVAILABLE", SourceUnreachable, "does not answer"),
        ("INVALID_ARGUMENT", SourceError, "cannot be read"),
    ],
)
def test_each_refusal_of_storage_read_says_what_to_do(
    server: BigQueryServer, source_at: SourceAt, status: str, expected: type[FinopsError], said: str
) -> None:
    """Storage Read has permissions and quotas of its own."""
    server.plan(Fault("CreateReadSession", status))

    with pytest.raises(expected, match=said) as refused, source_at(server).read(DAY):
        pass
    assert type(refused.value) is expected


def test_a_table_that_is_not_there_is_named(server: BigQueryServer, source_at: SourceAt) -> None:
    """A typing mistake in the URL, most often."""
    with pytest.raises(UnknownTable, match=r"acme\.billing\.exprot"):
        source_at(server, table="exprot").partitions()


def test_a_day_whose_partition_is_gone_is_named(server: BigQueryServer, source_at: SourceAt) -> None:
    """Datasets can let partitions expire; the rows do not come back."""
    with pytest.raises(ExportDayVanished, match="2026-02-01"), source_at(server).read(date(2026, 2, 1)):
        pass


def test_the_one_job_keeps_to_the_bytes_it_may_bill(server: BigQueryServer, source_at: SourceAt) -> None:
    """Whoever sets a cap gets an error that names the cap."""
    with pytest.raises(SettingsError, match="BIGQUERY_MAX_BYTES_BILLED"):
        source_at(server, max_bytes_billed=1).partitions()


def test_a_server_that_is_not_there_is_reported(source_at: SourceAt) -> None:
    """Nobody listens on this port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    access = Access("acme", api_endpoint=f"http://127.0.0.1:{port}", storage_endpoint=f"127.0.0.1:{port}")
    source = BigQuerySource(TableName("acme", "billing", "export"), access)

    with pytest.raises(SourceUnreachable, match="does not answer"):
        source.partitions()


def test_a_machine_without_a_google_identity_is_told_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first thing that goes wrong on a new machine."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))

    with pytest.raises(
        NoPermission, match=r"GOOGLE_APPLICATION_CREDENTIALS .* `gcloud auth application-default login`"
    ):
        BigQuerySource(TableName("acme", "billing", "export"), Access("acme")).partitions()


@pytest.mark.parametrize(
    ("api_endpoint", "storage_endpoint"),
    [
        ("http://10.0.0.1:9050", "127.0.0.1:9060"),
        ("http://127.0.0.1:9050", "bigquery.example.com:443"),
        ("http://127.0.0.1@evil.example:9050", "127.0.0.1:9060"),
        ("http://127.0.0.1:9050", None),
        (None, "127.0.0.1:9060"),
    ],
)
def test_only_this_machine_is_spoken_to_without_credentials(
    api_endpoint: str | None, storage_endpoint: str | None
) -> None:
    """Charges would travel unencrypted, and whoever answers would decide what was spent."""
    with pytest.raises(SettingsError, match="BIGQUERY_"):
        Access("acme", api_endpoint=api_endpoint, storage_endpoint=storage_endpoint)


def test_what_the_test_server_does_not_model_it_refuses(server: BigQueryServer) -> None:
    """A guess in the server would be a proof of nothing."""
    assert server.answer("DELETE /bigquery/v2/projects/acme/datasets/billing/tables/export", {})[0] == 501
