"""Invoice totals, as somebody hands them in: the other side of the proof that a month adds up; and months that closed.

A closed month is sealed with what it was. Rows that arrive for it afterwards change the month's sums, which are shown,
and never its seal: until somebody hands in another invoice, or says that it moved rightly, a blocking check fails.
"""

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg

from finops_warehouse import ledger
from finops_warehouse.errors import BadRequest, SettingsError

MOST_DIGITS = 100  # more is a slip of the hand, and beyond what NUMERIC holds
STATE = """
    case when current_date >= closed_from then 'closed' when current_date >= closing_from then 'closing' else 'open' end
"""
"""What may still move an invoice: usage (open), late rows (closing: the month is over), nothing (closed)."""

COLUMNS = ("billing_account_id", "invoice_month", "billing_currency", "total")
OPTIONAL = "invoice_id"

TAKE = """
    insert into finops.invoices as known (billing_account_id, invoice_month, billing_currency, total, invoice_id)
    values (%(billing_account_id)s, %(invoice_month)s, %(billing_currency)s, %(total)s, %(invoice_id)s)
    on conflict (billing_account_id, invoice_month, billing_currency) do update set
        total = excluded.total, invoice_id = coalesce(excluded.invoice_id, known.invoice_id), received_at = now()
        where known.total <> excluded.total
        or known.invoice_id is distinct from coalesce(excluded.invoice_id, known.invoice_id)
"""
"""Takes a total; touches no row where it was known already."""

NEWEST_SEAL = """
    select distinct on (invoice_month, billing_account_id, billing_currency) *
    from finops.invoice_seals order by invoice_month, billing_account_id, billing_currency, seal_id desc
"""

# A month is sealed by itself when it adds up to its invoice, or once it closed with the export days around it loaded
# and nothing late in it. While a history is being backfilled a month holds a part of its rows, and proves nothing.
TO_BE_SEALED = f"""
    select months.invoice_month, months.billing_account_id, months.billing_currency, months.billed_cost,
        months.charge_count, months.input_hash,
        case when months.residual = 0 then 'adds up to its invoice' else 'closed' end as reason
    from finops.invoice_months as months
    left join ({NEWEST_SEAL}) as seal using (invoice_month, billing_account_id, billing_currency)
    where months.closed_from <= current_date
    and (
        months.residual = 0 and (
            seal.reason = 'closed' or (seal.billed_cost, seal.charge_count, seal.input_hash)
                is distinct from (months.billed_cost, months.charge_count, months.input_hash)
        )
        or seal.seal_id is null and months.late_charge_count = 0 and months.residual is null
            and to_date(months.invoice_month, 'YYYYMM') >=
                (select min(export_day) from finops.export_day_ledger where row_count > 0)
            and months.closed_from <= (select max(export_day) from finops.export_day_ledger where row_count > 0)
    )
"""  # noqa: S608 -- made of constants of ours

MOVED_AFTER_CLOSE = f"""
    select months.invoice_month, months.billing_account_id, months.billing_currency,
        trim_scale(months.billed_cost) as billed_cost,
        trim_scale(coalesce(seal.billed_cost, months.billed_cost - months.late_billed_cost)) as sealed_cost,
        coalesce(months.charge_count - seal.charge_count, months.late_charge_count) as more_charges
    from finops.invoice_months as months
    left join ({NEWEST_SEAL}) as seal using (invoice_month, billing_account_id, billing_currency)
    where months.closed_from <= current_date and months.residual is distinct from 0
    and (
        (seal.billed_cost, seal.charge_count, seal.input_hash)
            is distinct from (months.billed_cost, months.charge_count, months.input_hash)
        and (seal.seal_id is not null or months.late_charge_count > 0)
    )
    and (%(first)s::text is null or months.invoice_month >= %(first)s)
    and (%(last)s::text is null or months.invoice_month <= %(last)s)
    order by 1, 2, 3
"""  # noqa: S608 -- made of constants of ours
"""Closed months that are not what they were when they closed, and that nobody said should have moved."""


@dataclass(frozen=True)
class Dropped:
    """A file of the drop folder that was not seen before as it is now."""

    file: Path
    changed_months: int
    refused_because: str | None


def hand_in(connection: psycopg.Connection, file: Path) -> int:
    """Take the invoice totals of a CSV or JSON file.

    CSV begins with `billing_account_id,invoice_month,billing_currency,total` and may have `invoice_id`; JSON is a list
    of objects with these names. A total handed in again replaces the one before. Returns how many were new or other
    than before; their months are put behind, so that the next build proves them. All of a file is taken or nothing.
    Raises `BadRequest` naming the line that cannot be right.
    """
    return take(connection, _read(file, _bytes(file)))


def take(connection: psycopg.Connection, totals: list[dict[str, Any]]) -> int:
    """Take totals that `checked` has let through. Returns how many were new or other than before."""
    with connection.transaction():
        changed = {row["invoice_month"] for row in totals if connection.execute(TAKE, row).rowcount}
        ledger.touch_invoice_months(connection, changed)
    return len(changed)


