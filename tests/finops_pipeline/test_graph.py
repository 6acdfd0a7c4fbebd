"""The asset graph as a data engineer meets it: it loads anywhere, says what it is, and runs by date."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster import DagsterInstance
from helpers.road import TABLES, Export, Road, charge
from hypothesis import given
from hypothesis import strategies as st

from finops_pipeline import checks, loading
from finops_pipeline.assets.sql_assets import column_lineage
from finops_pipeline.definitions import defs
from finops_pipeline.partitions import MAX_DAYS_PER_RUN, contiguous, range_tags
from finops_pipeline.sensors import changed_export_days, dirty_usage_days, every_morning, moved_invoice_months
from finops_pipeline.warehouse import Warehouse
from finops_warehouse.dimensions import default_rules
from finops_warehouse.sql_models import postgres_models
from finops_warehouse.tables import metadata

SPECS = {spec.key.path[-1]: spec for spec in defs.resolve_all_asset_specs()}


def run(instance: DagsterInstance, job: str, keys: list[str]) -> dg.ExecuteInProcessResult:
    """Run a job over neighbouring partitions, as a sensor's request would."""
    return defs.resolve_job_def(job).execute_in_process(
        instance=instance,
        tags=range_tags(keys),
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )


def test_the_definitions_load_without_a_database_or_a_network() -> None:
    """A code location that connects at import takes the whole deployment down with its database."""
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": "postgresql://nobody:x@127.0.0.1:1/none"}
    code = "import socket; socket.socket.connect = None; import finops_pipeline.definitions"

    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env=environment, capture_output=True, check=False
    )

    assert (ran.returncode, ran.stderr.decode()) == (0, "")


def test_dagster_validates_the_workspace() -> None:
    """`workspace.yaml` names the installed package, so it works from any folder."""
    root = Path(__file__).parents[2]
    dagster = str(Path(sys.executable).with_name("dagster"))
    ran = subprocess.run(
        [dagster, "definitions", "validate", "-w", str(root / "workspace.yaml")], capture_output=True, check=False
    )

    assert ran.returncode == 0, ran.stderr.decode()


def test_every_asset_says_what_it_is() -> None:
    """Group, owner, kinds and description are what somebody at 3 a.m. reads first."""
    for name, spec in SPECS.items():
        assert spec.group_name in ("source", "raw", "core", "marts", "insights"), name
        assert spec.owners == ["team:finops"], name
        assert spec.kinds, name
        assert len(spec.description or "") > 40, name
        assert (spec.partitions_def is not None) == (name != "billing_export"), name


def test_the_graph_draws_the_road_from_the_export_to_the_invoice_and_to_the_sentence() -> None:
    """Lineage is what explains a number; an edge missing here is a question nobody can answer."""
    edges = {(dep.asset_key.path[-1], name) for name, spec in SPECS.items() for dep in spec.deps}

    assert edges == {
        ("billing_export", "raw_charges"),
        ("raw_charges", "usage_day_charges"),
        ("usage_day_charges", "aggregated_cost_data"),
        ("aggregated_cost_data", "cost_by_service_daily"),
        ("aggregated_cost_data", "cost_by_project_service_daily"),
        ("aggregated_cost_data", "cost_by_sku_region_daily"),
        ("aggregated_cost_data", "cost_by_custom_daily"),
        ("aggregated_cost_data", "allocated_costs"),
        ("aggregated_cost_data", "invoice_months"),
        ("usage_day_charges", "invoice_month_parts"),
        ("usage_day_charges", "cost_maturity"),
        ("aggregated_cost_data", "cost_anomalies"),
        ("aggregated_cost_data", "focus_conformance"),
        ("cost_by_project_service_daily", "cost_anomalies"),
        ("cost_by_project_service_daily", "cost_forecasts"),
        ("cost_by_project_service_daily", "forecast_accuracy"),
        ("cost_forecasts", "forecast_accuracy"),
        ("aggregated_cost_data", "savings_recommendations"),
        ("cost_by_project_service_daily", "llm_insights"),
        ("cost_anomalies", "llm_insights"),
        ("cost_forecasts", "llm_insights"),
        ("savings_recommendations", "llm_insights"),
        ("invoice_months", "llm_insights_monthly"),
        ("cost_by_project_service_daily", "budget_alerts"),
        ("cost_forecasts", "budget_alerts"),
    }


