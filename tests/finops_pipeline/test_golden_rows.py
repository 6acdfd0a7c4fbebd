"""Google's own worked examples: the net each of them states is the net our tables hold."""

from collections import defaultdict
from decimal import Decimal

import pytest
from helpers.golden import rows_of
from helpers.road import Export, Road

# What Google's documentation says each example comes to.
NET = {
    "over_before": "0.240064",
    "over_after": "0.240046",
    "under_before": "0.216000",
    "under_after": "0.2160131",
    "correction": "5",
    "tax": "110",
}


@pytest.mark.parametrize("case", NET)
def test_the_net_is_the_one_google_states(case: str, export: Export, road: Road) -> None:
    """Gross cost overstates net by up to 124 % for customers with commitments; every table must hold the net."""
    export.write("2024-02-02", rows_of(case))

    road.walk()

    assert {table: road.total(table) for table in ("raw_charges", "aggregated_cost_data", "invoice_months")} == {
        "raw_charges": Decimal(NET[case]),
        "aggregated_cost_data": Decimal(NET[case]),
        "invoice_months": Decimal(NET[case]),
    }


def test_a_used_commitments_offset_is_a_measure_of_its_own(export: Export, road: Road) -> None:
    """FEE_UTILIZATION_OFFSET only takes back a double count: who shows it as a saving invents one."""
    export.write("2024-02-02", rows_of("over_after"))

    road.walk()

    [(offset, discounts, fee)] = road.connection.execute(
        "select sum(credit_fee_utilization_offset), sum(credit_committed_usage_discount_dollar_base), "
        "sum(cost) filter (where charge_category = 'Purchase') from finops.aggregated_cost_data"
    ).fetchall()
    assert (offset, discounts, fee) == (Decimal("-0.072"), 0, Decimal("0.072"))


def test_a_correction_lands_on_the_invoice_it_was_billed_on(export: Export, road: Road) -> None:
    """January's usage, corrected in February, lowers February's invoice and leaves January's alone."""
    export.write("2024-02-02", rows_of("correction"))

    road.walk()

    by_invoice: dict[str, Decimal] = defaultdict(Decimal)
    for month, day, billed in road.connection.execute(
        "select invoice_month, usage_day::text, billed_cost from finops.aggregated_cost_data"
    ).fetchall():
        assert day == "2024-01-01"
        by_invoice[month] += billed
    assert by_invoice == {"202401": Decimal(10), "202402": Decimal(-5)}


def test_taxes_keep_their_project(export: Export, road: Road) -> None:
    """Tax is a row a project since 2020; a report by project must come to the invoice, tax included."""
    export.write("2024-02-02", rows_of("tax"))

    road.walk()

    rows = road.connection.execute(
        "select sub_account_id, charge_category, billed_cost from finops.cost_by_project_service_daily order by 1, 2"
    ).fetchall()
    assert rows == [
        ("example-project", "Tax", 6),
        ("example-project", "Usage", 60),
        ("test-project", "Tax", 4),
        ("test-project", "Usage", 40),
    ]
