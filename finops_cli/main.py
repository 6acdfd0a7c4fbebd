"""`finops`: every command, and what happens when one is refused."""

import logging
import signal
import sys
import warnings

import typer

from finops_cli import (
    backfill,
    demo,
    dimensions,
    doctor,
    export_days,
    invoices,
    keys,
    mcp,
    migrate,
    psql,
    sample,
    serve,
    status,
    sync,
    users,
    verify,
)
from finops_cli.output import people, say
from finops_warehouse.errors import FinopsError
from finops_warehouse.settings import misspelt_settings

app = typer.Typer(
    help="Google Cloud billing exports as reconciled cost tables, served by an API.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(demo.demo)
app.command()(sample.sample)
app.command()(backfill.backfill)
app.command()(sync.sync)
app.command()(status.status)
app.command()(verify.verify)
app.command()(serve.serve)
app.command()(mcp.mcp)
app.command()(doctor.doctor)
app.command()(migrate.migrate)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})(
    psql.psql
)
app.command()(invoices.invoices)
app.add_typer(dimensions.dimensions, name="dimensions")
app.add_typer(keys.keys, name="keys")
app.add_typer(users.users, name="users")
app.add_typer(export_days.export_days, name="export-days")


def main() -> None:
    """Run a command. A refusal is one message and exit code 1; Ctrl-C is 130."""
    # Dagster marks what we build on as beta at every start; the pinned release is the answer to that, not a warning.
    warnings.filterwarnings("ignore", message=".* is currently in (beta|preview)")
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # However we are started and stopped (`&`, systemd, kill): it is a Ctrl-C, and everything of ours ends cleanly.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for misspelling in misspelt_settings():
        say(f"Warning: {misspelling}")
    try:
        app()
    except FinopsError as refused:
        people.print(f"Error: {refused}", style="red", markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        say("Stopped.")
        sys.exit(130)
