"""How the server says no: as BigQuery would, or that it does not know what BigQuery would say."""

from typing import Any


class NotModelled(Exception):
    """The test server does not know what real BigQuery would answer."""


class Refused(Exception):
    """What BigQuery answers to a request that is wrong."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


def error_body(code: int, reason: str, message: str) -> dict[str, Any]:
    """An error in the shape that google-api-core reads reasons from."""
    problem = {"domain": "global", "reason": reason, "message": message}
    return {"error": {"code": code, "message": message, "errors": [problem]}}
