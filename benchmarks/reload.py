"""What does a corrected export day cost when the history behind it grows? 30 days of history against 365.

One export day that touches exactly three usage days is loaded again with other costs, and the fact table and every
daily rollup of those days are rebuilt, as the sensors would. Two warehouses hold the two histories and take turns, so
that whatever else the machine does falls on both. Prints the ratio of the medians; at most 1.20 is the aim.

    make bench            or    .venv/bin/python -m benchmarks.reload
"""

import statistics
import time
from datetime import date, timedelta
from pathlib import Path

import duckdb
import psycopg
import pyarrow.parquet as pq

from benchmarks.rebuild import fill, rebuild
from benchmarks.warehouse import warehouse
from finops_pipeline.loading import load_export_day
from finops_pipeline.sample_export import write_sample_export
from finops_pipeline.sources.files import FilesSource
from finops_warehouse.assignment import apply
from finops_warehouse.dimensions import default_rules

LAST_DAY = date(2026, 10, 20)
RELOADED = LAST_DAY + timedelta(days=1)
HISTORIES = (30, 365)
ROUNDS = 41
ROWS_PER_DAY = 1500


def reloaded_day(table_dir: Path, folder: Path, percent: int) -> FilesSource:
    """An export that holds one day: the charges of the sample's last, of its three busiest usage days, so much dearer.

    The days of a sample reach back for weeks; this one touches three, so that both warehouses have them all.
    """
    rows = duckdb.connect().sql(
        f"""
        with charges as (
            select *, (usage_start_time at time zone 'America/Los_Angeles')::date as usage_day
            from read_parquet('{table_dir}/export_day={LAST_DAY}/*.parquet', hive_partitioning = false)
        ),
        busiest as (select usage_day from charges group by 1 order by count(*) desc limit 3)
        select * exclude (usage_day) replace (round(cost * {percent} / 100, 6) as cost)
        from charges semi join busiest using (usage_day)
        """
    )
    file = folder / f"export_day={RELOADED}" / "part-000.parquet"
    file.parent.mkdir(parents=True)
    pq.write_table(rows.to_arrow_table(), file)
    return FilesSource(folder)


def reload(connection: psycopg.Connection, source: FilesSource) -> tuple[float, float]:
    """Load the day again and rebuild what it touches. Returns the milliseconds of both."""
    began = time.perf_counter()
    loaded = load_export_day(
        connection, source, RELOADED, fingerprint="x", billing_timezone="America/Los_Angeles",
        first_usage_day=date(2024, 1, 1), run_id="bench",
    )  # fmt: skip
    read = time.perf_counter()
    if len(loaded.touched_usage_days) != 3:
        raise AssertionError(f"The day touches {loaded.touched_usage_days}; three days were to be measured.")
    for day in loaded.touched_usage_days:
        rebuild(connection, day)
    return (read - began) * 1000, (time.perf_counter() - read) * 1000


def main() -> None:
    """Measure and print."""
    with warehouse() as (short, folder), warehouse() as (long, _):
        export = write_sample_export(
            folder / "export", days=365, rows_per_day=ROWS_PER_DAY, seed=1, last_export_day=LAST_DAY
        )
        contents = [reloaded_day(export.table_dir, folder / f"at {percent}", percent) for percent in (100, 101)]
        warehouses = dict(zip(HISTORIES, (short, long), strict=True))
        for days, connection in warehouses.items():
            apply(connection, default_rules(), "dimensions.yaml")
            fill(connection, FilesSource(export.table_dir), LAST_DAY - timedelta(days=days - 1), LAST_DAY)
            connection.execute("vacuum analyze")
            connection.execute("checkpoint")  # or the longer history would still be on its way to the disk
            reload(connection, contents[1])
        took: dict[int, list[tuple[float, float]]] = {days: [] for days in HISTORIES}
        for number in range(ROUNDS):
            order = HISTORIES if number % 2 else HISTORIES[::-1]
            for days in order:
                took[days].append(reload(warehouses[days], contents[number % 2]))
        [(rows,)] = long.execute(
            "select row_count from finops.export_day_ledger where export_day = %s", [RELOADED]
        ).fetchall()
    medians = {days: statistics.median(map(sum, found)) for days, found in took.items()}
    print(f"{rows:,} rows of one export day, three usage days, {ROUNDS} rounds")
    for days, found in took.items():
        load, build = (statistics.median(part) for part in zip(*found, strict=True))
        print(f"{days} days of history: {medians[days]:.1f} ms ({load:.1f} to load, {build:.1f} to rebuild)")
    print(f"365 days against 30: {medians[365] / medians[30]:.2f}")


if __name__ == "__main__":
    main()
