"""The commands when all is well: what they print, for people and for programs."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from subprocess import CompletedProcess

import psycopg
import typer
from helpers.redis_server import RedisServer
from helpers.road import Export, Road, charge
from sqlalchemy import make_url

from finops_cli.main import app
from finops_pipeline.sample_export import SampleExport

Finops = Callable[..., CompletedProcess[str]]

COMMANDS = ["demo", "sample", "backfill", "sync", "status", "verify", "serve", "doctor", "psql", "invoices", "keys"]
"""DESIGN §11."""


def document(ran: CompletedProcess[str]) -> dict[str, object]:
    """The one JSON document of a --json run."""
    assert ran.returncode == 0, ran.stderr
    told: dict[str, object] = json.loads(ran.stdout)
    return told


def test_help_lists_every_command(finops: Finops) -> None:
    """What cannot be found in --help is not used."""
    told = finops("--help")

    assert told.returncode == 0
    missing = [name for name in COMMANDS if f" {name} " not in told.stdout]
    assert missing == []


def test_every_command_and_option_explains_itself() -> None:
    """Somebody reads `finops backfill --help` before they dare."""
    commands = typer.main.get_group(app).commands

    assert set(COMMANDS) <= set(commands)
    for name, command in commands.items():
        assert command.help, name
        assert [p.name for p in command.params if not getattr(p, "help", "an argument")] == [], name


def test_status_of_an_empty_warehouse_is_a_document(finops: Finops, database_url: str) -> None:
    """A monitor that reads it on the first day must not fail."""
    told = document(finops("status", "--json", DATABASE_URL=database_url))

    assert told["complete_through"] is None
    assert (told["charges"], told["export_days_loaded"], told["last_export_day"]) == (0, 0, None)
    assert told["dirty_usage_days"] == told["restatements"] == told["invoice_months"] == told["failed"] == []


def test_status_speaks_to_people_on_stderr(finops: Finops, database_url: str) -> None:
    """stdout is for programs; a pipe stays empty."""
    told = finops("status", DATABASE_URL=database_url)

    assert told.returncode == 0
    assert told.stdout == ""
    assert "no usage day yet" in told.stderr


# -- sample


def digests(folder: Path) -> dict[str, str]:
    """Every file with its digest."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_sample_twice_is_the_same_to_the_byte(finops: Finops, tmp_path: Path) -> None:
    """A bug found on one machine is there on another; another seed is another export."""
    for name, seed in (("one", "5"), ("two", "5"), ("three", "6")):
        ran = finops(
            "sample", "--out", name, "--days", "2", "--rows-per-day", "500", "--seed", seed, "--end", "2026-03-04"
        )
        assert ran.returncode == 0, ran.stderr

    one, two, three = (digests(tmp_path / name) for name in ("one", "two", "three"))
    assert len(one) == 2 + 2
    assert one == two
    assert one.keys() == three.keys()
    assert one != three


def test_the_last_day_of_a_sample_is_the_one_asked_for(finops: Finops, tmp_path: Path) -> None:
    """And what is printed is where it is and how to load it."""
    told = document(
        finops("sample", "--out", "out", "--days", "3", "--rows-per-day", "500", "--end", "2026-03-01", "--json")
    )
    url = str(told["billing_export_url"])

    assert (told["first_export_day"], told["last_export_day"]) == ("2026-02-27", "2026-03-01")
    folder = Path(url.removeprefix("file://"))
    assert [path.name for path in sorted(folder.iterdir())] == [
        "export_day=2026-02-27",
        "export_day=2026-02-28",
        "export_day=2026-03-01",
    ]
    assert {path.name for path in Path(tmp_path / str(told["truth"])).iterdir()} == {"anomalies.csv", "invoices.csv"}


def test_a_sample_ends_yesterday_when_nobody_says_otherwise(finops: Finops) -> None:
    """So that a demo looks current."""
    from datetime import UTC, datetime, timedelta

    before = datetime.now(UTC).date() - timedelta(days=1)
    told = document(finops("sample", "--out", "out", "--days", "1", "--rows-per-day", "500", "--json"))
    after = datetime.now(UTC).date() - timedelta(days=1)

    assert str(before) <= str(told["last_export_day"]) <= str(after)


# -- psql and doctor


def test_psql_answers_on_the_configured_database(finops: Finops, database_url: str) -> None:
    """With psql's own arguments and exit codes."""
    told = finops("psql", "-Atc", "select current_database()", DATABASE_URL=database_url)
    assert (told.returncode, told.stdout.strip()) == (0, make_url(database_url).database)

    wrong = finops("psql", "-v", "ON_ERROR_STOP=1", "-c", "select nonsense", DATABASE_URL=database_url)
    assert wrong.returncode == 1
    assert "nonsense" in wrong.stderr


ASLEEP = "from pg_stat_activity where query = 'select pg_sleep(60)' and datname = current_database()"


