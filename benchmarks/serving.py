"""What benchmarks share that ask a server: one in a process of its own, and asking it."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import IO


@contextmanager
def serving(port: int, module: str, *arguments: str, logs_to: IO[str] | None = None) -> Iterator[int]:
    """`python -m module serve arguments` until it is left; its process, once it answers at the port."""
    process = subprocess.Popen([sys.executable, "-m", module, "serve", *arguments], stderr=logs_to)
    try:
        for _ in range(200):
            time.sleep(0.1)
            try:
                get(port, "/openapi.json")
                break
            except OSError:
                continue
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def get(port: int, path: str, headers: Mapping[str, str] | None = None) -> tuple[dict[str, str], bytes]:
    """Headers, by their names in lower case, and body. Refuses any answer but a good one."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers=dict(headers or {}))
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200:
        raise AssertionError(f"{path}: {answer.status} {body[:300]!r}")
    return {name.lower(): value for name, value in answer.getheaders()}, body
