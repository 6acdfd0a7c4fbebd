"""The sessions of people as this process knows them: all that are alive, read again every few seconds.

As with keys, neither a reader nor a stranger costs a question to the database per request. A session that ended
elsewhere is refused once the list is read again; one that began or ended here has it read again at once.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg import errors
from psycopg_pool import AsyncConnectionPool
from starlette.requests import cookie_parser
from starlette.types import Scope

from finops_api.database import rows
from finops_api.rereading import Reread
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


class SessionRing:
    """Tells who sent a cookie."""

    def __init__(self, connections: AsyncConnectionPool, settings: Settings) -> None:
        self._connections = connections
        self._settings = settings
        # Where nobody signs in there is no session, whatever tables hold from days when people did.
        self._pepper = make_pepper(settings) if settings.signs_people_in else None
        self._live = Reread(self._ask)
        self._noted: set[int] = set()

    async def find(self, token: str) -> KnownSession | None:
        """The session, unless it is forged, unknown, expired, idle for too long, or ended."""
        digest = self._digest(token)
        if digest is None:
            return None
        known = await self._live.get(not_older_than=READ_AGAIN_SECONDS)
        if digest not in known:
            known = await self._live.get(not_older_than=READ_AGAIN_FOR_A_STRANGER_SECONDS)
        return _valid(digest, known)

    def is_to_be_noted(self, session: KnownSession) -> bool:
        """Whether it is worth writing down that a session was used; once for each time the list is read."""
        if datetime.now(UTC) - session.last_used_at < NOTED_AFTER or session.session_id in self._noted:
            return False
        self._noted.add(session.session_id)
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
        self._live.forget()

    def _digest(self, token: str) -> bytes | None:
        return None if self._pepper is None else digest_of_session(token, self._pepper)

    async def _ask(self) -> dict[bytes, KnownSession]:
        try:
            found = await rows(self._connections, LIVE, {"idle_minutes": self._settings.session_idle_minutes})
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            return {}  # not migrated yet: nobody has signed in, and there is nothing to read either
        self._noted.clear()
        return {digest: _session(*told) for digest, *told in found}


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


def _valid(digest: bytes, known: dict[bytes, KnownSession]) -> KnownSession | None:
    session = known.get(digest)
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
