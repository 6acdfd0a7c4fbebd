"""How often somebody may ask within a minute, by what an answer costs; counted in this process."""

import math
import time
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Literal

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

from finops_api.errors import TooManyRequests
from finops_warehouse.settings import Settings

Cost = Literal["query", "export", "refusal", "sign-in"]


class Limits:
    """Counts, and refuses what is too much."""

    def __init__(self, settings: Settings) -> None:
        a_minute: dict[Cost, int] = {
            "query": settings.rate_limit_queries_per_minute,
            "export": settings.rate_limit_exports_per_minute,
            "refusal": settings.rate_limit_refusals_per_minute,
            "sign-in": settings.rate_limit_sign_ins_per_minute,
        }
        self._items = {cost: RateLimitItemPerMinute(times, namespace=cost) for cost, times in a_minute.items() if times}
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    async def count(self, cost: Cost, whose: str) -> None:
        """Count one more. Raises `TooManyRequests` once a minute's are used up."""
        item = self._items.get(cost)
        if item is None or await self._limiter.hit(item, whose):
            return
        again_at, _ = await self._limiter.get_window_stats(item, whose)
        seconds = max(1, math.ceil(again_at - time.time()))
        what = {
            "query": "questions",
            "export": "downloads",
            "refusal": "requests without a valid key",
            "sign-in": "steps of signing in",
        }[cost]
        raise TooManyRequests(f"More than {item.amount} {what} a minute. Ask again in {seconds} seconds.", seconds)


def network_of(host: str) -> str:
    """Whom an address belongs to: of IPv6 the /64, for one customer has as many addresses as they like."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else host
