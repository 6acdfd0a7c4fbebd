"""`finops demo`: the whole product on invented data, from nothing, in one command."""

import time
from datetime import date, timedelta
from typing import Annotated

import typer

from finops_cli.output import print_json, say, steps
from finops_cli.sample import yesterday
from finops_warehouse import budgets
from finops_warehouse.assignment import follow
from finops_warehouse.database import connect, init_db, warehouse_dsn
from finops_warehouse.errors import BadRequest
from finops_warehouse.invoices import hand_in
from finops_warehouse.settings import Settings, load_settings

SEED = 2026
API_PORT = 8000
DAGSTER_PORT = 3000
DAGSTER_STARTS_WITHIN_SECONDS = 120


def demo(
    days: Annotated[int, typer.Option(help="How many days of billing export to invent.")] = 90,
    rows_per_day: Annotated[int, typer.Option(help="About how many rows a day.")] = 1500,
    serve: Annotated[bool, typer.Option(help="Serve until Ctrl-C; --no-serve ends when the tables are built.")] = True,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON document on stdout when the tables are built.")
    ] = False,
    port: Annotated[int, typer.Option(help="Port of the dashboard and the API.")] = API_PORT,
    dagster_port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = DAGSTER_PORT,
) -> None:
    """Postgres, migrations, a sample export, a Dagster backfill, then the dashboard with its API and the Dagster UI."""
    began = time.monotonic()
    settings = load_settings()
    if settings.billing_export_url is not None:
        raise BadRequest(
            "BILLING_EXPORT_URL is set, so there is a real export to load and the demo stays away from its tables. "
            "Use `finops sync` and `finops serve`, or unset it for the demo."
        )
    warehouse_dsn(settings)
    say(f"PostgreSQL is up; everything is kept in {settings.finops_home}.")
    init_db(settings)
    first, last, invoices = _write_sample(settings, days, rows_per_day)
    # Only now: importing the graph settles its first partition, which is the first day of the sample.
    from finops_pipeline.orchestration import start_dagster, stop

    dagster = None
    try:
        if serve:
            dagster = start_dagster(settings, dagster_port)
            say(f"Dagster comes up on http://127.0.0.1:{dagster_port}: watch the backfill there.")
        backfill_ids = _build(settings, serve=serve)
        seconds = time.monotonic() - began
        say(f"The tables are built, {seconds:.0f} s after the start. Invoices of {invoices} months were handed in.")
        if json:
            print_json(
                {
                    "first_day": first,
                    "last_day": last,
                    "seconds": round(seconds, 1),
                    "backfill_ids": backfill_ids,
                    "api_url": f"http://127.0.0.1:{port}" if serve else None,
                    "dagster_url": f"http://127.0.0.1:{dagster_port}" if serve else None,
                }
            )
        if serve:
            _serve(settings, port, dagster_port)
    finally:
        if dagster is not None:
            say("Stopping Dagster and PostgreSQL.")
            stop(dagster)


def _write_sample(settings: Settings, days: int, rows_per_day: int) -> tuple[date, date, int]:
    """Write the sample export, or its next days after an earlier demo. Hands in its invoices and its budgets."""
    from finops_pipeline.sample_export import write_sample_export

    last = yesterday()
    held = [path.name.removeprefix("export_day=") for path in settings.sample_folder.glob("*/export_day=*")]
    first = date.fromisoformat(min(held)) if held else last - timedelta(days=days - 1)
    export = write_sample_export(
        settings.sample_folder,
        days=(last - first).days + 1,
        rows_per_day=rows_per_day,
        seed=SEED,
        last_export_day=last,
    )
    say(f"The sample export holds {export.rows:,} rows, export days {first} to {last}.")
    with connect(settings, autocommit=True) as connection:
        invoices = hand_in(connection, export.truth_dir / "invoices.csv")
        budgets.hand_in(connection, _budgets(first), actor="demo")
    return first, last, invoices


def _budgets(first: date) -> list[budgets.BudgetPlan]:
    """Some that the sample's months stay below, and some that they do not."""
    return [
        budgets.BudgetPlan.model_validate(
            {
                "name": name,
                "billing_currency": currency,
                "amount": amount,
                "filters": filters,
                "start_month": f"{first:%Y-%m}",
            }
        )
        for name, currency, amount, filters in (
            ("Everything in US dollars", "USD", "500000", {}),
            ("Everything in euros", "EUR", "100000", {}),
            ("Archive", "USD", "7500", {"project": ["nw-archive"]}),
            ("Compute Engine", "USD", "200000", {"service": ["6F81-5844-456A"]}),
            ("Shops in production", "EUR", "70000", {"project": ["nw-eu-shop-prod", "nw-eu-payments"]}),
        )
    ]


def _build(settings: Settings, *, serve: bool) -> list[str]:
    """Backfill what is not built yet: everything at first, the rest after a demo that was stopped half-way."""
    from finops_pipeline.backfilling import due_window, run_backfill

    with connect(settings, autocommit=True) as connection:
        follow(connection, settings)  # what changed rules put behind is due, too
    window = due_window(settings)
    if window is None:
        say("Every table is built from what the sample export holds.")
        return []
    grace = DAGSTER_STARTS_WITHIN_SECONDS if serve else 0  # its daemon is on its way
    with steps() as progress:
        outcome = run_backfill(settings, *window, [], progress.show, daemon_grace_seconds=grace)
    return list(outcome.backfill_ids)


def _serve(settings: Settings, port: int, dagster_port: int) -> None:
    from finops_api.server import run_server

    say(f"\n  Dashboard  http://127.0.0.1:{port}\n  API        http://127.0.0.1:{port}/docs")
    say(f"  Dagster    http://127.0.0.1:{dagster_port}\n  Ctrl-C stops all of it.")
    here = settings.model_copy(update={"dagster_url": f"http://127.0.0.1:{dagster_port}"})
    run_server(warehouse_dsn(settings), here, host="127.0.0.1", port=port)
