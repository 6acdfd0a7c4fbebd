"""A request's id, its log line and its numbers: one pure ASGI middleware (Starlette's base class costs 20 times it)."""

import json
import logging
import re
import secrets
import sys
import time
from functools import cache

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from finops_warehouse.settings import Settings

ACCEPTED_REQUEST_ID = re.compile(rb"[A-Za-z0-9-]{8,64}")

log = structlog.get_logger("finops_api.access")


def request_id(scope: Scope) -> str:
    """The id of a request, from its caller when that looks like one, else made up."""
    found: str | None = scope.get("finops.request_id")
    if found is None:
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        found = given.decode() if ACCEPTED_REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
        scope["finops.request_id"] = found
    return found


class Observability:
    """Counts, times and logs every request."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self._app = app
        self._requests = Counter(
            "finops_http_requests", "Requests by route and status.", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "finops_http_request_seconds", "Time to the last byte.", ["method", "route"], registry=registry
        )

        # Looking for them by their labels takes longer than counting. There are as many as routes and statuses.
        self._numbers_of = cache(self._labelled)

    def _labelled(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        return self._requests.labels(method, route, status), self._seconds.labels(method, route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id(scope).encode())]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            seconds = time.perf_counter() - began
            # The template, never the raw path: a path holds ids, and each would be a time series of its own.
            route = getattr(scope.get("route"), "path", "unmatched")
            counted, timed = self._numbers_of(scope["method"], route, status)
            counted.inc()
            timed.observe(seconds)
            log.info(
                "request",
                request_id=request_id(scope),
                method=scope["method"],
                path=scope["path"],
                status=status,
                milliseconds=round(seconds * 1000, 1),
            )


def configure_logging(settings: Settings) -> None:
    """Log to stderr: an object a line, or text for people, as LOG_FORMAT says."""
    # `json.dumps` makes an encoder for each line, which takes as long as the line.
    encoder = json.JSONEncoder(default=repr)
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(lambda told, **_: encoder.encode(told))
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
