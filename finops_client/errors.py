"""Everything that can go wrong between a question and its answer.

* FinOpsError
  x UnsafeConnection          the address, or the key, is none that a key may be sent with; nothing was sent
  x Unreachable               nobody answers there, or not in time
  x UnexpectedAnswer          what answers there is not the API
  x BrokenDownload            a file did not arrive whole; none is left behind
  x NoEvidence                the charges behind a figure cannot be named in one question
  x MissingPandas             a table was asked for as a DataFrame, and pandas is not installed
  x Refused                   the API answered with a problem (RFC 9457)
    - BadQuestion             400, 413, 422   asking again changes nothing
    - NotAllowed              401             a key is needed
    - Forbidden               403             the key is good, and not for this
    - NotFound                404             no such figure
    - Conflict                409, 412        it is not as it was
      + StaleCursor           409             the data kept moving while pages were read
    - TooManyRequests         429             `retry_after` says when asking again works
    - NotYet                  503             asking again later may work
    - Fault                   500 and others  a fault of the API's

No message, and nothing that is kept of a request, holds the key.
"""

from collections.abc import Mapping
from typing import Any


class FinOpsError(Exception):
    """The message says what was tried, why it failed and what would work."""


class UnsafeConnection(FinOpsError):
    """A key would be sent in the clear, or cannot be sent at all. Nothing was sent."""


class Unreachable(FinOpsError):
    """Nobody answers at the address, or not in time."""


class UnexpectedAnswer(FinOpsError):
    """What answers is not the API: a proxy, a sign-in page, another service."""


class BrokenDownload(FinOpsError):
    """A download ended before it was whole. No file is left."""


class NoEvidence(FinOpsError):
    """The charges behind a figure cannot be named in one question. The message says why, and what to ask instead."""


class MissingPandas(FinOpsError):
    """pandas is needed for DataFrames, and is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "to_pandas() needs pandas, which is not installed: pip install pandas. Without it, to_arrow() gives the "
            "same table."
        )


class Refused(FinOpsError):
    """The API's own refusal, in its words."""

    def __init__(self, problem: Mapping[str, Any], retry_after: float | None = None) -> None:
        self.type: str = str(problem.get("type", "about:blank"))
        """The page that says what to do, relative to the API's address: `/problems/UnknownDimension`."""
        self.title: str = str(problem.get("title", ""))
        """The name of the refusal: `UnknownDimension`."""
        self.detail: str = str(problem.get("detail", ""))
        """What was asked, why not, what would work."""
        self.status: int = int(problem.get("status", 0))
        self.request_id: str = str(problem.get("request_id", ""))
        """Under this the API's log has the request."""
        self.errors: list[Mapping[str, str]] = list(problem.get("errors", []))
        """Of a parameter that is wrong: where, and why."""
        self.retry_after = retry_after
        """Seconds after which to ask again, where the API says so."""
        super().__init__(f"{self.detail} ({self.title}, {self.status}, request {self.request_id})")


class BadQuestion(Refused):
    """The question cannot be answered as it stands; asking again changes nothing."""


class NotAllowed(Refused):
    """A key is needed, and none was sent that is valid."""


class Forbidden(Refused):
    """The key is valid, and not for this."""


class NotFound(Refused):
    """There is no such figure, or nothing at this address."""


class Conflict(Refused):
    """It is not as it was when it was asked for last."""


class StaleCursor(Conflict):
    """The data kept moving while pages were read, as often as they were begun again."""


class TooManyRequests(Refused):
    """More than one key may ask in a minute."""


class NotYet(Refused):
    """Nothing is wrong with the question; the answer is not there now."""


class Fault(Refused):
    """A fault of the API's. Tell whoever runs it the `request_id`."""


_BY_STATUS: Mapping[int, type[Refused]] = {
    400: BadQuestion,
    401: NotAllowed,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    413: BadQuestion,
    422: BadQuestion,
    429: TooManyRequests,
    503: NotYet,
}


def refusal(problem: Mapping[str, Any], status: int, retry_after: float | None) -> Refused:
    """The error a problem document is raised as."""
    kind = StaleCursor if problem.get("title") == "StaleCursor" else _BY_STATUS.get(status, Fault)
    return kind({**problem, "status": status}, retry_after)
