"""Answers that replicas give each other by Redis: made once, the same bytes, never what the warehouse would not say.

Whoever reads or writes Redis is taken for an enemy in these tests.
"""

import asyncio
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from helpers.checkout import TOP
from helpers.proofs import count
from helpers.redis_server import RedisServer
from prometheus_client import CollectorRegistry
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import make_url

from finops_api.changes import Changes, Deployment
from finops_api.redis import Redis
from finops_api.shared_answers import KEPT_SECONDS, LARGEST, MAKES_ANSWERS, SharedAnswers
from finops_warehouse.database import connect_to
from finops_warehouse.settings import Settings

from .listening import number, until_it_listens
from .test_answers import QUESTIONS, answered, restate

Serve = Callable[..., httpx.Client]
MakeKey = Callable[..., str]
PEPPER = "a pepper of these tests"


def until_they_share(*clients: httpx.Client) -> None:
    """Return once all of them have heard of each other."""
    for client in clients:
        until_it_listens(client)
    time.sleep(0.3)  # who listens last says so, and the others hear it within milliseconds


def shared(client: httpx.Client) -> float:
    """How many answers somebody had from others."""
    return number(client, 'finops_answers_total{from="shared"}')


@contextmanager
def nobody_can_read(dsn: str) -> Iterator[None]:
    """Whoever asks for costs waits, and is refused after a while."""
    with connect_to(dsn) as holding:
        holding.execute("lock finops.cost_by_service_daily, finops.aggregated_cost_data in access exclusive mode")
        yield
        holding.rollback()


def entries(redis: RedisServer) -> dict[bytes, bytes]:
    """All answers it holds."""
    with redis.client() as client:
        return {name: client.get(name) for name in client.scan_iter("finops:answers:*")}


def test_what_one_process_has_made_another_gives(spoilt: str, serve: Serve, redis: RedisServer) -> None:
    """To the byte, without a question to the database: it could not have been answered."""
    first, second = (serve(spoilt, redis_url=redis.url) for _ in range(2))
    until_they_share(first, second)
    made = answered(first, QUESTIONS[0])
    before = shared(second)

    with nobody_can_read(spoilt):
        given = answered(second, QUESTIONS[0])
        again = second.get(QUESTIONS[0], headers={"If-None-Match": made.headers["etag"]})

    assert given.content == made.content
    told = {"etag", "cache-control", "content-type", "content-length"}
    assert {name: given.headers[name] for name in told} == {name: made.headers[name] for name in told}
    assert (again.status_code, again.content) == (304, b"")
    assert shared(second) == before + 1
    assert number(second, 'finops_shared_answers_total{outcome="found"}') >= 1
    route = 'finops_http_requests_total{method="GET",route="/v1/costs",status="200"}'
    assert number(second, route) == 1


def test_without_a_redis_each_makes_its_own(spoilt: str, serve: Serve) -> None:
    """What the test above shows is Redis's doing."""
    first, second = serve(spoilt), serve(spoilt)
    until_they_share(first, second)
    answered(first, QUESTIONS[0])

    with nobody_can_read(spoilt):
        assert second.get(QUESTIONS[0], timeout=30).status_code != 200


def test_who_begins_to_listen_takes_nothing_from_others(spoilt: str, serve: Serve, redis: RedisServer) -> None:
    """A replica more must not make every other one ask anew."""
    first = serve(spoilt, redis_url=redis.url)
    until_they_share(first)
    answered(first, QUESTIONS[0])
    kept = number(first, 'finops_answers_total{from="kept"}')

    until_they_share(serve(spoilt, redis_url=redis.url))
    with nobody_can_read(spoilt):
        answered(first, QUESTIONS[0])

    assert number(first, 'finops_answers_total{from="kept"}') == kept + 1


