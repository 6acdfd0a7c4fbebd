"""`finops mcp`: the API's questions as tools of an assistant."""

from typing import Annotated

import typer

from finops_warehouse.errors import BadRequest
from finops_warehouse.settings import load_settings


def mcp(
    url: Annotated[str | None, typer.Option(help="Address of the API to ask, in place of FINOPS_API_URL.")] = None,
) -> None:
    """Offer the API's questions as tools to an assistant (MCP), over standard input and output.

    The key is FINOPS_API_KEY: an argument would be seen by everybody on the machine.
    """
    try:
        from finops_client import FinOpsError
        from finops_mcp.server import serve
    except ModuleNotFoundError as missing:
        raise BadRequest(
            f"{missing.name} is not installed, and `finops mcp` needs it: pip install 'finops-intelligence[mcp]'"
        ) from None
    settings = load_settings()
    key = settings.finops_api_key.get_secret_value() if settings.finops_api_key else None
    try:
        serve(url or settings.finops_api_url, key)
    except FinOpsError as refused:
        raise BadRequest(str(refused)) from None
