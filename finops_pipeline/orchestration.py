"""Dagster from the outside: its home, its processes, its backfills; and a sync that needs none of its processes."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Self

import dagster as dg
import psycopg
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.execution.backfill import (
    BULK_ACTION_TERMINAL_STATUSES,
    BulkActionsFilter,
    BulkActionStatus,
    PartitionBackfill,
)
from dagster._core.storage.tags import BACKFILL_ID_TAG
from dagster._core.utils import make_new_backfill_id
from dagster._daemon.types import DaemonHeartbeat
from dagster._time import get_current_timestamp
from fasteners import InterProcessLock

from finops_pipeline.assets.sql_assets import daily_inputs, monthly_tables
from finops_pipeline.budget_alerts import tell_of_alerts
from finops_pipeline.export_days import held_export_days, told
from finops_pipeline.handed_in import take_what_is_handed_in
from finops_pipeline.liveness import UNFINISHED, end_orphans, stay_alive
from finops_pipeline.partitions import LANE_TAG, contiguous, range_tags
from finops_pipeline.sources.base import BillingSource
from finops_pipeline.spending import LedgerPurse
from finops_pipeline.warehouse import source_from
from finops_warehouse import budgets, ledger
from finops_warehouse.assignment import follow
from finops_warehouse.database import connect
from finops_warehouse.errors import BadRequest, BadRules, FinopsError
from finops_warehouse.freshness import complete_through
from finops_warehouse.settings import Settings

RAW_ASSET = "raw_charges"
HEARTBEAT_IS_FRESH_SECONDS = 60  # a daemon beats every 30 s
A_BEAT_TAKES_SECONDS = 40
POLL_SECONDS = 0.5

Say = Callable[[str], None]


def dagster_home(settings: Settings) -> Path:
    """Dagster's home folder: DAGSTER_HOME when set, else ours under FINOPS_HOME, with our dagster.yaml in it.

    Sets DAGSTER_HOME for this process and those it starts.
    """
    given = os.environ.get("DAGSTER_HOME")
    if given and Path(given) != settings.finops_home / "dagster":
        return Path(given)
    home = settings.finops_home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    with_config = files("finops_pipeline") / "dagster.yaml"
    (home / "dagster.yaml").write_text(with_config.read_text(encoding="utf-8"), encoding="utf-8")
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ["FINOPS_HOME"] = str(settings.finops_home)  # absolute: Dagster's processes work in other folders
    return home


@contextmanager
def dagster_instance(settings: Settings) -> Iterator[DagsterInstance]:
    """Dagster's instance; its tables are made on first use."""
    dagster_home(settings)
    with DagsterInstance.get() as instance:
        yield instance


# -- processes


def start_daemon(settings: Settings) -> subprocess.Popen[bytes]:
    """Start a Dagster daemon that ends with us. Its output goes to FINOPS_HOME/logs."""
    return _start(settings, "dagster-daemon", "run", "-w", _workspace())


def start_dagster(settings: Settings, port: int) -> subprocess.Popen[bytes]:
    """Start the Dagster UI with its daemon, on loopback: it has no login of its own."""
    return _start(settings, "dagster", "dev", "-w", _workspace(), "-h", "127.0.0.1", "-p", str(port))


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process of ours and wait for it."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # it leads a session: none of its children stays behind
        process.wait()


def _start(settings: Settings, program: str, *arguments: str) -> subprocess.Popen[bytes]:
    dagster_home(settings)
    logs = settings.finops_home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / f"{program}.log").open("ab") as log:
        return subprocess.Popen(
            [str(Path(sys.executable).with_name(program)), *arguments],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, preexec_fn=_end_with_our_parent,
        )  # fmt: skip


def _end_with_our_parent() -> None:
    """Have Linux end this child when its parent dies, even by kill -9: a daemon left behind would run on unseen."""
    # Started with `&` by a script we ignore Ctrl-C, and so would Dagster's children, which it stops by just that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def _workspace() -> str:
    return str(files("finops_pipeline") / "workspace.yaml")


