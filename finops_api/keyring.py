"""The keys of the API as this process knows them: all of them, read again every few seconds.

All, because there are few, and because a stranger must not cost us a question to the database for each key they make
up. A revoked key is refused once the list is read again.
"""

import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
from psycopg import errors
from psycopg_pool import AsyncConnectionPool

from finops_api.database import rows
from finops_api.rereading import Reread
from finops_warehouse.keys import digest_of, find_pepper, prefix_of
from finops_warehouse.row_scope import RowScope
from finops_warehouse.settings import Settings

READ_AGAIN_SECONDS = 5.0
READ_AGAIN_FOR_A_STRANGER_SECONDS = 1.0
"""A key that was made a moment ago is not in the list yet."""

ALL = """
    select prefix, digest, key_id, name, scopes, billing_accounts, projects, expires_at, revoked_at is not null
    from finops.api_keys
"""

log = structlog.get_logger("finops_api")


@dataclass(frozen=True)
class KnownKey:
    """A key that may be used."""

    digest: bytes
    key_id: int
    name: str
    scopes: frozenset[str]
    rows: RowScope
    expires_at: datetime | None


@dataclass(frozen=True)
class _Read:
    """What the database said."""

    keys: dict[str, KnownKey] = field(default_factory=dict)
    is_any: bool = False
    pepper: bytes | None = None


class KeyRing:
    """Tells whose key a text is."""

    def __init__(self, connections: AsyncConnectionPool, settings: Settings) -> None:
        self._connections = connections
        self._settings = settings
        self._all = Reread(self._ask)

    async def find(self, token: str) -> KnownKey | None:
        """The key, unless it is mistyped, unknown, expired or revoked."""
        prefix = prefix_of(token)
        if prefix is None:
            return None
        known = await self._all.get(not_older_than=READ_AGAIN_SECONDS)
        if prefix not in known.keys:
            known = await self._all.get(not_older_than=READ_AGAIN_FOR_A_STRANGER_SECONDS)
        return self._valid(token, prefix, known)

    async def is_empty(self) -> bool:
        """Whether no key was ever made."""
        return not (await self._all.get(not_older_than=READ_AGAIN_SECONDS)).is_any

    @staticmethod
    def _valid(token: str, prefix: str, known: _Read) -> KnownKey | None:
        key = known.keys.get(prefix)
        if key is None or known.pepper is None:
            return None
        if not hmac.compare_digest(key.digest, digest_of(token, known.pepper)):
            return None
        return None if key.expires_at is not None and key.expires_at <= datetime.now(UTC) else key

    async def _ask(self) -> _Read:
        try:
            found = await rows(self._connections, ALL)
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            return _Read()  # not migrated yet: there are no keys, and nothing to read either
        keys = {
            prefix: KnownKey(
                digest, key_id, name, frozenset(scopes), RowScope(_of(accounts), _of(projects)), expires_at
            )
            for prefix, digest, key_id, name, scopes, accounts, projects, expires_at, is_revoked in found
            if not is_revoked
        }
        pepper = find_pepper(self._settings) if found else None
        if found and pepper is None:
            log.warning("keys cannot be checked", why="there is no API_KEY_PEPPER, and none under FINOPS_HOME")
        return _Read(keys, bool(found), pepper)


def _of(members: list[str] | None) -> tuple[str, ...] | None:
    return None if members is None else tuple(members)
