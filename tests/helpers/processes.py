"""Running `finops` as people do: as a process of its own, with an environment of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from finops_warehouse.settings import setting_names

FINOPS = str(Path(sys.executable).with_name("finops"))


def environment(home: Path, **settings: str) -> dict[str, str]:
    """The environment of a `finops` process that keeps its things in `home`."""
    outside = {*setting_names(), "DAGSTER_HOME", "PYTHONWARNINGS"}
    return {
        **{name: value for name, value in os.environ.items() if name not in outside},
        "FINOPS_HOME": str(home),
        **settings,
    }


TIMEOUT_SECONDS = 900


def finops(home: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run `finops` to its end."""
    home.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [FINOPS, *arguments],
        env=environment(home, **settings),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def finops_json(home: Path, *arguments: str, **settings: str) -> Any:  # noqa: ANN401 -- whatever the command prints
    """The one JSON document a `finops … --json` prints."""
    ran = finops(home, *arguments, "--json", **settings)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@contextmanager
def running(home: Path, *arguments: str, settings: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A `finops` process in the background, in a session of its own so that it can be signalled alone."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "stderr.log").open("a") as log:
        process = subprocess.Popen(
            [FINOPS, *arguments],
            env=environment(home, **(settings or {})),
            cwd=home,
            stdout=subprocess.PIPE,
            stderr=log,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.stdout:
            process.stdout.close()


def free_port() -> int:
    """A TCP port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
