"""The pitfalls of Google's billing export, (a) to (q), and of the calendar.

Each test asks the question the way people write it, shows by how much that answer is wrong, and then what is served.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import psycopg
import pyarrow as pa
import pytest
from dagster import DagsterInstance, build_sensor_context
from fastapi.testclient import TestClient
from helpers.golden import rows_of
from helpers.road import FILE_SCHEMA, Export, Road, Row, charge

from finops_api.app import create_app
from finops_pipeline.orchestration import sync
from finops_pipeline.sensors import changed_export_days
from finops_pipeline.sources.files import FilesSource
from finops_pipeline.warehouse import Warehouse
from finops_warehouse.algebra import NotAddable, Term, check_cell, check_sum
from finops_warehouse.assignment import apply
from finops_warehouse.dimensions import rules_from
from finops_warehouse.errors import SecondExport
from finops_warehouse.settings import Settings, load_settings
from finops_warehouse.tables import CREDIT_COLUMNS

AUGUST = {"start": "2026-08-01", "end": "2026-09-01", "granularity": "total", "include_unfinished": "true"}
SETTLED = [charge(0, start="2026-07-31T20:00", service="Logging")]
"""What an export day brings that costs nothing: two days later, the first of August is complete and may be served."""
STANDARD = pa.schema([field for field in FILE_SCHEMA if field.name not in ("resource", "subscription")])
"""The standard export: the detailed one without what is of a single resource."""


@pytest.fixture
def api(database_url: str) -> Iterator[TestClient]:
    """The API over this test's tables."""
    with TestClient(create_app(database_url, Settings()), client=("127.0.0.1", 50000)) as client:
        yield client


def asked(road: Road, query: str) -> Any:  # noqa: ANN401 -- whatever the query selects
    """The one value a query selects."""
    [(value,)] = road.connection.execute(query).fetchall()
    return value


def by(road: Road, query: str) -> dict[Any, Any]:
    """What a query of two columns selects."""
    return dict(road.connection.execute(query).fetchall())


def facts_by(road: Road, column: str, measure: str = "billed_cost") -> dict[Any, Any]:
    """A measure of the fact table by one of its columns."""
    return by(road, f"select {column}, sum({measure}) from finops.aggregated_cost_data group by 1 order by 1")


def teams(road: Road) -> dict[str, Decimal]:
    """Billed cost by the custom dimension `team`."""
    return facts_by(road, "custom ->> 'team'")


def served(api: TestClient, member: str, **question: str) -> dict[tuple[str, str], Decimal]:
    """What `/v1/costs` says August cost, by currency and member of one dimension."""
    page = api.get("/v1/costs", params={**AUGUST, "group_by": member, **question})
    assert page.status_code == 200, page.text
    found = {(item["billing_currency"], item[member]): Decimal(item["billed_cost"]) for item in page.json()["items"]}
    for total in page.json()["totals"]:
        parts = [cost for (currency, _), cost in found.items() if currency == total["billing_currency"]]
        assert sum(parts) == Decimal(total["billed_cost"])
    return found


def team_from(road: Road, sources: str, case: str = "lower") -> None:
    """Have teams assigned by these sources."""
    text = f"dimensions:\n  - {{name: team, description: Whose., case: {case}, sources: [{sources}]}}\n"
    apply(road.connection, rules_from(text, "rules.yaml"), "rules.yaml")


def labels(**by_key: str) -> list[dict[str, str]]:
    """Labels of a charge."""
    return [{"key": key, "value": value} for key, value in by_key.items()]


def tag(value: str, *, inherited: bool = False, namespace: str = "1", key: str = "team") -> dict[str, object]:
    """A tag of a charge."""
    return {"key": key, "value": value, "inherited": inherited, "namespace": namespace}


def cost_of(what: str, members: dict[str, list[str]], currency: str = "USD", measure: str = "billed_cost") -> Term:
    """A part of a sum: what these members cost on the first of August."""
    days = (date(2026, 8, 1), date(2026, 8, 2))
    return Term(what, "currency", currency, measure, days=days, members=members)


