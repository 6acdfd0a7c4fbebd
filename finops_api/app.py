"""The application: its routes, its errors, its state."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Gauge
from starlette.types import ASGIApp

from finops_api import dashboard, errors
from finops_api.access import reader_of
from finops_api.allocation.routes import router as allocation
from finops_api.answers import KeptAnswers
from finops_api.bodies import Bodies
from finops_api.budgets.routes import router as budgets
from finops_api.catalogue.routes import router as catalogue
from finops_api.changes import Changes
from finops_api.costs.routes import router as costs
from finops_api.cross_origin import CrossOrigin
from finops_api.database import pool
from finops_api.evidence.routes import router as evidence
from finops_api.exports.routes import router as exports
from finops_api.exports.stream import STATEMENT_TIMEOUT, Exports
from finops_api.focus.routes import router as focus
from finops_api.headers import SecurityHeaders
from finops_api.health.routes import router as health
from finops_api.insights.routes import router as insights
from finops_api.invoices.routes import router as invoices
from finops_api.journal import journal
from finops_api.keyring import KeyRing
from finops_api.known import Memory
from finops_api.limiting import Limits
from finops_api.maturity.routes import router as maturity
from finops_api.observability import Observability
from finops_api.people.provider import Provider
from finops_api.people.routes import router as people
from finops_api.problems.routes import router as problems
from finops_api.redis import Redis
from finops_api.restatements.routes import router as restatements
from finops_api.sessions import SessionRing
from finops_api.shared_answers import SharedAnswers
from finops_api.views.routes import router as views
from finops_warehouse.api_connections import FOR_EXPORTS
from finops_warehouse.settings import Settings

GAUGES = {
    "finops_complete_through_timestamp_seconds": "Midnight UTC of the last complete usage day.",
    "finops_usage_days_behind": "Usage days whose charges moved after their facts were built.",
    "finops_partitions_parked": "Partitions whose build failed five times and that wait for somebody.",
    "finops_warehouse_up": "Whether the warehouse answered when these numbers were asked for.",
    "finops_data_version": "Rises with every partition that is built.",
    "finops_source_queried_bytes": "Bytes that queries on the billing export were billed for, ever.",
    "finops_source_read_bytes": "Bytes that Storage Read of the billing export was billed for, ever.",
    "finops_source_slot_seconds": "Slot time of queries on the billing export, ever.",
    "finops_source_estimated_usd": "What reading the billing export came to, ever, at the prices of the settings.",
}


class Application(FastAPI):
    """FastAPI, with refusals documented as what they are, and headers that every answer has."""

    def build_middleware_stack(self) -> ASGIApp:
        """All that a request goes through; the outermost sees the answers to faults as well."""
        return SecurityHeaders(super().build_middleware_stack())

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        if self.openapi_schema is None:
            errors.as_problems(super().openapi())
        return super().openapi()


def create_app(dsn: str, settings: Settings, *, host: str = "127.0.0.1") -> FastAPI:
    """The application over the warehouse at `dsn`, listening on `host`. Nothing is connected before it starts."""

    registry = CollectorRegistry()
    redis = Redis(settings.redis_url, registry) if settings.redis_url is not None else None
    changes = Changes(dsn, is_shared=redis is not None)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            pool(dsn) as connections,
            pool(dsn, max_size=FOR_EXPORTS, statement_timeout=STATEMENT_TIMEOUT) as for_exports,
            journal(dsn) as written,
            redis.opened() if redis is not None else nullcontext(),
            changes.listening(),
        ):
            app.state.pool = connections
            app.state.memory = Memory()
            app.state.exports = Exports(for_exports)
            app.state.keys = KeyRing(connections, settings)
            app.state.sessions = SessionRing(connections, settings)
            app.state.journal = written
            yield

    app = Application(
        title="FinOps Intelligence",
        summary="What Google Cloud cost, and how sure we are of it.",
        version="1",
        lifespan=lifespan,
    )
    app.state.settings = settings
    app.state.host = host
    app.state.limits = Limits(settings, changes, redis)
    app.state.provider = Provider(settings) if settings.signs_people_in else None
    app.state.registry = registry
    app.state.gauges = {name: Gauge(name, text, registry=registry) for name, text in GAUGES.items()}
    app.add_middleware(
        KeptAnswers,
        changes=changes,
        reader=reader_of(app),
        room=settings.answers_kept_mb * 2**20,
        registry=registry,
        shared=SharedAnswers(redis, changes, settings, registry) if redis is not None else None,
    )
    app.add_middleware(Bodies)
    if settings.cors_origins:
        app.add_middleware(CrossOrigin, origins=settings.cors_origins.split())
    app.add_middleware(Observability, registry=registry)
    errors.install(app)
    routers = (
        costs, catalogue, allocation, restatements, maturity, invoices, insights, budgets, views, evidence, focus,
        exports, health, people, problems,
    )  # fmt: skip
    # Not as routers that are included, each of which looks for the route of a request twice; what is asked most is
    # found first, before FastAPI's own pages.
    app.router.routes[:0] = [route for router in routers for route in router.routes]
    dashboard.install(app)
    return app
