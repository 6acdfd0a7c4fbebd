"""kill -9 of whoever is at work - the client, Dagster's run worker, PostgreSQL itself - while days load and rebuild.

Between the kills the export changes, so that there is always something to lose: corrections, late days, re-exports.
"""

import json
import os
import random
import shutil
import signal
import subprocess
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
SEED = int(time.time()) if PROVING else 11
KILLS = count(4, 54)
VICTIMS = ("client", "postgres", "run worker")


def test_whoever_is_killed_a_sync_puts_it_right(connection: psycopg.Connection, shared_folder: Path) -> None:
    """After every kill the next process goes on; in the end every identity holds and no kill is to be seen."""
    chance = random.Random(SEED)
    home = shared_folder / "kills"
    whole = write_sample_export(home / "whole", days=14, rows_per_day=500, seed=5, last_export_day=LAST_DAY)
    served = home / "export"
    settings = {"BILLING_EXPORT_URL": served.as_uri(), "BILLING_START_DAY": "2026-10-01"}
    shutil.copytree(whole.table_dir, served)
    partitions = sorted(served.iterdir())
    struck = dict.fromkeys(VICTIMS, 0)

    for number in range(KILLS):
        victim = VICTIMS[number % len(VICTIMS)]
        for partition in chance.sample(partitions, 4):  # four days become other days' rows, or what they really are
            other = chance.choice([partition, *partitions])
            shutil.rmtree(partition)
            shutil.copytree(whole.table_dir / other.name, partition)
        command = ["sync"]
        if victim == "run worker":
            command = ["backfill", "--from", "2026-10-07", "--to", "2026-10-20"]
        with running(home, *command, settings=settings) as process:
            struck[victim] += _kill(victim, process, home, chance)
            if victim == "client":
                process.wait()
            else:
                process.wait(timeout=200)  # it says what happened to it and ends

    for partition in partitions:
        shutil.rmtree(partition)
        shutil.copytree(whole.table_dir / partition.name, partition)
    again = finops(home, "sync", **settings)
    assert again.returncode == 0, f"seed {SEED}: {again.stderr}"
    proof = finops_json(home, "verify", **settings)
    assert proof["holds"], f"seed {SEED}: {json.dumps(proof['differences'][:5])}"
    assert min(struck.values()) >= KILLS // len(VICTIMS) // 2, f"seed {SEED}: {struck}"

    undisturbed = Road(connection, whole.table_dir)
    undisturbed.walk()
    server = EmbeddedPostgres(home)
    with connect_to(server.start(), autocommit=True) as killed:
        tables = ["raw_charges", *TABLES]
        assert Road(killed, served).contents(tables) == undisturbed.contents(tables), f"seed {SEED}"
    server.leave()


def _kill(victim: str, process: subprocess.Popen[str], home: Path, chance: random.Random) -> bool:
    """Kill the victim at a moment of its own choosing. Returns whether it was still at work."""
    until = time.monotonic() + chance.uniform(3, 14 if victim != "run worker" else 25)
    while time.monotonic() < until and process.poll() is None:
        time.sleep(0.01)
    if process.poll() is not None:
        return False
    match victim:
        case "client":
            os.kill(process.pid, signal.SIGKILL)
        case "postgres":
            pid_file = home / "postgres" / "server" / "data" / "postmaster.pid"
            while process.poll() is None and not pid_file.exists():
                time.sleep(0.01)
            if process.poll() is not None:
                return False
            postmaster = int(pid_file.read_text().splitlines()[0])
            os.kill(postmaster, signal.SIGKILL)
        case _:
            while process.poll() is None and not (workers := _run_workers(process)):
                time.sleep(0.05)
            if process.poll() is not None:
                return False
            chance.choice(workers).kill()
    return True


def _run_workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that execute a run right now."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            said = " ".join(child.cmdline())
        except psutil.NoSuchProcess:
            continue
        if "execute_run" in said or ("spawn_main" in said and "grpc" in " ".join(_cmdline_of_parent(child))):
            found.append(child)
    return found


def _cmdline_of_parent(child: psutil.Process) -> list[str]:
    try:
        parent = child.parent()
        return parent.cmdline() if parent else []
    except psutil.NoSuchProcess:
        return []
