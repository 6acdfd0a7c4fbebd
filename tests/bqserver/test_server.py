"""The BigQuery of our tests, tested: where it said something else than BigQuery, proofs made with it would be none."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core.exceptions import (
    BadRequest,
    Conflict,
    GoogleAPICallError,
    InvalidArgument,
    MethodNotImplemented,
    NotFound,
)
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from bqserver import MINIMUM_BYTES_BILLED, BigQueryServer, StoredTable

FIELDS: list[tuple[str, pa.DataType]] = [
    ("cost", pa.float64()),
    ("units", pa.int64()),
    ("service", pa.struct([("id", pa.string()), ("description", pa.string())])),
    ("credits", pa.list_(pa.struct([("name", pa.string()), ("amount", pa.float64())]))),
]
COLUMNS = pa.schema(FIELDS)
DAY_ONE = [
    {
        "cost": 1.0,
        "units": 1,
        "service": {"id": "a", "description": "Compute"},
        "credits": [{"name": "é", "amount": -1}],
    },
    {"cost": 2.0, "units": 2, "service": {"id": "b", "description": None}, "credits": []},
]
DAY_TWO = [
    {"cost": None, "units": 3, "service": None, "credits": [{"name": "x", "amount": -1}, {"name": "y", "amount": 0}]}
]
ONE_DAY = "_PARTITIONTIME >= TIMESTAMP '2026-01-01' AND _PARTITIONTIME < TIMESTAMP '2026-01-02'"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BigQueryServer]:
    """Two days of a small table, open, and the same one where a filter on partitions is required."""
    for day, rows in (("2026-01-01", DAY_ONE), ("2026-01-02", DAY_TWO)):
        (tmp_path / f"export_day={day}").mkdir()
        pq.write_table(pa.Table.from_pylist(rows, COLUMNS), tmp_path / f"export_day={day}" / "a.parquet")
    tables = {
        "acme.billing.open": StoredTable(tmp_path),
        "acme.billing.guarded": StoredTable(tmp_path, require_partition_filter=True),
    }
    with BigQueryServer(tables) as running:
        yield running


@pytest.fixture
def client(server: BigQueryServer) -> Iterator[bigquery.Client]:
    """Google's own."""
    with connected(server) as running:
        yield running


def connected(server: BigQueryServer) -> bigquery.Client:
    """Google's client, without credentials."""
    return bigquery.Client(
        project="acme",
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": server.api_endpoint},
    )


@pytest.fixture
def processed(client: bigquery.Client) -> Callable[[str], int]:
    """What a dry run of a query says."""
    config = bigquery.QueryJobConfig(dry_run=True)
    return lambda sql: int(client.query(sql, job_config=config).total_bytes_processed)


def value_of(client: bigquery.Client, expression: str) -> object:
    """What one row holds."""
    [row] = client.query(f"SELECT {expression} AS value FROM `acme.billing.open` WHERE units = 1").result()
    return row["value"]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("CAST('0.000024' AS NUMERIC)", Decimal("0.000024")),
        ("EXTRACT(DAYOFWEEK FROM DATE '2026-01-01')", 5),
        ("EXTRACT(DAYOFWEEK FROM DATE '2026-01-04')", 1),
        ("DATE_TRUNC(DATE '2026-01-31', MONTH)", date(2026, 1, 1)),
        ("DATE_TRUNC(DATE '2026-01-31', WEEK(MONDAY))", date(2026, 1, 26)),
        ("_PARTITIONTIME", datetime(2026, 1, 1, tzinfo=UTC)),
        ("DATE(TIMESTAMP '2026-01-01 05:00:00+00', 'America/Los_Angeles')", date(2025, 12, 31)),
        ("(SELECT SUM(c.amount) FROM UNNEST(credits) AS c)", -1.0),
        ("service.description", "Compute"),
    ],
)
def test_an_expression_means_what_it_means_in_bigquery(client: bigquery.Client, expression: str, value: object) -> None:
    """The first four run in DuckDB as they are translated, and are wrong there."""
    found = value_of(client, expression)

    assert found == value
    assert type(found) is type(value)


def test_whole_numbers_are_added_up_to_int64(client: bigquery.Client) -> None:
    """DuckDB makes 128 bits of them, which would arrive as NUMERIC."""
    sql = "SELECT SUM(units) AS total, COUNTIF(units > 1) AS more FROM `acme.billing.open`"
    rows = client.query(sql).result()

    assert [(field.name, field.field_type) for field in rows.schema] == [("total", "INTEGER"), ("more", "INTEGER")]
    assert [tuple(row) for row in rows] == [(6, 2)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT EXTRACT(WEEK FROM DATE '2026-01-04') AS w FROM `acme.billing.open`",
        "SELECT o FROM `acme.billing.open`, UNNEST(credits) WITH OFFSET AS o",
        "SELECT CAST(cost AS BIGNUMERIC) AS c FROM `acme.billing.open`",
        "DELETE FROM `acme.billing.open` WHERE true",
        "SELECT 1 AS a; SELECT 2 AS b",
    ],
)
def test_what_would_be_another_answer_is_no_answer(client: bigquery.Client, sql: str) -> None:
    """A guess in the server would be a proof of nothing."""
    with pytest.raises(MethodNotImplemented):
        client.query(sql, job_retry=None)


