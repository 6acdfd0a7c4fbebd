"""People who sign in: at a provider that listens on a socket, into an API that does, as browsers do."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest
import uvicorn
from joserfc import jwt
from oidcserver.server import PERSON, Claims, OidcServer, serving

from finops_api import sessions
from finops_api.app import create_app
from finops_api.database import rows
from finops_api.people.state import local_address
from finops_api.server import run_server
from finops_warehouse import users
from finops_warehouse.database import connect_to
from finops_warehouse.row_scope import RowScope
from finops_warehouse.settings import Settings

from .listening import number, until_it_listens
from .test_tenants import ALL, TENANTS

PEPPER = "a pepper of these tests"
LISTS: dict[str, Any] = {
    "oidc_admins": "admin@example.com, group:finops admins",
    "oidc_analysts": "analyst@example.com",
    "oidc_viewers": "@example.com",
}
COSTS = "/v1/costs?start=2026-09-01&end=2026-10-01&granularity=total"
CHARGES = "/v1/evidence.csv?start=2026-09-10&end=2026-09-11&billing_currency=USD&service=BigQuery"
INVOICE = "/v1/invoices/A/202609/USD"

MakeKey = Callable[..., str]


@dataclass
class Served:
    """An API that listens, and the provider its people sign in at."""

    address: str
    provider: OidcServer
    clients: ExitStack


class Browser:
    """A browser: it keeps cookies, and follows where it is sent when told to."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.client = served.clients.enter_context(httpx.Client(base_url=served.address, timeout=10))

    def begin(self, next_: str = "/v1/me") -> str:
        """Go to sign in; the address at the provider it is sent to."""
        sent = self.client.get("/auth/sign-in", params={"next": next_})
        assert sent.status_code == 302, sent.text
        return sent.headers["location"]

    def at_provider(self, address: str) -> str:
        """Sign in there; the address it comes back to."""
        back: str = self.client.get(address).headers["location"]
        assert back.startswith(f"{self.served.address}/auth/callback?")
        return back

    def come_back(self) -> httpx.Response:
        """All of it, up to the answer that signs in or does not."""
        return self.client.get(self.at_provider(self.begin()))

    def sign_in(self, email: str = "viewer@example.com", **claims: object) -> "Browser":
        """All of it, as somebody."""
        self.served.provider.person = {**PERSON, "sub": f"of {email}", "email": email, **claims}
        answer = self.come_back()
        assert answer.status_code == 302, answer.text
        return self

    @property
    def cookie(self) -> str:
        """The session's."""
        return self.client.cookies.get("finops_session") or ""

    def me(self) -> Any:  # noqa: ANN401 -- a JSON document
        """Who the API says this is."""
        answer = self.client.get("/v1/me")
        return answer.json() if answer.status_code == 200 else answer.status_code

    def put(self, **headers: str) -> httpx.Response:
        """Hand in an invoice, as a page of ours would, or not."""
        return self.client.put(INVOICE, json={"total": "10"}, headers=headers)


@pytest.fixture
def provider() -> Iterator[OidcServer]:
    """A provider."""
    with serving() as provider:
        yield provider


Serve = Callable[..., Served]


@pytest.fixture
def serve(keyed: str, provider: OidcServer) -> Iterator[Serve]:
    """`serve(session_hours=1)` is an API that listens."""
    with ExitStack() as servers:
        yield lambda **given: servers.enter_context(_served(keyed, provider, given))


