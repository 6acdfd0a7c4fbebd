"""GET /v1/evidence: a number, computed again, and the charges it is made of."""

import csv
import io
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finops_warehouse.database import connect_to
from finops_warehouse.semantic import DIMENSIONS, MEASURES

WINDOW = {"start": "2026-09-10", "end": "2026-10-11", "billing_currency": "USD"}


def opened(api: httpx.Client, **asked: object) -> dict[str, Any]:
    """The evidence of a number."""
    answer = api.get("/v1/evidence", params=asked)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("measure", MEASURES)
def test_the_charges_of_a_cell_add_up_to_it_whatever_is_measured(api: httpx.Client, measure: str) -> None:
    """What /v1/costs serves and what the raw charges say, to the last digit."""
    asked = {**WINDOW, "measure": measure, "service": "Compute Engine"}
    found = opened(api, **asked, limit=1)
    totals = api.get("/v1/costs", params={**asked, "granularity": "total"}).json()["totals"]

    assert found["matches"]
    assert Decimal(found["rows_sum"]) == Decimal(found["value"]) == Decimal(totals[0][measure])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_cell_opens_to_charges_that_add_up(api: httpx.Client, data: st.DataObject) -> None:
    """Cells of every dimension, alone and together; those that are empty too."""
    names = data.draw(st.lists(st.sampled_from(sorted(DIMENSIONS)), min_size=1, max_size=3, unique=True))
    filters = {}
    for name in names:
        members = api.get(f"/v1/dimensions/{name}/members?limit=500").json()["items"]
        filters[name] = data.draw(st.sampled_from([member["id"] for member in members]))
    currency = data.draw(st.sampled_from(["USD", "EUR"]))
    found = opened(api, **{**WINDOW, "billing_currency": currency}, **filters, limit=3)

    assert found["matches"]
    assert Decimal(found["rows_sum"]) == Decimal(found["cell_value"])


ANSWERS: list[dict[str, Any]] = [
    {"granularity": "daily", "group_by": ["service"]},
    {"granularity": "monthly", "group_by": ["service", "project"]},
    {
        "granularity": "monthly",
        "group_by": ["invoice_month", "charge_category"],
        "billing_account": "01A7C3-5E9B20-4D6F81",
    },
    {"granularity": "total", "group_by": ["team"], "measure": "effective_cost"},
    {"granularity": "total", "group_by": ["project"], "top": 3},
    {"granularity": "daily", "group_by": ["sku"], "top": 2, "include_unfinished": True},
    {"granularity": "total"},
]


@pytest.mark.parametrize("question", ANSWERS)
@pytest.mark.parametrize("days", [{"start": "2026-09-20", "end": "2026-10-21"}, {"window": "30d"}])
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_cell_of_an_answer_opens_to_its_charges(
    api: httpx.Client, question: dict[str, Any], days: dict[str, str], data: st.DataObject
) -> None:
    """The same question with a cell's coordinates: `(other)`, unattributed, the days a total leaves out and all."""
    asked = {**days, **question}
    answer = api.get("/v1/costs", params=asked).json()
    item = data.draw(st.sampled_from(answer["items"]))
    measure = question.get("measure", "billed_cost")
    period = item.get("usage_day") or item.get("month")
    coordinates = {
        "billing_currency": item["billing_currency"],
        "member": [item[name] for name in question.get("group_by", [])],
        **({"period": period} if period else {}),
    }

    found = opened(api, **asked, **coordinates, limit=1)

    assert found["matches"], found["label"]
    assert Decimal(found["rows_sum"]) == Decimal(item[measure])


COMPUTE = {"dimension": "service", "values": ["Compute Engine"]}
NO_PROJECT = {"dimension": "project", "values": ["(unattributed)"]}
CONDITIONS: list[dict[str, Any]] = [
    {"not": COMPUTE},
    {"or": [COMPUTE, NO_PROJECT]},
    {"and": [{"not": NO_PROJECT}, {"dimension": "team", "operator": "contains", "values": ["a"]}]},
    {"not": {"dimension": "sku", "operator": "contains", "values": ["RAM", "100%"]}},
    {"dimension": "project", "operator": "starts_with", "values": ["nw-"]},
]


