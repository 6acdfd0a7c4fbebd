"""Effective cost: the used part of a commitment's fee is on the usage it covers, and not a digit is lost on the way."""

import csv
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from helpers.checkout import TOP
from helpers.golden import rows_of
from helpers.road import Export, Road, Row, charge
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from finops_pipeline.sample_export import SampleExport
from finops_warehouse import identities
from finops_warehouse.cells import Cell, cell_charges, cell_value
from finops_warehouse.semantic import MEASURES
from finops_warehouse.tables import CREDIT_COLUMNS

EXAMPLES = Path(__file__).with_name("focus_spec_examples")
SPEND_FEE = "Commitment - dollar based v1: GCE for 1 year"
SPEND, RESOURCE = "COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE", "COMMITTED_USAGE_DISCOUNT"


def effective(road: Road) -> dict[str, Decimal]:
    """Effective cost by charge category."""
    rows = road.connection.execute(
        "select charge_category, sum(effective_cost) from finops.aggregated_cost_data group by 1"
    ).fetchall()
    return dict(rows)


def effective_by_sku(road: Road) -> dict[str, Decimal]:
    """Effective cost by SKU."""
    rows = road.connection.execute(
        "select sku_description, sum(effective_cost) from finops.aggregated_cost_data group by 1"
    ).fetchall()
    return dict(rows)


def assert_adds_up(road: Road) -> None:
    """Every day, account and currency has the effective cost it was billed, and the identity says so."""
    assert identities.differences(road.connection, identities.EFFECTIVE_EQUALS_BILLED) == []


def quantity(amount: float, unit: str = "hour") -> dict[str, object]:
    """Usage of so many pricing units."""
    return {"amount": amount * 3600, "unit": "seconds", "amount_in_pricing_units": amount, "pricing_unit": unit}


@pytest.mark.parametrize(
    ("case", "unused"),
    [("over_before", "0"), ("over_after", "0"), ("under_before", "0.02299392"), ("under_after", "0.0230071")],
)
def test_what_is_left_on_the_fee_is_the_unused_commitment(case: str, unused: str, export: Export, road: Road) -> None:
    """Google bills the same month under both of its models; under each the fee keeps what nobody used of it."""
    export.write("2024-02-02", rows_of(case))

    road.walk()

    assert effective(road)["Purchase"] == Decimal(unused)
    assert_adds_up(road)


def test_the_older_model_leaves_the_unused_fee_the_newer_one_bills(export: Export, road: Road) -> None:
    """0.022994 in Google's example, a fee row without an offset; the older model comes to it by our rule."""
    export.write("2024-02-02", rows_of("under_before"))

    road.walk()

    assert round(effective(road)["Purchase"], 6) == Decimal("0.022994")


def test_usage_gets_the_fee_by_what_was_credited(export: Export, road: Road) -> None:
    """Credits of 65,095 and 34,905 of 100,000 share a fee that is all used in those parts."""
    export.write("2024-02-02", rows_of("over_before"))

    road.walk()

    found = effective_by_sku(road)
    assert found["RAM SKU"] == Decimal("0.174496") - Decimal("0.065095") + Decimal("0.072") * Decimal("0.65095")
    assert found["Core SKU"] == Decimal("0.093568") - Decimal("0.034905") + Decimal("0.072") * Decimal("0.34905")


@pytest.mark.parametrize(
    ("service", "fee", "capacity"),
    [
        ("Compute Engine", "Commitment - dollar based v1: GCE for 1 year", "0.72"),
        ("Compute Engine", "Commitment - dollar based v1: GCE for 3 years", "0.54"),
        ("Cloud SQL", "Commitment - dollar based v1: Cloud SQL database in Frankfurt for 1 year", "0.75"),
        ("Cloud SQL", "Commitment - dollar based v1: Cloud SQL database in Frankfurt for 3 years", "0.48"),
    ],
)
def test_a_spend_based_fee_is_used_as_far_as_its_discount_says(
    service: str, fee: str, capacity: str, export: Export, road: Road
) -> None:
    """A dollar of usage under a commitment takes a dollar less the discount of its fee."""
    export.write(
        "2026-09-11",
        [charge(90, sku=fee, service=service), charge(100, service=service, paid_by=[(SPEND, -100)])],
    )

    road.walk()

    used = 100 * Decimal(capacity)
    assert effective_by_sku(road) == {fee: 90 - used, "N2 Core": used}
    assert_adds_up(road)


def test_no_fee_is_used_more_than_once(export: Export, road: Road) -> None:
    """More was credited than the fee can have paid for: all of it is on the usage, and nothing is made up."""
    export.write("2026-09-11", [charge(40, sku=SPEND_FEE), charge(100, paid_by=[(SPEND, -100)])])

    road.walk()

    assert effective_by_sku(road) == {SPEND_FEE: 0, "N2 Core": 40}


