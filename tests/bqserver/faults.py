"""Answers that a test plans to go wrong."""

import re
import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """What to answer instead, and how often."""

    call: str
    """A regular expression for `GET /bigquery/v2/…`, `CreateReadSession` or `ReadRows`."""
    status: int | str
    """An HTTP status, or the name of a gRPC one."""
    reason: str = ""
    """What BigQuery calls it in the body: `quotaExceeded`, `accessDenied`, `notFound`."""
    times: int = 1_000_000
    after_rows: int = 0
    """For ReadRows: how many rows of the call are sent before it breaks."""


class Faults:
    """The faults still to come, and a log of every call."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._planned: list[tuple[Fault, int]] = []
        self._lock = threading.Lock()

    def plan(self, fault: Fault) -> None:
        """Let `fault` happen from now on."""
        with self._lock:
            self._planned.append((fault, fault.times))

    def met_by(self, call: str) -> Fault | None:
        """Log `call` and use up one occurrence of the first fault planned for it."""
        with self._lock:
            self.calls.append(call)
            for index, (fault, left) in enumerate(self._planned):
                if left and re.match(fault.call, call):
                    self._planned[index] = (fault, left - 1)
                    return fault
        return None