@pytest.mark.parametrize("where", CONDITIONS)
@pytest.mark.parametrize("question", [*ANSWERS[:2], ANSWERS[4], ANSWERS[6]])
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_cell_of_any_conditions_opens_to_its_charges(
    api: httpx.Client, question: dict[str, Any], where: dict[str, Any], data: st.DataObject
) -> None:
    """What no URL can ask is opened by a body: the same conditions, and the coordinates of the cell."""
    asked = {"start": "2026-09-20", "end": "2026-10-11", **question, "where": where}
    answer = api.post("/v1/costs/query", json=asked).json()
    item = data.draw(st.sampled_from(answer["items"]))
    period = item.get("usage_day") or item.get("month")
    coordinates = {
        "billing_currency": item["billing_currency"],
        "member": [item[name] for name in question.get("group_by", [])],
        **({"period": period} if period else {}),
    }

    found = api.post("/v1/evidence/query", json={**asked, **coordinates, "limit": 1})

    assert found.status_code == 200, found.text
    evidence = found.json()
    assert evidence["matches"], evidence["label"]
    assert Decimal(evidence["rows_sum"]) == Decimal(item["billed_cost"])
    assert evidence["cell"]["where"] is not None


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"anomaly_id": "x", "where": COMPUTE}, "where narrows a cell"),
        ({**WINDOW, "where": {"dimension": "colour", "values": ["x"]}}, "colour"),
        (
            {
                **WINDOW,
                "measure": "list_cost",
                "where": {"dimension": "charge_category", "values": ["Purchase", "Usage"]},
            },
            "commitment",
        ),
        ({**WINDOW, "where": {"dimension": "service", "values": ["a\0b"]}}, "NUL"),
        ({**WINDOW, "where": {"not": {"not": {"not": {"not": {"not": {"not": COMPUTE}}}}}}}, "deep"),
    ],
)
def test_conditions_that_name_no_number_are_refused(api: httpx.Client, asked: dict[str, Any], says: str) -> None:
    """As they are for `/v1/costs/query`; of a figure that is no cell they would be left out unseen."""
    refused = api.post("/v1/evidence/query", json=asked)

    assert refused.status_code == 422
    assert says in refused.json()["detail"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"granularity": "daily", "group_by": "service", "member": "x"}, "period"),
        ({"granularity": "monthly", "period": "2026-09-11"}, "period"),
        ({"granularity": "total", "group_by": "service"}, "one member for each"),
        ({"group_by": "service", "member": "x"}, "granularity"),
        ({"granularity": "daily", "period": "2026-09-31"}, "calendar"),
        ({"granularity": "daily", "period": "2026-12-11"}, "counts no day"),
        ({"granularity": "total", "group_by": "nonsense", "member": "x"}, "nonsense"),
    ],
)
def test_a_cell_that_no_answer_has_is_refused(api: httpx.Client, more: dict[str, str], says: str) -> None:
    """Half a coordinate would open another number than the one that was clicked."""
    refused = api.get("/v1/evidence", params={**WINDOW, **more})

    assert refused.status_code in (404, 422)
    assert says in refused.text


def test_the_way_is_shown_column_by_column(api: httpx.Client) -> None:
    """Read from the SQL that makes the tables, with the files to look it up in."""
    found = opened(api, **WINDOW, measure="effective_cost", service="Compute Engine", limit=1)
    steps = {step["column"]: step for step in found["columns"]}

    assert list(steps)[:2] == ["cost_by_service_daily.effective_cost", "aggregated_cost_data.effective_cost"]
    assert steps["cost_by_service_daily.effective_cost"]["made_of"] == ["aggregated_cost_data.effective_cost"]
    assert {"raw_charges.billed_cost", "raw_charges.sku_description"} <= {
        *steps["aggregated_cost_data.effective_cost"]["made_of"]
    }
    assert steps["raw_charges.billed_cost"] == {
        "column": "raw_charges.billed_cost",
        "made_of": [],
        "sql_file": "dbt_like_sql/extract/raw_charges.sql",
    }
    assert found["sql_files"] == [
        "dbt_like_sql/extract/raw_charges.sql",
        "dbt_like_sql/core/aggregated_cost_data.sql",
        "dbt_like_sql/marts/cost_by_service_daily.sql",
        "dbt_like_sql/staging/charges.sql",
    ]


def test_pages_hold_every_charge_once(api: httpx.Client) -> None:
    """Largest first, no row twice, and their values add up to the sum."""
    asked = {**WINDOW, "project": "nw-shop-prod"}
    seen: list[dict[str, Any]] = []
    while len(seen) < (first := opened(api, **asked, limit=1))["row_count"]:
        seen += opened(api, **asked, limit=200, offset=len(seen))["rows"]

    assert len({row["row"] for row in seen}) == len(seen) == first["row_count"] > 200
    assert sum(Decimal(row["value"]) for row in seen) == Decimal(first["rows_sum"])
    sizes = [abs(Decimal(row["value"])) for row in seen]
    assert sizes == sorted(sizes, reverse=True)


def test_the_csv_holds_every_charge(api: httpx.Client) -> None:
    """The same rows, for a spreadsheet."""
    asked = {**WINDOW, "project": "nw-shop-prod", "service": "Cloud SQL"}
    answer = api.get("/v1/evidence.csv", params=asked)
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    found = opened(api, **asked, limit=1)

    assert answer.headers["content-type"].startswith("text/csv")
    assert len(rows) == found["row_count"]
    assert sum(Decimal(row["value"]) for row in rows) == Decimal(found["rows_sum"])


def test_a_spreadsheet_runs_nothing_of_it(spoilt: str, api_over: Callable[..., httpx.Client]) -> None:
    """Names are written by whoever may create a resource; amounts stay amounts."""
    with connect_to(spoilt, autocommit=True) as connection:
        connection.execute(
            "update finops.raw_charges set resource_name = '=HYPERLINK(1)' where service_name = 'Support'"
        )
    answer = api_over(spoilt).get("/v1/evidence.csv", params={**WINDOW, "service": "Support"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))

    assert {row["resource_name"] for row in rows} == {"'=HYPERLINK(1)"}
    assert sum(Decimal(row["value"]) for row in rows) == Decimal(1500)


