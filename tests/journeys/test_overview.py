"""The overview of a running demo: every figure on it is a figure of the charges, and opens to them."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import httpx
import pytest
from helpers.browsing import Visitor, faults, loaded
from helpers.demo import PICTURES, Demo
from playwright.sync_api import Browser, Page, expect

from finops_insights.facts import MINUS, money


@pytest.fixture
def visitor(browser: Browser, demo: Demo) -> Iterator[Visitor]:
    """Somebody who opens the demo's dashboard; the console stays silent."""
    visitor = Visitor(browser, demo.api_url)
    yield visitor
    for context in visitor.contexts:
        context.close()
    assert visitor.complaints == []


def asked(demo: Demo, path: str, **parameters: str) -> Any:  # noqa: ANN401 -- JSON
    """What the API answers."""
    return httpx.get(f"{demo.api_url}/v1/{path}", params=parameters, timeout=30).raise_for_status().json()


def this_month(demo: Demo) -> tuple[date, date]:
    """First day and end of what the page opens with."""
    last = date.fromisoformat(asked(demo, "meta")["complete_through"])
    return last.replace(day=1), last + timedelta(days=1)


def spent(demo: Demo, start: date, end: date, by: str = "null::text") -> dict[str | None, Decimal]:
    """What the raw charges of some days add up to."""
    with demo.connect() as connection:
        rows = connection.execute(
            f"select {by}, sum(billed_cost) from finops.raw_charges "
            "where usage_day >= %s and usage_day < %s and billing_currency = 'USD' group by 1",
            [start, end],
        ).fetchall()
    return dict(rows)


def shown(amount: Decimal) -> str:
    """An amount as the page writes it."""
    return money(amount, "USD") if amount else "$0"


def moved(now: Decimal, before: Decimal) -> str:
    """A change as the page writes it: amount and share, both with their sign."""
    by = now - before
    sign = "+" if by > 0 else ""
    if not before:
        return f"{sign}{shown(by)}" + (" new" if by else "")
    share = (abs(by) / abs(before) * 100).quantize(Decimal("0.1"), ROUND_HALF_UP)
    if not by:
        return f"{shown(by)} 0.0%"
    return f"{sign}{shown(by)} {'+' if by > 0 else MINUS}{share:,f}%" if share else f"{sign}{shown(by)}"


def text_of(locator: Any) -> str:  # noqa: ANN401 -- a locator
    """The text of something, on one line."""
    return re.sub(r"\s+", " ", locator.inner_text()).strip()


def test_every_cost_on_the_page_is_what_the_charges_add_up_to(demo: Demo, visitor: Visitor) -> None:
    """Lead, burn rate, each row with its change on the month before, and the total: against SQL over the raw rows."""
    start, end = this_month(demo)
    before = (start - timedelta(days=1)).replace(day=1)
    page = loaded(visitor.visit())
    now_by = spent(demo, start, end, "service_name")
    before_by = spent(demo, before, min(before + (end - start), start), "service_name")
    now, earlier = sum(now_by.values(), Decimal(0)), sum(before_by.values(), Decimal(0))
    lead = text_of(page.get_by_role("region", name="Key figures"))

    assert shown(now) in lead
    assert moved(now, earlier).replace(" ", " (") + ")" in lead
    assert f"{shown(now / (end - start).days)} / day" in lead

    rows = page.get_by_role("region", name="Cost by service", exact=True).get_by_role("row")
    texts = [text_of(row) for row in rows.all()]
    largest = sorted(now_by, key=lambda name: -now_by[name])[:7]
    for name, text in zip(largest, texts[1:8], strict=True):
        assert text.startswith(f"{name} "), text
        for part in (shown(now_by[name]), shown(before_by.get(name, Decimal(0))), moved(now_by[name], before_by[name])):
            assert part in text, (part, text)
    rest = {name for name in now_by.keys() | before_by.keys() if name not in largest}
    rest_now = sum((now_by.get(name, Decimal(0)) for name in rest), Decimal(0))
    rest_before = sum((before_by.get(name, Decimal(0)) for name in rest), Decimal(0))
    assert all(part in texts[8] for part in (shown(rest_now), shown(rest_before), moved(rest_now, rest_before)))
    assert all(part in texts[9] for part in ("Total", shown(now), shown(earlier), moved(now, earlier)))


def test_every_day_of_the_chart_is_what_the_charges_add_up_to(demo: Demo, visitor: Visitor) -> None:
    """The table form of the chart: each day, those before the period and those still arriving too."""
    start, end = this_month(demo)
    page = loaded(visitor.visit("/?view=table"))
    by_day = spent(demo, start - (end - start), demo.last_day + timedelta(days=1), "usage_day::text")

    rows = page.get_by_role("region", name="Daily cost by service, as a table").get_by_role("row").all()[1:]
    totals = [text_of(row).rsplit(" ", 1)[-1] for row in rows]
    assert totals == [shown(by_day[day]) for day in sorted((d for d in by_day if d), reverse=True)]


