"""When what answers are made of has changed: a number that rises with every commit that touches it.

Every table that is read tells of its changes by NOTIFY when they are committed (migration 0009). Nobody tells of what
happened while nobody listened: while there is no connection there is no number either, and after each new one it is
another.

The number is this process's own. What processes can compare is the name of the last change they heard of (migration
0013): PostgreSQL tells everybody the same in the same order, so who has heard the same name last has heard the same.
Whoever begins to listen where answers are shared tells a name of their own, for they cannot know the last one.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256

import psycopg
import structlog
from psycopg import AsyncConnection, errors

CHANNEL = "materialised"
RETRY_SECONDS = 1.0
SILENCE_SECONDS = 5.0
"""A connection that is silent for so long is asked whether it is alive."""
ANSWER_SECONDS = 2.0

CHANGE, HELLO = "change ", "hello "
"""How names begin: of what changed something, and of somebody who listens from now on."""

DEPLOYMENT = """
    select key, (select version_num from finops.alembic_version)
    from finops.deployment_keys where name = 'answers'
"""

log = structlog.get_logger("finops_api")


@dataclass(frozen=True)
class Deployment:
    """Whose database it is, and as of which migration."""

    key: bytes
    schema: str

    @property
    def name(self) -> str:
        """By which it is told from others."""
        return sha256(self.key).hexdigest()[:16]


class Changes:
    """What is known of changes now. With `is_shared`, in words that other processes understand as well."""

    def __init__(self, dsn: str, *, is_shared: bool = False) -> None:
        self._dsn = dsn
        self._is_shared = is_shared
        self._count = 0
        self._last: str | None = None
        self._is_listening = False
        self._why_not_shared = ""
        self.deployment: Deployment | None = None
        """As the database told it a few seconds ago; None before, and while it is not migrated."""

    @property
    def state(self) -> int | None:
        """The number of changes heard of; None while changes could go unheard."""
        return self._count if self._is_listening else None

    @property
    def version(self) -> str | None:
        """The name of the last change heard of; None while there is none that others would know it by."""
        return self._last if self._is_listening else None

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen for as long as the application lives."""
        task = asyncio.create_task(self._keep_listening(), name="listen for changes")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep_listening(self) -> None:
        told = ""
        while True:
            try:
                await self._listen()
            except (psycopg.Error, TimeoutError, OSError) as error:
                if told != str(error):  # once for each reason, not once a second
                    told = str(error)
                    log.warning("not listening for changes", error=told, then="every answer is made anew")
            finally:
                self._is_listening = False
                self._last = None
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        async with await AsyncConnection.connect(
            self._dsn, autocommit=True, connect_timeout=2, application_name="finops_api listener"
        ) as connection:
            await self._is_alive(connection)
            await connection.execute(f"listen {CHANNEL}")
            self._count += 1
            self._is_listening = True
            if self._is_shared:
                await connection.execute("select pg_notify(%s, %s)", [CHANNEL, HELLO + uuid.uuid4().hex])
            while True:
                async for notification in connection.notifies(timeout=SILENCE_SECONDS):
                    self._heard(notification.payload)
                await asyncio.wait_for(self._is_alive(connection), ANSWER_SECONDS)

    def _heard(self, name: str) -> None:
        if not name.startswith(HELLO):  # by which nothing has changed
            self._count += 1
        # What has no name of its own, as from a release before this one, may be told twice: it names no state.
        self._last = name if name.startswith((CHANGE, HELLO)) else None

    async def _is_alive(self, connection: AsyncConnection) -> None:
        if not self._is_shared:
            await connection.execute("select 1")
            return
        try:
            found = await (await connection.execute(DEPLOYMENT)).fetchone()
        except (errors.UndefinedTable, errors.InvalidSchemaName, errors.InsufficientPrivilege) as error:
            found = None
            if self._why_not_shared != str(error):
                self._why_not_shared = str(error)
                log.warning("no answers are shared", why=str(error))
        self.deployment = None if found is None else Deployment(*found)
