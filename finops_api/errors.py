"""Everything the API can refuse, as its callers meet it: RFC 9457 problem details.

* ApiError                       500
  x BadQuestion                  422   asking again changes nothing
    - AskedTwice, EmptyWindow, WindowTooLong, TooManyGroups, TooManyRows, NothingToCompare, NothingServedThen,
      UnknownDimension, NotAddable, BadCursor, NotExported, NoSuchMonth
  x NotAllowed                   401   a key is needed
  x NotSignedIn                  401   a key is needed, or signing in
  x SignInFailed                 400   starting to sign in again may work
  x NotFromElsewhere             400   not from a page of that origin
  x Forbidden                    403   the key is good, and not for this
    - LacksScope, OutOfScope, NotFromOurPage, NotListed
  x StaleCursor                  409   the data has moved
  x NameTaken, TooMany           409   another name, or one less, would do
  x ChangedMeanwhile             412   somebody else was faster
  x TooManyRequests              429   asking again later works; `Retry-After` says when
  x BodyTooLarge                 413   no body is that large
  x UnknownFigure                404   no such insight, anomaly, recommendation or figure
  x NoSignIn                     404   nobody signs in here
  x NoSuchBudget, NoSuchView     404   it was never there, or is not any more, or is somebody else's
  x NotYet                       503   asking again later may work
    - DatabaseUnreachable, SchemaMissing, NothingLoaded, ReadReplica, TooManyExports, ProviderUnreachable
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, ClassVar

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from psycopg_pool import PoolTimeout
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from finops_api import parameters
from finops_api.dashboard import EVERY_PATH
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
    """A parameter that can be meant once is given more than once.

    Give it once. Filters, `group_by` and `measure` may be given more often.
    """


class EmptyWindow(BadQuestion):
    """No day lies in the window.

    `end` is the day after the last one, so it comes after `start`.
    """


class WindowTooLong(BadQuestion):
    """More days than one answer holds.

    Ask for parts of it one after another, or export it.
    """


class UnknownDimension(BadQuestion):
    """There is no such dimension: neither a built-in one nor one of the rules in force.

    `/v1/dimensions` lists all there are.
    """


class NotAddable(BadQuestion):
    """A sum that would be no amount of anything; the detail says why.

    Change what the detail names: most often a measure or a dimension has to go.
    """


class TooManyGroups(BadQuestion):
    """More dimensions than one answer is grouped by.

    Group by fewer, or put a filter in the place of one.
    """


class TooManyRows(BadQuestion):
    """More rows than one answer holds.

    Ask for fewer days or dimensions, for the `top` few, page by page, or for an export.
    """


class NothingServedThen(BadQuestion):
    """At the moment asked for no usage day was complete.

    Ask for a later moment, or leave out `as_of`.
    """


class NothingToCompare(BadQuestion):
    """Periods of different length say nothing about each other.

    Compare days or a total, or ask for both periods.
    """


class BadCursor(BadQuestion):
    """The cursor is of another question, or of none.

    Begin again without a cursor, and change nothing but the cursor from page to page.
    """


class NotFromElsewhere(ApiError):
    """A page of another origin asked whether it may send a request, and may not.

    Whoever runs the API names the origin in CORS_ORIGINS, or the page leaves out what the detail names.
    """

    status = HTTPStatus.BAD_REQUEST


class StaleCursor(ApiError):
    """The data has moved since the page before.

    Begin again with the first page: pages of two states of the data do not add up.
    """

    status = HTTPStatus.CONFLICT


class NameTaken(ApiError):
    """There is one of this name already.

    Change that one, or take another name. A name tells its budget, or one's view, from all others.
    """

    status = HTTPStatus.CONFLICT


class TooMany(ApiError):
    """There are as many as there may be.

    Delete one that nobody needs, then try again.
    """

    status = HTTPStatus.CONFLICT


class ChangedMeanwhile(ApiError):
    """It is not the version any more that `If-Match` names.

    Read it again and decide whether your change still makes sense; then send it with the ETag of that answer.
    """

    status = HTTPStatus.PRECONDITION_FAILED


class NotExported(BadQuestion):
    """What only a single answer has, asked of an export.

    Leave it out. An export has every row.
    """


class NoSuchMonth(BadQuestion):
    """No charge is on an invoice of this month.

    `/v1/invoice-months` lists those there are.
    """


class NotAllowed(ApiError):
    """A key is needed, and none was given that is valid.

    Send `Authorization: Bearer …` with a key of `finops keys create`, or with API_TOKEN.
    """

    status = HTTPStatus.UNAUTHORIZED
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class NotSignedIn(ApiError):
    """Nobody is signed in, and no key was given that is valid.

    People sign in at `/auth/sign-in`. Programs send `Authorization: Bearer …` with a key of `finops keys create`.
    """

    status = HTTPStatus.UNAUTHORIZED
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class SignInFailed(ApiError):
    """Signing in did not come to its end.

    Begin again at `/auth/sign-in`, and finish in the same browser within ten minutes. If that goes on, the log says
    what the provider sent, to whoever runs this.
    """

    status = HTTPStatus.BAD_REQUEST


class Forbidden(ApiError):
    """The key is valid, and not for this."""

    status = HTTPStatus.FORBIDDEN


class LacksScope(Forbidden):
    """The key has not the scope this needs.

    Use a key with the scope that the detail names; `finops keys create` makes one.
    """


class OutOfScope(Forbidden):
    """The key sees the rows of some billing accounts or projects only, and these cannot be told apart by them.

    Use a key without billing accounts and projects, or ask for what such a key may see.
    """


class NotFromOurPage(Forbidden):
    """A session's cookie was sent with a change, and nothing shows that one of our own pages sent it.

    Send the `csrf_token` of `/v1/me` as `X-CSRF-Token`, from a page of this origin; or a key in the cookie's place.
    """


class NotListed(Forbidden):
    """The provider knows this person, and they may not come in here.

    Whoever runs this lists people in OIDC_ADMINS, OIDC_ANALYSTS and OIDC_VIEWERS; `finops users enable` lets in again
    whom `finops users disable` kept out.
    """


class TooManyRequests(ApiError):
    """More in a minute than one key may ask, or than one address may ask without.

    Wait as many seconds as `Retry-After` says. Whoever runs the API can raise RATE_LIMIT_….
    """

    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.headers = {"Retry-After": str(seconds)}


class BodyTooLarge(ApiError):
    """What was sent is larger than anything this API takes: a mebibyte.

    Send several smaller ones: the totals of fewer months, or a question with fewer conditions.
    """

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UnknownFigure(ApiError):
    """No insight, anomaly, recommendation or figure has this id.

    Ids change when insights are made anew. Get the list again and follow its ids.
    """

    status = HTTPStatus.NOT_FOUND


class NoSignIn(ApiError):
    """This deployment signs nobody in.

    Use a key. Whoever runs this sets OIDC_ISSUER to have people sign in.
    """

    status = HTTPStatus.NOT_FOUND


class NoSuchBudget(ApiError):
    """No budget has this id.

    `GET /v1/budgets` lists those there are. This one was deleted, or never was.
    """

    status = HTTPStatus.NOT_FOUND


class NoSuchView(ApiError):
    """No view that whoever asks may see has this id.

    `GET /v1/views` lists your own and those shared with you. This one was deleted, is no longer shared, or never was.
    """

    status = HTTPStatus.NOT_FOUND


class NotYet(ApiError):
    """Nothing is wrong with the question; the answer is not there now."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    headers = MappingProxyType({"Retry-After": "5"})


