"""Everything the API can refuse, as its callers meet it: RFC 9457 problem details.

* ApiError                       500
  x BadQuestion                  422   asking again changes nothing
    - AskedTwice, EmptyWindow, WindowTooLong, TooManyGroups, TooManyRows, NothingToCompare, NothingServedThen,
      UnknownDimension, NotAddable, BadCursor, NotExported, NoSuchMonth
  x NotAllowed                   401   a key is needed
  x Forbidden                    403   the key is good, and not for this
    - LacksScope, OutOfScope
  x StaleCursor                  409   the data has moved
  x NameTaken, TooMany           409   another name, or one less, would do
  x ChangedMeanwhile             412   somebody else was faster
  x TooManyRequests              429   asking again later works; `Retry-After` says when
  x UnknownFigure                404   no such insight, anomaly, recommendation or figure
  x NoSuchBudget, NoSuchView     404   it was never there, or is not any more, or is somebody else's
  x NotYet                       503   asking again later may work
    - DatabaseUnreachable, SchemaMissing, NothingLoaded, ReadReplica, TooManyExports
"""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, ClassVar

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg_pool import PoolTimeout
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from finops_api.observability import request_id

log = structlog.get_logger("finops_api")


class Problem(BaseModel):
    """Why a request was refused (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str


class ApiError(Exception):
    """The message reaches the caller: what was asked, why it fails, what would work."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    headers: Mapping[str, str] = MappingProxyType({})


class BadQuestion(ApiError):
    """The question cannot be answered as it stands."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class AskedTwice(BadQuestion):
    """A parameter that can be meant once is given more than once."""


class EmptyWindow(BadQuestion):
    """No day lies in the window."""


class WindowTooLong(BadQuestion):
    """More days than one answer holds."""


class UnknownDimension(BadQuestion):
    """There is no such dimension: neither a built-in one nor one of the rules in force."""


class NotAddable(BadQuestion):
    """A sum that would be no amount of anything; the detail says why."""


class TooManyGroups(BadQuestion):
    """More dimensions than one answer is grouped by."""


class TooManyRows(BadQuestion):
    """More rows than one answer holds."""


class NothingServedThen(BadQuestion):
    """At the moment asked for no usage day was complete."""


class NothingToCompare(BadQuestion):
    """Periods of different length say nothing about each other."""


class BadCursor(BadQuestion):
    """The cursor is of another question, or of none."""


class StaleCursor(ApiError):
    """The data has moved since the page before."""

    status = HTTPStatus.CONFLICT


class NameTaken(ApiError):
    """There is one of this name already."""

    status = HTTPStatus.CONFLICT


class TooMany(ApiError):
    """There are as many as there may be."""

    status = HTTPStatus.CONFLICT


class ChangedMeanwhile(ApiError):
    """It is not the version any more that `If-Match` names."""

    status = HTTPStatus.PRECONDITION_FAILED


class NotExported(BadQuestion):
    """What only a single answer has, asked of an export."""


class NoSuchMonth(BadQuestion):
    """No charge is on an invoice of this month."""


class NotAllowed(ApiError):
    """A key is needed, and none was given that is valid."""

    status = HTTPStatus.UNAUTHORIZED
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class Forbidden(ApiError):
    """The key is valid, and not for this."""

    status = HTTPStatus.FORBIDDEN


class LacksScope(Forbidden):
    """The key has not the scope this needs."""


class OutOfScope(Forbidden):
    """The key sees the rows of some billing accounts or projects only, and these cannot be told apart by them."""


class TooManyRequests(ApiError):
    """More in a minute than one key may ask, or than one address may ask without."""

    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.headers = {"Retry-After": str(seconds)}


class UnknownFigure(ApiError):
    """No insight, anomaly, recommendation or figure has this id."""

    status = HTTPStatus.NOT_FOUND


class NoSuchBudget(ApiError):
    """No budget has this id."""

    status = HTTPStatus.NOT_FOUND


class NoSuchView(ApiError):
    """No view that whoever asks may see has this id."""

    status = HTTPStatus.NOT_FOUND


class NotYet(ApiError):
    """Nothing is wrong with the question; the answer is not there now."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    headers = MappingProxyType({"Retry-After": "5"})


class DatabaseUnreachable(NotYet):
    """The warehouse does not answer."""


class SchemaMissing(NotYet):
    """The warehouse answers and has not been migrated yet."""


class ReadReplica(NotYet):
    """What was sent has to be written, and this API reads a replica."""


class NothingLoaded(NotYet):
    """No usage day has been built yet."""


class TooManyExports(NotYet):
    """As many exports are running as may."""

    headers = MappingProxyType({"Retry-After": "30"})


OF_EVERY_KEY: tuple[type[ApiError], ...] = (LacksScope, OutOfScope, TooManyRequests)
"""What a route that asks for a key can refuse besides `NotAllowed`."""


def documented(*errors: type[ApiError]) -> dict[int | str, dict[str, Any]]:
    """How a route tells OpenAPI what it can refuse."""
    by_status: dict[int | str, dict[str, Any]] = {}
    for error in (*errors, *(OF_EVERY_KEY if NotAllowed in errors else ())):
        told = by_status.setdefault(error.status.value, {"model": Problem, "description": ""})
        told["description"] = f"{told['description']} {error.__name__}: {error.__doc__}".strip()
    return by_status


def as_problems(document: dict[str, Any]) -> None:
    """Have an OpenAPI document say what refusals are: FastAPI takes them for what the route answers otherwise."""
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if not status.startswith("2"):
                    [content] = answer["content"].values()
                    answer["content"] = {"application/problem+json": content}


def install(app: FastAPI) -> None:
    """Have every error of the application leave it as a problem document."""

    @app.exception_handler(ApiError)
    async def refused(request: Request, error: ApiError) -> JSONResponse:
        return _problem(request, error.status, type(error).__name__, str(error), error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        # Never the value that was sent: it may be a secret put into the wrong place.
        wrong = [{"where": ".".join(map(str, e["loc"])), "message": e["msg"]} for e in error.errors()]
        detail = "; ".join(f"{e['where']}: {e['message']}" for e in wrong)
        return _problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, "BadParameter", detail, errors=wrong)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        status = HTTPStatus(error.status_code)
        detail = f"{status.phrase}: {request.url.path}"
        return _problem(request, status, status.phrase.replace(" ", ""), detail, error.headers)

    @app.exception_handler(PoolTimeout)
    @app.exception_handler(psycopg.OperationalError)
    async def unreachable(request: Request, error: Exception) -> JSONResponse:
        log.warning("database unreachable", request_id=request_id(request.scope), error=str(error))
        told = DatabaseUnreachable("The warehouse does not answer now. Try again in a few seconds.")
        return _problem(request, told.status, type(told).__name__, str(told), told.headers)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        log.error("unexpected error", request_id=request_id(request.scope), exc_info=error)
        detail = "This is a fault of ours. Its traceback is in the log under this request id."
        # This handler runs outside of our middleware, which names the id on every other answer.
        headers = {"X-Request-ID": request_id(request.scope)}
        return _problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError", detail, headers)


def _problem(
    request: Request,
    status: HTTPStatus,
    name: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    **extra: object,
) -> JSONResponse:
    body = {
        "type": f"/problems/{name}",
        "title": name,
        "status": status.value,
        "detail": detail,
        "instance": request.url.path,
        "request_id": request_id(request.scope),
        **extra,
    }
    return JSONResponse(body, status.value, headers, media_type="application/problem+json")
