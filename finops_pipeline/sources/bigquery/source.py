"""A billing export in BigQuery: which days it holds, and the rows of one of them.

A day is one session of Storage Read and no query job, or, with `mode="query"`, a query whose result is read the same
way. Either names its columns and bounds the partitions it touches. What is billed is asked of the purse before.
"""

import re
import uuid
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain
from time import monotonic
from typing import TYPE_CHECKING, Literal

import duckdb
import pyarrow as pa

from finops_pipeline.sources.base import ExportDayRead, Grain, OpenPurse, Purse, Spend, TableFacts
from finops_pipeline.sources.bigquery import patience
from finops_pipeline.sources.bigquery.access import Access
from finops_pipeline.sources.bigquery.added_up import day_query, unknown_columns
from finops_pipeline.sources.bigquery.guarded_query import MINIMUM_BYTES_BILLED, GuardedQueries, Query
from finops_pipeline.sources.bigquery.refusals import as_our_errors, is_out_of_quota
from finops_pipeline.sources.bigquery.storage_read import OpenedRows, StorageReads
from finops_pipeline.sources.bigquery.table import TableName
from finops_pipeline.sources.contract import BATCH_ROWS, as_contract, as_they_are, conforming_select, connect
from finops_warehouse.errors import ExportDayVanished, SettingsError

if TYPE_CHECKING:
    from google.cloud import bigquery

Mode = Literal["storage", "query"]
"""How the rows of a day are read: straight from the table's storage, or by a query."""

_PARTITIONS = """
SELECT partition_id, total_rows, last_modified_time
FROM `{table.project}`.`{table.dataset}`.INFORMATION_SCHEMA.PARTITIONS
WHERE table_name = @table
"""
_DAYS_WITH_ROWS = """
SELECT _PARTITIONTIME AS export_day, COUNT(*) AS total_rows, MAX(export_time) AS last_export_time
FROM `{table}`
WHERE _PARTITIONTIME >= @start
GROUP BY 1
"""
_ROWS = """
SELECT {columns}
FROM `{table}`
WHERE _PARTITIONTIME >= @start AND _PARTITIONTIME < @end
"""
_DAY_PARTITION = re.compile(r"\d{8}")
_LISTING_SECONDS = 3600.0


@dataclass(frozen=True)
class _Listing:
    """The days of a table, as long as the table is in the state it was in when they were listed."""

    state: tuple[datetime | None, int | None, int | None]
    good_until: float
    days: dict[date, str]


_listings: dict[tuple[TableName, Access], _Listing] = {}
"""For the process: whoever looks for changes twice a minute opens a new source every time."""


