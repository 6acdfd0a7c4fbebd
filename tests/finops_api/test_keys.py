"""Keys as callers of the API meet them: what opens, what is refused and how, and what it costs to tell."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import httpx
import psycopg
import pytest

from finops_api import keyring
from finops_warehouse import keys
from finops_warehouse.database import connect_to
from finops_warehouse.keys import new_token, prefix_of

MakeKey = Callable[..., str]
PEPPER = "a pepper of these tests"

COSTS = "/v1/costs?window=7d&granularity=total"
CHARGES = "/v1/evidence.csv?start=2026-09-10&end=2026-09-11&billing_currency=USD&service=BigQuery"
INVOICE = "/v1/invoices/A/202609/USD"


@pytest.fixture(autouse=True)
def _strangers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that a test makes is known in its next line."""
    monkeypatch.setattr(keyring, "READ_AGAIN_FOR_A_STRANGER_SECONDS", 0.0)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of keys is read again for every request: what a test does counts in its next line."""
    monkeypatch.setattr(keyring, "READ_AGAIN_SECONDS", 0.0)


@pytest.fixture
def api(keyed: str, make_key: MakeKey, api_over: Callable[..., httpx.Client]) -> httpx.Client:
    """An API with keys, and therefore closed to those without one."""
    make_key("read")
    return api_over(keyed, api_key_pepper=PEPPER)


@pytest.fixture
def warehouse(keyed: str) -> Iterator[psycopg.Connection]:
    """The database behind it."""
    with connect_to(keyed, autocommit=True) as connection:
        yield connection


def ask(api: httpx.Client, path: str, token: str | None, method: str = "GET", **more: object) -> httpx.Response:
    """Ask with a key."""
    return api.request(method, path, headers={"Authorization": f"Bearer {token}"} if token else {}, **more)  # type: ignore[arg-type]


def test_a_key_opens_what_its_scopes_say_and_nothing_else(api: httpx.Client, make_key: MakeKey) -> None:
    """Every scope against every kind of route; the refusal names the scope that is missing."""
    for mine in keys.SCOPES:
        token = make_key(mine)
        answers = {
            "read": ask(api, COSTS, token),
            "export": ask(api, CHARGES, token),
            "admin": ask(api, INVOICE, token, "PUT", json={"total": "10"}),
        }
        assert {scope: answer.status_code for scope, answer in answers.items()} == {
            scope: 200 if scope == mine else 403 for scope in answers
        }
        for scope, answer in answers.items():
            if scope != mine:
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["title"] == "LacksScope"
                assert f"scope {scope};" in answer.json()["detail"]


def test_blanks_around_a_key_are_none_of_it(api: httpx.Client, make_key: MakeKey) -> None:
    """What is kept looks for the key as it was sent, and the route as FastAPI reads it: neither answers for both."""
    token = make_key("read")

    answers = [api.get(COSTS, headers={"Authorization": f"Bearer {blanks}{token}"}) for blanks in ("", " ", "")]

    assert [answer.status_code for answer in answers] == [200, 200, 200]


def test_one_answer_for_every_key_that_does_not_open(
    api: httpx.Client, make_key: MakeKey, warehouse: psycopg.Connection, at_once: None
) -> None:
    """Whoever found an old key in a log does not learn that it was one."""
    expired, revoked, good = make_key("read", expires_in=timedelta(hours=1)), make_key("read"), make_key("read")
    assert [ask(api, COSTS, token).status_code for token in (expired, revoked, good)] == [200, 200, 200]
    warehouse.execute(
        "update finops.api_keys set expires_at = now() - interval '1 second' where prefix = %s", [prefix_of(expired)]
    )
    keys.revoke(warehouse, prefix_of(revoked) or "", actor="tests")
    other_secret = new_token()
    forged = good[:18] + other_secret[18:61]  # a prefix that is known, and a checksum that is right
    forged += keys._checksum(forged)

    refused = [ask(api, COSTS, t) for t in (expired, revoked, new_token(), good[:-1] + "x", forged, "nonsense", None)]

    assert {answer.status_code for answer in refused} == {401}
    told = [{k: v for k, v in answer.json().items() if k != "request_id"} for answer in refused]
    assert all(body == told[0] for body in told), told
    assert ask(api, COSTS, good).status_code == 200


def test_from_the_first_key_on_this_machine_needs_one_too(
    keyed: str, spoilt: str, api_over: Callable[..., httpx.Client], at_once: None
) -> None:
    """And no longer after it was revoked: that must close the API, not open it."""
    api = api_over(spoilt, api_key_pepper=PEPPER)
    assert ask(api, COSTS, None).status_code == 200
    with connect_to(spoilt, autocommit=True) as connection:
        made, token = keys.create(connection, keys.NewKey("tests", ("read",)), pepper=PEPPER.encode(), actor="tests")
        assert [ask(api, COSTS, None).status_code, ask(api, COSTS, token).status_code] == [401, 200]
        keys.revoke(connection, made.prefix, actor="tests")
    assert [ask(api, COSTS, None).status_code, ask(api, COSTS, token).status_code] == [401, 401]


@pytest.mark.parametrize(
    ("host", "peer", "status"),
    [
        ("127.0.0.1", "127.0.0.1", 200),
        ("::1", "::1", 200),
        ("localhost", "127.0.0.1", 200),
        ("127.0.0.1", "203.0.113.9", 401),
        ("0.0.0.0", "127.0.0.1", 401),
        ("192.0.2.1", "192.0.2.1", 401),
        ("127.0.0.1", "testclient", 401),
    ],
)
def test_without_any_key_both_ends_of_the_socket_have_to_be_here(
    built: str, api_over: Callable[..., httpx.Client], host: str, peer: str, status: int
) -> None:
    """Headers say what they like: it makes no difference in either direction."""
    api = api_over(built, host=host, peer=peer)
    for claimed in ("127.0.0.1", "203.0.113.9"):
        forged = {
            "X-Forwarded-For": claimed, "X-Real-IP": claimed, "Forwarded": f"for={claimed}", "X-Client-IP": claimed
        }  # fmt: skip
        assert api.get(COSTS, headers=forged).status_code == status
    assert api.get(COSTS).status_code == status


def test_api_token_still_opens_everything(keyed: str, make_key: MakeKey, api_over: Callable[..., httpx.Client]) -> None:
    """Deployments that know nothing of keys go on; with both, either opens."""
    api = api_over(keyed, api_token="correct-horse", api_key_pepper=PEPPER)
    key = make_key("read")

    answers = [
        ask(api, COSTS, "correct-horse"),
        ask(api, CHARGES, "correct-horse"),
        ask(api, INVOICE, "correct-horse", "PUT", json={"total": "11"}),
        ask(api, COSTS, key),
    ]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert ask(api, COSTS, new_token()).status_code == 401


def test_another_pepper_makes_every_key_unknown(
    keyed: str, make_key: MakeKey, api_over: Callable[..., httpx.Client]
) -> None:
    """A stolen database opens nothing elsewhere."""
    assert ask(api_over(keyed, api_key_pepper="another pepper than that"), COSTS, make_key("read")).status_code == 401
    assert ask(api_over(keyed), COSTS, make_key("read")).status_code == 401  # none was ever generated here


def questions_about_keys(connection: psycopg.Connection) -> int:
    """How often the table of keys was read, as PostgreSQL counts it."""
    time.sleep(1.2)  # a backend reports its counts at most once a second
    connection.execute("select pg_stat_clear_snapshot()")
    [(count,)] = connection.execute(
        "select seq_scan + coalesce(idx_scan, 0) from pg_stat_user_tables where relname = 'api_keys'"
    ).fetchall()
    return int(count)


def test_keys_are_not_looked_up_for_every_request(
    api: httpx.Client, make_key: MakeKey, warehouse: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor for every key somebody makes up: neither readers nor strangers cost a trip to the database each."""
    token = make_key("read")
    assert ask(api, COSTS, token).status_code == 200
    monkeypatch.setattr(keyring, "READ_AGAIN_SECONDS", 600.0)
    monkeypatch.setattr(keyring, "READ_AGAIN_FOR_A_STRANGER_SECONDS", 600.0)
    ask(api, "/v1/dimensions", token)
    before = questions_about_keys(warehouse)
    for _ in range(20):
        assert ask(api, "/v1/dimensions", token).status_code == 200
        assert ask(api, "/v1/dimensions", new_token()).status_code == 401

    # A backend's last counts come with its next statement: a question for each of 40 requests would still show.
    assert questions_about_keys(warehouse) - before < 5


