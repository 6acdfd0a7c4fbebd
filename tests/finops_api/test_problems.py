"""Where a refusal's `type` leads, what bodies and pages from elsewhere may, how many connections there must be."""

import uuid
from collections.abc import Callable, Iterator

import httpx
import psycopg
import pytest
from pydantic import ValidationError

from finops_api.bodies import LARGEST_BODY
from finops_api.problems.routes import problems
from finops_warehouse.api_connections import OF_A_PROCESS, check_connections
from finops_warehouse.errors import SettingsError
from finops_warehouse.settings import Settings

Api = Callable[..., httpx.Client]


@pytest.mark.parametrize("name", problems())
def test_every_problem_has_a_page_that_says_what_to_do(api: httpx.Client, name: str) -> None:
    """Whoever follows `type` finds what it means, and a second paragraph that helps."""
    status, says = problems()[name]
    page = api.get(f"/problems/{name}")

    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert f"Status {status.value}" in page.text
    assert len(says.split("\n\n")) == 2, "what it means, and what to do"
    assert page.text.count("<p>") == 4


def test_what_is_refused_leads_to_its_page(api: httpx.Client) -> None:
    """Followed as a client would, from refusals that are made in different places."""
    for path in ("/v1/nothing", "/v1/costs?window=13d", "/v1/costs?start=2026-10-02&end=2026-10-01"):
        told = api.get(path).json()
        assert f"<h1>{told['title']}</h1>" in api.get(told["type"]).text
    assert api.post("/v1/meta").json()["type"] == "/problems/MethodNotAllowed"
    listed = api.get("/problems").text
    assert all(f'href="/problems/{name}"' in listed for name in problems())


def test_a_page_of_no_problem_is_not_there(api: httpx.Client) -> None:
    """And what was asked for is not written into a page."""
    answer = api.get("/problems/<img src=x onerror=alert(1)>")

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def body(size: int) -> bytes:
    """A question of so many bytes."""
    asked = b'{"window": "7d"' + b"%s}"
    return asked % (b" " * (size - len(asked) + 2))


@pytest.mark.parametrize("says_its_size", [True, False])
def test_a_body_may_be_as_large_as_is_said_and_no_larger(built: str, serve: Api, says_its_size: bool) -> None:
    """Chunked it tells no size, so it is counted; nothing behind the limit is read into memory."""
    api = serve(built)

    def pieces(size: int) -> bytes | Iterator[bytes]:
        whole = body(size)
        return whole if says_its_size else (whole[at : at + 1000] for at in range(0, size, 1000))

    headers = {"Content-Type": "application/json"}
    assert api.post("/v1/costs/query", content=pieces(LARGEST_BODY), headers=headers).status_code == 200
    refused = api.post("/v1/costs/query", content=pieces(LARGEST_BODY + 1), headers=headers)
    assert (refused.status_code, refused.json()["title"]) == (413, "BodyTooLarge")
    assert refused.headers["x-request-id"] == refused.json()["request_id"]


ELSEWHERE = "https://wiki.example.com"


def test_a_page_from_elsewhere_is_let_in_by_its_exact_origin(built: str, api_over: Api) -> None:
    """And gets no cookie with it: it has to bring a key."""
    api = api_over(built, cors_origins=f"{ELSEWHERE} http://127.0.0.1:8080")
    for origin, is_let_in in {
        ELSEWHERE: True,
        "http://127.0.0.1:8080": True,
        "https://wiki.example.com.evil.example": False,
        "http://wiki.example.com": False,
        "https://wiki.example.com:444": False,
        "null": False,
    }.items():
        answer = api.get("/v1/meta", headers={"Origin": origin})
        assert answer.headers.get("access-control-allow-origin") == (origin if is_let_in else None)
        assert "access-control-allow-credentials" not in answer.headers
        asked = {
            "Origin": origin,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "Authorization",
        }
        told = api.options("/v1/costs", headers=asked)
        assert told.status_code == (200 if is_let_in else 400)
        assert told.headers["vary"].startswith("Origin")
        if not is_let_in:
            assert told.json()["title"] == "NotFromElsewhere"
            assert "what is in the way: origin." in told.json()["detail"]
            assert told.headers["content-type"] == "application/problem+json"
            assert told.headers["x-request-id"] == told.json()["request_id"]


