"""Budgets: what is spent is what the charges say, one change does not undo another, and nothing hostile gets in."""

import random
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import httpx
import psycopg
import pytest
from fastapi.routing import iter_route_contexts

from finops_api import keyring
from finops_api.app import create_app
from finops_warehouse.budgets import MAX_BUDGETS, BudgetPlan, Measure, month_after
from finops_warehouse.database import connect_to
from finops_warehouse.semantic import COST_BASES, DIMENSIONS
from finops_warehouse.settings import Settings

from .conftest import PEPPER, MakeKey
from .listening import until_it_listens

Api = Callable[..., httpx.Client]

PLAN: dict[str, Any] = {"name": "All of it", "billing_currency": "USD", "amount": "1000.5", "start_month": "2026-09"}


@pytest.fixture
def api(spoilt: str, api_over: Api) -> httpx.Client:
    """An API over tables of this test alone, open to this machine."""
    return api_over(spoilt)


@pytest.fixture
def warehouse(spoilt: str) -> Any:  # noqa: ANN401 -- an iterator of a connection
    """The database behind it."""
    with connect_to(spoilt, autocommit=True) as connection:
        yield connection


def made(api: httpx.Client, **asked: Any) -> dict[str, Any]:  # noqa: ANN401 -- what a plan takes
    """A budget that must be made."""
    answer = api.post("/v1/budgets", json={**PLAN, **asked})
    assert answer.status_code == 201, answer.text
    budget: dict[str, Any] = answer.json()
    return budget


def listed(api: httpx.Client, **asked: str) -> dict[str, Any]:
    """The list of budgets."""
    # What was written a moment ago is to be in it: the news of it takes some milliseconds to whoever keeps answers.
    answer = api.get("/v1/budgets", params=asked, headers={"Cache-Control": "no-cache"})
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


# -- what is spent


RAW = {
    "project": "coalesce(sub_account_id, '(unattributed)') = any(%s) or sub_account_name = any(%s)",
    "service": "coalesce(service_id, '(unattributed)') = any(%s) or service_name = any(%s)",
    "sku": "coalesce(sku_id, '(unattributed)') = any(%s) or sku_description = any(%s)",
    "region": "coalesce(region, location, '(unattributed)') = any(%s) or false = any(%s::bool[])",
    "billing_account": "billing_account_id = any(%s) or billing_account_id = any(%s)",
    "cost_type": "cost_type = any(%s) or cost_type = any(%s)",
}


def spent_of_charges(
    connection: psycopg.Connection, month: date, through: date, currency: str, filters: dict[str, list[str]]
) -> Decimal:
    """What the rows of the export say, without any table of ours in between."""
    conditions = ["usage_day >= %s", "usage_day < %s", "usage_day <= %s", "billing_currency = %s"]
    values: list[object] = [month, month_after(month), through, currency]
    for name, members in filters.items():
        conditions.append(f"({RAW[name]})")
        values += [members, [] if name == "region" else members]
    statement = f"select coalesce(sum(billed_cost), 0) from finops.raw_charges where {' and '.join(conditions)}"
    [(spent,)] = connection.execute(statement.encode(), values).fetchall()
    return Decimal(spent)