@pytest.mark.parametrize(("column", "naive"), [("credits", 20), ("labels", 30), ("tags", 20)])
def test_a_joining_credits_labels_or_tags_fans_out(column: str, naive: int, export: Export, road: Road) -> None:
    """A row counts as often as it has entries, and not at all where it has none."""
    export.write("2026-08-02", [
        charge(
            10, start="2026-08-01T20:00", paid_by=[("DISCOUNT", -2), ("PROMOTION", -1)],
            labels=labels(team="shop", env="prod", run="7"), tags=[tag("shop"), tag("prod", key="env")],
        ),
        charge(4, start="2026-08-01T20:00"),
    ])  # fmt: skip
    road.walk()

    assert asked(road, f"select sum(cost) from finops.raw_charges, jsonb_array_elements({column})") == naive
    assert facts_by(road, "usage_day", "cost") == {date(2026, 8, 1): 14}
    assert facts_by(road, "usage_day") == {date(2026, 8, 1): 11}
    assert facts_by(road, "usage_day", "charge_count") == {date(2026, 8, 1): 2}


def test_b_the_day_in_utc_is_not_the_day_of_the_bill(export: Export, road: Road) -> None:
    """Seven hours of every summer day, and eight of every winter day, are the next day in UTC."""
    export.write("2026-08-03", [
        charge(10, start="2026-08-02T06:30"),
        charge(5, start="2026-08-02T07:30"),
        charge(3, start="2026-01-02T07:30"),
    ])  # fmt: skip
    road.walk()

    in_utc = "select (usage_start_time at time zone 'UTC')::date, sum(cost) from finops.raw_charges group by 1"
    seven_hours = in_utc.replace("'UTC'", "interval '-7 hours'")
    assert by(road, in_utc) == {date(2026, 8, 2): 15, date(2026, 1, 2): 3}
    assert by(road, seven_hours) == {date(2026, 8, 1): 10, date(2026, 8, 2): 5, date(2026, 1, 2): 3}
    assert facts_by(road, "usage_day") == {date(2026, 8, 1): 10, date(2026, 8, 2): 5, date(2026, 1, 1): 3}


def test_c_a_resellers_margin_is_a_credit_and_no_discount(export: Export, road: Road) -> None:
    """Left out of a list of known types it is missing from the bill; among the discounts it is a saving nobody has."""
    export.write("2026-08-02", [
        charge(100, start="2026-08-01T20:00", paid_by=[("RESELLER_MARGIN", -12), ("DISCOUNT", -5)])
    ])  # fmt: skip
    road.walk()

    of_types = "coalesce((select sum((c ->> 'amount')::numeric) from jsonb_array_elements(credits) as c{}), 0)"
    usual = " where c ->> 'type' in ('DISCOUNT', 'PROMOTION', 'FREE_TIER', 'SUSTAINED_USAGE_DISCOUNT')"
    assert asked(road, f"select sum(cost + {of_types.format(usual)}) from finops.raw_charges") == 95
    assert asked(road, f"select sum({of_types.format('')}) from finops.raw_charges") == -17
    assert road.total() == road.total("invoice_months") == 83
    assert asked(road, "select sum(credit_discount) from finops.aggregated_cost_data") == -5
    assert asked(road, "select sum(credit_reseller_margin) from finops.aggregated_cost_data") == -12


def test_d_charges_without_a_project_or_label_are_kept(export: Export, road: Road, api: TestClient) -> None:
    """Support and some taxes have no project: an inner join loses them, and the report is below the invoice."""
    export.write("2026-08-02", [
        charge(10, start="2026-08-01T20:00", labels=labels(team="shop")),
        charge(4, start="2026-08-01T20:00", project=None, service="Support"),
    ])  # fmt: skip
    export.write("2026-08-03", SETTLED)
    road.walk()

    road.connection.execute("create temporary table projects as select 'shop' as sub_account_id")
    assert asked(road, "select sum(cost) from finops.raw_charges join projects using (sub_account_id)") == 10
    assert road.total() == 14
    assert served(api, "project") == {("USD", "shop"): 10, ("USD", "(unattributed)"): 4}
    assert served(api, "team") == {("USD", "shop"): 10, ("USD", "(unattributed)"): 4}
    assert set(served(api, "project", project="(unattributed)").values()) == {4}