@pytest.mark.parametrize(
    ("asked", "in_the_way"),
    [({"Access-Control-Request-Method": "PATCH"}, "method"), ({"Access-Control-Request-Headers": "Cookie"}, "headers")],
    ids=["a method", "a header"],
)
def test_a_page_from_elsewhere_is_told_what_is_in_the_way(
    built: str, api_over: Api, asked: dict[str, str], in_the_way: str
) -> None:
    """Its origin is named, and what it wants to send is nothing that any page may."""
    api = api_over(built, cors_origins=ELSEWHERE)

    told = api.options("/v1/costs", headers={"Origin": ELSEWHERE, "Access-Control-Request-Method": "GET", **asked})

    assert (told.status_code, told.json()["title"]) == (400, "NotFromElsewhere")
    assert f"what is in the way: {in_the_way}." in told.json()["detail"]


def test_no_page_from_elsewhere_is_let_in_unless_it_is_named(api: httpx.Client) -> None:
    """The default."""
    assert "access-control-allow-origin" not in api.get("/v1/meta", headers={"Origin": ELSEWHERE}).headers


@pytest.mark.parametrize(
    "wrong", ["*", "wiki.example.com", "https://wiki.example.com/", "https://*.example.com/x", "null"]
)
def test_what_is_no_origin_is_refused_at_start(wrong: str) -> None:
    """A wildcard among them."""
    with pytest.raises(ValidationError, match="no origin"):
        Settings(cors_origins=f"{ELSEWHERE} {wrong}")


def test_more_processes_than_postgres_can_serve_are_refused_at_start(charges: psycopg.Connection) -> None:
    """With all numbers, and before the first question is refused for it."""
    [(allowed,)] = charges.execute(
        "select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int "
        "- current_setting('reserved_connections')::int"
    ).fetchall()

    with pytest.raises(SettingsError, match=rf"may open {OF_A_PROCESS * 1000} connections.*allows {allowed}\b"):
        check_connections(charges, 1000)
    most = allowed // OF_A_PROCESS
    with pytest.raises(SettingsError):
        check_connections(charges, most + 1)
    check_connections(charges, most)


def test_an_ordinary_user_sees_that_others_hold_connections(spoilt: str) -> None:
    """PostgreSQL tells such a user less of what others do; counted as nothing, it would look as if there were room."""
    with psycopg.connect(spoilt, autocommit=True) as connection, psycopg.connect(spoilt):
        role = f"ordinary_{uuid.uuid4().hex[:8]}"
        connection.execute(f"create role {role} connection limit {OF_A_PROCESS}".encode())
        try:
            connection.execute(f"set role {role}".encode())
            assert "of which others hold" in (check_connections(connection, 1) or "")
        finally:
            connection.execute("reset role")
            connection.execute(f"drop role {role}".encode())


def test_connections_that_others_hold_are_told(spoilt: str) -> None:
    """A limit of the database counts like one of the server, and what others hold of it is said."""
    with psycopg.connect(spoilt, autocommit=True) as connection, psycopg.connect(spoilt):
        limit = "do $$ begin execute format('alter database %%I connection limit %s', current_database()); end $$"
        connection.execute((limit % (OF_A_PROCESS + 100)).encode())
        assert check_connections(connection, 1) is None
        connection.execute((limit % OF_A_PROCESS).encode())
        assert "of which others hold" in (check_connections(connection, 1) or "")
        connection.execute((limit % (OF_A_PROCESS - 1)).encode())
        with pytest.raises(SettingsError, match=f"allows {OF_A_PROCESS - 1}"):
            check_connections(connection, 1)
