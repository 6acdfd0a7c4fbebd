"""`finops invoices`: hand in the totals of the invoices Google sent."""

from pathlib import Path
from typing import Annotated

import typer

from finops_cli.output import say
from finops_warehouse.database import connect, init_db
from finops_warehouse.invoices import hand_in
from finops_warehouse.settings import load_settings


def invoices(
    file: Annotated[Path, typer.Argument(help="CSV: billing_account_id,invoice_month,billing_currency,total")],
) -> None:
    """Take invoice totals from a CSV file; `finops sync` then proves their months."""
    settings = load_settings()
    init_db(settings)
    with connect(settings, autocommit=True) as connection:
        months = hand_in(connection, file)
    say(f"{months} invoice months have a new total." if months else "All of these totals were known.")