def test_the_forecast_and_the_savings_are_those_that_are_stored(demo: Demo, visitor: Visitor) -> None:
    """With the interval and the range they were stored with."""
    with demo.connect() as connection:
        [(expected, low, high)] = connection.execute(
            "select expected_cost, low_80, high_80 from finops.cost_forecasts where scope = 'total' "
            "and billing_currency = 'USD' and period = 'month_end' order by as_of_day desc limit 1"
        ).fetchall()
        [(likely, count)] = connection.execute(
            "select sum(monthly_saving_mid), count(*) from finops.savings_recommendations where counted "
            "and billing_currency = 'USD' and as_of_day = (select max(as_of_day) from finops.savings_recommendations)"
        ).fetchall()
    lead = text_of(loaded(visitor.visit()).get_by_role("region", name="Key figures"))

    assert shown(expected) in lead
    assert f"80% interval {in_thousands(low)} to {in_thousands(high)}" in lead
    assert f"{shown(likely)} / month" in lead
    assert f"{count} recommendation" in lead


def in_thousands(amount: Decimal) -> str:
    """An end of a range as the page writes it."""
    return f"${(amount / 1000).quantize(Decimal(1), ROUND_HALF_UP)}k" if amount >= 10_000 else shown(amount)


def test_every_figure_of_every_insight_opens_and_matches(demo: Demo, visitor: Visitor) -> None:
    """None is written without a way to what it is made of; what the drawer says is what the API recomputes."""
    page = loaded(visitor.visit())
    figures = page.get_by_role("region", name="Insights").get_by_role("article").get_by_role("button")
    keys = [str(figure.get_attribute("data-evidence")) for figure in figures.all()]
    assert len(keys) > 10

    for number, key in enumerate(keys):
        kind, insight, fact = key.split("/")
        assert kind == "insight"
        evidence = asked(demo, "evidence", insight_id=insight, fact_id=fact)
        assert evidence["matches"], key
        if evidence["cell"]:
            assert Decimal(evidence["rows_sum"]) == Decimal(evidence["cell_value"]), key
        if number % 4 == 0:
            figures.nth(number).click()
            drawer = page.get_by_role("dialog")
            expect(drawer).to_contain_text("Matches.")
            if evidence["unit"] == "currency":
                expect(drawer.get_by_role("heading", level=2)).to_have_text(f"Evidence for {evidence['formatted']}")
            page.keyboard.press("Escape")
            expect(figures.nth(number)).to_be_focused()


STATES = [(1440, False), (1440, True), (390, False), (390, True)]


@pytest.mark.parametrize(("width", "dark"), STATES, ids=[f"{w}-{'dark' if d else 'light'}" for w, d in STATES])
def test_it_can_be_read_and_is_worth_a_look(visitor: Visitor, width: int, dark: bool) -> None:
    """No fault that axe knows of, no sideways scroll, nothing in the console; and a picture of it."""
    page = loaded(visitor.visit(width=width, dark=dark, height=900 if width > 400 else 844))

    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    picture(page, f"overview-{width}-{'dark' if dark else 'light'}")


def picture(page: Page, name: str, *, full: bool = False) -> None:
    """Leave a picture among the artifacts."""
    PICTURES.mkdir(exist_ok=True)
    page.mouse.move(0, 0)  # what the pointer stands on is emphasised
    page.wait_for_timeout(300)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=full)


def test_the_other_forms_are_worth_a_look_too(demo: Demo, visitor: Visitor) -> None:
    """The whole page with a row open, the cumulative view, and the evidence of a figure."""
    page = loaded(visitor.visit())
    page.get_by_role("button", name="BigQuery", exact=True).click()
    expect(page.get_by_role("row", name=re.compile("^Northwind")).first).to_be_visible()
    picture(page, "overview-1440-full", full=True)
    page.get_by_role("button", name="Cumulative").click()
    picture(page, "cumulative-1440-light")
    page.get_by_role("region", name="Insights").get_by_role("article").first.get_by_role("button").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("Matches.")
    picture(page, "evidence-1440-light")


def test_the_badges_lead_to_what_they_speak_of(demo: Demo, visitor: Visitor) -> None:
    """The usage day and the invoice month, each as a partition in Dagster."""
    meta = asked(demo, "meta")
    page = loaded(visitor.visit())
    fresh = page.get_by_role("link", name=re.compile("^Complete to"))
    proven = page.get_by_role("link", name=re.compile("econciled"))
    closed = max(m["invoice_month"] for m in meta["invoice_months"] if m["state"] == "closed")

    assert fresh.get_attribute("href") == (
        f"{meta['dagster_url']}/assets/aggregated_cost_data?view=partitions&partition={meta['complete_through']}"
    )
    assert (
        proven.get_attribute("href")
        == f"{meta['dagster_url']}/assets/invoice_months?view=partitions&partition={closed}"
    )
    expect(proven).to_contain_text("$0.00 off invoice")