@pytest.mark.parametrize("model", postgres_models(), ids=lambda model: str(model.table))
def test_columns_and_their_lineage_are_shown(model: Any) -> None:  # noqa: ANN401 -- a SqlModel
    """The schema in the UI is the table's own, and every money column comes from the charges."""
    spec = SPECS[model.table]
    columns = [column.name for column in spec.metadata["dagster/column_schema"].columns]
    lineage = column_lineage(model).deps_by_column

    assert sorted(columns) == sorted(column.name for column in metadata.tables[f"finops.{model.table}"].columns)
    billed = {(d.asset_key.path[-1], d.column_name) for d in lineage["billed_cost"]}
    assert (model.header.inputs[0], "billed_cost") in billed
    # What a member carries of a shared cost depends on the measure it is split by, too.
    assert len(billed) == 1 or model.table == "allocated_costs"


def test_raw_charges_shows_its_columns_too() -> None:
    """The table everything is made from is the first one somebody looks up."""
    columns = {column.name: column for column in SPECS["raw_charges"].metadata["dagster/column_schema"].columns}

    assert set(columns) == {column.name for column in metadata.tables["finops.raw_charges"].columns}
    assert "23 or 25 hours" in columns["usage_day"].description


@given(due=st.sets(st.dates(date(2024, 1, 1), date(2026, 12, 31)), max_size=120), at_most=st.integers(1, 30))
def test_every_due_day_is_asked_for_exactly_once(due: set[date], at_most: int) -> None:
    """No day is forgotten, none is asked for that is not due, and no run outgrows its limit."""
    ranges = contiguous(due, at_most)

    assert [day for days in ranges for day in days] == sorted(due)
    assert all(len(days) <= at_most for days in ranges)
    assert all((days[-1] - days[0]).days == len(days) - 1 for days in ranges)


@pytest.mark.usefixtures("read_export")
def test_a_range_run_reports_every_day_by_itself(export: Export, road: Road, instance: DagsterInstance) -> None:
    """Row counts, totals and touched days per partition are what the UI plots."""
    export.write("2026-08-02", [charge(10, start="2026-08-01T20:00"), charge(2, start="2026-08-02T09:00")])
    export.write("2026-08-03", [charge(5, start="2026-08-01T20:00", currency="EUR")])

    assert run(instance, "load_export_days", ["2026-08-02", "2026-08-03"]).success
    assert run(instance, "rebuild_usage_days", ["2026-08-01", "2026-08-02"]).success
    month = defs.resolve_job_def("prove_invoice_months").execute_in_process(instance=instance, partition_key="202608")
    assert month.success

    def latest(asset: str, key: str) -> dict[str, Any]:
        [record] = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[key]), limit=1
        ).records
        assert record.asset_materialization
        return {name: value.value for name, value in record.asset_materialization.metadata.items()}

    assert latest("raw_charges", "2026-08-02")["dagster/partition_row_count"] == 2
    assert latest("raw_charges", "2026-08-02")["touched_usage_days"] == ["2026-08-01", "2026-08-02"]
    assert latest("raw_charges", "2026-08-03")["billed_cost_EUR"] == "5.000000000"
    assert latest("aggregated_cost_data", "2026-08-01")["plot/billed_cost_USD"] == 10
    assert latest("usage_day_charges", "2026-08-01")["export_day"] == "2026-08-03"
    assert latest("invoice_months", "202608")["billed_cost_USD"] == "12.000000000"
    assert road.total("invoice_months") == 17


