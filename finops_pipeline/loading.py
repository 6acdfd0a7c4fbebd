"""Copying an export day into `raw_charges`: checked as a whole first, then replaced in one transaction.

The day is first read to the end, into a file aside. A source that breaks off, a bad value in the last row or a slow
network therefore costs time and never holds a lock or leaves half a day behind, and a day of any size takes the same
memory. Rows are never matched or de-duplicated: the export has no row id, and two equal rows are two charges.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
import sqlalchemy as sa
from pgpq import ArrowToPostgresBinaryEncoder
from pgpq.encoders import StringEncoderBuilder
from pgpq.schema import Jsonb
from psycopg import sql

from finops_pipeline.sources.base import BillingSource, ExportDayRead, Grain
from finops_pipeline.sources.contract import EXPORT_SCHEMA
from finops_warehouse import ledger
from finops_warehouse.errors import BadValue, ProofFailed, SourceError
from finops_warehouse.partitions import ensure_month
from finops_warehouse.sql_models import sql_model
from finops_warehouse.tables import CREDIT_COLUMNS, raw_charges, usage_day_arrivals

COLUMNS = tuple(column.name for column in raw_charges.columns)
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

# A sum over what charges are for, each weighed by its amount: the same in whatever order they come, and whether or not
# their hours were added up before. 32 bits of a hash, 60 of an amount and 30 of a number of rows fit into a HUGEINT.
CHARGES_HASH = """
    sum(('0x' || substr(md5(concat_ws(chr(0), coalesce(sub_account_id, chr(1)), coalesce(sku_id, chr(1)),
        coalesce(region, chr(1)), coalesce(location, chr(1)), labels, project_labels, tags)), 1, 8))::hugeint
        * (arrived.billed_cost * 1000000000 + arrived.charge_count)::hugeint) as charges_hash
"""

ARRIVALS = f"""
    select usage_day, invoice_month, billing_account_id, billing_currency, service_name, cost_type,
        sum(arrived.charge_count)::bigint as charge_count, sum(arrived.correction_count)::bigint as correction_count,
        sum(arrived.cost) as cost,
        {", ".join(f"coalesce(sum(arrived.{name}), 0) as {name}" for name in CREDIT_COLUMNS)},
        sum(arrived.billed_cost) as billed_cost, max(arrived.last_export_time) as last_export_time, {CHARGES_HASH}
    from {{arrived}}
    group by usage_day, invoice_month, billing_account_id, billing_currency, service_name, cost_type,
        -- How a day becomes final is learned to within three hours.
        time_bucket(interval '3 hours', arrived.last_export_time)
    order by all
"""  # noqa: S608 -- the names are our own columns'

EACH_CHARGE = f"""
    (
        select *, struct_pack(
            charge_count := 1,
            correction_count := (cost_type = 'adjustment' or adjustment_type is not null)::integer,
            {", ".join(f"{name} := {name}" for name in ("cost", *CREDIT_COLUMNS, "billed_cost"))},
            last_export_time := export_time
        ) as arrived
        from exported
    )
"""  # noqa: S608 -- the names are our own columns'
ADDED_UP_BEFORE = "(select * exclude (arrivals), unnest(arrivals) as arrived from added_up_before)"

# What BigQuery added up has arrays where ours have JSON: DuckDB writes all of it, or a blank would be another row.
AS_EXTRACTED = f"""
    select $export_day::date as export_day, null::text as extra, * replace (
        {", ".join(f"to_json({name})::text as {name}" for name in sorted(JSONB_COLUMNS - {"extra"}))},
        charge_count::integer as charge_count
    )
    from billing_export
"""  # noqa: S608 -- the names are our own columns'

# Only rows that are not alone need counting; sorting every row of a big day would cost more than the load. Who is
# alone by eight bytes of hash is alone, and of two million rows these take 30 MB less than the names.
OCCURRENCES = """
    create or replace temporary table occurrences as
    with repeated as (select hash(row_hash) as hashed from charges group by hashed having count(*) > 1)
    select file_index, file_row_number, (row_number() over (partition by row_hash))::integer as occurrence
    from charges semi join repeated on hash(row_hash) = hashed
