"""The export in FOCUS columns: complete, adding up, and as conformant as it says."""

from datetime import date
from decimal import Decimal
from typing import Any

import dagster as dg
import psycopg
import pytest
from helpers.golden import rows_of
from helpers.insights import think_about_what_is_behind
from helpers.road import Export, Road, charge

from finops_pipeline import checks
from finops_pipeline.sample_export import SampleExport
from finops_pipeline.warehouse import Warehouse
from finops_warehouse.focus.conformance import Counted, score, verdicts
from finops_warehouse.focus.view import COLUMN_TYPES, MODEL, FocusVersion, column_names, make_view

SPEND_FEE = "Commitment - dollar based v1: GCE for 1 year"


def focus(connection: psycopg.Connection, what: str, where: str = "true") -> list[tuple[Any, ...]]:
    """What the view says."""
    return connection.execute(f"select {what} from finops.focus_cost_and_usage where {where}".encode()).fetchall()


def found(connection: psycopg.Connection) -> dict[str, Counted]:
    """What the stored days found of each rule."""
    rows = connection.execute(
        "select rule_id, sum(rows_checked)::int, sum(rows_failed)::int from finops.focus_conformance group by 1"
    ).fetchall()
    return {rule_id: Counted(checked, failed) for rule_id, checked, failed in rows}


def failing(connection: psycopg.Connection) -> set[str]:
    """The rules that some row breaks, composites left out."""
    return {rule_id for rule_id, counted in found(connection).items() if counted.rows_failed}


def walked(export: Export, road: Road, rows: list[dict[str, Any]]) -> None:
    """Have these rows in all tables, and their day complete: two export days later something was written."""
    export.write("2026-09-11", rows)
    for day in ("2026-09-12", "2026-09-13", "2026-09-14"):
        export.write(day, [charge(1, start=f"{day}T12:00", exported=f"{day}T20:00", **PRICED)])
    road.walk()
    think_about_what_is_behind(road.connection)


PRICED: dict[str, Any] = {
    "cost_at_list": 1.0,
    "price": {"list_price": Decimal(1), "effective_price_default": Decimal(1), "pricing_unit_quantity": Decimal(1),
              "tier_start_amount": Decimal(0), "unit": "hour"},
    "currency_conversion_rate": 1.0,
}  # fmt: skip


@pytest.fixture
def sampled(sample: SampleExport, connection: psycopg.Connection) -> psycopg.Connection:
    """Two weeks of the sample in every table."""
    road = Road(connection, sample.table_dir)
    for day in range(20, 31):
        road.load(f"2026-09-{day}")
    for day in range(1, 6):
        road.load(f"2026-10-0{day}")
    road.rebuild_behind()
    think_about_what_is_behind(connection)
    return connection


def test_the_header_says_what_the_columns_are(connection: psycopg.Connection) -> None:
    """Names, order and types of the rows are those that the requirement model is compiled for."""
    window = {"start_day": date(2026, 9, 1), "end_day": date(2026, 9, 2)}
    cursor = connection.execute(f"select * from ({MODEL.as_psycopg()}) as f limit 0".encode(), window)
    assert cursor.description is not None
    types = connection.adapters.types

    assert {column.name: types[column.type_code].name for column in cursor.description} == COLUMN_TYPES
    assert [column.name for column in cursor.description] == list(COLUMN_TYPES)


def test_billed_costs_are_the_invoice_and_effective_costs_the_facts(sampled: psycopg.Connection) -> None:
    """To the last digit: by billing period, account and currency; by usage day, account and currency."""
    assert focus(
        sampled, '"x_InvoiceMonth", "BillingAccountId", "BillingCurrency", sum("BilledCost")',
        "true group by 1, 2, 3 order by 1, 2, 3",
    ) == sampled.execute(
        "select invoice_month, billing_account_id, billing_currency, billed_cost from finops.invoice_months "
        "order by 1, 2, 3"
    ).fetchall()  # fmt: skip
    assert focus(
        sampled, '"x_UsageDay", "BillingAccountId", "BillingCurrency", sum("EffectiveCost"), sum("ListCost")',
        "true group by 1, 2, 3 order by 1, 2, 3",
    ) == sampled.execute(
        "select usage_day, billing_account_id, billing_currency, sum(effective_cost), sum(list_cost) "
        "from finops.aggregated_cost_data group by 1, 2, 3 order by 1, 2, 3"
    ).fetchall()  # fmt: skip


