"""What goes wrong at Google, one row each: how often it is asked again, and how it ends.

The number of requests matters as much as the outcome. A quota that is used up is asked once; a busy service within a
deadline; a stream goes on at its row; and a result that expired is asked for as a whole, never completed.
"""

import re
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bqserver import BigQueryServer, Fault

from finops_pipeline.sources.bigquery import Access, BigQuerySource, Mode, TableName, guarded_query, patience
from finops_warehouse.errors import (
    FinopsError,
    SettingsError,
    SourceError,
    SourceUnreachable,
    UnknownTable,
)

DAY = date(2026, 1, 2)
ROWS = 30_000
DRY_RUN = r"POST .*\(dry run\)$"
INSERT = r"POST .*/jobs$"
JOB = r"GET .*/jobs/finops_"
RESULTS = r"GET .*/queries/finops_"


@dataclass(frozen=True)
class Row:
    """One row of the matrix."""

    about: str
    fault: Fault | None
    asked: Mapping[str, int]
    """How many requests have such a name, when all is over."""
    does: Literal["read", "list"] = "read"
    mode: Mode = "storage"
    error: type[FinopsError] | None = None
    said: str = ""
    patience: float = 20.0
    options: Mapping[str, Any] = field(default_factory=dict)


MATRIX = [
    Row(
        "a busy service takes a job at the third attempt",
        Fault(INSERT, 503, "backendError", times=2),
        {DRY_RUN: 1, INSERT: 3, RESULTS: 1},
        mode="query",
    ),
    Row(
        "a busy service gives results at the third attempt",
        Fault(RESULTS, 503, "backendError", times=2),
        {INSERT: 1, RESULTS: 3},
        mode="query",
    ),
    Row(
        "a rate limit is waited for",
        Fault(INSERT, 403, "rateLimitExceeded", times=1),
        {DRY_RUN: 1, INSERT: 2},
        does="list",
    ),
    Row(
        "a healthy job is asked again when asking was too fast",
        Fault(RESULTS, 400, "jobRateLimitExceeded", times=1),
        {INSERT: 1, RESULTS: 2},
        does="list",
    ),
    Row(
        "a quota that is used up is asked once",
        Fault(DRY_RUN, 403, "quotaExceeded"),
        {DRY_RUN: 1, INSERT: 0},
        does="list",
        error=SourceUnreachable,
        said="quota is used up",
    ),
    Row(
        "a quota used up between the question and the job is asked once",
        Fault(INSERT, 403, "quotaExceeded"),
        {DRY_RUN: 1, INSERT: 1, JOB: 0},
        mode="query",
        error=SourceUnreachable,
        said="quota is used up",
    ),
    Row(
        "a job that expired before its first page is run again as a whole",
        Fault(RESULTS, 404, "notFound", times=1),
        {DRY_RUN: 2, INSERT: 2, RESULTS: 2, "CreateReadSession": 1},
        mode="query",
    ),
    Row(
        "a result that expired before it was opened is asked for again as a whole",
        Fault("CreateReadSession", "NOT_FOUND", times=1),
        {DRY_RUN: 2, INSERT: 2, "CreateReadSession": 2, "ReadRows": 1},
        mode="query",
    ),
    Row(
        "a result that expires while it is read is not completed from another",
        Fault("ReadRows", "NOT_FOUND", after_rows=8192),
        {INSERT: 1, "CreateReadSession": 1, "ReadRows": 1},
        mode="query",
        error=SourceUnreachable,
        said="read again from its start",
    ),
    Row(
        "a table that is not there is asked for once",
        Fault("GET .*/tables/", 404, "notFound"),
        {"": 1},
        error=UnknownTable,
        said=r"acme\.billing\.export",
    ),
    Row(
        "a query BigQuery does not understand is sent once",
        Fault(DRY_RUN, 400, "invalidQuery"),
        {DRY_RUN: 1, INSERT: 0},
        mode="query",
        error=SourceError,
        said="cannot be read",
    ),
    Row(
        "a query over its limit is begun once, refused in the job's status and asked no more",
        None,
        {DRY_RUN: 1, INSERT: 1, JOB: 1, RESULTS: 0},
        mode="query",
        error=SettingsError,
        said="BIGQUERY_MAX_BYTES_BILLED",
        options={"max_bytes_billed": 1},
    ),
    Row(
        "an internal error is given up when our patience ends, not Google's",
        Fault(INSERT, 500, "internalError"),
        {DRY_RUN: 1, JOB: 0},
        does="list",
        error=SourceUnreachable,
        said="does not answer",
        patience=1.0,
    ),
    Row(
        "a session that cannot be opened is tried again",
        Fault("CreateReadSession", "UNAVAILABLE", times=2),
        {"CreateReadSession": 3, "ReadRows": 1},
    ),
    Row(
        "a stream that breaks twice goes on at its row",
        Fault("ReadRows", "UNAVAILABLE", times=2, after_rows=8192),
        {"CreateReadSession": 1, "ReadRows@0$": 1, "ReadRows@8192$": 1, "ReadRows@16384$": 1, "ReadRows": 3},
    ),
    Row(
        "a stream that the network resets goes on at its row",
        Fault("ReadRows", "INTERNAL", "Received RST_STREAM with error code 2,", times=1, after_rows=16384),
        {"CreateReadSession": 1, "ReadRows@0$": 1, "ReadRows@16384$": 1, "ReadRows": 2},
    ),
    Row(
        "the result of a query goes on at its row too",
        Fault("ReadRows", "UNAVAILABLE", times=1, after_rows=8192),
        {INSERT: 1, "CreateReadSession": 1, "ReadRows@8192$": 1, "ReadRows": 2},
        mode="query",
    ),
    Row(
        "any other internal error ends the read",
        Fault("ReadRows", "INTERNAL", after_rows=8192),
        {"CreateReadSession": 1, "ReadRows": 1},
        error=SourceUnreachable,
        said="does not answer",
    ),
    Row(
        "a stream quota that is used up is asked once",
        Fault("ReadRows", "RESOURCE_EXHAUSTED"),
        {"CreateReadSession": 1, "ReadRows": 1},
        error=SourceUnreachable,
        said="quota is used up",
    ),
    Row(
        "a table that storage does not know is asked for once",
        Fault("CreateReadSession", "NOT_FOUND"),
        {"CreateReadSession": 1, "ReadRows": 0},
        error=UnknownTable,
        said="BILLING_EXPORT_URL",
    ),
]


