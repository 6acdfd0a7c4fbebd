"""`finops backfill`, killed at a random moment and started again: nothing lost, nothing doubled, nothing left over."""

import os
import random
import signal
import time
from datetime import date
from pathlib import Path

import psutil
import psycopg
from helpers.processes import finops, finops_json, running
from helpers.proofs import PROVING, count
from helpers.road import TABLES, Road

from finops_pipeline.sample_export import write_sample_export
from finops_warehouse.database import connect_to
from finops_warehouse.embedded import EmbeddedPostgres

LAST_DAY = date(2026, 10, 20)
SEED = int(time.time()) if PROVING else 5
"""In the suite the same moments every time; under `make prove` new ones, told when it fails."""


def test_a_killed_backfill_started_again_ends_as_an_undisturbed_one(
    connection: psycopg.Connection, shared_folder: Path
) -> None:
    """kill -9 gives no process a chance to tidy up; the tables must not need it to."""
    chance = random.Random(SEED)
    home = shared_folder / "killed"
    export = write_sample_export(home / "export", days=12, rows_per_day=500, seed=3, last_export_day=LAST_DAY)
    window = ("--from", str(export.first_export_day), "--to", str(export.last_export_day))
    settings = {"BILLING_EXPORT_URL": export.table_dir.as_uri(), "BILLING_START_DAY": "2026-10-01"}

    for _ in range(count(2, 10)):
        with running(home, "backfill", *window, settings=settings) as process:
            time.sleep(chance.uniform(5, 30))
            children = psutil.Process(process.pid).children(recursive=True)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            # Its daemon ends with it; a run that is at work may finish its day first.
            _, alive = psutil.wait_procs([c for c in children if "dagster" in " ".join(_cmdline(c))], timeout=60)
            assert alive == [], f"seed {SEED}"

    again = finops(home, "backfill", *window, **settings)

    assert again.returncode == 0, f"seed {SEED}: {again.stderr}"
    assert finops_json(home, "verify", **settings)["holds"]
    undisturbed = Road(connection, export.table_dir)
    undisturbed.walk()
    server = EmbeddedPostgres(home)
    with connect_to(server.start(), autocommit=True) as killed:
        tables = ["raw_charges", *TABLES]
        assert Road(killed, export.table_dir).contents(tables) == undisturbed.contents(tables), f"seed {SEED}"
    server.leave()


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
