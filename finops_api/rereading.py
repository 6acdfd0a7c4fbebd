"""What the database says, trusted for some seconds: whoever asks then is answered from memory."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Reread(Generic[T]):
    """Reads something when it is asked for and older than may be; of many who ask at once, one reads."""

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        self._read = read
        self._held: tuple[float, T] | None = None
        self._stale_before = float("-inf")
        self._one_at_a_time = asyncio.Lock()

    async def get(self, *, not_older_than: float) -> T:
        """What was read at most so many seconds ago. Raises what reading raises."""
        if (held := self._fresh(not_older_than)) is not None:
            return held[1]
        async with self._one_at_a_time:
            held = self._fresh(not_older_than)  # another one may have read it meanwhile
            if held is None:
                at = time.monotonic()
                held = self._held = (at, await self._read())
            return held[1]

    def forget(self) -> None:
        """Trust nothing that was read before now."""
        self._stale_before = time.monotonic()

    def _fresh(self, not_older_than: float) -> tuple[float, T] | None:
        if self._held is None:
            return None
        at = self._held[0]
        return self._held if at >= self._stale_before and time.monotonic() - at < not_older_than else None