@pytest.fixture
def server(
    charge: Callable[..., dict[str, Any]],
    put: Callable[..., Path],
    bigquery_server: Callable[[Path], BigQueryServer],
) -> BigQueryServer:
    """A day of 30,000 rows, which are four messages of a stream."""
    path = put([charge(hour) for hour in range(100)])
    pq.write_table(pa.concat_tables([pq.read_table(path, partitioning=None)] * (ROWS // 100)), path)
    return bigquery_server(path.parent.parent)


def requests_by_name(server: BigQueryServer, names: Mapping[str, int]) -> dict[str, int]:
    """How many requests had each of these names."""
    return {name: sum(bool(re.match(name, request)) for request in server.requests) for name in names}


@pytest.mark.parametrize("row", MATRIX, ids=[row.about.replace(" ", "_") for row in MATRIX])
def test_what_goes_wrong_is_asked_so_often_and_ends_so(
    row: Row,
    server: BigQueryServer,
    source_at: Callable[..., BigQuerySource],
    rows_of: Callable[..., pa.Table],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither a request too many, nor a row too few."""
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", row.patience)
    source = source_at(server, mode=row.mode, **row.options)
    if row.fault is not None:
        server.plan(row.fault)

    started = time.monotonic()
    if row.error is not None:
        with pytest.raises(row.error, match=row.said) as ended:
            rows_of(source) if row.does == "read" else source.partitions()
        assert type(ended.value) is row.error
    elif row.does == "read":
        table = rows_of(source)
        assert table["cost"].to_pylist() == [0.1 * (hour + 1) for hour in range(100)] * (ROWS // 100)
    else:
        assert list(source.partitions()) == [DAY]

    assert requests_by_name(server, row.asked) == row.asked
    assert time.monotonic() - started < row.patience + 3


def test_a_job_whose_answer_was_lost_is_found_again(
    server: BigQueryServer,
    source_at: Callable[..., BigQuerySource],
    rows_of: Callable[..., pa.Table],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It runs and is billed, whether or not its answer came through: the next attempt is told that it exists."""
    answer = server.answer
    lost: list[str] = []

    def lose_the_first(
        call: str, body: dict[str, Any], asked: Mapping[str, str], authorization: str | None
    ) -> tuple[int, dict[str, Any]]:
        status, said = answer(call, body, asked, authorization)
        if re.match(INSERT, call) and server.jobs and not lost:
            lost.append(call)
            return 503, {"error": {"code": 503, "message": "lost", "errors": [{"reason": "backendError"}]}}
        return status, said

    monkeypatch.setattr(server, "answer", lose_the_first)

    assert rows_of(source_at(server, mode="query")).num_rows == ROWS
    assert len(server.jobs) == 1
    assert requests_by_name(server, {INSERT: 2}) == {INSERT: 2}


def test_a_listing_that_expires_between_pages_is_asked_for_again_as_a_whole(
    charge: Callable[..., dict[str, Any]],
    put: Callable[..., Path],
    server: BigQueryServer,
    source_at: Callable[..., BigQuerySource],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second half of another job's rows would be days twice, or not at all."""
    for day in ("2026-01-03", "2026-01-04"):
        put([charge(0)], day=day)
    monkeypatch.setattr(guarded_query, "_ROWS_AT_ONCE", 2)
    answer = server.answer

    def expire_after_the_first_page(
        call: str, body: dict[str, Any], asked: Mapping[str, str], authorization: str | None
    ) -> tuple[int, dict[str, Any]]:
        status, said = answer(call, body, asked, authorization)
        if "pageToken" in said and len(server.jobs) == 1:
            server.plan(Fault(RESULTS, 404, "notFound", times=1))
        return status, said

    monkeypatch.setattr(server, "answer", expire_after_the_first_page)

    assert len(source_at(server).partitions()) == 3
    assert requests_by_name(server, {INSERT: 2, RESULTS: 4}) == {INSERT: 2, RESULTS: 4}


def test_a_dead_port_is_given_up_within_our_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens there; left alone, Google's client would try for ten minutes."""
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 1.0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    access = Access("acme", api_endpoint=f"http://127.0.0.1:{port}", storage_endpoint=f"127.0.0.1:{port}")

    started = time.monotonic()
    with pytest.raises(SourceUnreachable, match="does not answer"):
        BigQuerySource(TableName("acme", "billing", "export"), access).partitions()
    assert time.monotonic() - started < 4