def test_e_without_a_key_is_not_another_key(export: Export, road: Road) -> None:
    """`key <> 'team'` finds charges that have a team beside another label, and none that have no label."""
    export.write("2026-08-02", [
        charge(10, start="2026-08-01T20:00", labels=labels(team="shop", env="prod")),
        charge(4, start="2026-08-01T20:00", labels=labels(env="prod")),
        charge(3, start="2026-08-01T20:00"),
    ])  # fmt: skip
    road.walk()

    joined = "select sum(cost) from finops.raw_charges, jsonb_array_elements(labels) as label"
    assert asked(road, f"{joined} where label ->> 'key' <> 'team'") == 14
    assert teams(road) == {"shop": 10, "(unattributed)": 7}


@pytest.mark.parametrize(
    ("order", "winner"),
    [
        ("{label: team}, {project_label: team}, {tag: team}", "of label"),
        ("{tag: team}, {project_label: team}, {label: team}", "of tag"),
        ("{project_label: team}, {label: team}, {tag: team}", "of project"),
    ],
)
def test_f_a_key_in_three_places_has_one_value_by_precedence(
    order: str, winner: str, export: Export, road: Road
) -> None:
    """Looked up in all places it counts three times, for three teams."""
    team_from(road, order)
    project = {"id": "shop", "name": "shop", "labels": labels(team="of project"), "ancestors": []}
    row = charge(10, start="2026-08-01T20:00", labels=labels(team="of label"), tags=[tag("of tag")])
    export.write("2026-08-02", [{**row, "project": project}])
    road.walk()

    everywhere = "select sum(cost) from finops.raw_charges, jsonb_array_elements(labels || project_labels || tags) as e"
    assert asked(road, f"{everywhere} where e ->> 'key' = 'team'") == 30
    assert teams(road) == {winner: 10}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{tag: team, namespace: '1', inherited: never}", {"shop": 10, "(unattributed)": 7}),
        ("{tag: team, namespace: '1', inherited: only}", {"company": 4, "(unattributed)": 13}),
        ("{tag: team, namespace: '1'}", {"shop": 10, "company": 4, "(unattributed)": 3}),
    ],
)
def test_g_an_inherited_tag_is_told_from_its_own(
    source: str, expected: dict[str, int], export: Export, road: Road
) -> None:
    """Whoever asks how much people tagged counts what hangs on the organisation, and keys of other namespaces."""
    team_from(road, source)
    export.write("2026-08-02", [
        charge(10, start="2026-08-01T20:00", tags=[tag("shop")]),
        charge(4, start="2026-08-01T20:00", tags=[tag("company", inherited=True)]),
        charge(3, start="2026-08-01T20:00", tags=[tag("red", namespace="2")]),
    ])  # fmt: skip
    road.walk()

    tagged = 'select sum(cost) from finops.raw_charges where tags @> \'[{"key": "team"}]\''
    assert asked(road, tagged) == 17
    assert teams(road) == expected


def test_h_totals_of_labels_do_not_add_up_to_the_total(export: Export, road: Road, api: TestClient) -> None:
    """A row with two keys is in two totals. A dimension has it once, and a sum over two dimensions is refused."""
    export.write("2026-08-02", [
        charge(10, start="2026-08-01T20:00", labels=labels(team="shop", env="prod")),
        charge(5, start="2026-08-01T20:00", labels=labels(team="data")),
    ])  # fmt: skip
    export.write("2026-08-03", SETTLED)
    road.walk()

    by_label = by(
        road,
        "select label ->> 'value', sum(cost) from finops.raw_charges, jsonb_array_elements(labels) as label group by 1",
    )
    assert (by_label, sum(by_label.values())) == ({"shop": 10, "prod": 10, "data": 5}, 25)
    assert road.total() == 15
    for dimension in ("team", "environment"):
        assert sum(served(api, dimension).values()) == 15
    with pytest.raises(NotAddable, match="may hold the same charges"):
        check_sum([cost_of("shop", {"team": ["shop"]}), cost_of("prod", {"environment": ["prod"]})])


def test_i_a_used_commitments_fee_is_not_counted_twice_nor_called_a_saving(export: Export, road: Road) -> None:
    """Google's example: gross is 30 % above net, and the sum of all credits is a fee taken back and no saving."""
    export.write("2024-02-02", rows_of("over_after"))
    road.walk()

    net = Decimal("0.240046")
    assert asked(road, "select sum(cost) from finops.raw_charges") == net + Decimal("0.072")
    every_credit = "select sum((c ->> 'amount')::numeric) from finops.raw_charges, jsonb_array_elements(credits) as c"
    assert asked(road, every_credit) == Decimal("-0.072")
    assert road.total() == asked(road, "select sum(effective_cost) from finops.aggregated_cost_data") == net
    credited = {
        column: asked(road, f"select sum({column}) from finops.aggregated_cost_data") for column in CREDIT_COLUMNS
    }
    assert {name: amount for name, amount in credited.items() if amount} == {
        "credit_fee_utilization_offset": Decimal("-0.072")
    }
    with pytest.raises(NotAddable, match="commitment's fee"):
        check_cell("cost", {"charge_category": ["Usage", "Purchase"]})


