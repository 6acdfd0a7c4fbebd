"""Reading by guarded queries: what is asked of BigQuery, what it may cost, and who is asked before."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from bqserver import MINIMUM_BYTES_BILLED, BigQueryServer, Fault, StoredTable

from finops_pipeline.sources.base import Spend
from finops_pipeline.sources.bigquery import BigQuerySource, patience
from finops_warehouse.errors import BudgetReached, NoPermission, SettingsError

DAY = date(2026, 1, 2)
NEXT_DAY = date(2026, 1, 3)
Charge = Callable[..., dict[str, Any]]
Put = Callable[..., Path]
RowsOf = Callable[..., pa.Table]
SourceAt = Callable[..., BigQuerySource]


@dataclass
class Book:
    """A purse that writes everything down, and refuses what is planned above a limit."""

    limit: int = 10**15
    planned: list[Spend] = field(default_factory=list)
    paid: list[Spend] = field(default_factory=list)

    def allow(self, planned: Spend) -> None:
        """Raises `BudgetReached` above the limit."""
        self.planned.append(planned)
        if planned.estimated_bytes > self.limit:
            raise BudgetReached("too much")

    def pay(self, done: Spend) -> None:
        """Keep it."""
        self.paid.append(done)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 1.0)


@pytest.fixture
def server(charge: Charge, put: Put, bigquery_server: Callable[..., BigQueryServer]) -> BigQueryServer:
    """Two days of a table that refuses to be read without a filter on its partitions."""
    put([charge(hour) for hour in range(20)])
    path = put([charge(24)], day="2026-01-03")
    return bigquery_server(StoredTable(path.parent.parent, require_partition_filter=True))


def test_a_day_is_one_query_with_bound_partitions_and_named_columns(
    server: BigQueryServer, source_at: SourceAt, rows_of: RowsOf
) -> None:
    """What BigQuery prunes by is a plain comparison with a constant, and a star would bill columns nobody knows of."""
    table = rows_of(source_at(server, mode="query"))

    [job] = server.jobs
    query = job.resource["configuration"]["query"]
    values = {one["name"]: one["parameterValue"]["value"] for one in query["queryParameters"]}
    assert table.num_rows == 20
    assert "WHERE _PARTITIONTIME >= @start AND _PARTITIONTIME < @end" in query["query"]
    assert "*" not in query["query"]
    assert {name: datetime.fromisoformat(value) for name, value in values.items()} == {
        "start": datetime(2026, 1, 2, tzinfo=UTC),
        "end": datetime(2026, 1, 3, tzinfo=UTC),
    }


def test_a_query_is_tried_dry_then_asked_for_then_run_then_paid(
    server: BigQueryServer, source_at: SourceAt, rows_of: RowsOf
) -> None:
    """In this order, nothing can be billed that the budget has not seen."""
    purse = Book()

    rows_of(source_at(server, mode="query", purse=purse, run_label="Run 7"))

    names = [call.name.replace("/bigquery/v2/projects/acme/", "").split("/finops_")[0] for call in server.calls]
    assert names == [
        "GET datasets/billing/tables/export",
        "POST jobs (dry run)",
        "POST jobs",
        "GET jobs",
        "GET queries",
        "CreateReadSession",
        "ReadRows@0",
    ]
    [job] = server.jobs
    assert job.labels == {
        "app": "finops-intelligence",
        "purpose": "read-acme-billing-export",
        "export_day": "2026-01-02",
        "run": "run-7",
    }
    assert [(spend.kind, spend.export_day) for spend in purse.planned] == [("query", DAY), ("storage_read", DAY)]
    query, fetched = purse.paid
    assert (query.estimated_bytes, query.billed_bytes) == (MINIMUM_BYTES_BILLED, job.billed_bytes)
    assert (query.slot_ms, query.job_id) == (1, job.id)
    assert fetched.billed_bytes == fetched.estimated_bytes > 0


def test_a_query_may_bill_little_more_than_it_was_estimated(
    server: BigQueryServer, source_at: SourceAt, rows_of: RowsOf
) -> None:
    """Rows may arrive in between; a table ten times as large is another question."""
    rows_of(source_at(server, mode="query"))
    rows_of(source_at(server, mode="query", max_bytes_billed=MINIMUM_BYTES_BILLED))

    assert [job.maximum_bytes_billed for job in server.jobs] == [
        int(1.2 * MINIMUM_BYTES_BILLED),
        MINIMUM_BYTES_BILLED,
    ]


@pytest.mark.parametrize("mode", ["query", "storage"])
def test_what_the_purse_refuses_is_not_begun(server: BigQueryServer, source_at: SourceAt, mode: str) -> None:
    """Neither a job nor a row: the budget is for what is billed, and both are."""
    purse = Book(limit=10)

    with pytest.raises(BudgetReached), source_at(server, mode=mode, purse=purse).read(DAY):
        pass

    assert server.jobs == []
    assert not [name for name in server.requests if name.startswith("ReadRows")]
    assert purse.paid == []


def test_the_days_of_a_table_are_asked_for_under_the_same_guard(server: BigQueryServer, source_at: SourceAt) -> None:
    """The sensor asks all day long: it is the small bill that nobody looks at."""
    purse = Book()

    source_at(server, purse=purse).partitions()

    [job] = server.jobs
    assert [(spend.purpose, spend.job_id) for spend in purse.paid] == [("list the days of acme.billing.export", job.id)]
    assert purse.paid[0].billed_bytes == MINIMUM_BYTES_BILLED


def test_a_table_that_has_not_changed_is_not_listed_again(
    charge: Charge, put: Put, server: BigQueryServer, source_at: SourceAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it says of itself is free; ten mebibytes twice a minute are a bill. Once an hour it is asked anyway."""
    first = source_at(server).partitions()
    assert source_at(server).partitions() == first
    assert len(server.jobs) == 1

    put([charge(24), charge(25)], day="2026-01-03")
    assert source_at(server).partitions() != first
    assert len(server.jobs) == 2

    hour_later = time.monotonic() + 3601
    monkeypatch.setattr("finops_pipeline.sources.bigquery.source.monotonic", lambda: hour_later)
    source_at(server).partitions()
    assert len(server.jobs) == 3


