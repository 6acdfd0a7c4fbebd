"""How fast Arrow becomes `raw_charges`, against the fastest way PostgreSQL has: COPY of a ready binary file.

Both go into the same table with the same index, one after the other in each round, so that whatever else the
machine does falls on both. Prints rows/s and ratios; the ratio to keep is the median over the rounds.

    make bench            or    .venv/bin/python -m benchmarks.load [rows]
"""

import statistics
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import psycopg
import pyarrow as pa

from benchmarks.warehouse import warehouse
from finops_pipeline.loading import copy_batches, extracted_rows, load_export_day
from finops_pipeline.sample_export import write_sample_export
from finops_pipeline.sources.files import FilesSource
from finops_warehouse.partitions import ensure_month

ROUNDS = 3
TIMEZONE = "America/Los_Angeles"
DAY = date(2026, 10, 20)


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main(rows: int) -> None:
    """Measure and print."""
    with warehouse() as (connection, folder):
        # The second day of an export is its first full one.
        export = write_sample_export(folder / "export", days=2, rows_per_day=rows, seed=1, last_export_day=DAY)
        source = FilesSource(export.table_dir)
        ensure_month(connection, "raw_charges", DAY)
        with extracted_rows(source, DAY, TIMEZONE) as reader:
            charges = reader.read_all()
        copy_batches(connection, "finops.raw_charges", charges.schema, iter(charges.to_batches(16_384)))
        ready = folder / "ready.bin"
        ready.touch()
        ready.chmod(0o666)  # the server writes and reads it itself, as the user it runs as
        columns = ", ".join(charges.schema.names)
        connection.execute(f"copy (select {columns} from finops.raw_charges) to '{ready}' (format binary)")

        def limit() -> None:
            connection.execute(f"copy finops.raw_charges ({columns}) from '{ready}' (format binary)")

        def arrow() -> None:
            copy_batches(connection, "finops.raw_charges", charges.schema, iter(charges.to_batches(16_384)))

        def whole_load() -> None:
            load_export_day(
                connection, source, DAY, fingerprint="x", billing_timezone=TIMEZONE,
                first_usage_day=date(2024, 1, 1), run_id="bench",
            )  # fmt: skip

        ratios: dict[str, list[float]] = {"Arrow to raw_charges": [], "file to raw_charges, checked": []}
        for number in range(1, ROUNDS + 1):
            times = {}
            for name, work in (("limit", limit), *zip(ratios, (arrow, whole_load), strict=True)):
                empty(connection)
                times[name] = seconds(work)
            told = ", ".join(f"{name} {charges.num_rows / took:,.0f} rows/s" for name, took in times.items())
            print(f"round {number}: {told}")
            for name, found in ratios.items():
                found.append(times["limit"] / times[name])
        print(f"{charges.num_rows:,} rows, {len(charges.schema.names)} columns, pyarrow {pa.__version__}")
        for name, found in ratios.items():
            print(f"{name}: {statistics.median(found):.2f} of server-side COPY of a ready binary file")
        Path(ready).unlink()


def empty(connection: psycopg.Connection) -> None:
    """The same start for everybody: no rows, no dead rows, nothing waiting to be written."""
    connection.execute("truncate finops.raw_charges")
    connection.execute("checkpoint")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
