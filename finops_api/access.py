"""Who may do what: whoever holds a key that may, or API_TOKEN; before there is either, whoever is on this machine.

Whether a request comes from this machine is told by the address we listen on and by the other end of its socket.
Headers say nothing about it: anybody can write one.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import Scope

from finops_api.database import ScopedPool
from finops_api.errors import LacksScope, NotAllowed, OutOfScope
from finops_api.journal import Journal
from finops_api.keyring import KeyRing
from finops_api.limiting import Cost, Limits, network_of
from finops_api.observability import request_id
from finops_warehouse.keys import SCOPES, Event
from finops_warehouse.row_scope import EVERY_ROW, RowScope
from finops_warehouse.settings import Settings, is_loopback

_bearer = HTTPBearer(
    auto_error=False, description="A key made by `finops keys`, or the deployment's API_TOKEN. Not needed before any."
)


@dataclass(frozen=True)
class Principal:
    """Who asks, what they may do, and which rows they see."""

    name: str
    scopes: frozenset[str]
    rows: RowScope = EVERY_ROW
    key_id: int | None = None

    def sees_whole_accounts(self) -> None:
        """Raises `OutOfScope` for whoever sees some projects only, of what is told of accounts."""
        if self.rows.projects is not None:
            raise OutOfScope("This key sees some projects only, and this is told of whole billing accounts.")


OF_THE_DEPLOYMENT = Principal("API_TOKEN", frozenset(SCOPES))
ON_THIS_MACHINE = Principal("this machine", frozenset(SCOPES))


def reader_of(app: FastAPI) -> Callable[[Scope], str | None]:
    """Tells which rows a request may read; None where a route has to look, to count or to refuse. Asks nobody."""
    settings: Settings = app.state.settings
    sent = b"Bearer " + settings.api_token.get_secret_value().encode() if settings.api_token else None

    def rows_of(scope: Scope) -> str | None:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if sent is not None and hmac.compare_digest(given, sent):
            return str(EVERY_ROW)
        keys: KeyRing = app.state.keys
        kind, _, token = given.partition(b" ")
        if kind.lower() == b"bearer" and (key := keys.find_known(token.decode("latin-1"))) is not None:
            journal: Journal = app.state.journal
            journal.used(key.key_id)
            return str(key.rows) if "read" in key.scopes else None
        client = scope["client"]
        is_here = client is not None and is_loopback(app.state.host) and is_loopback(client[0])
        return str(EVERY_ROW) if settings.api_token is None and is_here and keys.is_known_to_be_empty() else None

    return rows_of


async def _principal(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Principal:
    settings: Settings = request.app.state.settings
    keys: KeyRing = request.app.state.keys
    token = given.credentials if given else ""
    if settings.api_token is not None and hmac.compare_digest(
        token.encode(), settings.api_token.get_secret_value().encode()
    ):
        return OF_THE_DEPLOYMENT
    if (key := await keys.find(token)) is not None:
        journal: Journal = request.app.state.journal
        journal.used(key.key_id)
        return Principal(f"key {key.name}", key.scopes, key.rows, key.key_id)
    if settings.api_token is None and is_from_this_machine(request) and await keys.is_empty():
        return ON_THIS_MACHINE
    # Counted by address, and only what is refused: nobody can use up what those with a key may ask.
    await _limits_of(request).count("refusal", network_of(request.client.host if request.client else ""))
    # One answer for all of them: it must not tell a key that is revoked from one that never was.
    raise NotAllowed("Send a key that is valid as `Authorization: Bearer …`.")


def is_from_this_machine(request: Request) -> bool:
    """Whether both ends of the request's socket are here."""
    return is_loopback(request.app.state.host) and request.client is not None and is_loopback(request.client.host)


async def _with(request: Request, principal: Principal, scope: str, cost: Cost) -> Principal:
    if principal is not ON_THIS_MACHINE:
        await _limits_of(request).count(cost, f"key {principal.key_id}")
    if scope not in principal.scopes:
        raise LacksScope(f"This needs a key with the scope {scope}; yours has {', '.join(sorted(principal.scopes))}.")
    return principal


def _limits_of(request: Request) -> Limits:
    found: Limits = request.app.state.limits
    return found


async def _reader(request: Request, principal: Annotated[Principal, Depends(_principal)]) -> Principal:
    return await _with(request, principal, "read", "query")


async def _exporter(request: Request, principal: Annotated[Principal, Depends(_principal)]) -> Principal:
    return await _with(request, principal, "export", "export")


async def _admin(request: Request, principal: Annotated[Principal, Depends(_principal)]) -> Principal:
    return await _with(request, principal, "admin", "query")


Reader = Annotated[Principal, Depends(_reader)]
"""Asked for by every route that answers with a page of data."""

Exporter = Annotated[Principal, Depends(_exporter)]
"""Asked for by routes that give away all rows behind an answer."""

Admin = Annotated[Principal, Depends(_admin)]
"""Asked for by routes that change something."""

GUARDS = (_reader, _exporter, _admin)
"""One of them stands before every route that serves data."""


def _pool_of(request: Request, principal: Annotated[Principal, Depends(_principal)]) -> ScopedPool:
    return ScopedPool(request.app.state.pool, principal.rows)


Pool = Annotated[ScopedPool, Depends(_pool_of)]
"""The connections of a route that serves data: they see the rows of whoever asks."""


def event(request: Request, principal: Principal, action: str, scope: str, **detail: object) -> Event:
    """What somebody did, as it is written down."""
    return Event(
        actor=principal.name,
        action=action,
        key_id=principal.key_id,
        scope=scope,
        detail=detail,
        ip=request.client.host if request.client else None,
        request_id=request_id(request.scope),
    )


def _journal_of(request: Request) -> Journal:
    found: Journal = request.app.state.journal
    return found


Written = Annotated[Journal, Depends(_journal_of)]
"""Where a route has something written down."""
