"""The API's connections: few, checked, and never waited for long."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast
from weakref import WeakKeyDictionary

from psycopg import AsyncConnection, IsolationLevel, errors, sql
from psycopg_pool import AsyncConnectionPool

from finops_api.errors import OutOfScope, ReadReplica
from finops_warehouse.api_connections import FOR_QUESTIONS
from finops_warehouse.row_scope import ENTER, RowScope

STATEMENT_TIMEOUT = "10s"
ACQUIRE_TIMEOUT_SECONDS = 0.8
"""Whoever waits longer is told to come back: a page that is told so within a second can say it."""
TRUSTED_SECONDS = 1.0
"""A connection that was used so lately is not asked whether it is alive: asking is a quarter of a small question."""


class _Trust:
    """Asks a connection that is taken from the pool whether it is alive, unless it was taken just before."""

    def __init__(self) -> None:
        self._taken: WeakKeyDictionary[AsyncConnection, float] = WeakKeyDictionary()

    async def check(self, connection: AsyncConnection) -> None:
        """Raises what the pool takes for a dead connection."""
        now = time.monotonic()
        if now - self._taken.get(connection, float("-inf")) > TRUSTED_SECONDS:
            await AsyncConnectionPool.check_connection(connection)
        self._taken[connection] = now


@asynccontextmanager
async def pool(
    dsn: str, *, max_size: int = FOR_QUESTIONS, statement_timeout: str = STATEMENT_TIMEOUT
) -> AsyncIterator[AsyncConnectionPool]:
    """A pool for as long as the application lives. Opening it needs no database; `/readyz` says whether one answers."""
    options = f"-c timezone=UTC -c statement_timeout={statement_timeout} -c default_transaction_read_only=on"
    connections = AsyncConnectionPool(
        dsn,
        min_size=0,
        max_size=max_size,
        timeout=ACQUIRE_TIMEOUT_SECONDS,
        reconnect_timeout=ACQUIRE_TIMEOUT_SECONDS,
        check=_Trust().check,
        kwargs={"autocommit": True, "connect_timeout": 2, "options": options, "application_name": "finops_api"},
        open=False,
    )
    await connections.open(wait=False)
    try:
        yield connections
    finally:
        await connections.close()


class ScopedPool:
    """The pool as somebody sees it: whatever is read through it are rows of their scope."""

    def __init__(self, connections: AsyncConnectionPool, scope: RowScope) -> None:
        self._connections = connections
        self.scope = scope

    @asynccontextmanager
    async def transaction(self, *, sees_one_moment: bool = False) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees the rows of the scope.

        Raises `OutOfScope` when it reads a table whose rows cannot be told apart by account and project.
        """
        async with (
            self._connections.connection() as connection,
            _begun(connection, sees_one_moment=sees_one_moment),
        ):
            if not self.scope.is_restricted:
                yield connection
                return
            try:
                await connection.execute(ENTER.encode(), self.scope.parameters())
            except (errors.InsufficientPrivilege, errors.InvalidParameterValue):
                raise OutOfScope(
                    "You see some rows only, and the database does not know the roles that see to it. `finops "
                    "migrate` makes them where DATABASE_URL's user may create roles."
                ) from None
            try:
                yield connection
            except errors.InsufficientPrivilege:
                raise OutOfScope(
                    "You see some billing accounts or projects only, and this cannot be told apart by them."
                ) from None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """A connection that sees every row. Raises `OutOfScope` for whoever does not."""
        if self.scope.is_restricted:
            raise OutOfScope("You see some billing accounts or projects only, and this is about all of them.")
        # Not `connection()`, which commits as well: each of these statements is a transaction of its own.
        connection = await self._connections.getconn()
        try:
            yield connection
        finally:
            await self._connections.putconn(connection)

    @asynccontextmanager
    async def aside(self) -> AsyncIterator[AsyncConnection]:
        """A connection for tables that hold no costs and whose rows are somebody's: the statement says whose."""
        async with self._connections.connection() as connection:
            yield connection


@asynccontextmanager
async def _begun(connection: AsyncConnection, *, sees_one_moment: bool) -> AsyncIterator[None]:
    if not sees_one_moment:
        async with connection.transaction():
            yield
        return
    # `BEGIN` says so itself: a statement of its own would be one more round trip.
    await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
    try:
        async with connection.transaction():
            yield
    finally:
        if not connection.closed:
            await connection.set_isolation_level(None)


async def may_write(connection: AsyncConnection) -> None:
    """Let the transaction write; whatever else it does, this API reads. Raises `ReadReplica` where nobody can."""
    try:
        await connection.execute("set transaction read write")
    except errors.FeatureNotSupported:
        raise ReadReplica("This API reads a replica. Send it to one whose DATABASE_URL is the primary.") from None


Readable = AsyncConnection | AsyncConnectionPool | ScopedPool


@asynccontextmanager
async def snapshot(connections: ScopedPool, *, reads_charges: bool = False) -> AsyncIterator[AsyncConnection]:
    """A connection that sees one moment of the warehouse: its statements cannot disagree with each other.

    One that reads charges may take longer: a cell of a year is millions of them.
    """
    async with connections.transaction(sees_one_moment=True) as connection:
        if reads_charges:
            await connection.execute("set local statement_timeout = '60s'")
        yield connection


async def rows(
    connections: Readable, statement: str | sql.Composable, parameters: dict[str, Any] | None = None
) -> list[tuple[Any, ...]]:
    """Run one statement, on a connection of the pool or the one given, and return its rows."""
    if isinstance(connections, AsyncConnection):
        return await _fetch(connections, statement, parameters)
    if isinstance(connections, ScopedPool) and connections.scope.is_restricted:
        async with connections.transaction() as connection:
            return await _fetch(connection, statement, parameters)
    async with connections.connection() as connection:
        return await _fetch(connection, statement, parameters)


async def _fetch(
    connection: AsyncConnection, statement: str | sql.Composable, parameters: dict[str, Any] | None
) -> list[tuple[Any, ...]]:
    composed = statement if isinstance(statement, sql.Composable) else sql.SQL(cast("Any", statement))
    cursor = await connection.execute(cast("Any", composed), parameters)
    return await cursor.fetchall()
