"""What an API tells of itself while answers are kept."""

import time

import httpx


def number(client: httpx.Client, name: str) -> float:
    """A number of /metrics."""
    lines = client.get("/metrics").text.splitlines()
    return next(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def until_it_listens(client: httpx.Client) -> None:
    """Return once changes are heard of."""
    for _ in range(200):
        client.get("/v1/meta")
        if number(client, "finops_listens_for_changes"):
            return
        time.sleep(0.05)
    raise AssertionError("it never listened")
