"""Who may read: whoever holds API_TOKEN; without one, whoever is on this machine."""

import hmac
from collections.abc import Callable, Mapping
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from finops_api.errors import NotAllowed
from finops_warehouse.settings import Settings

_bearer = HTTPBearer(auto_error=False, description="API_TOKEN of the deployment; not needed where none is set.")


def reader_of(settings: Settings) -> Callable[[Mapping[bytes, bytes]], str | None]:
    """Whose rights a request has, by its headers; None where a route has to say, and to refuse."""
    if settings.api_token is None:
        return lambda _: ""
    sent = f"Bearer {settings.api_token.get_secret_value()}".encode()
    return lambda headers: "token" if hmac.compare_digest(headers.get(b"authorization", b""), sent) else None


async def _reader(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> None:
    settings: Settings = request.app.state.settings
    if settings.api_token is None:
        return
    token = given.credentials if given else ""
    if not hmac.compare_digest(token.encode(), settings.api_token.get_secret_value().encode()):
        raise NotAllowed("Send the deployment's API_TOKEN as `Authorization: Bearer …`.")


Reader = Annotated[None, Depends(_reader)]
"""Asked for by every route that serves data."""