@pytest.mark.parametrize("case", ["under_before", "under_after"])
def test_what_nobody_used_of_a_fee_is_a_row_of_its_own(case: str, export: Export, road: Road) -> None:
    """The purchase has no effective cost, and the unused row is billed nothing: FOCUS's own example."""
    export.write("2024-02-02", rows_of(case))
    road.walk()

    [(fees, effective)] = focus(
        road.connection, 'sum("BilledCost"), sum("EffectiveCost")', "\"ChargeCategory\" = 'Purchase'"
    )
    [(billed, unused)] = focus(
        road.connection, 'sum("BilledCost"), sum("EffectiveCost")', "\"CommitmentDiscountStatus\" = 'Unused'"
    )
    facts = road.total(where="charge_category = 'Purchase'")
    assert (effective, billed, fees) == (0, 0, facts)
    assert round(unused, 4) == Decimal("0.0230")


def test_the_sample_conforms(sampled: psycopg.Connection) -> None:
    """At least 99 % of the Static rules that apply, and no day is left out."""
    judged = verdicts(found(sampled))
    total = score(judged)

    assert total.passed > 250
    assert total.percent is not None
    assert total.percent >= 99, [verdict.reason for verdict in judged.values() if verdict.status == "failed"]
    days = {day for (day,) in sampled.execute("select distinct usage_day from finops.focus_conformance").fetchall()}
    assert len(days) > 10


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"currency": "XBT"}, {"BillingCurrency-C-006-M"}),
        ({"service": {"id": "s", "description": " "}}, {"ServiceName-C-002-M"}),
        ({"sku": {"id": None, "description": "no SKU"}}, {"SkuId-C-005-C"}),
        ({"usage": {"amount": None, "unit": None, "amount_in_pricing_units": None, "pricing_unit": None}},
         {"ConsumedQuantity-C-006-C", "PricingQuantity-C-005-C"}),
        ({"cost": -1.0, "cost_at_list": -1.0}, {"ListUnitPrice-C-008-M"}),
        ({"usage_end_time": None}, set()),
        ({"usage": {"amount": 1.0, "unit": "furlongs", "amount_in_pricing_units": 1.0, "pricing_unit": "hour"}},
         {"ConsumedUnit-C-003-O"}),
    ],
    ids=["currency", "blank service", "no SKU", "no quantity", "negative price", "no end", "unit"],
)  # fmt: skip
def test_a_row_that_breaks_a_rule_is_found_and_named(
    change: dict[str, Any], broken: set[str], export: Export, road: Road
) -> None:
    """One bad row among good ones, and the rule says which row it is."""
    walked(export, road, [charge(1, **PRICED), {**charge(1, **PRICED), **change}])

    assert broken <= failing(road.connection)
    assert broken or not failing(road.connection)
    for rule_id in broken:
        [(failed, examples)] = road.connection.execute(
            "select rows_failed, examples from finops.focus_conformance where rule_id = %s and rows_failed > 0",
            [rule_id],
        ).fetchall()
        [(row,)] = focus(road.connection, '"x_Row"', '"x_Row" = \'' + examples[0] + "'")
        assert (failed, [row]) == (1, examples)


def test_good_rows_break_nothing(export: Export, road: Road) -> None:
    """Usage, both kinds of commitment, a tax, a correction of a month that was invoiced."""
    walked(
        export,
        road,
        [
            charge(1, **PRICED),
            charge(1, sku=SPEND_FEE, subscription={"instance_id": "7"}, **PRICED),
            charge(1, paid_by=[("COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE", -1)], **PRICED),
            charge(2, sku="Tax", cost_type="tax"),
            charge(
                -1, cost_type="adjustment", month="202610",
                adjustment_info={"mode": "PARTIAL_CORRECTION", "type": "USAGE_CORRECTION"},
            ),
        ],
    )  # fmt: skip

    assert failing(road.connection) == set()
    assert focus(road.connection, "count(*)", "\"ChargeClass\" = 'Correction'") == [(1,)]
    assert found(road.connection)["ChargeClass-C-004-C"].rows_checked == 1


