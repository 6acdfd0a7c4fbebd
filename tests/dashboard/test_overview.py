"""What people do on the overview, over a warehouse that was really built."""

import re
from decimal import Decimal

import psycopg
import pytest
from helpers.browsing import Visitor, faults, loaded, total_row
from playwright.sync_api import expect

DAYS = "usage_day >= '2026-10-01' and usage_day < '2026-10-19' and billing_currency = 'USD'"
"""What `this month` is: the sample is complete through 18 October."""


def dollars(amount: Decimal) -> str:
    """An amount as tables show it."""
    return f"${amount:,.0f}"


def total(charges: psycopg.Connection, where: str = "true") -> Decimal:
    """What the raw charges of the month add up to."""
    [(amount,)] = charges.execute(
        f"select sum(billed_cost) from finops.raw_charges where {DAYS} and {where}"
    ).fetchall()
    return Decimal(amount)


def test_the_first_figure_is_what_the_charges_add_up_to(visitor: Visitor, charges: psycopg.Connection) -> None:
    """The lead, the foot of the table and the raw rows say one number."""
    page = loaded(visitor.visit())
    amount = dollars(total(charges))

    expect(page.get_by_role("region", name="Key figures").get_by_role("button", name=amount)).to_be_visible()
    expect(total_row(page).get_by_role("button")).to_have_text(amount)


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_everybody_can_read_it(visitor: Visitor, width: int, dark: bool) -> None:
    """No fault that axe knows of, no sideways scroll, in either theme, on a desk and on a phone."""
    page = loaded(visitor.visit(width=width, dark=dark))

    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize(
    "path",
    [
        "/?view=cumulative",
        "/?view=table",
        "/?show=savings",
        "/?f=service:nothing-is-called-so",
        "/?unknown=1",
        "/?period=7d&by=sku",
    ],
)
@pytest.mark.parametrize("width", [1440, 390])
def test_every_state_can_be_read(visitor: Visitor, path: str, width: int) -> None:
    """Views, drawers, the empty page and the notice are pages too."""
    page = loaded(visitor.visit(path, width=width))

    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_a_figure_of_the_text_opens_what_it_is_made_of(visitor: Visitor) -> None:
    """Each figure of each insight: the drawer says the same amount, recomputed, and that it matches."""
    page = loaded(visitor.visit())
    figures = page.get_by_role("region", name="Insights").get_by_role("article").get_by_role("button")
    count = figures.count()
    assert count > 20

    for number in range(0, count, 5):
        figure = figures.nth(number)
        figure.click()
        drawer = page.get_by_role("dialog")
        expect(drawer).to_contain_text("Matches.")
        page.keyboard.press("Escape")
        expect(drawer).to_have_count(0)
        expect(figure).to_be_focused()


def test_an_amount_of_the_table_opens_its_charges(visitor: Visitor, charges: psycopg.Connection) -> None:
    """The sum at the foot of the rows is the amount that was pressed, to the cent; it survives a reload."""
    page = loaded(visitor.visit())
    page.get_by_role("row", name="Compute Engine").get_by_role("button", name=re.compile(r"^\$")).click()

    drawer = page.get_by_role("dialog")
    amount = total(charges, "service_name = 'Compute Engine'")
    expect(drawer.get_by_role("heading", name=f"Evidence for ${amount:,.2f}")).to_be_visible()
    expect(drawer.get_by_role("row", name="Sum of all rows")).to_contain_text(f"${amount:,.2f}")
    expect(drawer.get_by_role("row")).to_have_count(52)
    drawer.get_by_role("button", name="Show more").click()
    expect(drawer.get_by_role("row")).to_have_count(102)
    assert faults(page) == []

    page.reload()
    expect(drawer.get_by_role("heading", name=f"Evidence for ${amount:,.2f}")).to_be_visible()
    drawer.get_by_role("button", name="Close").click()
    expect(
        page.get_by_role("row", name="Compute Engine").get_by_role("button", name=re.compile(r"^\$"))
    ).to_be_focused()


