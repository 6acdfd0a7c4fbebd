"""A Redis that replicas share: asked for a moment, left alone when it does not answer, and needed by nothing."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge
from pydantic import SecretStr
from redis import Redis as SynchronousClient
from redis.asyncio import BlockingConnectionPool
from redis.asyncio import Redis as Client
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry as SynchronousRetry

from finops_warehouse.errors import FinopsError

CONNECT_SECONDS = 0.05
ANSWER_SECONDS = 0.05
AT_MOST_SECONDS = 0.1
"""All of it: a connection that is waited for, its host's name, the handshake and the answer."""

FAILURES = 3
"""In a row, and it is left alone: a request that comes late by itself says nothing about Redis."""
LEFT_ALONE_SECONDS = 2.0
CONNECTIONS = 32
DOCTORS_SECONDS = 5.0

Purpose = Literal["answers", "limits"]
T = TypeVar("T")

log = structlog.get_logger("finops_api")


class NotShared(Exception):
    """Redis did not do it. Whoever asked does without."""


@dataclass
class _Standing:
    """How it has done lately. A full one answers what is asked of it and takes nothing: of each purpose apart."""

    failed: int = 0
    """Times in a row."""
    left_alone_until: float = 0.0
    told: str = ""


class Redis:
    """What it is asked, and whether it is worth asking."""

    def __init__(self, url: SecretStr, registry: CollectorRegistry) -> None:
        self.connections = BlockingConnectionPool.from_url(
            url.get_secret_value(),
            max_connections=CONNECTIONS,
            timeout=AT_MOST_SECONDS,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),  # the library's own would try for seconds
            protocol=2,
            driver_info=None,
        )
        self.client = Client(connection_pool=self.connections)
        self._standing = {purpose: _Standing() for purpose in get_args(Purpose)}
        asked = Counter(
            "finops_redis_asked", "Questions to Redis, by what for and how they ended: answered, failed, left_alone.",
            ["purpose", "outcome"], registry=registry,
        )  # fmt: skip
        self._asked = {
            (purpose, outcome): asked.labels(purpose, outcome)
            for purpose in get_args(Purpose)
            for outcome in ("answered", "failed", "left_alone")
        }
        self._is_up = Gauge("finops_redis_up", "Whether Redis answered when it was last asked.", registry=registry)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Have connections for as long as the application lives. The first is made when something is asked."""
        try:
            yield
        finally:
            await self.connections.aclose()

    async def ask(self, purpose: Purpose, question: Callable[[], Awaitable[T]]) -> T:
        """What it answers. Raises `NotShared` when it does not, or did not a moment ago."""
        standing, now = self._standing[purpose], time.monotonic()
        if now < standing.left_alone_until:
            self._asked[purpose, "left_alone"].inc()
            raise NotShared
        if standing.failed >= FAILURES:  # this one goes ahead, to see whether it is back
            standing.left_alone_until = now + LEFT_ALONE_SECONDS
        try:
            async with asyncio.timeout(AT_MOST_SECONDS):
                answer = await question()
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            self._asked[purpose, "failed"].inc()
            self._is_up.set(0)
            standing.failed += 1
            if standing.failed >= FAILURES:
                standing.left_alone_until = time.monotonic() + LEFT_ALONE_SECONDS
            why = str(error) or type(error).__name__
            if standing.told != why:  # once for each reason
                standing.told = why
                log.warning("redis does not answer", purpose=purpose, why=why, then="this process does without")
            raise NotShared from None
        self._asked[purpose, "answered"].inc()
        self._is_up.set(1)
        if standing.failed >= FAILURES:
            standing.told = ""
            log.info("redis answers again", purpose=purpose)
        standing.failed, standing.left_alone_until = 0, 0.0
        return answer


class RedisUnreachable(FinopsError):
    """Nobody answers at REDIS_URL, or somebody who refuses us."""


def greet(url: SecretStr) -> str:
    """How fast Redis answers, in words. Raises `RedisUnreachable`."""
    try:
        with SynchronousClient.from_url(
            url.get_secret_value(), socket_timeout=DOCTORS_SECONDS, socket_connect_timeout=DOCTORS_SECONDS,
            retry=SynchronousRetry(NoBackoff(), 0), protocol=2, driver_info=None,
        ) as client:  # fmt: skip
            client.ping()
            began = time.perf_counter()
            client.ping()
            return f"answers in {(time.perf_counter() - began) * 1000:.1f} ms"
    except (RedisError, OSError) as error:
        raise RedisUnreachable(
            f"Nothing answers at REDIS_URL as it should ({error}). The API goes on without: each process keeps "
            "answers and counts requests for itself."
        ) from None