def test_a_database_commitment_pays_for_no_machine(export: Export, road: Road) -> None:
    """Commitments of a service are for that service; the flexible one of Compute Engine is for others as well."""
    sql_fee = "Commitment - dollar based v1: Cloud SQL database in Frankfurt for 1 year"
    export.write(
        "2026-09-11",
        [
            charge(30, sku=sql_fee, service="Cloud SQL"),
            charge(100, sku="SQL CPU", service="Cloud SQL", paid_by=[(SPEND, -20)]),
            charge(36, sku=SPEND_FEE),
            charge(40, sku="N2 Core", paid_by=[(SPEND, -40)]),
            charge(60, sku="Autopilot CPU", service="Kubernetes Engine", paid_by=[(SPEND, -10)]),
        ],
    )

    road.walk()

    assert effective_by_sku(road) == {
        sql_fee: 15,
        "SQL CPU": 80 + 15,
        SPEND_FEE: 0,
        "N2 Core": Decimal("28.8"),
        "Autopilot CPU": 50 + Decimal("7.2"),
    }


def test_a_resource_based_fee_is_used_as_far_as_its_quantity_is_covered(export: Export, road: Road) -> None:
    """10 core hours are paid for and 6 of them used: of each region and unit by itself, whatever the discount is."""
    core, ram = "Commitment v1: N2 Cpu in Frankfurt for 1 Year", "Commitment v1: N2 Ram in Frankfurt for 3 Years"
    export.write(
        "2026-09-11",
        [
            charge(5, sku=core, usage=quantity(10)),
            charge(8, sku="N2 Core", usage=quantity(8), paid_by=[(RESOURCE, -6)]),
            charge(3, sku=ram, usage=quantity(100, "gibibyte hour")),
            charge(4, sku="N2 Ram", usage=quantity(200, "gibibyte hour"), paid_by=[(RESOURCE, -2)]),
            charge(
                7, sku="N2 Core elsewhere", usage=quantity(7), paid_by=[(RESOURCE, -7)],
                location={"location": "us-east1", "region": "us-east1"},
            ),
        ],
    )  # fmt: skip

    road.walk()

    assert effective_by_sku(road) == {core: 2, "N2 Core": 2 + 3, ram: 0, "N2 Ram": 2 + 3, "N2 Core elsewhere": 0}
    assert_adds_up(road)


@pytest.mark.parametrize(
    "rows",
    [
        [charge(5, sku=SPEND_FEE)],
        [charge(8, paid_by=[(SPEND, -8)])],
        [charge(5, sku=SPEND_FEE, account="B"), charge(8, paid_by=[(SPEND, -8)])],
        [charge(5, sku=SPEND_FEE, currency="EUR"), charge(8, paid_by=[(SPEND, -8)])],
        [charge(5, sku=SPEND_FEE, start="2026-09-09T12:00"), charge(8, paid_by=[(SPEND, -8)])],
        [charge(5, sku=SPEND_FEE, paid_by=[("FEE_UTILIZATION_OFFSET", -3)]), charge(8, paid_by=[(SPEND, -8)])],
        [charge(5, sku=SPEND_FEE), charge(8, paid_by=[("SUSTAINED_USAGE_DISCOUNT", -8)])],
        [charge(5, sku=SPEND_FEE), charge(0, paid_by=[(SPEND, 8)])],
    ],
    ids=["no usage", "no fee", "account", "currency", "day", "consumption model", "not a commitment", "credit back"],
)
def test_nothing_moves_where_nobody_pays_for_anything(rows: list[Row], export: Export, road: Road) -> None:
    """A fee stays where it is billed without usage it covers; other accounts, currencies and days are not its."""
    export.write("2026-09-11", rows)

    road.walk()

    [(moved,)] = road.connection.execute(
        "select count(*) from finops.aggregated_cost_data where effective_cost <> billed_cost"
    ).fetchall()
    assert moved == 0


amounts = st.decimals(-1000, 1000, places=9, allow_nan=False, allow_infinity=False)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fees=st.lists(amounts, max_size=5),
    usage=st.lists(st.tuples(amounts, amounts), max_size=6),
    kind=st.sampled_from([SPEND, RESOURCE]),
)
def test_no_digit_is_lost_whatever_is_billed(
    fees: list[Decimal], usage: list[tuple[Decimal, Decimal]], kind: str, export: Export, road: Road
) -> None:
    """Corrections bring negative fees and credits that are taken back: the day still adds up to the last digit."""
    fee = SPEND_FEE if kind == SPEND else "Commitment v1: N2 Cpu in Frankfurt for 1 Year"
    export.write(
        "2026-09-11",
        [
            charge(1),
            *(charge(float(amount), sku=fee) for amount in fees),
            *(charge(float(cost), paid_by=[(kind, float(credit))]) for cost, credit in usage),
        ],
    )

    road.walk()

    assert_adds_up(road)