def test_the_rows_of_a_number_can_be_taken_along(visitor: Visitor) -> None:
    """All of them, not only those on screen."""
    page = loaded(visitor.visit())
    page.get_by_role("row", name="Compute Engine").get_by_role("button", name=re.compile(r"^\$")).click()
    button = page.get_by_role("dialog").get_by_role("button", name="Download")
    expect(button).to_be_visible()
    rows = int(re.sub(r"\D", "", button.inner_text()))

    with page.expect_download() as taken:
        button.click()

    lines = taken.value.path().read_text(encoding="utf-8").splitlines()
    assert len(lines) == rows + 1


def test_a_row_opens_into_what_it_is_made_of(visitor: Visitor, charges: psycopg.Connection) -> None:
    """A service opens into its projects, each with the amount of its charges."""
    page = loaded(visitor.visit())
    page.get_by_role("button", name="Compute Engine", exact=True).click()
    amount = total(charges, "service_name = 'Compute Engine' and sub_account_id = 'nw-shop-prod'")

    child = page.get_by_role("row", name="Northwind shop prod")
    expect(child.get_by_role("button")).to_have_text(dollars(amount))
    child.get_by_role("button").click()
    expect(page.get_by_role("dialog")).to_contain_text(f"${amount:,.2f}")


def test_a_link_shows_others_what_was_seen(visitor: Visitor) -> None:
    """Copied in one session, opened in another: the same figures, and the same days tomorrow."""
    page = loaded(visitor.visit("/?by=project&period=7d&f=service:BigQuery"))
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")

    assert "from=2026-10-12&to=2026-10-18" in link
    other = loaded(visitor.visit(link.removeprefix(visitor.address)))
    seen = page.get_by_role("region", name="Cost by project", exact=True).inner_text()
    expect(other.get_by_role("region", name="Cost by project", exact=True)).to_have_text(seen, use_inner_text=True)


def test_what_a_link_asks_in_vain_is_said(visitor: Visitor) -> None:
    """Dropped, and named: a silently ignored filter is a wrong total."""
    page = loaded(visitor.visit("/?colour=red&by=service"))

    expect(page.get_by_text("colour")).to_be_visible()
    page.get_by_role("button", name="Dismiss").click()
    expect(page.get_by_text("colour")).to_have_count(0)


def test_a_filter_is_found_put_on_and_taken_off(visitor: Visitor, charges: psycopg.Connection) -> None:
    """By the keyboard alone."""
    page = loaded(visitor.visit())
    page.get_by_role("button", name="Add filter").press("Enter")
    page.get_by_label("Filter by").select_option("project")
    page.get_by_label("Search projects").fill("archive")
    page.get_by_role("button", name="Northwind archive").press("Enter")

    amount = dollars(total(charges, "sub_account_id = 'nw-archive'"))
    expect(total_row(page).get_by_role("button")).to_have_text(amount)
    assert page.url.endswith("/?f=project:nw-archive")
    page.get_by_role("button", name="Remove project filter: Northwind archive").press("Enter")
    expect(total_row(page).get_by_role("button")).to_have_text(dollars(total(charges)))


def test_an_empty_page_offers_the_way_back(visitor: Visitor) -> None:
    """It names the filter that emptied it, and what comes back without it."""
    page = loaded(visitor.visit("/?f=service:nothing-is-called-so"))
    chart = page.get_by_role("region", name="Daily cost by service")

    expect(chart).to_contain_text("No charges match these filters.")
    expect(chart).to_contain_text(re.compile(r"[\d,]+ charges match without the service filter"))
    chart.get_by_role("button", name="Remove service filter").click()
    expect(chart.get_by_role("group", name="Daily cost by service")).to_be_visible()


def test_currencies_are_never_added(visitor: Visitor, charges: psycopg.Connection) -> None:
    """One at a time, chosen in the bar."""
    page = loaded(visitor.visit())
    page.get_by_role("button", name="Currency USD").click()
    page.get_by_role("radio", name="EUR").click()

    where = DAYS.replace("USD", "EUR")
    [(amount,)] = charges.execute(f"select sum(billed_cost) from finops.raw_charges where {where}").fetchall()
    expect(total_row(page).get_by_role("button")).to_have_text(f"€{amount:,.0f}")
    expect(page.get_by_role("main")).not_to_contain_text("$")


