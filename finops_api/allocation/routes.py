"""GET /v1/coverage and /v1/allocations."""

from typing import Annotated

from fastapi import APIRouter, Query

from finops_api.access import Pool, Reader
from finops_api.allocation.models import AllocationQuery, Allocations, Coverage, CoverageQuery
from finops_api.allocation.queries import ALLOCATED_FROM, COVERED_FROM, allocations, coverage
from finops_api.database import snapshot
from finops_api.errors import (
    AskedTwice,
    DatabaseUnreachable,
    EmptyWindow,
    NotAllowed,
    NothingLoaded,
    TooManyRows,
    UnknownDimension,
    WindowTooLong,
    documented,
)
from finops_api.known import read
from finops_api.questions import each_once, within

router = APIRouter(prefix="/v1", tags=["allocation"])

REFUSALS = documented(
    AskedTwice, EmptyWindow, WindowTooLong, TooManyRows, UnknownDimension, NotAllowed, NothingLoaded,
    DatabaseUnreachable,
)  # fmt: skip


@router.get("/coverage", operation_id="getCoverage", responses=REFUSALS)
async def get_coverage(
    query: Annotated[CoverageQuery, Query()], pool: Pool, _: Reader, __: Annotated[None, each_once(CoverageQuery)]
) -> Coverage:
    """The share of billed cost that has an owner in a custom dimension, by currency and by usage day.

    Shares are computed from the two amounts beside them and never added; unfinished days are in no total.
    """
    query = within(query, pool.scope)
    async with snapshot(pool) as moment:
        known = await read(moment, COVERED_FROM, query.billing_account)
        return await coverage(moment, query, query.resolved(known.complete_through), known)


@router.get("/allocations", operation_id="listAllocations", responses=REFUSALS)
async def list_allocations(
    query: Annotated[AllocationQuery, Query()], pool: Pool, _: Reader, __: Annotated[None, each_once(AllocationQuery)]
) -> Allocations:
    """What each member of a custom dimension carries once shared costs are split, and what each of those moved.

    All members together carry exactly what was billed. Every dimension tells all costs once: never add two.
    """
    query = within(query, pool.scope)
    async with snapshot(pool) as moment:
        known = await read(moment, ALLOCATED_FROM, query.billing_account)
        return await allocations(moment, query, query.resolved(known.complete_through), known)