def test_the_sample_export_adds_up_and_its_fees_move(sample: SampleExport, connection: psycopg.Connection) -> None:
    """Both models are in it: every day's effective cost is its billed cost, and the older fees are on their usage."""
    road = Road(connection, sample.table_dir)
    for day in ("2026-09-29", "2026-09-30", "2026-10-01"):
        road.load(day)
    road.rebuild_behind()

    assert_adds_up(road)
    rows = connection.execute(
        "select sku_description, sum(billed_cost), sum(effective_cost) from finops.aggregated_cost_data "
        "where charge_category = 'Purchase' and billing_currency = 'EUR' group by 1"
    ).fetchall()
    assert len(rows) == 3
    for sku, billed, left in rows:
        assert 0 <= left < billed, sku


@pytest.mark.parametrize("measure", ["effective_cost", "billed_cost"])
def test_the_rows_behind_a_cell_add_up_to_it(
    measure: str, sample: SampleExport, connection: psycopg.Connection
) -> None:
    """Fact and evidence are of one text: the charges of a service, of a SKU and of the fees alone."""
    road = Road(connection, sample.table_dir)
    for day in ("2026-09-30", "2026-10-01"):
        road.load(day)
    road.rebuild_behind()
    window = {"start": "2026-09-29", "end": "2026-10-02", "billing_currency": "EUR", "measure": measure}
    for filters in (
        {},
        {"service": ["Cloud SQL"]},
        {"charge_category": ["Purchase"]},
        {"charge_category": ["Usage"], "service": ["Compute Engine"]},
    ):
        cell = Cell.model_validate({**window, "filters": filters})
        charges = cell_charges(cell, sql.SQL("sum({})").format(sql.Identifier(measure)))
        [(of_rows,)] = connection.execute(charges).fetchall()
        statement, values = cell_value(cell)
        [(served,)] = connection.execute(statement, values).fetchall()
        assert of_rows == served != 0, filters


def test_who_does_not_ask_for_effective_cost_does_not_pay_for_it(connection: psycopg.Connection) -> None:
    """Spreading fees takes sorting; a cell of any other measure is planned without it, and without other partitions."""

    def plan(measure: str) -> str:
        cell = Cell.model_validate(
            {"start": "2026-09-01", "end": "2026-09-02", "billing_currency": "USD", "measure": measure}
        )
        statement = sql.SQL("explain ") + cell_charges(cell, sql.SQL("sum({})").format(sql.Identifier(measure)))
        return "\n".join(line for (line,) in connection.execute(statement).fetchall())

    connection.execute(
        "create table finops.raw_charges_2026_09 partition of finops.raw_charges "
        "for values from ('2026-09-01') to ('2026-10-01')"
    )
    assert "WindowAgg" in plan("effective_cost")
    assert "WindowAgg" not in plan("billed_cost")


@pytest.mark.parametrize(
    "example", sorted(EXAMPLES.glob("commitment_discount_usage_scenario_*.csv")), ids=lambda p: p.stem
)
def test_the_examples_of_the_specification(example: Path, export: Export, road: Road) -> None:
    """A fee of 1.00 that covers what the example says is used: the effective costs are those of the specification.

    The older model bills usage at its price and credits it, where the specification bills covered usage at 0.
    """
    expected: dict[str, Decimal] = defaultdict(Decimal)
    rows = [charge(1, sku=SPEND_FEE)]
    for line in csv.DictReader(example.read_text(encoding="utf-8").splitlines()):
        name = line["CommitmentDiscountStatus"] if line["PricingCategory"] == "Committed" else "Standard"
        expected[name] += Decimal(line["EffectiveCost"])
        price = Decimal(line["EffectiveCost"]) / Decimal("0.72")
        if name == "Used":
            rows.append(charge(float(price), sku=name, paid_by=[(SPEND, -float(price))]))
        elif name == "Standard":
            rows.append(charge(float(line["BilledCost"]), sku=name))
    export.write("2026-09-11", rows)

    road.walk()

    found = effective_by_sku(road)
    found["Unused"] = found.pop(SPEND_FEE)
    assert {name: round(amount, 6) for name, amount in found.items()} == {"Unused": 0, **expected}


def test_nothing_that_thinks_of_savings_reads_the_offset() -> None:
    """A rule or a text that added it up would call the fee of a used commitment saved money."""
    readers = [
        *(TOP / "finops_insights").glob("*.*"),
        TOP / "finops_pipeline" / "savings.py",
        TOP / "finops_pipeline" / "narration.py",
    ]

    assert [file.name for file in readers if "fee_utilization_offset" in file.read_text(encoding="utf-8").lower()] == []


def test_taking_back_a_double_count_is_never_called_a_saving(export: Export, road: Road) -> None:
    """The offset is a measure of its own, says what it is, and is in no other credit."""
    export.write("2024-02-02", rows_of("over_after"))

    road.walk()

    assert "never a saving" in MEASURES["credit_fee_utilization_offset"].description
    others = [column for column in CREDIT_COLUMNS if column != "credit_fee_utilization_offset"]
    [row] = road.connection.execute(
        f"select sum(credit_fee_utilization_offset), {', '.join(f'sum({column})' for column in others)} "
        "from finops.aggregated_cost_data"
    ).fetchall()
    assert row == (Decimal("-0.072"), *[0] * len(others))
