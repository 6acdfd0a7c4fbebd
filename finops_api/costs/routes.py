"""GET /v1/costs and POST /v1/costs/query: HTTP words only; the question is a model, the answer is elsewhere."""

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from finops_api.access import Pool, Reader, pool_of, reader
from finops_api.catalogue.queries import refuse_unknown
from finops_api.costs.models import CostPage, CostQuery, CostQuestion
from finops_api.costs.queries import costs
from finops_api.costs.statements import table_of
from finops_api.database import ScopedPool, rows, snapshot
from finops_api.errors import (
    AskedTwice,
    BadCursor,
    DatabaseUnreachable,
    EmptyWindow,
    NotAddable,
    NotAllowed,
    NothingLoaded,
    NothingServedThen,
    NothingToCompare,
    StaleCursor,
    TooManyGroups,
    TooManyRows,
    UnknownDimension,
    WindowTooLong,
    documented,
)
from finops_api.known import Memory, read
from finops_api.questions import asked_in, within
from finops_api.snapshots import Moved, OneSnapshot
from finops_warehouse.ledger import SETTLED

router = APIRouter(prefix="/v1/costs", tags=["costs"])


class ReadAtOnce(APIRoute):
    """A route of a question in the URL whose parameters pydantic reads all at once.

    FastAPI reads those of a model one by one: of two dozen that took a third of the CPU of an answer. Nothing here is
    to be closed after an answer either, which is the other thing that FastAPI does for a route.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        request = Request(scope, receive, send)
        principal = await reader(request)
        pool = pool_of(request, principal)
        answer: Response = await self.endpoint(asked_in(request, CostQuery), request, pool, principal)
        await answer(scope, receive, send)


REFUSALS = documented(
    AskedTwice, EmptyWindow, WindowTooLong, TooManyGroups, TooManyRows, UnknownDimension, NotAddable, NothingToCompare,
    NothingServedThen, BadCursor, StaleCursor, NotAllowed, NothingLoaded, DatabaseUnreachable,
)  # fmt: skip


async def list_costs(query: Annotated[CostQuery, Query()], request: Request, pool: Pool, _: Reader) -> Response:
    """Cost by day, week, month or as one total, by up to three dimensions.

    `end` is not included. Amounts are decimal strings; a row has one currency, and currencies are never added.
    Days whose charges are still arriving are marked `estimated` and are in no total. With `as_of` the answer is the
    one a reader got at that moment.
    """
    return Response(await _answer(query, request, pool), media_type="application/json")


router.add_api_route(
    "", list_costs, operation_id="listCosts", response_model=CostPage, responses=REFUSALS, methods=["GET"],
    route_class_override=ReadAtOnce,
)  # fmt: skip


@router.post("/query", operation_id="queryCosts", response_model=CostPage, responses=REFUSALS)
async def query_costs(question: CostQuestion, request: Request, pool: Pool, _: Reader) -> Response:
    """The same question as a body, with conditions combined by `and`, `or` and `not`. Nothing is changed by it."""
    return Response(await _answer(question, request, pool), media_type="application/json")


async def _answer(query: CostQuery, request: Request, pool: ScopedPool) -> str:
    query = within(query, pool.scope)
    table, names = table_of(query), query.dimensions()
    if query.as_of is not None:
        await rows(pool, SETTLED)
    # What somebody sees who sees some rows only is nothing to answer others by.
    if query.as_of is not None or pool.scope.is_restricted:
        async with snapshot(pool) as moment:
            known = await read(moment, table, query.billing_account, query.as_of)
            await refuse_unknown(moment, names)
            return await costs(OneSnapshot(moment), query.resolved(known.complete_through), known)
    memory: Memory = request.app.state.memory
    held = memory.recall(table, query.billing_account, names)
    if held is not None:
        async with pool.connection() as connection:
            with suppress(Moved):
                return await costs(OneSnapshot(connection, held.snapshot), query.resolved(held.complete_through), held)
    async with snapshot(pool) as moment:
        known = await memory.read(moment, table, query.billing_account, names)
        return await costs(OneSnapshot(moment), query.resolved(known.complete_through), known)
