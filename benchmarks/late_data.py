"""What do look-back windows lose? The published methods on one export, beside the ledger.

Every method runs once an export day, as it would in production, and stores usage days. A look-back of k days reads, on
each run, the charges of the last k usage days and replaces them; whatever is exported later for an older day is never
read. What each stored at the end is compared with the export itself, by usage day, account and currency:

    +2 d    a usage day is read from its own export partition and the next two        (OpenCost)
    -1 d    each run reads again from the usage day before its last run               (OptScale)
    3 d     each run replaces the last three usage days                               (a dbt package)
    10 d    each run replaces the last ten usage days                                 (Koku's window)
    append  each run appends the last three export partitions, as a plain job does that was given a safety margin
    full    each run reads everything and replaces every usage day
    ledger  this product: each export day once, and what it says it touches

Amounts are billed cost; a currency is never added to another. Rows read count what a method asks of the source.

    make bench            or    .venv/bin/python -m benchmarks.late_data
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import duckdb
import psycopg
import pyarrow as pa

from benchmarks.rebuild import rebuild
from benchmarks.warehouse import warehouse
from finops_pipeline.loading import load_export_day
from finops_pipeline.sample_export import write_sample_export
from finops_pipeline.sources.files import FilesSource
from finops_warehouse.sql_models import sql_model

DAYS, ROWS_PER_DAY, SEED = 120, 1500, 2026
LAST_DAY = date(2026, 10, 31)

Place = tuple[date, str, str]
"""Usage day, billing account, currency."""


@dataclass(frozen=True)
class Stored:
    """What a method holds at the end, and what it read for it."""

    billed_cost: dict[Place, Decimal]
    rows_read: int


def charges_of(export: FilesSource) -> duckdb.DuckDBPyConnection:
    """Every charge of the export with its usage day and export day, exact, as `extract/raw_charges.sql` casts it."""
    scratch = duckdb.connect()
    scratch.execute("set timezone = 'UTC'")
    extract = sql_model("extract", "raw_charges").query
    for number, day in enumerate(sorted(export.partitions())):
        with export.read(day) as read:
            batches = iter(read.batches)
            first = next(batches)
            scratch.register("billing_export", pa.RecordBatchReader.from_batches(first.schema, [first, *batches]))
            verb = "create table charges as" if number == 0 else "insert into charges"
            scratch.execute(f"{verb} {extract}", {"export_day": day, "billing_timezone": "America/Los_Angeles"})
            scratch.unregister("billing_export")
    return scratch


def look_back(days: int) -> Callable[[duckdb.DuckDBPyConnection], Stored]:
    """Replace the last usage days on every run."""

    def run(scratch: duckdb.DuckDBPyConnection) -> Stored:
        kept = _totals(scratch, f"select * from charges where export_day <= usage_day + {days}")
        [(read,)] = scratch.execute(
            "select count(*) from (select distinct export_day from charges) as runs join charges "
            f"on charges.usage_day >= runs.export_day - {days} and charges.export_day <= runs.export_day"
        ).fetchall()
        return Stored(kept, read)

    return run


def append(scratch: duckdb.DuckDBPyConnection) -> Stored:
    """Append the last three export partitions on every run."""
    again = (
        "select charges.* from charges join (select distinct export_day as run from charges) as runs "
        "on charges.export_day between runs.run - 2 and runs.run"
    )
    [(read,)] = scratch.execute(f"select count(*) from ({again})").fetchall()
    return Stored(_totals(scratch, again), read)


def full(scratch: duckdb.DuckDBPyConnection) -> Stored:
    """Read everything on every run."""
    [(read,)] = scratch.execute(
        "select count(*) from (select distinct export_day from charges) as runs "
        "join charges on charges.export_day <= runs.export_day"
    ).fetchall()
    return Stored(_totals(scratch, "select * from charges"), read)


def ledger(connection: psycopg.Connection, export: FilesSource) -> Stored:
    """The real thing: each export day loaded when it appears, and the usage days it touches rebuilt."""
    for day, mark in sorted(export.partitions().items()):
        loaded = load_export_day(
            connection, export, day, fingerprint=mark, billing_timezone="America/Los_Angeles",
            first_usage_day=date(2024, 1, 1), run_id="bench",
        )  # fmt: skip
        for usage_day in loaded.touched_usage_days:
            rebuild(connection, usage_day)
    rows = connection.execute(
        "select usage_day, billing_account_id, billing_currency, sum(billed_cost) "
        "from finops.aggregated_cost_data group by 1, 2, 3"
    ).fetchall()
    [(read,)] = connection.execute("select sum(row_count * load_count) from finops.export_day_ledger").fetchall()
    return Stored({(day, account, currency): cost for day, account, currency, cost in rows}, int(read))


METHODS: dict[str, Callable[[duckdb.DuckDBPyConnection], Stored]] = {
    "+2 d": look_back(2),
    "-1 d": look_back(1),
    "3 d": look_back(3),
    "10 d": look_back(10),
    "append": append,
    "full": full,
}


def main() -> None:
    """Measure and print."""
    with warehouse() as (connection, folder):
        sample = write_sample_export(
            folder / "export", days=DAYS, rows_per_day=ROWS_PER_DAY, seed=SEED, last_export_day=LAST_DAY
        )
        export = FilesSource(sample.table_dir)
        scratch = charges_of(export)
        truth = _totals(scratch, "select * from charges")
        [(charges,)] = scratch.execute("select count(*) from charges").fetchall()
        found = {name: method(scratch) for name, method in METHODS.items()}
        found["ledger"] = ledger(connection, export)
    oldest = LAST_DAY - timedelta(days=DAYS)
    print(f"{charges:,} charges of {DAYS} export days, {oldest} to {LAST_DAY}; one run an export day\n")
    print(f"{'method':8}{'lost':>32}{'too much':>34}{'days wrong':>12}{'rows read':>14}{'read again':>12}")
    for name, stored in found.items():
        wrong = {day for day, *_ in truth if any(stored.billed_cost.get(p) != truth[p] for p in truth if p[0] == day)}
        print(
            f"{name:8}{_amounts(truth, stored, lost=True):>32}{_amounts(truth, stored, lost=False):>34}"
            f"{len(wrong):>12}{stored.rows_read:>14,}{(stored.rows_read - charges) / charges:>11.2f}x"
        )


def _totals(scratch: duckdb.DuckDBPyConnection, charges: str) -> dict[Place, Decimal]:
    rows = scratch.execute(
        f"select usage_day, billing_account_id, billing_currency, sum(billed_cost) from ({charges}) group by 1, 2, 3"
    ).fetchall()
    return {(day, account, currency): cost for day, account, currency, cost in rows}


def _amounts(truth: dict[Place, Decimal], stored: Stored, *, lost: bool) -> str:
    """How much is missing from, or too much in, the places where it is; corrections that lower a day count as well."""
    by_currency: dict[str, Decimal] = dict.fromkeys(sorted({currency for *_, currency in truth}), Decimal(0))
    for place, cost in truth.items():
        difference = cost - stored.billed_cost.get(place, Decimal(0))
        if (difference > 0) == lost:
            by_currency[place[2]] += abs(difference)
    return ", ".join(f"{amount:,.2f} {currency}" for currency, amount in by_currency.items())


if __name__ == "__main__":
    main()
