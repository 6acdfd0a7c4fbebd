"""GET /v1/anomalies, /v1/forecasts, /v1/recommendations and /v1/insights: what is thought of the costs."""

import re
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import httpx
import psycopg
import pytest

from finops_insights.claims import check
from finops_insights.facts import Fact
from finops_warehouse.database import connect_to

WHOLE = "start=2026-09-01&end=2026-11-01"


def items(api: httpx.Client, path: str) -> list[dict[str, Any]]:
    """The items of a list."""
    answer = api.get(path)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def test_an_anomaly_is_an_event_with_the_sums_of_its_days(api: httpx.Client, charges: psycopg.Connection) -> None:
    """Each day of it is a row of the table; a reader sees one event."""
    told = items(api, f"/v1/anomalies?{WHOLE}&include_explained=true")
    rows = charges.execute(
        "select anomaly_id, min(start_day), max(usage_day), count(*), sum(actual_cost), sum(expected_cost), "
        "sum(excess_cost) from finops.cost_anomalies group by 1"
    ).fetchall()

    assert told
    assert {
        (
            a["anomaly_id"], date.fromisoformat(a["start_day"]), date.fromisoformat(a["last_day"]), a["days"],
            Decimal(a["actual_cost"]), Decimal(a["expected_cost"]), Decimal(a["excess_cost"]),
        )
        for a in told
    } == {tuple(row) for row in rows}  # fmt: skip


def test_what_an_anomaly_cost_is_what_costs_say_of_its_days(api: httpx.Client) -> None:
    """The two lists are one truth: usage and commitments of the project and service, on the flagged days."""
    for anomaly in items(api, f"/v1/anomalies?{WHOLE}"):
        if anomaly["scope"] != "project_service" or anomaly["days"] != 1:
            continue
        day = date.fromisoformat(anomaly["start_day"])
        [total] = api.get(
            "/v1/costs",
            params={
                "start": day.isoformat(), "end": (day + timedelta(days=1)).isoformat(), "granularity": "total",
                "project": anomaly["project"], "service": anomaly["service"],
                "charge_category": ["Usage", "Purchase"], "billing_currency": anomaly["billing_currency"],
            },
        ).json()["totals"]  # fmt: skip
        assert Decimal(total["billed_cost"]) == Decimal(anomaly["actual_cost"])


def test_anomalies_can_be_narrowed(api: httpx.Client) -> None:
    """To a currency, a project by id or name, a window; what lies outside is not told."""
    [first, *_] = items(api, f"/v1/anomalies?{WHOLE}")

    assert first in items(api, f"/v1/anomalies?{WHOLE}&project={first['project']}")
    assert first in items(api, f"/v1/anomalies?{WHOLE}&project={first['project_name']}")
    assert items(api, f"/v1/anomalies?{WHOLE}&project=no-such-project") == []
    assert items(api, "/v1/anomalies?start=2026-09-01&end=2026-09-02") == []
    other = {"USD": "EUR", "EUR": "USD"}[first["billing_currency"]]
    assert first not in items(api, f"/v1/anomalies?{WHOLE}&billing_currency={other}")


def test_the_newest_forecast_is_told_with_its_path(api: httpx.Client, charges: psycopg.Connection) -> None:
    """Month to date plus what is to come, and a day for every day of it."""
    complete = date.fromisoformat(api.get("/v1/meta").json()["complete_through"])
    for forecast in items(api, "/v1/forecasts"):
        month = forecast["month_end"]
        [(billed,)] = charges.execute(
            "select sum(billed_cost) from finops.aggregated_cost_data "
            "where billing_currency = %s and usage_day between %s and %s",
            [forecast["billing_currency"], month["start"], complete],
        ).fetchall()

        assert forecast["as_of_day"] == complete.isoformat()
        assert Decimal(month["actual_to_date"]) == billed
        assert len(forecast["days"]) == 31
        left = (date.fromisoformat(month["end"]) - complete).days - 1
        to_come = sum(Decimal(day["expected_cost"]) for day in forecast["days"][:left])
        assert abs(Decimal(month["expected_cost"]) - billed - to_come) <= Decimal("0.01") * left


def test_forecasts_of_members_and_of_earlier_days(api: httpx.Client) -> None:
    """A project by its id; as it looked two weeks ago; and a reason where there is none."""
    [project, *_] = items(api, "/v1/forecasts?scope=project&billing_currency=USD")
    assert items(api, f"/v1/forecasts?scope=project&member={project['member']}&billing_currency=USD") == [project]
    then = items(api, "/v1/forecasts?as_of=2026-10-04&billing_currency=USD")
    assert [forecast["as_of_day"] for forecast in then] == ["2026-10-04"]

    answer = api.get("/v1/forecasts?as_of=2026-09-03").json()
    assert answer["items"] == []
    assert "14 complete days" in answer["meta"]["why_none"]


