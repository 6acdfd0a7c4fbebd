"""A run whose process was killed holds nothing up; one whose process lives is left alone."""

import time

import psycopg
from dagster import DagsterInstance, DagsterRunStatus

from finops_pipeline.definitions import defs
from finops_pipeline.liveness import end_orphans, stay_alive
from finops_pipeline.partitions import LANE_TAG
from finops_warehouse.database import connect_to


def started(instance: DagsterInstance, tags: dict[str, str]) -> str:
    """A run that is at work, for all that Dagster knows."""
    run = instance.create_run_for_job(
        defs.resolve_job_def("load_export_days"), tags={LANE_TAG: "sync", **tags}, status=DagsterRunStatus.STARTED
    )
    return str(run.run_id)


def status(instance: DagsterInstance, run_id: str) -> DagsterRunStatus:
    """What Dagster thinks of a run."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def eventually(instance: DagsterInstance, connection: psycopg.Connection) -> int:
    """How many are ended, once the server has noticed that a connection is gone."""
    until = time.monotonic() + 10
    while not (ended := end_orphans(instance, connection)) and time.monotonic() < until:
        time.sleep(0.05)
    return ended


def test_only_runs_whose_process_is_gone_are_ended(connection: psycopg.Connection) -> None:
    """Four killed syncs once took every place of the run queue for two hours; a run of the daemon has no such lock."""
    dsn = f"{connection.info.dsn} password={connection.info.password}"
    with DagsterInstance.ephemeral() as instance:
        with connect_to(dsn, autocommit=True) as killed, connect_to(dsn, autocommit=True) as living:
            gone, alive = started(instance, stay_alive(killed)), started(instance, stay_alive(living))
            others = started(instance, {})
            assert end_orphans(instance, connection) == 0

            killed.close()

            assert eventually(instance, connection) == 1
            assert status(instance, gone) == DagsterRunStatus.CANCELED
            assert status(instance, alive) == status(instance, others) == DagsterRunStatus.STARTED
        assert eventually(instance, connection) == 1
