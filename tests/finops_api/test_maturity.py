"""GET /v1/maturity and /v1/nowcast: what was learned, and what unfinished days are expected to come to."""

from decimal import Decimal

import httpx
import psycopg
import pytest


@pytest.mark.parametrize("asked", [{}, {"service": "(all)"}, {"billing_account": "0186E2-9D41B7-C35A0F"}])
def test_curves_are_those_that_were_learned(
    api: httpx.Client, charges: psycopg.Connection, asked: dict[str, str]
) -> None:
    """The newest record, by service, with how many days it was learned from; a filter asks for less of it."""
    answer = api.get("/v1/maturity", params=asked).json()
    learned = charges.execute(
        "select billing_account_id, service_name, age_hours, known_share, days_learned_from from finops.cost_maturity "
        "where as_of_day = (select max(as_of_day) from finops.cost_maturity) "
        "and (%(service)s::text is null or service_name = %(service)s) "
        "and (%(account)s::text is null or billing_account_id = %(account)s)",
        {"service": asked.get("service"), "account": asked.get("billing_account")},
    ).fetchall()
    served = [
        (c["billing_account_id"], c["service_name"], p["age_hours"], Decimal(p["known_share"]), c["days_learned_from"])
        for c in answer["items"]
        for p in c["points"]
    ]

    assert len(learned) > 20
    assert sorted(served) == sorted(learned)
    assert {account["after_days"] for account in answer["accounts"]} == {2}
    complete = api.get("/v1/meta").json()["complete_through"]
    assert {account["complete_through"] for account in answer["accounts"]} == {complete}


def test_unfinished_days_are_estimated_and_in_no_total(api: httpx.Client, charges: psycopg.Connection) -> None:
    """What is known is what the rollup holds of those days; what is expected lies above it, between low and high."""
    answer = api.get("/v1/nowcast").json()
    complete = answer["meta"]["complete_through"]
    known = charges.execute(
        "select usage_day::text, billing_account_id, sum(billed_cost) from finops.cost_by_service_daily "
        "where usage_day > %s and charge_category in ('Usage', 'Purchase') group by 1, 2 order by 1, 2",
        [complete],
    ).fetchall()

    assert [(n["usage_day"], n["billing_account_id"], Decimal(n["known_cost"])) for n in answer["items"]] == known
    estimated = [n for n in answer["items"] if n["expected_cost"]]
    assert estimated
    for day in estimated:
        low, expected, high = (Decimal(day[name]) for name in ("low", "expected_cost", "high"))
        assert low <= expected <= high
        assert abs(expected - Decimal(day["known_cost"]) / Decimal(day["known_share"])) <= Decimal("0.01")
    by_service = api.get("/v1/nowcast", params={"by_service": True}).json()["items"]
    assert sum(Decimal(n["known_cost"]) for n in by_service if n["billing_currency"] == "USD") == sum(
        Decimal(n["known_cost"]) for n in answer["items"] if n["billing_currency"] == "USD"
    )
    totals = api.get("/v1/costs", params={"window": "7d", "granularity": "total"}).json()
    assert totals["meta"]["counted_through"] == complete