def test_what_is_spent_is_what_the_charges_say(api: httpx.Client, warehouse: psycopg.Connection) -> None:
    """Budgets of anything, in both months: to the last digit the sum over raw_charges, and the state that follows."""
    chance = random.Random(11)
    there: dict[str, list[str]] = {}
    for name, column in {
        "project": "sub_account_id", "service": "service_name", "sku": "sku_id", "region": "coalesce(region, location)",
        "billing_account": "billing_account_id", "cost_type": "cost_type",
    }.items():  # fmt: skip
        found = warehouse.execute(f"select distinct coalesce({column}, '(unattributed)') from finops.raw_charges")
        there[name] = sorted(member for (member,) in found.fetchall())
    budgets = []
    for number in range(40):
        dimensions = chance.sample(sorted(there), chance.choice([0, 1, 1, 2]))
        filters = {name: chance.sample(there[name], min(len(there[name]), chance.randint(1, 4))) for name in dimensions}
        currency, money = chance.choice(["USD", "USD", "EUR"]), str(10 ** chance.randint(1, 6))
        budgets.append(made(api, name=f"Budget {number}", billing_currency=currency, amount=money, filters=filters))
    nonzero = 0
    for month in (date(2026, 9, 1), date(2026, 10, 1)):
        page = listed(api, month=f"{month:%Y-%m}")
        through = date.fromisoformat(page["meta"]["complete_through"])
        by_id = {item["budget_id"]: item for item in page["items"]}
        for budget in budgets:
            spent = spent_of_charges(warehouse, month, through, budget["billing_currency"], budget["filters"])
            status = by_id[budget["budget_id"]]["status"]
            assert Decimal(status["spent"]) == spent, (month, budget)
            amount = Decimal(budget["amount"])
            assert Decimal(status["remaining"]) == amount - spent
            assert abs(Decimal(status["spent_percent"]) - spent * 100 / amount) <= Decimal("0.005")
            assert (status["state"] == "over") == (spent > amount)
            if status["state"] == "ok":
                assert spent * 2 < amount
            nonzero += spent > 0
    assert nonzero > 30


def test_the_last_month_is_counted_to_the_last_complete_day(api: httpx.Client) -> None:
    """And that is what `/v1/costs` says of the same days and words."""
    made(api, name="Shop", filters={"project": ["nw-shop-prod"]}, measure="list_cost")
    page = listed(api)
    meta = page["meta"]
    complete = date.fromisoformat(meta["complete_through"])

    assert (meta["month"], meta["counted_through"], meta["missing_days"]) == ("2026-10", complete.isoformat(), [])
    assert Decimal(meta["elapsed_percent"]) == round(Decimal(complete.day * 100) / 31, 2)
    asked = {"window": "mtd", "granularity": "total", "measure": "list_cost", "project": "nw-shop-prod"}
    [costs] = api.get("/v1/costs", params={**asked, "billing_currency": "USD"}).json()["totals"]
    assert page["items"][0]["status"]["spent"] == costs["list_cost"]


def test_a_dimension_of_the_users_own_is_one_too(api: httpx.Client, warehouse: psycopg.Connection) -> None:
    """By its members, and by the rule that assigned them; one that no rule makes is refused with what there is."""
    [member, *_] = [m["id"] for m in api.get("/v1/dimensions/team/members").json()["items"]]
    made(api, name="Team", filters={"team": [member], "team_rule": ["default"]})
    refused = api.post("/v1/budgets", json={**PLAN, "filters": {"galaxy": ["x"]}})

    [item] = listed(api, month="2026-09")["items"]
    asked = {"start": "2026-09-01", "end": "2026-10-01", "granularity": "total", "billing_currency": "USD"}
    costs = api.get("/v1/costs", params={**asked, "custom": [f"team:{member}", "team_rule:default"]}).json()["totals"]
    assert item["status"]["spent"] == (costs[0]["billed_cost"] if costs else "0")
    assert (refused.status_code, refused.json()["title"]) == (422, "UnknownDimension")

    warehouse.execute("insert into finops.dimension_rules (rules_hash, rules) values ('x', '{}')")
    [item] = listed(api, month="2026-09")["items"]
    assert item["status"] is None
    assert "no dimension team" in item["why_no_status"]


def test_days_that_are_not_there_are_told(api: httpx.Client) -> None:
    """A month before the first day there is has no zero without a word."""
    made(api, start_month="2026-08")

    page = listed(api, month="2026-08")
    assert page["items"][0]["status"]["spent"] == "0"
    assert len(page["meta"]["missing_days"]) == 31
    page = listed(api, month="2026-12")
    assert (page["meta"]["counted_through"], page["meta"]["elapsed_percent"]) == (None, "0.00")
    page = listed(api, month="2026-07")
    assert page["items"][0]["status"] is None
    assert page["items"][0]["why_no_status"] == "The budget holds from 2026-08, and not in 2026-07."


