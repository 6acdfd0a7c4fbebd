"""Who may do what: whoever holds a key that may, or API_TOKEN, or has signed in; before there is any of these, whoever
is on this machine.

Whether a request comes from this machine is told by the address we listen on and by the other end of its socket.
Headers say nothing about it: anybody can write one.
"""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, cast

import psycopg
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import Scope

from finops_api.database import ScopedPool
from finops_api.errors import LacksScope, NotAllowed, NotFromOurPage, NotSignedIn, OutOfScope
from finops_api.journal import Journal
from finops_api.keyring import KeyRing, KnownKey
from finops_api.limiting import Cost, Limits, network_of
from finops_api.observability import request_id
from finops_api.sessions import KnownSession, SessionRing, session_token
from finops_warehouse.keys import SCOPES, Event
from finops_warehouse.row_scope import EVERY_ROW, RowScope
from finops_warehouse.settings import Settings, is_loopback

_bearer = HTTPBearer(
    auto_error=False, description="A key made by `finops keys`, or the deployment's API_TOKEN. Not needed before any."
)

CHANGES_NOTHING = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Principal:
    """Who asks, what they may do, and which rows they see."""

    name: str
    scopes: frozenset[str]
    rows: RowScope = EVERY_ROW
    key_id: int | None = None
    expires_at: datetime | None = None
    session: KnownSession | None = None

    @property
    def counted_as(self) -> str:
        """Whose requests these are: a person's, from however many browsers, or a key's."""
        return f"user {self.session.user_id}" if self.session else f"key {self.key_id}"

    def sees_whole_accounts(self) -> None:
        """Raises `OutOfScope` for whoever sees some projects only, of what is told of accounts."""
        if self.rows.projects is not None:
            raise OutOfScope("You see some projects only, and this is told of whole billing accounts.")


OF_THE_DEPLOYMENT = Principal("API_TOKEN", frozenset(SCOPES))
ON_THIS_MACHINE = Principal("this machine", frozenset(SCOPES))


def reader_of(app: FastAPI) -> Callable[[Scope], Awaitable[str | None]]:
    """Tells which rows a request may read; None where a route has to refuse, or to say why nobody can tell.

    Asks the database what the route would ask first, and only where that was not asked for some seconds.
    """
    settings: Settings = app.state.settings
    sent = b"Bearer " + settings.api_token.get_secret_value().encode() if settings.api_token else None

    async def rows_of(scope: Scope) -> str | None:
        try:
            return await _rows_of(scope)
        except psycopg.Error:
            return None

    async def _rows_of(scope: Scope) -> str | None:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if sent is not None and hmac.compare_digest(given, sent):
            return str(EVERY_ROW)
        keys: KeyRing = app.state.keys
        kind, _, token = given.partition(b" ")
        if kind.lower() == b"bearer" and (key := await _key(app, scope, token.decode("latin-1"))) is not None:
            return str(key.rows) if "read" in key.scopes else None
        if settings.signs_people_in:
            sessions: SessionRing = app.state.sessions
            # A key that is sent along counts, also one that opens nothing; and every role reads.
            session = None if kind.lower() == b"bearer" else await sessions.find(session_token(scope, settings))
            if session is not None:
                _note(app.state.journal, sessions, session)
            return str(session.rows) if session is not None else None
        client = scope["client"]
        is_here = client is not None and is_loopback(app.state.host) and is_loopback(client[0])
        return str(EVERY_ROW) if settings.api_token is None and is_here and await keys.is_empty() else None

    return rows_of


async def _key(app: FastAPI, scope: Scope, token: str) -> KnownKey | None:
    """The key that was sent with a request, looked for once in each: what is kept asks, and then the route."""
    sought, found = scope.get("finops.key", (None, None))
    if sought != token:
        keys: KeyRing = app.state.keys
        found = await keys.find(token)
        scope["finops.key"] = (token, found)
        if found is not None:
            journal: Journal = app.state.journal
            journal.used(found.key_id)
    return cast("KnownKey | None", found)


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
    if (key := await _key(request.app, request.scope, token)) is not None:
        return Principal(f"key {key.name}", key.scopes, key.rows, key.key_id, key.expires_at)
    if given is None and settings.signs_people_in and (session := await _signed_in(request)) is not None:
        return principal_of(session)
    is_open = settings.api_token is None and not settings.signs_people_in and is_from_this_machine(request)
    if is_open and await keys.is_empty():
        return ON_THIS_MACHINE
    # Counted by address, and only what is refused: nobody can use up what those with a key may ask.
    await limits_of(request).count("refusal", network_of(request.client.host if request.client else ""))
    # One answer for all of them: it must not tell a key that is revoked from one that never was.
    if settings.signs_people_in:
        raise NotSignedIn("Sign in at /auth/sign-in, or send a key that is valid as `Authorization: Bearer …`.")
    raise NotAllowed("Send a key that is valid as `Authorization: Bearer …`.")


