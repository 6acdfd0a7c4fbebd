"""The one question the pipeline asks of a billing export: which days are there, and what is in this one?"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import pyarrow as pa


@dataclass(frozen=True)
class ExportDayRead:
    """One export day being read: nested rows in `contract.EXPORT_SCHEMA`, whatever the source held.

    `batches` can be consumed once, inside the `with` block it came from.
    """

    batches: Iterator[pa.RecordBatch]
    unknown_columns: tuple[str, ...]
    """Columns the source holds and the contract does not know; their values are in `extra`."""
    bytes_read: int
    """Bytes that reading this day takes, as the source counts (and bills) them."""


class BillingSource(Protocol):
    """A billing export, as the loader sees it."""

    @property
    def url(self) -> str:
        """Where it is, as an operator would write it; never with a secret in it."""

    def partitions(self) -> Mapping[date, str]:
        """Every export day the source holds, with a fingerprint that changes when the day's content does."""

    def read(self, export_day: date) -> AbstractContextManager[ExportDayRead]:
        """Open one export day. Raises `ExportDayVanished` when the source does not hold it."""
