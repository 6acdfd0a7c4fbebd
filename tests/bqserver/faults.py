"""Answers that a test plans to go wrong, and a log of everything that was asked."""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fault:
    """What to answer instead, and how often."""

    call: str
    """A regular expression for the beginning of a `Call.name`."""
    status: int | str
    """An HTTP status, or the name of a gRPC one."""
    reason: str = ""
    """What BigQuery calls it in the body: `quotaExceeded`, `accessDenied`, `notFound`. Part of a gRPC message."""
    times: int = 1_000_000
    after_rows: int = 0
    """For ReadRows: how many rows of the call are sent before it breaks."""


@dataclass(frozen=True)
class Call:
    """One request as it came in."""

    name: str
    """`GET /bigquery/v2/…`, `POST /bigquery/v2/… (dry run)`, `CreateReadSession` or `ReadRows@<offset>`."""
    authorization: str | None = None
    """The header, or the metadata, of that name."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """The body of a REST call; the project that pays, the table and the read options of a read session."""


class Faults:
    """The faults still to come, and the log of every call."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._planned: list[tuple[Fault, int]] = []
        self._lock = threading.Lock()

    def plan(self, fault: Fault) -> None:
        """Let `fault` happen from now on."""
        with self._lock:
            self._planned.append((fault, fault.times))

    def met_by(self, call: Call) -> Fault | None:
        """Log `call` and use up one occurrence of the first fault planned for it."""
        with self._lock:
            self.calls.append(call)
            for index, (fault, left) in enumerate(self._planned):
                if left and re.match(fault.call, call.name):
                    self._planned[index] = (fault, left - 1)
                    return fault
        return None
