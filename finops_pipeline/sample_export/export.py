"""Writing the sample: a day's usage is made, what is due that day leaves the queue, and becomes a file."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import pyarrow as pa

from finops_pipeline.sample_export.charges import Charges, no_charges
from finops_pipeline.sample_export.columns import schema_of
from finops_pipeline.sample_export.days import DAY, EPOCH, first_of_next_month, invoice_issued
from finops_pipeline.sample_export.estate import ACCOUNTS, TABLE, Milestones
from finops_pipeline.sample_export.events import Schedule
from finops_pipeline.sample_export.files import Format, refuse_other_days, replace_if_different, write_day
from finops_pipeline.sample_export.fleet import Fleet
from finops_pipeline.sample_export.invoices import Invoice, Invoicing
from finops_pipeline.sample_export.lateness import MOST_CORRECTIONS, Lateness
from finops_pipeline.sample_export.rows import RowMaker
from finops_pipeline.sample_export.truth import AnswerKey, invoices_as_csv
from finops_pipeline.sample_export.usage import UsageModel
from finops_warehouse.errors import BadRequest

ROWS_IN_MEMORY = 131_072


@dataclass(frozen=True)
class SampleExport:
    """Where the sample is and what it covers."""

    table_dir: Path
    """What `BILLING_EXPORT_URL=file://…` loads."""
    truth_dir: Path
    """Invoices and anomalies as they were meant; the pipeline never opens it."""
    rows: int
    first_export_day: date
    last_export_day: date


class _Queue:
    """Charges waiting for the day they are exported: hours for most, ten days for the late, 45 for corrections."""

    def __init__(self) -> None:
        self._waiting: dict[int, list[Charges]] = defaultdict(list)

    def add(self, charges: Charges) -> None:
        export_days = charges["export"] // DAY
        for export_day in np.unique(export_days).tolist():
            self._waiting[export_day].append(charges[export_days == export_day])

    def due(self, day: date) -> Charges:
        return np.concatenate([no_charges(), *self._waiting.pop((day - EPOCH).days, [])])


class _Generator:
    """Everything that is remembered from one day to the next."""

    def __init__(self, first_day: date, last_day: date, rows_per_day: int, seed: int, corrections: int) -> None:
        self._milestones = Milestones(first_day)
        self.fleet = Fleet.for_rows_per_day(rows_per_day)
        self._usage = UsageModel(self.fleet, self._milestones, Schedule(self._milestones, seed, last_day), seed)
        self._lateness = Lateness(self.fleet, seed, corrections)
        self._invoicing = Invoicing(self.fleet, self._milestones, seed)
        self._queue = _Queue()
        self.answers = AnswerKey()

    def export_of(self, day: date) -> Charges:
        """Every row exported that day. Days must be asked for in order, each once."""
        used = self._usage.charges_of(day)
        for event, actual, expected in self._usage.events_on(day, used):
            self.answers.observe(event, actual, expected)
        self._queue.add(self._lateness.exported(used, day))
        self._queue.add(self._invoicing.entries(day))
        exported = self._queue.due(day)
        self._invoicing.count(exported)
        return exported

    def issued_invoices(self, last_day: date) -> Iterator[Invoice]:
        """The invoices a customer holds on that day."""
        month = self._milestones.first_day.replace(day=1)
        while invoice_issued(month) <= last_day:
            yield from filter(None, (self._invoicing.invoice(account, month) for account in ACCOUNTS))
            month = first_of_next_month(month)


def write_sample_export(
    out: Path,
    *,
    days: int,
    rows_per_day: int,
    seed: int,
    last_export_day: date,
    schema: Literal["current", "2023"] = "current",
    format: Format = "parquet",  # noqa: A002 - the word every caller and the command line use
    corrections: int = 1,
    on_day: Callable[[date], None] | None = None,
) -> SampleExport:
    """Write a detailed billing export of that many days under `out`, and beside it what is true of it.

    The same arguments give the same bytes. A longer export with the same first day and seed begins with the same
    files, so writing it over the shorter one is how tomorrow's export arrives. `corrections` is how many times as many
    corrections and late charges there are as usual; the invoices count them all.
    """
    if days < 1:
        raise BadRequest(f"An export of {days} days holds nothing. Ask for at least one day.")
    if not 1 <= corrections <= MOST_CORRECTIONS:
        raise BadRequest(f"Corrections can be 1 to {MOST_CORRECTIONS} times as many as usual, not {corrections}.")
    if out.exists() and not out.is_dir():
        raise BadRequest(f"{out} is a file. Choose a folder to write the sample to.")
    first_day = last_export_day - timedelta(days=days - 1)
    export_days = [first_day + timedelta(days=number) for number in range(days)]
    generator = _Generator(first_day, last_export_day, rows_per_day, seed, corrections)
    table_dir, truth_dir = out / TABLE, out / "truth"
    refuse_other_days(table_dir, export_days)

    arrow_schema = schema_of(schema)
    maker = RowMaker(generator.fleet, arrow_schema, seed)
    rows = 0
    for day in export_days:
        charges = generator.export_of(day)
        write_day(table_dir, day, _tables(maker, charges), arrow_schema, format)
        rows += len(charges)
        if on_day is not None:
            on_day(day)
    truths = {
        "invoices.csv": invoices_as_csv(generator.issued_invoices(last_export_day)),
        "anomalies.csv": generator.answers.as_csv(),
    }
    for name, content in truths.items():
        replace_if_different(truth_dir / name, partial(_write_bytes, content))
    return SampleExport(table_dir, truth_dir, rows, first_day, last_export_day)


def _write_bytes(content: bytes, target: BinaryIO) -> None:
    target.write(content)


def _tables(maker: RowMaker, charges: Charges) -> Iterator[pa.Table]:
    """The rows in pieces, so that a large day does not have to fit in memory as Arrow."""
    for start in range(0, max(len(charges), 1), ROWS_IN_MEMORY):
        yield maker.table(charges[start : start + ROWS_IN_MEMORY])