def test_before_anything_is_loaded_budgets_can_be_made(database_url: str, api_over: Api) -> None:
    """Somebody sets up budgets first; what is spent of them is unknown and not nothing."""
    api = api_over(database_url)
    made(api)

    page = listed(api)
    assert page["items"][0]["status"] is None
    assert "No usage day" in page["items"][0]["why_no_status"]
    assert page["meta"]["month"] is None
    assert api.get("/v1/budgets/1", params={"month": "2026-10"}).status_code == 200


# -- forecasts


def test_a_budget_has_the_forecast_of_exactly_its_charges(api: httpx.Client) -> None:
    """Of a currency, an account, a project or a service: the figure and interval of `/v1/forecasts`, and its day."""
    [service] = [m["id"] for m in api.get("/v1/dimensions/service/members?search=BigQuery").json()["items"]][:1]
    of = {
        "total": {}, "project": {"project": ["nw-shop-prod"]}, "service": {"service": [service]},
        "billing_account": {"billing_account": ["01A7C3-5E9B20-4D6F81"]},
    }  # fmt: skip
    for scope, filters in of.items():
        made(api, name=scope, filters=filters, amount="100000")

    for item in listed(api)["items"]:
        scope = item["name"]
        members = [member for members in of[scope].values() for member in members]
        asked = {"scope": scope, "member": members, "billing_currency": "USD"}
        page = api.get("/v1/forecasts", params=asked).json()
        [forecast] = page["items"]
        told = item["status"]["forecast"]
        assert (told["source"], told["scope"], told["as_of_day"]) == (
            "cost_forecasts", scope, page["meta"]["as_of_day"],
        )  # fmt: skip
        assert told["expected"] == forecast["month_end"]["expected_cost"]
        for bound in ("low_80", "high_80", "low_95", "high_95"):
            assert told[bound] == forecast["month_end"][bound]
        assert item["status"]["why_no_forecast"] is None


@pytest.mark.parametrize(
    ("asked", "because"),
    [
        ({"measure": "list_cost"}, "Only billed_cost"),
        ({"filters": {"region": ["us-central1"]}}, "None is of exactly this"),
        ({"filters": {"project": ["nw-shop-prod", "nw-shop-staging"]}}, "None is of exactly this"),
        ({"filters": {"service": ["BigQuery"]}}, "by its id"),
        ({"filters": {"project": ["nobody"]}}, "by its id"),
    ],
)
def test_no_forecast_is_invented(api: httpx.Client, asked: dict[str, Any], because: str) -> None:
    """Where there is none, the answer says why; so it does of a month that is over."""
    made(api, **asked)

    [item] = listed(api)["items"]
    assert item["status"]["forecast"] is None
    assert because in item["status"]["why_no_forecast"]
    [item] = listed(api, month="2026-09")["items"]
    assert item["status"]["forecast"] is None
    if because.startswith("Only"):
        assert "is complete" in item["status"]["why_no_forecast"]


def test_a_forecast_warns_before_the_money_is_spent(api: httpx.Client) -> None:
    """At the forecast's own amount the threshold of 100 is reached; a cent more, and it is not."""
    made(api, thresholds=[])
    [item] = listed(api)["items"]
    expected = Decimal(item["status"]["forecast"]["expected"])

    states = []
    for amount in (expected, expected + Decimal("0.01")):
        made(api, name=str(amount), amount=str(amount), thresholds=[])
        [told] = [one for one in listed(api)["items"] if one["name"] == str(amount)]
        states.append(told["status"]["state"])

    assert states == ["warning", "ok"]


def test_what_is_spent_to_the_last_cent_is_not_over(api: httpx.Client) -> None:
    """At exactly the budget its last threshold is reached; a cent less, and it is over."""
    made(api, thresholds=[100], forecast_thresholds=[], start_month="2026-09")
    [item] = listed(api, month="2026-09")["items"]
    spent = Decimal(item["status"]["spent"])

    states = []
    for less in ("-0.000000001", "0", "0.000000001"):
        amount = format(round(spent, 9) - Decimal(less), "f")
        made(api, name=less, amount=amount, thresholds=[100], forecast_thresholds=[])
        [told] = [one for one in listed(api, month="2026-09")["items"] if one["name"] == less]
        states.append(told["status"]["state"])

    assert spent == round(spent, 9)
    assert states == ["ok", "warning", "over"]


