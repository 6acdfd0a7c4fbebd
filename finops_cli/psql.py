"""`finops psql`: psql on the configured database."""

import os
import subprocess

import typer
from sqlalchemy import make_url

from finops_warehouse.database import warehouse_dsn
from finops_warehouse.embedded import binaries
from finops_warehouse.settings import load_settings


def psql(context: typer.Context) -> None:
    """Open psql on the warehouse; arguments are psql's own."""
    url = make_url(warehouse_dsn(load_settings()))
    # The password goes by the environment: an argument could be read by everybody on the machine.
    password = {"PGPASSWORD": url.password} if url.password else {}
    dsn = url.set(password=None).render_as_string(hide_password=False)
    ran = subprocess.run([str(binaries() / "psql"), dsn, *context.args], env={**os.environ, **password}, check=False)
    raise typer.Exit(ran.returncode)
