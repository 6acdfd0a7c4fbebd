"""Invoice totals, as somebody hands them in: the other side of the proof that a month adds up."""

import csv
import re
from decimal import Decimal, InvalidOperation
from pathlib import Path

import psycopg

from finops_warehouse import ledger
from finops_warehouse.errors import BadRequest

MOST_DIGITS = 100  # more is a slip of the hand, and beyond what NUMERIC holds
STATE = """
    case when current_date >= closed_from then 'closed' when current_date >= closing_from then 'closing' else 'open' end
"""
"""What may still move an invoice: usage (open), late rows (closing: the month is over), nothing (closed)."""

COLUMNS = ("billing_account_id", "invoice_month", "billing_currency", "total")


def hand_in(connection: psycopg.Connection, file: Path) -> int:
    """Take the invoice totals of a CSV file (`billing_account_id,invoice_month,billing_currency,total`).

    A total handed in again replaces the one before. Returns how many were new or other than before; their
    months are put behind, so that the next build proves them. All of a file is taken or nothing. Raises
    `BadRequest` naming the line that cannot be right.
    """
    rows = _read(file)
    with connection.transaction():
        changed = {
            row["invoice_month"]
            for row in rows
            if connection.execute(
                """
                insert into finops.invoices as known (billing_account_id, invoice_month, billing_currency, total)
                values (%(billing_account_id)s, %(invoice_month)s, %(billing_currency)s, %(total)s)
                on conflict (billing_account_id, invoice_month, billing_currency) do update
                    set total = excluded.total, received_at = now() where known.total <> excluded.total
                """,
                row,
            ).rowcount
        }
        ledger.touch_invoice_months(connection, changed)
    return len(changed)


def _read(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as text:
            reader = csv.DictReader(text)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
            if missing:
                raise BadRequest(
                    f"{file} has no column {', '.join(missing)}. Its first line must be {','.join(COLUMNS)}."
                )
            return [_checked(file, number, row) for number, row in enumerate(reader, start=2)]
    except OSError as error:
        raise BadRequest(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadRequest(f"{file} is not a CSV file in UTF-8.") from None


def _checked(file: Path, number: int, row: dict[str, str]) -> dict[str, str]:
    if not re.fullmatch(r"[^\0\s]+", row["billing_account_id"] or ""):
        raise BadRequest(
            f"{file}, line {number}: billing_account_id must be like 01AAAA-BBBBBB-CCCCCC, "
            f"not {row['billing_account_id']!r}."
        )
    if not re.fullmatch(r"[0-9]{4}(0[1-9]|1[0-2])", row["invoice_month"] or ""):
        raise BadRequest(f"{file}, line {number}: invoice_month must be YYYYMM, not {row['invoice_month']!r}.")
    if not re.fullmatch(r"[A-Z]{3}", row["billing_currency"] or ""):
        raise BadRequest(f"{file}, line {number}: billing_currency must be like USD, not {row['billing_currency']!r}.")
    try:
        total = Decimal(row["total"])
    except (InvalidOperation, TypeError):
        total = Decimal("NaN")
    if not total.is_finite() or abs(total.adjusted()) > MOST_DIGITS:
        raise BadRequest(f"{file}, line {number}: total must be a number like 1234.56, not {row['total']!r}.")
    return {name: row[name] for name in COLUMNS}
