"""`finops serve`: the API and the dashboard."""

from typing import Annotated

import typer

from finops_warehouse.database import init_db, warehouse_dsn
from finops_warehouse.settings import load_settings


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; without keys only loopback is allowed.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
) -> None:
    """Serve the cost tables until Ctrl-C."""
    from finops_api.server import run_server

    settings = load_settings()
    init_db(settings)
    run_server(warehouse_dsn(settings), settings, host=host, port=port)
