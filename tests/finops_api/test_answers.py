"""Answers that are kept: never one that the warehouse would not give now, and none without the right to it."""

import os
import random
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest

from finops_api.answers import Answer, Answers, Route
from finops_api.known import Memory
from finops_warehouse import ledger
from finops_warehouse.database import connect_to
from finops_warehouse.tables import metadata

from .listening import number, until_it_listens

QUESTIONS = [
    "/v1/costs?start=2026-10-01&end=2026-10-08&group_by=service&granularity=total",
    "/v1/costs?start=2026-10-01&end=2026-10-03",
    "/v1/meta",
    "/v1/restatements?start=2026-10-01&end=2026-10-08",
    "/v1/dimensions/service/members",
]
STEPS = 400 if os.environ.get("FINOPS_PROVE") else 60


def restate(connection: psycopg.Connection, amount: str) -> None:
    """Build a usage day again with another amount in one of its rows, as the pipeline does: in one transaction."""
    with connection.transaction():
        for table in ("aggregated_cost_data", "cost_by_service_daily"):
            connection.execute(
                f"update finops.{table} set billed_cost = %s where ctid = "
                f"(select ctid from finops.{table} where usage_day = '2026-10-02' order by ctid limit 1)".encode(),
                [amount],
            )
            ledger.materialised(connection, table, "2026-10-02", 1, 1, "tests")


def answered(client: httpx.Client, question: str) -> httpx.Response:
    """An answer that must be one."""
    answer = client.get(question)
    assert answer.status_code == 200, answer.text
    return answer


def test_an_answer_is_kept_and_named(spoilt: str, serve: Callable[..., httpx.Client]) -> None:
    """The second time nobody is asked, and who has it already gets nothing but a word."""
    client = serve(spoilt)
    until_it_listens(client)
    first = answered(client, QUESTIONS[0])
    kept = number(client, 'finops_answers_total{from="kept"}')

    second = answered(client, QUESTIONS[0])
    third = client.get(QUESTIONS[0], headers={"If-None-Match": f'"other", W/{first.headers["etag"]}'})

    assert second.content == first.content
    assert second.headers["etag"] == first.headers["etag"]
    assert second.headers["cache-control"] == "private, no-cache"
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    assert (third.status_code, third.content) == (304, b"")
    assert number(client, 'finops_answers_total{from="kept"}') == kept + 1
    assert number(client, 'finops_answers_total{from="unchanged"}') == 1


class Forgetful(Memory):
    """Holds nothing of what it knew."""

    def recall(self, table: str, accounts: list[str], names: Iterable[str]) -> None:
        """Nothing."""


