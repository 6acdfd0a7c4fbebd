"""Exports that do not end as they should: over a real server and a real socket."""

import asyncio
import time
from contextlib import ExitStack, closing

import httpx
import psycopg
import pytest
from starlette.types import Message

from finops_api.app import create_app
from finops_api.exports import stream
from finops_warehouse.settings import Settings

from .downloads import END, EVERYTHING, Served, begin, read, until

WHOLE = 10**9


def test_a_whole_export_ends_as_one(served: Served) -> None:
    """The other half of the tests below: without a fault, the last chunk is there and the rows are all there."""
    answer = httpx.get(f"{served.url}/v1/exports/costs.csv", params=EVERYTHING, timeout=60)

    [(rows,)] = served.watch.execute(
        "select count(*) from (select distinct usage_day, billing_currency, sku_id, region_id "
        "from finops.cost_by_sku_region_daily where usage_day between '2026-09-01' and '2026-10-20') as cells"
    ).fetchall()
    assert rows > 200_000
    assert answer.text.count("\n") == rows + 1


@pytest.mark.parametrize("form", ["csv", "ndjson", "arrow", "parquet"])
def test_a_fault_after_the_first_byte_breaks_the_transfer(served: Served, form: str) -> None:
    """A warehouse that restarts in mid-export must not leave a file that opens, is short and says nothing."""
    with httpx.stream("GET", f"{served.url}/v1/exports/costs.{form}", params=EVERYTHING, timeout=60) as answer:
        assert answer.status_code == 200
        pieces = answer.iter_raw()
        next(pieces)
        assert until(lambda: [wait for _, wait in served.copying()] == ["ClientWrite"])
        [(pid, _)] = served.copying()
        served.watch.execute("select pg_terminate_backend(%s)", [pid])

        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            list(pieces)

    assert httpx.get(f"{served.url}/v1/exports/costs.csv?window=7d").status_code == 200


def test_what_was_broken_off_has_no_end_in_its_bytes(served: Served) -> None:
    """For clients that are less careful than ours: the chunk that says so is not there."""
    with closing(begin(served)) as connection:
        got = read(connection, 1)
        assert until(lambda: [wait for _, wait in served.copying()] == ["ClientWrite"])
        [(pid, _)] = served.copying()
        served.watch.execute("select pg_terminate_backend(%s)", [pid])
        got += read(connection, WHOLE)

    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"transfer-encoding: chunked" in got.lower()
    assert len(got) > 1_000_000
    assert not got.endswith(END)
    with closing(begin(served)) as connection:
        assert read_whole(connection).endswith(END)


def read_whole(connection: object) -> bytes:
    """A whole answer; the connection stays open after it."""
    got = bytearray()
    while not got.endswith(END):
        got += read(connection, 1)  # type: ignore[arg-type]
    return bytes(got)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_who_hangs_up_frees_the_connection(served: Served, form: str) -> None:
    """More often than there are connections, or the third reader would be refused for ever."""
    for _ in range(5):
        with closing(begin(served, form)) as connection:
            read(connection, 200_000)
            assert len(served.copying()) == 1
        assert until(lambda: served.copying() == []), served.copying()

    assert httpx.get(f"{served.url}/v1/exports/costs.{form}?window=7d").status_code == 200


def test_who_hangs_up_before_the_first_row_frees_the_connection(served: Served, big: str) -> None:
    """A sort of a year takes a while; nobody waits for its rows any more, so PostgreSQL should not work on them."""
    with psycopg.connect(big) as other:
        other.execute("lock table finops.cost_by_sku_region_daily in access exclusive mode")
        for _ in range(3):
            with closing(begin(served)):
                assert until(lambda: [wait for _, wait in served.copying()] == ["relation"])
            assert until(lambda: served.copying() == []), served.copying()

    assert httpx.get(f"{served.url}/v1/exports/costs.csv?window=7d").status_code == 200


def test_a_slow_reader_makes_postgres_wait_and_no_memory_grow(served: Served) -> None:
    """What is not read yet stays unwritten: the server holds a piece of it, never the rest of the file."""
    idle = served.process.memory_info().rss
    with closing(begin(served, "ndjson")) as connection:
        got = read(connection, 100_000)
        assert until(lambda: [wait for _, wait in served.copying()] == ["ClientWrite"])
        waiting = served.process.memory_info().rss
        time.sleep(1)

        assert [wait for _, wait in served.copying()] == ["ClientWrite"]
        assert served.process.memory_info().rss - idle < 32 * 2**20
        assert served.process.memory_info().rss - waiting < 2**20
        got += read_whole(connection)
    assert len(got) > 64 * 2**20


def test_more_exports_than_may_run_are_refused_and_others_are_served(served: Served) -> None:
    """Two readers that have stopped reading cost the third a retry and everybody else nothing."""
    with ExitStack() as open_ones:
        for _ in range(2):
            read(open_ones.enter_context(closing(begin(served))), 1)

        refused = httpx.get(f"{served.url}/v1/exports/costs.csv?window=7d")
        assert (refused.status_code, refused.json()["title"]) == (503, "TooManyExports")
        assert refused.headers["content-type"] == "application/problem+json"
        assert int(refused.headers["retry-after"]) > 0
        began = time.monotonic()
        assert httpx.get(f"{served.url}/v1/costs?window=7d").status_code == 200
        assert time.monotonic() - began < 1
    assert until(lambda: served.copying() == [])
    assert httpx.get(f"{served.url}/v1/exports/costs.csv?window=7d").status_code == 200


def test_a_reader_that_takes_nothing_any_more_is_let_go(built: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A laptop that was closed keeps its socket for hours; two of them must not end exports for everybody."""
    monkeypatch.setattr(stream, "STALLED_SECONDS", 0.2)
    app = create_app(built, Settings())
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def ask() -> int:
        async with app.router.lifespan_context(app):
            for _ in range(3):
                scope = {
                    "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
                    "path": "/v1/exports/costs.csv", "query_string": b"window=7d", "headers": [], "scheme": "http",
                    "server": ("api", 80), "client": ("127.0.0.1", 50_000), "root_path": "",
                }  # fmt: skip
                await asyncio.wait_for(app(scope, receive, send), 10)
            exports: stream.Exports = app.state.exports
            return exports._running

    assert asyncio.run(ask()) == 0
    assert [message.get("status") for message in sent if message["type"] == "http.response.start"] == [200] * 3
    assert all(message.get("more_body", True) for message in sent)
