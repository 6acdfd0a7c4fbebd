"""The sessions of people as this process knows them: all that are alive, read again every few seconds.

As with keys, neither a reader nor a stranger costs a question to the database per request. A session that ended
elsewhere is refused once the list is read again; one that began or ended here has it read again at once.
"""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from psycopg import errors
from psycopg_pool import AsyncConnectionPool
from starlette.requests import cookie_parser
from starlette.types import Scope

from finops_api.database import rows
from finops_warehouse.keys import make_pepper
from finops_warehouse.row_scope import RowScope
from finops_warehouse.settings import Settings
from finops_warehouse.users import LIVE, SCOPES_OF, csrf_token_of, digest_of_session

READ_AGAIN_SECONDS = 5.0
READ_AGAIN_FOR_A_STRANGER_SECONDS = 1.0
"""A session that began a moment ago, in another process, is not in the list yet."""
NOTED_AFTER = timedelta(minutes=1)


@dataclass(frozen=True)
class KnownSession:
    """Somebody who is signed in."""

    session_id: int
    user_id: int
    email: str
    role: str
    scopes: frozenset[str]
    rows: RowScope
    expires_at: datetime
    idle_at: datetime
    last_used_at: datetime


@dataclass(frozen=True)
class _Read:
    """What the database said, and when it was asked."""

    sessions: dict[bytes, KnownSession] = field(default_factory=dict)
    at: float = -READ_AGAIN_SECONDS
    noted: set[int] = field(default_factory=set)


class SessionRing:
    """Tells who sent a cookie."""

    def __init__(self, connections: AsyncConnectionPool, settings: Settings) -> None:
        self._connections = connections
        self._settings = settings
        # Where nobody signs in there is no session, whatever tables hold from days when people did.
        self._pepper = make_pepper(settings) if settings.signs_people_in else None
        self._read = _Read()
        self._stale_before = 0.0
        self._one_at_a_time = asyncio.Lock()

    async def find(self, token: str) -> KnownSession | None:
        """The session, unless it is forged, unknown, expired, idle for too long, or ended."""
        digest = self._digest(token)
        if digest is None:
            return None
        known = await self._known(READ_AGAIN_SECONDS)
        if digest not in known.sessions:
            known = await self._known(READ_AGAIN_FOR_A_STRANGER_SECONDS)
        return _valid(digest, known)

    def is_to_be_noted(self, session: KnownSession) -> bool:
        """Whether it is worth writing down that a session was used; once for each time the list is read."""
        if datetime.now(UTC) - session.last_used_at < NOTED_AFTER or session.session_id in self._read.noted:
            return False
        self._read.noted.add(session.session_id)
        return True

    def csrf_token(self, token: str) -> str:
        """What our pages send along with a change."""
        return csrf_token_of(token, self.pepper)

    @property
    def pepper(self) -> bytes:
        """The secret that digests are made with; there is one wherever people sign in."""
        if self._pepper is None:
            raise RuntimeError("nobody signs in here")
        return self._pepper

    def read_again(self) -> None:
        """Trust nothing that was asked before now: a session has just begun or ended."""
        self._stale_before = time.monotonic()

    def _digest(self, token: str) -> bytes | None:
        return None if self._pepper is None else digest_of_session(token, self._pepper)

    def _is_fresh(self, not_older_than: float) -> bool:
        return self._read.at >= self._stale_before and time.monotonic() - self._read.at < not_older_than

    async def _known(self, not_older_than: float) -> _Read:
        if self._is_fresh(not_older_than):
            return self._read
        async with self._one_at_a_time:
            if not self._is_fresh(not_older_than):  # another request may have read it meanwhile
                self._read = await self._ask()
            return self._read

    async def _ask(self) -> _Read:
        at = time.monotonic()
        try:
            found = await rows(self._connections, LIVE, {"idle_minutes": self._settings.session_idle_minutes})
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            return _Read(at=at)  # not migrated yet: nobody has signed in, and there is nothing to read either
        return _Read({digest: _session(*told) for digest, *told in found}, at)


def session_token(scope: Scope, settings: Settings) -> str:
    """What a request's session cookie holds; empty without one."""
    sent = "; ".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie")
    return cookie_parser(sent).get(cookie_name("session", settings), "")


def cookie_name(of: str, settings: Settings) -> str:
    """What a cookie of ours is called. Over TLS browsers keep `__Host-` cookies from being set by any other host."""
    return f"__Host-finops_{of}" if is_over_tls(settings) else f"finops_{of}"


def is_over_tls(settings: Settings) -> bool:
    """Whether browsers reach us by TLS; where they do not, they are on this machine."""
    return (settings.public_url or "").startswith("https://")


def _valid(digest: bytes, known: _Read) -> KnownSession | None:
    session = known.sessions.get(digest)
    if session is None or min(session.expires_at, session.idle_at) <= datetime.now(UTC):
        return None
    return session


def _session(
    session_id: int,
    user_id: int,
    email: str,
    role: str,
    accounts: list[str] | None,
    projects: list[str] | None,
    expires_at: datetime,
    idle_at: datetime,
    last_used_at: datetime,
) -> KnownSession:
    seen = RowScope(None if accounts is None else tuple(accounts), None if projects is None else tuple(projects))
    return KnownSession(
        session_id, user_id, email, role, frozenset(SCOPES_OF[role]), seen, expires_at, idle_at, last_used_at
    )