def test_every_answer_is_the_one_the_warehouse_gives(
    spoilt: str, serve: Callable[..., httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is built, asked, or broken in whatever order.

    Beside it is an API that keeps no answers and knows tables, and one that reads everything for every question.
    """
    client, knowing = serve(spoilt), serve(spoilt, answers_kept_mb=0)
    assert knowing.get("/livez").status_code == client.get("/livez").status_code == 200
    monkeypatch.setattr("finops_api.app.Memory", Forgetful)
    plain = serve(spoilt, answers_kept_mb=0)
    chance = random.Random(4)
    with connect_to(spoilt, autocommit=True) as connection:
        for step in range(STEPS):
            match chance.choice(["ask", "ask", "ask", "restate", "restate", "invoice", "break"]):
                case "restate":
                    restate(connection, f"{step}.25")
                case "invoice":
                    connection.execute("update finops.invoices set total = total + 1")
                case "break":
                    connection.execute(
                        "select pg_terminate_backend(pid) from pg_stat_activity "
                        "where application_name = 'finops_api listener' and datname = current_database()"
                    )
                case _:
                    pass
            time.sleep(chance.choice([0.02, 0.02, 0.3]))  # what is committed is heard of within milliseconds
            for question in chance.sample(QUESTIONS, 2):
                now = answered(plain, question).content
                assert [answered(one, question).content for one in (client, knowing)] == [now] * 2, (step, question)
        assert number(client, 'finops_answers_total{from="kept"}') > STEPS / 10


def test_while_nobody_listens_every_answer_is_made_anew(spoilt: str, serve: Callable[..., httpx.Client]) -> None:
    """A change that nobody hears of would make what is kept a lie."""
    client = serve(spoilt)
    until_it_listens(client)
    with connect_to(spoilt, autocommit=True) as connection:
        before = answered(client, QUESTIONS[1]).content
        for round_ in range(5):
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'finops_api listener' "
                "and datname = current_database()"
            )
            restate(connection, f"{round_}.75")
            time.sleep(0.05)
            now = answered(client, QUESTIONS[1]).content
            assert now != before
            before = now


def test_who_has_just_written_can_ask_past_what_is_kept(spoilt: str, serve: Callable[..., httpx.Client]) -> None:
    """`Cache-Control: no-cache` is answered by the warehouse."""
    client = serve(spoilt)
    until_it_listens(client)
    answered(client, QUESTIONS[1])
    made = number(client, 'finops_answers_total{from="made"}')

    client.get(QUESTIONS[1], headers={"Cache-Control": "no-cache"})

    assert number(client, 'finops_answers_total{from="made"}') == made + 1


def test_equal_questions_at_once_are_answered_once(spoilt: str, serve: Callable[..., httpx.Client]) -> None:
    """A dashboard that everybody opens at nine is one question."""
    client = serve(spoilt)
    until_it_listens(client)
    made = number(client, 'finops_answers_total{from="made"}')
    with connect_to(spoilt) as holding, ThreadPoolExecutor(16) as people:
        # Nobody is answered before all have asked.
        holding.execute("lock finops.cost_by_service_daily in access exclusive mode")
        asked = [people.submit(answered, client, QUESTIONS[0]) for _ in range(16)]
        time.sleep(0.5)
        holding.rollback()
        bodies = {answer.result().content for answer in asked}

    assert len(bodies) == 1
    assert number(client, 'finops_answers_total{from="made"}') == made + 1


def test_an_answer_is_for_those_who_may_have_it(spoilt: str, serve: Callable[..., httpx.Client]) -> None:
    """What was kept for somebody with the token is nothing for somebody without, or with another."""
    client = serve(spoilt, api_token="let-me-in-please")
    with_token = {"Authorization": "Bearer let-me-in-please"}
    for _ in range(20):
        assert client.get(QUESTIONS[0], headers=with_token).status_code == 200
        time.sleep(0.05)

    assert client.get(QUESTIONS[0]).status_code == 401
    assert client.get(QUESTIONS[0], headers={"Authorization": "Bearer let-me-in-pleasf"}).status_code == 401
    assert number(client, 'finops_answers_total{from="kept"}') > 0


@pytest.mark.parametrize("question", ["/v1/costs?window=1d", "/v1/dimensions/nothing/members", "/v1/costs/nothing"])
def test_a_refusal_is_not_kept(spoilt: str, serve: Callable[..., httpx.Client], question: str) -> None:
    """It is told by its own request id, each time."""
    client = serve(spoilt)
    until_it_listens(client)

    refusals = [client.get(question) for _ in range(2)]

    assert all(refusal.status_code in (404, 422) for refusal in refusals)
    assert refusals[0].json()["request_id"] != refusals[1].json()["request_id"]


def test_what_is_kept_fits_into_its_room() -> None:
    """The answers used longest ago go first, and a huge one takes the room of none."""
    answers = Answers(800)

    def keep(name: str, size: int, state: int = 1) -> None:
        answers.put(("", name, b"", ""), Answer(state, b"x" * size, b"", (), Route("")))

    def is_kept(name: str, state: int = 1) -> bool:
        return answers.get(("", name, b"", ""), state) is not None

    for number_ in range(8):
        keep(str(number_), 100)
    assert is_kept("0")  # and so used last
    keep("8", 100)
    keep("huge", 101)

    assert (is_kept("0"), is_kept("1"), is_kept("8"), is_kept("huge")) == (True, False, True, False)
    assert answers.size == 800
    keep("8", 40, state=2)
    assert (is_kept("8"), is_kept("8", state=2), answers.size) == (False, True, 740)


def test_every_table_that_is_read_tells_of_its_changes(charges: psycopg.Connection) -> None:
    """A table that does not would be served as it was."""
    found = charges.execute(
        "select event_object_table from information_schema.triggers where trigger_name = 'tell_of_changes'"
    ).fetchall()
    untold = {table.name for table in metadata.tables.values()} - {name for (name,) in found}

    assert untold == {
        "aliases",  # names that are kept from a model
        "api_keys",  # the ring of keys reads it by itself
        "audit_event",
        "deployment_keys",
        "llm_cache",
        "llm_calls",
        "raw_charges",  # evidence asks it each time
        "saved_views",  # so do those who look for theirs
        "sessions",  # the ring of sessions reads it and `users` by itself
        "source_spending",  # /metrics asks it each time
        "users",
    }