async def _signed_in(request: Request) -> KnownSession | None:
    """Whoever sent this cookie. Raises `NotFromOurPage` when they may not know that it was sent."""
    sessions: SessionRing = request.app.state.sessions
    token = session_token(request.scope, request.app.state.settings)
    session = await sessions.find(token)
    if session is None:
        return None
    if request.method not in CHANGES_NOTHING and not is_from_our_page(request, token):
        raise NotFromOurPage(
            "A request that is not GET and is sent with a session's cookie needs the csrf_token of /v1/me as "
            "X-CSRF-Token, from a page of this origin."
        )
    _note(request.app.state.journal, sessions, session)
    return session


def _note(journal: Journal, sessions: SessionRing, session: KnownSession) -> None:
    if sessions.is_to_be_noted(session):
        journal.session_used(session.session_id)


def principal_of(session: KnownSession) -> Principal:
    """Somebody who has signed in."""
    return Principal(
        f"user {session.email}", session.scopes, session.rows, expires_at=session.expires_at, session=session
    )


def is_from_our_page(request: Request, token: str) -> bool:
    """Whether a page of ours sent a request: it knows what only such a page can read, and no browser denies it.

    `token` is the session's, whose cookie a browser sends along with whatever any site makes it send.
    """
    settings: Settings = request.app.state.settings
    sessions: SessionRing = request.app.state.sessions
    sent = request.headers.get("x-csrf-token", "")
    return (
        hmac.compare_digest(sent.encode(), sessions.csrf_token(token).encode())
        and request.headers.get("origin", settings.public_url) == settings.public_url
        and request.headers.get("sec-fetch-site", "same-origin") == "same-origin"
    )


def is_from_this_machine(request: Request) -> bool:
    """Whether both ends of the request's socket are here."""
    return is_loopback(request.app.state.host) and request.client is not None and is_loopback(request.client.host)


async def _with(request: Request, principal: Principal, scope: str | None, cost: Cost) -> Principal:
    if principal is not ON_THIS_MACHINE:
        await limits_of(request).count(cost, principal.counted_as)
    # Where there are none, one that is given would do nothing, and whoever gave it believe that it did.
    if request.scope["query_string"] and not request.scope["route"].dependant.query_params:
        unknown = [{"type": "extra_forbidden", "loc": ("query", name)} for name in request.query_params]
        if unknown:
            raise RequestValidationError(unknown)
    if scope is not None and scope not in principal.scopes:
        held = ", ".join(sorted(principal.scopes))
        if principal.session is not None:
            raise LacksScope(f"This needs the scope {scope}; as {principal.session.role} you have {held}.")
        raise LacksScope(f"This needs a key with the scope {scope}; yours has {held}.")
    return principal


def limits_of(request: Request) -> Limits:
    """What counts requests."""
    found: Limits = request.app.state.limits
    return found


async def _reader(request: Request, principal: Annotated[Principal, Depends(_principal)]) -> Principal:
    return await _with(request, principal, "read", "query")


async def _exporter(request: Request, principal: Annotated[Principal, Depends(_principal)]) -> Principal:
    return await _with(request, principal, "export", "export")


async def _admin(request: Request, principal: Annotated[Principal, Depends(_principal)]) -> Principal:
    return await _with(request, principal, "admin", "query")


async def _anybody(request: Request, principal: Annotated[Principal, Depends(_principal)]) -> Principal:
    return await _with(request, principal, None, "query")


async def reader(request: Request) -> Principal:
    """Whoever may read, for a route that reads its request itself. Raises as the dependency `Reader` does."""
    return await _reader(request, await _principal(request, await _bearer(request)))


Reader = Annotated[Principal, Depends(_reader)]
"""Asked for by every route that answers with a page of data."""

Exporter = Annotated[Principal, Depends(_exporter)]
"""Asked for by routes that give away all rows behind an answer."""

Admin = Annotated[Principal, Depends(_admin)]
"""Asked for by routes that change something."""

Anybody = Annotated[Principal, Depends(_anybody)]
"""Asked for by routes that tell whoever asks of themselves."""

GUARDS = (_reader, _exporter, _admin, _anybody)
"""One of them stands before every route that serves data."""


def pool_of(request: Request, principal: Principal) -> ScopedPool:
    """The connections as somebody sees them."""
    return ScopedPool(request.app.state.pool, principal.rows)


async def _pool_of(request: Request, principal: Annotated[Principal, Depends(_principal)]) -> ScopedPool:
    return pool_of(request, principal)


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


async def _journal_of(request: Request) -> Journal:
    found: Journal = request.app.state.journal
    return found


Written = Annotated[Journal, Depends(_journal_of)]
"""Where a route has something written down."""
