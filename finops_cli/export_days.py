"""`finops export-days`: decide about days that were loaded and that the export no longer holds."""

from datetime import date
from typing import Annotated

import psycopg
import typer

from finops_cli.arguments import a_window
from finops_cli.output import say
from finops_warehouse import ledger
from finops_warehouse.database import connect, init_db
from finops_warehouse.errors import BadRequest, NoDataInRange
from finops_warehouse.settings import load_settings

export_days = typer.Typer(no_args_is_help=True, help="Keep or remove loaded days that the export no longer holds.")

First = Annotated[str, typer.Option("--from", help="First export day, YYYY-MM-DD.")]
Last = Annotated[str, typer.Option("--to", help="Last export day, included.")]


@export_days.command()
def keep(
    first: First,
    last: Last,
    because: Annotated[str, typer.Option(help="Why their charges stay; it is kept with them.")],
) -> None:
    """Keep the charges of these days although the export does not hold them any more."""
    if not because.strip():
        raise BadRequest("Say why these days stay: --because '…'. It is kept with them.")
    settings = load_settings()
    start, end = a_window(first, last)
    init_db(settings)
    with connect(settings, autocommit=True) as connection:
        days = _loaded(connection, start, end)
        kept = ledger.keep_export_days(connection, days, because.strip())
    say(f"{len(kept)} export days are kept. `finops verify` counts them and compares them no longer with the export.")


@export_days.command()
def remove(
    first: First,
    last: Last,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without, only what would be removed is said.")] = False,
) -> None:
    """Take the charges of these days out for good. Every total that moves is recorded as restated."""
    settings = load_settings()
    start, end = a_window(first, last)
    init_db(settings)
    touched: set[date] = set()
    with connect(settings, autocommit=True) as connection:
        days = _loaded(connection, start, end)
        if not yes:
            raise BadRequest(
                f"This takes out {len(days)} export days, {days[0]} to {days[-1]}. What the export no longer holds "
                "cannot be loaded again. Say --yes."
            )
        for day in days:
            touched.update(ledger.remove_export_day(connection, day, "finops export-days remove"))
    say(f"{len(days)} export days are removed; {len(touched)} usage days are behind. `finops sync` rebuilds them.")
    say("A day that the export still holds is loaded again by it.")


def _loaded(connection: psycopg.Connection, first: date, last: date) -> list[date]:
    rows = connection.execute(
        "select export_day from finops.export_day_ledger "
        "where row_count > 0 and export_day between %s and %s order by 1",
        [first, last],
    ).fetchall()
    if not rows:
        raise NoDataInRange(f"No export day between {first} and {last} is loaded.")
    return [day for (day,) in rows]