class DatabaseUnreachable(NotYet):
    """The warehouse does not answer.

    Try again after `Retry-After` seconds. If that goes on, `finops doctor` says what is wrong.
    """


class SchemaMissing(NotYet):
    """The warehouse answers and has not been migrated yet.

    Whoever runs it has to run `finops migrate`.
    """


class ReadReplica(NotYet):
    """What was sent has to be written, and this API reads a replica.

    Send it to the API over the primary database.
    """


class NothingLoaded(NotYet):
    """No usage day has been built yet.

    `finops sync` loads and builds; `finops status` says how far it is.
    """


class TooManyExports(NotYet):
    """As many exports are running as may.

    Try again after `Retry-After` seconds.
    """

    headers = MappingProxyType({"Retry-After": "30"})


class ProviderUnreachable(NotYet):
    """The provider that people sign in at does not answer, or not as one.

    Try again in a few seconds. If that goes on, whoever runs this checks OIDC_ISSUER and the log; keys work meanwhile.
    """


OF_EVERY_KEY: tuple[type[ApiError], ...] = (NotSignedIn, LacksScope, OutOfScope, NotFromOurPage, TooManyRequests)
"""What a route that asks for a key can refuse besides `NotAllowed`."""


OF_ANY_ROUTE: dict[str, tuple[HTTPStatus, str]] = {
    "BadParameter": (
        HTTPStatus.UNPROCESSABLE_ENTITY,
        """A parameter or a part of the body is unknown, missing, or none of what it may be.

`errors` names each place and why, and never the value, which may be a secret. `/docs` lists what a route takes.""",
    ),
    "BadRequest": (HTTPStatus.BAD_REQUEST, "What was sent cannot be read at all.\n\nSend valid JSON as UTF-8."),
    "NotFound": (HTTPStatus.NOT_FOUND, "There is nothing at this path.\n\n`/docs` lists all routes."),
    "MethodNotAllowed": (
        HTTPStatus.METHOD_NOT_ALLOWED,
        "This path has no such method.\n\nThe header `Allow` names those it has.",
    ),
    "InternalError": (
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "A fault of ours.\n\nTell whoever runs the API the `request_id`: the log has the traceback under it.",
    ),
}
"""What every route can refuse, by its name: the status, what it means and what to do."""