class DaemonKeeper:
    """Sees to it that some daemon works for this instance while the block runs: somebody else's, or one of ours.

    A fresh heartbeat alone proves nothing: a daemon killed a moment ago has left one. It counts as alive while
    its heart goes on beating; once that has stood still for longer than a beat takes, we start our own. A daemon
    that is being started gets `grace_seconds` for its first beat: two at once would do everything twice.
    """

    def __init__(self, settings: Settings, instance: DagsterInstance, grace_seconds: float = 0) -> None:
        self._settings = settings
        self._instance = instance
        self._grace_ends = time.monotonic() + grace_seconds
        self._own: subprocess.Popen[bytes] | None = None
        self._last_beat = 0.0
        self._seen_at = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._own is not None:
            stop(self._own)

    @property
    def is_ours(self) -> bool:
        """Whether the daemon at work is one we started and will stop."""
        return self._own is not None

    def ensure(self) -> None:
        """Start a daemon unless one is alive. Call it again and again: the one that was alive may die.

        Raises `FinopsError` when our own has ended by itself.
        """
        if self._own is not None:
            if self._own.poll() is not None:
                raise FinopsError(
                    f"The Dagster daemon ended by itself; its log is in {self._settings.finops_home}/logs."
                )
            return
        beat = self._latest_beat()
        if beat > self._last_beat:
            self._last_beat, self._seen_at = beat, time.monotonic()
        if time.monotonic() < self._grace_ends:
            return
        stale = get_current_timestamp() - beat > HEARTBEAT_IS_FRESH_SECONDS
        if stale or time.monotonic() - self._seen_at > A_BEAT_TAKES_SECONDS:
            self._own = start_daemon(self._settings)

    def _latest_beat(self) -> float:
        beats: list[DaemonHeartbeat] = list(self._instance.get_daemon_heartbeats().values())
        return max((beat.timestamp for beat in beats if beat.daemon_type == "BACKFILL"), default=0.0)


# -- backfills


@dataclass(frozen=True)
class Stage:
    """One Dagster backfill of a few assets that share their partitions."""

    title: str
    assets: tuple[str, ...]
    partition_keys: tuple[str, ...]


@dataclass(frozen=True)
class StageProgress:
    """How far a stage is."""

    stage: Stage
    backfill_id: str
    done: int
    total: int


