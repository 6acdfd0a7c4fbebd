"""GET /v1/costs: HTTP words only; the question is a model, the answer is elsewhere."""

from collections import Counter
from typing import Annotated, get_origin

from fastapi import APIRouter, Depends, Query, Request

from finops_api.access import Reader
from finops_api.catalogue.queries import last_complete_day
from finops_api.costs.models import CostPage, CostQuery
from finops_api.costs.queries import costs
from finops_api.database import Pool, snapshot
from finops_api.errors import (
    AskedTwice,
    DatabaseUnreachable,
    EmptyWindow,
    NotAllowed,
    NothingLoaded,
    NothingToCompare,
    TooManyGroups,
    TooManyRows,
    WindowTooLong,
    documented,
)

router = APIRouter(prefix="/v1/costs", tags=["costs"])

REFUSALS = documented(
    AskedTwice, EmptyWindow, WindowTooLong, TooManyGroups, TooManyRows, NothingToCompare, NotAllowed, NothingLoaded,
    DatabaseUnreachable,
)  # fmt: skip


def _each_once(request: Request) -> None:
    """Of two starts the last would count, unseen: refuse what can only be meant once."""
    lists = {name for name, field in CostQuery.model_fields.items() if get_origin(field.annotation) is list}
    given = Counter(name for name, _ in request.query_params.multi_items())
    twice = sorted(name for name, times in given.items() if times > 1 and name in CostQuery.model_fields.keys() - lists)
    if twice:
        raise AskedTwice(f"Given more than once: {', '.join(twice)}. Give it once.")


@router.get("", operation_id="listCosts", responses=REFUSALS)
async def list_costs(
    query: Annotated[CostQuery, Query()], pool: Pool, _: Reader, __: Annotated[None, Depends(_each_once)]
) -> CostPage:
    """Cost by day, month or as one total, by up to three dimensions.

    `end` is not included. Amounts are decimal strings; a row has one currency, and currencies are never added.
    Days whose charges are still arriving are marked `estimated` and are in no total.
    """
    async with snapshot(pool) as moment:
        return await costs(moment, query.resolved(await last_complete_day(moment)))