class BigQuerySource:
    """`project.dataset.table`, the detailed or standard usage cost export as Google writes it."""

    def __init__(
        self,
        table: TableName,
        access: Access,
        *,
        mode: Mode = "storage",
        streams: int = 1,
        max_bytes_billed: int = 10 * 2**30,
        first_day: date = date(2024, 1, 1),
        purse: Purse | None = None,
        run_label: str | None = None,
        added_up_in: str | None = None,
    ) -> None:
        """`streams` is how many parts a day is read in; with one, its rows always come in the same order.

        With `added_up_in`, the time zone of usage days, BigQuery adds up the hours of a usage day itself, by a query.

        No query bills more than `max_bytes_billed`. Days before `first_day` are not looked for where looking is billed
        by the day.
        """
        purse = OpenPurse() if purse is None else purse
        self._table = table
        self._access = access
        self._mode = mode
        self._first_day = first_day
        self._max_bytes_billed = max_bytes_billed
        self._reads = StorageReads(access, purse, streams)
        self._queries = GuardedQueries(access, purse, max_bytes_billed, run_label)
        self._added_up_in = added_up_in
        self._fingerprints: dict[date, str] = {}

    @property
    def url(self) -> str:
        """The table as BILLING_EXPORT_URL names it. However it is read, it is the same export."""
        return f"bigquery://{self._table}"

    def partitions(self) -> Mapping[date, str]:
        """Every day that has rows. The fingerprint is their number and when BigQuery last changed them.

        A table that says it has not changed since it was last asked is not asked again within the hour: what a table
        says of itself is free, and to list its days is a query.
        """
        with self._our_errors():
            table = self._described()
            state = (table.modified, table.num_rows, table.num_bytes)
            listing = _listings.get((self._table, self._access))
            if listing is None or listing.state != state or monotonic() > listing.good_until:
                listing = _Listing(state, monotonic() + _LISTING_SECONDS, self._asked_partitions(table.location))
                _listings[(self._table, self._access)] = listing
        self._fingerprints = listing.days
        return self._fingerprints

    def facts(self) -> TableFacts:
        """When the table was made and how long it keeps its days."""
        with self._our_errors():
            table = self._described()
        expiration_ms = table.time_partitioning.expiration_ms
        return TableFacts(table.created, None if expiration_ms is None else timedelta(milliseconds=int(expiration_ms)))

    def estimate(self, export_days: Iterable[date]) -> Spend:
        """The bytes that reading these days would be billed for; asking is free.

        By queries, up to 10 MiB more for each further day in a row: each of them is billed for that at least.
        """
        windows = _windows(export_days)
        with self._our_errors():
            table = self._described()
            columns = _column_names(table)
            if self._mode == "storage" and self._added_up_in is None:
                size = sum(
                    self._reads.estimated_bytes(self._table.path, columns, _restriction(start, end))
                    for start, end in windows
                )
                return Spend("storage_read", "read export days", None, estimated_bytes=size)
            size = sum(
                self._queries.estimated_bytes(self._query(table, start, end), table.location)
                + ((end - start).days - 1) * MINIMUM_BYTES_BILLED
                for start, end in windows
            )
            return Spend("query", "read export days", None, estimated_bytes=size)

    @contextmanager
    def read(self, export_day: date) -> Iterator[ExportDayRead]:
        """Open one day. Rows that arrive in it afterwards are not part of this read."""
        with ExitStack() as opened:
            with self._our_errors():
                table = self._described()
                rows = opened.enter_context(self._opened(table, export_day))
            if self._added_up_in is None:
                batches, unknown = self._as_exported(opened, rows)
            else:
                batches, unknown = self._as_added_up(opened, rows), tuple(unknown_columns(table.schema))
            first = next(batches, None)
            if first is None:
                raise ExportDayVanished(
                    f"BigQuery table {self._table} holds no rows for {export_day}. The dataset may let partitions "
                    "expire: BigQuery deletes them for good."
                )
            grain: Grain = "row" if self._added_up_in is None else "day"
            yield ExportDayRead(chain([first], batches), unknown, rows.billed_bytes, grain)

    def _opened(self, table: "bigquery.Table", export_day: date) -> AbstractContextManager[OpenedRows]:
        """The rows of one day as the table has them, or what BigQuery adds them up to."""
        columns = _column_names(table)
        end = export_day + timedelta(days=1)
        if self._mode == "storage" and self._added_up_in is None:
            return self._reads.open(
                self._table.path,
                purpose=f"read {self._table}",
                export_day=export_day,
                columns=columns,
                restriction=_restriction(export_day, end),
            )
        return self._queries.rows(self._query(table, export_day, end), self._reads, table.location)

    def _query(self, table: "bigquery.Table", start: date, end: date) -> Query:
        """Every row of the days from `start` to before `end`, or what their hours add up to."""
        parameters: dict[str, str | date | datetime] = {"start": _midnight(start), "end": _midnight(end)}
        if self._added_up_in is None:
            columns = ", ".join(f"`{column}`" for column in _column_names(table))
            sql = _ROWS.format(table=self._table, columns=columns)
        else:
            sql = day_query(self._table, table.schema)
            parameters["billing_timezone"] = self._added_up_in
        return Query(
            sql,
            parameters,
            purpose=f"{'read' if self._added_up_in is None else 'add up'} {self._table}",
            export_day=start,
            # A day whose content nobody has asked for may be another one by now: its job is never an earlier one.
            occasion=self._fingerprints.get(start) or uuid.uuid4().hex,
        )

    def _asked_partitions(self, location: str | None) -> dict[date, str]:
        from google.api_core.exceptions import Forbidden

        try:
            return self._listed_partitions(location)
        except Forbidden as refused:
            if is_out_of_quota(refused):
                raise
            # Some organisations keep metadata views to themselves. The rows can be counted too, a column wide.
            return self._counted_partitions(location)

    def _listed_partitions(self, location: str | None) -> dict[date, str]:
        rows = self._queries.few_rows(
            Query(
                _PARTITIONS.format(table=self._table),
                {"table": self._table.table},
                purpose=f"list the days of {self._table}",
                export_day=None,
                occasion=uuid.uuid4().hex,
            ),
            location,
        )
        # Rows still in the streaming buffer are listed under __UNPARTITIONED__, and __NULL__ is for rows without a
        # partition. Neither is a day yet: BigQuery moves buffered rows into theirs, and that day then changes.
        days = [row for row in rows if _DAY_PARTITION.fullmatch(row["partition_id"] or "") and row["total_rows"]]
        return {
            datetime.strptime(row["partition_id"], "%Y%m%d").date(): (  # noqa: DTZ007  a day has no zone
                f"{row['total_rows']}@{row['last_modified_time'].isoformat()}"
            )
            for row in sorted(days, key=lambda row: str(row["partition_id"]))
        }

    def _counted_partitions(self, location: str | None) -> dict[date, str]:
        """The days from their rows: a fingerprint says how many there are and when the last of them was exported."""
        rows = self._queries.few_rows(
            Query(
                _DAYS_WITH_ROWS.format(table=self._table),
                {"start": _midnight(self._first_day)},
                purpose=f"count the days of {self._table}",
                export_day=None,
                occasion=uuid.uuid4().hex,
            ),
            location,
        )
        return {
            row["export_day"].date(): f"counted {row['total_rows']}@{row['last_export_time'].isoformat()}"
            for row in sorted(rows, key=lambda row: row["export_day"])
        }

    def _described(self) -> "bigquery.Table":
        """What BigQuery says of the table, for nothing."""
        with closing(self._access.client()) as client:
            table = client.get_table(str(self._table), retry=patience.rest_retry(), timeout=patience.PATIENCE_SECONDS)
        partitioning = table.time_partitioning
        if partitioning is None or partitioning.type_ != "DAY" or partitioning.field is not None:
            raise SettingsError(
                f"BILLING_EXPORT_URL: {self._table} is not partitioned by the day of ingestion, as Google's billing "
                "export is. Name the export's own table, not a view or a copy of it."
            )
        return table

    def _as_exported(self, opened: ExitStack, rows: OpenedRows) -> tuple[Iterator[pa.RecordBatch], tuple[str, ...]]:
        """The rows in the contract's schema, and the columns that it does not know."""
        connection = opened.enter_context(closing(connect()))
        schema = _without_wide_decimals(rows.schema)
        held = connection.from_arrow(schema.empty_table())
        select = conforming_select(dict(zip(held.columns, held.types, strict=True)), f"BigQuery table {self._table}")
        batches = opened.enter_context(closing(self._conformed(connection, rows, schema, select.select_list)))
        return batches, select.unknown_columns

    def _as_added_up(self, opened: ExitStack, rows: OpenedRows) -> Iterator[pa.RecordBatch]:
        """The rows as the query names and types them."""

        def batches() -> Generator[pa.RecordBatch, None, None]:
            with self._our_errors():
                for part in _in_equal_parts(rows.pages, rows.schema):
                    yield from part.combine_chunks().to_batches()

        return opened.enter_context(closing(batches()))

    def _conformed(
        self, connection: duckdb.DuckDBPyConnection, opened: OpenedRows, schema: pa.Schema, select_list: str
    ) -> Generator[pa.RecordBatch, None, None]:
        """The rows in the contract's schema."""
        with self._our_errors():
            for rows in _in_equal_parts(opened.pages, schema):
                conformed = as_they_are(rows)
                if conformed is None:
                    conformed = connection.from_arrow(rows).project(select_list).to_arrow_table()
                yield from map(as_contract, conformed.combine_chunks().to_batches())

    def _our_errors(self) -> AbstractContextManager[None]:
        return as_our_errors(self._table, self._access, self._max_bytes_billed)


def _column_names(table: "bigquery.Table") -> list[str]:
    # All of them by name: those the contract does not know are kept too, in `extra`.
    return [field.name for field in table.schema]


def _restriction(start: date, end: date) -> str:
    """The days from `start` to before `end`. A function around the column would keep BigQuery from pruning by it."""
    return f"_PARTITIONTIME >= TIMESTAMP '{start} 00:00:00+00' AND _PARTITIONTIME < TIMESTAMP '{end} 00:00:00+00'"


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _windows(days: Iterable[date]) -> list[tuple[date, date]]:
    """Runs of consecutive days, each from its first to before its end: one question is enough for each."""
    windows: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if windows and windows[-1][1] == day:
            windows[-1] = (windows[-1][0], day + timedelta(days=1))
        else:
            windows.append((day, day + timedelta(days=1)))
    return windows


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