# Day one: cost 2 * 8, units 2 * 8, ids 2 * 3, one description of 2 + 7, one credit name of 2 + 2 and its amount of 8.
# Day two: units 8, two credit names of 3 and two amounts of 8; no cost and no service.
@pytest.mark.parametrize(
    ("sql", "size"),
    [
        ("SELECT cost FROM `acme.billing.open`", 16),
        ("SELECT units FROM `acme.billing.open`", 24),
        (f"SELECT units FROM `acme.billing.open` WHERE {ONE_DAY}", 16),
        ("SELECT units FROM `acme.billing.open` WHERE _PARTITIONDATE = '2026-01-02'", 8),
        ("SELECT units FROM `acme.billing.open` WHERE _PARTITIONTIME >= '2026-02-01'", 0),
        ("SELECT units FROM `acme.billing.open` WHERE DATE(_PARTITIONTIME) = '2026-01-02'", 24),
        ("SELECT units FROM `acme.billing.open` WHERE _PARTITIONDATE = '2026-01-02' OR cost > 1", 40),
        ("SELECT COUNT(*) AS n FROM `acme.billing.open`", 0),
        ("SELECT service.id FROM `acme.billing.open`", 6),
        ("SELECT service FROM `acme.billing.open`", 15),
        ("SELECT b.service.description FROM `acme.billing.open` AS b", 9),
        ("SELECT (SELECT SUM(c.amount) FROM UNNEST(credits) AS c) AS credit FROM `acme.billing.open`", 24),
        ("SELECT cost FROM `acme.billing.open` WHERE service.id = 'a'", 22),
        ("WITH t AS (SELECT units AS cost FROM `acme.billing.open`) SELECT cost FROM t", 24),
        (f"SELECT * FROM `acme.billing.open` WHERE {ONE_DAY}", 59),
        (f"SELECT * EXCEPT (credits) FROM `acme.billing.open` WHERE {ONE_DAY}", 47),
    ],
)
def test_a_query_is_priced_by_the_values_it_touches(processed: Callable[[str], int], sql: str, size: int) -> None:
    """By column, by nested field and by partition, counted by hand."""
    assert processed(sql) == size


def test_a_star_does_not_show_the_pseudo_columns(client: bigquery.Client) -> None:
    """And one that is selected needs another name."""
    rows = client.query("SELECT * FROM `acme.billing.open`").result()
    assert [field.name for field in rows.schema] == COLUMNS.names

    with pytest.raises(BadRequest, match="_PARTITIONTIME"):
        client.query("SELECT _PARTITIONTIME FROM `acme.billing.open`")


@pytest.mark.parametrize(
    ("where", "accepted"),
    [
        ("", False),
        ("WHERE cost > 1", False),
        ("WHERE DATE(_PARTITIONTIME) = '2026-01-01'", False),
        (f"WHERE {ONE_DAY}", True),
        ("WHERE _PARTITIONDATE = '2026-01-01' AND cost > 1", True),
    ],
)
def test_a_table_can_refuse_questions_that_prune_nothing(
    processed: Callable[[str], int], server: BigQueryServer, where: str, accepted: bool
) -> None:
    """`require_partition_filter`, for queries and for sessions."""
    sql = f"SELECT units FROM `acme.billing.guarded` {where}"
    if accepted:
        assert processed(sql) > 0
    else:
        with pytest.raises(BadRequest, match="without a filter"):
            processed(sql)


def test_a_dry_run_is_no_job_and_a_run_bills_ten_mebibytes_at_least(
    client: bigquery.Client, processed: Callable[[str], int], server: BigQueryServer
) -> None:
    """The limit is refused in the job's status, and such a job is billed nothing."""
    sql = "SELECT units FROM `acme.billing.open`"
    processed(sql)
    assert server.jobs == []

    client.query(sql, job_config=bigquery.QueryJobConfig(labels={"app": "test"})).result()
    with pytest.raises(GoogleAPICallError, match="bytesBilledLimitExceeded"):
        client.query(sql, job_config=bigquery.QueryJobConfig(maximum_bytes_billed=100)).result()

    assert [job.billed_bytes for job in server.jobs] == [MINIMUM_BYTES_BILLED, 0]
    assert server.jobs[0].labels == {"app": "test"}