def test_labels_of_each_kind_keep_apart(export: Export, road: Road) -> None:
    """One key may be a label, a project's label and a tag, with three values."""
    export.write("2026-09-11", [
        charge(
            1, labels=[{"key": "team", "value": "a"}], system_labels=[{"key": "compute/cores", "value": "4"}],
            tags=[{"key": "team", "value": "c", "inherited": True, "namespace": "42"}],
        ) | {"project": {"id": "p", "name": "p", "labels": [{"key": "team", "value": "b"}], "ancestors": []}},
        charge(2),
    ])  # fmt: skip
    road.walk()

    assert focus(road.connection, '"Tags"', 'true order by "BilledCost"') == [
        ({"team": "a", "project/team": "b", "system/compute/cores": "4", "tag/42/team": "c"},),
        (None,),
    ]


def test_a_service_nobody_knows_is_other_and_one_row_each(export: Export, road: Road) -> None:
    """A service that is younger than our list is counted, under Other."""
    export.write("2026-09-11", [charge(1, service="Quantum Teleporter"), charge(2, service="BigQuery")])
    road.walk()

    assert focus(road.connection, '"ServiceCategory", "ServiceSubcategory", "BilledCost"', "true order by 3") == [
        ("Other", "Other (Other)", 1),
        ("Databases", "Data Warehouses", 2),
    ]


@pytest.mark.parametrize(
    ("version", "there", "gone"),
    [
        ("1.2", {"ProviderName", "PublisherName"}, {"ServiceProviderName", "HostProviderName"}),
        ("1.3", {"ProviderName", "PublisherName", "ServiceProviderName", "HostProviderName"}, set()),
        ("1.4", {"ServiceProviderName", "HostProviderName"}, {"ProviderName", "PublisherName"}),
    ],
)
def test_the_view_has_the_names_of_the_version_asked_for(
    version: FocusVersion,
    there: set[str],
    gone: set[str],
    connection: psycopg.Connection,
) -> None:
    """FOCUS_VERSION changes names, and making the view again changes nothing."""
    make_view(connection, version)
    make_view(connection, version)

    cursor = connection.execute("select * from finops.focus_cost_and_usage limit 0")
    names = [column.name for column in cursor.description or ()]
    assert there <= set(names)
    assert not gone & set(names)
    assert names == [new for _, new in column_names(version)]


def evaluated(check: dg.AssetChecksDefinition, instance: dg.DagsterInstance) -> dg.AssetCheckEvaluation:
    """What a check says of everything that is stored."""
    job = dg.Definitions(
        asset_checks=[check],
        jobs=[dg.define_asset_job("look", selection=dg.AssetSelection.checks(check))],
        resources={"warehouse": Warehouse()},
    ).resolve_job_def("look")
    [evaluation] = job.execute_in_process(instance=instance).get_asset_check_evaluations()
    return evaluation


@pytest.mark.usefixtures("read_export")
def test_the_check_warns_and_names_the_rule_and_the_row(
    export: Export, road: Road, instance: dg.DagsterInstance
) -> None:
    """Nothing is held back for it: a served number is right whether FOCUS likes its row or not."""
    walked(export, road, [charge(1, **PRICED)])
    before = evaluated(checks.rows_conform_to_focus, instance)
    walked(export, road, [charge(1, **PRICED), {**charge(1, **PRICED), "currency": "XBT"}])
    after = evaluated(checks.rows_conform_to_focus, instance)

    assert before.passed
    assert before.metadata["score_percent"].value == "100"
    assert not after.passed
    assert (after.severity, after.blocking) == (dg.AssetCheckSeverity.WARN, False)
    said = str(after.metadata["BillingCurrency-C-006-M"].value)
    [(row,)] = focus(road.connection, '"x_Row"', "\"BillingCurrency\" = 'XBT'")
    assert row in said


@pytest.mark.usefixtures("read_export")
def test_the_check_of_the_second_witness_names_the_month(
    export: Export, road: Road, instance: dg.DagsterInstance
) -> None:
    """Without a FOCUS export it has nothing to say; with one that bills a cent more it warns."""
    walked(export, road, [charge(1, start="2026-08-01T20:00", **PRICED)])
    silent = evaluated(checks.closed_months_equal_the_focus_export, instance)
    road.connection.execute("insert into finops.focus_export_months values ('202608', 'A', 'USD', 1.01, 1, now(), 'x')")
    after = evaluated(checks.closed_months_equal_the_focus_export, instance)

    assert silent.passed
    assert not after.passed
    assert not after.blocking
    assert "202608 A USD" in str(after.metadata["first_differences"].value)