def test_the_back_test_is_the_quotient_of_the_tables_sums(api: httpx.Client, charges: psycopg.Connection) -> None:
    """Beside each the simplest forecast there is."""
    for row in items(api, "/v1/forecasts/accuracy"):
        if row["horizon_days"] != "1-31":
            continue
        [(points, wape, coverage)] = charges.execute(
            "select sum(points), round(sum(absolute_error) / sum(actual_cost), 4), "
            "round(sum(within_95) / sum(points), 4) "
            "from finops.forecast_accuracy where scope = %s and billing_currency = %s",
            [row["scope"], row["billing_currency"]],
        ).fetchall()
        assert (row["points"], Decimal(row["wape"]), Decimal(row["coverage_95"])) == (points, wape, coverage)
        assert row["floor_wape"]


def test_possible_savings_add_up_over_what_counts(api: httpx.Client) -> None:
    """Of two things that exclude each other one is in the total, and no currencies are added."""
    answer = api.get("/v1/recommendations").json()
    for total in answer["meta"]["totals"]:
        own = [r for r in answer["items"] if r["billing_currency"] == total["billing_currency"]]
        assert len(own) == total["count"]
        for amount in ("monthly_saving_low", "monthly_saving_mid", "monthly_saving_high"):
            assert sum(Decimal(r[amount]) for r in own if r["counted"]) == Decimal(total[amount])
    assert len({r["rule_id"] for r in answer["items"]}) >= 8


def test_every_insight_shows_its_facts_and_nothing_else(api: httpx.Client) -> None:
    """No digit stands in a template; what stands in the text is what the facts say; and the checker agrees again."""
    told = items(api, f"/v1/insights?{WHOLE}&limit=100")

    assert {insight["subject"] for insight in told} == {"spend_summary", "anomaly"}
    assert {insight["period"] for insight in told} == {"day", "month"}
    for insight in told:
        facts = {name: Fact.model_validate(fact) for name, fact in insight["facts"].items()}
        for part, template in insight["template"].items():
            if template is None:
                continue
            bare = re.sub(r"\{\{f_[a-z0-9_]+\}\}", "", template)
            assert not any(character.isnumeric() for character in bare), template
            assert check(template, facts, ()) == []
            for name in re.findall(r"\{\{(f_[a-z0-9_]+)\}\}", template):
                assert facts[name].formatted in insight["text"][part]


def test_an_insight_belongs_to_its_anomaly(api: httpx.Client) -> None:
    """A marker on the chart leads to a text."""
    texts = {insight["insight_id"]: insight for insight in items(api, f"/v1/insights?{WHOLE}&limit=100")}
    anomalies = [a for a in items(api, f"/v1/anomalies?{WHOLE}") if a["scope"] == "project_service"]

    assert anomalies
    for anomaly in anomalies:
        assert texts[anomaly["insight_id"]]["subject_id"] == anomaly["anomaly_id"]


def test_an_insight_whose_figure_moved_is_withheld(spoilt: str, api_over: Callable[..., httpx.Client]) -> None:
    """Between a restatement and the next text there is none: better silent than wrong."""
    with connect_to(spoilt, autocommit=True) as connection:
        api = api_over(spoilt)
        before = api.get(f"/v1/insights?{WHOLE}&limit=100").json()
        [anomaly, *_] = [a for a in items(api, f"/v1/anomalies?{WHOLE}") if a["scope"] == "project_service"]
        connection.execute(
            "update finops.cost_by_project_service_daily set billed_cost = billed_cost + 0.01 where ctid = any(array("
            "select ctid from finops.cost_by_project_service_daily where usage_day = %s and sub_account_id = %s "
            "and service_id = %s and charge_category = 'Usage' limit 1))",
            [anomaly["peak_day"], anomaly["project"], anomaly["service"]],
        )
        after = api.get(f"/v1/insights?{WHOLE}&limit=100").json()

    gone = {i["insight_id"] for i in before["items"]} - {i["insight_id"] for i in after["items"]}
    assert anomaly["insight_id"] in gone
    assert after["meta"]["withheld"] == len(gone)
    assert before["meta"]["withheld"] == 0


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("/v1/anomalies?start=2026-10-02&end=2026-10-01", "end is not included"),
        ("/v1/anomalies?start=2010-10-02&end=2026-10-01", "at most 1100 days"),
        ("/v1/anomalies?project=%00", "NUL"),
        ("/v1/forecasts?scope=planet", "scope"),
        ("/v1/forecasts?as_of=yesterday", "as_of"),
        ("/v1/insights?limit=0", "limit"),
        ("/v1/insights?subject=poem", "subject"),
        ("/v1/recommendations?colour=red", "colour"),
    ],
)
def test_a_question_without_an_answer_is_told_why(api: httpx.Client, question: str, said: str) -> None:
    """As a problem that names the parameter."""
    answer = api.get(question)

    assert answer.status_code == 422
    assert said in answer.json()["detail"]


def test_before_anything_is_built_the_answer_is_not_yet(
    database_url: str, api_over: Callable[..., httpx.Client]
) -> None:
    """An empty warehouse has no anomalies to tell of, and says so instead of an empty list."""
    api = api_over(database_url)
    for path in ("/v1/anomalies", "/v1/insights"):
        assert api.get(path).status_code == 503
    assert api.get("/v1/forecasts").json()["items"] == []
    assert api.get("/v1/recommendations").json()["items"] == []
