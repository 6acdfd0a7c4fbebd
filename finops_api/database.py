"""The API's connections: few, checked, and never waited for long."""

import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self, cast
from weakref import WeakKeyDictionary

from psycopg import AsyncConnection, AsyncRawCursor, IsolationLevel, errors, sql
from psycopg_pool import AsyncConnectionPool

from finops_api.errors import OutOfScope, ReadReplica
from finops_warehouse.api_connections import FOR_QUESTIONS
from finops_warehouse.row_scope import ENTER, RowScope

STATEMENT_TIMEOUT = "10s"
ACQUIRE_TIMEOUT_SECONDS = 0.8
"""Whoever waits longer is told to come back: a page that is told so within a second can say it."""
TRUSTED_SECONDS = 1.0
"""A connection that answered so lately is not asked whether it is alive: asking is a quarter of a small question."""


class _BetweenUses:
    """What is done to a connection that is given back to the pool, or taken from it."""

    def __init__(self) -> None:
        self._given_back: WeakKeyDictionary[AsyncConnection, float] = WeakKeyDictionary()

    async def given_back(self, connection: AsyncConnection) -> None:
        """It is as it was; when that was is remembered."""
        await connection.set_isolation_level(None)
        self._given_back[connection] = time.monotonic()

    async def taken(self, connection: AsyncConnection) -> None:
        """It is asked whether it is alive, unless it was just given back."""
        if time.monotonic() - self._given_back.get(connection, float("-inf")) > TRUSTED_SECONDS:
            await AsyncConnectionPool.check_connection(connection)


@asynccontextmanager
async def pool(
    dsn: str, *, max_size: int = FOR_QUESTIONS, statement_timeout: str = STATEMENT_TIMEOUT
) -> AsyncIterator[AsyncConnectionPool]:
    """A pool for as long as the application lives. Opening it needs no database; `/readyz` says whether one answers."""
    options = f"-c timezone=UTC -c statement_timeout={statement_timeout} -c default_transaction_read_only=on"
    between_uses = _BetweenUses()
    connections = AsyncConnectionPool(
        dsn,
        min_size=0,
        max_size=max_size,
        timeout=ACQUIRE_TIMEOUT_SECONDS,
        reconnect_timeout=ACQUIRE_TIMEOUT_SECONDS,
        check=between_uses.taken,
        reset=between_uses.given_back,
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
        async with self._connections.connection() as connection:
            if sees_one_moment:  # `BEGIN` says so itself: a statement of its own would be one more round trip
                await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
            async with connection.transaction():
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
        async with self._connections.connection() as connection:
            yield connection

    @asynccontextmanager
    async def aside(self) -> AsyncIterator[AsyncConnection]:
        """A connection for tables that hold no costs and whose rows are somebody's: the statement says whose."""
        async with self._connections.connection() as connection:
            yield connection


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


SNAPSHOT = """
    case when not pg_is_in_recovery() then pg_current_snapshot()::text || ' ' || pg_postmaster_start_time() end
"""
"""The name of what a statement sees: two that have the same one have seen the same rows, and it costs nothing.

A replica does not tell which transactions are under way on its primary, so what it sees has no name.
"""

_PLACEHOLDER = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True)
class Statement:
    """SQL as PostgreSQL is sent it, its parameters by number: psycopg reads one with names for every question."""

    text: str
    names: tuple[str, ...]

    @classmethod
    def of(cls, composed: sql.Composable) -> Self:
        """A statement that was written with names."""
        numbers: dict[str, int] = {}
        text = _PLACEHOLDER.sub(
            lambda found: f"${numbers.setdefault(found[1], len(numbers) + 1)}", composed.as_string()
        )
        return cls(text, tuple(numbers))


class Moved(Exception):
    """Something was committed since what a statement had to see."""


class OneSnapshot:
    """Statements that all see the same: in a transaction that sees one moment, or else by `name`.

    Without a transaction each is one round trip, and the first column that it selects has to be `SNAPSHOT`.
    """

    def __init__(self, connection: AsyncConnection, name: str | None = None) -> None:
        self._connection = connection
        self._name = name

    async def rows(self, statement: Statement, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """The rows without their first column. Raises `Moved` where they are of another snapshot."""
        cursor = AsyncRawCursor(self._connection)
        await cursor.execute(statement.text.encode(), [values[name] for name in statement.names])
        found = await cursor.fetchall()
        if self._name is not None and (not found or found[0][0] != self._name):
            raise Moved
        return [row[1:] for row in found]