def take_dropped(connection: psycopg.Connection, folder: Path) -> list[Dropped]:
    """Take every CSV and JSON file of `folder` that is new, or not as it was when it was looked at.

    A file that cannot be right is refused as a whole, remembered with the reason, and looked at again once it changes.
    Files stay where they are. Raises `SettingsError` when there is no such folder.
    """
    if not folder.is_dir():
        raise SettingsError(f"INVOICES_DIR names {folder}, which is no folder. Make it, or unset INVOICES_DIR.")
    seen: dict[str, str] = dict(
        connection.execute("select file_name, content_hash from finops.invoice_files").fetchall()
    )
    found = []
    for file in sorted(path for path in folder.iterdir() if path.suffix.lower() in _READERS and path.is_file()):
        content = _bytes(file)
        mark = sha256(content).hexdigest()
        if seen.get(file.name) == mark:
            continue
        changed, refused = 0, None
        with connection.transaction():
            try:
                changed = take(connection, _read(file, content))
            except BadRequest as error:
                refused = str(error)
            connection.execute(
                "insert into finops.invoice_files (file_name, content_hash, refused_because) values (%s, %s, %s) "
                "on conflict (file_name) do update set content_hash = excluded.content_hash, "
                "refused_because = excluded.refused_because, taken_at = now()",
                [file.name, mark, refused],
            )
        found.append(Dropped(file, changed, refused))
    return found


def seal_what_closed(connection: psycopg.Connection) -> int:
    """Seal every month that closed as it should. Returns how many."""
    return connection.execute(
        "insert into finops.invoice_seals (invoice_month, billing_account_id, billing_currency, billed_cost, "
        f"charge_count, input_hash, reason) {TO_BE_SEALED}"
    ).rowcount


def accept(connection: psycopg.Connection, invoice_month: str, reason: str) -> int:
    """Say that a closed month moved rightly: seal it as it is now, for the reason given. Returns how many accounts.

    The seals before stay. Raises `BadRequest` when the month did not move, or is not YYYYMM.
    """
    if not _MONTH.fullmatch(invoice_month):
        raise BadRequest(f"An invoice month is written YYYYMM, not {invoice_month!r}.")
    with connection.transaction():
        sealed = connection.execute(
            f"""
            insert into finops.invoice_seals (invoice_month, billing_account_id, billing_currency, billed_cost,
                charge_count, input_hash, reason)
            select months.invoice_month, months.billing_account_id, months.billing_currency, months.billed_cost,
                months.charge_count, months.input_hash, %(reason)s
            from finops.invoice_months as months
            join ({MOVED_AFTER_CLOSE}) as moved using (invoice_month, billing_account_id, billing_currency)
            """,  # noqa: S608 -- made of constants of ours
            {"first": invoice_month, "last": invoice_month, "reason": reason},
        ).rowcount
    if not sealed:
        raise BadRequest(
            f"Invoice month {invoice_month} did not move after it closed; `finops status` has those that did."
        )
    return sealed


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadRequest(f"{file} cannot be read: {error.strerror}.") from None


def _read(file: Path, content: bytes) -> list[dict[str, Any]]:
    reader = _READERS.get(file.suffix.lower(), _csv)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadRequest(f"{file} is not a {reader.__name__.strip('_').upper()} file in UTF-8.") from None
    return reader(file, text)


def _csv(file: Path, text: str) -> list[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
    if missing:
        raise BadRequest(f"{file} has no column {', '.join(missing)}. Its first line must be {','.join(COLUMNS)}.")
    return [checked(f"{file}, line {number}", row) for number, row in enumerate(reader, start=2)]


def _json(file: Path, text: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text, parse_float=Decimal)
    except json.JSONDecodeError as error:
        raise BadRequest(f"{file}, line {error.lineno}: {error.msg}. Write a list of objects.") from None
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise BadRequest(f"{file} holds no list of objects with {', '.join(COLUMNS)}.")
    return [checked(f"{file}, invoice {number}", row) for number, row in enumerate(found, start=1)]


_READERS: dict[str, Callable[[Path, str], list[dict[str, Any]]]] = {".csv": _csv, ".json": _json}
_MONTH = re.compile(r"[0-9]{4}(0[1-9]|1[0-2])")


def checked(where: str, row: dict[str, Any]) -> dict[str, Any]:
    """A total as the `invoices` table takes it. Raises `BadRequest` saying where and what cannot be right."""
    text = {name: "" if (value := row.get(name)) is None else str(value) for name in (*COLUMNS, OPTIONAL)}
    if not re.fullmatch(r"[^\0\s]+", text["billing_account_id"]):
        raise BadRequest(
            f"{where}: billing_account_id must be like 01AAAA-BBBBBB-CCCCCC, not {text['billing_account_id']!r}."
        )
    if not _MONTH.fullmatch(text["invoice_month"]):
        raise BadRequest(f"{where}: invoice_month must be YYYYMM, not {text['invoice_month']!r}.")
    if not re.fullmatch(r"[A-Z]{3}", text["billing_currency"]):
        raise BadRequest(f"{where}: billing_currency must be like USD, not {text['billing_currency']!r}.")
    try:
        total = Decimal(text["total"])
    except InvalidOperation:
        total = Decimal("NaN")
    if not total.is_finite() or abs(total.adjusted()) > MOST_DIGITS:
        raise BadRequest(f"{where}: total must be a number like 1234.56, not {text['total']!r}.")
    if "\0" in text[OPTIONAL]:
        raise BadRequest(f"{where}: invoice_id holds a NUL character.")
    return {**{name: text[name] for name in COLUMNS}, OPTIONAL: text[OPTIONAL] or None}