def test_every_answer_is_the_one_the_warehouse_gives(spoilt: str, serve: Serve, redis: RedisServer) -> None:
    """Whatever is built, asked, broken, emptied or killed in whatever order. Beside is an API that keeps nothing."""
    sharing = [serve(spoilt, redis_url=redis.url) for _ in range(2)]
    plain = serve(spoilt, answers_kept_mb=0)
    steps = count(60, 400)
    chance = random.Random(11)
    doing = ["ask", "ask", "ask", "ask", "restate", "restate", "invoice", "break", "flush", "kill"]
    with connect_to(spoilt, autocommit=True) as connection:
        for step in range(steps):
            match chance.choice(doing):
                case "restate":
                    restate(connection, f"{step}.25")
                case "invoice":
                    connection.execute("update finops.invoices set total = total + 1")
                case "break":
                    connection.execute(
                        "select pg_terminate_backend(pid) from pg_stat_activity "
                        "where application_name = 'finops_api listener' and datname = current_database()"
                    )
                case "flush":
                    with redis.client() as client:
                        client.flushall()
                case "kill":
                    redis.kill()
                    redis.start()
                case _:
                    pass
            time.sleep(chance.choice([0.02, 0.02, 0.3]))  # what is committed is heard of within milliseconds
            for question in chance.sample(QUESTIONS, 2):
                expected = answered(plain, question).content
                for client in chance.sample(sharing, 2):
                    assert answered(client, question).content == expected, (step, question)
        had = sum(int(shared(client)) for client in sharing)
    assert had > steps / 10


def test_an_older_state_is_given_by_nobody(spoilt: str, serve: Serve, redis: RedisServer) -> None:
    """One process made it, then a day was restated, then another process is asked for the first time."""
    first, second, plain = (
        serve(spoilt, redis_url=redis.url), serve(spoilt, redis_url=redis.url), serve(spoilt, answers_kept_mb=0)
    )  # fmt: skip
    until_they_share(first, second)
    before = answered(first, QUESTIONS[1]).content
    with connect_to(spoilt, autocommit=True) as connection:
        restate(connection, "4711.25")
    time.sleep(0.3)

    now = answered(second, QUESTIONS[1]).content

    assert now == answered(plain, QUESTIONS[1]).content != before


def _turned(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def _in_each_others_place(held: dict[bytes, bytes]) -> dict[bytes, bytes]:
    names = list(held)
    return dict(zip(names, [held[name] for name in [*names[1:], names[0]]], strict=True))


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda held: {name: _turned(entry) for name, entry in held.items()}, id="a bit"),
        pytest.param(_in_each_others_place, id="another answer"),
        pytest.param(lambda held: {name: entry[:-20] for name, entry in held.items()}, id="cut off"),
        pytest.param(lambda held: dict.fromkeys(held, b"0"), id="short"),
        pytest.param(lambda held: dict.fromkeys(held, b"[]\n" + b"0" * 3 * LARGEST), id="huge"),
    ],
)
def test_what_somebody_else_has_written_is_not_served(
    spoilt: str, serve: Serve, redis: RedisServer, spoil: Callable[[dict[bytes, bytes]], dict[bytes, bytes]]
) -> None:
    """Who can write to Redis still cannot say what something cost."""
    first, second = (serve(spoilt, redis_url=redis.url) for _ in range(2))
    until_they_share(first, second)
    already = shared(second)
    made = [answered(first, question).content for question in QUESTIONS]
    held = entries(redis)
    assert len(held) >= len(QUESTIONS)
    with redis.client() as client:
        client.mset(spoil(held))

    given = [answered(second, question).content for question in QUESTIONS]

    assert given == made
    assert number(second, 'finops_shared_answers_total{outcome="forged"}') >= len(QUESTIONS) - 1
    assert shared(second) == already


