"""Custom dimensions over HTTP: whatever the rules in force make can be asked like a built-in dimension."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

import httpx
import psycopg

from finops_pipeline.assets.sql_assets import daily_inputs
from finops_pipeline.rebuilding import rebuild_usage_day
from finops_warehouse import ledger
from finops_warehouse.assignment import apply
from finops_warehouse.database import connect_to
from finops_warehouse.dimensions import default_rules, rules_from
from finops_warehouse.sql_models import postgres_models

WINDOW = {"start": "2026-09-20", "end": "2026-10-11"}
# What the shipped rules say of a charge's team, said a second time in plain SQL.
TEAM = """
    coalesce(
        (select lower(trim(l->>'value')) from jsonb_array_elements(labels) as l where l->>'key' = 'team'),
        (select lower(trim(l->>'value')) from jsonb_array_elements(labels) as l where l->>'key' = 'Team'),
        (select lower(trim(l->>'value')) from jsonb_array_elements(project_labels) as l where l->>'key' = 'team'),
        '(unattributed)'
    )
"""


def test_costs_by_team_are_what_the_charges_labels_say(api: httpx.Client, charges: psycopg.Connection) -> None:
    """To the last digit, and together they are the whole cost."""
    told = api.get("/v1/costs", params={**WINDOW, "granularity": "total", "group_by": "team"}).json()
    expected = charges.execute(
        f"select billing_currency, {TEAM}, sum(billed_cost) from finops.raw_charges "
        "where usage_day >= '2026-09-20' and usage_day < '2026-10-11' group by 1, 2"
    ).fetchall()

    assert {(i["billing_currency"], i["team"], Decimal(i["billed_cost"])) for i in told["items"]} == set(expected)
    for total in told["totals"]:
        currency = total["billing_currency"]
        rows = [Decimal(i["billed_cost"]) for i in told["items"] if i["billing_currency"] == currency]
        assert sum(rows) == Decimal(total["billed_cost"])
    assert told["meta"]["table"] == "cost_by_custom_daily"


def test_a_team_is_a_filter_and_mixes_with_what_is_built_in(api: httpx.Client, charges: psycopg.Connection) -> None:
    """Values of one dimension are any of them, several dimensions all of them."""
    asked = {**WINDOW, "granularity": "total", "group_by": ["team", "service"]}
    told = api.get("/v1/costs", params={**asked, "custom": ["team:sre", "team:growth", "environment:prod"]}).json()
    [(expected,)] = charges.execute(
        "select sum(billed_cost) from finops.aggregated_cost_data where usage_day >= '2026-09-20' "
        "and usage_day < '2026-10-11' and billing_currency = 'USD' and custom ->> 'environment' = 'prod' "
        "and custom ->> 'team' in ('sre', 'growth')"
    ).fetchall()

    assert told["items"]
    assert {item["team"] for item in told["items"]} <= {"sre", "growth"}
    assert sum(Decimal(i["billed_cost"]) for i in told["items"] if i["billing_currency"] == "USD") == expected
    assert told["meta"]["filters"] == {"team": ["sre", "growth"], "environment": ["prod"]}


def test_who_assigned_a_member_can_be_asked(api: httpx.Client) -> None:
    """Provenance is a dimension like any other."""
    told = api.get("/v1/costs", params={**WINDOW, "granularity": "total", "group_by": ["team", "team_rule"]}).json()

    rules = {item["team_rule"] for item in told["items"]}
    assert rules == {*(source.rule for source in default_rules().by_name["team"].sources), "default"}
    assert {item["team"] for item in told["items"] if item["team_rule"] == "default"} == {"(unattributed)"}


def test_an_unknown_dimension_is_refused_with_what_there_is(api: httpx.Client) -> None:
    """Everywhere a name can stand, with the same words."""
    cell = {**WINDOW, "billing_currency": "USD"}
    for answer in (
        api.get("/v1/costs", params={**WINDOW, "group_by": "squad"}),
        api.get("/v1/costs", params={**WINDOW, "custom": "squad:a"}),
        api.get("/v1/evidence", params={**cell, "custom": "squad:a"}),
        api.get("/v1/evidence.csv", params={**cell, "custom": "squad:a"}),
        api.get("/v1/dimensions/squad/members"),
    ):
        assert answer.status_code == 422
        assert answer.json()["title"] == "UnknownDimension"
        assert answer.json()["detail"].startswith("There is no dimension squad. There are: billing_account, ")
        assert "cost_type, team, team_rule, environment, " in answer.json()["detail"]


def test_a_filter_without_a_name_is_refused(api: httpx.Client) -> None:
    """`custom=shop` names no dimension."""
    assert api.get("/v1/costs", params={**WINDOW, "custom": "Shop"}).json()["title"] == "BadParameter"


def test_hostile_members_are_members_nothing_has(api: httpx.Client) -> None:
    """Bound, not pasted."""
    for hostile in ("' or 1=1--", "%s", "{}", "\\", "漢字", ":", ""):
        answer = api.get("/v1/costs", params={**WINDOW, "custom": f"team:{hostile}"})
        assert (answer.status_code, answer.json()["items"]) == (200, [])


def test_a_team_opens_to_its_charges_with_who_assigned_them(api: httpx.Client) -> None:
    """The sum of the rows is the cell, and each row says which rule gave it to the team."""
    costs = api.get(
        "/v1/costs", params={**WINDOW, "granularity": "total", "custom": "team:sre", "billing_currency": "USD"}
    ).json()
    told = api.get("/v1/evidence", params={**WINDOW, "custom": "team:sre", "billing_currency": "USD"}).json()

    assert told["matches"] is True
    assert Decimal(told["value"]) == Decimal(costs["totals"][0]["billed_cost"])
    assert told["rows"]
    assert {row["custom"]["team"] for row in told["rows"]} == {"sre"}
    assert all(row["assigned_by"]["team"] != "default" for row in told["rows"])
    assert told["cell"]["custom"] == {"team": ["sre"]}


def test_the_dimensions_are_those_of_the_rules_in_force(
    spoilt: str, api_over: Callable[..., httpx.Client], api: httpx.Client
) -> None:
    """Known at run time: no restart, and the document that describes the API is the same for everybody."""
    with connect_to(spoilt, autocommit=True) as connection:
        apply(connection, rules_from(
            "dimensions: [{name: squad, description: Whose., default: nobody, sources: [{label: team}]}]", "f"
        ), "f")  # fmt: skip
    other = api_over(spoilt)

    custom = [d for d in other.get("/v1/dimensions").json()["dimensions"] if d["custom"]]
    assert [(d["name"], d["sources"], d["default_member"]) for d in custom] == [
        ("squad", ["label team"], "nobody"), ("squad_rule", [], None),
    ]  # fmt: skip
    assert other.get("/v1/costs", params={**WINDOW, "group_by": "team"}).status_code == 422
    assert other.get("/v1/costs", params={**WINDOW, "group_by": "squad"}).status_code == 200
    assert other.get("/openapi.json").json() == api.get("/openapi.json").json()


def test_what_a_reader_saw_before_the_rules_changed_is_still_told(
    spoilt: str, api_over: Callable[..., httpx.Client]
) -> None:
    """As of a moment before, members are those of the rules before; and the change is among the restatements."""
    api = api_over(spoilt)
    asked = {**WINDOW, "granularity": "total", "group_by": "team", "billing_currency": "USD"}
    before = api.get("/v1/costs", params=asked).json()["items"]
    with connect_to(spoilt, autocommit=True) as connection:
        [(moment,)] = connection.execute("select clock_timestamp()").fetchall()
        apply(connection, rules_from(
            "dimensions: [{name: team, description: Whose., sources: [{project_label: team}]}]", "f"
        ), "f")  # fmt: skip
        models = {model.table: model for model in postgres_models()}
        while due := ledger.behind(connection, daily_inputs(), []):
            for item in due:
                day = date.fromisoformat(item.partition_key)
                rebuild_usage_day(connection, models[item.asset], day, run_id="tests")

    assert api.get("/v1/costs", params=asked).json()["items"] != before
    then = api.get("/v1/costs", params={**asked, "as_of": moment.isoformat()}).json()
    assert then["items"] == before
    told = api.get("/v1/restatements", params={**WINDOW, "cause": "rule change"}).json()["items"]
    assert {item["usage_day"] for item in told} == {f"{date(2026, 9, 20) + timedelta(days=n)}" for n in range(21)}
    assert {(item["billed_cost_change"], tuple(item["export_days"])) for item in told} == {("0", ())}


def test_what_does_not_add_up_is_refused_with_the_reason(api: httpx.Client) -> None:
    """A share over days, and a commitment's fee beside the usage it pays for."""
    both = {"charge_category": ["Purchase", "Usage"]}
    cell = {**WINDOW, "billing_currency": "USD"}
    for path, asked, reason in (
        ("/v1/costs", {**WINDOW, "measure": "coverage"}, "coverage is a share"),
        ("/v1/evidence", {**cell, "measure": "coverage"}, "coverage is a share"),
        ("/v1/costs", {**WINDOW, **both, "measure": "list_cost"}, "is a commitment's fee"),
        ("/v1/evidence", {**cell, **both, "measure": "contracted_cost"}, "is a commitment's fee"),
    ):
        answer = api.get(path, params=asked)
        assert (answer.status_code, answer.json()["title"]) == (422, "NotAddable")
        assert reason in answer.json()["detail"]
    assert api.get("/v1/costs", params={**WINDOW, **both, "measure": "effective_cost"}).status_code == 200
