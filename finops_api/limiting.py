"""How often somebody may ask within a minute, by what an answer costs.

Counted by all processes together in Redis, where there is one; by this process alone without, and while Redis does not
answer.
"""

import math
import time
from functools import partial
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Literal

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter

from finops_api.changes import Changes
from finops_api.errors import TooManyRequests
from finops_api.redis import NotShared, Redis
from finops_warehouse.settings import Settings

Cost = Literal["query", "export", "refusal", "sign-in"]


class Limits:
    """Counts, and refuses what is too much."""

    def __init__(self, settings: Settings, changes: Changes, redis: Redis | None) -> None:
        a_minute: dict[Cost, int] = {
            "query": settings.rate_limit_queries_per_minute,
            "export": settings.rate_limit_exports_per_minute,
            "refusal": settings.rate_limit_refusals_per_minute,
            "sign-in": settings.rate_limit_sign_ins_per_minute,
        }
        self._items = {cost: RateLimitItemPerMinute(times, namespace=cost) for cost, times in a_minute.items() if times}
        self._here = FixedWindowRateLimiter(MemoryStorage())
        self._redis = redis
        self._changes = changes
        if redis is not None:
            # The address says only whose protocol it is: the connections are the ones of Redis.
            storage = RedisStorage(
                "async+redis://",
                implementation="redispy",
                key_prefix="finops",
                connection_pool=redis.connections,  # type: ignore[arg-type]  # it is what the storage looks for
            )
            self._together = FixedWindowRateLimiter(storage)

    async def count(self, cost: Cost, whose: str) -> None:
        """Count one more. Raises `TooManyRequests` once a minute's are used up."""
        item = self._items.get(cost)
        if item is None:
            return
        again_at = await self._count(item, whose)
        if again_at is None:
            return
        seconds = max(1, math.ceil(again_at - time.time()))
        what = {
            "query": "questions",
            "export": "downloads",
            "refusal": "requests without a valid key",
            "sign-in": "steps of signing in",
        }[cost]
        raise TooManyRequests(f"More than {item.amount} {what} a minute. Ask again in {seconds} seconds.", seconds)

    async def _count(self, item: RateLimitItem, whose: str) -> float | None:
        deployment = self._changes.deployment
        if self._redis is not None and deployment is not None:
            try:
                return await self._redis.ask("limits", partial(_hit, self._together, item, deployment.name, whose))
            except NotShared:
                pass  # told and counted there
        return await _hit(self._here, item, whose)


async def _hit(limiter: FixedWindowRateLimiter, item: RateLimitItem, *whose: str) -> float | None:
    """Count one more; when to come again, if that is one too many."""
    if await limiter.hit(item, *whose):
        return None
    return (await limiter.get_window_stats(item, *whose)).reset_time


def network_of(host: str) -> str:
    """Whom an address belongs to: of IPv6 the /64, for one customer has as many addresses as they like."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else host
