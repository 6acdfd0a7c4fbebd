"""Does rebuilding one usage day stay as fast when the history behind it grows? 30 days of history against 365.

The same day of the same export is rebuilt, fact table and rollups, with little and with much around it; both
histories are in the same server and are measured in turn. Prints the ratio of the medians.

    make bench            or    .venv/bin/python -m benchmarks.rebuild
"""

import statistics
import time
from datetime import date, timedelta

import psycopg

from benchmarks.warehouse import warehouse
from finops_pipeline.assets.sql_assets import daily_inputs
from finops_pipeline.loading import load_export_day
from finops_pipeline.rebuilding import rebuild_usage_day
from finops_pipeline.sample_export import write_sample_export
from finops_pipeline.sources.files import FilesSource
from finops_warehouse.assignment import apply
from finops_warehouse.dimensions import default_rules
from finops_warehouse.sql_models import postgres_models

LAST_DAY = date(2026, 10, 20)
MEASURED = LAST_DAY - timedelta(days=10)
ROUNDS = 15
ROWS_PER_DAY = 1500


def fill(connection: psycopg.Connection, source: FilesSource, first: date, last: date) -> None:
    """Load export days and build every usage day they touch."""
    touched: set[date] = set()
    for day in sorted(held for held in source.partitions() if first <= held <= last):
        loaded = load_export_day(
            connection, source, day, fingerprint="x", billing_timezone="America/Los_Angeles",
            first_usage_day=date(2024, 1, 1), run_id="bench",
        )  # fmt: skip
        touched |= {*loaded.touched_usage_days}
    for day in sorted(touched):
        rebuild(connection, day)


def rebuild(connection: psycopg.Connection, day: date) -> None:
    """Rebuild the fact table and its rollups for a day."""
    models = {model.table: model for model in postgres_models()}
    for table in sorted(daily_inputs(), key=lambda table: daily_inputs()[table] is not None):
        rebuild_usage_day(connection, models[table], day, run_id="bench")


def milliseconds(connection: psycopg.Connection) -> list[float]:
    """How long each of several rebuilds of the measured day takes."""
    found = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        rebuild(connection, MEASURED)
        found.append((time.perf_counter() - began) * 1000)
    return found


def main() -> None:
    """Measure and print."""
    medians = {}
    with warehouse() as (connection, folder):
        apply(connection, default_rules(), "dimensions.yaml")
        export = write_sample_export(
            folder / "export", days=365, rows_per_day=ROWS_PER_DAY, seed=1, last_export_day=LAST_DAY
        )
        source = FilesSource(export.table_dir)
        fill(connection, source, LAST_DAY - timedelta(days=29), LAST_DAY)
        connection.execute("vacuum analyze")
        medians[30] = statistics.median(milliseconds(connection))
        fill(connection, source, export.first_export_day, LAST_DAY - timedelta(days=30))
        connection.execute("vacuum analyze")
        medians[365] = statistics.median(milliseconds(connection))
    for days, median in medians.items():
        print(f"{days} days of history: {median:.1f} ms to rebuild one usage day and its rollups")
    print(f"365 days against 30: {medians[365] / medians[30]:.2f}")


if __name__ == "__main__":
    main()
