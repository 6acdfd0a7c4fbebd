"""How long does it take to think about 90 days? All insight tables of the demo's export, against the limit of a minute.

Two processes share the work as two Dagster runs would: each takes its stretch of days through every table. Prints the
seconds, what each table took of them, and their ratio to the limit.

    make bench            or    .venv/bin/python -m benchmarks.insights
"""

import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta

from benchmarks.rebuild import fill
from benchmarks.warehouse import warehouse
from finops_insights.narrate import RulesEngine
from finops_pipeline.insight_days import replace_day
from finops_pipeline.narration import rebuild_insights_of_day, source_version_of_day
from finops_pipeline.sample_export import write_sample_export
from finops_pipeline.sources.files import FilesSource
from finops_pipeline.thoughts import reader
from finops_warehouse import ledger
from finops_warehouse.database import connect_to
from finops_warehouse.freshness import complete_through

LAST_DAY = date(2026, 11, 23)
DAYS = 90
LIMIT_SECONDS = 60
PROCESSES = 2


def think(dsn: str, days: list[date]) -> dict[str, float]:
    """Build every insight table for these days. Returns the seconds of each table."""
    seconds = {}
    with connect_to(dsn, autocommit=True) as connection:
        for asset in ledger.INSIGHTS:
            began = time.perf_counter()
            if asset == "llm_insights":
                for day in days:
                    version = source_version_of_day(connection, day)
                    rebuild_insights_of_day(
                        connection, day, service=RulesEngine(), run_id="bench", source_version=version
                    )
            else:
                read = reader(asset, connection, frozenset())
                for day in days:
                    rows, version = read(day)
                    replace_day(connection, asset, day, rows, source_version=version, run_id="bench")
            seconds[asset] = time.perf_counter() - began
    return seconds


def main() -> None:
    """Measure and print."""
    with warehouse() as (connection, folder):
        export = write_sample_export(
            folder / "export", days=DAYS, rows_per_day=1500, seed=2026, last_export_day=LAST_DAY
        )
        fill(connection, FilesSource(export.table_dir), export.first_export_day, LAST_DAY)
        last = complete_through(connection)
        assert last is not None
        days = [last - timedelta(days=i) for i in reversed(range(DAYS - 2))]
        connection.execute("vacuum analyze")
        dsn = connection.info.dsn + f" password={connection.info.password}"
        began = time.perf_counter()
        with ProcessPoolExecutor(PROCESSES) as pool:
            half = len(days) // PROCESSES
            spent = [*pool.map(think, [dsn] * PROCESSES, [days[:half], days[half:]])]
        seconds = time.perf_counter() - began
    for asset in ledger.INSIGHTS:
        print(f"{asset}: {sum(one[asset] for one in spent):.1f} s of both processes")
    print(
        f"{len(days)} days thought about in {seconds:.1f} s; against {LIMIT_SECONDS} s: {seconds / LIMIT_SECONDS:.2f}"
    )


if __name__ == "__main__":
    main()