"""
WITH_OCCURRENCE = """
    select charges.* exclude (file_index, file_row_number), coalesce(occurrence, 1) as occurrence
    from charges left join occurrences using (file_index, file_row_number)
"""


Arrival = dict[str, Any]
"""What an export day brought for a usage day, account, service, ..., as counted in the source."""


@dataclass(frozen=True)
class CheckedDay:
    """An export day that was read to its end, every value of it checked. To be closed: it has a folder of its own."""

    export_day: date
    billing_timezone: str
    grain: Grain
    arrivals: list[Arrival]
    unknown_columns: tuple[str, ...]
    bytes_read: int
    scratch: duckdb.DuckDBPyConnection
    """Its view `charges` has the rows of the day at this grain."""
    opened: ExitStack

    def rows(self) -> pa.RecordBatchReader:
        """The rows as `raw_charges` is to hold them."""
        rows: pa.RecordBatchReader = self.scratch.sql(WITH_OCCURRENCE).to_arrow_reader(BATCH_ROWS)
        return rows

    def close(self) -> None:
        """Remove what was read."""
        self.opened.close()


@dataclass(frozen=True)
class Loaded:
    """What a load did."""

    export_day: date
    row_count: int
    """Rows of the export, also where their hours were added up."""
    billed_cost: dict[str, Decimal]
    """By currency."""
    touched_usage_days: tuple[date, ...]
    unknown_columns: tuple[str, ...]
    bytes_read: int
    version: int


def load_export_day(
    connection: psycopg.Connection,
    source: BillingSource,
    export_day: date,
    *,
    fingerprint: str,
    billing_timezone: str,
    first_usage_day: date,
    run_id: str,
    grain: Grain = "row",
    table_created_at: datetime | None = None,
    memory_mb: int = MEMORY_MB,
) -> Loaded:
    """Make `raw_charges` hold exactly what the source holds for `export_day`.

    With grain `day` its hours are added up, here unless the source did. `table_created_at` is what the source says.
    `fingerprint` is the one the source gave *before* the day was read, so that a change in between is seen
    again. Raises a `SourceError` when the source cannot be read as it is and `ProofFailed` when what arrived
    is not what was sent; the tables are then as before.
    """
    day = read_export_day(source, export_day, billing_timezone, grain=grain, memory_mb=memory_mb)
    with closing(day):
        return replace_export_day(
            connection,
            day,
            source_url=source.url,
            fingerprint=fingerprint,
            table_created_at=table_created_at,
            first_usage_day=first_usage_day,
            run_id=run_id,
        )


def read_export_day(
    source: BillingSource,
    export_day: date,
    billing_timezone: str,
    *,
    grain: Grain = "row",
    memory_mb: int = MEMORY_MB,
) -> CheckedDay:
    """Read an export day to its end, into a folder of its own. Raises a `SourceError` when it cannot be as it is."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="finops-load-")))
        scratch = opened.enter_context(closing(duckdb.connect()))
        scratch.execute("set timezone = 'UTC'")
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
        arrived = EACH_CHARGE if day.grain == "row" else ADDED_UP_BEFORE
        arrivals = scratch.sql(ARRIVALS.format(arrived=arrived)).to_arrow_table().to_pylist()
        scratch.execute(f"set memory_limit = '{memory_mb // 2}MB'")  # the next day may be read meanwhile
        return CheckedDay(
            export_day,
            billing_timezone,
            grain,
            arrivals,
            day.unknown_columns,
            day.bytes_read,
            scratch,
            opened.pop_all(),
        )


