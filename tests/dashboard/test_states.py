"""What the overview does when something is missing, late, refused or hostile."""

import json
from typing import Any

import pytest
from helpers.browsing import Visitor, faults, loaded, total_row
from helpers.subjects import HOSTILE as CORPUS
from playwright.sync_api import Page, Route, expect

HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>' + "x" * 200


def refused(route: Route, status: int = 503, title: str = "DatabaseUnreachable") -> None:
    """Answer as the API refuses."""
    body = {
        "type": f"/problems/{title}", "title": title, "status": status, "detail": "The warehouse does not answer now.",
        "instance": "/v1", "request_id": "0123456789abcdef",
    }  # fmt: skip
    route.fulfill(status=status, content_type="application/problem+json", body=json.dumps(body))


def changed(page: Page, path: str, change: Any) -> None:  # noqa: ANN401 -- any function of a JSON document
    """Have the API's real answers to a path changed on their way."""

    def answer(route: Route) -> None:
        answered = route.fetch()
        body = answered.json()
        change(body)
        route.fulfill(response=answered, json=body)

    page.route(f"**{path}*", answer)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_panel_that_fails_leaves_the_others_standing(visitor: Visitor, dark: bool) -> None:
    """It says what happened, under which request id, and tries again when told to."""
    page = visitor.visit("/favicon.svg", dark=dark)
    page.route("**/v1/costs?*granularity=daily*", lambda route: refused(route))
    page.goto(visitor.address)
    chart = page.get_by_role("region", name="Daily cost by service")

    expect(chart.get_by_role("alert")).to_contain_text("Daily cost by service did not load.")
    expect(chart.get_by_role("alert")).to_contain_text("503 (request 0123456789abcdef)")
    expect(total_row(page)).to_be_visible()
    assert faults(page) == []

    page.unroute("**/v1/costs?*granularity=daily*")
    chart.get_by_role("button", name="Try again").click()
    expect(chart.get_by_role("group", name="Daily cost by service")).to_be_visible()
    visitor.complaints.clear()  # a browser reports every 503


@pytest.mark.parametrize("path", ["insights", "forecasts", "recommendations", "anomalies"])
def test_no_part_is_needed_by_the_others(visitor: Visitor, path: str) -> None:
    """Costs are shown whatever is thought of them."""
    page = visitor.visit("/favicon.svg")
    page.route(f"**/v1/{path}?*", lambda route: refused(route))
    page.goto(visitor.address)

    loaded(page)
    expect(page.get_by_role("group", name="Daily cost by service")).to_be_visible()
    visitor.complaints.clear()


def test_before_anything_is_loaded_it_says_so(visitor: Visitor) -> None:
    """The first minutes of a deployment."""
    page = visitor.visit("/favicon.svg")
    page.route("**/v1/meta", lambda route: refused(route, title="NothingLoaded"))
    page.goto(visitor.address)

    expect(page.get_by_text("No costs are loaded yet.")).to_be_visible()
    assert faults(page) == []
    visitor.complaints.clear()


def test_a_deployment_with_a_token_asks_for_it(visitor: Visitor) -> None:
    """It is sent from then on, and is nowhere to be found in the browser."""
    page = visitor.visit("/favicon.svg")

    def guard(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer the-token":
            route.fallback()
        else:
            refused(route, 401, "NotAllowed")

    page.route("**/v1/**", guard)
    page.goto(visitor.address)
    page.get_by_label("API_TOKEN").fill("the-token")
    page.get_by_role("button", name="Open").press("Enter")

    loaded(page)
    assert "the-token" not in page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])")
    visitor.complaints.clear()


def test_nothing_unusual_is_said_too(visitor: Visitor) -> None:
    """An empty panel would leave open whether anybody looked."""
    page = visitor.visit("/favicon.svg")
    changed(page, "/v1/insights", lambda body: body.update(items=[], meta={**body["meta"], "withheld": 2}))
    page.goto(visitor.address)
    insights = loaded(page).get_by_role("region", name="Insights")

    expect(insights).to_contain_text("Nothing unusual from 1 Oct to 18 Oct.")
    expect(insights).to_contain_text("2 insights withheld")