def test_redis_is_told_nothing(spoilt: str, serve: Serve, redis: RedisServer) -> None:
    """Row-level security ends where a copy of the answer begins: no name, question or amount is in it."""
    first = serve(spoilt, redis_url=redis.url)
    until_they_share(first)
    items = answered(first, QUESTIONS[0]).json()["items"]

    held = b"".join(name + entry for name, entry in entries(redis).items())

    assert len(held) > 1000
    amounts = [item["billed_cost"].encode() for item in items if len(item["billed_cost"]) > 5]
    assert amounts
    assert not [amount for amount in amounts if amount in held]
    assert not [word for word in (b"BigQuery", b"costs", b"billed_cost", b"application/json") if word in held]


def test_nobody_is_given_what_others_may_see(
    keyed: str, make_key: MakeKey, serve: Serve, redis: RedisServer, charges: psycopg.Connection
) -> None:
    """Each asks one process, and everybody else the other: they get their own rows, made for them."""
    [accounts, projects] = [
        [name for (name,) in charges.execute(f"select distinct {column} from finops.aggregated_cost_data "
                                             f"where {column} is not null order by 1 limit 2".encode()).fetchall()]
        for column in ("billing_account_id", "sub_account_id")
    ]  # fmt: skip
    tokens = [
        make_key("read"),
        *(make_key("read", billing_accounts=(account,)) for account in accounts),
        *(make_key("read", projects=(project,)) for project in projects),
        make_key("read", billing_accounts=(accounts[0],), projects=(projects[0],)),
    ]
    settings = {"api_key_pepper": PEPPER, "redis_url": redis.url}
    first, second = serve(keyed, **settings), serve(keyed, **settings)
    plain = serve(keyed, api_key_pepper=PEPPER, answers_kept_mb=0)

    def ask(client: httpx.Client, token: str, question: str) -> httpx.Response:
        return client.get(question, headers={"Authorization": f"Bearer {token}"})

    for client in (first, second):
        for token in tokens:
            for _ in range(200):
                ask(client, token, "/v1/meta")
                if number(client, "finops_listens_for_changes"):
                    break
                time.sleep(0.02)
    time.sleep(0.3)
    question = QUESTIONS[0]
    expected = {token: ask(plain, token, question).content for token in tokens}
    assert len(set(expected.values())) == len(tokens)

    begun = shared(second)
    for maker, asker in zip(tokens, [*tokens[1:], tokens[0]], strict=True):
        with redis.client() as client:
            client.flushall()
        # An answer that is in the first process as well would not be put again: one that holds nothing makes it.
        fresh = serve(keyed, **settings)
        until_it_listens_for(fresh, maker)
        assert ask(fresh, maker, question).content == expected[maker]
        assert len(entries(redis)) >= 1
        assert ask(second, asker, question).content == expected[asker]
    assert shared(second) == begun

    last = serve(keyed, **settings)
    until_it_listens_for(last, tokens[0])
    for token in tokens:
        assert ask(last, token, question).content == expected[token]


def until_it_listens_for(client: httpx.Client, token: str) -> None:
    """Return once changes are heard of, for somebody with a key."""
    for _ in range(200):
        client.get("/v1/meta", headers={"Authorization": f"Bearer {token}"})
        if number(client, "finops_listens_for_changes"):
            time.sleep(0.3)
            return
        time.sleep(0.05)
    raise AssertionError("it never listened")


def copy_of(dsn: str, name: str) -> str:
    """Another database with the same rows and the same secret."""
    return make_url(dsn).set(database=name).render_as_string(hide_password=False)


@pytest.mark.parametrize("differs", ["settings", "schema", "database"])
def test_deployments_that_differ_give_each_other_nothing(
    differs: str, spoilt: str, server: str, built_template: str, serve: Serve, redis: RedisServer
) -> None:
    """Another link, another column or another database's rows would be in the answer."""
    first = serve(spoilt, redis_url=redis.url)
    dsn, settings = spoilt, {"redis_url": redis.url}
    if differs == "settings":
        settings["dagster_url"] = "http://127.0.0.1:3999"
    if differs == "schema":
        with connect_to(spoilt, autocommit=True) as connection:
            until_they_share(first)
            connection.execute("update finops.alembic_version set version_num = '9999'")
    if differs == "database":
        dsn = copy_of(server, f"twin_of_{make_url(spoilt).database}")
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(
                sql.SQL("create database {} template {}").format(
                    sql.Identifier(make_url(dsn).database or ""), sql.Identifier(built_template)
                )
            )
    second = serve(dsn, **settings)
    until_they_share(first, second)
    answered(first, QUESTIONS[0])

    answered(second, QUESTIONS[0])

    assert entries(redis)
    assert shared(second) == 0