@pytest.mark.usefixtures("read_export")
def test_a_bad_day_does_not_stop_the_others(export: Export, road: Road, instance: DagsterInstance) -> None:
    """One truncated file among a month of good ones: the rest is loaded, the run names the one, the ledger waits."""
    for day in (2, 4):
        export.write(f"2026-08-0{day}", [charge(day, start=f"2026-08-0{day}T20:00")])
    bad = export.write("2026-08-03", [charge(3, start="2026-08-03T20:00")])
    bad.write_bytes(bad.read_bytes()[:100])

    result = run(instance, "load_export_days", ["2026-08-02", "2026-08-03", "2026-08-04"])

    assert not result.success
    [failure] = result.filter_events(lambda event: event.is_step_failure)
    assert "2026-08-03" in str(failure.step_failure_data.user_failure_data)
    assert road.total("raw_charges") == 6
    [(asset, key, attempts, error)] = road.connection.execute(
        "select asset, partition_key, attempts, last_error from finops.build_attempts"
    ).fetchall()
    assert (asset, key, attempts) == ("raw_charges", "2026-08-03", 1)
    assert str(bad) in error
    loaded = instance.get_materialized_partitions(dg.AssetKey("raw_charges"))
    assert {"2026-08-02", "2026-08-04"} <= loaded


@pytest.mark.usefixtures("read_export")
@pytest.mark.parametrize("table", ["raw_charges", *TABLES])
def test_a_check_fails_where_a_table_was_altered(
    table: str, export: Export, road: Road, instance: DagsterInstance
) -> None:
    """Every table has a blocking identity check, and each finds a single altered cent."""
    export.write("2026-08-02", [charge(10, start="2026-08-01T20:00")])
    road.walk()
    road.connection.execute(f"update finops.{table} set billed_cost = billed_cost + 0.01")

    [check] = [
        check
        for check in checks.all_checks()
        for spec in check.check_specs
        if spec.asset_key.path[-1] == table and spec.name.startswith("equals_") and spec.blocking
    ]
    result = _run_check(check, instance)

    [evaluation] = result.get_asset_check_evaluations()
    assert not evaluation.passed
    in_every_dimension = len(default_rules().dimensions)
    assert evaluation.metadata["differences"].value == (in_every_dimension if table == "allocated_costs" else 1)


def _run_check(check: dg.AssetChecksDefinition, instance: DagsterInstance) -> dg.ExecuteInProcessResult:
    job = dg.Definitions(
        asset_checks=[check],
        jobs=[dg.define_asset_job("look", selection=dg.AssetSelection.checks(check))],
        resources={"warehouse": Warehouse()},
    ).resolve_job_def("look")
    return job.execute_in_process(instance=instance, raise_on_error=False)


# -- who asks for work


def sensed(sensor: dg.SensorDefinition, instance: DagsterInstance) -> list[dict[str, str]]:
    """The tags of what a sensor requests now."""
    context = dg.build_sensor_context(instance=instance, resources={"warehouse": Warehouse()}, definitions=defs)
    found = sensor.evaluate_tick(context)
    return [dict(request.tags) for request in found.run_requests or []]


@pytest.mark.usefixtures("read_export")
def test_sensors_ask_for_what_is_due_and_nothing_else(export: Export, road: Road, instance: DagsterInstance) -> None:
    """A new export day, then the usage days it touched, then their months; then silence."""
    export.write("2026-08-02", [charge(10, start="2026-08-01T20:00")])
    export.write(
        "2026-08-03", [charge(1, start="2026-07-20T20:00", month="202608"), charge(2, start="2026-08-02T20:00")]
    )

    [tags] = sensed(changed_export_days, instance)
    assert {**range_tags(["2026-08-02", "2026-08-03"]), "finops/lane": "sync"}.items() <= tags.items()
    road.load_changed()
    assert sensed(changed_export_days, instance) == []

    asked = [tags["dagster/asset_partition_range_start"] for tags in sensed(dirty_usage_days, instance)]
    assert asked == ["2026-07-20", "2026-08-01"]
    assert sensed(moved_invoice_months, instance) == []

    road.rebuild_behind()
    assert sensed(dirty_usage_days, instance) == []
    assert sensed(moved_invoice_months, instance) == []


@pytest.mark.usefixtures("read_export")
def test_a_lost_request_is_asked_for_again(export: Export, road: Road, instance: DagsterInstance) -> None:
    """A level, not an edge: whatever became of the last request, what is due is due at the next tick."""
    export.write("2026-08-02", [charge(10, start="2026-08-01T20:00")])
    road.load_changed()

    assert sensed(dirty_usage_days, instance) == sensed(dirty_usage_days, instance) != []