def test_a_job_id_is_taken_once(client: bigquery.Client) -> None:
    """And the job under it can be asked for."""
    sql = "SELECT units FROM `acme.billing.open`"
    client.query(sql, job_id="mine", job_retry=None).result()

    with pytest.raises(Conflict):
        client.query(sql, job_id="mine", job_retry=None)
    assert client.get_job("mine").state == "DONE"


def test_a_job_runs_where_its_table_is(tmp_path: Path) -> None:
    """Asked elsewhere, BigQuery knows neither the table nor the job."""
    (tmp_path / "export_day=2026-01-01").mkdir()
    pq.write_table(pa.Table.from_pylist(DAY_ONE, COLUMNS), tmp_path / "export_day=2026-01-01" / "a.parquet")
    with (
        BigQueryServer({"acme.billing.eu": StoredTable(tmp_path, location="EU")}) as server,
        connected(server) as client,
    ):
        job = client.query("SELECT units FROM `acme.billing.eu`", location="EU")

        assert len(list(job.result())) == 2
        with pytest.raises(NotFound):
            client.query("SELECT units FROM `acme.billing.eu`", location="US")
        with pytest.raises(NotFound):
            client.get_job(job.job_id, location="US")


def test_a_result_knows_no_missing_array(client: bigquery.Client) -> None:
    """It is stored like any table, and a column of arrays holds no NULL there."""
    sql = "SELECT IF(units = 1, credits, NULL) AS some FROM `acme.billing.open` WHERE units > 1"

    assert [row["some"] for row in client.query(sql).result()] == [[], []]


def test_results_come_in_pages(client: bigquery.Client, server: BigQueryServer) -> None:
    """As many as asked for, from where asked for, and none while one only waits."""
    sql = "SELECT units FROM `acme.billing.open` ORDER BY 1"

    assert [row["units"] for row in client.query(sql).result(page_size=2)] == [1, 2, 3]
    assert len([name for name in server.requests if "/queries/" in name]) == 2
    assert [row["units"] for row in client.query(sql).result(start_index=1)] == [2, 3]
    assert [row["units"] for row in client.query(sql).result()] == [1, 2, 3]


@pytest.mark.parametrize(
    ("fields", "restriction", "rows"),
    [
        (
            ["service.description"],
            "",
            [{"service": {"description": "Compute"}}, {"service": {"description": None}}, {"service": None}],
        ),
        (["credits.amount"], "cost = 1", [{"credits": [{"amount": -1.0}]}]),
        (["units"], f"{ONE_DAY} AND units > 1", [{"units": 2}]),
    ],
)
def test_a_session_reads_the_fields_and_rows_that_are_asked_for(
    server: BigQueryServer, fields: list[str], restriction: str, rows: list[dict[str, object]]
) -> None:
    """Nested ones too."""
    assert read(server, "open", fields, restriction) == rows


def test_a_session_is_refused_as_a_query_is(server: BigQueryServer) -> None:
    """Without a filter on partitions where one is required."""
    with pytest.raises(InvalidArgument, match="without a filter"):
        read(server, "guarded", ["units"], "units > 1")


def test_what_is_not_modelled_is_refused(server: BigQueryServer) -> None:
    """With a status that no client tries again."""
    assert server.answer("DELETE /bigquery/v2/projects/acme/datasets/billing/tables/open", {})[0] == 501
    with pytest.raises(MethodNotImplemented):
        read(server, "open", ["nothing"], "")


def read(server: BigQueryServer, table: str, fields: list[str], restriction: str) -> list[dict[str, object]]:
    """The rows of one session, through Google's own client."""
    import grpc  # type: ignore[import-untyped]
    from google.cloud.bigquery_storage_v1 import BigQueryReadClient
    from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport
    from google.cloud.bigquery_storage_v1.types.stream import DataFormat, ReadSession

    channel = grpc.insecure_channel(server.storage_endpoint)
    storage = BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))  # type: ignore[no-untyped-call]
    options = ReadSession.TableReadOptions(selected_fields=fields, row_restriction=restriction)
    asked = ReadSession(
        table=f"projects/acme/datasets/billing/tables/{table}", data_format=DataFormat.ARROW, read_options=options
    )
    session = storage.create_read_session(parent="projects/acme", read_session=asked, max_stream_count=1, retry=None)
    schema = pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))
    rows: list[dict[str, object]] = []
    for stream in session.streams:
        for answer in storage.read_rows(stream.name):  # type: ignore[no-untyped-call]
            message = pa.py_buffer(answer.arrow_record_batch.serialized_record_batch)
            rows += pa.ipc.read_record_batch(message, schema).to_pylist()
    channel.close()
    return rows