def test_another_version_of_the_program_is_another_program(tmp_path: Path) -> None:
    """A word changed in any file that answers depend on: its answers are for itself."""
    for room in MAKES_ANSWERS:
        shutil.copytree(TOP / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__", "web"))

    def program() -> str:
        code = "from finops_api import shared_answers as s; print(s.__file__, s._code())"
        ran = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        where, digest = ran.stdout.split()
        assert Path(where).is_relative_to(tmp_path)
        return digest

    before = program()
    assert program() == before
    for room in MAKES_ANSWERS:
        path = next(path for path in sorted((tmp_path / room).rglob("*")) if path.suffix in (".py", ".sql"))
        path.write_text(path.read_text() + "\n")
        assert program() != before
        before = program()


def test_where_nothing_is_kept_nothing_is_put(spoilt: str, serve: Serve, redis: RedisServer) -> None:
    """ANSWERS_KEPT_MB=0 means everywhere."""
    client = serve(spoilt, redis_url=redis.url, answers_kept_mb=0)
    until_they_share(client)
    answered(client, QUESTIONS[0])

    assert entries(redis) == {}


async def _heard(changes: Changes, what: Callable[[], bool]) -> None:
    for _ in range(200):
        if what():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"it never came to be so: {changes.version}")


def test_who_has_heard_the_same_calls_it_the_same(spoilt: str) -> None:
    """The name is PostgreSQL's; a number of one's own would be another one in each process."""

    async def listen() -> None:
        one, other = Changes(spoilt, is_shared=True), Changes(spoilt, is_shared=True)
        async with one.listening():
            await _heard(one, lambda: one.version is not None)
            alone = one.version
            async with other.listening():
                await _heard(one, lambda: one.version not in (None, alone))
                await _heard(other, lambda: other.version == one.version)
                state = one.state
                with connect_to(spoilt, autocommit=True) as connection:
                    hello = one.version
                    restate(connection, "1.75")
                    await _heard(one, lambda: one.version not in (None, hello))
                    await _heard(other, lambda: other.version == one.version)
                    first = one.version
                    assert first is not None
                    assert first.startswith("change ")
                    assert one.state != state
                    restate(connection, "1.75")
                    await _heard(one, lambda: one.version not in (None, first))
                    connection.execute("notify materialised")  # as a release before this one does
                    await _heard(one, lambda: one.version is None)
                    await _heard(other, lambda: other.version is None)
                    assert one.state is not None
                assert one.deployment == other.deployment
                assert one.deployment is not None
        assert one.version is None

    asyncio.run(listen())


def test_an_entry_is_bounded_in_size_and_in_time(redis: RedisServer) -> None:
    """Redis is for many answers; what is larger each process makes for itself."""

    async def put() -> tuple[list[bytes | None], float]:
        registry = CollectorRegistry()
        changes = Changes("")
        changes.deployment = Deployment(b"k" * 32, "1")
        connected = Redis(SecretStr(redis.url), registry)
        answers = SharedAnswers(connected, changes, Settings(), registry)
        async with connected.opened():
            for size in (LARGEST - 100, LARGEST):
                await answers.put("v", (str(size),), b"x" * size)
            found = [await answers.get("v", (str(size),)) for size in (LARGEST - 100, LARGEST)]
            [name] = await connected.client.keys("*")
            return found, await connected.client.ttl(name)

    [small, large], seconds = asyncio.run(put())

    assert small == b"x" * (LARGEST - 100)
    assert large is None
    assert 0 < seconds <= KEPT_SECONDS
