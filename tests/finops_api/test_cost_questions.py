"""What else can be asked of costs: weeks, invoices, any two periods, conditions in any combination, pages."""

import random
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import httpx
import psycopg
import pytest

from finops_warehouse.database import connect_to

SETTLED = {"start": "2026-09-20", "end": "2026-10-11"}
NET = "(cost + coalesce((select sum((credit->>'amount')::numeric) from jsonb_array_elements(credits) as credit), 0))"

Rows = list[dict[str, Any]]


def asked(api: httpx.Client, **question: Any) -> dict[str, Any]:  # noqa: ANN401 -- JSON
    """The answer to a question sent as a body, which must be one."""
    answer = api.post("/v1/costs/query", json=question)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def summed(charges: psycopg.Connection, where: str, key: str = "null::text") -> dict[Any, Decimal]:
    """Billed cost of the export's rows in US dollars, by `key`."""
    statement = f"select {key}, sum{NET} from finops.raw_charges where billing_currency = 'USD' and {where} group by 1"
    return dict(charges.execute(statement.encode()).fetchall())


def told(items: Rows, name: str | None = None) -> dict[Any, Decimal]:
    """Billed cost in US dollars of the rows of an answer, by one of their fields."""
    return {
        item[name] if name else None: Decimal(item["billed_cost"])
        for item in items
        if item["billing_currency"] == "USD"
    }


def test_a_body_is_answered_as_a_url_is(api: httpx.Client) -> None:
    """There is one question, and two ways to write it."""
    by_url = api.get("/v1/costs", params={"group_by": ["service", "region"], "top": "", **SETTLED} | {"top": []})

    assert asked(api, group_by=["service", "region"], **SETTLED) == by_url.json()


WINDOW = "usage_day >= '2026-09-20' and usage_day < '2026-10-11'"
COMPUTE = {"dimension": "service", "values": ["Compute Engine"]}
NO_PROJECT = {"dimension": "project", "values": ["(unattributed)"]}


@pytest.mark.parametrize(
    ("condition", "where"),
    [
        (COMPUTE, "service_name = 'Compute Engine'"),
        ({"not": COMPUTE}, "service_name is distinct from 'Compute Engine'"),
        ({"not": {"not": COMPUTE}}, "service_name = 'Compute Engine'"),
        ({"or": [COMPUTE, NO_PROJECT]}, "(service_name = 'Compute Engine' or sub_account_id is null)"),
        (
            {"and": [{"or": [COMPUTE, {"dimension": "cost_type", "values": ["tax"]}]}, {"not": NO_PROJECT}]},
            "(service_name = 'Compute Engine' or cost_type = 'tax') and sub_account_id is not null",
        ),
        (
            {"dimension": "sku", "operator": "contains", "values": ["RAM", "core"]},
            "concat_ws(' ', sku_description, sku_id) ilike any(array['%ram%', '%core%'])",
        ),
        (
            {"not": {"dimension": "project", "operator": "starts_with", "values": ["nw-"]}},
            "not coalesce(sub_account_id ilike 'nw-%' or sub_account_name ilike 'nw-%', false)",
        ),
    ],
)
def test_conditions_keep_exactly_their_charges(
    api: httpx.Client, charges: psycopg.Connection, condition: dict[str, Any], where: str
) -> None:
    """Rows without a name are of no name, and so of every `not`."""
    answer = asked(api, granularity="total", where=condition, **SETTLED)

    assert told(answer["items"]) == summed(charges, f"{WINDOW} and {where}")
    assert told(answer["totals"]) == told(answer["items"])
    assert answer["meta"]["where"] is not None


def test_a_condition_and_its_opposite_are_the_whole(api: httpx.Client) -> None:
    """Of custom dimensions too: nothing falls between them."""
    condition = {"or": [{"dimension": "team", "operator": "contains", "values": ["a"]}, NO_PROJECT]}

    parts = [
        told(asked(api, granularity="total", where=w, **SETTLED)["totals"]) for w in (condition, {"not": condition})
    ]

    whole = told(asked(api, granularity="total", **SETTLED)["totals"])
    assert {None: parts[0][None] + parts[1][None]} == whole


@pytest.mark.parametrize("text", ["%", "_", "\\", "a%b_c\\"])
def test_wildcards_of_a_search_stand_for_themselves(api: httpx.Client, text: str) -> None:
    """Nothing of the sample is named so; as a pattern, each would be found."""
    answer = asked(api, where={"dimension": "sku", "operator": "contains", "values": [text]}, **SETTLED)

    assert answer["items"] == []


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ({"dimension": "colour of money", "values": ["x"]}, "dimension"),
        ({"dimension": "colour", "values": ["x"]}, "colour"),
        ({"dimension": "service", "values": []}, "values"),
        ({"dimension": "service", "operator": "like", "values": ["x"]}, "operator"),
        ({"and": []}, "and"),
        ({"and": [COMPUTE], "or": [COMPUTE]}, "or"),
        ({"dimension": "service", "values": ["a\0b"]}, "NUL"),
        ({"not": {"not": {"not": {"not": {"not": {"not": COMPUTE}}}}}}, "deep"),
        ({"and": [{"or": [COMPUTE] * 26}, {"or": [COMPUTE] * 26}]}, "52 conditions"),
    ],
)
def test_a_condition_that_is_none_is_refused(api: httpx.Client, condition: dict[str, Any], said: str) -> None:
    """With the place and the reason; never with a fault of ours."""
    answer = api.post("/v1/costs/query", json={"where": condition, **SETTLED})

    assert answer.status_code == 422
    assert said in answer.json()["detail"]


