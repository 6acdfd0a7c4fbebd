"""`finops backfill`: build a window of days as Dagster backfills, and watch them."""

from typing import Annotated

import typer

from finops_cli.arguments import a_window
from finops_cli.output import say, steps
from finops_warehouse.database import init_db
from finops_warehouse.settings import load_settings


def backfill(
    first: Annotated[str, typer.Option("--from", help="First day, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", help="Last day, included.")],
    select: Annotated[list[str] | None, typer.Option(help="Only this asset; may be given more than once.")] = None,
) -> None:
    """Load the export days of a window and rebuild every usage day and invoice they reach."""
    settings = load_settings()
    start, end = a_window(first, last)
    init_db(settings)
    # Only now: Dagster takes seconds to import, and a refusal need not wait for it.
    from finops_pipeline.backfilling import estimated, run_backfill

    if cost := estimated(settings, start, end, select or []):
        say(f"Reading {cost.export_days} export days: about {cost.bytes:,} bytes, {cost.usd:f} USD.")
    with steps() as progress:
        outcome = run_backfill(settings, start, end, select or [], progress.show)
    say(f"Done in {outcome.seconds:.0f} s: Dagster backfills {', '.join(outcome.backfill_ids)}.")
