"""Running the application until it is told to stop."""

import gc

import structlog
import uvicorn
from fastapi import FastAPI

from finops_api.app import create_app
from finops_api.observability import configure_logging
from finops_warehouse import keys
from finops_warehouse.api_connections import check_connections
from finops_warehouse.database import connect_to
from finops_warehouse.errors import SettingsError, WarehouseError, WarehouseUnreachable
from finops_warehouse.settings import Settings, is_loopback

log = structlog.get_logger("finops_api")


def run_server(dsn: str, settings: Settings, *, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises `SettingsError` when it would be open to others without a key, and when PostgreSQL allows fewer connections
    than it may open.
    """
    configure_logging(settings)
    if settings.api_token is None and not settings.signs_people_in and not _is_any_key(dsn):
        if not is_loopback(host):
            raise SettingsError(
                f"API_TOKEN is not set and there is no key, so costs would be open to everybody who reaches {host}. "
                "Set API_TOKEN or OIDC_ISSUER, make a key with `finops keys create`, or listen on 127.0.0.1."
            )
        log.warning("open without a key", host=host, why="API_TOKEN is not set; only this machine is served")
    _check_connections(dsn, settings)
    listen(create_app(dsn, settings, host=host), host=host, port=port)


def listen(app: FastAPI, *, host: str, port: int) -> None:
    """Serve an application until SIGINT or SIGTERM."""
    # What is there now stays. Python would look through all of it again and again for what could be let go of, which
    # took a fifth of the CPU of an answer.
    gc.collect()
    gc.freeze()
    # One worker: replicas scale it, and metrics and pools stay those of one process.
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        proxy_headers=False,  # or X-Forwarded-For would be taken for the other end of the socket
        timeout_graceful_shutdown=30,
    )


def _check_connections(dsn: str, settings: Settings) -> None:
    try:
        with connect_to(dsn) as connection:
            tight = check_connections(connection, settings.api_replicas)
    except WarehouseUnreachable as error:
        log.warning("connections not counted", why=str(error))  # we start without a database; /readyz says it is gone
        return
    if tight:
        log.warning("connections may run out", why=tight)


def _is_any_key(dsn: str) -> bool:
    try:
        with connect_to(dsn) as connection:
            return keys.is_any(connection)
    except WarehouseError:
        return False  # nobody can say, so it is not taken for granted