def test_a_body_of_a_thousand_levels_is_refused(api: httpx.Client) -> None:
    """A parser that runs out of stack is a way to take the server down."""
    body = '{"window": "7d", "where": ' + '{"not": ' * 100_000 + "1" + "}" * 100_001

    answer = api.post("/v1/costs/query", content=body, headers={"content-type": "application/json"})

    assert answer.status_code in (400, 422)


def test_what_does_not_add_up_is_refused_inside_conditions_too(api: httpx.Client) -> None:
    """A commitment's fee and the usage it pays for would count twice, however the two are asked for."""
    either = {"or": [{"dimension": "charge_category", "values": [kind]} for kind in ("Purchase", "Usage")]}

    refused = api.post("/v1/costs/query", json={"measure": ["list_cost"], "where": either, **SETTLED})

    assert refused.status_code == 422
    assert refused.json()["title"] == "NotAddable"


def test_weeks_begin_on_monday(api: httpx.Client, charges: psycopg.Connection) -> None:
    """A week is named by its Monday, and one that the window cuts holds the days of the window."""
    answer = asked(api, granularity="weekly", **SETTLED)

    assert told(answer["items"], "week") == summed(charges, WINDOW, "date_trunc('week', usage_day)::date::text")
    assert {date.fromisoformat(item["week"]).weekday() for item in answer["items"]} == {0}


def test_invoice_months_are_what_charges_are_billed_in(api: httpx.Client, charges: psycopg.Connection) -> None:
    """Late charges of September are on October's invoice."""
    answer = asked(api, granularity="invoice_month", **SETTLED)

    assert told(answer["items"], "invoice_month") == summed(charges, WINDOW, "invoice_month")


def test_by_invoice_month_a_month_is_its_invoice(api: httpx.Client, charges: psycopg.Connection) -> None:
    """The number that accounting has: also charges of usage days of other months, and none that is billed elsewhere."""
    question = {"time_basis": "invoice_month", "start": "2026-10-01", "end": "2026-11-01", "include_unfinished": True}

    answer = asked(api, granularity="invoice_month", **question)
    total = asked(api, granularity="total", **question)

    assert told(answer["items"], "invoice_month") == summed(charges, "invoice_month = '202610'", "invoice_month")
    [invoice] = [
        month
        for month in api.get("/v1/meta").json()["invoice_months"]
        if month["invoice_month"] == "202610" and month["billing_currency"] == "USD"
    ]
    assert told(total["items"]) == {None: Decimal(invoice["billed_cost"])}
    by_usage = asked(api, **{**question, "time_basis": "usage_day"}, granularity="total")
    assert told(by_usage["items"]) != told(total["items"]), "the sample has no late charge to tell the two apart"
    assert (total["items"][0]["start"], total["items"][0]["end"]) == ("2026-10-01", "2026-11-01")


@pytest.mark.parametrize(
    "question",
    [
        {"start": "2026-09-02", "end": "2026-10-01"},
        {"start": "2026-09-01", "end": "2026-09-30"},
        {"window": "7d"},
        {"window": "lastmonth", "compare": "previous", "granularity": "total"},
    ],
)
def test_part_of_an_invoice_is_refused(api: httpx.Client, question: dict[str, str]) -> None:
    """An invoice has no days."""
    answer = api.post("/v1/costs/query", json={"time_basis": "invoice_month", **question})

    assert answer.status_code == 422


def test_any_period_can_be_compared_with(api: httpx.Client, charges: psycopg.Connection) -> None:
    """As many days, from any day on; amounts and percents are of those two sums."""
    answer = asked(
        api, granularity="total", group_by=["service"], compare="period", compare_start="2026-09-03",
        start="2026-10-01", end="2026-10-08",
    )  # fmt: skip

    now = summed(charges, "usage_day >= '2026-10-01' and usage_day < '2026-10-08'", "service_id")
    before = summed(charges, "usage_day >= '2026-09-03' and usage_day < '2026-09-10'", "service_id")
    dollars = {item["service"]: item for item in answer["items"] if item["billing_currency"] == "USD"}
    assert (answer["meta"]["previous_start"], answer["meta"]["previous_end"]) == ("2026-09-03", "2026-09-10")
    assert set(dollars) == {*now, *before}
    for service, item in dollars.items():
        change = now.get(service, Decimal(0)) - before.get(service, Decimal(0))
        assert Decimal(item["change_billed_cost"]) == change
        if before.get(service):
            percent = Decimal(item["change_percent_billed_cost"])
            assert abs(percent - change / abs(before[service]) * 100) <= Decimal("0.005")
        else:
            assert item["change_percent_billed_cost"] is None


