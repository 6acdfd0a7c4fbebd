"""Does rebuilding a usage day read its own rows only? The plan of the facts' statement with 1 and with 10 million rows.

A million charges are loaded as any export is. The others are the same charges of other days, shifted by quarters inside
PostgreSQL, so that the measured day has the same rows both times. Prints what is read of `raw_charges`, in buffers of
8 KB, and the time.

    .venv/bin/python -m benchmarks.rebuild_at_scale [times]

Run by hand: ten times a million rows take a quarter of an hour and 15 GB. The results of one run are in ADR 21.
"""

import re
import sys
from datetime import date, timedelta

import psycopg
from psycopg import sql

from benchmarks.rebuild import rebuild
from benchmarks.warehouse import warehouse
from finops_pipeline.loading import load_export_day
from finops_pipeline.sample_export import write_sample_export
from finops_pipeline.sources.files import FilesSource
from finops_warehouse.assignment import apply
from finops_warehouse.dimensions import default_rules
from finops_warehouse.partitions import ensure_month
from finops_warehouse.sql_models import sql_model
from finops_warehouse.tables import raw_charges

LAST_DAY = date(2026, 10, 20)
MEASURED = LAST_DAY - timedelta(days=10)
DAYS = 20
ROWS_PER_DAY = 50_000
SHIFT_DAYS = 91  # longer than the days an export day reaches back to, so that no copy falls on the measured day


def shifted_copy(connection: psycopg.Connection, number: int) -> None:
    """Add the loaded charges once more, `number` quarters earlier."""
    shift = timedelta(days=SHIFT_DAYS * number)
    for day in {LAST_DAY - timedelta(days=back) - shift for back in range(DAYS)}:
        ensure_month(connection, "raw_charges", day)
    moved = ("export_day", "usage_day")
    names = [column.name for column in raw_charges.columns]
    connection.execute(
        sql.SQL("insert into finops.raw_charges ({}) select {} from finops.raw_charges where export_day > {}").format(
            sql.SQL(", ").join(map(sql.Identifier, names)),
            sql.SQL(", ").join(
                sql.SQL("{} - {}").format(sql.Identifier(name), sql.Literal(shift.days))
                if name in moved
                else sql.Identifier(name)
                for name in names
            ),
            sql.Literal(LAST_DAY - timedelta(days=DAYS)),
        )
    )


def plan(connection: psycopg.Connection) -> list[str]:
    """What PostgreSQL does to compute the facts of the measured day, line by line, with what it reads."""
    query = sql_model("core", "aggregated_cost_data").as_psycopg()
    rows = connection.execute(
        f"explain (analyze, buffers, costs off) {query}",
        {"start_day": MEASURED, "end_day": MEASURED + timedelta(days=1)},
    ).fetchall()
    return [str(line) for (line,) in rows]


def tell(connection: psycopg.Connection) -> None:
    """Print how many rows there are and what was read for one day."""
    connection.execute("vacuum analyze finops.raw_charges")
    plan(connection)  # the first brings the day's pages into memory
    lines = plan(connection)
    [(rows, of_day)] = connection.execute(
        "select count(*), count(*) filter (where usage_day = %s) from finops.raw_charges", [MEASURED]
    ).fetchall()
    [(partitions,)] = connection.execute(
        "select count(*) from pg_inherits where inhparent = 'finops.raw_charges'::regclass"
    ).fetchall()
    print(f"{rows:,} rows in {partitions} partitions, {of_day:,} of them of {MEASURED}")
    for number, line in enumerate(lines):
        if re.search(r"on raw_charges_\d+ ", line):
            print("  ", line.strip())
            told = [
                text.strip() for text in lines[number + 1 : number + 8] if "Buffers" in text or "Index Cond" in text
            ]
            print("      ", "; ".join(told[:2]))
    buffers = next(line for line in lines if "Buffers" in line)
    print("   whole statement:", buffers.strip(), "|", "; ".join(line for line in lines if "Time" in line))


def main(times: int) -> None:
    """Measure and print."""
    with warehouse() as (connection, folder):
        apply(connection, default_rules(), "dimensions.yaml")
        export = write_sample_export(
            folder / "export", days=DAYS, rows_per_day=ROWS_PER_DAY, seed=1, last_export_day=LAST_DAY
        )
        source = FilesSource(export.table_dir)
        for day in source.partitions():
            load_export_day(
                connection, source, day, fingerprint="x", billing_timezone="America/Los_Angeles",
                first_usage_day=date(2024, 1, 1), run_id="bench",
            )  # fmt: skip
        rebuild(connection, MEASURED)
        tell(connection)
        for number in range(1, times):
            shifted_copy(connection, number)
        tell(connection)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