def replace_export_day(
    connection: psycopg.Connection,
    day: CheckedDay,
    *,
    source_url: str,
    fingerprint: str,
    table_created_at: datetime | None,
    first_usage_day: date,
    run_id: str,
) -> Loaded:
    """Put what was read in the place of what `raw_charges` holds for that day. Raises as `load_export_day` does."""
    _refuse_days_without_partition(day.arrivals, first_usage_day, day.export_day)
    ensure_month(connection, "raw_charges", day.export_day)
    stamp = Stamp(day.export_day, source_url, fingerprint, day.billing_timezone, day.grain, table_created_at)
    with connection.transaction():
        return _replace(connection, day, stamp, run_id)


@contextmanager
def extracted_rows(
    source: BillingSource, export_day: date, billing_timezone: str, *, grain: Grain = "row"
) -> Iterator[pa.RecordBatchReader]:
    """The rows of an export day as `raw_charges` would hold them. Raises as `load_export_day` does."""
    with closing(read_export_day(source, export_day, billing_timezone, grain=grain)) as day:
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
            f"create or replace view numbered as {WITH_OCCURRENCE.replace('charges', 'exported')} "
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
    """Write `rows` to files in `folder`, each with the hash that names it."""
    scratch.execute(
        f"copy (select {ROW_HASH} as row_hash, * from ({rows})) to '{folder}' "  # noqa: S608 -- a folder of ours
        f"(format parquet, compression uncompressed, row_group_size {FILE_GROUP_ROWS}, "
        f"row_groups_per_file {GROUPS_PER_FILE})",
        parameters,
    )


def _refuse_days_without_partition(arrivals: list[Arrival], first_usage_day: date, export_day: date) -> None:
    oldest = min((row["usage_day"] for row in arrivals), default=first_usage_day)
    if oldest < first_usage_day:
        raise BadValue(
            f"Export day {export_day} holds charges for usage day {oldest}, before BILLING_START_DAY "
            f"({first_usage_day}). Nothing of it was loaded. Set BILLING_START_DAY={oldest} or earlier."
        )


@dataclass(frozen=True)
class Stamp:
    """What a load is remembered by: another fingerprint, time zone of usage days or grain is another load."""

    export_day: date
    source_url: str
    fingerprint: str
    billing_timezone: str
    grain: Grain
    table_created_at: datetime | None


def _replace(connection: psycopg.Connection, day: CheckedDay, stamp: Stamp, run_id: str) -> Loaded:
    """Old rows out, new rows in, ledger moved: all of it visible at once, or nothing."""
    export_day, key = stamp.export_day, stamp.export_day.isoformat()
    ledger.lock_partition(connection, "raw_charges", export_day.toordinal())
    before = connection.execute(
        "select usage_day from finops.usage_day_arrivals where export_day = %s", [export_day]
    ).fetchall()
    connection.execute("delete from finops.raw_charges where export_day = %s", [export_day])
    rows = day.rows()
    copy_batches(connection, "finops.raw_charges", rows.schema, rows)
    _prove_raw_equals_source(connection, day.scratch, export_day)
    _replace_arrivals(connection, day.arrivals, export_day)
    row_count = sum(row["charge_count"] for row in day.arrivals)
    load_count, moved_clock = _stamp_export_day(connection, day, stamp, row_count)
    touched = sorted({usage_day for (usage_day,) in before} | {row["usage_day"] for row in day.arrivals})
    corrected = {row["usage_day"] for row in day.arrivals if row["correction_count"]}
    again = "rule change" if moved_clock else "re-export"
    causes = {d: again if load_count > 1 else "correction" if d in corrected else "late usage" for d in touched}
    totals = day.scratch.execute(
        "select billing_currency, sum(billed_cost) from charges group by 1 order by 1"
    ).fetchall()
    ledger.touch_usage_days(connection, causes, export_day)
    version = ledger.materialised(connection, "raw_charges", key, load_count, row_count, run_id)
    return Loaded(export_day, row_count, dict(totals), tuple(touched), day.unknown_columns, day.bytes_read, version)


