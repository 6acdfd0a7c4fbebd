"""How often somebody may ask, and the headers every answer has."""

import asyncio
import time
from collections.abc import Callable

import httpx
import pytest
from helpers.redis_server import RedisServer
from limits import RateLimitItemPerSecond

from finops_api import limiting
from finops_api.app import create_app
from finops_api.limiting import network_of
from finops_api.redis import LEFT_ALONE_SECONDS
from finops_warehouse.keys import new_token
from finops_warehouse.settings import Settings

from .listening import number, until_it_listens

MakeKey = Callable[..., str]
Api = Callable[..., httpx.Client]
PEPPER = "a pepper of these tests"
QUESTION = "/v1/evidence?start=2026-09-10&end=2026-09-11&billing_currency=USD&service=BigQuery"
"""Of which no answer is kept: one that is costs next to nothing, and is not counted."""
DOWNLOAD = "/v1/evidence.csv?start=2026-09-10&end=2026-09-11&billing_currency=USD&service=BigQuery"


def ask(api: httpx.Client, path: str, token: str) -> int:
    """The status of an answer."""
    return api.get(path, headers={"Authorization": f"Bearer {token}"}).status_code


def test_a_key_that_asks_too_much_is_told_when_to_come_back(keyed: str, make_key: MakeKey, api_over: Api) -> None:
    """One that runs wild costs nobody else: the next key is answered in the same second."""
    wild, other = make_key("read"), make_key("read")
    api = api_over(keyed, api_key_pepper=PEPPER, rate_limit_queries_per_minute="5")

    assert [ask(api, QUESTION, wild) for _ in range(7)] == [200] * 5 + [429] * 2
    assert ask(api, QUESTION, other) == 200
    refused = api.get(QUESTION, headers={"Authorization": f"Bearer {wild}"})
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["title"] == "TooManyRequests"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["retry-after"] in refused.json()["detail"]


def test_after_that_time_it_is_answered_again(
    keyed: str, make_key: MakeKey, api_over: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The promise of Retry-After, with seconds for minutes."""
    monkeypatch.setattr(limiting, "RateLimitItemPerMinute", RateLimitItemPerSecond)
    token = make_key("read")
    api = api_over(keyed, api_key_pepper=PEPPER, rate_limit_queries_per_minute="1")
    while ask(api, QUESTION, token) == 200:
        pass
    time.sleep(int(api.get(QUESTION, headers={"Authorization": f"Bearer {token}"}).headers["retry-after"]))

    assert ask(api, QUESTION, token) == 200


def test_downloads_are_counted_apart(keyed: str, make_key: MakeKey, api_over: Api) -> None:
    """They cost more, so there are fewer; having used them up keeps nobody from asking."""
    token = make_key("read", "export")
    api = api_over(keyed, api_key_pepper=PEPPER, rate_limit_exports_per_minute="2")

    assert [ask(api, DOWNLOAD, token) for _ in range(3)] == [200, 200, 429]
    assert ask(api, QUESTION, token) == 200


def test_who_guesses_is_stopped_and_who_has_a_key_is_not(keyed: str, make_key: MakeKey, api_over: Api) -> None:
    """Both may stand behind one address; the stranger must not shut out the others."""
    token = make_key("read")
    api = api_over(keyed, api_key_pepper=PEPPER, rate_limit_refusals_per_minute="3")
    ask(api, QUESTION, token)

    assert [ask(api, QUESTION, new_token()) for _ in range(5)] == [401] * 3 + [429] * 2
    assert api.get(QUESTION).status_code == 429
    assert ask(api, QUESTION, token) == 200


def test_a_header_gives_a_stranger_no_new_address(keyed: str, make_key: MakeKey, api_over: Api) -> None:
    """Or the limit would be one more line in a script."""
    make_key("read")
    api = api_over(keyed, api_key_pepper=PEPPER, rate_limit_refusals_per_minute="2")
    told = [api.get(QUESTION, headers={"X-Forwarded-For": f"198.51.100.{i}"}).status_code for i in range(4)]

    assert told == [401, 401, 429, 429]


def test_zero_is_no_limit_and_this_machine_has_none(built: str, keyed: str, make_key: MakeKey, api_over: Api) -> None:
    """A dashboard on one's own machine loads dozens of things at once."""
    token = make_key("read")
    unlimited = api_over(keyed, api_key_pepper=PEPPER, rate_limit_queries_per_minute="0")
    here = api_over(built, rate_limit_queries_per_minute="2")

    assert {ask(unlimited, QUESTION, token) for _ in range(20)} == {200}
    assert {here.get(QUESTION).status_code for _ in range(20)} == {200}


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_of_ipv6_a_network_is_one_stranger(host: str, network: str) -> None:
    """Every customer has 2^64 addresses."""
    assert network_of(host) == network


HEADERS = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}


@pytest.mark.parametrize("path", [QUESTION, "/livez", "/metrics", "/docs", "/openapi.json", "/v1/nothing", "/v1/costs"])
def test_every_answer_of_the_api_has_its_headers(api: httpx.Client, path: str) -> None:
    """Answers, files and refusals: no browser guesses what they are, frames them, or tells where it came from."""
    answer = api.get(path)

    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert "strict-transport-security" not in answer.headers
    assert len(answer.headers.get_list("x-content-type-options")) == 1


