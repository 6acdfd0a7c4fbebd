"""A billing export in BigQuery, read straight from the table's storage: a day is one read session and no query job.

The only job is a question about metadata, which days there are and when each last changed. It may bill no more than the
deployment allows. A test server on this machine can stand in for Google, and is spoken to without credentials.

Google's libraries take seconds to import, so they are imported where they are first needed.
"""

import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import date, datetime, timedelta
from ipaddress import ip_address
from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import duckdb
import pyarrow as pa

from finops_pipeline.sources.base import ExportDayRead, OpenPurse, Purse, Spend, TableFacts
from finops_pipeline.sources.contract import BATCH_ROWS, as_contract, conforming_select, connect, refused_value
from finops_warehouse.errors import (
    ExportDayVanished,
    FinopsError,
    NoPermission,
    SettingsError,
    SourceError,
    SourceUnreachable,
    UnknownTable,
)

if TYPE_CHECKING:
    from google.api_core.retry import Retry
    from google.cloud import bigquery
    from google.cloud.bigquery_storage_v1 import BigQueryReadClient
    from google.cloud.bigquery_storage_v1.types.stream import ReadSession

PATIENCE_SECONDS = 45.0
"""How long a failing call is tried again. Google's own ten minutes would leave an operator guessing."""

_PARTITIONS = """
SELECT partition_id, total_rows, last_modified_time
FROM `{project}`.`{dataset}`.INFORMATION_SCHEMA.PARTITIONS
WHERE table_name = @table
"""
_DAY_PARTITION = re.compile(r"\d{8}")
_PROJECT = re.compile(r"[a-z0-9][a-z0-9.:-]*")
_DATASET = re.compile(r"\w+")
_TABLE = re.compile(r"[\w -]+")
_OUT_OF_QUOTA = frozenset({"quotaExceeded", "rateLimitExceeded", "jobRateLimitExceeded"})


