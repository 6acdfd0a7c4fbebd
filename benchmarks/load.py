"""How fast Arrow becomes `raw_charges`, against the fastest way PostgreSQL has: COPY of a ready binary file.

All ways go into the same table with the same index, one after the other in each round, so that whatever else the
machine does falls on all of them. Prints, for each, the median over the rounds of rows/s against that COPY, and the
memory the process took at most. pandas takes part where it is installed; the product does not need it.

    make bench            or    .venv/bin/python -m benchmarks.load [rows]
"""

import importlib
import importlib.util
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import psycopg
import pyarrow as pa
import sqlalchemy as sa

from benchmarks.warehouse import peak_memory_mb, warehouse
from finops_pipeline.checked_day import BATCH_ROWS, extracted_rows
from finops_pipeline.loading import copy_batches, load_export_day
from finops_pipeline.sample_export import write_sample_export
from finops_pipeline.sources import open_source
from finops_pipeline.sources.base import BillingSource
from finops_pipeline.sources.files import FilesSource
from finops_warehouse.database import connect_to, warehouse_dsn
from finops_warehouse.partitions import ensure_month
from finops_warehouse.settings import Settings, sqlalchemy_url

ROUNDS = 5
TIMEZONE = "America/Los_Angeles"
DAY = date(2026, 10, 20)
DAY_BEFORE = date(2026, 10, 19)
TABLE = "acme.billing.gcp_billing_export_resource_v1_01A7C3"
"""What the test server calls the sample."""

SERVE = """
import sys
from pathlib import Path
from bqserver import BigQueryServer
with BigQueryServer({sys.argv[1]: Path(sys.argv[2])}) as server:
    print(server.api_endpoint, server.storage_endpoint, flush=True)
    sys.stdin.read()
"""
WRITE = """
import sys
from datetime import date
from pathlib import Path
from finops_pipeline.sample_export import write_sample_export
last = date.fromisoformat(sys.argv[3])
export = write_sample_export(Path(sys.argv[1]), days=3, rows_per_day=int(sys.argv[2]), seed=1, last_export_day=last)
print(export.table_dir)
"""

PANDAS_ROWS = 5_000  # at its pace the whole day would take a minute a round


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def served(folder: Path) -> Iterator[Callable[[], BillingSource]]:
    """What opens the export behind the test server's Storage Read, in a process of its own as Google's is."""
    tests = Path(__file__).resolve().parent.parent / "tests"
    command = [sys.executable, "-c", SERVE, TABLE, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tests) as server:
        assert server.stdout is not None
        rest, storage = server.stdout.readline().split()
        yield partial(
            open_source,
            f"bigquery://{TABLE}?mode=storage",
            bigquery_api_endpoint=rest,
            bigquery_storage_endpoint=storage,
        )
        server.communicate()


def stream(dsn: str, file: Path, told: Connection) -> None:
    """A process of its own: copy the charges in `file` each time it is told to, until it is told to end."""
    with pa.OSFile(str(file), "rb") as opened:
        charges = pa.ipc.open_file(opened).read_all()
    with closing(connect_to(dsn, autocommit=True)) as connection:
        told.send("ready")
        while table := told.recv():
            copy_batches(connection, table, charges.schema, iter(charges.to_batches(BATCH_ROWS)))
            told.send("done")


def load_day(dsn: str, opened: Callable[[], BillingSource], day: date, told: Connection) -> None:
    """A process of its own: load a day each time it is told to, until it is told to end."""
    source = opened()
    with closing(connect_to(dsn, autocommit=True)) as connection:
        told.send("ready")
        while told.recv():
            load(connection, source, [day])
            told.send("done")


@contextmanager
def at_once(work: Callable[..., None], *shares: tuple[object, ...]) -> Iterator[Callable[[str], None]]:
    """A function that has processes, one for each share of the work, do what they are told, and waits for all."""
    context = get_context("spawn")
    processes, ends = [], []
    for share in shares:
        here, there = context.Pipe()
        process = context.Process(target=work, args=(*share, there))
        process.start()
        ends.append(here)
        processes.append(process)

    def tell(what: str | None) -> None:
        for end in ends:
            end.send(what)

    def do(what: str) -> None:
        tell(what)
        for end in ends:
            end.recv()

    for end in ends:
        end.recv()
    yield do
    tell(None)
    for process in processes:
        process.join()


def in_halves(charges: pa.Table, folder: Path) -> list[Path]:
    """`charges` in two files, for two streams."""
    half = charges.num_rows // 2
    files = [folder / "first.arrow", folder / "second.arrow"]
    for file, part in zip(files, (charges.slice(0, half), charges.slice(half)), strict=True):
        with pa.OSFile(str(file), "wb") as opened, pa.ipc.new_file(opened, part.schema) as writer:
            writer.write_table(part)
    return files


def load(connection: psycopg.Connection, source: BillingSource, days: list[date]) -> None:
    """Load days as a run does."""
    for day in days:
        load_export_day(
            connection, source, day, fingerprint="x", billing_timezone=TIMEZONE,
            first_usage_day=date(2024, 1, 1), run_id="bench",
        )  # fmt: skip


def by_pandas(dsn: str, charges: pa.Table) -> Callable[[], object]:
    """`DataFrame.to_sql` of the first rows, as pandas does it when nothing is said."""
    frame = charges.slice(0, PANDAS_ROWS).to_pandas()
    engine = sa.create_engine(sqlalchemy_url(dsn, "psycopg"))
    return lambda: frame.to_sql("by_pandas", engine, schema="finops", if_exists="replace", index=False)