# -- changing them


def test_a_budget_is_made_read_changed_and_deleted(api: httpx.Client, warehouse: psycopg.Connection) -> None:
    """Each with its version, and each of the changes is written down with all that was wanted."""
    answer = api.post("/v1/budgets", json={**PLAN, "amount": "1000.50", "thresholds": [100, 50, 50]})
    place, budget = answer.headers["location"], answer.json()
    assert (answer.headers["etag"], budget["version"], budget["amount"]) == ('"1"', 1, "1000.5")
    assert budget["thresholds"] == [50, 100]
    assert (budget["created_by"], budget["end_month"], budget["measure"]) == ("this machine", None, "billed_cost")
    assert api.get(place).headers["etag"] == '"1"'

    changed = api.put(place, json={**PLAN, "amount": "7"}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["etag"], changed.json()["amount"]) == (200, '"2"', "7")
    gone = api.delete(place, headers={"If-Match": '"2"'})
    assert (gone.status_code, gone.content) == (204, b"")
    assert api.get(place).status_code == api.delete(place, headers={"If-Match": "*"}).status_code == 404

    events = warehouse.execute("select action, scope, actor, detail from finops.audit_event order by event_id")
    assert [
        (action, scope, actor, detail["budget_id"], detail["amount"]) for action, scope, actor, detail in events
    ] == [
        ("budget.create", "admin", "this machine", budget["budget_id"], "1000.5"),
        ("budget.change", "admin", "this machine", budget["budget_id"], "7"),
        ("budget.delete", "admin", "this machine", budget["budget_id"], "7"),
    ]


def test_one_change_does_not_undo_another(api: httpx.Client, warehouse: psycopg.Connection) -> None:
    """Two people open version 1; the second is told, and nothing of theirs is done. Sending again is safe."""
    place = f"/v1/budgets/{made(api)['budget_id']}"
    first = api.put(place, json={**PLAN, "amount": "5"}, headers={"If-Match": '"1"'})
    second = api.put(place, json={**PLAN, "amount": "6"}, headers={"If-Match": '"1"'})
    again = api.put(place, json={**PLAN, "amount": "5.0"}, headers={"If-Match": '"1"'})
    too_late = api.delete(place, headers={"If-Match": '"1"'})

    assert first.status_code == 200
    assert (second.status_code, second.json()["title"]) == (412, "ChangedMeanwhile")
    assert "version 2" in second.json()["detail"]
    assert (again.status_code, again.headers["etag"]) == (200, '"2"')
    assert too_late.status_code == 412
    assert api.get(place).json()["amount"] == "5"
    assert api.put(place, json={**PLAN, "amount": "8"}, headers={"If-Match": "*"}).status_code == 200
    for sent in ({}, {"If-Match": "1"}, {"If-Match": 'W/"1"'}, {"If-Match": '"1", "2"'}):
        assert api.put(place, json=PLAN, headers=sent).status_code == 422
    assert warehouse.execute("select count(*) from finops.audit_event").fetchall() == [(3,)]


def test_a_name_is_taken_once(api: httpx.Client, warehouse: psycopg.Connection) -> None:
    """By POST and by PUT; what is refused leaves no word in the record."""
    made(api)
    other = made(api, name="Another")
    answers = [
        api.post("/v1/budgets", json={**PLAN, "amount": "3"}),
        api.put(f"/v1/budgets/{other['budget_id']}", json=PLAN, headers={"If-Match": '"1"'}),
    ]

    for answer in answers:
        assert (answer.status_code, answer.json()["title"]) == (409, "NameTaken")
        assert answer.headers["content-type"] == "application/problem+json"
    assert [item["amount"] for item in listed(api)["items"]] == ["1000.5", "1000.5"]
    assert warehouse.execute("select count(*) from finops.audit_event").fetchall() == [(2,)]