class Backfill:
    """`finops backfill`: the export days of a window, then every usage day they reach, then those invoices.

    Each stage is a Dagster backfill of its own, seen and cancelled in the UI like any other. A stage starts when
    the runs of the one before it are done.
    """

    def __init__(self, settings: Settings, instance: DagsterInstance) -> None:
        self._settings = settings
        self._instance = instance
        self._lock = InterProcessLock(settings.finops_home / "backfill.lock")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the place of the one `finops backfill` of this FINOPS_HOME, and clear away what a dead one left.

        Raises `BadRequest` when another one is alive.
        """
        if not self._lock.acquire(blocking=False):
            raise BadRequest("Another `finops backfill` is at work on this FINOPS_HOME. Wait for it, or stop it first.")
        try:
            self._cancel_orphans()
            yield
        finally:
            self._lock.release()

    def launch(self, stage: Stage) -> str:
        """Hand a stage to Dagster. Returns the backfill's id."""
        from finops_pipeline.definitions import defs

        backfill = PartitionBackfill.from_asset_partitions(
            backfill_id=make_new_backfill_id(),
            asset_graph=defs.resolve_asset_graph(),
            partition_names=list(stage.partition_keys),
            asset_selection=[dg.AssetKey(name) for name in stage.assets],
            backfill_timestamp=get_current_timestamp(),
            tags={LANE_TAG: "backfill"},
            dynamic_partitions_store=self._instance,
            all_partitions=False,
            title=stage.title,
            description=None,
            run_config=None,
        )
        self._instance.add_backfill(backfill)
        return backfill.backfill_id

    def follow(self, stage: Stage, backfill_id: str) -> Iterator[StageProgress]:
        """Yield progress until every run of the backfill is done.

        Raises `FinopsError` with what the runs said when some failed.
        """
        total = len(stage.assets) * len(stage.partition_keys)
        while True:
            runs = self._instance.get_runs(RunsFilter(tags={BACKFILL_ID_TAG: backfill_id}))
            done = self._partitions_built(stage, [run.run_id for run in runs])
            yield StageProgress(stage, backfill_id, done, total)
            backfill = self._instance.get_backfill(backfill_id)
            status = backfill.status if backfill else BulkActionStatus.CANCELED
            finished = [run for run in runs if run.is_finished]
            failed = [run for run in finished if run.status != DagsterRunStatus.SUCCESS]
            if len(finished) == len(runs) and (done >= total or status in BULK_ACTION_TERMINAL_STATUSES):
                if failed or status not in (BulkActionStatus.REQUESTED, BulkActionStatus.COMPLETED_SUCCESS):
                    raise FinopsError(self._what_failed(stage, backfill, failed))
                return
            time.sleep(POLL_SECONDS)

    def closing(self, backfill_ids: Sequence[str]) -> Iterator[int]:
        """Yield how many backfills the daemon has marked as finished, which it does every 30 s, until all are."""
        while True:
            found = [self._instance.get_backfill(backfill_id) for backfill_id in backfill_ids]
            closed = sum(backfill is None or backfill.status in BULK_ACTION_TERMINAL_STATUSES for backfill in found)
            yield closed
            if closed == len(found):
                return
            time.sleep(POLL_SECONDS)

    def _partitions_built(self, stage: Stage, run_ids: list[str]) -> int:
        """How many of the stage's partitions are built; Dagster adds days of its own that look back at them."""
        with connect(self._settings, autocommit=True) as connection:
            [(built,)] = connection.execute(
                "select count(*) from finops.materialisation "
                "where run_id = any(%s) and asset = any(%s) and partition_key = any(%s)",
                [run_ids, list(stage.assets), list(stage.partition_keys)],
            ).fetchall()
        return int(built)

    def _what_failed(self, stage: Stage, backfill: PartitionBackfill | None, runs: list[DagsterRun]) -> str:
        said = [f"  run {run.run_id}: {self._last_words(run)}" for run in runs]
        if not said and backfill and backfill.error:
            said = [f"  {backfill.error.message.strip()}"]
        return "\n".join([f"{stage.title} did not finish; what was built before stays.", *said])

    def _last_words(self, run: DagsterRun) -> str:
        records = self._instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
        for record in records:
            event = record.event_log_entry.dagster_event
            if event and event.step_failure_data.user_failure_data:
                return event.step_failure_data.user_failure_data.description or ""
            if event and event.step_failure_data.error:
                error = event.step_failure_data.error
                return (error.cause or error).message.strip()
        return f"{run.status.value}; see its log in the Dagster UI"

    def _cancel_orphans(self) -> None:
        """End the backfills of a `finops backfill` that was killed, with their runs; the new one does their work."""
        orphans = self._instance.get_backfills(
            BulkActionsFilter(
                statuses=[BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING], tags={LANE_TAG: "backfill"}
            )
        )
        with connect(self._settings, autocommit=True) as connection:
            end_orphans(self._instance, connection)
        for backfill in orphans:
            self._instance.update_backfill(backfill.with_status(BulkActionStatus.CANCELED))  # type: ignore[no-untyped-call]
            for run in self._instance.get_runs(
                RunsFilter(tags={BACKFILL_ID_TAG: backfill.backfill_id}, statuses=UNFINISHED)
            ):
                self._instance.report_run_canceled(run, "The `finops backfill` that started it was killed.")


# -- sync, in this process


@dataclass(frozen=True)
class Synced:
    """What a sync did."""

    export_days: tuple[date, ...]
    usage_days: tuple[date, ...]
    invoice_months: tuple[str, ...]
    insight_days: tuple[date, ...]


