"""`finops sync`: bring everything up to date once, in the foreground."""

from typing import Annotated

import typer

from finops_cli.output import print_json, say
from finops_warehouse.database import init_db
from finops_warehouse.settings import load_settings


def sync(json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False) -> None:
    """Load the export days that changed and rebuild the usage days and invoices that are behind."""
    settings = load_settings()
    init_db(settings)
    # Only now: Dagster takes seconds to import, and a refusal need not wait for it.
    from finops_pipeline.orchestration import dagster_instance
    from finops_pipeline.orchestration import sync as sync_once

    with dagster_instance(settings) as instance:
        done = sync_once(settings, instance, say)
    if json:
        print_json(done)
        return
    say(
        f"{len(done.export_days)} export days loaded, {len(done.usage_days)} usage days rebuilt, "
        f"{len(done.invoice_months)} invoice months added up, {len(done.insight_days)} days thought about."
    )