UNREADABLE: dict[str, Any] = {
    "description": "BadRequest: What was sent cannot be read at all. As plain text: its first line and headers are "
    "longer than 64 KiB, or no HTTP.",
    "content": {
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
        "text/plain": {"schema": {"type": "string"}},
    },
}
"""What every operation can be answered before a route sees it."""


UNKNOWN_NAME: dict[str, Any] = {
    "description": "BadParameter: The URL names a parameter that there is not.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
"""What routes that take no parameters answer to those who give them some."""


def documented(*errors: type[ApiError]) -> dict[int | str, dict[str, Any]]:
    """How a route tells OpenAPI what it can refuse."""
    by_status: dict[int | str, dict[str, Any]] = {}
    for error in (*errors, *(OF_EVERY_KEY if NotAllowed in errors else ())):
        told = by_status.setdefault(error.status.value, {"model": Problem, "description": ""})
        told["description"] = f"{told['description']} {error.__name__}: {_in_one_line(error)}".strip()
    return by_status


def _in_one_line(error: type[ApiError]) -> str:
    return " ".join((error.__doc__ or "").split())


def as_problems(document: dict[str, Any]) -> None:
    """Have an OpenAPI document say what refusals are: FastAPI takes them for what the route answers otherwise."""
    for path, methods in document["paths"].items():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if not status.startswith("2"):
                    [content] = answer["content"].values()
                    answer["content"] = {"application/problem+json": content}
            operation["responses"]["400"] = UNREADABLE
        if path.startswith("/v1/"):
            for operation in methods.values():
                operation["responses"].setdefault("422", UNKNOWN_NAME)


def install(app: FastAPI) -> None:
    """Have every error of the application leave it as a problem document."""

    @cache
    def known_paths() -> list[tuple[re.Pattern[str], frozenset[str]]]:
        found = [route for route in iter_route_contexts(app.routes) if route.path not in (None, EVERY_PATH)]
        return [(compile_path(route.path or "")[0], frozenset(route.methods or ())) for route in found]

    def methods_of(path: str) -> frozenset[str]:
        return frozenset().union(*(methods for pattern, methods in known_paths() if pattern.match(path)))

    @app.exception_handler(ApiError)
    async def refused(request: Request, error: ApiError) -> JSONResponse:
        return refusal(request, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        # Never the value that was sent: it may be a secret put into the wrong place.
        wrong = [{"where": ".".join(map(str, e["loc"])), "message": _told(request, e)} for e in error.errors()]
        detail = "; ".join(f"{e['where']}: {e['message']}" for e in wrong)
        return _problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, "BadParameter", detail, errors=wrong)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        status, headers = HTTPStatus(error.status_code), error.headers
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
            # Starlette knows the first route of a path alone, and the dashboard's takes every GET.
            others = methods_of(request.url.path) - {request.method}
            status = HTTPStatus.METHOD_NOT_ALLOWED if others else status
            headers = {"Allow": ", ".join(sorted(others))} if others else headers
        # Not the phrase: Python changes those from version to version.
        name = next((name for name, (its, _) in OF_ANY_ROUTE.items() if its == status), "BadRequest")
        return _problem(request, status, name, f"{status.phrase}: {request.url.path}", headers)

    @app.exception_handler(PoolTimeout)
    @app.exception_handler(psycopg.OperationalError)
    async def unreachable(request: Request, error: Exception) -> JSONResponse:
        log.warning("database unreachable", request_id=request_id(request.scope), error=str(error))
        return refusal(request, DatabaseUnreachable("The warehouse does not answer now. Try again in a few seconds."))

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        log.error("unexpected error", request_id=request_id(request.scope), exc_info=error)
        detail = "This is a fault of ours. Its traceback is in the log under this request id."
        # This handler runs outside of our middleware, which names the id on every other answer.
        headers = {"X-Request-ID": request_id(request.scope)}
        return _problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError", detail, headers)


def _told(request: Request, error: Mapping[str, Any]) -> str:
    """What is wrong with a part of a request; of a name that there is not, which one may have been meant."""
    if error["type"] != "extra_forbidden":
        return str(error["msg"])
    where, *path = error["loc"]
    route = request.scope["route"]
    names = (parameters.of_url(route) if where == "query" else parameters.of_body(route)) if len(path) == 1 else ()
    meant = get_close_matches(str(path[-1]), names, n=1)
    return f"there is no such name{f'; did you mean {meant[0]}?' if meant else ''}"


def refusal(request: Request, error: ApiError) -> JSONResponse:
    """The problem document of an error."""
    return _problem(request, error.status, type(error).__name__, str(error), error.headers)


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
