"""The API's connections: few, checked, and never waited for long."""

import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from itertools import count
from typing import Any, Self, cast
from weakref import WeakKeyDictionary

from psycopg import AsyncConnection, AsyncRawCursor, IsolationLevel, errors, generators, sql
from psycopg.abc import PQGen
from psycopg.adapt import Transformer
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult
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
        async with self._connections.connection() as connection:
            yield connection

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


SNAPSHOT = """
    case when not pg_is_in_recovery() then pg_current_snapshot()::text || ' ' || pg_postmaster_start_time() end
"""
"""The name of what a statement sees: two that have the same one have seen the same rows, and it costs nothing.

A replica does not tell which transactions are under way on its primary, so what it sees has no name.
"""

_PLACEHOLDER = re.compile(r"%\((\w+)\)s")
PREPARED_AT_MOST = 100
"""On one connection. PostgreSQL keeps a plan of each, and questions come in more shapes than anybody asks."""


@dataclass(frozen=True)
class Statement:
    """SQL as PostgreSQL is sent it: its parameters by number."""

    text: bytes
    parameters: tuple[str, ...]

    @classmethod
    def of(cls, composed: sql.Composable) -> Self:
        """A statement that was written with the names of its parameters."""
        numbers: dict[str, int] = {}
        text = _PLACEHOLDER.sub(
            lambda found: f"${numbers.setdefault(found[1], len(numbers) + 1)}", composed.as_string()
        ).encode()
        return cls(text, tuple(numbers))


Value = str | int | date | datetime | list[str] | None
"""What a statement can be given; its SQL says of which type each is."""

_QUOTED = re.compile(r'["\\]')


def _written(value: Value) -> bytes | None:
    """A value as PostgreSQL reads it."""
    match value:
        case None:
            return None
        case list():
            return ("{" + ",".join(f'"{_QUOTED.sub(_escaped, one)}"' for one in value) + "}").encode()
        case date():
            return value.isoformat().encode()
        case _:
            return str(value).encode()


def _escaped(found: re.Match[str]) -> str:
    return f"\\{found[0]}"


class Moved(Exception):
    """Something was committed since what a statement had to see."""


class OneSnapshot:
    """Statements that all see the same: in a transaction that sees one moment, or else by `name`.

    Without a transaction each is one round trip, and the first column that it selects has to be `SNAPSHOT`.
    """

    def __init__(self, connection: AsyncConnection, name: str | None = None) -> None:
        self._connection = connection
        self._name = name

    async def rows(self, statement: Statement, values: Mapping[str, Value]) -> list[tuple[Any, ...]]:
        """The rows without their first column. Raises `Moved` where they are of another snapshot."""
        given = [values[name] for name in statement.parameters]
        if self._name is None:
            cursor = AsyncRawCursor(self._connection)
            await cursor.execute(statement.text, given)
            return [row[1:] for row in await cursor.fetchall()]
        found = await _rows_at_once(self._connection, statement, given)
        if not found or found[0][0] != self._name:
            raise Moved
        return [row[1:] for row in found]


async def _rows_at_once(
    connection: AsyncConnection, statement: Statement, given: Sequence[Value]
) -> list[tuple[Any, ...]]:
    """What a cursor of psycopg gives outside of transactions, in half its time: to it nothing is ever the same."""
    written = [_written(value) for value in given]
    async with connection.lock:
        try:
            result = await connection.wait(_executed(connection, statement, written))
        except errors.InvalidSqlStatementName:
            # After a transaction was rolled back psycopg has the connection let go of all that was prepared.
            _prepared.pop(connection, None)
            result = await connection.wait(_executed(connection, statement, written))
    loading = Transformer(connection)
    loading.set_pgresult(result)
    return loading.load_rows(0, result.ntuples, tuple)


_prepared: WeakKeyDictionary[AsyncConnection, OrderedDict[bytes, bytes]] = WeakKeyDictionary()
"""Under which name each statement is prepared on a connection, the one used last at the end."""
_numbers = count()


def _executed(connection: AsyncConnection, statement: Statement, written: list[bytes | None]) -> PQGen[PGresult]:
    pgconn = connection.pgconn
    names = _prepared.setdefault(connection, OrderedDict())
    name = names.get(statement.text)
    if name is None:
        if len(names) >= PREPARED_AT_MOST:
            _, unused = names.popitem(last=False)
            pgconn.send_query(b"deallocate " + unused)
            yield from _result(connection)
        # A new name each time: whoever is interrupted does not know whether the statement was prepared.
        name = b"finops_%d" % next(_numbers)
        pgconn.send_prepare(name, statement.text)
        yield from _result(connection)
        names[statement.text] = name
    names.move_to_end(statement.text)
    pgconn.send_query_prepared(name, written)
    return (yield from _result(connection))


def _result(connection: AsyncConnection) -> PQGen[PGresult]:
    result: PGresult
    [result] = yield from generators.execute(connection.pgconn)
    if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        raise errors.error_from_result(result, connection.info.encoding)
    return result
