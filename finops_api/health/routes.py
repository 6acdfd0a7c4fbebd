"""/livez, /readyz and /metrics: for whoever keeps the service running. None of them serves data."""

import calendar
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from finops_api.catalogue.queries import OVERVIEW
from finops_api.database import Pool, rows
from finops_api.errors import DatabaseUnreachable, documented
from finops_warehouse.freshness import COMPLETE_THROUGH

router = APIRouter(tags=["health"])


@router.get("/livez", operation_id="isAlive", response_class=PlainTextResponse)
async def is_alive() -> str:
    """The process answers. It asks nobody else: a restart would not mend a database."""
    return "ok"


@router.get(
    "/readyz",
    operation_id="isReady",
    response_class=PlainTextResponse,
    responses=documented(DatabaseUnreachable),
)
async def is_ready(pool: Pool) -> str:
    """The warehouse answers and has its schema."""
    await rows(pool, "select count(*) from finops.alembic_version")
    return "ok"


@router.get("/metrics", operation_id="getMetrics", response_class=PlainTextResponse)
async def get_metrics(request: Request, pool: Pool) -> Response:
    """Numbers for Prometheus: requests, and how far the tables are behind."""
    gauges: dict[str, Any] = request.app.state.gauges
    overview = await rows(pool, OVERVIEW)
    complete = await rows(pool, COMPLETE_THROUGH)
    gauges["finops_usage_days_behind"].set(overview[0][6])
    gauges["finops_partitions_parked"].set(overview[0][7])
    gauges["finops_data_version"].set(overview[0][4])
    if complete and complete[0][0]:
        gauges["finops_complete_through_timestamp_seconds"].set(calendar.timegm(complete[0][0].timetuple()))
    return Response(generate_latest(request.app.state.registry), media_type=CONTENT_TYPE_LATEST)
