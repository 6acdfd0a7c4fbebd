"""Running the application until it is told to stop."""

from ipaddress import ip_address

import structlog
import uvicorn

from finops_api.app import create_app
from finops_api.observability import configure_logging
from finops_warehouse.errors import SettingsError
from finops_warehouse.settings import Settings

log = structlog.get_logger("finops_api")


def run_server(dsn: str, settings: Settings, *, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM. Raises `SettingsError` when it would be open to others without a token."""
    configure_logging(settings)
    if settings.api_token is None:
        if not _is_loopback(host):
            raise SettingsError(
                f"API_TOKEN is not set, so costs would be open to everybody who reaches {host}. "
                "Set API_TOKEN, or listen on 127.0.0.1."
            )
        log.warning("open without a key", host=host, why="API_TOKEN is not set; only this machine is served")
    # One worker: replicas scale it, and metrics and pools stay those of one process.
    uvicorn.run(
        create_app(dsn, settings), host=host, port=port, log_config=None, access_log=False, timeout_graceful_shutdown=30
    )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
