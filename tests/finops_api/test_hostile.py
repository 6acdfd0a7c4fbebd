"""What somebody sends who means harm, put into every parameter and every field of every operation.

None of it may be an error of ours, whatever it is: it is a member that is not there, or it is refused as a problem.
"""

import itertools
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from helpers.proofs import PROVING

from finops_api.app import create_app
from finops_warehouse.settings import Settings

from .conftest import PEPPER, MakeKey

TEXTS = (
    "", " ", "\0", "a\0b", "\r\nX-Injected: yes", "\u202e", "\ufeff", "\ud83d", "\U0010ffff", "%00", "%ff", "%", "_",
    "\\",
    "' or 1=1--", "'; drop table finops.raw_charges; --", "x;drop", "$$; select pg_sleep(20) --", "{{7*7}}", "${7*7}",
    "%(start)s", "%s", "{0}", "=cmd|' /C calc'!A0", "<img src=x onerror=alert(1)>", "../../etc/passwd", "..%2f..%2fetc",
    "null", "NaN", "-Infinity", "true", "[]", "{}", "(unattributed)", "(other)",
    "0", "-1", "-5", "1e999", "0x10", "1" * 24, "9" * 400, "9223372036854775808", "a" * 65, "a" * 5000, "é" * 300,
    "0001-01-01", "9999-12-31", "2026-02-30", "2026-13-01", "202613", "000000", "999999", "2026-09-10T00:00:00",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+23:59", "2026-09-10T00:00:00-99:99",
)  # fmt: skip
OTHERS: tuple[Any, ...] = (
    None, True, 0, -1, 10**24, -(10**400), 0.1, 1e308, [], {}, [[]], [None], {"a": {"b": []}}, ["a"] * 1001,
)  # fmt: skip

SENSIBLE: dict[str, str] = {
    "start": "2026-09-10", "end": "2026-09-12", "billing_currency": "USD", "invoice_month": "202609", "month": "202609",
    "dimension": "team", "name": "project", "format": "csv", "budget_id": "1", "view_id": "1",
    "billing_account": "01A7C3-5E9B20-4D6F81",
}  # fmt: skip
"""What the others are while one is hostile, where they are needed."""

DOCUMENT = create_app("postgresql://nobody@127.0.0.1:1/nothing", Settings()).openapi()
OPERATIONS = {
    f"{method} {path}": operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    if path.startswith("/v1/")
}
EVERY = 1 if PROVING else 7
"""The suite tries each seventh, another one of each parameter."""


@pytest.fixture
def client(keyed: str, make_key: MakeKey, api_over: Callable[..., httpx.Client]) -> httpx.Client:
    """Somebody who may do everything."""
    limits = {f"rate_limit_{what}_per_minute": "0" for what in ("queries", "exports", "refusals")}
    api = api_over(keyed, api_key_pepper=PEPPER, **limits)
    api.headers["Authorization"] = f"Bearer {make_key('read', 'export', 'admin')}"
    return api


def fields(operation: dict[str, Any]) -> list[str]:
    """The fields of its body."""
    if "requestBody" not in operation:
        return []
    [content] = operation["requestBody"]["content"].values()
    named = content["schema"]["$ref"].rpartition("/")[2]
    return list(DOCUMENT["components"]["schemas"][named]["properties"])


