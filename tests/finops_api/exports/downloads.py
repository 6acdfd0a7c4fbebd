"""Downloads over a socket, which can stop reading and can hang up."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import psutil
import psycopg

DIMENSIONS = ("sku", "region")
MEASURES = ("billed_cost", "effective_cost", "contracted_cost", "list_cost")
EVERYTHING = {"start": "2026-09-01", "end": "2026-10-21", "group_by": DIMENSIONS, "measure": MEASURES}
END = b"\r\n0\r\n\r\n"
"""How a chunked answer ends that is whole."""

PIPE = 256 * 1024
"""Bytes our side of a connection buffers, so that what is not read stays with the server."""


@dataclass(frozen=True)
class Served:
    """A running server, and a connection to its warehouse to see what it does there."""

    host: str
    port: int
    url: str
    process: psutil.Process
    watch: psycopg.Connection
    log: Path

    def copying(self) -> list[tuple[int, str | None]]:
        """The server's connections that copy now, and what each of them waits for."""
        return self.watch.execute(
            "select pid, wait_event from pg_stat_activity where datname = current_database() "
            "and backend_type = 'client backend' and application_name = 'finops_api' and state = 'active' "
            "and query like '%copy (%'"
        ).fetchall()


def begin(served: Served, form: str = "csv") -> socket.socket:
    """Ask for everything and read nothing."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIPE)
    connection.settimeout(60)
    connection.connect((served.host, served.port))
    path = f"/v1/exports/costs.{form}?{urlencode(EVERYTHING, doseq=True)}"
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {served.host}\r\n\r\n".encode())
    return connection


def read(connection: socket.socket, at_least: int) -> bytes:
    """So many bytes, or what there is until the end."""
    got = bytearray()
    while len(got) < at_least and (piece := connection.recv(1024 * 1024)):
        got += piece
    return bytes(got)


def until(condition: Callable[[], object], seconds: float = 20) -> bool:
    """Whether something comes to hold before long."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if condition():
            return True
        time.sleep(0.05)
    return bool(condition())