def test_that_a_key_was_used_is_noted_once_a_minute(
    api: httpx.Client, make_key: MakeKey, warehouse: psycopg.Connection
) -> None:
    """Whether a key can go is asked of `finops keys list`; the answer must not cost a write per request."""
    token, idle = make_key("read"), make_key("read")

    def used(of: str) -> object:
        for _ in range(50):  # nobody waits for the note
            ask(api, "/livez", None)
            [(at,)] = warehouse.execute(
                "select last_used_at from finops.api_keys where prefix = %s", [prefix_of(of)]
            ).fetchall()
            if at is not None:
                return at
        return None

    ask(api, COSTS, token)
    first = used(token)
    assert first is not None
    for _ in range(5):
        ask(api, COSTS, token)
    assert used(token) == first
    [(unused,)] = warehouse.execute(
        "select last_used_at from finops.api_keys where prefix = %s", [prefix_of(idle)]
    ).fetchall()
    assert unused is None


def test_downloads_and_invoices_are_written_down_with_who_and_how_much(
    api: httpx.Client, make_key: MakeKey, warehouse: psycopg.Connection
) -> None:
    """When data turns up where it should not be, this says who took it."""
    token = make_key("export", "admin")
    sent = ask(api, CHARGES, token)
    ask(api, INVOICE, token, "PUT", json={"total": "12"})

    for _ in range(50):
        ask(api, "/livez", None)
        found = {
            action: rest
            for action, *rest in warehouse.execute(
                "select action, actor, scope, rows, ip, request_id, detail from finops.audit_event as e "
                "join finops.api_keys as k using (key_id) where k.prefix = %s", [prefix_of(token)]
            )
        }  # fmt: skip
        if "export.evidence" in found:
            break
    actor, scope, rows, ip, request_id, detail = found["export.evidence"]
    assert (actor, scope, ip) == ("key tests", "export", "127.0.0.1")
    assert rows == sent.text.count("\r\n") - 1 > 0
    assert request_id == sent.headers["x-request-id"]
    assert detail["query"]["service"] == ["BigQuery"]
    assert found["invoice.put"][-1]["total"] == "12"
    assert not any(token in str(event) for event in found.values())
