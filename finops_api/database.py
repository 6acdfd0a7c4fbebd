"""The API's connections: few, checked, and never waited for long."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, cast

from fastapi import Depends, Request
from psycopg import AsyncConnection, sql
from psycopg_pool import AsyncConnectionPool

STATEMENT_TIMEOUT = "10s"
ACQUIRE_TIMEOUT_SECONDS = 2.0
MAX_CONNECTIONS = 8


@asynccontextmanager
async def pool(
    dsn: str, *, max_size: int = MAX_CONNECTIONS, statement_timeout: str = STATEMENT_TIMEOUT
) -> AsyncIterator[AsyncConnectionPool]:
    """A pool for as long as the application lives. Opening it needs no database; `/readyz` says whether one answers."""
    options = f"-c timezone=UTC -c statement_timeout={statement_timeout} -c default_transaction_read_only=on"
    connections = AsyncConnectionPool(
        dsn,
        min_size=0,
        max_size=max_size,
        timeout=ACQUIRE_TIMEOUT_SECONDS,
        reconnect_timeout=ACQUIRE_TIMEOUT_SECONDS,
        check=AsyncConnectionPool.check_connection,
        kwargs={"autocommit": True, "connect_timeout": 2, "options": options, "application_name": "finops_api"},
        open=False,
    )
    await connections.open(wait=False)
    try:
        yield connections
    finally:
        await connections.close()


@asynccontextmanager
async def snapshot(connections: AsyncConnectionPool, *, reads_charges: bool = False) -> AsyncIterator[AsyncConnection]:
    """A connection that sees one moment of the warehouse: its statements cannot disagree with each other.

    One that reads charges may take longer: a cell of a year is millions of them.
    """
    async with connections.connection() as connection, connection.transaction():
        await connection.execute("set transaction isolation level repeatable read")
        if reads_charges:
            await connection.execute("set local statement_timeout = '60s'")
        yield connection


async def rows(
    connections: AsyncConnectionPool | AsyncConnection,
    statement: str | sql.Composable,
    parameters: dict[str, Any] | None = None,
) -> list[tuple[Any, ...]]:
    """Run one statement, on a connection of the pool or the one given, and return its rows."""
    if isinstance(connections, AsyncConnection):
        return await _fetch(connections, statement, parameters)
    async with connections.connection() as connection:
        return await _fetch(connection, statement, parameters)


async def _fetch(
    connection: AsyncConnection, statement: str | sql.Composable, parameters: dict[str, Any] | None
) -> list[tuple[Any, ...]]:
    composed = statement if isinstance(statement, sql.Composable) else sql.SQL(cast("Any", statement))
    cursor = await connection.execute(cast("Any", composed), parameters)
    return await cursor.fetchall()


def _pool_of(request: Request) -> AsyncConnectionPool:
    found: AsyncConnectionPool = request.app.state.pool
    return found


Pool = Annotated[AsyncConnectionPool, Depends(_pool_of)]
"""The application's connection pool, as a route asks for it."""
