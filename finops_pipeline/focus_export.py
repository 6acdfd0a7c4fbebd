"""Google's own FOCUS export as a second witness: what it bills each month, beside our rows and the invoice.

It is append-only as the billing export is, so its sums are taken over all of its rows. Only monthly sums are kept.
"""

from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import duckdb
import psycopg

from finops_pipeline.sources import contract
from finops_warehouse.errors import SourceError

READERS = {".parquet": "read_parquet", ".jsonl": "read_json", ".jsonl.gz": "read_json"}

# A period begins at midnight, in Los Angeles or in UTC as the writer has it: in UTC it is the same month.
MONTHS = """
    select
        strftime("BillingPeriodStart"::timestamptz at time zone 'UTC', '%Y%m') as invoice_month,
        "BillingAccountId"::text as billing_account_id,
        "BillingCurrency"::text as billing_currency,
        sum("BilledCost"::decimal(38, 9)) as billed_cost,
        count(*) as charge_count,
        max("x_ExportTime"::timestamptz) as last_export_time
    from {reader}([{files}], union_by_name = true)
    group by all
"""

TOGETHER = """
    select invoice_month, billing_account_id, billing_currency, sum(billed_cost)::decimal(38, 9),
        sum(charge_count)::bigint, max(last_export_time)
    from ({parts}) group by all order by all
"""


def take_focus_export(connection: psycopg.Connection, folder: Path) -> int:
    """Have `focus_export_months` hold what the files of `folder` add up to. Returns how many months there are.

    Files that are as they were are not read again. Raises `SourceError` when one cannot be read, or lacks a column;
    the table is then as before.
    """
    files = sorted(path for path in folder.rglob("*") if _reader(path) and not path.name.startswith((".", "_")))
    if not files:
        raise SourceError(f"FOCUS_EXPORT_URL names {folder}, which holds no Parquet or JSONL file.")
    mark = _fingerprint(files)
    seen = connection.execute("select distinct fingerprint from finops.focus_export_months").fetchall()
    months = [] if seen == [(mark,)] else _months(folder, files)
    with connection.transaction():
        if months:
            connection.execute("delete from finops.focus_export_months")
            connection.cursor().executemany(
                "insert into finops.focus_export_months (invoice_month, billing_account_id, billing_currency, "
                "billed_cost, charge_count, last_export_time, fingerprint) values (%s, %s, %s, %s, %s, %s, %s)",
                [(*month, mark) for month in months],
            )
        [(count,)] = connection.execute("select count(*) from finops.focus_export_months").fetchall()
    return int(count)


def folder_of(url: str) -> Path:
    """The folder a file URL names."""
    return Path(unquote(urlsplit(url).path))


def _months(folder: Path, files: list[Path]) -> list[tuple[Any, ...]]:
    """The sums by month; over Parquet and JSONL files together when there are both."""
    parts = []
    for reader in sorted(set(READERS.values())):
        own = [file for file in files if _reader(file) == reader]
        if own:
            names = ", ".join("'" + str(file).replace("'", "''") + "'" for file in own)
            parts.append(MONTHS.format(reader=reader, files=names))
    together = " union all ".join(f"({part})" for part in parts)
    try:
        with contract.connect() as engine:
            return engine.execute(TOGETHER.format(parts=together)).fetchall()
    except (duckdb.Error, OSError) as failed:
        raise SourceError(
            f"The FOCUS export in {folder} cannot be added up: {str(failed).splitlines()[0]} It must have the columns "
            "BillingPeriodStart, BillingAccountId, BillingCurrency, BilledCost and x_ExportTime."
        ) from None


def _reader(path: Path) -> str | None:
    return next((reader for ending, reader in READERS.items() if path.name.endswith(ending)), None)


def _fingerprint(files: list[Path]) -> str:
    """Of names, sizes and times: an append-only export never rewrites a file."""
    mark = blake2b(digest_size=16)
    for file in files:
        status = file.stat()
        mark.update(f"{file}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return mark.hexdigest()