def test_the_password_is_in_no_process_list(database_url: str, tmp_path: Path) -> None:
    """`ps` shows everybody's arguments to everybody on the machine."""
    password = make_url(database_url).password
    assert password
    finops = Path(sys.executable).with_name("finops")
    environment = {"PATH": os.environ["PATH"], "FINOPS_HOME": str(tmp_path), "DATABASE_URL": database_url}
    process = subprocess.Popen(
        [finops, "psql", "-c", "select pg_sleep(60)"], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
    )
    try:
        with psycopg.connect(database_url, autocommit=True) as connection:
            for _ in range(400):  # until it is asleep, and so all of its processes are there
                if connection.execute(f"select 1 {ASLEEP}".encode()).fetchall():
                    break
                time.sleep(0.05)
            arguments = [_arguments(folder) for folder in Path("/proc").glob("[0-9]*")]
            connection.execute(f"select pg_terminate_backend(pid) {ASLEEP}".encode())
    finally:
        process.communicate(timeout=30)

    assert [line for line in arguments if "bin/psql" in line and "pg_sleep(60)" in line], "psql was not seen at all"
    assert [line for line in arguments if password in line] == []


def _arguments(folder: Path) -> str:
    try:
        return (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def test_the_doctor_finds_nothing_wrong(finops: Finops, database_url: str, sample: SampleExport) -> None:
    """Database, schema, connections, export, Redis: each with what was found."""
    told = finops("doctor", DATABASE_URL=database_url, BILLING_EXPORT_URL=sample.table_dir.as_uri())

    assert told.returncode == 0, told.stderr
    assert told.stderr.count("ok ") == 5
    assert "PostgreSQL 18" in told.stderr
    assert "50 export days, 2026-09-01 to 2026-10-20" in told.stderr


def test_the_doctor_names_all_that_is_wrong_and_goes_on(finops: Finops, database_url: str) -> None:
    """A wrong export does not hide a good database, and the exit code is for scripts."""
    told = finops("doctor", DATABASE_URL=database_url, BILLING_EXPORT_URL="file:///no/such/folder")

    assert told.returncode == 1
    assert told.stderr.count("ok ") == 4
    assert "wrong billing export: There is no folder /no/such/folder" in told.stderr
    assert "Traceback" not in told.stderr


def test_the_doctor_is_honest_about_a_database_that_is_down(finops: Finops, sample: SampleExport) -> None:
    """All looks at the database fail, the export is still looked at."""
    told = finops(
        "doctor",
        DATABASE_URL="postgresql://u:secret-word@127.0.0.1:1/d",
        BILLING_EXPORT_URL=sample.table_dir.as_uri(),
    )

    assert told.returncode == 1
    assert (told.stderr.count("wrong "), told.stderr.count("ok ")) == (3, 2)
    assert "secret-word" not in told.stderr


def test_the_doctor_asks_redis(finops: Finops, database_url: str, sample: SampleExport, redis: RedisServer) -> None:
    """The API would not say that it is wrong: it goes on without."""
    with redis.client() as client:
        client.config_set("requirepass", "the right one")
    settings = {"DATABASE_URL": database_url, "BILLING_EXPORT_URL": sample.table_dir.as_uri()}

    well = finops("doctor", REDIS_URL=redis.url.replace("//", "//:the%20right%20one@"), **settings)
    refused = finops("doctor", REDIS_URL=redis.url.replace("//", "//:hunter2@"), **settings)
    redis.kill()
    gone = finops("doctor", REDIS_URL=redis.url, **settings)

    assert (well.returncode, "redis: answers in" in well.stderr) == (0, True), well.stderr
    assert [told.returncode for told in (refused, gone)] == [1, 1]
    assert all("wrong redis: Nothing answers at REDIS_URL as it should" in told.stderr for told in (refused, gone))
    assert "hunter2" not in refused.stderr
    assert "Traceback" not in refused.stderr + gone.stderr


# -- sync, status, verify


DAY = "2026-03-02"
ONE_ROW = f"""
    where export_day = '{DAY}'
    and ctid = (select min(ctid) from finops.raw_charges where export_day = '{DAY}' and billing_currency = 'USD')
"""
ALTERED = {
    "a cent": "cost = cost + 0.01, billed_cost = billed_cost + 0.01",
    "a label alone": """labels = '[{"key": "team", "value": "altered by hand"}]'""",
}


def test_sync_builds_everything_and_verify_proves_it_until_a_row_is_altered(finops: Finops, database_url: str) -> None:
    """The whole promise in one go: loaded, built, proven; and one altered row, even one label, is found out."""
    sample = document(
        finops("sample", "--out", "out", "--days", "3", "--rows-per-day", "500", "--end", "2026-03-03", "--json")
    )
    settings = {"DATABASE_URL": database_url, "BILLING_EXPORT_URL": str(sample["billing_export_url"])}

    synced = document(finops("sync", "--json", **settings))
    assert synced["export_days"] == ["2026-03-01", DAY, "2026-03-03"]
    assert synced["usage_days"]
    assert synced["invoice_months"]

    status = document(finops("status", "--json", **settings))
    assert status["complete_through"] == "2026-03-01"
    assert (status["charges"], status["dirty_usage_days"], status["failed"]) == (sample["rows"], [], [])

    verified = document(finops("verify", "--json", **settings))
    assert (verified["holds"], verified["rows"], verified["differences"]) == (True, sample["rows"], [])

    with psycopg.connect(database_url, autocommit=True) as connection:
        [(total,)] = connection.execute(
            "select sum(billed_cost) from finops.raw_charges where billing_currency = 'USD'"
        ).fetchall()
        months = status["invoice_months"]
        assert isinstance(months, list)
        assert sum(Decimal(m["billed_cost"]) for m in months if m["billing_currency"] == "USD") == total
        assert all(isinstance(month["billed_cost"], str) for month in months)  # a JSON number is read as a float

        connection.execute("create table kept (like finops.raw_charges)")
        connection.execute("insert into kept select * from finops.raw_charges where export_day = %s", [DAY])
        for what, change in ALTERED.items():
            connection.execute("delete from finops.raw_charges where export_day = %s", [DAY])
            connection.execute("insert into finops.raw_charges select * from kept")
            assert connection.execute(f"update finops.raw_charges set {change} {ONE_ROW}".encode()).rowcount == 1

            found = finops("verify", "--json", **settings)

            assert found.returncode == 1, what
            told = json.loads(found.stdout)
            assert told["holds"] is False, what
            assert f"export day {DAY}" in {difference["where"] for difference in told["differences"]}, what


def test_verify_tells_people_on_stderr_what_is_wrong(finops: Finops, database_url: str, sample: SampleExport) -> None:
    """Export days that were never loaded: named, and exit code 1."""
    found = finops("verify", DATABASE_URL=database_url, BILLING_EXPORT_URL=sample.table_dir.as_uri())

    assert (found.returncode, found.stdout) == (1, "")
    assert "raw = source export day 2026-09-01: not loaded" in found.stderr
    assert "50 differences" in found.stderr


def test_invoices_are_taken_once(finops: Finops, database_url: str, sample: SampleExport) -> None:
    """The same file again says that nothing is new."""
    file = str(sample.truth_dir / "invoices.csv")

    assert "1 invoice months have a new total" in finops("invoices", file, DATABASE_URL=database_url).stderr
    assert "All of these totals were known" in finops("invoices", file, DATABASE_URL=database_url).stderr


def test_a_closed_month_that_moved_is_accepted_with_a_reason(finops: Finops, database_url: str, tmp_path: Path) -> None:
    """Verify names it, status marks it, and it is green again once somebody said why; the reason is kept."""
    export = Export(tmp_path / "export")
    export.write("2026-08-01", [charge(0, start="2026-08-01T08:00")])
    export.write("2026-08-02", [charge(10, start="2026-08-01T20:00")])
    export.write("2026-09-10", [charge(1, start="2026-09-09T20:00")])
    settings = {"DATABASE_URL": database_url, "BILLING_EXPORT_URL": export.folder.as_uri()}
    with psycopg.connect(database_url, autocommit=True) as connection:
        Road(connection, export.folder).walk()
        export.write("2026-10-20", [charge(7, start="2026-08-15T20:00", month="202608")])
        Road(connection, export.folder).walk()

    verify = finops("verify", **settings)
    assert verify.returncode == 1
    assert "closed months stand still 202608 A USD: 17 (+1 charges) instead of 10 when it closed" in verify.stderr
    assert "closed, MOVED since" in finops("status", **settings).stderr
    unexplained = finops("invoices", "--accept", "202608", **settings)
    assert unexplained.returncode == 1
    assert "--because" in unexplained.stderr

    assert finops("invoices", "--accept", "202608", "--because", "reissued, ticket 42", **settings).returncode == 0

    assert finops("verify", **settings).returncode == 0
    with psycopg.connect(database_url) as connection:
        reasons = connection.execute("select reason from finops.invoice_seals order by seal_id").fetchall()
    assert ("reissued, ticket 42",) in reasons


# -- export days that are gone


def test_days_that_are_gone_are_kept_or_removed_by_a_command(finops: Finops, database_url: str, tmp_path: Path) -> None:
    """The two answers to a sync that fails; taking out for good asks once more."""
    export = Export(tmp_path / "export")
    for day, cost in (("2026-09-11", 10), ("2026-09-12", 5)):
        export.write(day, [charge(cost, exported=f"{day}T03:00")])
    with psycopg.connect(database_url, autocommit=True) as connection:
        road = Road(connection, export.folder)
        road.walk()
        window = ["--from", "2026-09-12", "--to", "2026-09-12"]

        kept = finops("export-days", "keep", *window, "--because", "moved", DATABASE_URL=database_url)
        asked = finops("export-days", "remove", *window, DATABASE_URL=database_url)
        assert (kept.returncode, asked.returncode) == (0, 1)
        assert "1 export days are kept" in kept.stderr
        assert "takes out 1 export days" in asked.stderr
        assert road.total("raw_charges") == 15

        removed = finops("export-days", "remove", *window, "--yes", DATABASE_URL=database_url)
        assert removed.returncode == 0, removed.stderr
        assert road.total("raw_charges") == 10
