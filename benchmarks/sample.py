"""How fast the sample export is written, on one core.

make bench            or    .venv/bin/python -m benchmarks.sample
"""

import tempfile
import time
from datetime import date
from pathlib import Path

from finops_pipeline.sample_export import write_sample_export

LIMIT = 200_000
"""Rows/s a core: below this a year of a large export would not be written over lunch."""


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        began, cpu = time.perf_counter(), time.process_time()
        export = write_sample_export(
            Path(folder), days=30, rows_per_day=100_000, seed=1, last_export_day=date(2026, 10, 20)
        )
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    print(f"{export.rows:,} rows in {wall:.1f} s, {cpu:.1f} CPU s: {export.rows / cpu:,.0f} rows/s a core")
    print(f"against {LIMIT:,} rows/s a core: {export.rows / cpu / LIMIT:.2f}")


if __name__ == "__main__":
    main()
