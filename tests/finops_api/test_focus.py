"""GET /v1/focus/conformance: a computed score, and each failing rule with the rows that break it."""

import os
from collections.abc import Callable
from datetime import date
from typing import Any

import httpx
import psycopg
from helpers.checkout import TOP

from finops_warehouse.database import connect_to
from finops_warehouse.focus.conformance import FOUND, INVOICE_RULE, INVOICES, Counted, verdicts
from finops_warehouse.focus.document import filled_in

WRITE = "WRITE_DOCUMENTS"


def told(api: httpx.Client, **asked: str) -> dict[str, Any]:
    """The answer, which must be one."""
    answer = api.get("/v1/focus/conformance", params=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_sample_conforms_and_every_rule_is_accounted_for(api: httpx.Client) -> None:
    """620 rules and more: each passes, fails or does not apply, and says why not."""
    lists = {status: told(api, status=status)["items"] for status in ("passed", "failed", "not_applicable")}
    meta = told(api)["meta"]

    assert float(meta["score_percent"]) >= 99
    assert meta["static_passed"] + meta["static_failed"] + meta["static_not_applicable"] == 420
    assert sum(map(len, lists.values())) == 621
    assert len(lists["failed"]) == meta["static_failed"] + meta["dynamic_failed"]
    assert all(item["reason"] for item in (*lists["failed"], *lists["not_applicable"]))
    assert INVOICE_RULE in {item["rule_id"] for item in lists["passed"]}


def test_a_rule_that_fails_is_named_with_its_rows(spoilt: str, api_over: Callable[..., httpx.Client]) -> None:
    """What was counted of a day moves the score; outside its window it does not."""
    with connect_to(spoilt, autocommit=True) as connection:
        connection.execute(
            "update finops.focus_conformance set rows_failed = 2, examples = '[\"20261001-ab-1\"]' "
            "where rule_id = 'ServiceName-C-003-M' and usage_day = '2026-10-01'"
        )
    api = api_over(spoilt)
    items = {item["rule_id"]: item for item in told(api)["items"]}

    assert items["ServiceName-C-003-M"]["examples"] == ["20261001-ab-1"]
    assert items["ServiceName-C-003-M"]["rows_failed"] == 2
    assert "MUST NOT be null" in items["ServiceName-C-003-M"]["reason"]
    assert items["ServiceName-C-000-M"]["reason"] == "its parts fail: ServiceName-C-003-M"
    assert told(api, start="2026-10-02", end="2026-10-04")["items"] == []
    assert float(told(api)["meta"]["score_percent"]) < 100


def test_an_invoice_that_does_not_add_up_breaks_its_rule(spoilt: str, api_over: Callable[..., httpx.Client]) -> None:
    """BilledCost-C-007-M, which no validator runs."""
    with connect_to(spoilt, autocommit=True) as connection:
        connection.execute(
            "update finops.invoice_months set residual = 0.01, closed_from = '2026-01-01' "
            "where invoice_month = '202609' and billing_currency = 'USD'"
        )
    [item] = [item for item in told(api_over(spoilt))["items"] if item["rule_id"] == INVOICE_RULE]

    assert item["rows_failed"] == 1
    assert item["examples"][0].startswith("202609")


def test_a_window_without_days_is_refused_and_one_before_the_data_is_empty(api: httpx.Client) -> None:
    """No score is made up where nothing was counted."""
    assert api.get("/v1/focus/conformance?start=2026-10-02&end=2026-10-02").status_code == 422
    meta = told(api, start="2020-01-01", end="2020-02-01")["meta"]

    assert (meta["score_percent"], meta["first_usage_day"]) == (None, None)


def test_the_view_and_the_function_say_the_same(charges: psycopg.Connection) -> None:
    """For a window of days; and the view, asked for a day, is that day."""
    window = [date(2026, 10, 1), date(2026, 10, 2)]
    [by_function] = charges.execute(
        'select count(*), sum("BilledCost"), sum("EffectiveCost") from finops.focus_rows(%s, %s)', window
    ).fetchall()
    [by_view] = charges.execute(
        'select count(*), sum("BilledCost"), sum("EffectiveCost") from finops.focus_cost_and_usage '
        'where "x_UsageDay" = %s', window[:1],
    ).fetchall()  # fmt: skip

    assert by_function == by_view
    assert by_function[0] > 0


def test_the_document_says_what_is_true(charges: psycopg.Connection) -> None:
    """docs/focus.md is the mapping, the readings and the score as they are; WRITE_DOCUMENTS=1 writes it anew."""
    found = {
        rule: Counted(*counts) for rule, *counts in charges.execute(FOUND, {"first": None, "last": None}).fetchall()
    }
    [invoices] = charges.execute(INVOICES).fetchall()
    file = TOP / "docs" / "focus.md"
    page = file.read_text(encoding="utf-8")
    text = filled_in(page, verdicts({**found, INVOICE_RULE: Counted(*invoices)}))
    if os.environ.get(WRITE):
        file.write_text(text, encoding="utf-8")

    assert file.read_text(encoding="utf-8") == text
    assert "generated: score" in text


def test_an_invoice_month_is_shown_beside_the_second_witness(
    spoilt: str, api_over: Callable[..., httpx.Client]
) -> None:
    """Three totals of one month and two residuals; null where there is no FOCUS export."""
    with connect_to(spoilt, autocommit=True) as connection:
        connection.execute(
            "insert into finops.focus_export_months select invoice_month, billing_account_id, billing_currency, "
            "billed_cost + 0.01, 1, now(), 'x' from finops.invoice_months "
            "where invoice_month = '202609' and billing_currency = 'USD'"
        )
    items = api_over(spoilt).get("/v1/invoice-months", params={"invoice_month": "202609"}).json()["items"]
    residuals = {item["billing_currency"]: item["focus_export_residual"] for item in items}

    assert residuals == {"EUR": None, "USD": "-0.01"}
