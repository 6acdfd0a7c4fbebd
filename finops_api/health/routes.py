"""/livez, /readyz and /metrics: for whoever keeps the service running. None of them serves data."""

import calendar
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from finops_api.catalogue.queries import OVERVIEW
from finops_api.database import rows
from finops_api.errors import DatabaseUnreachable, SchemaMissing, documented
from finops_warehouse.freshness import COMPLETE_THROUGH, freshness_parameters

router = APIRouter(tags=["health"])


async def _pool_of(request: Request) -> AsyncConnectionPool:
    found: AsyncConnectionPool = request.app.state.pool
    return found


EveryRow = Annotated[AsyncConnectionPool, Depends(_pool_of)]
"""The pool itself. Routes that serve data have the one of `access`, which asks who reads."""

SPENT = """
    select coalesce(sum(billed_bytes) filter (where kind = 'query'), 0),
        coalesce(sum(billed_bytes) filter (where kind = 'storage_read'), 0),
        coalesce(sum(slot_ms), 0), coalesce(sum(estimated_usd), 0)
    from finops.source_spending
"""


@router.get("/livez", operation_id="isAlive", response_class=PlainTextResponse)
async def is_alive() -> str:
    """The process answers. It asks nobody else: a restart would not mend a database."""
    return "ok"


@router.get(
    "/readyz",
    operation_id="isReady",
    response_class=PlainTextResponse,
    responses=documented(DatabaseUnreachable, SchemaMissing),
)
async def is_ready(pool: EveryRow) -> str:
    """The warehouse answers and has its schema."""
    [(migrated,)] = await rows(pool, "select to_regclass('finops.alembic_version') is not null")
    if not migrated:
        raise SchemaMissing("The warehouse has no tables yet. `finops sync` makes and fills them.")
    return "ok"


@router.get("/metrics", operation_id="getMetrics", response_class=PlainTextResponse)
async def get_metrics(request: Request, pool: EveryRow) -> Response:
    """Numbers for Prometheus: requests, and how far the tables are behind; without a warehouse, those last known."""
    gauges: dict[str, Any] = request.app.state.gauges
    try:
        await _measure(pool, gauges)
    except (PoolTimeout, psycopg.OperationalError, psycopg.errors.UndefinedTable):
        gauges["finops_warehouse_up"].set(0)  # the numbers of requests are needed most while it is down
    else:
        gauges["finops_warehouse_up"].set(1)
    return Response(generate_latest(request.app.state.registry), media_type=CONTENT_TYPE_LATEST)


async def _measure(pool: AsyncConnectionPool, gauges: dict[str, Any]) -> None:
    overview = await rows(pool, OVERVIEW)
    complete = await rows(pool, COMPLETE_THROUGH, freshness_parameters())
    gauges["finops_usage_days_behind"].set(overview[0][6])
    gauges["finops_partitions_parked"].set(overview[0][7])
    gauges["finops_data_version"].set(overview[0][4])
    [(queried, read, slot_ms, usd)] = await rows(pool, SPENT)
    gauges["finops_source_queried_bytes"].set(queried)
    gauges["finops_source_read_bytes"].set(read)
    gauges["finops_source_slot_seconds"].set(slot_ms / 1000)
    gauges["finops_source_estimated_usd"].set(usd)
    if complete and complete[0][0]:
        gauges["finops_complete_through_timestamp_seconds"].set(calendar.timegm(complete[0][0].timetuple()))
