"""The real thing: `finops serve` as a process, spoken to over a socket."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

FINOPS = Path(sys.executable).with_name("finops")


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def served(built: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen[str], Path]]:
    """A running `finops serve` with a token and JSON logs, its address and its log."""
    folder = tmp_path_factory.mktemp("serve")
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": built,
        "FINOPS_HOME": str(folder / "home"),
        "API_TOKEN": "let-me-in-please",
        "LOG_FORMAT": "json",
    }
    log = folder / "log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [FINOPS, "serve", "--port", str(port)], cwd=folder, env=environment, stderr=stderr, text=True
        )
    url = f"http://127.0.0.1:{port}"
    for _ in range(300):
        if process.poll() is not None:
            break
        try:
            httpx.get(f"{url}/livez")
            break
        except httpx.ConnectError:
            time.sleep(0.1)
    assert process.poll() is None, log.read_text()
    yield url, process, log
    process.kill()
    process.wait()


Served = tuple[str, subprocess.Popen[str], Path]


def logged_ids(log: Path, wanted: str) -> set[str]:
    """The ids in a log, once the wanted one is there: its line is written after the answer is sent."""
    for _ in range(100):
        if wanted in log.read_text():
            break
        time.sleep(0.05)
    return {json.loads(line).get("request_id") for line in log.read_text().splitlines()}


def test_it_serves_costs_over_a_socket(served: Served) -> None:
    """What a dashboard does: a token, a question, an answer with an id that is in the log."""
    url, _, log = served

    answer = httpx.get(
        f"{url}/v1/costs?window=7d&granularity=total", headers={"Authorization": "Bearer let-me-in-please"}
    )

    assert answer.status_code == 200
    assert {"EUR", "USD"} == {item["billing_currency"] for item in answer.json()["items"]}
    assert answer.headers["x-request-id"] in logged_ids(log, answer.headers["x-request-id"])
    assert "let-me-in-please" not in log.read_text()


def test_a_line_that_is_too_long_or_no_http_leaves_it_alive(served: Served) -> None:
    """Ports are scanned; whatever is sent, the next request is served."""
    url, _, _ = served
    host, port = url.removeprefix("http://").split(":")
    for sent in (
        b"\x16\x03\x01\x02\x00\x01",
        b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9\r\n\r\n",
    ):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(sent)
            connection.settimeout(5)
            try:
                said = connection.recv(1000)
            except ConnectionResetError:
                said = b""
        assert not said or said.startswith((b"HTTP/1.1 4", b"Invalid")), said

    assert httpx.get(f"{url}/readyz").status_code == 200


def test_it_ends_when_it_is_told_to(built: str, tmp_path: Path) -> None:
    """A rolling update sends SIGTERM; the open warning is in the log of a server without a token."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": built,
        "FINOPS_HOME": str(tmp_path),
        "LOG_FORMAT": "json",
    }
    process = subprocess.Popen(
        [FINOPS, "serve", "--port", str(port)], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    said = process.stderr.readline()

    assert json.loads(said)["event"] == "open without a key"
    for _ in range(300):
        try:
            assert httpx.get(f"http://127.0.0.1:{port}/v1/meta").status_code == 200
            break
        except httpx.ConnectError:
            time.sleep(0.1)
    # Whom the socket leads to decides who is on this machine. A header that were believed would close it here, and
    # could open it elsewhere.
    forwarded = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    assert httpx.get(f"http://127.0.0.1:{port}/v1/meta", headers=forwarded).status_code == 200
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode in (0, -signal.SIGTERM)


def test_it_refuses_to_be_open_to_a_network(built: str, tmp_path: Path) -> None:
    """The refusal names the variable, on stderr, with an exit code a supervisor sees."""
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": built, "FINOPS_HOME": str(tmp_path)}

    ran = subprocess.run(
        [FINOPS, "serve", "--host", "0.0.0.0", "--port", str(free_port())],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ran.returncode == 1
    assert "API_TOKEN is not set" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_with_a_key_it_may_listen_to_a_network(spoilt: str, tmp_path: Path) -> None:
    """Made by the command line with a pepper of its own making, checked by a server that shares its folder."""
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": spoilt, "FINOPS_HOME": str(tmp_path / "home")}
    made = subprocess.run(
        [FINOPS, "keys", "create", "tests", "--scope", "read"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    key = {"Authorization": f"Bearer {made.stdout.strip()}"}
    with (tmp_path / "log").open("w") as stderr:
        process = subprocess.Popen(
            [FINOPS, "serve", "--host", "0.0.0.0", "--port", str(port)], cwd=tmp_path, env=environment, stderr=stderr
        )
    url = f"http://127.0.0.1:{port}/v1/meta"
    for _ in range(300):
        try:
            # From this machine, with a header that says so: it listens to others, so a key is needed all the same.
            assert httpx.get(url, headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 401
            break
        except httpx.ConnectError:
            time.sleep(0.1)

    assert httpx.get(url, headers=key).status_code == 200
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)
    assert made.stdout.strip() not in (tmp_path / "log").read_text()