@contextmanager
def _served(dsn: str, provider: OidcServer, given: dict[str, Any]) -> Iterator[Served]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # before the server does: whoever is early waits for it
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        settings = Settings(
            **{
                "api_key_pepper": PEPPER,
                "public_url": address,
                "oidc_issuer": provider.issuer,
                "oidc_client_id": provider.client_id,
                "oidc_client_secret": provider.client_secret,
                **LISTS,
                **given,
            }
        )
        server = uvicorn.Server(uvicorn.Config(create_app(dsn, settings), log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            with ExitStack() as clients:
                yield Served(address, provider, clients)
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def browser(serve: Serve) -> Callable[[], Browser]:
    """`browser()` is a new one, in front of one API."""
    served = serve()
    return lambda: Browser(served)


NewBrowser = Callable[[], Browser]


@pytest.fixture
def warehouse(keyed: str) -> Iterator[psycopg.Connection]:
    """The database behind it."""
    with connect_to(keyed, autocommit=True) as connection:
        yield connection


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of sessions is read again for every request: what a test does counts in its next line."""
    monkeypatch.setattr(sessions, "READ_AGAIN_SECONDS", 0.0)


@pytest.fixture
def never_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of sessions is not read again unless something here says so."""
    monkeypatch.setattr(sessions, "READ_AGAIN_SECONDS", 600.0)
    monkeypatch.setattr(sessions, "READ_AGAIN_FOR_A_STRANGER_SECONDS", 600.0)


def written_down(warehouse: psycopg.Connection, action: str, of: str) -> dict[str, Any]:
    """What was written down last of something somebody did, once it is."""
    for _ in range(50):
        found = warehouse.execute(
            "select detail from finops.audit_event where actor = %s and action = %s order by event_id desc limit 1",
            [f"user {of}", action],
        ).fetchone()
        if found is not None:
            detail: dict[str, Any] = found[0]
            return detail
        time.sleep(0.05)
    raise AssertionError(f"{action} of {of} was not written down")


def is_refused(answer: httpx.Response, status: int, title: str) -> bool:
    """Whether an answer is this problem, and signs nobody in."""
    assert (answer.status_code, answer.json()["title"]) == (status, title), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert not re.search(r"finops_session=[^;]", answer.headers.get("set-cookie", ""))
    return True


# -- signing in


def test_somebody_signs_in_and_comes_back_to_where_they_were(
    browser: NewBrowser, warehouse: psycopg.Connection
) -> None:
    """The whole of it, followed as a browser follows; and what is kept of it."""
    visitor = browser()
    visitor.client.follow_redirects = True
    answer = visitor.client.get("/auth/sign-in", params={"next": "/v1/me"})

    assert answer.status_code == 200
    told = answer.json()
    assert (told["name"], told["kind"], told["email"]) == ("user viewer@example.com", "user", "viewer@example.com")
    assert (told["role"], told["scopes"]) == ("viewer", ["read"])
    assert told["billing_accounts"] is told["projects"] is None
    assert answer.headers["cache-control"] == "no-store"
    assert visitor.client.get(COSTS).status_code == 200
    assert "finops_sign_in" not in visitor.client.cookies
    [asked] = visitor.served.provider.authorized
    assert (asked["code_challenge_method"], asked["scope"]) == ("S256", "openid email profile")
    assert asked["redirect_uri"] == f"{visitor.served.address}/auth/callback"
    assert written_down(warehouse, "user.sign_in", "viewer@example.com")["role"] == "viewer"
    [(kept,)] = warehouse.execute("select s::text from finops.sessions s order by session_id desc limit 1").fetchall()
    assert visitor.cookie not in kept
    assert told["csrf_token"] not in kept


def test_every_sign_in_has_secrets_of_its_own(browser: NewBrowser) -> None:
    """State, nonce and challenge are guessed by nobody who saw another's."""
    visitor = browser()
    for _ in range(2):
        visitor.come_back()
    one, other = visitor.served.provider.authorized

    for name in ("state", "nonce", "code_challenge"):
        assert one[name] != other[name]
        assert len(one[name]) >= 43


LATE = int(time.time()) - 600
CHANGES: dict[str, Callable[[Claims], object]] = {
    "expired": lambda claims: claims.update(exp=LATE),
    "never expires": lambda claims: claims.pop("exp"),
    "for somebody else": lambda claims: claims.update(aud="another"),
    "for others": lambda claims: claims.update(aud=["another", "a third"]),
    "for nobody": lambda claims: claims.pop("aud"),
    "for us and others, asked for by another": lambda claims: claims.update(aud=["finops", "x"], azp="x"),
    "of another issuer": lambda claims: claims.update(iss="https://accounts.example.org"),
    "of no issuer": lambda claims: claims.pop("iss"),
    "of another sign-in": lambda claims: claims.update(nonce="of another"),
    "of no sign-in": lambda claims: claims.pop("nonce"),
    "of nobody": lambda claims: claims.pop("sub"),
    "of the empty one": lambda claims: claims.update(sub=""),
    "of a number": lambda claims: claims.update(sub=7),
    "of tomorrow": lambda claims: claims.update(iat=int(time.time()) + 86400, nbf=int(time.time()) + 86400),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_token_that_is_not_for_us_and_for_now_signs_nobody_in(browser: NewBrowser, change: str) -> None:
    """Each claim by itself, in a token with a signature that is good."""
    visitor = browser()
    visitor.served.provider.change = CHANGES[change]

    assert is_refused(visitor.come_back(), 400, "SignInFailed")
    assert visitor.me() == 401


@pytest.mark.parametrize(
    "how", ["unsigned", "signed_with_the_public_key", "signed_with_another", "signed_with_an_unknown"]
)
def test_a_token_that_anybody_could_have_made_signs_nobody_in(browser: NewBrowser, how: str) -> None:
    """It is as it should be, but for its signature."""
    visitor = browser()
    provider = visitor.served.provider
    provider.sign = getattr(provider, how)

    assert is_refused(visitor.come_back(), 400, "SignInFailed")
    assert visitor.me() == 401
    assert provider.asked["/jwks"] <= 2


@pytest.mark.parametrize("token", ["", "x", "a.b", "a.b.c", None, 7, {}])
def test_what_is_no_token_signs_nobody_in(browser: NewBrowser, token: object) -> None:
    """Whatever stands in its place."""
    visitor = browser()
    visitor.served.provider.sign = lambda _: token  # type: ignore[assignment,return-value]

    assert is_refused(visitor.come_back(), 400, "SignInFailed")


def test_a_key_the_provider_has_changed_is_asked_for_once(browser: NewBrowser) -> None:
    """Providers rotate theirs without telling; and are not asked for them at each sign-in."""
    visitor = browser()
    provider = visitor.served.provider
    visitor.sign_in()
    visitor.sign_in()
    assert provider.asked["/jwks"] == 1
    provider.rotate()
    visitor.sign_in()

    assert provider.asked["/jwks"] == 2
    assert provider.asked["/.well-known/openid-configuration"] == 1


def test_a_key_the_provider_has_taken_back_signs_nobody_in(
    browser: NewBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its keys are asked for again once an hour, whatever they are called."""
    visitor = browser().sign_in()
    provider = visitor.served.provider
    stolen, kid = provider.key, provider.key.kid
    provider.rotate()
    provider.sign = lambda claims: jwt.encode({"alg": "RS256", "kid": kid}, claims, stolen)
    monkeypatch.setattr("finops_api.people.provider.READ_AGAIN_SECONDS", 0.0)

    assert is_refused(visitor.come_back(), 400, "SignInFailed")


def test_a_callback_that_was_not_begun_in_this_browser_is_refused(browser: NewBrowser) -> None:
    """Or somebody could be signed in as another, by a link, and tell them all they type."""
    mine, theirs = browser(), browser()
    link = theirs.at_provider(theirs.begin())

    assert is_refused(mine.client.get(link), 400, "SignInFailed")  # without a sign-in of their own
    mine.begin()
    assert is_refused(mine.client.get(link), 400, "SignInFailed")  # with another
    assert mine.me() == 401
    assert mine.served.provider.asked["/token"] == 0


@pytest.mark.parametrize("change", ["", "&state=", "&state=x", "&state=%C3%BC"])
def test_a_state_that_is_another_is_refused(browser: NewBrowser, change: str) -> None:
    """Also none at all."""
    visitor = browser()
    code = parse_qs(urlsplit(visitor.at_provider(visitor.begin())).query)["code"][0]

    assert is_refused(visitor.client.get(f"/auth/callback?code={code}{change}"), 400, "SignInFailed")


def test_a_code_of_somebody_elses_sign_in_is_refused_by_pkce(browser: NewBrowser) -> None:
    """A code that was stolen on its way is worth nothing without what only this browser's cookie holds."""
    mine, theirs = browser(), browser()
    stolen = parse_qs(urlsplit(theirs.at_provider(theirs.begin())).query)["code"][0]
    state = parse_qs(urlsplit(mine.at_provider(mine.begin())).query)["state"][0]

    answer = mine.client.get("/auth/callback", params={"code": stolen, "state": state})
    assert is_refused(answer, 400, "SignInFailed")
    assert "invalid_grant" in answer.json()["detail"]


def test_and_by_the_nonce_where_a_provider_knows_no_pkce(browser: NewBrowser) -> None:
    """Each of the two is enough."""
    mine, theirs = browser(), browser()
    mine.served.provider.checks_pkce = False
    stolen = parse_qs(urlsplit(theirs.at_provider(theirs.begin())).query)["code"][0]
    state = parse_qs(urlsplit(mine.at_provider(mine.begin())).query)["state"][0]

    assert is_refused(mine.client.get("/auth/callback", params={"code": stolen, "state": state}), 400, "SignInFailed")
    assert mine.me() == 401


@pytest.mark.parametrize("uses_codes_up", [True, False])
def test_a_callback_works_once(browser: NewBrowser, uses_codes_up: bool) -> None:
    """A link in a browser's history signs nobody in again, whatever the provider thinks of its code."""
    visitor = browser()
    visitor.served.provider.uses_codes_up = uses_codes_up
    back = visitor.at_provider(visitor.begin())
    kept = visitor.client.cookies["finops_sign_in"]
    assert visitor.client.get(back).status_code == 302
    visitor.client.cookies.clear()

    assert is_refused(visitor.client.get(back), 400, "SignInFailed")
    again = visitor.client.get(back, headers={"Cookie": f"finops_sign_in={kept}"})
    assert is_refused(again, 400, "SignInFailed")
    assert visitor.me() == 401


def test_a_sign_in_that_was_begun_long_ago_is_over(browser: NewBrowser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a browser says its cookie's age is."""
    visitor = browser()
    monkeypatch.setattr("finops_api.people.state.VALID_SECONDS", -1)

    assert is_refused(visitor.come_back(), 400, "SignInFailed")


def test_a_cookie_of_a_sign_in_can_be_neither_read_nor_written(browser: NewBrowser) -> None:
    """What is in it would let somebody finish a sign-in that another began."""
    visitor = browser()
    address = visitor.begin()
    state = parse_qs(urlsplit(address).query)["state"][0]
    cookie = visitor.client.cookies["finops_sign_in"]
    back = visitor.at_provider(address)
    header, _, nonce, body, tag = cookie.split(".")

    assert state not in cookie
    forged = [
        f"{header}..{nonce}.{'AA' if body[:2] != 'AA' else 'BB'}{body[2:]}.{tag}",  # at its end, bits may mean nothing
        f"{header}..{nonce}.{body}",
        "eyJhbGciOiJub25lIn0.e30.",
        "x",
        "",
    ]
    for each in forged:
        assert is_refused(visitor.client.get(back, headers={"Cookie": f"finops_sign_in={each}"}), 400, "SignInFailed")


def test_what_the_provider_says_is_told_to_who_began_and_to_nobody_else(browser: NewBrowser) -> None:
    """Anybody can write a link; what stands in it is not for us to repeat."""
    visitor = browser()
    visitor.served.provider.denies = "You are not assigned to this\u202e application."
    back = visitor.at_provider(visitor.begin())

    stranger = browser().client.get(back)
    mine = visitor.client.get(back)

    assert is_refused(stranger, 400, "SignInFailed")
    assert "assigned" not in stranger.text
    assert is_refused(mine, 400, "SignInFailed")
    assert "access_denied You are not assigned to this application." in mine.json()["detail"]
    assert "finops_sign_in" not in visitor.client.cookies


# -- a provider that is not well


def broken(provider: OidcServer) -> None:
    provider.is_broken = True


def slow(provider: OidcServer) -> None:
    provider.delay = 30


def of_another_name(provider: OidcServer) -> None:
    provider.describes = {"issuer": "https://accounts.example.org"}


def in_the_clear(provider: OidcServer) -> None:
    provider.describes = {"token_endpoint": "http://example.org/token"}


def without_keys(provider: OidcServer) -> None:
    provider.describes = {"jwks_uri": f"{provider.issuer}/.well-known/openid-configuration"}


@pytest.mark.parametrize("ill", [broken, slow, of_another_name, in_the_clear, without_keys])
def test_a_provider_that_is_not_well_is_said_to_be(browser: NewBrowser, ill: Callable[[OidcServer], None]) -> None:
    """Within seconds, with what to do; and keys go on working."""
    visitor = browser()
    ill(visitor.served.provider)
    began = time.monotonic()
    answer = visitor.come_back() if ill is without_keys else visitor.client.get("/auth/sign-in")

    assert is_refused(answer, 503, "ProviderUnreachable")
    assert time.monotonic() - began < 5
    assert "OIDC_ISSUER" in answer.json()["detail"]
    assert "retry-after" in answer.headers


def test_a_provider_that_goes_away_halfway_is_said_to_be(browser: NewBrowser) -> None:
    """And once it is back, so is signing in."""
    visitor = browser()
    back = visitor.at_provider(visitor.begin())
    visitor.served.provider.delay = 30
    began = time.monotonic()
    answer = visitor.client.get(back)

    assert is_refused(answer, 503, "ProviderUnreachable")
    assert time.monotonic() - began < 5
    visitor.served.provider.delay = 0
    assert visitor.come_back().status_code == 302


def test_a_provider_nobody_answers_at_stops_nothing_else(serve: Serve, make_key: MakeKey) -> None:
    """The API starts without it, and is asked with keys."""
    served = serve(oidc_issuer="http://127.0.0.1:1")
    visitor = Browser(served)

    assert is_refused(visitor.client.get("/auth/sign-in"), 503, "ProviderUnreachable")
    assert visitor.client.get(COSTS, headers={"Authorization": f"Bearer {make_key('read')}"}).status_code == 200


@pytest.mark.parametrize("way", ["public client", "secret in the body", "claims at userinfo"])
def test_providers_differ_and_are_spoken_to_as_they_say(serve: Serve, provider: OidcServer, way: str) -> None:
    """A client without a secret, one whose secret is sent in the body, and one that is told little in its token."""
    given: dict[str, Any] = {}
    if way == "public client":
        provider.client_secret = ""
        given = {"oidc_client_secret": None}
    elif way == "secret in the body":
        provider.describes = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    else:
        provider.is_thin = True

    assert Browser(serve(**given)).sign_in("someone@example.com").me()["email"] == "someone@example.com"


def test_a_wrong_secret_is_named_in_the_refusal(serve: Serve) -> None:
    """The first thing that goes wrong when a client is registered."""
    answer = Browser(serve(oidc_client_secret="of another client")).come_back()

    assert is_refused(answer, 400, "SignInFailed")
    assert "invalid_client" in answer.json()["detail"]


def test_userinfo_of_somebody_else_is_not_taken(browser: NewBrowser) -> None:
    """It is another answer than the one that was signed."""
    visitor = browser()
    provider = visitor.served.provider
    provider.is_thin = True
    provider.change = lambda claims: claims.update(sub="another")

    assert is_refused(visitor.come_back(), 400, "SignInFailed")


# -- roles


def test_a_role_may_what_its_scopes_say(browser: NewBrowser) -> None:
    """Every role against every kind of route."""
    may: dict[str, list[int]] = {}
    for role, claims in {
        "viewer": {"email": "viewer@example.com"},
        "analyst": {"email": "analyst@example.com"},
        "admin": {"email": "admin@example.com"},
        "admin by group": {"email": "x@example.org", "groups": ["finops admins"], "email_verified": False},
    }.items():
        visitor = browser().sign_in(**claims)  # type: ignore[arg-type]
        csrf = {"X-CSRF-Token": visitor.me()["csrf_token"]}
        answers = [visitor.client.get(COSTS), visitor.client.get(CHARGES), visitor.put(**csrf)]
        may[role] = [answer.status_code for answer in answers]
        if role == "viewer":
            assert answers[1].json()["title"] == "LacksScope"
            assert "as viewer you have read" in answers[1].json()["detail"]

    assert may == {
        "viewer": [200, 403, 403],
        "analyst": [200, 200, 403],
        "admin": [200, 200, 200],
        "admin by group": [200, 200, 200],
    }


LISTED = Settings(
    public_url="https://x.example.com", oidc_issuer="https://x", oidc_client_id="c",
    oidc_admins="Boss@Example.com,group:ops", oidc_analysts="@finance.example.com", oidc_viewers="@example.com",
).listed_people  # fmt: skip


@pytest.mark.parametrize(
    ("email", "is_verified", "groups", "role"),
    [
        ("boss@example.com", True, [], "admin"),
        ("BOSS@EXAMPLE.COM", True, [], "admin"),
        ("boss@example.com", False, [], None),
        ("x@example.com", True, [], "viewer"),
        ("x@finance.example.com", True, [], "analyst"),
        ("x@sub.example.com", True, [], None),
        ("x@notexample.com", True, [], None),
        ("x@example.com.evil.org", True, [], None),
        ('"@example.com"@evil.org', True, [], None),
        ("x@evil.org", True, ["ops"], "admin"),
        ("x@evil.org", False, ["ops"], "admin"),
        ("x@evil.org", True, ["Ops", "@example.com", "boss@example.com", "group:ops"], None),
        ("group:ops", True, [], None),
    ],
)
def test_who_is_listed_has_the_role_that_may_most(
    email: str, is_verified: bool, groups: list[str], role: str | None
) -> None:
    """By an address that is proven, its domain, or a group; by nothing that only looks like one."""
    assert users.role_of(LISTED, email=email, is_verified=is_verified, groups=groups) == role


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"email": "x@example.org"}, "nobody has given you a role"),
        ({"email": "unproven@example.com", "email_verified": False}, "not say that the address is verified"),
        ({"email": "y@example.org", "groups": ["others"]}, "nobody has given you a role"),
        ({"email": None}, "no e-mail address"),
        ({"email": "two@example.com x@example.com"}, "no e-mail address"),
    ],
)
def test_who_is_in_no_list_is_refused(
    browser: NewBrowser, warehouse: psycopg.Connection, claims: Claims, why: str
) -> None:
    """With a reason they can pass on; and it is written down who came."""
    visitor = browser()
    visitor.served.provider.person = {**PERSON, "sub": "stranger", **claims}
    answer = visitor.come_back()

    assert is_refused(answer, 403, "NotListed")
    assert why in answer.json()["detail"]
    assert visitor.me() == 401
    if why != "no e-mail address":
        detail = written_down(warehouse, "user.refused", claims["email"])
        assert detail["subject"] == "stranger"
        assert why in detail["why"]
    assert warehouse.execute("select from finops.users where subject = 'stranger'").rowcount == 0


def test_a_role_is_what_it_was_at_the_last_sign_in(browser: NewBrowser, at_once: None) -> None:
    """Whoever leaves a group has its rights no longer, in any browser, once they sign in again."""
    one, other = browser(), browser()
    one.sign_in("mover@example.com", groups=["finops admins"])
    assert one.me()["role"] == "admin"
    other.sign_in("mover@example.com")

    assert (one.me()["role"], other.me()["role"]) == ("viewer", "viewer")
    assert one.put(**{"X-CSRF-Token": one.me()["csrf_token"]}).status_code == 403


def test_a_person_is_their_subject_and_not_their_address(browser: NewBrowser, warehouse: psycopg.Connection) -> None:
    """Who marries keeps their rows; who is given an address that was another's does not see what they saw."""
    users.set_scope(warehouse, "maiden@example.com", RowScope(("A",)), actor="tests")
    browser().sign_in("maiden@example.com", sub="bride")
    bride = browser().sign_in("married@example.com", sub="bride")

    assert (bride.me()["email"], bride.me()["billing_accounts"]) == ("married@example.com", ["A"])
    assert browser().sign_in("maiden@example.com", sub="another").me()["billing_accounts"] is None
    found = warehouse.execute("select email from finops.users where subject = 'bride'").fetchall()
    assert found == [("married@example.com",)]


def test_rows_are_settled_before_somebody_comes_and_outlive_a_new_subject(
    browser: NewBrowser, warehouse: psycopg.Connection
) -> None:
    """A client that is registered anew is told other subjects by some providers: nobody sees more for it."""
    users.set_scope(warehouse, "Settled@example.com", RowScope(None, ("p",)), actor="tests")

    assert browser().sign_in("settled@example.com", sub="first").me()["projects"] == ["p"]
    assert browser().sign_in("settled@example.com", sub="second").me()["projects"] == ["p"]
    rows = warehouse.execute("select subject from finops.users where email = 'settled@example.com' order by 1")
    assert rows.fetchall() == [("first",), ("second",)]
    users.disable(warehouse, "settled@example.com", actor="tests")
    visitor = browser()
    visitor.served.provider.person = {**PERSON, "sub": "third", "email": "settled@example.com"}
    assert is_refused(visitor.come_back(), 403, "NotListed")


def test_who_is_disabled_is_out_and_stays_out(
    browser: NewBrowser, warehouse: psycopg.Connection, at_once: None
) -> None:
    """Their sessions end, also once they may come again."""
    visitor = browser().sign_in("leaver@example.com")
    assert visitor.me()["role"] == "viewer"
    users.disable(warehouse, "leaver@example.com", actor="tests")
    assert visitor.me() == 401
    visitor.served.provider.person = {**PERSON, "sub": "of leaver@example.com", "email": "leaver@example.com"}
    answer = browser().come_back()
    assert is_refused(answer, 403, "NotListed")
    assert "switched your access off" in answer.json()["detail"]
    assert "switched your access off" in written_down(warehouse, "user.refused", "leaver@example.com")["why"]

    users.enable(warehouse, "leaver@example.com", actor="tests")
    assert visitor.me() == 401
    assert browser().sign_in("leaver@example.com").me()["role"] == "viewer"


# -- sessions


def test_signing_out_ends_the_session_and_not_only_the_cookie(
    browser: NewBrowser, warehouse: psycopg.Connection, never_again: None
) -> None:
    """Whoever copied the cookie has nothing; at once, in the process where it was done."""
    visitor = browser().sign_in("outgoing@example.com")
    copied = visitor.cookie
    assert visitor.client.get(COSTS).status_code == 200
    answer = visitor.client.post("/auth/sign-out", headers={"X-CSRF-Token": visitor.me()["csrf_token"]})

    assert (answer.status_code, answer.json()) == (200, {"signed_out": True})
    assert visitor.cookie == ""
    for path in (COSTS, "/v1/me", "/v1/dimensions"):
        refused = visitor.client.get(path, headers={"Cookie": f"finops_session={copied}"})
        assert is_refused(refused, 401, "NotSignedIn")
        assert refused.headers["www-authenticate"] == "Bearer"
        assert "/auth/sign-in" in refused.json()["detail"]
    assert written_down(warehouse, "user.sign_out", "outgoing@example.com")["user_id"]
    assert visitor.client.post("/auth/sign-out").json() == {"signed_out": False}


def test_a_session_is_one_on_every_replica_and_ends_on_all(serve: Serve) -> None:
    """Signed in at one, known to the other; signed out at one, refused by the other within seconds."""
    here, there = serve(), serve()
    visitor = Browser(here).sign_in("everywhere@example.com")
    cookie = {"Cookie": f"finops_session={visitor.cookie}"}
    assert httpx.get(f"{there.address}{COSTS}", headers=cookie).status_code == 200
    csrf = visitor.me()["csrf_token"]
    assert visitor.client.post("/auth/sign-out", headers={"X-CSRF-Token": csrf}).status_code == 200
    ended = time.monotonic()
    while httpx.get(f"{there.address}{COSTS}", headers=cookie).status_code == 200:
        time.sleep(0.1)

    assert time.monotonic() - ended < sessions.READ_AGAIN_SECONDS + 1
    assert httpx.get(f"{there.address}{COSTS}", headers=cookie).status_code == 401


@pytest.mark.parametrize(
    "spoil",
    [
        "expires_at = now() - interval '1 second'",
        "last_used_at = now() - interval '119 minutes 59 seconds', expires_at = now() + interval '1 hour'",
        "last_used_at = now() - interval '121 minutes'",
        "ended_at = now()",
    ],
    ids=["absolute", "almost idle", "idle", "ended"],
)
def test_a_session_that_is_over_opens_nothing(
    browser: NewBrowser, warehouse: psycopg.Connection, at_once: None, spoil: str
) -> None:
    """Whatever is left of its cookie's age."""
    visitor = browser().sign_in("sleeper@example.com")
    warehouse.execute(
        f"update finops.sessions set {spoil} where session_id = (select max(session_id) from finops.sessions)".encode()
    )

    assert (visitor.me() == 401) == ("119" not in spoil)


def test_a_session_ends_on_time_also_while_its_list_is_an_old_one(
    browser: NewBrowser, warehouse: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known of it says when it is over; nobody has to be asked."""
    visitor = browser().sign_in("punctual@example.com")
    warehouse.execute(
        "update finops.sessions set expires_at = now() + interval '1 second' "
        "where session_id = (select max(session_id) from finops.sessions)"
    )
    time.sleep(0.1)
    monkeypatch.setattr(sessions, "READ_AGAIN_SECONDS", 0.0)
    assert visitor.me()["role"] == "viewer"
    monkeypatch.setattr(sessions, "READ_AGAIN_SECONDS", 600.0)
    monkeypatch.setattr(sessions, "READ_AGAIN_FOR_A_STRANGER_SECONDS", 600.0)
    time.sleep(1)

    assert visitor.me() == 401


def test_using_a_session_keeps_it_and_is_noted_once_a_minute(
    browser: NewBrowser, warehouse: psycopg.Connection, at_once: None
) -> None:
    """Somebody who works is not signed out for being idle; and their reading costs no write each."""
    visitor = browser().sign_in("busy@example.com")
    newest = "where session_id = (select max(session_id) from finops.sessions)"

    def used() -> Any:  # noqa: ANN401 -- a moment
        time.sleep(0.3)  # nobody waits for the note
        return warehouse.execute(f"select last_used_at from finops.sessions {newest}".encode()).fetchone()

    visitor.me()
    first = used()
    warehouse.execute(f"update finops.sessions set last_used_at = now() - interval '1 hour' {newest}".encode())
    visitor.me()
    second = used()
    for _ in range(5):
        visitor.me()

    assert second > first
    assert used() == second


def test_where_somebody_was_is_forgotten_after_a_while(browser: NewBrowser, warehouse: psycopg.Connection) -> None:
    """Addresses and browsers of sessions that are long over are kept for nothing."""
    browser().sign_in("old@example.com")
    old = warehouse.execute("select max(session_id) from finops.sessions").fetchone()
    warehouse.execute("update finops.sessions set expires_at = now() - interval '91 days' where session_id = %s", old)
    browser().sign_in("new@example.com")

    assert warehouse.execute("select from finops.sessions where session_id = %s", old).rowcount == 0


def test_sessions_are_not_looked_up_for_every_request(browser: NewBrowser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor for every cookie somebody makes up."""
    asked: list[float] = []

    async def counted(*given: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 -- what `rows` takes
        asked.append(time.monotonic())
        return await rows(*given)

    monkeypatch.setattr(sessions, "rows", counted)
    visitor = browser().sign_in()
    began = time.monotonic()
    for _ in range(20):
        assert visitor.client.get("/v1/dimensions").status_code == 200
        forged = {"Cookie": f"finops_session={users.new_session_token()}"}
        assert visitor.client.get("/v1/dimensions", headers=forged).status_code == 401

    assert 1 <= len(asked) <= 1 + (time.monotonic() - began) / sessions.READ_AGAIN_FOR_A_STRANGER_SECONDS


def test_signing_in_gives_a_new_session_and_ends_the_one_before(browser: NewBrowser, at_once: None) -> None:
    """A cookie that somebody put there before signs them in nowhere."""
    attacker = browser().sign_in("attacker@example.com")
    for fixed in ("fixed-by-somebody", users.new_session_token(), attacker.cookie):
        victim = browser()
        victim.client.cookies.set("finops_session", fixed, domain="127.0.0.1", path="/")
        victim.sign_in("victim@example.com")
        sent = [cookie.value for cookie in victim.client.cookies.jar if cookie.name == "finops_session"]
        assert fixed not in sent
        assert victim.me()["email"] == "victim@example.com"

    assert attacker.me() == 401


@pytest.mark.parametrize(
    "forge",
    [
        lambda cookie: cookie[:-1],
        lambda cookie: cookie + "A",
        lambda cookie: cookie.swapcase(),
        lambda cookie: cookie[::-1],
        lambda cookie: "",
        lambda cookie: "' or 1=1--",
        lambda cookie: f'"{cookie[:-1]}\\{"101" if cookie[-1] != "A" else "102"}"',
        lambda cookie: users.new_session_token(),
    ],
)
def test_a_cookie_that_nobody_was_given_opens_nothing(browser: NewBrowser, forge: Callable[[str], str]) -> None:
    """Whatever it looks like."""
    visitor = browser().sign_in()
    cookie = forge(visitor.cookie)

    assert is_refused(visitor.client.get(COSTS, headers={"Cookie": f"finops_session={cookie}"}), 401, "NotSignedIn")
    assert is_refused(
        visitor.client.get(COSTS, headers={"Cookie": f"__Host-finops_session={visitor.cookie}"}), 401, "NotSignedIn"
    )


def test_where_nobody_signs_in_any_more_a_session_opens_nothing(
    browser: NewBrowser, keyed: str, api_over: Callable[..., httpx.Client]
) -> None:
    """And another pepper knows none."""
    cookie = {"Cookie": f"finops_session={browser().sign_in().cookie}"}

    assert api_over(keyed, api_token="x" * 20, api_key_pepper=PEPPER).get(COSTS, headers=cookie).status_code == 401
    people = {"public_url": "http://127.0.0.1:1", "oidc_issuer": "http://127.0.0.1:1", "oidc_client_id": "x", **LISTS}
    assert api_over(keyed, api_key_pepper=PEPPER, **people).get(COSTS, headers=cookie).status_code == 200
    assert api_over(keyed, api_key_pepper="another" * 3, **people).get(COSTS, headers=cookie).status_code == 401


# -- cookies and addresses


@pytest.mark.parametrize(("public_url", "prefix"), [(None, ""), ("https://finops.example.com", "__Host-")])
def test_cookies_are_closed_to_scripts_and_other_sites(serve: Serve, public_url: str | None, prefix: str) -> None:
    """Over TLS to everything but TLS, and to every other host, as well."""
    served = serve(**({"public_url": public_url} if public_url else {}))
    began = httpx.get(f"{served.address}/auth/sign-in")
    back = httpx.get(began.headers["location"]).headers["location"]
    assert back.startswith(f"{public_url or served.address}/auth/callback?")
    kept = began.headers["set-cookie"].split(";")[0]
    ended = httpx.get(f"{served.address}/auth/callback?{urlsplit(back).query}", headers={"Cookie": kept})

    assert ended.headers["location"] == f"{public_url or served.address}/"
    assert {answer.headers["cache-control"] for answer in (began, ended)} == {"no-store"}
    made = [began.headers["set-cookie"], *ended.headers.get_list("set-cookie")]
    assert [cookie.split("=")[0] for cookie in made] == [
        f"{prefix}finops_{of}" for of in ("sign_in", "sign_in", "session")
    ]
    for cookie in made:
        flags = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"httponly", "samesite=lax", "path=/"} <= flags
        assert ("secure" in flags) == bool(prefix)
        assert not any(flag.startswith("domain") for flag in flags)
    assert "Max-Age=600" in made[0]
    assert "Max-Age=0" in made[1]
    assert "Max-Age=43200" in made[2]


@pytest.mark.parametrize(
    "given",
    [
        *("https://evil.example.org", "//evil.example.org", "/\\evil.example.org", "\\\\evil.example.org", "evil"),
        *("/\t/evil.example.org", "/\n/evil.example.org", "///evil.example.org", "javascript:alert(1)", "", "@evil"),
        *("/auth/sign-in", "/auth/sign-out", "/" + "x" * 2001, "http:/evil", " //evil.example.org"),
    ],
)
def test_nobody_is_sent_elsewhere_once_they_are_signed_in(given: str) -> None:
    """A link to us that ends at another's page is how people are robbed of passwords."""
    assert local_address(given) == "/"


@pytest.mark.parametrize(
    ("sent", "goes"),
    [
        ("%2F%2Fevil.example.org", "/"),
        ("/%5Cevil.example.org", "/"),
        ("%2F%252F%252Fevil.example.org", "/%252F%252Fevil.example.org"),
        ("/%09/evil.example.org", "/"),
        ("https%3A%2F%2Fevil.example.org", "/"),
        ("/.evil.example.org", "/.evil.example.org"),
        ("/%40evil.example.org", "/@evil.example.org"),
        ("/%3Fby%3Dservice%26from%3D2026-09-01%23top", "/?by=service&from=2026-09-01#top"),
    ],
)
def test_the_address_after_signing_in_is_one_of_ours(browser: NewBrowser, sent: str, goes: str) -> None:
    """However it is written: the whole way, to what the browser is told in the end."""
    visitor = browser()
    began = visitor.client.get(f"/auth/sign-in?next={sent}")
    location = visitor.client.get(visitor.at_provider(began.headers["location"])).headers["location"]

    assert urlsplit(location).netloc == urlsplit(visitor.served.address).netloc
    assert location.removeprefix(visitor.served.address) == goes.replace("%25", "%")


# -- requests that other sites make


def test_a_change_by_cookie_is_taken_from_our_own_pages_alone(browser: NewBrowser) -> None:
    """A browser sends the cookie along whoever makes it send something."""
    visitor = browser().sign_in("admin@example.com")
    other = browser().sign_in("admin@example.com")
    csrf, of_another = visitor.me()["csrf_token"], other.me()["csrf_token"]
    here = visitor.served.address
    refused: list[dict[str, str]] = [
        {},
        {"X-CSRF-Token": ""},
        {"X-CSRF-Token": csrf[:-1]},
        {"X-CSRF-Token": csrf.upper()},
        {"X-CSRF-Token": of_another},
        {"X-CSRF-Token": visitor.cookie},
        {"X-CSRF-Token": csrf, "Origin": "https://evil.example.org"},
        {"X-CSRF-Token": csrf, "Origin": "null"},
        {"X-CSRF-Token": csrf, "Origin": f"{here}.evil.example.org"},
        {"X-CSRF-Token": csrf, "Origin": here.replace("http:", "https:")},
        {"X-CSRF-Token": csrf, "Sec-Fetch-Site": "cross-site"},
        {"X-CSRF-Token": csrf, "Sec-Fetch-Site": "same-site"},
        {"X-CSRF-Token": csrf, "Origin": here, "Sec-Fetch-Site": "cross-site"},
        {"Origin": here, "Sec-Fetch-Site": "same-origin"},
    ]
    for headers in refused:
        assert is_refused(visitor.put(**headers), 403, "NotFromOurPage"), headers
        asked = visitor.client.post("/v1/costs/query", json={"window": "7d"}, headers=headers)
        assert is_refused(asked, 403, "NotFromOurPage"), headers
        assert is_refused(visitor.client.post("/auth/sign-out", headers=headers), 403, "NotFromOurPage"), headers
    for headers in ({"X-CSRF-Token": csrf}, {"X-CSRF-Token": csrf, "Origin": here, "Sec-Fetch-Site": "same-origin"}):
        assert visitor.put(**headers).status_code == 200
    assert visitor.me()["role"] == "admin"


@pytest.mark.parametrize("header", ["Origin", "Sec-Fetch-Site"])
def test_a_key_is_sent_by_nobody_but_its_holder(browser: NewBrowser, make_key: MakeKey, header: str) -> None:
    """No site can make a browser send one: it needs no proof."""
    visitor = browser()
    sent = {"Authorization": f"Bearer {make_key('admin')}", header: "https://evil.example.org"}

    assert visitor.put(**sent).status_code == 200


def test_a_key_that_is_sent_along_counts_and_the_cookie_does_not(browser: NewBrowser, make_key: MakeKey) -> None:
    """Whoever sends one means it, also when it opens nothing; also where answers are kept."""
    visitor = browser().sign_in("admin@example.com")
    until_it_listens(visitor.client)
    csrf = {"X-CSRF-Token": visitor.me()["csrf_token"]}
    for _ in range(2):
        assert visitor.client.get("/v1/dimensions").status_code == 200
        for bearer in ("nonsense", make_key("read")[:-1]):
            refused = visitor.client.get("/v1/dimensions", headers={"Authorization": f"Bearer {bearer}"})
            assert is_refused(refused, 401, "NotSignedIn")
    reads = {"Authorization": f"Bearer {make_key('read')}"}
    assert visitor.client.get("/v1/me", headers=reads).json()["name"] == "key tests"
    assert visitor.put(**csrf, **reads).status_code == 403
    assert visitor.client.get("/v1/me", headers={"Authorization": "Basic eDp5"}).json()["kind"] == "user"


def test_this_machine_is_nobody_in_particular_once_people_sign_in(browser: NewBrowser) -> None:
    """From then on one is somebody, or a stranger."""
    visitor = browser()

    for path in (COSTS, "/v1/dimensions", "/v1/me"):
        assert is_refused(visitor.client.get(path), 401, "NotSignedIn")
    assert visitor.client.get("/livez").status_code == 200


def test_a_server_that_signs_people_in_may_listen_to_others(
    keyed: str, monkeypatch: pytest.MonkeyPatch, provider: OidcServer
) -> None:
    """It is closed to strangers without any key or token."""
    ran: list[str] = []
    monkeypatch.setattr("finops_api.server._is_any_key", lambda _: False)
    monkeypatch.setattr("finops_api.server.uvicorn.run", lambda _, host, **__: ran.append(host))
    settings = Settings(
        public_url="https://finops.example.com", oidc_issuer=provider.issuer, oidc_client_id="finops", **LISTS
    )
    run_server(keyed, settings, host="0.0.0.0", port=0)

    assert ran == ["0.0.0.0"]


def test_who_begins_too_often_is_told_to_wait(serve: Serve) -> None:
    """Each asks the provider something, and anybody may begin."""
    visitor = Browser(serve(rate_limit_sign_ins_per_minute=5))
    told = [visitor.client.get(path).status_code for path in ["/auth/sign-in", "/auth/callback"] * 3]

    assert told == [302, 400, 302, 400, 302, 429]


def test_who_guesses_cookies_is_stopped_and_who_is_signed_in_is_not(serve: Serve) -> None:
    """As with keys."""
    visitor = Browser(serve(rate_limit_refusals_per_minute=3)).sign_in()
    forged = [{"Cookie": f"finops_session={users.new_session_token()}"} for _ in range(5)]

    assert [visitor.client.get(COSTS, headers=each).status_code for each in forged] == [401] * 3 + [429] * 2
    assert visitor.client.get(COSTS).status_code == 200


def test_a_person_may_ask_so_often_from_however_many_browsers(serve: Serve) -> None:
    """Signing in once more is no way around it; and nobody else is kept waiting."""
    served = serve(rate_limit_queries_per_minute=4)
    one, other, another = Browser(served), Browser(served), Browser(served)
    for each in (one, other):
        each.sign_in("eager@example.com")
    another.sign_in("patient@example.com")

    assert [each.client.get("/v1/me").status_code for each in (one, other) * 3] == [200] * 4 + [429] * 2
    assert another.client.get("/v1/me").status_code == 200


def test_where_nobody_signs_in_it_says_so(keyed: str, api_over: Callable[..., httpx.Client]) -> None:
    """And signs nobody out."""
    api = api_over(keyed, api_key_pepper=PEPPER)

    for path in ("/auth/sign-in", "/auth/callback?code=x&state=y"):
        assert is_refused(api.get(path), 404, "NoSignIn")
    assert api.post("/auth/sign-out").json() == {"signed_out": False}


def test_whoever_asks_is_told_who_they_are(
    spoilt: str, keyed: str, make_key: MakeKey, api_over: Callable[..., httpx.Client]
) -> None:
    """A key, the deployment's token, and this machine as well."""
    token = {"Authorization": f"Bearer {'x' * 20}"}
    key = {"Authorization": f"Bearer {make_key('export', projects=('p',))}"}
    with_keys = api_over(keyed, api_token="x" * 20, api_key_pepper=PEPPER)
    told = [
        api_over(spoilt).get("/v1/me").json(),
        with_keys.get("/v1/me", headers=token).json(),
        with_keys.get("/v1/me", headers=key).json(),
    ]

    assert [(me["name"], me["kind"], me["scopes"], me["projects"]) for me in told] == [
        ("this machine", "machine", ["read", "export", "admin"], None),
        ("API_TOKEN", "deployment", ["read", "export", "admin"], None),
        ("key tests", "key", ["export"], ["p"]),
    ]
    assert all(me["csrf_token"] is me["email"] is me["role"] is None for me in told)


# -- rows


def restricted(browser: NewBrowser, warehouse: psycopg.Connection, name: str, rows: RowScope) -> Browser:
    """Somebody who sees some rows."""
    email = f"{name.replace(' ', '-').replace(',', '')}@example.com"
    users.set_scope(warehouse, email, rows, actor="tests")
    return browser().sign_in(email, groups=[])


@pytest.mark.parametrize("name", TENANTS)
def test_a_person_is_told_what_a_key_with_the_same_rows_is(
    serve: Serve, warehouse: psycopg.Connection, make_key: MakeKey, name: str
) -> None:
    """Every route of the tenants' matrix, which holds every route there is: the same answer, the same refusal."""
    rows = TENANTS[name]
    served = serve(oidc_analysts="@example.com", oidc_viewers=None)
    visitor = restricted(lambda: Browser(served), warehouse, name, rows)
    key = make_key("read", "export", billing_accounts=rows.billing_accounts, projects=rows.projects)
    bearer = {"Authorization": f"Bearer {key}"}
    currency = "EUR" if "europe" in name else "USD"
    for route, asked in ALL.items():
        if route == "/v1/me":
            continue
        path = asked.replace("{currency}", currency)
        mine, of_key = visitor.client.get(path), httpx.get(f"{served.address}{path}", headers=bearer, timeout=30)
        assert mine.status_code == of_key.status_code, route
        assert without_moments(mine.text) == without_moments(of_key.text), route
    assert (visitor.me()["billing_accounts"], visitor.me()["projects"]) == (
        list(rows.billing_accounts) if rows.billing_accounts else None,
        list(rows.projects) if rows.projects else None,
    )


def without_moments(text: str) -> str:
    """An answer without what is another in each."""
    return re.sub(r'"(request_id|recomputed_at)": ?"[^"]*"', "", text)


def test_what_is_kept_for_one_person_is_not_given_to_another(
    browser: NewBrowser, warehouse: psycopg.Connection
) -> None:
    """One server, one question, asked in turn until every answer is a kept one."""
    everybody = browser().sign_in("everything@example.com")
    people = [restricted(browser, warehouse, name, TENANTS[name]) for name in ("america", "europe", "shop")]
    people += [restricted(browser, warehouse, "america again", TENANTS["america"]), everybody]
    until_it_listens(everybody.client)
    alone = [each.client.get(ALL["/v1/costs"], headers={"Cache-Control": "no-cache"}).json() for each in people]
    kept = number(everybody.client, 'finops_answers_total{from="kept"}')
    for _ in range(3):
        for each, expected in zip(people, alone, strict=True):
            assert each.client.get(ALL["/v1/costs"]).json() == expected

    assert alone[0] == alone[3]
    assert len({str(answer) for answer in alone}) == 4
    assert number(everybody.client, 'finops_answers_total{from="kept"}') - kept == 3 * 5 - 4
    assert browser().client.get(ALL["/v1/costs"]).status_code == 401


def test_rows_that_are_settled_anew_are_seen_within_seconds(
    browser: NewBrowser, warehouse: psycopg.Connection, at_once: None
) -> None:
    """Nobody has to sign in again, and nothing that was kept is given any more."""
    visitor = browser().sign_in("narrowed@example.com")
    before = visitor.client.get(ALL["/v1/costs"]).json()["items"]
    users.set_scope(warehouse, "narrowed@example.com", TENANTS["america"], actor="tests")
    after = visitor.client.get(ALL["/v1/costs"]).json()["items"]

    assert 0 < len(after) < len(before)
    assert {item["billing_account"] for item in after} == set(TENANTS["america"].billing_accounts or ())


def test_an_admin_of_some_rows_changes_nothing_of_all(browser: NewBrowser, warehouse: psycopg.Connection) -> None:
    """What is written is not told apart by rows."""
    users.set_scope(warehouse, "admin@example.com", TENANTS["america"], actor="tests")
    visitor = browser().sign_in("admin@example.com")

    assert is_refused(visitor.put(**{"X-CSRF-Token": visitor.me()["csrf_token"]}), 403, "OutOfScope")
    users.set_scope(warehouse, "admin@example.com", RowScope(), actor="tests")