def by_dlt(dsn: str, charges: pa.Table, folder: Path) -> Callable[[], object]:
    """A dlt pipeline of the Arrow table; without the row's hash, since it writes CSV and that knows no bytes."""
    dlt = importlib.import_module("dlt")
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(folder / "dlt"),
        dataset_name="by_dlt",
        destination=dlt.destinations.postgres(dsn),
    )
    texts = charges.drop_columns(["row_hash"])
    return lambda: pipeline.run(texts, table_name="charges", write_disposition="replace")


def main(rows: int) -> None:
    """Measure and print."""
    with warehouse() as (connection, folder):
        dsn = warehouse_dsn(Settings(finops_home=folder))
        export = write_sample_export(
            folder / "export", days=3, rows_per_day=rows, seed=1, last_export_day=DAY
        )  # the first day of an export is no full one
        files = FilesSource(export.table_dir)
        ensure_month(connection, "raw_charges", DAY)
        with extracted_rows(files, DAY, TIMEZONE) as reader:
            charges = reader.read_all()
        with extracted_rows(files, DAY_BEFORE, TIMEZONE) as reader:
            rows_of_both = charges.num_rows + sum(batch.num_rows for batch in reader)
        connection.execute("create unlogged table finops.staged (like finops.raw_charges including defaults)")
        ready = folder / "ready.bin"
        ready.touch()
        ready.chmod(0o666)  # the server writes and reads it itself, as the user it runs as
        columns = ", ".join(charges.schema.names)
        copy_batches(connection, "finops.raw_charges", charges.schema, iter(charges.to_batches(BATCH_ROWS)))
        connection.execute(f"copy (select {columns} from finops.raw_charges) to '{ready}' (format binary)")

        first, second = in_halves(charges, folder)
        with (
            served(export.table_dir) as opened,
            at_once(stream, (dsn, first), (dsn, second)) as in_two,
            at_once(load_day, (dsn, opened, DAY_BEFORE), (dsn, opened, DAY)) as load_both,
        ):
            bigquery = opened()

            def limit() -> None:
                connection.execute(f"copy finops.raw_charges ({columns}) from '{ready}' (format binary)")

            def one_stream() -> None:
                copy_batches(connection, "finops.raw_charges", charges.schema, iter(charges.to_batches(BATCH_ROWS)))

            def staged() -> None:
                in_two("finops.staged")
                connection.execute(f"insert into finops.raw_charges ({columns}) select {columns} from finops.staged")

            ways: dict[str, tuple[int, Callable[[], object]]] = {
                "limit": (charges.num_rows, limit),
                "Arrow, one stream": (charges.num_rows, one_stream),
                "Arrow, two streams": (charges.num_rows, lambda: in_two("finops.raw_charges")),
                "Arrow, two streams, staged for one transaction": (charges.num_rows, staged),
                "a day of files, checked": (charges.num_rows, lambda: load(connection, files, [DAY])),
                "a day of BigQuery, checked": (charges.num_rows, lambda: load(connection, bigquery, [DAY])),
                "two days of BigQuery at once, checked": (rows_of_both, lambda: load_both("again")),
            }
            if importlib.util.find_spec("dlt"):
                ways["dlt"] = (charges.num_rows, by_dlt(dsn, charges, folder))
            if importlib.util.find_spec("pandas"):
                ways["pandas to_sql"] = (PANDAS_ROWS, by_pandas(dsn, charges))
            measure(connection, ways)
        print(f"{charges.num_rows:,} rows, {len(charges.schema.names)} columns, pyarrow {pa.__version__}")
        for name in ("dlt", "pandas"):
            if not importlib.util.find_spec(name):
                print(f"{name} is not installed here and was left out")


def measure(connection: psycopg.Connection, ways: dict[str, tuple[int, Callable[[], object]]]) -> None:
    """Go every way in each round, and print how fast each is against the first."""
    ratios: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(1, ROUNDS + 1):
        speed = {}
        for name, (rows, work) in ways.items():
            empty(connection)
            speed[name] = rows / seconds(work)
        print(
            f"round {number}: " + ", ".join(f"{name} {found:,.0f} rows/s" for name, found in speed.items()), flush=True
        )
        for name, found in speed.items():
            ratios[name].append(found / speed["limit"])
    for name, kept in ratios.items():
        print(f"{name}: {statistics.median(kept):.2f} ({min(kept):.2f} to {max(kept):.2f})")


def empty(connection: psycopg.Connection) -> None:
    """The same start for everybody: no rows, no dead rows, nothing waiting to be written."""
    connection.execute("truncate finops.raw_charges, finops.staged")
    connection.execute("checkpoint")


def memory(rows: int) -> None:
    """Load two days in a process that does nothing else, and print what it took."""
    with warehouse() as (connection, folder):
        command = [sys.executable, "-c", WRITE, str(folder / "export"), str(rows), DAY.isoformat()]
        table_dir = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        source = FilesSource(Path(table_dir))
        days = sorted(source.partitions())[1:]
        load(connection, source, days)
    print(f"{len(days)} days of about {rows:,} rows: {peak_memory_mb()} MB at most")


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        memory(int(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
        for size in (200_000, 2_000_000):
            subprocess.run([sys.executable, "-m", "benchmarks.load", "memory", str(size)], check=True)
