"""Sending a file while PostgreSQL writes it: one snapshot, bounded memory, and never an end that only looks like one.

Nothing is sent before the first rows are there, so whatever is wrong with a question is told as a problem. After
that a fault can only break the transfer off: the last chunk is sent when the last row was read, and not otherwise.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated

import structlog
from fastapi import Depends, Request, Response
from psycopg import AsyncConnection, generators
from psycopg.abc import PQGen
from psycopg_pool import AsyncConnectionPool
from starlette.types import Receive, Scope, Send

from finops_api.database import ScopedPool, snapshot
from finops_api.errors import TooManyExports
from finops_api.exports.formats import MEDIA_TYPES, PIECE, Encoder, Format, copying, encoder
from finops_api.exports.queries import Export
from finops_api.observability import request_id
from finops_warehouse.api_connections import FOR_EXPORTS
from finops_warehouse.row_scope import RowScope

STATEMENT_TIMEOUT = "15min"
"""Of a whole export, however slow its reader: until it ends, no row that it might see can be vacuumed away."""

STALLED_SECONDS = 60.0
"""A reader that takes not even a piece for so long is gone, whatever its socket says."""

log = structlog.get_logger("finops_api.exports")

Asked = Callable[[AsyncConnection], Awaitable[Export]]
"""Settles within a snapshot what is exported. Raises the refusals of the question."""


class Stalled(Exception):
    """The reader takes nothing any more."""


class Exports:
    """The exports that run now: few, each on a connection of its own, so that no other request waits for one."""

    def __init__(self, connections: AsyncConnectionPool) -> None:
        self._connections = connections
        self._running = 0

    @asynccontextmanager
    async def snapshot(self, scope: RowScope) -> AsyncIterator[AsyncConnection]:
        """A connection that sees one moment, and of that the rows of a scope.

        Raises `TooManyExports` rather than wait for one.
        """
        if self._running >= FOR_EXPORTS:
            raise TooManyExports(f"{FOR_EXPORTS} exports are running. Try again when one of them has ended.")
        self._running += 1
        try:
            async with snapshot(ScopedPool(self._connections, scope)) as moment:
                yield moment
        finally:
            self._running -= 1


async def _exports_of(request: Request) -> Exports:
    found: Exports = request.app.state.exports
    return found


Running = Annotated[Exports, Depends(_exports_of)]
"""The application's exports, as a route asks for them."""


class Download(Response):
    """An export as a response. Its connection is taken, used and given back within the one call that sends it."""

    def __init__(
        self,
        exports: Exports,
        form: Format,
        asked: Asked,
        *,
        rows: RowScope,
        ended: Callable[[int], None],
        formula_safe: bool,
    ) -> None:
        super().__init__(media_type=MEDIA_TYPES[form])
        del self.headers["content-length"]
        self._exports = exports
        self._form = form
        self._asked = asked
        self._rows = rows
        self._ended = ended
        self._sent = 0
        self._formula_safe = formula_safe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, unless its reader leaves: then stop at once, wherever that is."""
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                await sending
            else:
                log.info("export left", request_id=request_id(scope))
        except Stalled:
            # Returning before the last chunk has the server break the transfer off.
            log.warning("export stalled", request_id=request_id(scope), seconds=STALLED_SECONDS)
        finally:
            sending.cancel()
            leaving.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        async with self._exports.snapshot(self._rows) as moment:
            export = await self._asked(moment)
            statement = copying(self._form, export.columns, export.select, formula_safe=self._formula_safe)
            async with moment.cursor() as cursor, cursor.copy(statement, export.parameters):
                pieces = _pieces(moment, encoder(self._form, export.columns))
                first = await anext(pieces)
                await send(self._start(export))
                try:
                    await self._take(send, first)
                    async for piece in pieces:
                        await self._take(send, piece)
                finally:  # one that is broken off has given away what it sent
                    self._ended(self._sent)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _take(self, send: Send, piece: bytes) -> None:
        """Send a piece; while the reader is slow this waits, and so does PostgreSQL. Raises `Stalled`."""
        try:
            async with asyncio.timeout(STALLED_SECONDS):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except TimeoutError:
            raise Stalled from None
        self._sent += len(piece)

    def _start(self, export: Export) -> dict[str, object]:
        self.headers.update(export.headers)
        self.headers["Content-Disposition"] = f'attachment; filename="{export.name}.{self._form}"'
        self.headers["Cache-Control"] = "no-store"
        return {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}


async def _pieces(connection: AsyncConnection, encoder: Encoder) -> AsyncIterator[bytes]:
    """The file, piece by piece, and a last one that may be empty."""
    lines = bytearray()
    is_last = False
    while not is_last:
        read, is_last = await connection.wait(_read(connection))
        lines += read
        # Reading what is there already never waits, and so would let nobody else run.
        await asyncio.sleep(0)
        if len(lines) >= encoder.block or (is_last and lines):
            yield await _encoded(encoder, lines)
            lines = bytearray()
    yield encoder.end()


def _read(connection: AsyncConnection) -> PQGen[tuple[bytearray, bool]]:
    """Some lines of the COPY that runs, and whether they are the last. Raises what PostgreSQL says is wrong.

    `AsyncCopy.read` does the same a line at a time, in twice the time: each line would be a coroutine of its own.
    """
    lines = bytearray()
    while len(lines) < PIECE:
        line = yield from generators.copy_from(connection.pgconn)
        if not isinstance(line, memoryview):
            return lines, True
        lines += line
    return lines, False


async def _encoded(encoder: Encoder, lines: bytearray) -> bytes:
    # PostgreSQL sends whole lines, so a block of them never ends within one.
    return await asyncio.to_thread(encoder.encoded, lines) if encoder.in_thread else encoder.encoded(lines)


async def _left(receive: Receive) -> None:
    """Returns when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
