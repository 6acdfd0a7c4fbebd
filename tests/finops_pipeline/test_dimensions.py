"""Custom dimensions and shared costs on the road: facts carry them, and a change of rules restates what it changes."""

import json
import threading
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from dagster import DagsterInstance, build_sensor_context
from helpers.road import Export, Road, charge
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finops_pipeline.orchestration import sync
from finops_pipeline.sensors import dirty_usage_days
from finops_pipeline.warehouse import Warehouse
from finops_warehouse import assignment
from finops_warehouse.assignment import apply
from finops_warehouse.database import connect_to
from finops_warehouse.dimensions import rules_from
from finops_warehouse.errors import FinopsError
from finops_warehouse.identities import allocation_differences
from finops_warehouse.settings import Settings, load_settings

TEAM = "dimensions:\n  - {name: team, description: Whose., sources: [{label: team}, {label: squad}]}\n"
HUB = """\
shared_costs:
  - name: network
    description: The hub.
    split_over: team
    where: {project: [hub]}
"""


def team(value: str, key: str = "team") -> list[dict[str, str]]:
    """The labels of a charge."""
    return [{"key": key, "value": value}]


def facts(road: Road, column: str = "custom") -> dict[str, Decimal]:
    """Billed cost by what the facts say of teams."""
    return dict(
        road.connection.execute(
            f"select {column} ->> 'team', sum(billed_cost) from finops.aggregated_cost_data group by 1"
        ).fetchall()
    )


def allocated(road: Road) -> dict[str, Decimal]:
    """What each team carries."""
    return dict(
        road.connection.execute(
            "select member, sum(billed_cost) from finops.allocated_costs where dimension = 'team' group by 1"
        ).fetchall()
    )


def in_force(road: Road, text: str) -> None:
    """Apply rules and build what follows."""
    apply(road.connection, rules_from(text, "rules.yaml"), "rules.yaml")
    road.walk()


def test_facts_carry_members_and_who_assigned_them(export: Export, road: Road) -> None:
    """The charges of one SKU are two facts when they are two teams'; what nobody owns is a member."""
    in_force(road, TEAM)
    export.write("2026-08-02", [
        charge(10, start="2026-08-01T20:00", labels=team("Shop")),
        charge(5, start="2026-08-01T20:00", labels=team("data", "squad")),
        charge(1, start="2026-08-01T20:00"),
    ])  # fmt: skip
    road.walk()

    assert facts(road) == {"shop": 10, "data": 5, "(unattributed)": 1}
    assert facts(road, "assigned_by") == {"label team": 10, "label squad": 5, "default": 1}


def test_a_row_with_several_keys_counts_once(export: Export, road: Road) -> None:
    """Per-label totals of such rows add up to more than there is; members of a dimension never do."""
    in_force(road, TEAM)
    export.write("2026-08-02", [charge(10, start="2026-08-01T20:00", labels=[*team("a"), *team("b", "squad")])])
    road.walk()

    assert facts(road) == {"a": 10}
    assert sum(facts(road).values()) == road.total()


def test_a_change_of_rules_restates_the_days_it_changes(export: Export, road: Road) -> None:
    """Readers are told: the total is the same, who carries it is not. The day that is as it was is left alone."""
    in_force(road, TEAM)
    export.write("2026-08-02", [
        charge(10, start="2026-08-01T20:00", labels=team("shop")),
        charge(7, start="2026-08-02T20:00", labels=team("data", "squad")),
        charge(3, start="2026-08-02T20:00", account="B", labels=team("data")),
    ])  # fmt: skip
    road.walk()

    change = apply(road.connection, rules_from(TEAM.replace("squad", "tribe"), "f"), "f")
    built = road.rebuild_behind()

    assert [str(day) for day in change.usage_days] == ["2026-08-02"]
    assert "2026-08-01" not in built
    assert facts(road) == {"shop": 10, "(unattributed)": 7, "data": 3}
    told = road.connection.execute(
        "select usage_day::text, billing_account_id, billed_cost_before, billed_cost_after, cause, export_days "
        "from finops.restatements"
    ).fetchall()
    assert told == [("2026-08-02", "A", 7, 7, "rule change", [])]