# -- (j) the standard and the detailed export tell the same charges


def of_both(tmp_path: Path) -> tuple[Export, Export]:
    """One day's charges, exported as the standard table and as the detailed one, which has a row for each machine."""
    standard, detailed = Export(tmp_path / "tables" / "standard"), Export(tmp_path / "tables" / "detailed")
    standard.write("2026-08-02", [charge(15, start="2026-08-01T20:00")], STANDARD)
    detailed.write("2026-08-02", [
        charge(10, start="2026-08-01T20:00", resource={"name": "vm-1", "global_name": None}),
        charge(5, start="2026-08-01T20:00", resource={"name": "vm-2", "global_name": None}),
    ])  # fmt: skip
    return standard, detailed


def naively_summed(folder: Path) -> float:
    """The cost in every file below a folder."""
    [(cost,)] = duckdb.connect().execute(f"select sum(cost) from '{folder}/**/*.parquet'").fetchall()
    return float(cost)


def test_j_the_other_export_of_the_same_days_takes_the_place_of_the_first(
    connection: psycopg.Connection, tmp_path: Path
) -> None:
    """Changing BILLING_EXPORT_URL from one to the other, there and back, counts every charge once."""
    standard, detailed = of_both(tmp_path)

    assert naively_summed(tmp_path / "tables") == 30
    for table in (standard, detailed, standard):
        road = Road(connection, table.folder)
        road.walk()
        assert road.total() == road.total("cost_by_service_daily") == road.total("invoice_months") == 15