def test_a_period_between_is_not_missing(api: httpx.Client) -> None:
    """Days that are neither asked for nor compared with are nobody's concern."""
    answer = asked(
        api, granularity="total", compare="period", compare_start="2024-03-01", start="2026-10-01", end="2026-10-03"
    )

    assert answer["meta"]["missing_days"] == ["2024-03-01", "2024-03-02"]


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_pages_are_the_whole_answer_once(api: httpx.Client, limit: int) -> None:
    """In its order, with no row twice, and with the totals of all of it on every page."""
    question = {"group_by": ["service", "project"], "start": "2026-10-01", "end": "2026-10-03"}
    whole = asked(api, **question)
    found: Rows = []
    cursor: str | None = None
    while True:
        page = asked(api, **question, limit=limit, **({"cursor": cursor} if cursor else {}))
        assert page["totals"] == whole["totals"]
        assert len(page["items"]) <= limit
        found += page["items"]
        cursor = page["meta"]["next_cursor"]
        if cursor is None:
            break

    assert found == whole["items"]


def test_a_cursor_of_another_question_is_refused(api: httpx.Client) -> None:
    """It would be a page of something, and look like the next one."""
    question = {"group_by": ["service"], "limit": 2, **SETTLED}
    cursor = asked(api, **question)["meta"]["next_cursor"]

    for wrong in ({**question, "group_by": ["project"]}, {**question, "start": "2026-09-21"}):
        refused = api.post("/v1/costs/query", json={**wrong, "cursor": cursor})
        assert (refused.status_code, refused.json()["title"]) == (422, "BadCursor")
    for made_up in ("", "x", "%%%", "é", cursor[:-3], "W10", "bnVsbA"):
        refused = api.post("/v1/costs/query", json={**question, "cursor": made_up})
        assert (refused.status_code, refused.json()["title"]) == (422, "BadCursor"), made_up


def test_a_cursor_ends_when_the_data_moves(spoilt: str, api_over: Callable[..., httpx.Client]) -> None:
    """Also when the day that was built has no newer version than another: pages of two states are no answer."""
    api = api_over(spoilt)
    question = {"group_by": ["service"], "limit": 2, **SETTLED}
    cursor = asked(api, **question)["meta"]["next_cursor"]
    with connect_to(spoilt, autocommit=True) as connection:
        # Committed later than a newer version, as it is when two builds overlap.
        connection.execute(
            "update finops.materialisation as one set version = version + 1 where asset = 'cost_by_service_daily' and "
            "version < (select max(version) - 1 from finops.materialisation) "
            "and partition_key = (select min(partition_key) from finops.materialisation where asset = one.asset)"
        )

    refused = api.post("/v1/costs/query", json={**question, "cursor": cursor})

    assert (refused.status_code, refused.json()["title"]) == (409, "StaleCursor")


def test_days_of_a_window_from_the_year_on(api: httpx.Client) -> None:
    """`ytd` is resolved and echoed like the others."""
    meta = asked(api, window="ytd", granularity="total")["meta"]

    assert (meta["start"], meta["end"]) == ("2026-01-01", (date(2026, 10, 18) + timedelta(days=1)).isoformat())


def test_random_conditions_are_what_they_say(api: httpx.Client, charges: psycopg.Connection) -> None:
    """Fifty trees of conditions, each against the same tree told in SQL over the export's rows."""
    chance = random.Random(6)
    columns = {
        "service": ("service_name", ["Compute Engine", "Cloud Storage", "BigQuery", "nothing"]),
        "cost_type": ("cost_type", ["regular", "tax", "adjustment"]),
        "region": ("coalesce(region, location)", ["us-central1", "europe-west1"]),
    }

    def tree(depth: int) -> tuple[dict[str, Any], str]:
        kind = chance.choice(["is", "is", "and", "or", "not"]) if depth else "is"
        if kind == "is":
            name = chance.choice(list(columns))
            column, known = columns[name]
            values = chance.sample(known, chance.randint(1, 2))
            listed = ", ".join(f"'{value}'" for value in values)
            return {"dimension": name, "values": values}, f"coalesce({column} in ({listed}), false)"
        if kind == "not":
            condition, where = tree(depth - 1)
            return {"not": condition}, f"not ({where})"
        parts = [tree(depth - 1) for _ in range(chance.randint(1, 3))]
        return {kind: [condition for condition, _ in parts]}, f"({f' {kind} '.join(where for _, where in parts)})"

    for _ in range(50):
        condition, where = tree(3)
        answer = asked(api, granularity="total", where=condition, start="2026-10-01", end="2026-10-04")
        expected = summed(charges, f"usage_day >= '2026-10-01' and usage_day < '2026-10-04' and {where}")
        assert told(answer["items"]) == expected, condition