def test_there_are_only_so_many(api: httpx.Client, warehouse: psycopg.Connection) -> None:
    """More than one statement can add up in time; as many as there may be are answered."""
    warehouse.execute(
        "insert into finops.budgets (name, billing_currency, amount, measure, filters, thresholds, "
        "forecast_thresholds, start_month, created_by, updated_by) select n::text, 'USD', n, 'billed_cost', "
        "'{\"sku\": [\"x\"]}', '{}', '{}', '2026-09-01', 'x', 'x' from generate_series(1, %s) as n",
        [MAX_BUDGETS],
    )

    refused = api.post("/v1/budgets", json=PLAN)
    assert (refused.status_code, refused.json()["title"]) == (409, "TooMany")
    assert len(listed(api)["items"]) == MAX_BUDGETS


HOSTILE = [
    "'; drop table finops.budgets; --", "100%", "%s", "%(month)s", "{0}", "{amount}", '"', "\\",
    "<script>alert(1)</script>", "Ünïcödé ✓", "a" * 120,
]  # fmt: skip


def test_what_looks_like_an_attack_is_a_name(api: httpx.Client) -> None:
    """In a name and in a filter, of a built-in and of a custom dimension: kept and compared as it is."""
    for text in HOSTILE:
        made(api, name=text, filters={"project": [text], "service": [text], "team": [text]})

    told = {item["name"]: item for item in listed(api)["items"]}
    assert set(told) == set(HOSTILE)
    for text, item in told.items():
        assert (item["filters"]["team"], item["status"]["spent"]) == ([text], "0")


REFUSED: list[dict[str, Any]] = [
    {"name": ""}, {"name": " x"}, {"name": "x" * 121}, {"name": "a\0b"}, {"name": "a\nb"}, {"name": "\u202eabc"},
    {"name": 5}, {"name": None},
    {"billing_currency": "usd"}, {"billing_currency": "US"}, {"billing_currency": "USD\n"},
    {"amount": "0"}, {"amount": "0.00"}, {"amount": "-5"}, {"amount": "1e5"}, {"amount": "NaN"}, {"amount": ""},
    {"amount": 100}, {"amount": 0.1}, {"amount": "1" * 16}, {"amount": "1.1234567891"}, {"amount": "١٢"},
    {"measure": "charge_count"}, {"measure": "credit_discount"}, {"measure": "coverage"},
    {"measure": "list_cost", "filters": {"charge_category": ["Purchase", "Usage"]}},
    {"filters": {"invoice_month": ["202609"]}}, {"filters": {"project": []}}, {"filters": {"project": [""]}},
    {"filters": {"project": "x"}}, {"filters": {"project": ["a\0b"]}}, {"filters": {"project": ["x" * 501]}},
    {"filters": {"project": [str(n) for n in range(101)]}}, {"filters": {"Project": ["x"]}},
    {"filters": {"a-b": ["x"]}},
    {"filters": {"usage_day = '2026-09-01' or true": ["x"]}}, {"filters": {f"d{n}": ["x"] for n in range(11)}},
    {"thresholds": [0]}, {"thresholds": [1001]}, {"thresholds": [50.5]}, {"thresholds": ["50"]}, {"thresholds": [True]},
    {"thresholds": list(range(1, 12))}, {"forecast_thresholds": [-1]},
    {"start_month": "2026-13"}, {"start_month": "202609"}, {"start_month": "2026-09-01"}, {"start_month": "1999-01"},
    {"end_month": "2026-08"}, {"owner": "me"}, {"version": 1},
]  # fmt: skip


def test_what_no_budget_can_be_is_refused(api: httpx.Client, warehouse: psycopg.Connection) -> None:
    """With the place and the reason, as a problem, and nothing of it is kept."""
    for asked in REFUSED:
        answer = api.post("/v1/budgets", json={**PLAN, **asked})
        assert answer.status_code == 422, (asked, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["title"] == "BadParameter", asked
    assert warehouse.execute("select count(*) from finops.budgets").fetchall() == [(0,)]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"name": "\\ud800"}', b'"x"'])
def test_a_body_that_is_none_is_refused(built: str, api_over: Api, body: bytes) -> None:
    """A fault of the caller's is never told as one of ours."""
    sent = {"Content-Type": "application/json"}

    assert api_over(built).post("/v1/budgets", content=body, headers=sent).status_code == 422