class BigQueryStorageSource:
    """`project.dataset.table`, the detailed or standard usage cost export as Google writes it."""

    def __init__(
        self,
        project: str,
        dataset: str,
        table: str,
        *,
        api_endpoint: str | None = None,
        storage_endpoint: str | None = None,
        max_bytes_billed: int = 10 * 2**30,
        max_stream_count: int = 1,
        purse: Purse | None = None,
    ) -> None:
        """`max_stream_count` is how many parts a day is read in; with one, its rows always come in the same order."""
        if not (_PROJECT.fullmatch(project) and _DATASET.fullmatch(dataset) and _TABLE.fullmatch(table)):
            raise SettingsError(
                f"BILLING_EXPORT_URL: {project}.{dataset}.{table} is not the name of a BigQuery table. "
                "Write bigquery://project.dataset.table."
            )
        if bool(api_endpoint) != bool(storage_endpoint):
            # With one alone, half of the questions would go to Google under the machine's own identity.
            raise SettingsError("Set both BIGQUERY_API_ENDPOINT and BIGQUERY_STORAGE_ENDPOINT, or neither.")
        if api_endpoint and storage_endpoint:
            _require_loopback("BIGQUERY_API_ENDPOINT", api_endpoint)
            _require_loopback("BIGQUERY_STORAGE_ENDPOINT", f"grpc://{storage_endpoint}")
        self._project = project
        self._dataset = dataset
        self._table = table
        self._api_endpoint = api_endpoint
        self._storage_endpoint = storage_endpoint
        self._max_bytes_billed = max_bytes_billed
        self._max_stream_count = max_stream_count
        self._purse = purse or OpenPurse()

    @property
    def url(self) -> str:
        """The table as BILLING_EXPORT_URL names it."""
        return f"bigquery://{self._name}"

    def partitions(self) -> Mapping[date, str]:
        """Every day that has rows. The fingerprint is their number and when BigQuery last changed them."""
        with self._our_errors(), closing(self._client()) as client:
            location = self._described_table(client).location
            rows = self._partition_rows(client, location)
        # Rows still in the streaming buffer are listed under __UNPARTITIONED__, and __NULL__ is for rows without a
        # partition. Neither is a day yet: BigQuery moves buffered rows into theirs, and that day then changes.
        days = [row for row in rows if _DAY_PARTITION.fullmatch(row["partition_id"] or "") and row["total_rows"]]
        return {
            datetime.strptime(row["partition_id"], "%Y%m%d").date(): (  # noqa: DTZ007  a day has no zone
                f"{row['total_rows']}@{row['last_modified_time'].isoformat()}"
            )
            for row in sorted(days, key=lambda row: str(row["partition_id"]))
        }

    def facts(self) -> TableFacts:
        """When the table was made and how long it keeps its days."""
        with self._our_errors(), closing(self._client()) as client:
            table = self._described_table(client)
        expiration_ms = table.time_partitioning.expiration_ms
        return TableFacts(table.created, None if expiration_ms is None else timedelta(milliseconds=int(expiration_ms)))

    def estimate(self, export_days: Iterable[date]) -> Spend:
        """The bytes that reading these days would be billed for; opening a session is free."""
        with ExitStack() as opened, self._our_errors():
            client = opened.enter_context(closing(self._client()))
            columns = [field.name for field in self._described_table(client).schema]
            storage = self._storage_client()
            opened.callback(storage.transport.close)
            sessions = (self._session(storage, day, columns) for day in export_days)
            size = sum(int(session.estimated_total_bytes_scanned) for session in sessions)
        return Spend("storage_read", "read export days", None, estimated_bytes=size)

    @contextmanager
    def read(self, export_day: date) -> Iterator[ExportDayRead]:
        """Open one day. Rows that arrive in it afterwards are not part of this read."""
        with ExitStack() as opened:
            connection = opened.enter_context(closing(connect()))
            with self._our_errors():
                with closing(self._client()) as client:
                    columns = [field.name for field in self._described_table(client).schema]
                storage = self._storage_client()
                opened.callback(storage.transport.close)
                session = self._session(storage, export_day, columns)
            size = int(session.estimated_total_bytes_scanned)
            read = Spend("storage_read", "read export day", export_day, estimated_bytes=size, billed_bytes=size)
            self._purse.allow(read)
            opened.callback(self._purse.pay, read)

            schema = _without_wide_decimals(_session_schema(session))
            held = connection.from_arrow(schema.empty_table())
            select = conforming_select(dict(zip(held.columns, held.types, strict=True)), self._place)
            batches = opened.enter_context(
                closing(self._batches(connection, storage, session, schema, select.select_list))
            )
            first = next(batches, None)
            if first is None:
                raise ExportDayVanished(
                    f"{self._place} holds no rows for {export_day}. The dataset may let partitions expire: "
                    "BigQuery deletes them for good."
                )
            yield ExportDayRead(
                chain([first], batches), select.unknown_columns, int(session.estimated_total_bytes_scanned)
            )

    @property
    def _name(self) -> str:
        return f"{self._project}.{self._dataset}.{self._table}"

    @property
    def _place(self) -> str:
        return f"BigQuery table {self._name}"

    def _client(self) -> "bigquery.Client":
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import bigquery

        if self._api_endpoint is None:
            return bigquery.Client(project=self._project)
        return bigquery.Client(
            project=self._project,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": self._api_endpoint},
        )

    def _storage_client(self) -> "BigQueryReadClient":
        import grpc  # type: ignore[import-untyped]
        from google.cloud.bigquery_storage_v1 import BigQueryReadClient
        from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

        if self._storage_endpoint is None:
            return BigQueryReadClient()  # type: ignore[no-untyped-call]
        channel = grpc.insecure_channel(self._storage_endpoint)
        return BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))  # type: ignore[no-untyped-call]

    def _described_table(self, client: "bigquery.Client") -> "bigquery.Table":
        table = client.get_table(self._name, retry=_patient_rest_retry(), timeout=PATIENCE_SECONDS)
        partitioning = table.time_partitioning
        if partitioning is None or partitioning.type_ != "DAY" or partitioning.field is not None:
            raise SettingsError(
                f"BILLING_EXPORT_URL: {self._name} is not partitioned by the day of ingestion, as Google's billing "
                "export is. Name the export's own table, not a view or a copy of it."
            )
        return table

    def _partition_rows(self, client: "bigquery.Client", location: str | None) -> list["bigquery.Row"]:
        from google.cloud import bigquery

        job = client.query(
            _PARTITIONS.format(project=self._project, dataset=self._dataset),
            job_config=bigquery.QueryJobConfig(
                query_parameters=[bigquery.ScalarQueryParameter("table", "STRING", self._table)],
                maximum_bytes_billed=self._max_bytes_billed,
                labels={"app": "finops-intelligence"},
            ),
            location=location,
            retry=_patient_rest_retry(),
            timeout=PATIENCE_SECONDS,
            job_retry=None,
        )
        return list(job.result(retry=_patient_rest_retry(), timeout=PATIENCE_SECONDS, job_retry=None))

    def _session(self, storage: "BigQueryReadClient", export_day: date, columns: list[str]) -> "ReadSession":
        from google.cloud.bigquery_storage_v1.types.arrow import ArrowSerializationOptions
        from google.cloud.bigquery_storage_v1.types.stream import DataFormat, ReadSession

        options = ReadSession.TableReadOptions(
            # All of them by name: those the contract does not know are kept too, in `extra`.
            selected_fields=columns,
            row_restriction=(
                f"_PARTITIONTIME >= TIMESTAMP '{export_day} 00:00:00+00' "
                f"AND _PARTITIONTIME < TIMESTAMP '{export_day + timedelta(days=1)} 00:00:00+00'"
            ),
            arrow_serialization_options=ArrowSerializationOptions(
                buffer_compression=ArrowSerializationOptions.CompressionCodec.LZ4_FRAME
            ),
        )
        return storage.create_read_session(
            parent=f"projects/{self._project}",
            read_session=ReadSession(
                table=f"projects/{self._project}/datasets/{self._dataset}/tables/{self._table}",
                data_format=DataFormat.ARROW,
                read_options=options,
            ),
            max_stream_count=self._max_stream_count,
            retry=_patient_storage_retry(),
            timeout=PATIENCE_SECONDS,
        )

    def _batches(
        self,
        connection: duckdb.DuckDBPyConnection,
        storage: "BigQueryReadClient",
        session: "ReadSession",
        schema: pa.Schema,
        select_list: str,
    ) -> Generator[pa.RecordBatch, None, None]:
        """The session's rows in the contract's schema. Google's client resumes a stream that breaks, at its row."""
        with self._our_errors():
            for rows in _in_equal_parts(_pages(storage, session), schema):
                conformed = connection.from_arrow(rows).project(select_list).to_arrow_table()
                yield from map(as_contract, conformed.combine_chunks().to_batches())

    @contextmanager
    def _our_errors(self) -> Iterator[None]:
        """Whatever Google's libraries raise inside, as one of our errors that says what to do."""
        try:
            yield
        except FinopsError:
            raise
        except Exception as failed:
            ours = self._as_our_error(failed)
            if ours is None:
                raise
            raise ours from failed

    def _as_our_error(self, failed: Exception) -> FinopsError | None:
        """None for what is not about BigQuery, such as a mistake of ours or memory running out."""
        import requests
        from google.api_core import exceptions as api
        from google.auth import exceptions as auth

        if isinstance(failed, duckdb.Error):
            return refused_value(failed, self._place)
        if isinstance(failed, (auth.DefaultCredentialsError, auth.RefreshError)):
            return NoPermission(
                "BigQuery needs a Google identity, and the one of this machine is missing or no longer valid. Set "
                "GOOGLE_APPLICATION_CREDENTIALS to a service account key file, or run "
                f"`gcloud auth application-default login`. {_first_line(failed)}"
            )
        cause = failed.cause if isinstance(failed, api.RetryError) else failed
        refusal = self._refusal(cause)
        if refusal is not None:
            return refusal
        unreachable = (api.RetryError, api.ServerError, auth.TransportError, requests.RequestException, OSError)
        if isinstance(failed, unreachable):
            return SourceUnreachable(
                f"{self._place} does not answer. Check the network and https://status.cloud.google.com; "
                f"it is asked again at the next tick. {_first_line(failed)}"
            )
        if isinstance(failed, api.GoogleAPIError):
            return SourceError(f"{self._place} cannot be read. {_first_line(failed)}")
        return None

    def _refusal(self, failed: BaseException | None) -> FinopsError | None:
        """The error for an answer that says no, whatever status it comes with."""
        from google.api_core import exceptions as api

        reasons = _reasons(failed)
        if reasons & _OUT_OF_QUOTA or isinstance(failed, api.TooManyRequests):
            return SourceUnreachable(
                f"{self._place}: a BigQuery quota is used up. Wait until it renews (daily quotas: midnight Pacific "
                f"time) or raise it in the Google Cloud console under IAM & Admin > Quotas. {_first_line(failed)}"
            )
        if "bytesBilledLimitExceeded" in reasons:
            return SettingsError(
                f"{self._place}: listing its days would bill more than BIGQUERY_MAX_BYTES_BILLED "
                f"({self._max_bytes_billed} bytes). Raise it; BigQuery bills at least 10 MiB for any job."
            )
        if isinstance(failed, api.NotFound):
            return UnknownTable(f"There is no {self._place}. Check BILLING_EXPORT_URL. {_first_line(failed)}")
        if isinstance(failed, (api.Forbidden, api.Unauthorized)):
            return NoPermission(
                f"{self._place} may not be read by this Google identity. Grant it roles/bigquery.dataViewer on the "
                f"dataset {self._dataset}, and roles/bigquery.readSessionUser and roles/bigquery.jobUser on the "
                f"project {self._project}. {_first_line(failed)}"
            )
        return None


