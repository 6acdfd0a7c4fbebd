"""Reading an export day to its end, into files aside, every value of it checked before a table is touched.

A source that breaks off, a bad value in the last row or a slow network therefore costs time and never holds a lock, and
a day of any size takes the same memory. Rows are never matched or de-duplicated: the export has no row id, and two
equal rows are two charges.
"""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import sqlalchemy as sa

from finops_pipeline.sources.base import BillingSource, ExportDayRead, Grain
from finops_pipeline.sources.contract import EXPORT_SCHEMA
from finops_warehouse.errors import BadValue, SourceError
from finops_warehouse.sql_models import sql_model
from finops_warehouse.tables import CREDIT_COLUMNS, raw_charges

JSONB_COLUMNS = frozenset(
    ("project_ancestors", "project_labels", "labels", "system_labels", "tags", "credits", "extra")
)
MEMORY_MB = 128
"""What DuckDB may take while a day is read and copied; the rest of the process, mostly imports, takes about 150 MB."""

THREADS = 2  # each takes 50 MB, and one of three would wait: a source's batches come one after the other
BATCH_ROWS = 4_096
FILE_GROUP_ROWS = 4_096  # what each thread collects before it is written; with 122,880 a day took 200 MB more
GROUPS_PER_FILE = 64  # what is where in a file is held while it is read: 60 MB for two million rows in one file
ADDED_UP_PER_MB = 1_000  # rows: a million at once, by fifty columns, do not always fit into 128 MB

UNNAMED = ("export_day", "row_hash", "occurrence", "usage_day", "charge_count", "repeated_cost")
"""What does not go into the hash of a row: where it stands, for how many, and what the billing time zone can change."""


def _named(column: "sa.Column[Any]") -> str:
    # Only a text can be empty as well as NULL. U+0001 says NULL, or the two would be one.
    absent = "chr(1)" if isinstance(column.type, sa.Text) else "''"
    return f"coalesce({column.name}::varchar, {absent})"


# Over the flattened values alone, so that it is the same however they were flattened. No text in PostgreSQL holds the
# separator; a JSON array would need none and takes a third longer, and the nested row as JSON twice as long.
ROW_HASH = f"""
    unhex(md5(concat_ws(chr(0), {", ".join(_named(c) for c in raw_charges.columns if c.name not in UNNAMED)})))
"""

# What extract/usage_day_arrivals.sql counts, from rows as they were exported and from days that were added up before.
EACH_CHARGE = f"""
    create view charges_arrived as
    select *, struct_pack(
        last_export_time := export_time,
        charge_count := 1,
        correction_count := (cost_type = 'adjustment' or adjustment_type is not null)::integer,
        {", ".join(f"{name} := {name}" for name in ("cost", *CREDIT_COLUMNS, "billed_cost"))}
    ) as arrived
    from exported
"""  # noqa: S608 -- the names are our own columns'
EACH_ARRIVAL = """
    create view charges_arrived as
    select * exclude (arrivals), unnest(arrivals) as arrived from added_up_before
"""

# What BigQuery added up has arrays where ours have JSON: DuckDB writes all of it, or a blank would be another row.
AS_EXTRACTED = f"""
    select $export_day::date as export_day, null::text as extra, * replace (
        {", ".join(f"to_json({name})::text as {name}" for name in sorted(JSONB_COLUMNS - {"extra"}))},
        charge_count::integer as charge_count
    )
    from billing_export
"""  # noqa: S608 -- the names are our own columns'

# Equal rows are alike, and few others are. Alike by eight bytes: of two million rows they take 30 MB less than names.
LIKENESS = """
    hash(
        usage_start_time, export_time, cost, consumed_quantity, labels,
        coalesce(sku_id, chr(1)), coalesce(sub_account_id, chr(1)), coalesce(resource_name, chr(1))
    )
"""
# Only rows that are not alone need counting; sorting every row of a big day would cost more than the load.
OCCURRENCES = f"""
    create or replace temporary table occurrences as
    with alike as (select {LIKENESS} as likeness from charges group by likeness having count(*) > 1)
    select file_index, file_row_number, (row_number() over (partition by {ROW_HASH}))::integer as occurrence
    from charges semi join alike on {LIKENESS} = likeness
"""  # noqa: S608 -- the names are our own columns'
NUMBERED = """
    select charges.*, coalesce(occurrence, 1) as occurrence
    from charges left join occurrences using (file_index, file_row_number)
"""
# Named no earlier than they are copied, when a core would wait for PostgreSQL: 0.7 s of CPU for 200,000 rows.
NAMED = f"select {ROW_HASH} as row_hash, * exclude (file_index, file_row_number) from ({NUMBERED})"  # noqa: S608


Arrival = dict[str, Any]
"""What an export day brought for a usage day, account, service, ..., as counted in the source."""


@dataclass(frozen=True)
class CheckedDay:
    """An export day that was read to its end, every value of it checked."""

    export_day: date
    billing_timezone: str
    grain: Grain
    arrivals: list[Arrival]
    unknown_columns: tuple[str, ...]
    bytes_read: int
    scratch: duckdb.DuckDBPyConnection
    """Its view `charges` has the rows of the day at this grain."""

    def rows(self) -> pa.RecordBatchReader:
        """The rows as `raw_charges` is to hold them."""
        rows: pa.RecordBatchReader = self.scratch.sql(NAMED).to_arrow_reader(BATCH_ROWS)
        return rows


