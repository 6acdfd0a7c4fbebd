"""A real Redis of a test's own: started, killed, halted and spoilt as the test says."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from redis import Redis
from redis.exceptions import RedisError

SERVERS = ("redis-server", "valkey-server")
STARTS_WITHIN_SECONDS = 10.0


def redis_binary() -> str:
    """`REDIS_SERVER`, or the system's (`make redis` sees to one)."""
    path = os.environ.get("REDIS_SERVER") or next(filter(None, map(shutil.which, SERVERS)), None)
    if path is None:
        raise FileNotFoundError("there is no redis-server; `make redis` finds or fetches one, REDIS_SERVER names it")
    return path


class RedisServer:
    """One server on one port, that keeps nothing on disk. Used as a context manager."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it and return once it answers."""
        # Nothing is kept on disk unless the test says otherwise.
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    redis_binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder),
                    *(self._options or ("--save", "", "--appendonly", "no")),
                ],
                stdout=log, stderr=log,
            )  # fmt: skip
        end = time.monotonic() + STARTS_WITHIN_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            try:
                with self.client() as client:
                    client.ping()
            except RedisError as error:
                if "NOAUTH" in str(error) or "NOPERM" in str(error):  # it answers, if only to refuse
                    return
                time.sleep(0.01)
            else:
                return
        raise AssertionError((self._folder / "redis.log").read_text())

    def client(self, url: str | None = None) -> Redis:
        """A client of it, to look and to spoil."""
        return Redis.from_url(url or self.url, socket_timeout=5)

    def kill(self) -> None:
        """As the kernel does when memory runs out."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def halt(self) -> None:
        """From now on it accepts connections and answers nobody."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """It answers again, first of all what it was asked meanwhile."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "it is not running"
        self._process.send_signal(number)
