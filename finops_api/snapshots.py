"""Statements that see one moment of the warehouse: in a transaction, or each by the name of the snapshot it saw.

They are made once for many questions and prepared here, so that a question is one round trip (ADR 27).
"""

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from itertools import count
from typing import Any, Self
from weakref import WeakKeyDictionary

from psycopg import AsyncConnection, AsyncRawCursor, errors, generators, sql
from psycopg.abc import PQGen
from psycopg.adapt import Transformer
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

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

    def given(self, values: Mapping[str, "Value"]) -> "Bound":
        """It with what it is to be asked about."""
        return Bound(self, [values[name] for name in self.parameters])


@dataclass(frozen=True, eq=False)
class Bound:
    """A statement and its values, which may be sent many times."""

    statement: Statement
    values: "list[Value]"

    @cached_property
    def written(self) -> "list[bytes | None]":
        """The values as PostgreSQL reads them."""
        return [_written(value) for value in self.values]


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

    async def rows(self, asked: Bound) -> list[tuple[Any, ...]]:
        """The rows without their first column. Raises `Moved` where they are of another snapshot."""
        if self._name is None:
            cursor = AsyncRawCursor(self._connection)
            await cursor.execute(asked.statement.text, asked.values)
            return [row[1:] for row in await cursor.fetchall()]
        found = await _rows_at_once(self._connection, asked)
        if not found or found[0][0] != self._name:
            raise Moved
        return [row[1:] for row in found]


async def _rows_at_once(connection: AsyncConnection, asked: Bound) -> list[tuple[Any, ...]]:
    """What a cursor of psycopg gives outside of transactions, in half its time: to it nothing is ever the same."""
    async with connection.lock:
        try:
            result = await connection.wait(_executed(connection, asked))
        except errors.InvalidSqlStatementName:
            # After a transaction was rolled back psycopg has the connection let go of all that was prepared.
            _prepared.pop(connection, None)
            result = await connection.wait(_executed(connection, asked))
    loading = Transformer(connection)
    loading.set_pgresult(result)
    return loading.load_rows(0, result.ntuples, tuple)


_prepared: WeakKeyDictionary[AsyncConnection, OrderedDict[bytes, bytes]] = WeakKeyDictionary()
"""Under which name each statement is prepared on a connection, the one used last at the end."""
_numbers = count()


def _executed(connection: AsyncConnection, asked: Bound) -> PQGen[PGresult]:
    pgconn = connection.pgconn
    statement = asked.statement
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
    pgconn.send_query_prepared(name, asked.written)
    return (yield from _result(connection))


def _result(connection: AsyncConnection) -> PQGen[PGresult]:
    result: PGresult
    [result] = yield from generators.execute(connection.pgconn)
    if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        raise errors.error_from_result(result, connection.info.encoding)
    return result