def test_a_read_that_breaks_off_is_paid_for_as_far_as_it_came(
    charge: Charge, put: Put, bigquery_server: Callable[..., BigQueryServer], source_at: SourceAt
) -> None:
    """BigQuery bills what it has returned, whatever became of it."""
    path = put([charge(hour % 100) for hour in range(32_768)])
    server = bigquery_server(path.parent.parent)
    server.plan(Fault("ReadRows", "INTERNAL", after_rows=16_384))
    purse = Book()

    with pytest.raises(Exception, match="does not answer"), source_at(server, purse=purse).read(DAY) as opened:
        list(opened.batches)

    [spend] = purse.paid
    assert spend.billed_bytes == -(-spend.estimated_bytes // 2)


def test_a_query_sent_again_is_the_same_job(server: BigQueryServer, source_at: SourceAt, rows_of: RowsOf) -> None:
    """A process that was killed after its query had run finds the result instead of paying again."""
    for _ in range(2):
        source = source_at(server, mode="query")
        source.partitions()
        assert rows_of(source).num_rows == 20

    assert len([job for job in server.jobs if "start" in str(job.resource)]) == 1


def test_a_job_that_failed_is_not_taken_up_again(server: BigQueryServer, source_at: SourceAt, rows_of: RowsOf) -> None:
    """Whoever raises the cap that refused a query gets its rows, under the next id."""
    source_at(server).partitions()
    refused = source_at(server, mode="query", max_bytes_billed=1)
    refused.partitions()
    with pytest.raises(SettingsError), refused.read(DAY):
        pass

    raised = source_at(server, mode="query")
    raised.partitions()
    assert rows_of(raised).num_rows == 20

    _, failed, again = server.jobs
    assert failed.id.removesuffix("_0") == again.id.removesuffix("_1")


def test_a_day_that_changed_is_another_job(
    charge: Charge, put: Put, server: BigQueryServer, source_at: SourceAt, rows_of: RowsOf
) -> None:
    """The result of yesterday's query would be yesterday's money."""
    source = source_at(server, mode="query")
    source.partitions()
    assert rows_of(source).num_rows == 20

    put([charge(hour) for hour in range(21)])
    source.partitions()
    assert rows_of(source).num_rows == 21


def test_a_day_nobody_has_listed_is_always_read_anew(
    charge: Charge, put: Put, server: BigQueryServer, source_at: SourceAt, rows_of: RowsOf
) -> None:
    """Without a fingerprint nothing says that an earlier result still holds."""
    assert rows_of(source_at(server, mode="query")).num_rows == 20
    put([charge(hour) for hour in range(21)])
    assert rows_of(source_at(server, mode="query")).num_rows == 21


def test_metadata_that_is_refused_is_counted_from_the_rows(
    charge: Charge, put: Put, server: BigQueryServer, source_at: SourceAt
) -> None:
    """One column, within bounds, and with fingerprints that are not taken for the others."""
    server.plan(Fault(r"POST .*dry run", 403, "accessDenied", times=1))
    source = source_at(server)

    counted = source.partitions()

    [job] = server.jobs
    assert "WHERE _PARTITIONTIME >= @start" in job.resource["configuration"]["query"]["query"]
    assert job.processed_bytes == 21 * 8
    assert list(counted) == [DAY, NEXT_DAY]
    assert counted[DAY].startswith("counted 20@2026-01-0")
    put([charge(24), charge(25)], day="2026-01-03")
    assert source_at(server).partitions()[DAY] != counted[DAY]


def test_a_table_that_may_not_be_read_at_all_is_said_so(server: BigQueryServer, source_at: SourceAt) -> None:
    """Counting is refused as well, and that refusal is the one to show."""
    server.plan(Fault("POST", 403, "accessDenied"))

    with pytest.raises(NoPermission, match=r"roles/bigquery\.jobUser"):
        source_at(server).partitions()
    assert len([name for name in server.requests if name.startswith("POST")]) == 2


def test_a_query_over_the_cap_is_refused_by_bigquery_and_costs_nothing(
    server: BigQueryServer, source_at: SourceAt
) -> None:
    """Whoever sets a cap gets an error that names the cap."""
    purse = Book()

    with (
        pytest.raises(SettingsError, match="BIGQUERY_MAX_BYTES_BILLED"),
        source_at(server, mode="query", max_bytes_billed=1, purse=purse).read(DAY),
    ):
        pass

    assert [spend.billed_bytes for spend in purse.paid] == [0]


@pytest.mark.parametrize("mode", ["storage", "query"])
def test_an_estimate_runs_no_job_and_asks_once_for_days_in_a_row(
    server: BigQueryServer, source_at: SourceAt, mode: str
) -> None:
    """A year of days is one question, and asking is free."""
    source = source_at(server, mode=mode)

    both = source.estimate([DAY, NEXT_DAY])
    asked = len(server.requests)
    one = source.estimate([DAY])

    assert server.jobs == []
    assert asked == 2
    assert both.estimated_bytes > one.estimated_bytes > 0
    if mode == "query":
        assert (both.estimated_bytes, one.estimated_bytes) == (2 * MINIMUM_BYTES_BILLED, MINIMUM_BYTES_BILLED)