def copy_batches(
    connection: psycopg.Connection, table: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]
) -> None:
    """Stream Arrow batches into `table` (`schema.name`) by binary COPY, a batch at a time."""
    encoders: dict[str, Any] = {
        column.name: StringEncoderBuilder.new_with_output(column, Jsonb())
        if column.name in JSONB_COLUMNS
        else ArrowToPostgresBinaryEncoder.infer_encoder(column)
        for column in schema
    }
    encoder = ArrowToPostgresBinaryEncoder.new_with_encoders(schema, encoders)
    statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, schema.names))
    )
    with connection.cursor().copy(statement) as stream:
        stream.write(encoder.write_header())
        for batch in batches:
            stream.write(encoder.write_batch(batch))
        stream.write(encoder.finish())


def _prove_raw_equals_source(
    connection: psycopg.Connection, scratch: duckdb.DuckDBPyConnection, export_day: date
) -> None:
    [sent] = scratch.execute(
        "select count(*), coalesce(sum(cost), 0), coalesce(sum(billed_cost), 0) from charges"
    ).fetchall()
    [arrived] = connection.execute(
        "select count(*), coalesce(sum(cost), 0), coalesce(sum(billed_cost), 0) from finops.raw_charges "
        "where export_day = %s",
        [export_day],
    ).fetchall()
    if sent != arrived:
        raise ProofFailed(
            f"Export day {export_day}: the source holds (rows, cost, billed cost) {sent}, raw_charges would hold "
            f"{arrived}. Nothing of it was loaded. This is a fault of ours; please report it with the run's log."
        )


def _replace_arrivals(connection: psycopg.Connection, arrivals: list[Arrival], export_day: date) -> None:
    connection.execute("delete from finops.usage_day_arrivals where export_day = %s", [export_day])
    names = [column.name for column in usage_day_arrivals.columns if column.name != "export_day"]
    statement = sql.SQL("copy finops.usage_day_arrivals (export_day, {}) from stdin").format(
        sql.SQL(", ").join(map(sql.Identifier, names))
    )
    with connection.cursor().copy(statement) as stream:
        for row in arrivals:
            stream.write_row((export_day, *(row[name] for name in names)))


def _stamp_export_day(
    connection: psycopg.Connection, day: CheckedDay, stamp: Stamp, row_count: int
) -> tuple[int, bool]:
    """Note what was loaded. Returns how often this export day has been, and whether its usage days are cut anew."""
    before = connection.execute(
        "select billing_timezone from finops.export_day_ledger where export_day = %s", [stamp.export_day]
    ).fetchone()
    [(load_count,)] = connection.execute(
        """
        insert into finops.export_day_ledger as ledger (export_day, source_url, fingerprint, row_count, bytes_read,
            unknown_columns, load_count, loaded_at, billing_timezone, grain, table_created_at)
        values (%s, %s, %s, %s, %s, %s, 1, now(), %s, %s, %s)
        on conflict (export_day) do update set
            source_url = excluded.source_url, fingerprint = excluded.fingerprint, row_count = excluded.row_count,
            bytes_read = excluded.bytes_read, unknown_columns = excluded.unknown_columns,
            load_count = ledger.load_count + 1, loaded_at = excluded.loaded_at,
            billing_timezone = excluded.billing_timezone, grain = excluded.grain,
            table_created_at = excluded.table_created_at, kept_because = null, kept_at = null
        returning load_count
        """,
        [
            stamp.export_day,
            stamp.source_url,
            stamp.fingerprint,
            row_count,
            day.bytes_read,
            list(day.unknown_columns),
            stamp.billing_timezone,
            stamp.grain,
            stamp.table_created_at,
        ],
    ).fetchall()
    moved_clock = before is not None and before[0] not in (None, stamp.billing_timezone)
    return int(load_count), moved_clock
