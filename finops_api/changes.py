"""When what answers are made of has changed: a number that rises with every commit that touches it.

Every table that is read tells of its changes by NOTIFY when they are committed (migration 0009). Nobody tells of what
happened while nobody listened: while there is no connection there is no number either, and after each new one it is
another.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import structlog
from psycopg import AsyncConnection

CHANNEL = "materialised"
RETRY_SECONDS = 1.0
SILENCE_SECONDS = 5.0
"""A connection that is silent for so long is asked whether it is alive."""
ANSWER_SECONDS = 2.0

log = structlog.get_logger("finops_api")


class Changes:
    """What is known of changes now."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._count = 0
        self._is_listening = False

    @property
    def state(self) -> int | None:
        """The number of changes heard of; None while changes could go unheard."""
        return self._count if self._is_listening else None

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
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        async with await AsyncConnection.connect(
            self._dsn, autocommit=True, connect_timeout=2, application_name="finops_api listener"
        ) as connection:
            await connection.execute(f"listen {CHANNEL}")
            self._count += 1
            self._is_listening = True
            while True:
                async for _ in connection.notifies(timeout=SILENCE_SECONDS):
                    self._count += 1
                await asyncio.wait_for(connection.execute("select 1"), ANSWER_SECONDS)
