"""Runs whose process is gone.

`finops sync` runs its jobs in its own process. Killed, it leaves a run that Dagster takes to be at work: it holds one
of the four places of the run queue and its partitions, for the two hours after which Dagster gives it up. A lock in
Postgres, which ends with the connection however the process ended, tells whether anybody is still there.
"""

import secrets
from zlib import crc32

import psycopg
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from finops_pipeline.partitions import LANE_TAG

UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]

LIVENESS_TAG = "finops/liveness"
"""The number of the lock that the process of a run holds."""

_CLASS = crc32(b"finops.liveness") - 2**31


def stay_alive(connection: psycopg.Connection) -> dict[str, str]:
    """Hold a lock of this process until `connection` ends. Returns the tag that says so, for its runs."""
    number = secrets.randbelow(2**31)
    connection.execute("select pg_advisory_lock(%s::int, %s::int)", [_CLASS, number])
    return {LIVENESS_TAG: str(number)}


def end_orphans(instance: DagsterInstance, connection: psycopg.Connection) -> int:
    """End every unfinished run whose process is gone. Returns how many there were."""
    ended = 0
    for run in instance.get_runs(RunsFilter(statuses=UNFINISHED, tags={LANE_TAG: "sync"})):
        number = run.tags.get(LIVENESS_TAG)
        if number is None or not _is_gone(connection, int(number)):
            continue
        instance.report_run_canceled(run, "The process that ran it was killed. What it left is asked for again.")
        ended += 1
    return ended


def _is_gone(connection: psycopg.Connection, number: int) -> bool:
    [(is_free,)] = connection.execute("select pg_try_advisory_lock(%s::int, %s::int)", [_CLASS, number]).fetchall()
    if is_free:
        connection.execute("select pg_advisory_unlock(%s::int, %s::int)", [_CLASS, number])
    return bool(is_free)
