"""A bare `dagster dev` in the checkout: no flags, no settings, the server started by whoever needs it first."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
from helpers.processes import environment, free_port

CHECKOUT = Path(__file__).parents[2]
LOADED = "{ assetNodes { assetKey { path } } workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }"


def test_dagster_dev_needs_nothing_but_the_checkout(shared_folder: Path) -> None:
    """A data engineer's first reflex; it must find the graph, and stop without leaving a server behind."""
    home, port = shared_folder / "bare", free_port()
    home.mkdir()
    with (home / "dagster.log").open("w") as log:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("dagster")), "dev", "-p", str(port)],
            cwd=CHECKOUT, env=environment(home), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            preexec_fn=_hear_ctrl_c,
        )  # fmt: skip
    try:
        assets = _assets(f"http://127.0.0.1:{port}/graphql")
    finally:
        process.terminate()
        process.wait(timeout=60)

    assert {"billing_export", "raw_charges", "aggregated_cost_data", "invoice_months"} <= assets, (
        home / "dagster.log"
    ).read_text()
    # Dagster's workers end without a word; the keeper hears it.
    assert _gone(home / "postgres" / "server" / "data" / "postmaster.pid")


def _hear_ctrl_c() -> None:
    """Started with `&` by a script we ignore Ctrl-C, and so would Dagster's children, which it stops by just that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _gone(file: Path) -> bool:
    give_up_at = time.monotonic() + 30
    while file.exists() and time.monotonic() < give_up_at:
        time.sleep(0.2)
    return not file.exists()


def _assets(url: str) -> set[str]:
    give_up_at = time.monotonic() + 120
    while time.monotonic() < give_up_at:
        try:
            data = httpx.post(url, json={"query": LOADED}, timeout=10).json()["data"]
        except (httpx.HTTPError, ValueError):
            data = {}
        if data.get("assetNodes"):
            return {node["assetKey"]["path"][-1] for node in data["assetNodes"]}
        time.sleep(1)
    return set()
