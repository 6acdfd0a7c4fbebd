"""GET /v1/dimensions and /v1/meta: what can be asked, and how far to trust the answers."""

from datetime import date
from decimal import Decimal

import httpx
import psycopg
import pytest

from finops_warehouse.dimensions import default_rules
from finops_warehouse.semantic import DIMENSIONS, MEASURES, SHARES


def test_everything_that_can_be_asked_is_listed(api: httpx.Client) -> None:
    """A menu is made from this list, and each of its entries must be one that /v1/costs takes."""
    told = api.get("/v1/dimensions").json()

    custom = default_rules().semantic()
    assert [*DIMENSIONS, *custom] == [dimension["name"] for dimension in told["dimensions"]]
    assert [*MEASURES, *SHARES] == [measure["name"] for measure in told["measures"]]
    for name in [*DIMENSIONS, *custom]:
        assert api.get(f"/v1/costs?window=7d&granularity=total&group_by={name}").status_code == 200
    for name in MEASURES:
        assert api.get(f"/v1/costs?window=7d&granularity=total&measure={name}").status_code == 200


@pytest.mark.parametrize("name", [*DIMENSIONS, *default_rules().semantic()])
def test_the_members_are_those_that_costs_have(api: httpx.Client, name: str) -> None:
    """Whatever is offered to filter by has costs, and whatever has costs is offered."""
    members = api.get(f"/v1/dimensions/{name}/members?limit=500").json()["items"]
    rows = api.get(
        f"/v1/costs?start=2026-08-01&end=2026-11-01&include_unfinished=true&granularity=total&group_by={name}"
    ).json()["items"]

    assert {member["id"] for member in members} == {row[name] for row in rows}
    assert len(members) == len({member["id"] for member in members})


def test_members_without_an_id_are_offered_as_they_are_asked_for(
    api: httpx.Client, charges: psycopg.Connection
) -> None:
    """What the list calls it is what the filter takes."""
    ids = [member["id"] for member in api.get("/v1/dimensions/project/members").json()["items"]]

    assert "(unattributed)" in ids
    assert api.get("/v1/costs?start=2026-09-01&end=2026-10-11&project=(unattributed)").json()["items"]


def test_a_search_finds_names_whatever_their_case(api: httpx.Client) -> None:
    """People type "compute", and may know the id instead."""
    by_name = api.get("/v1/dimensions/service/members?search=COMPUTE%20ENG").json()["items"]
    [compute] = by_name

    assert compute["name"] == "Compute Engine"
    assert api.get(f"/v1/dimensions/service/members?search={compute['id'].lower()}").json()["items"] == by_name
    assert len(api.get("/v1/dimensions/service/members?limit=2").json()["items"]) == 2


def test_meta_says_how_fresh_the_tables_are(api: httpx.Client, charges: psycopg.Connection) -> None:
    """The line under every chart: complete through when, from what, and whether anything is behind."""
    told = api.get("/v1/meta").json()
    [(first, last, exported)] = charges.execute(
        "select min(usage_day), max(usage_day), max(export_day) from finops.raw_charges"
    ).fetchall()

    assert (str(first), str(last), str(exported)) == (
        told["first_usage_day"],
        told["last_usage_day"],
        told["last_export_day"],
    )
    assert told["complete_through"] == "2026-10-18"
    assert told["billing_currencies"] == ["EUR", "USD"]
    assert (told["usage_days_behind"], told["partitions_parked"]) == (0, 0)


def test_meta_tells_of_each_invoice_what_is_left(api: httpx.Client, charges: psycopg.Connection) -> None:
    """September is closed, its invoices are known, and nothing is left of them."""
    months = api.get("/v1/meta").json()["invoice_months"]
    raw = {
        (month, account, currency): amount
        for month, account, currency, amount in charges.execute(
            "select invoice_month, billing_account_id, billing_currency, sum(billed_cost) "
            "from finops.raw_charges group by 1, 2, 3"
        )
    }

    told = {
        (m["invoice_month"], m["billing_account_id"], m["billing_currency"]): Decimal(m["billed_cost"]) for m in months
    }
    assert raw == told
    september = [month for month in months if month["invoice_month"] == "202609"]
    assert [(month["state"], month["residual"]) for month in september] == [("closed", "0")] * 2
    assert all(isinstance(month["invoice_total"], str) for month in september)
    assert date.today() > date(2026, 10, 8)  # noqa: DTZ011 -- September was closed by then