def test_folders_are_those_of_the_day_of_use(export: Export, road: Road) -> None:
    """A project that moved keeps its old days where they were."""
    in_force(road, TEAM.replace("{label: team}, {label: squad}", "{folder: nearest}"))

    def in_folder(name: str) -> dict[str, Any]:
        ancestors = [{"resource_name": "folders/1", "display_name": name}]
        return {"id": "p", "name": "p", "labels": [], "ancestors": ancestors}

    export.write("2026-08-03", [
        charge(10, start="2026-08-01T20:00") | {"project": in_folder("Old")},
        charge(5, start="2026-08-02T20:00") | {"project": in_folder("New")},
    ])  # fmt: skip
    road.walk()

    assert facts(road) == {"old": 10, "new": 5}


# -- shared costs


def shared_day(export: Export, road: Road) -> None:
    """The hub cost 10; shop and data have costs of their own, and somebody has no team."""
    export.write("2026-08-02", [
        charge(10, start="2026-08-01T20:00", project="hub", labels=team("sre")),
        charge(30, start="2026-08-01T20:00", labels=team("shop")),
        charge(60, start="2026-08-01T20:00", labels=team("data")),
        charge(5, start="2026-08-01T20:00"),
    ])  # fmt: skip
    road.walk()


SPLITS = {
    "even": ("how: even", {"sre": 0, "shop": 35, "data": 65, "(unattributed)": 5}),
    "proportional": (
        "how: proportional\n    by: billed_cost",
        {"sre": 0, "shop": "33.333333333", "data": "66.666666667", "(unattributed)": 5},
    ),
    "fixed": (
        "how: fixed\n    shares: {shop: 70, nobody yet: 30}",
        {"sre": 0, "shop": 37, "nobody yet": 3, "data": 60, "(unattributed)": 5},
    ),
    "only some": ("how: even\n    members: [data]", {"sre": 0, "shop": 30, "data": 70, "(unattributed)": 5}),
    "over nobody": (
        "how: even\n    members: [absent]",
        {"sre": 0, "shop": 30, "data": 60, "(unattributed)": 5, "(not split)": 10},
    ),
}


@pytest.mark.parametrize(("how", "expected"), SPLITS.values(), ids=SPLITS.keys())
def test_shared_costs_are_split(export: Export, road: Road, how: str, expected: dict[str, Any]) -> None:
    """Who pays for the hub carries nothing of it any more; what nobody can carry has a name and is not lost."""
    in_force(road, f"{TEAM}{HUB}    {how}\n")
    shared_day(export, road)

    assert allocated(road) == {member: Decimal(value) for member, value in expected.items()}
    assert sum(allocated(road).values()) == road.total()
    assert allocation_differences(road.connection) == []


def test_a_changed_split_is_built_again_where_there_is_something_to_split(export: Export, road: Road) -> None:
    """A day without costs of the hub is not touched."""
    in_force(road, f"{TEAM}{HUB}    how: even\n")
    shared_day(export, road)
    export.write("2026-08-03", [charge(1, start="2026-08-02T20:00", labels=team("shop"))])
    road.walk()

    change = apply(road.connection, rules_from(f"{TEAM}{HUB}    how: even\n    members: [data]\n", "f"), "f")
    road.rebuild_behind()

    assert [str(day) for day in change.usage_days] == ["2026-08-01"]
    assert allocated(road)["data"] == 70


def test_a_lost_cent_and_a_leak_are_found(export: Export, road: Road) -> None:
    """By the check that blocks and by `finops verify`."""
    in_force(road, f"{TEAM}{HUB}    how: even\n")
    shared_day(export, road)

    road.connection.execute(
        "update finops.allocated_costs set moved_cost = moved_cost + 1, billed_cost = billed_cost + 1 "
        "where member = 'data' and moved_by is not null"
    )

    found = [difference.identity for difference in allocation_differences(road.connection)]
    assert found == ["allocated = facts", "moved = 0"]


