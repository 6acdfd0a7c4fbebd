"""GET /v1/costs and POST /v1/costs/query: HTTP words only; the question is a model, the answer is elsewhere."""

from typing import Annotated

from fastapi import APIRouter, Query

from finops_api.access import Pool, Reader
from finops_api.catalogue.queries import last_complete_day, refuse_unknown
from finops_api.costs.models import CostPage, CostQuery, CostQuestion
from finops_api.costs.queries import costs
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
from finops_api.questions import each_once, within
from finops_warehouse.ledger import SETTLED

router = APIRouter(prefix="/v1/costs", tags=["costs"])

REFUSALS = documented(
    AskedTwice, EmptyWindow, WindowTooLong, TooManyGroups, TooManyRows, UnknownDimension, NotAddable, NothingToCompare,
    NothingServedThen, BadCursor, StaleCursor, NotAllowed, NothingLoaded, DatabaseUnreachable,
)  # fmt: skip


@router.get("", operation_id="listCosts", responses=REFUSALS)
async def list_costs(
    query: Annotated[CostQuery, Query()], pool: Pool, _: Reader, __: Annotated[None, each_once(CostQuery)]
) -> CostPage:
    """Cost by day, week, month or as one total, by up to three dimensions.

    `end` is not included. Amounts are decimal strings; a row has one currency, and currencies are never added.
    Days whose charges are still arriving are marked `estimated` and are in no total. With `as_of` the answer is the
    one a reader got at that moment.
    """
    return await _answer(query, pool)


@router.post("/query", operation_id="queryCosts", responses=REFUSALS)
async def query_costs(question: CostQuestion, pool: Pool, _: Reader) -> CostPage:
    """The same question as a body, with conditions combined by `and`, `or` and `not`. Nothing is changed by it."""
    return await _answer(question, pool)


async def _answer(query: CostQuery, pool: ScopedPool) -> CostPage:
    query = within(query, pool.scope)
    if query.as_of:
        await rows(pool, SETTLED)
    async with snapshot(pool) as moment:
        complete = await last_complete_day(moment, query.billing_account, query.as_of)
        await refuse_unknown(moment, query.dimensions())
        return await costs(moment, query.resolved(complete))