@pytest.mark.usefixtures("read_export")
def test_a_parked_day_is_left_alone(
    export: Export, road: Road, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day that cannot be built is shown and not tried for ever: 368,000 failed runs have been seen elsewhere."""
    export.write("2026-08-02", [charge(10, start="2026-08-01T20:00")])
    road.load_changed()
    road.connection.execute("update finops.raw_charges set billed_cost = 11")

    for _ in range(5):
        assert sensed(dirty_usage_days, instance)
        assert not run(instance, "rebuild_usage_days", ["2026-08-01"]).success
        road.connection.execute("update finops.build_attempts set next_attempt_at = now() - interval '1 second'")
    assert sensed(dirty_usage_days, instance) == []

    road.connection.execute("update finops.raw_charges set billed_cost = 10")
    assert run(instance, "rebuild_usage_days", ["2026-08-01"]).success
    assert road.connection.execute("select count(*) from finops.build_attempts").fetchall() == [(0,)]


@pytest.mark.usefixtures("read_export")
def test_the_schedule_asks_for_what_the_sensor_would(export: Export, road: Road, tmp_path: Path) -> None:
    """The belt to the sensors: a switched-off sensor costs a day, not a month."""
    export.write("2026-08-02", [charge(10)])

    with DagsterInstance.local_temp(str(tmp_path)) as kept:  # a schedule opens its instance anew; one in memory cannot
        context = dg.build_schedule_context(instance=kept, resources={"warehouse": Warehouse()})
        ticked = every_morning.evaluate_tick(context)

    assert [request.tags["dagster/asset_partition_range_start"] for request in ticked.run_requests or []] == [
        "2026-08-02"
    ]


def test_a_run_is_not_longer_than_its_limit() -> None:
    """Ninety days are three runs: what the backfill policy and the sensors agree on."""
    days = [date.fromordinal(date(2026, 8, 1).toordinal() + n) for n in range(90)]

    assert [len(stretch) for stretch in contiguous(days)] == [30, 30, 30]
    assert SPECS["raw_charges"].partitions_def is not None
    assert defs.resolve_assets_def("raw_charges").backfill_policy == dg.BackfillPolicy.multi_run(MAX_DAYS_PER_RUN)


def test_a_lost_database_fails_the_run_and_blames_no_day(
    export: Export, road: Road, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch, read_export: None
) -> None:
    """A restart of Postgres must not use up the attempts of thirty innocent days."""
    export.write("2026-08-02", [charge(10)])

    def gone(*_: object, **__: object) -> None:
        raise psycopg.OperationalError("the connection is lost")

    monkeypatch.setattr(loading, "copy_batches", gone)
    result = run(instance, "load_export_days", ["2026-08-02"])

    assert not result.success
    assert road.connection.execute("select count(*) from finops.build_attempts").fetchall() == [(0,)]


@pytest.mark.usefixtures("read_export")
def test_charges_for_a_closed_month_fail_its_run_and_are_shown(
    export: Export, road: Road, instance: DagsterInstance
) -> None:
    """The failed run is what the webhook posts; the sums are there all the same, and a later run is as red."""
    export.write("2026-07-31", [charge(0, start="2026-07-31T08:00")])
    export.write("2026-08-02", [charge(10, start="2026-08-01T20:00")])
    export.write("2026-09-10", [charge(1, start="2026-09-09T20:00")])
    road.walk()
    assert run(instance, "prove_invoice_months", ["202608"]).success

    export.write("2026-10-20", [charge(7, start="2026-08-15T20:00", month="202608")])
    road.walk()
    result = run(instance, "prove_invoice_months", ["202608"])

    assert not result.success
    [check] = [c for c in result.get_asset_check_evaluations() if c.check_name == "closed_months_stand_still"]
    assert not check.passed
    assert check.blocking
    assert "17" in str(check.metadata["first_differences"].value)
    assert road.total("invoice_months", "invoice_month = '202608'") == 17