costs = st.lists(
    st.builds(
        lambda cents, project, who, account, currency, day: charge(
            cents / 100,
            start=f"2026-08-0{day}T20:00",
            project=project,
            labels=team(who) if who else [],
            account=account,
            currency=currency,
        ),
        cents=st.integers(-3000, 9000),
        project=st.sampled_from(["hub", "shop", None]),
        who=st.sampled_from(["a", "b", "c", ""]),
        account=st.sampled_from(["A", "B"]),
        currency=st.sampled_from(["USD", "EUR"]),
        day=st.integers(1, 2),
    ),
    min_size=1,
    max_size=20,
)
HOWS = ["how: even", "how: proportional\n    by: list_cost", "how: fixed\n    shares: {a: 33.3, z: 66.7}"]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(rows=costs, how=st.sampled_from(HOWS))
def test_whatever_the_costs_are_none_is_lost_or_made(
    tmp_path_factory: pytest.TempPathFactory, connection: psycopg.Connection, rows: list[dict[str, Any]], how: str
) -> None:
    """Credits larger than costs, days without anybody, two currencies: every account and currency adds up."""
    export = Export(tmp_path_factory.mktemp("export"))
    road = Road(connection, export.folder)
    apply(connection, rules_from(f"{TEAM}{HUB}    {how}\n", "f"), "f")
    export.write("2026-08-03", rows)
    road.walk()

    assert allocation_differences(connection) == []
    accounts = (
        "select billing_account_id, billing_currency, sum(billed_cost) from finops.{} group by 1, 2 order by 1, 2"
    )
    assert connection.execute(accounts.format("allocated_costs")).fetchall() == connection.execute(
        accounts.format("aggregated_cost_data")
    ).fetchall()  # fmt: skip


# -- the pipeline applies the file by itself


def test_sync_applies_a_changed_file_and_refuses_a_bad_one(
    export: Export, settings: Settings, connection: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad file stops nothing: costs follow by the rules in force, and the sync says what is wrong."""
    file = tmp_path / "rules.yaml"
    file.write_text(TEAM)
    monkeypatch.setenv("DIMENSIONS_FILE", str(file))
    monkeypatch.setenv("BILLING_EXPORT_URL", export.folder.as_uri())
    load_settings.cache_clear()
    export.write("2026-08-02", [charge(10, start="2026-08-01T20:00", labels=team("shop"))])
    road = Road.__new__(Road)
    road.connection = connection
    with DagsterInstance.ephemeral() as instance:
        sync(load_settings(), instance, print)
        assert facts(road) == {"shop": 10}

        file.write_text(TEAM.replace("sources", "sauces"))
        export.write("2026-08-03", [charge(1, start="2026-08-02T20:00", labels=team("data"))])
        with pytest.raises(FinopsError, match=r"rules\.yaml, line 2: sauces is not known here"):
            sync(load_settings(), instance, print)
        assert facts(road) == {"shop": 10, "data": 1}

        file.write_text(TEAM.replace("label: team", "label: tribe"))
        done = sync(load_settings(), instance, print)
    assert [str(day) for day in done.usage_days] == ["2026-08-01", "2026-08-02"]
    assert facts(road) == {"(unattributed)": 11}


def test_a_tick_of_the_sensor_applies_a_changed_file(
    export: Export, road: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And asks for the days it put behind."""
    export.write("2026-08-02", [charge(10, start="2026-08-01T20:00", labels=team("shop"))])
    road.walk()
    file = tmp_path / "rules.yaml"
    file.write_text(TEAM)
    monkeypatch.setenv("DIMENSIONS_FILE", str(file))
    load_settings.cache_clear()

    with DagsterInstance.ephemeral() as instance:
        tick = dirty_usage_days(build_sensor_context(instance=instance, resources={"warehouse": Warehouse()}))

    assert isinstance(tick, list)
    assert [json.loads(json.dumps(request.tags))["dagster/asset_partition_range_start"] for request in tick] == [
        "2026-08-01"
    ]


def test_charges_that_arrive_while_rules_change_follow_the_new_ones(
    export: Export, road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The race of a load and a build between the comparison of the rules and their commit: the build waits."""
    in_force(road, TEAM)
    export.write("2026-08-02", [charge(10, start="2026-08-01T20:00", labels=team("shop"))])
    dsn = f"{road.connection.info.dsn} password={road.connection.info.password}"
    compare = assignment._days_assigned_otherwise
    built: list[threading.Thread] = []

    def load_and_build() -> None:
        with connect_to(dsn, autocommit=True) as other:
            late = Road.__new__(Road)
            late.connection, late.source, late.timezone, late.grain = other, road.source, road.timezone, road.grain
            late.walk()

    def compare_then_load(connection: psycopg.Connection) -> set[date]:
        days = compare(connection)
        built.append(threading.Thread(target=load_and_build))
        built[0].start()
        built[0].join(timeout=3)  # without the lock it would be done by then
        return days

    monkeypatch.setattr(assignment, "_days_assigned_otherwise", compare_then_load)
    apply(road.connection, rules_from(TEAM.replace("label: team", "label: tribe"), "f"), "f")
    built[0].join()
    road.rebuild_behind()

    assert facts(road) == {"(unattributed)": 10}
