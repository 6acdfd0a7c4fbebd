"""Invoice totals as somebody hands them in: all of a file or nothing, and a line that is wrong is named."""

from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from finops_warehouse.errors import BadRequest
from finops_warehouse.invoices import hand_in

HEADER = "billing_account_id,invoice_month,billing_currency,total"
ACCOUNT = "01AAAA-BBBBBB-CCCCCC"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "invoices.csv"


def known(connection: psycopg.Connection) -> dict[tuple[str, str, str], Decimal]:
    """The totals that are known."""
    rows = connection.execute("select billing_account_id, invoice_month, billing_currency, total from finops.invoices")
    return {(account, month, currency): total for account, month, currency, total in rows}


def behind(connection: psycopg.Connection) -> dict[str, int]:
    """How often each month was put behind."""
    return dict(connection.execute("select invoice_month, source_version from finops.invoice_month_ledger").fetchall())


def test_totals_are_taken_and_their_months_put_behind(connection: psycopg.Connection, file: Path) -> None:
    """To the last digit; the next build proves each month."""
    file.write_text(f"{HEADER}\n{ACCOUNT},202609,USD,12345.67\n{ACCOUNT},202610,USD,-0.000001\n")

    assert hand_in(connection, file) == 2
    assert known(connection) == {
        (ACCOUNT, "202609", "USD"): Decimal("12345.67"),
        (ACCOUNT, "202610", "USD"): Decimal("-0.000001"),
    }
    assert behind(connection) == {"202609": 1, "202610": 1}


def test_handing_in_the_same_again_changes_nothing(connection: psycopg.Connection, file: Path) -> None:
    """The same file every night must not rebuild every month every night; 1.50 is 1.5."""
    file.write_text(f"{HEADER}\n{ACCOUNT},202609,USD,1.50\n")
    hand_in(connection, file)
    file.write_text(f"{HEADER}\n{ACCOUNT},202609,USD,1.5\n")

    assert hand_in(connection, file) == 0
    assert behind(connection) == {"202609": 1}


def test_a_total_handed_in_again_replaces_the_one_before(connection: psycopg.Connection, file: Path) -> None:
    """Somebody mistyped; only that month is proven again."""
    file.write_text(f"{HEADER}\n{ACCOUNT},202609,USD,1\n{ACCOUNT},202610,USD,2\n")
    hand_in(connection, file)
    file.write_text(f"{HEADER}\n{ACCOUNT},202609,USD,1\n{ACCOUNT},202610,USD,3\n")

    assert hand_in(connection, file) == 1
    assert known(connection)[ACCOUNT, "202610", "USD"] == 3
    assert behind(connection) == {"202609": 1, "202610": 2}


def test_columns_may_stand_in_any_order_with_others_among_them(connection: psycopg.Connection, file: Path) -> None:
    """A spreadsheet's export: a byte order mark, quotes, Windows line ends, a column of notes."""
    lines = ["note,total,billing_currency,invoice_month,billing_account_id", f'"a, b",7,EUR,202609,{ACCOUNT}', ""]
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())

    assert hand_in(connection, file) == 1
    assert known(connection) == {(ACCOUNT, "202609", "EUR"): Decimal(7)}


WRONG = {
    "a month that is none": ("A,202613,USD,1", "invoice_month must be YYYYMM, not '202613'"),
    "a month with a dash": ("A,2026-09,USD,1", "invoice_month must be YYYYMM"),
    "a month with a line after it": ('A,"202609\n",USD,1', "invoice_month must be YYYYMM"),
    "digits of another script": ("A,\u0662\u0660\u0662\u066609,USD,1", "invoice_month must be YYYYMM"),
    "no currency": ("A,202609,,1", "billing_currency must be like USD, not ''"),
    "a small currency": ("A,202609,usd,1", "billing_currency must be like USD"),
    "words for a total": ("A,202609,USD,twelve", "total must be a number like 1234.56, not 'twelve'"),
    "a comma in a total": ('A,202609,USD,"1,234.56"', "total must be a number"),
    "no total": ("A,202609,USD,", "total must be a number"),
    "a total that is not there": ("A,202609,USD", "total must be a number"),
    "NaN": ("A,202609,USD,NaN", "total must be a number"),
    "infinity": ("A,202609,USD,-Infinity", "total must be a number"),
    "a number nothing can hold": ("A,202609,USD,1e999999", "total must be a number"),
    "no account": (",202609,USD,1", "billing_account_id"),
    "a NUL": ("A\0,202609,USD,1", "billing_account_id"),
}


@pytest.mark.parametrize(("line", "said"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_line_is_named_and_nothing_is_taken(
    connection: psycopg.Connection, file: Path, line: str, said: str
) -> None:
    """Half a file taken is a proof of half the invoices that looks like one of all."""
    file.write_text(f"{HEADER}\n{ACCOUNT},202608,USD,1\n{line}\n{ACCOUNT},202610,USD,1\n", encoding="utf-8")

    with pytest.raises(BadRequest) as refused:
        hand_in(connection, file)

    assert f"{file}, line 3: " in str(refused.value)
    assert said in str(refused.value)
    assert known(connection) == {}
    assert behind(connection) == {}


def test_a_missing_column_is_named(connection: psycopg.Connection, file: Path) -> None:
    """With the header that is wanted."""
    file.write_text("billing_account_id,month,total\nA,202609,1\n")

    with pytest.raises(BadRequest, match=f"no column invoice_month, billing_currency.*{HEADER}"):
        hand_in(connection, file)


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_an_empty_file_is_refused(connection: psycopg.Connection, file: Path, content: bytes) -> None:
    """An export that went wrong is not an invoice of nothing."""
    file.write_bytes(content)

    with pytest.raises(BadRequest, match="has no column"):
        hand_in(connection, file)


def test_what_is_no_text_is_refused(connection: psycopg.Connection, file: Path) -> None:
    """The PDF instead of the CSV."""
    file.write_bytes(b"%PDF-1.7\n\xff\xfe\x00\x01")

    with pytest.raises(BadRequest, match="not a CSV file in UTF-8"):
        hand_in(connection, file)


def test_a_file_that_is_not_there_is_named(connection: psycopg.Connection, file: Path) -> None:
    """With the reason, and without a traceback."""
    with pytest.raises(BadRequest, match=r"invoices\.csv cannot be read: No such file"):
        hand_in(connection, file)
    with pytest.raises(BadRequest, match="cannot be read: Is a directory"):
        hand_in(connection, file.parent)
