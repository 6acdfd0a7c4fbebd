"""Every other question of the client: typed as the API describes its answers, and complete."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any, get_args, get_type_hints

import httpx
import pytest
from helpers.checkout import TOP

from finops_client import Condition, CostQuestion, EvidenceQuestion, FinOps
from finops_client.decoding import DAYS, DECIMALS, MOMENTS, OF_DECIMALS, OF_OTHERS
from finops_client.questions import BUILT_IN, Compare, Granularity, Operator, TimeBasis, Window

from .test_costs import floats

API = json.loads((TOP / "dashboard" / "openapi.json").read_text(encoding="utf-8"))
SCHEMAS = API["components"]["schemas"]
ONLY_ASKED = {"limit", "cursor", "custom", *BUILT_IN}
"""What the client sets itself, or says as `filters`."""


def parameters(path: str) -> set[str]:
    """The parameters of a route."""
    return {parameter["name"] for parameter in API["paths"][path]["get"]["parameters"]}


def test_a_cost_question_says_all_that_the_api_can_be_asked() -> None:
    """A parameter that is added to the API and not here is one that notebooks cannot use."""
    assert set(CostQuestion.__annotations__) - {"filters"} == set(SCHEMAS["CostQuestion"]["properties"]) - ONLY_ASKED
    asked = set(SCHEMAS["EvidenceQuestion"]["properties"]) - {"custom", *BUILT_IN}
    assert set(EvidenceQuestion.__annotations__) - {"filters"} == asked


@pytest.mark.parametrize(
    ("name", "words"),
    [("granularity", Granularity), ("window", Window), ("compare", Compare), ("time_basis", TimeBasis)],
)
def test_the_words_are_those_of_the_api(name: str, words: object) -> None:
    """In the order they are offered in."""
    described = SCHEMAS["CostQuestion"]["properties"][name]
    [choices] = [one["enum"] for one in described.get("anyOf", [described]) if "enum" in one]

    assert list(get_args(words)) == choices


def test_conditions_are_those_of_the_api() -> None:
    """Their names and their operators."""
    answered = {title.removesuffix("-Input"): schema.get("properties") for title, schema in SCHEMAS.items()}

    for kind in get_args(Condition):
        assert set(kind.__annotations__) == set(answered[kind.__name__])
    assert list(get_args(Operator)) == answered["Is"]["operator"]["enum"]


ASKED = {
    "anomalies": "/v1/anomalies",
    "forecasts": "/v1/forecasts",
    "recommendations": "/v1/recommendations",
    "insights": "/v1/insights",
    "budgets": "/v1/budgets",
    "restatements": "/v1/restatements",
    "invoice_months": "/v1/invoice-months",
}


@pytest.mark.parametrize("method", ASKED)
def test_a_list_takes_the_parameters_of_its_route(method: str) -> None:
    """And none that the API would refuse."""
    hints = set(get_type_hints(getattr(FinOps, method))) - {"return"}

    assert hints - {"limit"} == parameters(ASKED[method]) - {"limit", "before"}


def properties(schemas: dict[str, Any], kind: str) -> set[str]:
    """The names that are a day or a moment in what the API answers."""
    asked = {"CostQuestion", "Me", "ViewInfo", "ConformanceMeta"}
    return {
        name
        for title, schema in schemas.items()
        if title not in asked
        for name, described in schema.get("properties", {}).items()
        if re.search(f'"format": "{kind}"', json.dumps(described))
    }


def test_days_and_moments_are_those_the_api_describes() -> None:
    """One that is not known would be a text, and text does not know which of two days is earlier."""
    assert properties(SCHEMAS, "date") == DAYS
    assert properties(SCHEMAS, "date-time") == MOMENTS


NOT_AMOUNTS = {"invoice_month", "horizon_days"}
NUMBER = re.compile(r"-?\d+(\.\d+)?")


def pairs(raw: Any, typed: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:  # noqa: ANN401 -- JSON
    """Every text of a document beside what it became, with the name of its field."""
    if name in OF_OTHERS:
        assert raw == typed
    elif isinstance(raw, dict):
        for key, value in raw.items():
            yield from pairs(value, typed[key], name if name in OF_DECIMALS else key)
    elif isinstance(raw, list):
        for one, other in zip(raw, typed, strict=True):
            yield from pairs(one, other, name)
    elif isinstance(raw, str):
        yield name, raw, typed


def answers(api: httpx.Client, finops: FinOps) -> Iterator[tuple[Any, Any]]:
    """What the API says, and the client makes of it."""
    for method, path in ASKED.items():
        listed = getattr(finops, method)()
        raw = api.get(path, params={"limit": 1000} if method == "restatements" else {}).json()
        yield raw["items"], listed.items
        yield raw.get("meta", {}), listed.meta
    cell = {"start": "2026-09-10", "end": "2026-09-11", "billing_currency": "USD"}
    raw = api.get("/v1/evidence", params=cell).json()
    opened = finops.evidence(start="2026-09-10", end="2026-09-11", billing_currency="USD")
    yield {**raw, "recomputed_at": opened["recomputed_at"].isoformat()}, opened
    yield api.get("/v1/meta").json(), finops.meta()
    answer = finops.costs(start="2026-09-01", end="2026-10-01", granularity="total")
    yield api.get("/v1/costs?start=2026-09-01&end=2026-10-01&granularity=total").json()["meta"], answer.meta


def test_every_amount_the_api_serves_is_a_decimal(api: httpx.Client, finops: FinOps) -> None:
    """All answers, field by field: what looks like an amount is one, unless it is known to be a name."""
    seen: set[str] = set()
    for raw, typed in answers(api, finops):
        assert floats(typed) == []
        for name, text, value in pairs(raw, typed):
            if name in DECIMALS | OF_DECIMALS:
                assert (type(value), value) == (Decimal, Decimal(text)), name
            elif name in DAYS:
                assert (type(value), value.isoformat()) == (date, text), name
            elif name in MOMENTS:
                assert type(value) is datetime, name
            else:
                assert name in NOT_AMOUNTS or not NUMBER.fullmatch(text), (name, text)
                assert value == text
            seen.add(name)

    assert len(seen & DECIMALS) > 30
    assert {"billed_cost_change", "monthly_saving_mid", "residual", "value", "low_80", "credits"} <= seen


def test_budgets_are_read_with_their_month(spoilt: str, serve: Callable[..., httpx.Client]) -> None:
    """What is spent of one is a decimal, and its days are days."""
    api = serve(spoilt)
    plan = {"name": "All", "billing_currency": "USD", "amount": "1000000", "start_month": "2026-09"}
    assert api.post("/v1/budgets", json=plan).status_code == 201
    with FinOps(str(api.base_url)) as finops:
        budgets = finops.budgets(month="2026-10")
        [total] = finops.costs(
            start="2026-10-01", end=date(2026, 10, 19), granularity="total", billing_currency="USD"
        ).totals

    [budget] = budgets.items
    assert budget["status"]["spent"] == total["billed_cost"]
    assert budget["amount"] == Decimal(1000000)
    assert budgets.meta["counted_through"] == date(2026, 10, 18)
    assert budgets.to_arrow()["amount"].to_pylist() == [Decimal(1000000)]


def test_all_restatements_are_read_page_by_page(finops: FinOps, api: httpx.Client) -> None:
    """Newest first, each once; and not more than were asked for."""
    everything = api.get("/v1/restatements?limit=1000").json()["items"]
    few = finops.restatements(limit=3)

    assert len(everything) > 3
    assert [one["restatement_id"] for one in finops.restatements().items] == [
        one["restatement_id"] for one in everything
    ]
    assert [one["restatement_id"] for one in few.items] == [one["restatement_id"] for one in everything[:3]]


def test_what_can_be_asked_is_told(finops: FinOps) -> None:
    """Dimensions of one's own as well, and the members there are."""
    catalogue = finops.dimensions()

    assert {"project", "service", "team"} <= {one["name"] for one in catalogue["dimensions"]}
    assert "billed_cost" in {one["name"] for one in catalogue["measures"]}
    assert {"id": "24E6-581D-38E5", "name": "BigQuery"} in finops.dimension_values("service", search="bigq")
    assert len(finops.dimension_values("sku", limit=3)) == 3


def test_a_list_is_a_dataframe_too(finops: FinOps) -> None:
    """Amounts stay exact there, and add up."""
    anomalies = finops.anomalies()
    frame = anomalies.to_pandas()

    assert frame["excess_cost"].sum() == sum(one["excess_cost"] for one in anomalies.items)
    assert type(frame["excess_cost"][0]) is Decimal
    assert str(frame["start_day"].dtype).startswith("datetime64")
    for method in ASKED:
        assert getattr(finops, method)().to_arrow().num_rows == len(getattr(finops, method)().items)


def test_an_anomaly_and_a_figure_of_an_insight_open_to_their_charges(finops: FinOps) -> None:
    """By the ids of the lists."""
    anomaly = finops.anomalies().items[0]
    insight = finops.insights(limit=1, subject="spend_summary").items[0]

    assert finops.evidence(anomaly_id=anomaly["anomaly_id"])["value"] == anomaly["excess_cost"]
    spend = finops.evidence(insight_id=insight["insight_id"], fact_id="f_spend")
    assert spend["value"] == insight["facts"]["f_spend"]["value"] == spend["rows_sum"]
