"""What may stand between a client and the API: a gateway that is busy, a network that breaks, a page that is no API."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

Canned = tuple[int, dict[str, str], bytes]


@dataclass
class Between:
    """A gateway before a real API. It passes everything on, unless it is told otherwise."""

    url: str
    first: list[Canned] = field(default_factory=list)
    """What it answers by itself, before it begins to pass on."""
    cut_after: int | None = None
    """So many bytes of each answer are passed on, and then the connection is closed."""
    says_where_it_ends: bool = True
    answered: Callable[[int], None] = lambda _: None
    """Told how many answers there have been, before each is passed on."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of every request."""


@contextmanager
def between(api: str) -> Iterator[Between]:
    """A gateway on a port of its own before the API at this address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Passing) as server, httpx.Client(base_url=api, timeout=30) as behind:
        server.gateway = gateway = Between(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
        server.behind = behind  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield gateway
        finally:
            server.shutdown()
            thread.join()


class _Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _pass(self) -> None:
        gateway: Between = self.server.gateway  # type: ignore[attr-defined]
        behind: httpx.Client = self.server.behind  # type: ignore[attr-defined]
        gateway.asked.append((self.command, self.path))
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.close_connection = True
        if gateway.first:
            status, headers, canned = gateway.first.pop(0)
            self._start(status, {**headers, "Content-Length": str(len(canned))})
            self.wfile.write(canned)
            return
        sent = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        answer = behind.request(self.command, self.path, headers=sent, content=body)
        kept = {"content-type", "retry-after", "x-data-version", "x-complete-through", "x-missing-days"}
        headers = {name: value for name, value in answer.headers.items() if name in kept}
        if gateway.says_where_it_ends:
            headers["Content-Length"] = str(len(answer.content))
        gateway.answered(len(gateway.asked))
        self._start(answer.status_code, headers)
        self.wfile.write(answer.content[: gateway.cut_after])

    do_GET = do_POST = _pass  # noqa: N815 -- names of http.server

    def _start(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""
