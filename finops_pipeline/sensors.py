"""Who asks for work. The source and the ledger know what is due; a sensor only reads it aloud.

Both sensors look at a level, not at an edge: whatever was missed, lost or killed is still due at the next tick.
No request has a run key, since Dagster remembers a key for ever and a day may be restated again tomorrow.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date

import dagster as dg
import psycopg
from dagster import DagsterInstance, RunsFilter
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus

from finops_pipeline.assets.sql_assets import daily_inputs, monthly_tables
from finops_pipeline.budget_alerts import tell_of_alerts
from finops_pipeline.export_days import held_export_days, told
from finops_pipeline.handed_in import take_what_is_handed_in
from finops_pipeline.liveness import UNFINISHED, end_orphans
from finops_pipeline.partitions import LANE_TAG, RANGE_END_TAG, RANGE_START_TAG, contiguous, range_tags
from finops_pipeline.spending import LedgerPurse
from finops_pipeline.warehouse import Warehouse
from finops_pipeline.webhook import post
from finops_warehouse import budgets, ledger
from finops_warehouse.assignment import follow
from finops_warehouse.errors import BadRules
from finops_warehouse.freshness import complete_through

STAND_BACK = dg.SkipReason("A backfill is at work; what it leaves behind is asked for when it is done.")

load_export_days = dg.define_asset_job(
    "load_export_days", selection="raw_charges", description="Copy export days that changed."
)
rebuild_usage_days = dg.define_asset_job(
    "rebuild_usage_days",
    selection=dg.AssetSelection.assets(*daily_inputs()),
    description="Rebuild the facts and rollups of usage days whose charges moved.",
)
prove_invoice_months = dg.define_asset_job(
    "prove_invoice_months",
    selection=dg.AssetSelection.assets(*monthly_tables()),
    description="Add up the invoices whose facts moved.",
)
think_about_days = dg.define_asset_job(
    "think_about_days",
    selection=dg.AssetSelection.assets(*ledger.INSIGHTS),
    description="Anomalies, forecasts, savings and the sentences about them, for days whose costs moved.",
)
write_about_months = dg.define_asset_job(
    "write_about_months",
    selection=dg.AssetSelection.assets(ledger.MONTH_TEXTS),
    description="The sentences about invoice months that moved.",
)

watch_budgets = dg.define_asset_job(
    "watch_budgets",
    selection=dg.AssetSelection.assets(budgets.ASSET),
    description="Which thresholds budgets have reached, for months whose budgets, costs or forecasts moved.",
)


@dg.sensor(job=load_export_days, minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def changed_export_days(
    context: dg.SensorEvaluationContext, warehouse: Warehouse
) -> dg.SkipReason | list[dg.RunRequest]:
    """Request every export day whose fingerprint is not the one that was loaded."""
    if a_backfill_is_at_work(context.instance):
        return STAND_BACK
    with warehouse.connection() as connection:
        if ended := end_orphans(context.instance, connection):
            context.log.warning(f"{ended} runs of a `finops sync` that was killed are ended.")
        _follow_rules(context, warehouse, connection)
        found = held_export_days(connection, warehouse.source(LedgerPurse.of_one_pass(warehouse.settings, "sensor")))
        held = found.fingerprints
        changed = ledger.changed_export_days(
            connection, held, warehouse.settings.billing_timezone, warehouse.settings.extract_grain
        )
        vanished = ledger.vanished_export_days(connection, held)
    if found.expired:
        context.log.warning(" ".join(told(found)))
    if vanished:
        context.log.warning(f"Loaded export days the source no longer holds: {', '.join(map(str, vanished))}")
    due = set(changed) - {date.fromisoformat(key) for key in in_flight(context.instance, load_export_days.name)}
    if not due:
        return dg.SkipReason(f"All {len(held)} export days of the source are loaded as they are.")
    return requests(due)


@dg.sensor(job=rebuild_usage_days, minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def dirty_usage_days(context: dg.SensorEvaluationContext, warehouse: Warehouse) -> dg.SkipReason | list[dg.RunRequest]:
    """Request every usage day whose charges moved after one of its tables was built."""
    if a_backfill_is_at_work(context.instance):
        return STAND_BACK
    with warehouse.connection() as connection:
        _follow_rules(context, warehouse, connection)
        behind = ledger.behind(connection, daily_inputs(), [])
    in_work = in_flight(context.instance, rebuild_usage_days.name)
    due = {date.fromisoformat(item.partition_key) for item in behind if item.partition_key not in in_work}
    if not due:
        return dg.SkipReason("Every usage day is built from the charges we hold.")
    return requests(due)


@dg.sensor(job=prove_invoice_months, minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def moved_invoice_months(
    context: dg.SensorEvaluationContext, warehouse: Warehouse
) -> dg.SkipReason | list[dg.RunRequest]:
    """Request every invoice month whose facts moved, once no usage day is behind."""
    if a_backfill_is_at_work(context.instance):
        return STAND_BACK
    with warehouse.connection() as connection:
        refused = take_what_is_handed_in(connection, warehouse.settings)
        behind = ledger.behind(connection, daily_inputs(), monthly_tables())
    told = json.dumps(refused)
    if refused and told != context.cursor:  # a folder that is missing is told of once, not every minute
        context.log.warning(f"Refused: {told}")
        refusal = f"Of what was handed in about invoices, this is refused: {' '.join(refused)}"
        post(warehouse.settings, {"text": refusal})
    context.update_cursor(told)
    if any(item.asset in daily_inputs() for item in behind):
        return dg.SkipReason("Usage days are being rebuilt; their months follow.")
    due = {item.partition_key for item in behind} - in_flight(context.instance, prove_invoice_months.name)
    if not due:
        return dg.SkipReason("Every invoice month is added up from the facts we hold.")
    return [dg.RunRequest(partition_key=month, tags={LANE_TAG: "sync"}) for month in sorted(due)]


@dg.sensor(job=think_about_days, minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def insights_behind(context: dg.SensorEvaluationContext, warehouse: Warehouse) -> dg.SkipReason | list[dg.RunRequest]:
    """Request every complete day whose costs moved after it was thought about, once no usage day is behind."""
    if a_backfill_is_at_work(context.instance):
        return STAND_BACK
    with warehouse.connection() as connection:
        if ledger.behind(connection, daily_inputs(), []):
            return dg.SkipReason("Usage days are being rebuilt; what is thought of them follows.")
        behind = ledger.behind_insights(connection, complete_through(connection))
    in_work = in_flight(context.instance, think_about_days.name)
    due = {date.fromisoformat(item.partition_key) for item in behind if item.partition_key not in in_work}
    if not due:
        return dg.SkipReason("Every complete day has been thought about.")
    return requests(due)


@dg.sensor(job=write_about_months, minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def month_texts_behind(
    context: dg.SensorEvaluationContext, warehouse: Warehouse
) -> dg.SkipReason | list[dg.RunRequest]:
    """Request the text of every invoice month that was added up anew, or that follows one that was."""
    if a_backfill_is_at_work(context.instance):
        return STAND_BACK
    with warehouse.connection() as connection:
        behind = set(ledger.behind_month_texts(connection))
    due = behind - in_flight(context.instance, write_about_months.name)
    if not due:
        return dg.SkipReason("Every invoice month has its text.")
    return [dg.RunRequest(partition_key=month, tags={LANE_TAG: "sync"}) for month in sorted(due)]


@dg.sensor(job=watch_budgets, minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def budgets_behind(context: dg.SensorEvaluationContext, warehouse: Warehouse) -> dg.SkipReason | list[dg.RunRequest]:
    """Request every month whose budgets, costs or forecasts moved, once none of its days is behind."""
    if a_backfill_is_at_work(context.instance):
        return STAND_BACK
    with warehouse.connection() as connection:
        complete = complete_through(connection)
        thinking = {item.asset for item in ledger.behind_insights(connection, complete)}
        if ledger.behind(connection, daily_inputs(), []) or "cost_forecasts" in thinking:
            return dg.SkipReason("Usage days are being rebuilt or forecast; their budgets follow.")
        behind = {f"{month:%Y%m}" for month in budgets.behind_months(connection, complete)}
    due = behind - in_flight(context.instance, watch_budgets.name)
    if not due:
        return dg.SkipReason("Every budget is held against what was spent.")
    return [dg.RunRequest(partition_key=month, tags={LANE_TAG: "sync"}) for month in sorted(due)]


@dg.sensor(minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def tell_of_budgets(warehouse: Warehouse) -> dg.SkipReason:
    """Post the thresholds that budgets reached to ALERT_WEBHOOK_URL, each once; one it does not take is tried again."""
    with warehouse.connection() as connection:
        told = tell_of_alerts(connection, warehouse.settings)
    return dg.SkipReason(f"Told of {told} thresholds." if told else "No budget has reached another threshold.")


@dg.schedule(
    job=load_export_days,
    cron_schedule="0 7 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def every_morning(context: dg.ScheduleEvaluationContext, warehouse: Warehouse) -> dg.SkipReason | list[dg.RunRequest]:
    """The belt to the sensors: once a day ask for whatever changed, even if somebody switched a sensor off."""
    with warehouse.connection() as connection:
        held = held_export_days(
            connection, warehouse.source(LedgerPurse.of_one_pass(warehouse.settings, "sensor"))
        ).fingerprints
        changed = ledger.changed_export_days(
            connection, held, warehouse.settings.billing_timezone, warehouse.settings.extract_grain
        )
    due = set(changed) - {date.fromisoformat(key) for key in in_flight(context.instance, load_export_days.name)}
    return requests(due) if due else dg.SkipReason("Every export day is loaded as it is.")


@dg.sensor(minimum_interval_seconds=900, default_status=dg.DefaultSensorStatus.RUNNING)
def tell_of_days_that_stay_behind(context: dg.SensorEvaluationContext, warehouse: Warehouse) -> dg.SkipReason:
    """Post parked partitions to ALERT_WEBHOOK_URL when they change: a run that never starts never fails."""
    with warehouse.connection() as connection:
        parked = [f"{build.asset} {build.partition_key}" for build in ledger.failed_builds(connection) if build.parked]
    told = json.dumps(parked)
    if told == (context.cursor or "[]"):
        return dg.SkipReason("Nothing new is parked.")
    context.update_cursor(told)
    if not parked:
        return dg.SkipReason("Nothing is parked any more.")
    failed = f"Parked after repeated failures: {', '.join(parked)}. `finops status` says why."
    post(warehouse.settings, {"text": failed})
    return dg.SkipReason(f"Told of {len(parked)} parked partitions.")


@dg.run_failure_sensor(default_status=dg.DefaultSensorStatus.RUNNING)
def tell_of_failed_runs(context: dg.RunFailureSensorContext, warehouse: Warehouse) -> None:
    """Post failed runs to ALERT_WEBHOOK_URL, with what the run said and where to look."""
    run = context.dagster_run
    post(
        warehouse.settings,
        {
            "text": f"{run.job_name} failed: {context.failure_event.message}",
            "run_url": f"{warehouse.settings.dagster_url.rstrip('/')}/runs/{run.run_id}",
            "tags": dict(run.tags),
        },
    )


def _follow_rules(context: dg.SensorEvaluationContext, warehouse: Warehouse, connection: psycopg.Connection) -> None:
    """Apply the rules of DIMENSIONS_FILE if they changed. Bad ones are told; costs follow by the rules in force."""
    try:
        change = follow(connection, warehouse.settings)
    except BadRules as refused:
        context.log.warning(f"The rules of custom dimensions are refused, the ones in force stay: {refused}")
        return
    if change.changed:
        context.log.info(f"Rules of custom dimensions, version {change.version}: {len(change.usage_days)} days follow.")


def requests(days: Iterable[date]) -> list[dg.RunRequest]:
    """One run request for each stretch of neighbouring days."""
    return [
        dg.RunRequest(tags={**range_tags([day.isoformat() for day in stretch]), LANE_TAG: "sync"})
        for stretch in contiguous(days)
    ]


def a_backfill_is_at_work(instance: DagsterInstance) -> bool:
    """Whether somebody backfills. A sensor would ask for the very partitions the backfill is about to build."""
    return bool(instance.get_backfills(BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED]), limit=1))


def in_flight(instance: DagsterInstance, job_name: str) -> set[str]:
    """The daily or monthly partitions that unfinished runs of this job, or of a backfill, are working on."""
    runs = instance.get_runs(RunsFilter(statuses=UNFINISHED))
    return {key for run in runs if run.job_name in (job_name, "__ASSET_JOB") for key in _keys(run.tags)}


def _keys(tags: Mapping[str, str]) -> Iterator[str]:
    first, last = tags.get(RANGE_START_TAG), tags.get(RANGE_END_TAG)
    if first and last:
        day = date.fromisoformat(first)
        while day <= date.fromisoformat(last):
            yield day.isoformat()
            day = date.fromordinal(day.toordinal() + 1)
    elif "dagster/partition" in tags:
        yield tags["dagster/partition"]