def test_j_days_that_only_the_first_export_has_are_not_counted_beside_the_other(
    connection: psycopg.Connection,
    settings: Settings,
    instance: DagsterInstance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The detailed export, switched on in September, brings August on its first day: beside the old days, twice."""
    standard, _ = of_both(tmp_path)
    road = Road(connection, standard.folder)
    road.walk()
    late = Export(tmp_path / "tables" / "switched on later")
    resource = {"name": "vm-1", "global_name": None}
    late.write("2026-09-05", [charge(15, start="2026-08-01T20:00", exported="2026-09-05T03:00", resource=resource)])
    monkeypatch.setenv("BILLING_EXPORT_URL", late.folder.as_uri())
    load_settings.cache_clear()

    with pytest.raises(SecondExport, match=r"1 export days of file://.*/standard are loaded \(2026-08-02"):
        sync(load_settings(), instance, lambda _: None)
    with pytest.raises(SecondExport), build_sensor_context(instance=instance) as context:
        changed_export_days(context, warehouse=Warehouse())

    assert road.total("raw_charges") == road.total() == 15
    Road(connection, late.folder).load("2026-09-05")  # what would have been loaded
    assert road.total("raw_charges") == 30


def test_j_files_of_both_exports_in_the_folder_of_a_day_are_refused(
    connection: psycopg.Connection, tmp_path: Path
) -> None:
    """The message names both files; nothing is loaded."""
    standard, detailed = of_both(tmp_path)
    day = "export_day=2026-08-02"
    (standard.folder / day / "part-000.parquet").rename(detailed.folder / day / "part-001.parquet")
    road = Road(connection, detailed.folder)

    assert naively_summed(detailed.folder) == 30
    with pytest.raises(SecondExport, match=r"part-000\.parquet is of the detailed export.*part-001\.parquet"):
        road.load("2026-08-02")
    assert road.total("raw_charges") is None


def test_j_a_day_with_two_folders_is_refused(connection: psycopg.Connection, tmp_path: Path) -> None:
    """`pt=` and `export_day=` are the same day, and two folders of it are two exports."""
    standard, detailed = of_both(tmp_path)
    (standard.folder / "export_day=2026-08-02").rename(detailed.folder / "pt=2026-08-02")

    assert naively_summed(detailed.folder) == 30
    with pytest.raises(SecondExport, match="holds 2026-08-02 twice"):
        Road(connection, detailed.folder).load_changed()


def test_j_the_folder_around_both_tables_is_no_export(tmp_path: Path) -> None:
    """Named by mistake it gives no day, instead of every day twice."""
    of_both(tmp_path)

    assert naively_summed(tmp_path / "tables") == 30
    assert FilesSource(tmp_path / "tables").partitions() == {}


# -- (k) to (q)


def test_k_a_list_of_prices_has_a_sku_once_a_day(export: Export, road: Road) -> None:
    """The pricing export is written anew every day: joined by SKU, three days of it are three times the cost."""
    export.write("2026-08-02", [charge(10, start="2026-08-01T20:00", cost_at_list=12.0)])
    road.walk()

    road.connection.execute(
        "create temporary table cloud_pricing_export as select export_day, 'id of N2 Core' as sku_id, 12 as list_price "
        "from generate_series('2026-08-01'::date, '2026-08-03', '1 day') as export_day"
    )
    joined = "from finops.raw_charges join cloud_pricing_export using (sku_id)"
    assert asked(road, f"select sum(cost) {joined}") == 30
    assert asked(road, f"select sum(pricing_quantity * cloud_pricing_export.list_price) {joined}") == 36
    assert facts_by(road, "sku_id", "cost") == {"id of N2 Core": 10}
    assert facts_by(road, "sku_id", "list_cost") == {"id of N2 Core": 12}


def test_l_sums_of_floats_are_not_sums(export: Export, road: Road) -> None:
    """Ten times ten cents are a dollar: not in binary, and another number in another order."""
    export.write("2026-08-02", [charge(0.1, start=f"2026-08-01T{hour}:00") for hour in range(10, 20)])
    export.write("2026-08-03", [charge(c, start="2026-08-02T20:00", sku=f"{c}") for c in (1e9, 1e-8, -1e9)])
    road.walk()

    floats = by(road, "select usage_day, sum(cost::float8 order by cost desc) from finops.raw_charges group by 1")
    assert floats[date(2026, 8, 1)] == 0.9999999999999999
    assert floats[date(2026, 8, 2)] == 0
    assert facts_by(road, "usage_day") == {date(2026, 8, 1): 1, date(2026, 8, 2): Decimal("0.00000001")}


def test_m_the_day_of_a_partition_is_not_the_day_of_use(export: Export, road: Road) -> None:
    """`DATE(_PARTITIONTIME) as usage_date` is when Google wrote the row."""
    export.write("2026-08-02", [charge(5, start="2026-08-01T20:00")])
    export.write("2026-08-03", [charge(10, start="2026-08-01T21:00"), charge(1, start="2026-08-02T20:00")])
    road.walk()

    by_partition = by(road, "select export_day, sum(cost) from finops.raw_charges group by 1")
    assert by_partition == {date(2026, 8, 2): 5, date(2026, 8, 3): 11}
    assert facts_by(road, "usage_day") == {date(2026, 8, 1): 15, date(2026, 8, 2): 1}


def test_n_a_project_that_moved_keeps_the_folder_it_had(export: Export, road: Road) -> None:
    """With the folders of today the old folder never cost anything."""
    team_from(road, "{folder: nearest}")

    def in_folder(name: str) -> dict[str, object]:
        ancestors = [
            {"resource_name": "projects/7", "display_name": "p"},
            {"resource_name": f"folders/{name}", "display_name": name},
            {"resource_name": "organizations/1", "display_name": "example.com"},
        ]
        return {"id": "p", "name": "p", "labels": [], "ancestors": ancestors}

    export.write("2026-08-03", [
        charge(10, start="2026-08-01T20:00") | {"project": in_folder("Commerce")},
        charge(5, start="2026-08-02T20:00") | {"project": in_folder("Data")},
    ])  # fmt: skip
    road.walk()

    of_today = by(
        road,
        """
        with today as (
            select distinct on (sub_account_id) sub_account_id, project_ancestors -> 1 ->> 'display_name' as folder
            from finops.raw_charges order by sub_account_id, usage_start_time desc
        )
        select folder, sum(cost) from finops.raw_charges join today using (sub_account_id) group by 1
        """,
    )
    assert of_today == {"Data": 15}
    assert teams(road) == {"commerce": 10, "data": 5}


def test_o_currencies_are_never_added(export: Export, road: Road, api: TestClient) -> None:
    """10 USD and 4 EUR are 14 of nothing."""
    export.write("2026-08-02", [
        charge(10, start="2026-08-01T20:00"),
        charge(4, start="2026-08-01T20:00", account="B", currency="EUR"),
    ])  # fmt: skip
    export.write("2026-08-03", SETTLED)
    road.walk()

    assert asked(road, "select sum(cost) from finops.raw_charges") == 14
    assert served(api, "service") == {("USD", "id of Compute Engine"): 10, ("EUR", "id of Compute Engine"): 4}
    totals = api.get("/v1/costs", params=AUGUST).json()["totals"]
    assert {total["billing_currency"]: Decimal(total["billed_cost"]) for total in totals} == {"USD": 10, "EUR": 4}
    with pytest.raises(NotAddable, match="EUR and USD are different currencies"):
        check_sum([cost_of("A", {"billing_account": ["A"]}), cost_of("B", {"billing_account": ["B"]}, "EUR")])


@pytest.mark.parametrize(
    ("source", "case", "expected"),
    [
        ("{label: team}", "lower", {"shop": 15, "run-7f": 3}),
        ("{label: team}", "upper", {"SHOP": 15, "RUN-7F": 3}),
        ("{label: team, map: {Run-7F: batch, SHOP: shop}}", "lower", {"shop": 15, "batch": 3}),
    ],
)
def test_p_the_case_of_a_value_is_how_it_arrived(
    source: str, case: str, expected: dict[str, int], export: Export, road: Road
) -> None:
    """A workflow calls itself Run-7F, its label arrives as run-7f; people write Shop and shop of one team."""
    team_from(road, source, case)
    export.write("2026-08-02", [
        charge(10, start="2026-08-01T20:00", labels=labels(team="Shop")),
        charge(5, start="2026-08-01T20:00", labels=labels(team="shop ")),
        charge(3, start="2026-08-01T20:00", labels=labels(team="run-7f")),
    ])  # fmt: skip
    road.walk()

    exactly = 'select sum(cost) from finops.raw_charges where labels @> \'[{{"key": "team", "value": "{}"}}]\''
    assert asked(road, exactly.format("Shop")) == 10
    assert asked(road, exactly.format("Run-7F")) is None
    assert teams(road) == expected


def test_q_a_free_tier_costs_and_is_given_back(export: Export, road: Road, api: TestClient) -> None:
    """`cost > 0` takes what is free for paid; the row stays, with nothing on the bill."""
    export.write("2026-08-02", [
        charge(3, start="2026-08-01T20:00", service="Cloud Run", paid_by=[("FREE_TIER", -3)]),
        charge(10, start="2026-08-01T20:00"),
    ])  # fmt: skip
    export.write("2026-08-03", SETTLED)
    road.walk()

    paid = by(road, "select service_name, sum(cost) from finops.raw_charges where cost > 0 group by 1")
    assert paid == {"Cloud Run": 3, "Compute Engine": 10}
    assert served(api, "service") == {("USD", "id of Cloud Run"): 0, ("USD", "id of Compute Engine"): 10}
    assert facts_by(road, "service_name", "credit_free_tier")["Cloud Run"] == -3
    assert facts_by(road, "service_name", "charge_count")["Cloud Run"] == 1


# -- the calendar


def hourly(first: datetime, hours: int) -> list[Row]:
    """A charge an hour, each of another amount so that none can stand for another."""
    starts = [first + timedelta(hours=hour) for hour in range(hours)]
    return [charge(1 + number / 1000, start=f"{start:%Y-%m-%dT%H:%M}") for number, start in enumerate(starts)]


@pytest.mark.parametrize(
    ("timezone", "day", "hours"),
    [
        ("America/Los_Angeles", date(2026, 3, 8), 23),
        ("America/Los_Angeles", date(2026, 11, 1), 25),
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
    ],
)
def test_a_day_on_which_the_clock_changes_has_all_its_hours_and_no_other(
    timezone: str, day: date, hours: int, export: Export, connection: psycopg.Connection
) -> None:
    """24 hours a day, counted from UTC with the offset of the day before, give an hour to the wrong day."""
    before = datetime.combine(day - timedelta(days=1), datetime.min.time(), ZoneInfo(timezone)).astimezone(UTC)
    rows = hourly(before, 24 + hours + 24)
    export.write(str(day + timedelta(days=3)), rows)
    road = Road(connection, export.folder, timezone)
    road.walk()

    offset = before.replace(tzinfo=None) - datetime.combine(day - timedelta(days=1), datetime.min.time())
    fixed = f"(usage_start_time at time zone 'UTC' - interval '{offset.total_seconds()} seconds')::date"
    counted = by(road, f"select {fixed}, count(*) from finops.raw_charges group by 1")
    right: dict[date, Decimal] = {}
    for row in rows:
        local = row["usage_start_time"].astimezone(ZoneInfo(timezone)).date()
        right[local] = right.get(local, Decimal(0)) + Decimal(str(row["cost"]))
    assert counted[day] == 24
    assert facts_by(road, "usage_day", "charge_count") == {
        day - timedelta(days=1): 24, day: hours, day + timedelta(days=1): 24
    }  # fmt: skip
    assert facts_by(road, "usage_day") == right


def test_the_29th_of_february_is_a_day_of_its_month(export: Export, road: Road, api: TestClient) -> None:
    """A month of 28 days loses what was used on it."""
    export.write("2024-03-02", [
        charge(1, start="2024-02-28T20:00"),
        charge(10, start="2024-02-29T20:00"),
        charge(4, start="2024-03-01T20:00"),
    ])  # fmt: skip
    road.walk()

    of_28_days = "select sum(cost) from finops.raw_charges where usage_day between '2024-02-01' and '2024-02-28'"
    assert asked(road, of_28_days) == 1
    assert facts_by(road, "usage_day")[date(2024, 2, 29)] == 10
    year = {"start": "2024-01-01", "end": "2024-12-31", "granularity": "monthly", "include_unfinished": "true"}
    months = api.get("/v1/costs", params=year).json()["items"]
    assert {month["month"]: Decimal(month["billed_cost"]) for month in months} == {"2024-02": 11, "2024-03": 4}
    assert by(road, "select invoice_month, billed_cost from finops.invoice_months") == {"202402": 11, "202403": 4}


@pytest.mark.parametrize(
    ("midnight", "last", "first"),
    [("2026-09-01T07:00:00", date(2026, 8, 31), date(2026, 9, 1)),
     ("2027-01-01T08:00:00", date(2026, 12, 31), date(2027, 1, 1))],
    ids=["month's end", "New Year"],
)  # fmt: skip
def test_the_second_before_midnight_is_the_month_before(
    midnight: str, last: date, first: date, export: Export, road: Road, api: TestClient
) -> None:
    """In UTC the last seven or eight hours of a month, or of a year, are the next; and late usage is billed later."""
    second_before = f"{datetime.fromisoformat(midnight) - timedelta(seconds=1):%Y-%m-%dT%H:%M:%S}"
    export.write(f"{first}", [
        charge(10, start=second_before, month=f"{last:%Y%m}"),
        charge(5, start=midnight, month=f"{first:%Y%m}"),
    ])  # fmt: skip
    export.write(f"{first + timedelta(days=3)}", [charge(7, start=second_before, month=f"{first:%Y%m}")])
    road.walk()

    in_utc = "to_char(usage_start_time at time zone 'UTC', 'YYYYMM')"
    of_use = "to_char(usage_day, 'YYYYMM')"
    total_by = "select {}, sum(cost) from finops.raw_charges group by 1"
    assert by(road, total_by.format(in_utc)) == {f"{first:%Y%m}": 22}
    assert by(road, total_by.format(of_use)) == {f"{last:%Y%m}": 17, f"{first:%Y%m}": 5}  # no invoice says so
    assert facts_by(road, "usage_day") == {last: 17, first: 5}
    assert by(road, "select invoice_month, billed_cost from finops.invoice_months") == {
        f"{last:%Y%m}": 10, f"{first:%Y%m}": 12
    }  # fmt: skip
    window = {"start": f"{last}", "end": f"{first + timedelta(days=1)}", "include_unfinished": "true"}
    months = api.get("/v1/costs", params={**window, "granularity": "monthly"}).json()["items"]
    assert {month["month"]: Decimal(month["billed_cost"]) for month in months} == {
        f"{last:%Y-%m}": 17, f"{first:%Y-%m}": 5
    }  # fmt: skip