def sync(settings: Settings, instance: DagsterInstance, say: Say) -> Synced:
    """Load every changed export day and rebuild all that is behind, in the foreground, as recorded Dagster runs.

    Raises `SecondExport` before anything is done, and `FinopsError` naming the partitions that failed once all else is.
    """
    source = source_from(settings, LedgerPurse.of_one_pass(settings, "finops sync"))
    failures: list[str] = []
    with connect(settings, autocommit=True) as connection:
        end_orphans(instance, connection)
        alive = stay_alive(connection)
        failures += _follow_rules(connection, settings, say)
        held = held_export_days(connection, source)
        for sentence in told(held):
            say(sentence)
        changed = ledger.changed_export_days(
            connection, held.fingerprints, settings.billing_timezone, settings.extract_grain
        )
        for days in contiguous(changed):
            say(f"export days {days[0]} to {days[-1]}: loading")
            failures += _run(instance, "load_export_days", range_tags([day.isoformat() for day in days]) | alive)
        behind = ledger.behind(connection, daily_inputs(), [])
        dirty = sorted({date.fromisoformat(item.partition_key) for item in behind})
        for days in contiguous(dirty):
            say(f"usage days {days[0]} to {days[-1]}: rebuilding")
            failures += _run(instance, "rebuild_usage_days", range_tags([day.isoformat() for day in days]) | alive)
        failures += [f"  {refused}" for refused in take_what_is_handed_in(connection, settings)]
        months = sorted({item.partition_key for item in ledger.behind(connection, {}, monthly_tables())})
        for month in months:
            say(f"invoice month {month}: adding up")
            failures += _run(instance, "prove_invoice_months", {"dagster/partition": month, **alive})
        complete = complete_through(connection)
        thought = sorted({date.fromisoformat(i.partition_key) for i in ledger.behind_insights(connection, complete)})
        for days in contiguous(thought):
            say(f"days {days[0]} to {days[-1]}: anomalies, forecasts, savings, insights")
            failures += _run(instance, "think_about_days", range_tags([day.isoformat() for day in days]) | alive)
        for month in ledger.behind_month_texts(connection):
            say(f"invoice month {month}: writing about it")
            failures += _run(instance, "write_about_months", {"dagster/partition": month, **alive})
        for first in budgets.behind_months(connection, complete):
            say(f"month {first:%Y-%m}: holding budgets against it")
            failures += _run(instance, "watch_budgets", {"dagster/partition": f"{first:%Y%m}", **alive})
        failures += _tell(connection, settings)
        vanished = ledger.vanished_export_days(connection, held.fingerprints)
    failures += [_vanished(source, vanished)] if vanished else []
    if failures:
        raise FinopsError("\n".join(["Not everything could be brought up to date; the rest is.", *failures]))
    return Synced(tuple(changed), tuple(dirty), tuple(months), tuple(thought))


def _follow_rules(connection: psycopg.Connection, settings: Settings, say: Say) -> list[str]:
    """Apply the rules of DIMENSIONS_FILE if they changed. Bad ones fail; costs follow by the rules in force."""
    try:
        change = follow(connection, settings)
    except BadRules as refused:
        return [f"  {refused}"]
    if change.changed:
        say(f"rules of custom dimensions, version {change.version}: {len(change.usage_days)} usage days follow")
    return []


def _tell(connection: psycopg.Connection, settings: Settings) -> list[str]:
    """Tell of the thresholds that budgets reached, for where no sensor does. Returns what the webhook says to it."""
    try:
        tell_of_alerts(connection, settings)
    except FinopsError as refused:
        return [f"  {refused}"]
    return []


def _vanished(source: BillingSource, days: list[date]) -> str:
    return (
        f"  {source.url} no longer holds export days that were loaded: {', '.join(map(str, days))} "
        "(did somebody delete partitions?). Their charges are kept as they are. Decide with `finops export-days keep` "
        "or `finops export-days remove`."
    )


def _run(instance: DagsterInstance, job_name: str, tags: dict[str, str]) -> list[str]:
    """Run a job over the partitions its tags name. Returns what failed, a line each."""
    from finops_pipeline.definitions import defs

    result = defs.resolve_job_def(job_name).execute_in_process(
        instance=instance,
        tags={**tags, LANE_TAG: "sync"},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},  # the UI has the log
        raise_on_error=False,
    )
    said = []
    for event in result.filter_events(lambda event: event.is_step_failure):
        data = event.step_failure_data
        described = data.user_failure_data.description if data.user_failure_data else None
        said.append(f"  {described or (data.error.message.strip() if data.error else 'failed')}")
    return said