@pytest.mark.parametrize("asked", [{"month": "2026-9"}, {"month": "2026-09\0"}, {"months": "2026-09"}])
def test_a_question_that_is_none_is_refused(api: httpx.Client, asked: dict[str, str]) -> None:
    """Also of one budget; a month that is given twice is not the last of the two."""
    place = f"/v1/budgets/{made(api)['budget_id']}"

    assert {api.get(path, params=asked).status_code for path in ("/v1/budgets", place)} == {422}
    assert api.get("/v1/budgets?month=2026-09&month=2026-10").json()["title"] == "AskedTwice"
    for number in ("0", "-1", "x", str(2**63)):
        assert api.get(f"/v1/budgets/{number}").status_code == 422


def test_the_costs_of_budgets_are_those_of_the_semantic_layer() -> None:
    """A cost that is added there is one a budget can be of."""
    assert tuple(BudgetPlan.model_json_schema()["properties"]["measure"]["enum"]) == COST_BASES
    assert Measure.__args__ == COST_BASES  # type: ignore[attr-defined]
    assert set(RAW) | {"charge_category", "invoice_month"} == set(DIMENSIONS)


# -- who may


def test_only_an_admin_changes_budgets_and_only_a_reader_reads_them(
    keyed: str, make_key: MakeKey, api_over: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every method against every scope, and a restricted key against all of them."""
    monkeypatch.setattr(keyring, "READ_AGAIN_FOR_A_STRANGER_SECONDS", 0.0)
    keys = {scope: make_key(scope) for scope in ("read", "export", "admin")}
    keys["restricted"] = make_key("read", "export", projects=("nw-shop-prod",))
    keys["nobody"] = "x"
    api = api_over(keyed, api_key_pepper=PEPPER)

    def ask(who: str, method: str, path: str, **more: Any) -> int:  # noqa: ANN401 -- what a request takes
        sent = {"Authorization": f"Bearer {keys[who]}", "If-Match": "*"}
        return api.request(method, path, headers=sent, **more).status_code

    assert {who: ask(who, "POST", "/v1/budgets", json=PLAN) for who in keys} == {
        "read": 403, "export": 403, "admin": 201, "restricted": 403, "nobody": 401,
    }  # fmt: skip
    for path in ("/v1/budgets", "/v1/budgets/1"):
        assert {who: ask(who, "GET", path) for who in keys} == {
            "read": 200, "export": 403, "admin": 403, "restricted": 403, "nobody": 401,
        }  # fmt: skip
    for method, body in (("PUT", {"json": {**PLAN, "amount": "1"}}), ("DELETE", {})):
        assert {who: ask(who, method, "/v1/budgets/1", **body) for who in keys} == {
            "read": 403, "export": 403, "admin": 200 if body else 204, "restricted": 403, "nobody": 401,
        }  # fmt: skip


def test_kept_answers_follow_budgets(spoilt: str, api_over: Api) -> None:
    """The list is kept; what is changed is in the next one, and the answer to one budget is never a kept one."""
    api = api_over(spoilt)
    until_it_listens(api)
    budget = made(api)
    assert [item["name"] for item in listed(api)["items"]] == ["All of it"]
    place = f"/v1/budgets/{budget['budget_id']}"
    for version in range(1, 6):
        amount = str(version * 11)
        assert api.get(place).headers.get_list("etag") == [f'"{version}"']
        api.put(place, json={**PLAN, "amount": amount}, headers={"If-Match": f'"{version}"'})
        assert api.get(place).json()["amount"] == amount
        until_heard = [api.get("/v1/budgets").json()["items"][0]["amount"] for _ in range(20)]
        assert until_heard[-1] == amount


def test_the_routes_are_those_that_are_tried_here() -> None:
    """A method that is added has to be judged: who may, and what it refuses."""
    found = {
        (method, route.path)
        for route in iter_route_contexts(create_app("postgresql://nobody@127.0.0.1:1/x", Settings()).routes)
        if (route.path or "").startswith("/v1/budgets")
        for method in getattr(route, "methods", None) or ()
    }

    assert found == {
        *(("GET", "/v1/budgets"), ("POST", "/v1/budgets")),
        *((method, "/v1/budgets/{budget_id}") for method in ("GET", "PUT", "DELETE")),
    }