def _pages(storage: "BigQueryReadClient", session: "ReadSession") -> Iterator[pa.RecordBatch]:
    schema = _session_schema(session)
    for stream in session.streams:
        # No timeout of ours here: it would be for the whole stream, and a big day takes as long as it takes.
        answers = storage.read_rows(stream.name, retry=_patient_storage_retry())  # type: ignore[no-untyped-call]
        for answer in answers:
            # Decoded here: the client's own decoding is deprecated in favour of a package that brings pandas.
            yield pa.ipc.read_record_batch(pa.py_buffer(answer.arrow_record_batch.serialized_record_batch), schema)


def _session_schema(session: "ReadSession") -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))


def _in_equal_parts(pages: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """The pages' rows, `BATCH_ROWS` at a time: BigQuery's pages are as small as a few hundred rows."""
    waiting: list[pa.RecordBatch] = []
    held = 0
    for page in pages:
        waiting.append(page.cast(schema) if page.schema != schema else page)
        held += page.num_rows
        if held >= BATCH_ROWS:
            table = pa.Table.from_batches(waiting, schema)
            whole = held - held % BATCH_ROWS
            for start in range(0, whole, BATCH_ROWS):
                yield table.slice(start, BATCH_ROWS)
            waiting, held = table.slice(whole).to_batches(), held - whole
    if held:
        yield pa.Table.from_batches(waiting, schema)


def _without_wide_decimals(schema: pa.Schema) -> pa.Schema:
    """`schema` with BIGNUMERIC columns as text: DuckDB has no type that wide, and Google may add such a column."""
    fields = [field.with_type(pa.string()) if pa.types.is_decimal256(field.type) else field for field in schema]
    return pa.schema(fields)


def _patient_rest_retry() -> "Retry":
    from google.cloud.bigquery import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(PATIENCE_SECONDS)


def _patient_storage_retry() -> "Retry":
    from google.api_core.exceptions import ServiceUnavailable
    from google.api_core.retry import Retry, if_exception_type

    return Retry(predicate=if_exception_type(ServiceUnavailable), initial=0.1, maximum=5.0, timeout=PATIENCE_SECONDS)


def _reasons(failed: BaseException | None) -> set[str]:
    errors: list[Any] = getattr(failed, "errors", None) or []
    return {str(error["reason"]) for error in errors if isinstance(error, dict) and "reason" in error}


def _first_line(failed: object) -> str:
    """What Google said, short enough to stand behind our own sentence."""
    return str(failed).strip().split("\n", 1)[0][:300]


def _require_loopback(variable: str, endpoint: str) -> None:
    try:
        host = urlsplit(endpoint).hostname or ""
        loopback = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        # It is spoken to without credentials or encryption: only a test server may be.
        raise SettingsError(f"{variable} may only name this machine (127.0.0.1, [::1] or localhost).")
