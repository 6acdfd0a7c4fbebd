"""What the API writes down: when a key was used, and who took data away. A connection of its own, for all others read.

Nobody waits for it. A replica cannot be written to; what is not written down there is in its log.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from finops_warehouse import users
from finops_warehouse.keys import RECORD, Event

USED_AGAIN_SECONDS = 60.0

# Replicas of the API each remember what they wrote; the condition keeps them from writing the same minute again.
USED = """
    update finops.api_keys set last_used_at = now()
    where key_id = %(key_id)s and (last_used_at is null or last_used_at < now() - interval '1 minute')
"""

log = structlog.get_logger("finops_api")


class Journal:
    """Writes, one thing after another, while requests go on."""

    def __init__(self, connections: AsyncConnectionPool) -> None:
        self._connections = connections
        self._used: dict[int, float] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    def used(self, key_id: int) -> None:
        """Note that a key was used; at most once a minute it reaches the database."""
        now = time.monotonic()
        if now - self._used.get(key_id, -USED_AGAIN_SECONDS) >= USED_AGAIN_SECONDS:
            self._used[key_id] = now
            self._soon(self._write(USED, {"key_id": key_id}))

    def session_used(self, session_id: int) -> None:
        """Note that a session was used; the ring of sessions sees to it that this is rarely asked."""
        self._soon(self._write(users.USED, {"session_id": session_id}))

    def record(self, event: Event) -> None:
        """Write down what was done."""
        self._soon(self._write(RECORD, event.parameters()))

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)  # or it may be collected before it ran
        task.add_done_callback(self._under_way.discard)

    async def _write(self, statement: str, parameters: dict[str, Any]) -> None:
        try:
            async with self._connections.connection() as connection:
                await connection.execute(statement.encode(), parameters)
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("not written down", what=parameters, why=str(error))

    async def finish(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._under_way)


@asynccontextmanager
async def journal(dsn: str) -> AsyncIterator[Journal]:
    """A journal for as long as the application lives."""
    connections = AsyncConnectionPool(
        dsn,
        min_size=0,
        max_size=1,
        timeout=2,
        reconnect_timeout=2,
        check=AsyncConnectionPool.check_connection,
        kwargs={
            "autocommit": True,
            "connect_timeout": 2,
            "options": "-c timezone=UTC -c statement_timeout=5s",
            "application_name": "finops_api_journal",
        },
        open=False,
    )
    await connections.open(wait=False)
    written = Journal(connections)
    try:
        yield written
    finally:
        await written.finish()
        await connections.close()
