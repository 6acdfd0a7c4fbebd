"""Who may read. A route somebody adds next year must not be open because nobody thought of it."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from finops_api import access
from finops_api.app import create_app
from finops_api.health import routes as health
from finops_api.server import run_server
from finops_warehouse.errors import SettingsError
from finops_warehouse.keys import new_token
from finops_warehouse.settings import Settings

TOKEN = "correct-horse-battery-staple"
OPEN = {
    "/problems",
    "/problems/{name}",
    "/livez",
    "/readyz",
    "/metrics",
    "/docs",
    "/docs/oauth2-redirect",
    "/redoc",
    "/openapi.json",
    "/{path:path}",
}
"""What serves no data."""

SIGNING_IN = {"/auth/sign-in", "/auth/callback", "POST /auth/sign-out"}
"""How a stranger becomes somebody, and the other way round; `test_sign_in.py` tries all of it."""

UNGUARDED = OPEN | SIGNING_IN

A_KEY = new_token()

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


def routes() -> Iterator[tuple[str, Dependant | None]]:
    """Every route of the application with what it depends on; one that is not a GET by its method, too."""
    for route in iter_route_contexts(create_app(NOWHERE, Settings()).routes):
        assert route.path is not None
        [method, *more] = sorted(getattr(route, "methods", None) or ["GET"])
        assert more in ([], ["HEAD"])
        yield route.path if method == "GET" else f"{method} {route.path}", getattr(route, "dependant", None)


def asks(dependant: Dependant | None, guard: object) -> bool:
    """Whether a route, or something it depends on, stands behind a guard."""
    return dependant is not None and (
        dependant.call is guard or any(asks(inner, guard) for inner in dependant.dependencies)
    )


def test_every_route_stands_behind_one_guard_or_is_known_to_be_open() -> None:
    """Enumerated from the application, so that a new route is judged the day it is added."""
    found = dict(routes())
    guards = {path: [guard for guard in access.GUARDS if asks(found[path], guard)] for path in found}

    assert {path for path in found if not guards[path]} == UNGUARDED
    assert len(found) > len(UNGUARDED)
    behind_one = dict.fromkeys(set(found) - UNGUARDED, 1)
    assert {path: len(guards[path]) for path in found if path not in UNGUARDED} == behind_one


def test_what_serves_data_has_the_connections_of_whoever_asks() -> None:
    """Those of the health routes see every row: a route that took them would show them to any key."""
    for path, dependant in routes():
        assert asks(dependant, health._pool_of) <= (path in OPEN), path
        assert asks(dependant, access._pool_of) <= (path not in UNGUARDED), path


def test_what_gives_away_rows_or_changes_something_asks_for_more() -> None:
    """A key for a dashboard neither downloads every charge nor hands in an invoice."""
    found = dict(routes())

    assert {path for path in found if asks(found[path], access._exporter)} == {
        "/v1/evidence.csv",
        "/v1/exports/costs.{format}",
        "/v1/exports/focus.{format}",
    }
    assert {path for path in found if asks(found[path], access._admin)} == {
        HANDED_IN,
        "POST /v1/budgets",
        "PUT /v1/budgets/{budget_id}",
        "DELETE /v1/budgets/{budget_id}",
    }
    assert {path for path in found if asks(found[path], access._anybody)} == {"/v1/me"}


DATA = [
    "/v1/costs?window=7d",
    "/v1/dimensions",
    "/v1/dimensions/project/members",
    "/v1/coverage?window=7d&dimension=team",
    "/v1/allocations?window=7d&dimension=team",
    "/v1/me",
    "/v1/meta",
    "/v1/anomalies",
    "/v1/forecasts",
    "/v1/forecasts/accuracy",
    "/v1/recommendations",
    "/v1/insights",
    "/v1/evidence?start=2026-09-10&end=2026-09-11&billing_currency=USD",
    "/v1/evidence.csv?start=2026-09-10&end=2026-09-11&billing_currency=USD",
    "/v1/budgets",
    "/v1/views",
    "/v1/restatements",
    "/v1/maturity",
    "/v1/nowcast",
    "/v1/invoice-months",
    "/v1/invoice-months/parts?invoice_month=202609",
    "/v1/focus/conformance",
    "/v1/exports/costs.csv?window=7d",
    "/v1/exports/focus.csv?month=202609",
]
ASKED_BY_BODY = {
    "/v1/costs/query": {"window": "7d"},
    "/v1/evidence/query": {"start": "2026-09-10", "end": "2026-09-11", "billing_currency": "USD"},
}
"""The routes that read by POST; they ask for the reader as all do, and are tried below."""
HANDED_IN = "PUT /v1/invoices/{billing_account}/{invoice_month}/{billing_currency}"
"""`test_invoices.py` tries it without a token, as `test_budgets.py` and `test_views.py` do what else is written."""
KEPT = {"POST /v1/budgets", "POST /v1/views"} | {
    f"{method} /v1/{what}" for what in ("budgets/{budget_id}", "views/{view_id}") for method in ("PUT", "DELETE")
}
OF_ONE = {"/v1/budgets/{budget_id}", "/v1/views/{view_id}"}
"""Answered where there is one, which is tried there as well."""


def test_the_list_of_data_routes_is_whole() -> None:
    """The tests below try them one by one; this one sees that none is left out."""
    written = {"/project/": "/{name}/", "/costs.csv": "/costs.{format}", "/focus.csv": "/focus.{format}"}
    asked = {path.split("?")[0] for path in DATA}
    for part, template in written.items():
        asked = {path.replace(part, template) for path in asked}

    assert {path for path, _ in routes()} - UNGUARDED - {HANDED_IN} - KEPT - OF_ONE == {
        *asked,
        *(f"POST {path}" for path in ASKED_BY_BODY),
    }


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"X-Api-Key": TOKEN},
        {"Authorization": "Bearer \xfc\xf6"},
        {"Authorization": f"Bearer {A_KEY}"},
        {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1", "Host": "127.0.0.1"},
    ],
    ids=[
        *("nothing", "too long", "too short", "empty", "another scheme", "no scheme", "another header", "no ASCII"),
        *("a key nobody made", "a forged address"),
    ],
)
@pytest.mark.parametrize("path", DATA)
def test_without_the_token_no_data(
    built: str, api_over: Callable[..., httpx.Client], path: str, sent: dict[str, str]
) -> None:
    """Costs are told to who holds the token, and the refusal does not help in guessing it."""
    encoded = {name.encode(): value.encode("latin-1") for name, value in sent.items()}
    answer = api_over(built, api_token=TOKEN).get(path, headers=encoded)

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert TOKEN[:8] not in answer.text


@pytest.mark.parametrize("path", ASKED_BY_BODY)
def test_a_question_in_a_body_needs_the_token_too(built: str, api_over: Callable[..., httpx.Client], path: str) -> None:
    """It is the same data, whatever the method is called."""
    client = api_over(built, api_token=TOKEN)

    assert client.post(path, json=ASKED_BY_BODY[path]).status_code == 401
    told = client.post(path, json=ASKED_BY_BODY[path], headers={"Authorization": f"Bearer {TOKEN}"})
    assert told.status_code == 200


def test_with_the_token_every_route_answers(built: str, api_over: Callable[..., httpx.Client]) -> None:
    """The other half: a refusal of everybody would pass the test above."""
    client = api_over(built, api_token=TOKEN)

    assert [client.get(path, headers={"Authorization": f"Bearer {TOKEN}"}).status_code for path in DATA] == [200] * len(
        DATA
    )


def test_who_is_refused_does_not_learn_whether_the_question_was_good(
    built: str, api_over: Callable[..., httpx.Client]
) -> None:
    """A stranger is a stranger, also with a window that is none."""
    told = api_over(built, api_token=TOKEN).get("/v1/costs?window=7d&project=x")

    assert told.status_code == 401


@pytest.mark.parametrize("path", sorted(OPEN - {"/docs/oauth2-redirect"}))
def test_what_serves_no_data_is_open(built: str, api_over: Callable[..., httpx.Client], path: str) -> None:
    """A load balancer and a person who looks up the API have no token."""
    assert api_over(built, api_token=TOKEN).get(path.replace("{name}", "NotFound")).status_code == 200


def test_the_document_says_that_a_token_is_needed(built: str, api_over: Callable[..., httpx.Client]) -> None:
    """A generated client sends the header because the document says so."""
    document = api_over(built, api_token=TOKEN).get("/openapi.json").json()

    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert bool(operation.get("security")) == path.startswith("/v1/"), path


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
def test_without_a_token_only_this_machine_is_served(host: str) -> None:
    """Forgetting a variable must not open a company's costs to its network."""
    with pytest.raises(SettingsError, match="API_TOKEN is not set"):
        run_server(NOWHERE, Settings(), host=host, port=0)
