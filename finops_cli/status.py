"""`finops status`: where the tables stand."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table

from finops_cli.output import people, print_json, say
from finops_warehouse.database import connect, init_db
from finops_warehouse.settings import load_settings
from finops_warehouse.sql_models import postgres_models
from finops_warehouse.status import Status, read_status


def status(json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False) -> None:
    """Complete-through day, days behind or parked, restatements, and what is left of each invoice."""
    settings = load_settings()
    init_db(settings)
    with connect(settings, autocommit=True) as connection:
        found = read_status(connection, [m.table for m in postgres_models() if m.header.partition == "usage_day"])
    if json:
        print_json(found)
    else:
        _show(found)


def _show(found: Status) -> None:
    say(f"Complete through  {found.complete_through or 'no usage day yet'}")
    loaded = f"{found.charges:,} charges of {found.export_days_loaded} export days, last {found.last_export_day}"
    say(f"Loaded            {loaded}")
    say(f"Behind            {len(found.dirty_usage_days)} usage days {_some(found.dirty_usage_days)}")
    for failed in found.failed:
        state = "parked" if failed.parked else f"failed {failed.attempts} times"
        say(f"  {failed.asset} {failed.partition_key}: {state}: {failed.last_error.splitlines()[0]}")
    for first, last in found.missing_export_days:
        say(f"  no export rows  {first} to {last}: was the export switched off?")
    if found.kept_export_days:
        say(f"Kept              {len(found.kept_export_days)} export days that the export no longer holds")
    if found.spent:
        today = found.spent[0]
        told = f"{today.queried_bytes:,} bytes queried, {today.read_bytes:,} read, {today.estimated_usd:f} USD"
        say(f"Read for          {told} on {today.day}")
    say(f"Restatements      {len(found.restatements)}")
    for moved in found.restatements[:5]:
        say(
            f"  {moved.usage_day} {moved.billing_account_id}: {moved.billed_cost_before:f} to "
            f"{moved.billed_cost_after:f} {moved.billing_currency} ({moved.cause})"
        )
    table = Table("invoice", "account", "state", "adds up to", "invoice total", "residual", box=None)
    for month in found.invoice_months:
        total = "not handed in" if month.invoice_total is None else f"{month.invoice_total:,f}"
        table.add_row(
            month.invoice_month,
            month.billing_account_id,
            f"{month.state}, MOVED since" if month.moved_after_close else month.state,
            f"{month.billed_cost:,.2f} {month.billing_currency}",
            total,
            "" if month.residual is None else f"{month.residual.normalize():f}",
        )
    people.print(table)


def _some(days: Sequence[object]) -> str:
    shown = ", ".join(str(day) for day in days[:5])
    return f"({shown}{', …' if len(days) > 5 else ''})" if days else ""