def test_old_data_and_an_unmet_invoice_are_not_green(visitor: Visitor) -> None:
    """A number nobody should act on says so where people look first."""
    page = visitor.visit("/favicon.svg")

    def unmet(body: dict[str, Any]) -> None:
        for month in body["invoice_months"]:
            month.update(state="closed", residual="12.34" if month["billing_currency"] == "USD" else "0")

    changed(page, "/v1/meta", unmet)
    page.goto(visitor.address)
    loaded(page)

    expect(page.get_by_role("link", name="Complete to 18 Oct")).to_contain_text("days old")
    expect(page.get_by_role("link", name="Not reconciled")).to_contain_text("$12.34 off invoice, Oct")
    expect(page.get_by_role("region", name="Key figures")).to_contain_text("Not reconciled")


def test_days_that_were_never_built_are_no_zeroes(visitor: Visitor) -> None:
    """No change is computed from a comparison with nothing."""
    page = loaded(visitor.visit("/?from=2026-09-05&to=2026-09-20"))

    expect(page.get_by_role("region", name="Key figures")).to_contain_text("No comparison")
    expect(page.get_by_role("columnheader", name="Change")).to_have_count(0)


@pytest.mark.parametrize("width", [1440, 390])
def test_names_are_text_and_nothing_else(visitor: Visitor, width: int) -> None:
    """Anybody in the organisation may name a project, and a model may write anything."""
    page = visitor.visit("/favicon.svg", width=width)

    def hostile_costs(body: dict[str, Any]) -> None:
        for item in body["items"]:
            if "service_name" in item:
                item["service_name"] = HOSTILE

    def hostile_insights(body: dict[str, Any]) -> None:
        for item in body["items"]:
            item["template"] = dict.fromkeys(
                ("headline", "body", "check"), f"{HOSTILE} {{{{f_hostile}}}} {{{{f_gone}}}}"
            )
            fact = next(iter(item["facts"].values()))
            item["facts"] = {"f_hostile": {**fact, "id": "f_hostile", "value": "1", "formatted": HOSTILE}}

    changed(page, "/v1/costs", hostile_costs)
    changed(page, "/v1/insights", hostile_insights)
    page.goto(visitor.address)
    loaded(page)
    page.get_by_role("button", name="Table").click()

    expect(page.get_by_role("article").first).to_contain_text(HOSTILE)
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_nothing_hostile_does_anything_on_the_page(visitor: Visitor) -> None:
    """Each text that was ever tried on a reader: shown to the letter, run nowhere, asked of nobody."""
    page = visitor.visit("/favicon.svg")
    dialogs: list[str] = []
    requests: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.on("request", lambda request: requests.append(request.url))

    def one_insight_each(body: dict[str, Any]) -> None:
        item = body["items"][0]
        fact = {**next(iter(item["facts"].values())), "id": "f_hostile", "value": "1"}
        body["items"] = [
            {
                **item,
                "insight_id": f"hostile-{number}",
                "template": {"headline": "{{f_hostile}}", "body": "{{f_hostile}}", "check": None},
                "facts": {"f_hostile": {**fact, "formatted": text}},
            }
            for number, text in enumerate(CORPUS)
        ]

    changed(page, "/v1/insights", one_insight_each)
    page.goto(visitor.address)
    loaded(page)

    expect(page.get_by_role("article")).to_have_count(len(CORPUS))
    shown = page.get_by_role("article").evaluate_all("articles => articles.map(article => article.textContent)")
    assert [text for text in CORPUS if not any(text in article for article in shown)] == []
    assert dialogs == []
    assert [url for url in requests if not url.startswith(visitor.address)] == []


def test_evidence_that_is_gone_is_explained(visitor: Visitor) -> None:
    """A link to a figure whose text was written anew meanwhile."""
    page = visitor.visit("/?ev=insight/0000000000000000/f_change")

    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("There is no such insight.")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    visitor.complaints.clear()


def test_a_number_that_does_not_match_is_called_out(visitor: Visitor) -> None:
    """The one thing evidence is for."""
    page = visitor.visit("/favicon.svg")
    changed(page, "/v1/evidence", lambda body: body.update(matches=False, served_value="1"))
    page.goto(visitor.address)
    loaded(page)
    total_row(page).get_by_role("button").click()

    expect(page.get_by_role("dialog")).to_contain_text("Does not match what was served: $1.00.")
    assert faults(page) == []