@contextmanager
def checked_day(
    source: BillingSource,
    export_day: date,
    billing_timezone: str,
    *,
    grain: Grain = "row",
    memory_mb: int = MEMORY_MB,
) -> Iterator[CheckedDay]:
    """Read an export day to its end, into a folder of its own. Raises a `SourceError` when it cannot be as it is."""
    with tempfile.TemporaryDirectory(prefix="finops-load-") as scratch_folder, closing(duckdb.connect()) as scratch:
        folder = Path(scratch_folder)
        scratch.execute("set timezone = 'UTC'")
        scratch.execute("set enable_progress_bar = false")  # it draws one after two seconds, into logs as well
        scratch.execute(f"set memory_limit = '{memory_mb}MB'")
        scratch.execute(f"set threads = {THREADS}")
        scratch.execute("set preserve_insertion_order = false")  # a row is named by what it holds
        scratch.execute(f"set temp_directory = '{folder}'")
        with source.read(export_day) as day:
            _read_to_the_end(scratch, day, folder / "exported", export_day, billing_timezone)
        scratch.execute("set threads = 1")  # two would save 0.1 s of a day of 200,000 rows, and take 40 MB
        if day.grain == "day":
            _view(scratch, "added_up_before", folder / "exported")
            scratch.execute("create view charges as select * exclude (arrivals) from added_up_before")
        else:
            _view(scratch, "exported", folder / "exported")
            scratch.execute("create view charges as from exported")
        scratch.execute(OCCURRENCES)
        if grain == "day" and day.grain == "row":
            _add_up(scratch, folder / "by_day", memory_mb)
        scratch.execute(EACH_CHARGE if day.grain == "row" else EACH_ARRIVAL)
        arrivals = scratch.sql(sql_model("extract", "usage_day_arrivals").query).to_arrow_table().to_pylist()
        # From here on the encoder and COPY take theirs beside it: without, two million rows took 401 MB in all.
        scratch.execute(f"set memory_limit = '{memory_mb // 2}MB'")
        yield CheckedDay(export_day, billing_timezone, grain, arrivals, day.unknown_columns, day.bytes_read, scratch)


@contextmanager
def extracted_rows(
    source: BillingSource, export_day: date, billing_timezone: str, *, grain: Grain = "row"
) -> Iterator[pa.RecordBatchReader]:
    """The rows of an export day as `raw_charges` would hold them. Raises as `load_export_day` does."""
    with checked_day(source, export_day, billing_timezone, grain=grain) as day:
        yield day.rows()


def _view(scratch: duckdb.DuckDBPyConnection, name: str, folder: Path) -> None:
    """Make `name` the rows of the files in `folder`, each with where it stands."""
    files = f"read_parquet('{folder}/**/*.parquet')"
    scratch.execute(f"create or replace view {name} as select *, file_index, file_row_number from {files}")  # noqa: S608 -- ours


def _add_up(scratch: duckdb.DuckDBPyConnection, folder: Path, memory_mb: int) -> None:
    """Make `charges` what its hours add up to: in turns, each of a share of the resources, that fit into memory."""
    [(rows,)] = scratch.execute("select count(*) from exported").fetchall()
    turns = 1 + rows // (ADDED_UP_PER_MB * memory_mb)
    folder.mkdir()
    for turn in range(turns):
        scratch.execute(
            f"create or replace view numbered as {NUMBERED} "
            f"where hash(sku_id, sub_account_id, resource_name) % {turns} = {turn}"
        )
        _write(scratch, sql_model("extract", "raw_charges_by_day").query, folder / str(turn), {})
    _view(scratch, "charges", folder)
    scratch.execute(OCCURRENCES)


def _read_to_the_end(
    scratch: duckdb.DuckDBPyConnection, day: ExportDayRead, folder: Path, export_day: date, billing_timezone: str
) -> None:
    refused: list[SourceError] = []

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield from day.batches
        except SourceError as error:
            refused.append(error)  # DuckDB would wrap it into an error of its own
            raise

    try:
        first = next(day.batches, pa.RecordBatch.from_pylist([], EXPORT_SCHEMA))
        scratch.register("billing_export", pa.RecordBatchReader.from_batches(first.schema, chain([first], batches())))
        if day.grain == "day":
            _write(scratch, AS_EXTRACTED, folder, {"export_day": export_day})
        else:
            extract = sql_model("extract", "raw_charges").query
            _write(scratch, extract, folder, {"export_day": export_day, "billing_timezone": billing_timezone})
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        if refused:
            raise refused[0] from None
        said = str(error).removeprefix("Invalid Input Error: ").splitlines()[0]
        raise BadValue(
            f"Export day {export_day} cannot be loaded: {said}. Nothing of it was loaded. "
            "Correct or re-export that day; the days around it can be loaded meanwhile."
        ) from None
    finally:
        scratch.unregister("billing_export")


def _write(scratch: duckdb.DuckDBPyConnection, rows: str, folder: Path, parameters: dict[str, Any]) -> None:
    """Write `rows` to files in `folder`."""
    scratch.execute(
        f"copy ({rows}) to '{folder}' (format parquet, compression uncompressed, row_group_size {FILE_GROUP_ROWS}, "
        f"row_groups_per_file {GROUPS_PER_FILE})",
        parameters,
    )
