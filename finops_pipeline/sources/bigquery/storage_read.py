"""Rows by Storage Read: a session of a table's columns and partitions, in Arrow, with no query job.

Several streams are read side by side, each by a thread of its own. What they have decoded waits in a queue that holds
little, so a day takes as much memory whatever its size. A stream that breaks is taken up by Google's client at the row
it broke at.
"""

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from queue import Empty, Queue
from typing import TYPE_CHECKING

import pyarrow as pa

from finops_pipeline.sources.base import Purse, Spend
from finops_pipeline.sources.bigquery import patience
from finops_pipeline.sources.bigquery.access import Access
from finops_warehouse.errors import SourceUnreachable

if TYPE_CHECKING:
    from google.cloud.bigquery_storage_v1 import BigQueryReadClient
    from google.cloud.bigquery_storage_v1.types.stream import ReadSession

_PAGES_WAITING = 4
"""Decoded pages that may wait for each stream. BigQuery's are of a few hundred to some thousand rows."""


@dataclass(frozen=True)
class OpenedRows:
    """Rows being read. `pages` can be consumed once, inside the `with` block it came from."""

    schema: pa.Schema
    pages: Iterator[pa.RecordBatch]
    billed_bytes: int
    """What they are billed for when they are read to the end."""


@dataclass(frozen=True)
class StorageReads:
    """Storage Read under one identity, paid from one purse."""

    access: Access
    purse: Purse
    streams: int = 1
    """In how many parts a table is read. With one, its rows always come in the same order."""

    def estimated_bytes(self, table: str, columns: Sequence[str], restriction: str) -> int:
        """What reading would be billed for; to open a session is free."""
        storage = self.access.storage_client()
        with closing(storage.transport):
            session = self._session(storage, table, columns, restriction)
        return int(session.estimated_total_bytes_scanned)

    @contextmanager
    def open(
        self,
        table: str,
        *,
        purpose: str,
        export_day: date | None,
        columns: Sequence[str] = (),
        restriction: str = "",
    ) -> Iterator[OpenedRows]:
        """Rows of `table` (`projects/…/tables/…`): all columns when none are named.

        Rows that arrive in the table afterwards are not among them. Raises `BudgetReached` before anything is read.
        """
        storage = self.access.storage_client()
        with ExitStack() as opened:
            opened.callback(storage.transport.close)
            session = self._session(storage, table, columns, restriction)
            schema = pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))
            estimated = int(session.estimated_total_bytes_scanned)
            planned = Spend("storage_read", purpose, export_day, estimated_bytes=estimated)
            self.purse.allow(planned)
            received = _Counter()
            opened.callback(lambda: self.purse.pay(replace(planned, billed_bytes=_billed(session, received.rows))))
            pages = opened.enter_context(closing(_side_by_side(storage, session, schema)))
            yield OpenedRows(schema, received.counting(pages), estimated)

    def _session(
        self, storage: "BigQueryReadClient", table: str, columns: Sequence[str], restriction: str
    ) -> "ReadSession":
        from google.cloud.bigquery_storage_v1.types.arrow import ArrowSerializationOptions
        from google.cloud.bigquery_storage_v1.types.stream import DataFormat, ReadSession

        options = ReadSession.TableReadOptions(
            selected_fields=list(columns),
            row_restriction=restriction,
            arrow_serialization_options=ArrowSerializationOptions(
                buffer_compression=ArrowSerializationOptions.CompressionCodec.LZ4_FRAME
            ),
        )
        return storage.create_read_session(
            parent=f"projects/{self.access.billing_project}",
            read_session=ReadSession(table=table, data_format=DataFormat.ARROW, read_options=options),
            max_stream_count=self.streams,
            retry=patience.storage_retry(),
            timeout=patience.PATIENCE_SECONDS,
        )


class _Counter:
    """How many rows have come so far."""

    def __init__(self) -> None:
        self.rows = 0

    def counting(self, pages: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The same pages, counted as they pass."""
        for page in pages:
            self.rows += page.num_rows
            yield page


def _billed(session: "ReadSession", received: int) -> int:
    """The bytes of what was returned: all of the session's, or a share of them when it broke off."""
    rows, size = int(session.estimated_row_count), int(session.estimated_total_bytes_scanned)
    return size if received >= rows else -(-size * received // rows)


def _side_by_side(
    storage: "BigQueryReadClient", session: "ReadSession", schema: pa.Schema
) -> Generator[pa.RecordBatch, None, None]:
    """The pages of every stream as they come; those of one stream in their order."""
    names = [stream.name for stream in session.streams]
    waiting: Queue[pa.RecordBatch | Exception | None] = Queue(maxsize=_PAGES_WAITING * max(1, len(names)))
    is_over = threading.Event()

    from google.api_core.exceptions import NotFound

    def read(name: str) -> None:
        ending: Exception | None = None
        try:
            # No timeout of ours here: it would be for the whole stream, and a big day takes as long as it takes.
            for answer in storage.read_rows(name, retry=patience.storage_retry()):  # type: ignore[no-untyped-call]
                # Decoded here: the client's own decoding is deprecated in favour of a package that brings pandas.
                page = pa.py_buffer(answer.arrow_record_batch.serialized_record_batch)
                waiting.put(pa.ipc.read_record_batch(page, schema))
                if is_over.is_set():
                    return
        except NotFound as expired:
            ending = SourceUnreachable(
                "BigQuery has let go of what was being read: a query's result after a day, a read session after six "
                f"hours. The day is read again from its start at the next attempt. {expired.message}"
            )
        except Exception as failed:  # noqa: BLE001  raised again where the pages are consumed
            ending = failed
        waiting.put(ending)

    threads = [threading.Thread(target=read, args=(name,), name=f"storage read {name}") for name in names]
    for thread in threads:
        thread.start()
    try:
        ended = 0
        while ended < len(threads):
            page = waiting.get()
            if isinstance(page, Exception):
                raise page
            if page is None:
                ended += 1
            else:
                yield page
    finally:
        is_over.set()
        # Closing the channel ends the calls that threads wait in; emptying the queue lets them put what they have.
        storage.transport.close()  # type: ignore[no-untyped-call]
        for thread in threads:
            while thread.is_alive():
                _take_one(waiting)
                thread.join(0.01)


def _take_one(waiting: Queue[pa.RecordBatch | Exception | None]) -> None:
    try:
        waiting.get_nowait()
    except Empty:
        return