def test_every_figure_of_every_insight_opens_and_matches(api: httpx.Client) -> None:
    """Sums to their charges, the rest to the arithmetic it is made by."""
    insights = api.get("/v1/insights?start=2026-09-01&end=2026-11-01&limit=100").json()["items"]
    opened_figures = 0
    for insight in insights:
        for name, fact in insight["facts"].items():
            found = opened(api, insight_id=insight["insight_id"], fact_id=name, limit=1)
            assert found["matches"], (insight["insight_id"], name)
            if fact["value"] is not None:
                assert Decimal(found["value"]) == Decimal(fact["value"])
                opened_figures += 1
            if fact["source"]["kind"] == "derived":
                assert [part["fact_id"] for part in found["formula"]] == [*fact["source"]["of"], name]
                assert found["formula"][-1]["operator"] == "="
    assert opened_figures > 20


def test_an_anomaly_opens_to_what_was_billed_less_what_was_expected(api: httpx.Client) -> None:
    """The difference, how it comes about, and the charges of its days."""
    for anomaly in api.get("/v1/anomalies?start=2026-09-01&end=2026-11-01").json()["items"]:
        found = opened(api, anomaly_id=anomaly["anomaly_id"], limit=5)
        actual, expected, excess = (Decimal(part["value"]) for part in found["formula"])

        assert found["matches"]
        assert actual == Decimal(anomaly["actual_cost"])
        assert actual - expected == excess == Decimal(anomaly["excess_cost"])


def test_a_recommendation_opens_to_the_charges_it_would_save_on(api: httpx.Client) -> None:
    """Each figure of its evidence."""
    for recommendation in api.get("/v1/recommendations").json()["items"]:
        for fact in recommendation["evidence"]:
            found = opened(api, recommendation_id=recommendation["recommendation_id"], fact_id=fact["id"], limit=1)
            assert found["matches"]
            assert Decimal(found["rows_sum"]) == Decimal(fact["value"])


def test_a_served_total_that_is_not_its_charges_says_so(spoilt: str, api_over: Callable[..., httpx.Client]) -> None:
    """The proof is made at the time of the request: one cent anywhere shows."""
    with connect_to(spoilt, autocommit=True) as connection:
        connection.execute(
            "update finops.cost_by_service_daily set billed_cost = billed_cost + 0.01 "
            "where usage_day = '2026-09-15' and service_name = 'Cloud SQL' and billing_currency = 'USD' "
            "and charge_category = 'Usage'"
        )
    found = opened(api_over(spoilt), **WINDOW, service="Cloud SQL", limit=1)

    assert not found["matches"]
    assert Decimal(found["cell_value"]) - Decimal(found["rows_sum"]) == Decimal("0.01")


@pytest.mark.parametrize(
    ("question", "status", "said"),
    [
        ("", 422, "name one number"),
        ("start=2026-09-10&end=2026-09-11", 422, "name one number"),
        ("start=2026-09-10&end=2026-09-10&billing_currency=USD", 422, "end is not included"),
        ("start=2026-09-10&end=2026-09-11&billing_currency=USD&anomaly_id=a", 422, "name one number"),
        ("insight_id=nothing", 422, "fact_id"),
        ("insight_id=nothing&fact_id=f_x", 404, "no such insight"),
        ("anomaly_id=nothing", 404, "no such anomaly"),
        ("recommendation_id=nothing&fact_id=f_cost", 404, "no such recommendation"),
        ("insight_id=%27;drop&fact_id=f_x", 422, "insight_id"),
        ("start=2026-09-10&end=2026-09-11&billing_currency=USD&limit=201", 422, "limit"),
        ("start=2026-09-10&end=2026-09-11&billing_currency=USD&service=%00", 422, "NUL"),
        ("start=2026-09-10&end=2026-09-11&billing_currency=USD&measure=joy", 422, "measure"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/evidence", "/v1/evidence.csv"])
def test_a_number_that_is_none_is_refused(api: httpx.Client, path: str, question: str, status: int, said: str) -> None:
    """Before a byte of CSV is sent, too."""
    answer = api.get(f"{path}?{question}")

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]


def test_a_hostile_member_is_a_member_that_is_not_there(api: httpx.Client, charges: psycopg.Connection) -> None:
    """Whatever it says, it is compared and never run."""
    before = charges.execute("select count(*) from finops.raw_charges").fetchone()
    for hostile in (
        "' or 1=1 --",
        "%s",
        "%(start)s",
        "{}",
        "\\'; drop table finops.raw_charges; --",
        "\N{RIGHT-TO-LEFT OVERRIDE}x",
    ):
        found = opened(api, **WINDOW, project=hostile)
        assert (found["row_count"], found["matches"]) == (0, True)
    assert charges.execute("select count(*) from finops.raw_charges").fetchone() == before
