"""A demo for each module of journeys: the real command, its real Dagster, its real API, a real browser."""

import json
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import httpx
import pytest
from helpers.browsing import chromium
from helpers.demo import Demo
from helpers.processes import free_port, running
from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def demo(shared_folder: Path, request: pytest.FixtureRequest) -> Iterator[Demo]:
    """`finops demo`, as a newcomer starts it, on free ports. One module ends its own; another's must go on."""
    home = shared_folder / request.module.__name__.rsplit(".", 1)[-1]
    ports = ("--port", str(free_port()), "--dagster-port", str(free_port()))
    with running(home, "demo", "--json", *ports) as process:
        assert process.stdout
        line = process.stdout.readline()
        assert line, (home / "stderr.log").read_text()
        told = json.loads(line)
        _wait_for(told["api_url"] + "/livez")  # the tables are built; the API starts now
        yield Demo(
            home,
            process.pid,
            date.fromisoformat(told["first_day"]),
            date.fromisoformat(told["last_day"]),
            told["seconds"],
            told["api_url"],
            told["dagster_url"],
        )


def _wait_for(url: str) -> None:
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at:
        try:
            httpx.get(url)
        except httpx.ConnectError:
            time.sleep(0.2)
        else:
            return


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium, for one module: while Playwright runs, nothing else in its thread may use asyncio."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A window of 1600 x 900."""
    page = browser.new_page(viewport={"width": 1600, "height": 900})
    yield page
    page.close()
