"""`finops invoices`: hand in the totals of the invoices Google sent, or say that a closed month moved rightly."""

from pathlib import Path
from typing import Annotated

import typer

from finops_cli.output import say
from finops_warehouse.database import connect, init_db
from finops_warehouse.errors import BadRequest
from finops_warehouse.invoices import accept, hand_in
from finops_warehouse.settings import load_settings


def invoices(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="CSV with billing_account_id,invoice_month,billing_currency,total and, if known, invoice_id; "
            "or JSON, a list of objects with these names."
        ),
    ] = None,
    accept_month: Annotated[
        str | None, typer.Option("--accept", metavar="YYYYMM", help="Seal a closed month as it is now.")
    ] = None,
    because: Annotated[str | None, typer.Option(help="Why it moved rightly; needed with --accept, and kept.")] = None,
) -> None:
    """Take invoice totals from a file; `finops sync` then proves their months. Or accept a month that moved."""
    if (file is None) == (accept_month is None):
        raise BadRequest("Name a file of invoice totals, or a month with --accept.")
    if accept_month is not None and not (because or "").strip():
        raise BadRequest("Say why the month moved rightly: --because '…'. It is kept with the seal.")
    settings = load_settings()
    init_db(settings)
    with connect(settings, autocommit=True) as connection:
        if accept_month is not None:
            accounts = accept(connection, accept_month, (because or "").strip())
            say(f"Invoice month {accept_month} is sealed as it is now, for {accounts} accounts.")
        elif file is not None:
            months = hand_in(connection, file)
            say(f"{months} invoice months have a new total." if months else "All of these totals were known.")
