"""The one question the pipeline asks of a billing export: which days are there, and what is in this one?

And what an answer costs: a source asks a `Purse` before it does what is billed, and tells it afterwards what was.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal, Protocol

import pyarrow as pa

Grain = Literal["row", "day"]
"""How much of the export is copied: every row, or what the hours of a usage day add up to."""


@dataclass(frozen=True)
class Spend:
    """One thing that was done at the source and is billed for. Bytes as the source counts them."""

    kind: Literal["query", "storage_read", "file"]
    """What it is billed as: a query by the bytes it processes, a Storage Read by the bytes it returns, files not at
    all."""
    purpose: str
    """In a few words, such as `list export days`."""
    export_day: date | None
    """The day it was done for; None for what is about the whole table."""
    estimated_bytes: int
    billed_bytes: int = 0
    slot_ms: int = 0
    job_id: str | None = None


class Purse(Protocol):
    """Who pays. It keeps the budgets and writes down what was spent."""

    def allow(self, planned: Spend) -> None:
        """Raises `BudgetReached` when what is planned would cross a budget. Called before anything is billed."""

    def pay(self, done: Spend) -> None:
        """Note what was billed. Called for what failed half-way too, since it is billed all the same.

        A job that is found again, because its answer was lost, is paid again under the same `job_id`.
        """


class OpenPurse:
    """A purse without budgets or memory, for sources that nobody bills."""

    def allow(self, planned: Spend) -> None:
        """Whatever it costs."""

    def pay(self, done: Spend) -> None:
        """Nothing is noted."""


@dataclass(frozen=True)
class TableFacts:
    """What a source says of its table besides its days; None is for what it cannot know."""

    created_at: datetime | None = None
    """A table made anew under the same name has another moment, and brings the charges of weeks before again."""
    keeps_days_for: timedelta | None = None
    """Older export days expire: the source deletes them by itself."""


@dataclass(frozen=True)
class ExportDayRead:
    """One export day being read: nested rows in `contract.EXPORT_SCHEMA`, whatever the source held.

    With grain `day` the source has added them up already, and the rows are those that
    dbt_like_sql/extract/raw_charges_by_day.bigquery.sql makes. `batches` can be consumed once, inside the `with` block
    it came from.
    """

    batches: Iterator[pa.RecordBatch]
    unknown_columns: tuple[str, ...]
    """Columns the source holds and the contract does not know; their values are in `extra`."""
    bytes_read: int
    """Bytes that reading this day takes, as the source counts (and bills) them."""
    grain: Grain = "row"


class BillingSource(Protocol):
    """A billing export, as the loader sees it."""

    @property
    def url(self) -> str:
        """Where it is, as an operator would write it; never with a secret in it."""

    def partitions(self) -> Mapping[date, str]:
        """Every export day the source holds, with a fingerprint that changes when the day's content does."""

    def facts(self) -> TableFacts:
        """What the source says of its table, for nearly nothing."""

    def estimate(self, export_days: Iterable[date]) -> Spend:
        """What reading these days would be billed for, asked without being billed. One figure for all of them."""

    def read(self, export_day: date) -> AbstractContextManager[ExportDayRead]:
        """Open one export day. Raises `ExportDayVanished` when the source does not hold it."""
