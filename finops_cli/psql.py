"""`finops psql`: psql on the configured database."""

import os
import signal
import subprocess

import typer
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from finops_warehouse.database import warehouse_dsn
from finops_warehouse.embedded import binaries
from finops_warehouse.settings import load_settings


def psql(context: typer.Context) -> None:
    """Open psql on the warehouse; arguments are psql's own."""
    parameters = conninfo_to_dict(warehouse_dsn(load_settings()))
    # The password goes by the environment: an argument could be read by everybody on the machine.
    password = parameters.pop("password", None)
    environment = {**os.environ, "PGPASSWORD": str(password)} if password else None
    dsn = make_conninfo("", **parameters)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is psql's: it cancels a query and does not end the session
    ran = subprocess.run([str(binaries() / "psql"), dsn, *context.args], env=environment, check=False)
    raise typer.Exit(ran.returncode)
