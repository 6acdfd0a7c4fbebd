"""Looking at the dashboard as people do: with a browser, on a desk or a phone, in the light or the dark."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# As root Chromium has no sandbox; without the others it looks for hosts that a closed network refuses.
BROWSER_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium: `CHROMIUM`, the system's, or Playwright's own (`make browser` sees to one)."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=BROWSER_FLAGS)
        yield browser
        browser.close()


@dataclass
class Visitor:
    """Somebody with a browser, who hears what its console complains about."""

    browser: Browser
    address: str
    complaints: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def visit(
        self,
        path: str = "/",
        *,
        width: int = 1440,
        height: int = 900,
        dark: bool = False,
        timezone: str = "UTC",
    ) -> Page:
        """A page in a session of its own, loaded."""
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            timezone_id=timezone,
            reduced_motion="reduce",
            permissions=["clipboard-read", "clipboard-write"],
        )
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(self.address + path)
        return page


def total_row(page: Page) -> Locator:
    """The foot of the table of costs."""
    return page.get_by_role("row", name=re.compile("^Total"))


def loaded(page: Page) -> Page:
    """The page, once all of its panels hold what they were waiting for."""
    expect(total_row(page)).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="Loading")).to_have_count(0)
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    return page


def faults(page: Page) -> list[str]:
    """What axe finds on a page, best practices included."""
    found = Axe().run(page).response["violations"]
    return [f"{v['id']}: {v['help']} {[n['html'][:160] for n in v['nodes'][:3]]}" for v in found]
