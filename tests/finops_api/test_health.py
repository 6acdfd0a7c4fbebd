"""Whether the service says the truth about itself while its database comes and goes."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx
import pytest
from sqlalchemy import make_url

DATA = ["/v1/costs?window=7d", "/v1/meta", "/v1/dimensions/project/members"]


class Line:
    """The way to the database, which can be cut and mended as a network's can."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._open: list[socket.socket] = []
        self._listener: socket.socket | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.mend()

    def mend(self) -> None:
        """Let connections through."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self._to)
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=[one, other], daemon=True).start()

    @staticmethod
    def _pass_on(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while received := one.recv(65536):
                other.sendall(received)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)


@pytest.fixture
def line(built: str) -> Iterator[Line]:
    """A line to the built tables' server."""
    url = make_url(built)
    assert url.host is not None
    assert url.port is not None
    line = Line(url.host, url.port)
    yield line
    line.cut()


@pytest.fixture
def behind_the_line(line: Line, built: str, api_over: Callable[..., httpx.Client]) -> httpx.Client:
    """The API over the built tables, reached by the line."""
    return api_over(make_url(built).set(port=line.port).render_as_string(hide_password=False))


def test_it_lives_is_not_ready_and_recovers_by_itself(line: Line, behind_the_line: httpx.Client) -> None:
    """A database that restarts for a minute costs that minute: nobody has to restart us, nobody sees a 500."""
    assert (behind_the_line.get("/readyz").status_code, behind_the_line.get(DATA[0]).status_code) == (200, 200)

    line.cut()

    assert behind_the_line.get("/livez").text == "ok"
    for path in ["/readyz", DATA[0]]:
        answer = behind_the_line.get(path)
        assert answer.status_code == 503, path
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["title"] == "DatabaseUnreachable"
        assert int(answer.headers["retry-after"]) > 0
        assert str(line.port) not in answer.text

    line.mend()

    assert [behind_the_line.get(path).status_code for path in ["/readyz", *DATA]] == [200] * 4


def test_metrics_are_told_while_the_database_is_away(line: Line, behind_the_line: httpx.Client) -> None:
    """The counts of failed requests are wanted most while they fail."""
    assert "finops_warehouse_up 1.0" in behind_the_line.get("/metrics").text

    line.cut()
    behind_the_line.get("/v1/meta")
    told = behind_the_line.get("/metrics")

    assert told.status_code == 200
    assert "finops_warehouse_up 0.0" in told.text
    assert 'finops_http_requests_total{method="GET",route="/v1/meta",status="503"} 1.0' in told.text


def test_before_anything_is_built_there_is_no_answer_yet(
    database_url: str, api_over: Callable[..., httpx.Client]
) -> None:
    """An empty list would say that the company spent nothing."""
    client = api_over(database_url)

    for path in DATA[:2]:
        answer = client.get(path)
        assert (answer.status_code, answer.json()["title"]) == (503, "NothingLoaded")
        assert "finops status" in answer.json()["detail"]
        assert "retry-after" in answer.headers
    assert client.get("/readyz").status_code == 200  # it can answer; there is nothing to tell yet


def test_without_its_schema_it_is_not_ready(server: str, api_over: Callable[..., httpx.Client]) -> None:
    """A replica that starts before the migration job waits for it, outside of the load balancer."""
    client = api_over(make_url(server).set(database="postgres").render_as_string(hide_password=False))

    answer = client.get("/readyz")

    assert (answer.status_code, answer.json()["title"]) == (503, "SchemaMissing")
    assert client.get("/metrics").status_code == 200


def test_the_connection_can_only_read(built: str, api_over: Callable[..., httpx.Client]) -> None:
    """Whatever is found in a query some day, it cannot change a row through this service."""
    from finops_api.database import pool

    async def try_to_write() -> str:
        async with pool(built) as connections, connections.connection() as connection:
            cursor = await connection.execute("show default_transaction_read_only")
            row = await cursor.fetchone()
            assert row is not None
            return str(row[0])

    import asyncio

    assert asyncio.run(try_to_write()) == "on"