def requests(operation: str) -> Iterator[tuple[str, httpx.Request]]:
    """Each with what is hostile in it."""
    method, path = operation.split(" ")
    told = OPERATIONS[operation]
    parameters = [(p["name"], p["in"]) for p in told.get("parameters", [])]
    needed = {p["name"]: SENSIBLE.get(p["name"], "x") for p in told.get("parameters", []) if p.get("required")}
    in_query = {name for name, where in parameters if where == "query"}
    usual = {name: SENSIBLE[name] for name in ("start", "end", "billing_currency") if name in in_query}
    turns = itertools.count()
    body = {name: SENSIBLE[name] for name in fields(told) if name in SENSIBLE}

    def request(given: dict[str, Any], content: bytes | None, more: dict[str, str] | None = None) -> httpx.Request:
        url = path
        for name, where in parameters:
            if where == "path":
                quoted = httpx.URL("http://api/", params={"x": given[name]}).query.decode()[2:]
                url = url.replace(f"{{{name}}}", quoted.replace("+", "%20") or "%20")
        query = {name: value for name, value in given.items() if name in in_query} | (more or {})
        headers = {"Content-Type": "application/json"} if content is not None else {}
        headers |= {"If-Match": '"1"'} if ("if-match", "header") in parameters else {}
        return httpx.Request(method.upper(), f"http://api{url}", params=query or None, headers=headers, content=content)

    sent = json.dumps(body).encode() if body else None
    for name, where in parameters:
        if where == "header":
            continue
        for text in TEXTS:
            if next(turns) % EVERY == 0 and "\ud83d" not in text:
                yield f"{name}={text[:60]!r}", request({**needed, **usual, name: text}, sent)
    for name in fields(told):
        for value in (*TEXTS, *OTHERS):
            if next(turns) % EVERY == 0:
                yield f"{name}: {str(value)[:60]!r}", request(needed, json.dumps({**body, name: value}).encode())
    for content in (b"", b"\xff\xfe", b"{", b"[]", b"null", b'"a"', b"[" * 100_000, b'{"a":' * 50_000, b"1" * 2**21):
        if fields(told):
            yield f"the body {content[:20]!r}", request(needed, content)
    for more in ({"unknown": "1"}, {"sort": "cost; drop table x"}, {"__proto__": "1"}, {"": ""}):
        yield f"more: {more}", request({**needed, **usual}, sent, more)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_nothing_hostile_is_an_error_of_ours(client: httpx.Client, operation: str) -> None:
    """A status below 500, and a refusal is a problem."""
    tried = 0
    for what, request in requests(operation):
        request.headers["Authorization"] = client.headers["Authorization"]
        answer = client.send(request)
        tried += 1

        assert answer.status_code < 500, f"{what}: {answer.text[:500]}"
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json", what
        assert "x-injected" not in answer.headers, what
    assert tried > 3


RAW = {
    "a first line that is none": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "bytes that are no UTF-8": b"GET /v1/costs?window=%ff%fe&project=\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "no host": b"GET /v1/meta HTTP/1.1\r\n\r\n",
    "two lengths": b"POST /v1/costs/query HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 50\r\n\r\n{}",
    "a length and chunks": b"POST /v1/costs/query HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two keys": b"GET /v1/meta HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
    "a key of any bytes": b"GET /v1/meta HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\x80\r\n\r\n",
    "a header of 200 kB": b"GET /v1/meta HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 200_000 + b"\r\n\r\n",
    "an address of 200 kB": b"GET /v1/meta?" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a cursor of any bytes": b"GET /v1/costs?window=7d&limit=5&cursor=%ff%00%2e%2e HTTP/1.1\r\nHost: x\r\n\r\n",
    "an ETag without end": b'GET /v1/meta HTTP/1.1\r\nHost: x\r\nIf-None-Match: "' + b"a," * 5000 + b"\r\n\r\n",
    "a request id that would be a line of the log": b"GET /v1/meta HTTP/1.1\r\nHost: x\r\nX-Request-ID: a\tb c\r\n\r\n",
}


@pytest.mark.parametrize("name", RAW)
def test_what_no_client_would_send_is_refused(built: str, serve: Callable[..., httpx.Client], name: str) -> None:
    """And the next one is served: nobody brings the server down."""
    api = serve(built)
    with socket.create_connection(("127.0.0.1", api.base_url.port), timeout=10) as connection:
        connection.sendall(RAW[name])
        connection.shutdown(socket.SHUT_WR)
        said = b""
        while piece := connection.recv(65536):
            said += piece

    assert said == b"" or said.split(b" ")[1][:1] in (b"2", b"4"), said[:200]
    assert api.get("/livez").status_code == 200