def test_the_chart_is_read_by_the_keyboard(visitor: Visitor, charges: psycopg.Connection) -> None:
    """Arrow keys go from day to day; each is spoken with its total, and Escape lets go."""
    page = loaded(visitor.visit())
    chart = page.get_by_role("group", name=re.compile("Daily cost by service"))
    chart.focus()
    page.keyboard.press("ArrowRight")

    [(amount,)] = charges.execute(
        "select sum(billed_cost) from finops.raw_charges where usage_day = '2026-10-01' and billing_currency = 'USD'"
    ).fetchall()
    expect(chart.get_by_role("status")).to_have_text(f"Thu 1 Oct: {dollars(amount)}")
    page.keyboard.press("ArrowLeft")
    expect(chart.get_by_role("status")).to_contain_text("Wed 30 Sep")
    page.keyboard.press("Escape")
    expect(chart.get_by_role("status")).to_have_text("")


def test_unfinished_days_are_shown_and_counted_nowhere(visitor: Visitor) -> None:
    """19 and 20 October are still arriving."""
    page = loaded(visitor.visit())
    expect(page.get_by_text("19 \N{EN DASH} 20 Oct, still arriving")).to_be_visible()
    page.get_by_role("button", name="Table").click()

    expect(page.get_by_role("row", name=re.compile("^Mon 19 Oct arriving"))).to_be_visible()


@pytest.mark.parametrize("timezone", ["Asia/Singapore", "America/New_York"])
def test_days_are_the_same_wherever_they_are_read(visitor: Visitor, timezone: str) -> None:
    """A usage day is a name, not a moment."""
    here = loaded(visitor.visit("/?view=table"))
    there = loaded(visitor.visit("/?view=table", timezone=timezone))
    table = "Daily cost by service, as a table"

    assert there.get_by_role("region", name=table).inner_text() == here.get_by_role("region", name=table).inner_text()


def test_a_mark_is_numbered_like_its_insight(visitor: Visitor) -> None:
    """And opens what it cost above what was expected."""
    page = loaded(visitor.visit())
    headline = page.get_by_role("article").first.get_by_role("heading").inner_text().splitlines()[-1]
    mark = page.get_by_role("button", name=re.compile(r"^1, 1\d Oct: "))

    assert headline in (mark.get_attribute("aria-label") or "")
    mark.click()
    expect(page.get_by_role("dialog")).to_contain_text("Matches.")
    page.keyboard.press("Escape")
    expect(mark).to_be_focused()


def test_nothing_moves_while_it_loads(visitor: Visitor) -> None:
    """Layout shift under 0.1, and the first figures within a second."""
    page = visitor.visit()
    page.add_init_script(
        "window.shift = 0; new PerformanceObserver(l => l.getEntries().forEach(e => window.shift += e.value))"
        ".observe({type: 'layout-shift', buffered: true});"
        "new PerformanceObserver(l => l.getEntries().forEach(e => window.lcp = e.startTime))"
        ".observe({type: 'largest-contentful-paint', buffered: true})"
    )
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.reload()
        loaded(page)
        page.wait_for_timeout(300)

        assert page.evaluate("window.shift") < 0.1, width
        assert page.evaluate("window.lcp") < 2000, width


def test_the_theme_can_be_chosen_and_stays(visitor: Visitor) -> None:
    """Until then it follows the system."""
    page = loaded(visitor.visit())
    page.get_by_role("button", name="Theme").click()
    page.get_by_role("radio", name="Dark").click()
    page.reload()
    loaded(page)

    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 16, 21)"


@pytest.mark.parametrize("width", [1440, 390])
def test_a_period_that_was_restated_says_so(visitor: Visitor, charges: psycopg.Connection, width: int) -> None:
    """Which days moved since somebody first read them, and by how much together, stands under the chart."""
    [(days, moved)] = charges.execute(
        "select count(distinct usage_day), sum(billed_cost_after - billed_cost_before) "
        f"from finops.restatements where {DAYS}"
    ).fetchall()
    page = loaded(visitor.visit(width=width))

    note = page.get_by_role("region", name=re.compile("cost", re.I)).get_by_text("moved after being served")
    expect(note).to_contain_text(f"{days} days of this period")
    sign = "\N{MINUS SIGN}" if moved < 0 else ""
    expect(note).to_contain_text(f"{sign}${abs(moved):,.2f} together")
