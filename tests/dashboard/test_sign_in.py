"""Signing in as people do it: on the page, at a provider, and back to the view they were looking at."""

import threading
from collections.abc import Iterator

import pytest
import uvicorn
from helpers.browsing import Visitor, faults, loaded
from helpers.processes import free_port
from oidcserver.server import serving
from playwright.sync_api import Browser, expect

from finops_api.app import create_app
from finops_warehouse.settings import Settings


@pytest.fixture
def visitor(browser: Browser, warehouse: str) -> Iterator[Visitor]:
    """Somebody in front of a dashboard whose people sign in."""
    port = free_port()
    with serving() as provider:
        settings = Settings.model_validate(
            {
                "public_url": f"http://127.0.0.1:{port}",
                "api_key_pepper": "a pepper of these tests",
                "oidc_issuer": provider.issuer,
                "oidc_client_id": provider.client_id,
                "oidc_client_secret": provider.client_secret,
                "oidc_viewers": "@example.com",
            }
        )
        config = uvicorn.Config(create_app(warehouse, settings), host="127.0.0.1", port=port, log_config=None)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server did not start"
        visitor = Visitor(browser, f"http://127.0.0.1:{port}")
        yield visitor
        for context in visitor.contexts:
            context.close()
        server.should_exit = True
        thread.join(timeout=10)


@pytest.mark.parametrize("width", [1440, 390])
def test_somebody_signs_in_looks_and_signs_out(visitor: Visitor, width: int) -> None:
    """They come back to the very view, nothing of theirs is within reach of a script, and out is out."""
    view = "/?by=project&from=2026-10-01&to=2026-10-07"
    page = visitor.visit(view, width=width)
    expect(page.get_by_text("Sign in to see what it cost.")).to_be_visible()
    assert faults(page) == []
    page.get_by_role("link", name="Sign in").click()

    loaded(page)
    assert page.url == visitor.address + view
    expect(page.get_by_role("banner")).to_contain_text("viewer@example.com")
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert faults(page) == []
    # A browser reports the 401 of the beginning.
    assert all("401" in complaint for complaint in visitor.complaints)

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("Sign in to see what it cost.")).to_be_visible()
    assert page.request.get(f"{visitor.address}/v1/me").status == 401


def test_a_session_that_ends_while_somebody_looks_takes_the_numbers_away(visitor: Visitor) -> None:
    """With the next look at how fresh they are, the page asks who is there."""
    page = visitor.visit("/favicon.svg")
    page.clock.install()
    page.goto(visitor.address)
    page.get_by_role("link", name="Sign in").click()
    loaded(page)
    page.context.clear_cookies()
    page.clock.run_for(61_000)

    expect(page.get_by_text("Sign in to see what it cost.")).to_be_visible()
