"""GET /v1/coverage and /v1/allocations: who carries the costs, and how much of them nobody does."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import httpx
import psycopg
import pytest

from finops_pipeline.assets.sql_assets import daily_inputs
from finops_pipeline.rebuilding import rebuild_usage_day
from finops_warehouse import ledger
from finops_warehouse.assignment import apply
from finops_warehouse.database import connect_to
from finops_warehouse.dimensions import rules_from
from finops_warehouse.sql_models import postgres_models

WINDOW = {"start": "2026-10-01", "end": "2026-10-11"}
SPLIT = """\
dimensions:
  - {name: team, description: Whose., sources: [{label: team}, {project_label: team}]}
shared_costs:
  - {name: network, description: The hub., split_over: team, where: {project: [nw-network-hub]}, how: proportional,
     by: billed_cost}
"""


def test_coverage_is_what_has_an_owner_of_what_was_billed(api: httpx.Client, charges: psycopg.Connection) -> None:
    """Computed from numerator and denominator, by currency."""
    told = api.get("/v1/coverage", params={**WINDOW, "dimension": "team"}).json()
    expected = charges.execute(
        "select billing_currency, sum(billed_cost), "
        "sum(billed_cost) filter (where custom ->> 'team' <> '(unattributed)') from finops.aggregated_cost_data "
        "where usage_day >= '2026-10-01' and usage_day < '2026-10-11' group by 1 order by 1"
    ).fetchall()

    assert len(told["totals"]) == len(expected) == 2
    for total, (currency, billed, owned) in zip(told["totals"], expected, strict=True):
        assert (total["billing_currency"], Decimal(total["billed_cost"])) == (currency, billed)
        assert Decimal(total["owned_cost"]) == owned
        assert Decimal(total["share"]) == round(owned / billed, 6)
    assert 0 < Decimal(told["totals"][1]["share"]) < 1
    assert {day["usage_day"] for day in told["items"]} == {f"2026-10-{day:02}" for day in range(1, 11)}


def test_the_share_of_a_window_is_no_mean_of_its_days(api: httpx.Client) -> None:
    """A quiet day would weigh as much as a dear one."""
    told = api.get("/v1/coverage", params={**WINDOW, "dimension": "team", "billing_currency": "USD"}).json()
    [total] = told["totals"]
    days = [Decimal(day["share"]) for day in told["items"]]

    assert Decimal(total["owned_cost"]) == sum(Decimal(day["owned_cost"]) for day in told["items"])
    assert Decimal(total["share"]) != round(sum(days) / len(days), 6)


def test_days_that_still_arrive_are_shown_and_in_no_total(api: httpx.Client) -> None:
    """As everywhere."""
    told = api.get(
        "/v1/coverage", params={"start": "2026-10-14", "end": "2026-10-21", "dimension": "team",
                                "billing_currency": "USD"}
    ).json()  # fmt: skip
    finished = [day for day in told["items"] if not day["estimated"]]

    assert len(finished) < len(told["items"])
    assert Decimal(told["totals"][0]["billed_cost"]) == sum(Decimal(day["billed_cost"]) for day in finished)


def test_a_dimension_nobody_labels_covers_nothing(api: httpx.Client) -> None:
    """The sample has no cost centres: 0, and not an error."""
    told = api.get("/v1/coverage", params={**WINDOW, "dimension": "cost_center"}).json()

    assert {Decimal(total["share"]) for total in told["totals"]} == {0}


@pytest.mark.parametrize("path", ["/v1/coverage", "/v1/allocations"])
def test_only_custom_dimensions_have_owners(api: httpx.Client, path: str) -> None:
    """Refused with the names there are."""
    for name in ("project", "team_rule", "squad"):
        answer = api.get(path, params={**WINDOW, "dimension": name})
        assert (answer.status_code, answer.json()["title"]) == (422, "UnknownDimension")
        assert answer.json()["detail"].endswith("There are: team, environment, cost_center.")
    assert api.get(path, params={"dimension": "team"}).json()["title"] == "BadParameter"
    assert api.get(path, params={**WINDOW, "window": "7d", "dimension": "team"}).status_code == 422


def test_without_shared_costs_everybody_carries_their_own(api: httpx.Client) -> None:
    """Allocations are then the costs by member."""
    told = api.get("/v1/allocations", params={**WINDOW, "dimension": "team"}).json()
    costs = api.get("/v1/costs", params={**WINDOW, "granularity": "total", "group_by": "team"}).json()

    assert {(i["billing_currency"], i["member"], i["billed_cost"]) for i in told["items"]} == {
        (i["billing_currency"], i["team"], i["billed_cost"]) for i in costs["items"]
    }
    assert all(item["moved"] == [] for item in told["items"])


def test_shared_costs_move_and_the_total_stays(spoilt: str, api_over: Callable[..., httpx.Client]) -> None:
    """Each member with what it gave and took; what everybody carries is what was billed, to the last digit."""
    with connect_to(spoilt, autocommit=True) as connection:
        apply(connection, rules_from(SPLIT, "f"), "f")
        models = {model.table: model for model in postgres_models()}
        while due := ledger.behind(connection, daily_inputs(), []):
            for item in due:
                day = date.fromisoformat(item.partition_key)
                rebuild_usage_day(connection, models[item.asset], day, run_id="tests")
    api = api_over(spoilt)
    asked = {**WINDOW, "dimension": "team", "billing_currency": "USD"}
    told = api.get("/v1/allocations", params=asked).json()
    hub = api.get("/v1/costs", params={**WINDOW, "granularity": "total", "project": "nw-network-hub"}).json()
    billed = api.get("/v1/costs", params={**WINDOW, "granularity": "total", "billing_currency": "USD"}).json()

    moved = {item["member"]: Decimal(item["moved_cost"]) for item in told["items"]}
    assert sum(amount for amount in moved.values() if amount > 0) <= Decimal(hub["totals"][0]["billed_cost"])
    assert any(amount > 0 for amount in moved.values())
    assert sum(moved.values()) == 0
    assert told["totals"][0]["moved_cost"] == "0"
    assert told["totals"][0]["billed_cost"] == billed["totals"][0]["billed_cost"]
    assert {m["shared_cost"] for item in told["items"] for m in item["moved"]} == {"network"}

    daily = api.get("/v1/allocations", params={**asked, "granularity": "daily"}).json()
    for member, amount in moved.items():
        assert sum(Decimal(i["moved_cost"]) for i in daily["items"] if i["member"] == member) == amount