def test_pages_keep_stricter_headers_of_their_own(api: httpx.Client) -> None:
    """One of each: of two policies browsers take both, of two referrer policies the last."""
    page = api.get("/")

    assert len(page.headers.get_list("content-security-policy")) == 1
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert page.headers.get_list("referrer-policy") == ["same-origin"]


def test_over_tls_browsers_are_told_to_stay_there(built: str) -> None:
    """Whether TLS ends here or at a proxy that says so."""
    app = create_app(built, Settings())

    async def told(url: str, **headers: str) -> str | None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=url) as client:
            found: str | None = (await client.get("/livez", headers=headers)).headers.get("strict-transport-security")
            return found

    assert asyncio.run(told("https://api")) == "max-age=31536000"
    assert asyncio.run(told("http://api", **{"X-Forwarded-Proto": "https"})) == "max-age=31536000"
    assert asyncio.run(told("http://api")) is None


def test_a_fault_of_ours_has_the_headers_too(built: str) -> None:
    """It is answered outside of all other middleware."""
    app = create_app(built, Settings())

    @app.get("/boom")
    async def boom() -> None:
        raise RuntimeError("tests")

    app.router.routes.insert(0, app.router.routes.pop())  # before the dashboard, which takes what others leave

    async def fail() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            return await client.get("/boom")

    answer = asyncio.run(fail())
    assert answer.status_code == 500
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_what_is_kept_already_is_not_counted(keyed: str, make_key: MakeKey, api_over: Api) -> None:
    """A limit is there for what a question costs PostgreSQL; a dashboard that asks again costs it nothing."""
    token = make_key("read")
    api = api_over(keyed, api_key_pepper=PEPPER, rate_limit_queries_per_minute="5")
    until_it_listens(api)

    assert [ask(api, "/v1/dimensions", token) for _ in range(20)] == [200] * 20
    assert [ask(api, QUESTION, token) for _ in range(6)] == [200] * 4 + [429] * 2
    assert ask(api, "/v1/dimensions", token) == 200


def status_of_each(api: httpx.Client, token: str, times: int) -> list[int]:
    """The statuses of so many questions, one after another."""
    return [ask(api, QUESTION, token) for _ in range(times)]


def until_counted_together(api: httpx.Client) -> None:
    """Return once the database has told whose counts those in Redis are."""
    for _ in range(100):
        api.get("/v1/meta", headers={"Authorization": f"Bearer {new_token()}"})
        if number(api, 'finops_redis_asked_total{outcome="answered",purpose="limits"}'):
            return
        time.sleep(0.05)
    raise AssertionError("Redis was never asked")


def test_with_a_redis_all_processes_count_together(
    keyed: str, make_key: MakeKey, serve: Api, redis: RedisServer
) -> None:
    """Or a limit would be as many times itself as there are replicas."""
    token = make_key("read")
    first, second, alone = (
        serve(keyed, api_key_pepper=PEPPER, rate_limit_queries_per_minute=6, redis_url=url)
        for url in (redis.url, redis.url, None)
    )
    for api in (first, second):
        until_counted_together(api)

    told = [ask(api, QUESTION, token) for _ in range(4) for api in (first, second)]

    assert told == [200] * 6 + [429] * 2
    refused = second.get(QUESTION, headers={"Authorization": f"Bearer {token}"})
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert ask(alone, QUESTION, token) == 200


def test_without_redis_each_counts_for_itself_until_it_is_back(
    keyed: str, make_key: MakeKey, serve: Api, redis: RedisServer
) -> None:
    """There is a limit all the time: that of each process while Redis is away, that of all before and after."""
    token = make_key("read")
    first, second = (
        serve(keyed, api_key_pepper=PEPPER, rate_limit_queries_per_minute=5, redis_url=redis.url) for _ in range(2)
    )
    for api in (first, second):
        until_counted_together(api)
    assert status_of_each(first, token, 6) == [200] * 5 + [429]
    assert ask(second, QUESTION, token) == 429

    redis.kill()
    assert status_of_each(first, token, 6) == [200] * 5 + [429]
    assert status_of_each(second, token, 6) == [200] * 5 + [429]

    redis.start()  # and it has forgotten
    time.sleep(LEFT_ALONE_SECONDS + 0.1)
    assert status_of_each(first, token, 3) == [200] * 3
    assert status_of_each(second, token, 3) == [200] * 2 + [429]


def test_deployments_that_share_a_redis_count_apart(
    keyed: str, make_key: MakeKey, serve: Api, redis: RedisServer, database_url: str
) -> None:
    """Keys are numbered from one in every database."""
    token = make_key("read")
    first = serve(keyed, api_key_pepper=PEPPER, rate_limit_queries_per_minute=3, redis_url=redis.url)
    other = serve(database_url, api_token="let-me-in-please", rate_limit_refusals_per_minute=3, redis_url=redis.url)
    strange = serve(keyed, api_key_pepper=PEPPER, rate_limit_refusals_per_minute=3, redis_url=redis.url)
    for api in (first, other, strange):
        until_counted_together(api)

    with redis.client() as client:
        client.flushall()
    assert [strange.get(QUESTION).status_code for _ in range(4)] == [401] * 3 + [429]
    assert [other.get(QUESTION).status_code for _ in range(4)] == [401] * 3 + [429]
    assert ask(first, QUESTION, token) == 200
