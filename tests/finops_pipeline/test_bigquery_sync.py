"""A sync with BigQuery, from the settings to the books: what it costs, and what a table does in its life."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from bqserver import BigQueryServer, StoredTable
from dagster import DagsterInstance
from helpers.road import Export, charge

from finops_pipeline.orchestration import sync
from finops_warehouse import ledger
from finops_warehouse.errors import FinopsError, SecondExport
from finops_warehouse.settings import Settings, load_settings
from finops_warehouse.status import read_status

NAME = "acme.billing.gcp_billing_export_resource_v1_01A7C3"
BORN = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = [date(2026, 9, day) for day in (11, 12, 13)]

Serve = Callable[..., BigQueryServer]


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """Three export days; 10 USD each for one usage day."""
    export = Export(tmp_path / "export")
    for day in DAYS:
        export.write(day.isoformat(), [charge(10, start="2026-09-10T12:00", exported=f"{day}T03:00")])
    return export


@pytest.fixture
def serve(export: Export, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """`serve()` puts the export into BigQuery, and the settings name it; `serve(grain="day")` has it added up."""
    with ExitStack() as servers:

        def start(table: StoredTable | None = None, **changed: str) -> BigQueryServer:
            stored = table or StoredTable(export.folder, created=BORN, require_partition_filter=True)
            server = servers.enter_context(BigQueryServer({NAME: stored}))
            names = {
                "BILLING_EXPORT_URL": f"bigquery://{NAME}",
                "BIGQUERY_API_ENDPOINT": server.api_endpoint,
                "BIGQUERY_STORAGE_ENDPOINT": server.storage_endpoint,
                **changed,
            }
            for name, value in names.items():
                monkeypatch.setenv(name, value)
            load_settings.cache_clear()
            return server

        yield start


def synced(instance: DagsterInstance) -> list[str]:
    """Bring everything up to date; what was said."""
    said: list[str] = []
    sync(load_settings(), instance, said.append)
    return said


def total(connection: psycopg.Connection) -> Decimal | None:
    """What is served."""
    [(found,)] = connection.execute("select sum(billed_cost) from finops.aggregated_cost_data").fetchall()
    return None if found is None else Decimal(found)


@pytest.mark.parametrize("grain", ["row", "day"])
def test_each_partition_says_what_it_was_billed_for(
    grain: str, serve: Serve, instance: DagsterInstance, connection: psycopg.Connection
) -> None:
    """In Dagster, by `finops status`, and on Google's bill by the run's label."""
    server = serve(EXTRACT_GRAIN=grain)

    synced(instance)

    assert total(connection) == 30
    [record] = instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey("raw_charges"), asset_partitions=["2026-09-12"]), limit=1
    ).records
    assert record.asset_materialization is not None
    told = {name: str(value.value) for name, value in record.asset_materialization.metadata.items()}
    assert int(told["bigquery_bytes_estimated"]) > 0
    assert int(told["bigquery_bytes_billed"]) > 0
    assert Decimal(told["bigquery_usd"]) >= 0
    of_days = [job for job in server.jobs if "export_day" in job.labels]
    assert [job.labels["export_day"] for job in of_days] == ([] if grain == "row" else [str(day) for day in DAYS])
    assert all(job.labels["run"] == record.run_id for job in of_days)
    [today] = read_status(connection, []).spent
    assert today.queried_bytes == sum(job.billed_bytes for job in server.jobs)
    assert today.read_bytes > 0
    assert today.estimated_usd > 0
    before = len(server.jobs)
    synced(instance)
    assert [job.labels for job in server.jobs[before:] if "export_day" in job.labels] == []


def test_a_run_stops_before_its_budget_and_goes_on_when_it_is_raised(
    serve: Serve, instance: DagsterInstance, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days that fitted are loaded and served; nothing of the next one was read."""
    # Reading is made dear: a partition is a few hundred bytes.
    dear = {"BIGQUERY_USD_PER_TIB_READ": str(2**40 // 1000), "BIGQUERY_USD_PER_TIB_QUERIED": "0"}
    server = serve(**dear, BIGQUERY_MAX_USD_PER_RUN="0.5")

    with pytest.raises(FinopsError, match=r"BIGQUERY_MAX_USD_PER_RUN is 0\.5"):
        synced(instance)
    [(days, spent)] = connection.execute(
        "select (select count(*) from finops.export_day_ledger), sum(estimated_usd) from finops.source_spending"
    ).fetchall()
    assert 0 < days < 3
    assert spent <= Decimal("0.5")
    assert len([call for call in server.requests if call.startswith("ReadRows")]) == days

    monkeypatch.setenv("BIGQUERY_MAX_USD_PER_RUN", "1000000")
    monkeypatch.setenv("BIGQUERY_MAX_USD_PER_DAY", "1000000")
    load_settings.cache_clear()
    connection.execute("delete from finops.build_attempts")
    synced(instance)
    assert total(connection) == 30


def test_partitions_that_expired_are_kept_and_told_once(
    serve: Serve, instance: DagsterInstance, connection: psycopg.Connection, tmp_path: Path
) -> None:
    """The table says how long it keeps its days; the sum of what was loaded stays."""
    export = Export(tmp_path / "young")
    today = datetime.now(UTC).date()
    old, young = today - timedelta(days=62), today - timedelta(days=3)
    for day in (old, young):
        start = f"{day - timedelta(days=1)}T20:00"
        export.write(day.isoformat(), [charge(10, start=start, exported=f"{day}T03:00")])
    keeping = StoredTable(export.folder, created=BORN, keeps_days_for=timedelta(days=60))
    serve(keeping)
    synced(instance)
    shutil.rmtree(export.folder / f"export_day={old}")
    serve(keeping)

    said = synced(instance)

    assert any(f"Export days {old} expired at the source; they are kept." in sentence for sentence in said)
    assert total(connection) == 20
    [kept] = read_status(connection, []).kept_export_days
    assert (kept.export_day, kept.kept_because) == (old, "expired: the table keeps its days for 60")
    assert not any("expired" in sentence for sentence in synced(instance))


def test_a_deleted_partition_stays_a_question_until_somebody_answers(
    serve: Serve, instance: DagsterInstance, connection: psycopg.Connection, export: Export
) -> None:
    """No rule of the table took it, so a sync ends with an error that names the two answers."""
    serve()
    synced(instance)
    shutil.rmtree(export.folder / f"export_day={DAYS[1]}")
    serve()

    with pytest.raises(FinopsError, match=r"2026-09-12 .*finops export-days keep.*finops export-days remove"):
        synced(instance)
    assert total(connection) == 30
    ledger.remove_export_day(connection, DAYS[1], "test")
    synced(instance)
    assert total(connection) == 20


def test_a_table_made_anew_is_refused_before_its_charges_count_twice(
    serve: Serve, instance: DagsterInstance, connection: psycopg.Connection, export: Export, tmp_path: Path
) -> None:
    """Google writes the weeks before again into it, all of them on its first day."""
    serve()
    synced(instance)
    again = Export(tmp_path / "again")
    again.write("2026-09-20", [charge(10, start="2026-09-10T12:00", exported="2026-09-20T03:00")] * 3)
    anew = replace(StoredTable(again.folder), created=datetime(2026, 9, 20, tzinfo=UTC))
    serve(anew)

    with pytest.raises(SecondExport, match=r"made anew at 2026-09-20.*\(2026-09-11 to 2026-09-13\)"):
        synced(instance)
    assert total(connection) == 30

    for day in DAYS:
        ledger.remove_export_day(connection, day, "test")
    synced(instance)
    assert total(connection) == 30


def test_an_export_moved_to_another_dataset_with_its_days_is_loaded_again(
    serve: Serve, instance: DagsterInstance, connection: psycopg.Connection, export: Export, tmp_path: Path
) -> None:
    """Nothing is missing there, so nothing is asked; no number moves."""
    serve()
    synced(instance)
    copied = shutil.copytree(export.folder, tmp_path / "copied", copy_function=shutil.copyfile)
    moved = "acme.elsewhere.gcp_billing_export_resource_v1_01A7C3"
    with BigQueryServer({moved: StoredTable(copied, created=datetime(2026, 10, 1, tzinfo=UTC))}) as server:
        serve(
            BILLING_EXPORT_URL=f"bigquery://{moved}",
            BIGQUERY_API_ENDPOINT=server.api_endpoint,
            BIGQUERY_STORAGE_ENDPOINT=server.storage_endpoint,
        )
        synced(instance)

    assert total(connection) == 30
    assert connection.execute("select distinct source_url from finops.export_day_ledger").fetchall() == [
        (f"bigquery://{moved}",)
    ]
    assert connection.execute("select count(*) from finops.restatements").fetchall() == [(0,)]


def test_the_command_line_tells_the_cost_of_a_backfill_first_and_refuses_one_above_the_budget(
    serve: Serve, settings: Settings, export: Export, tmp_path: Path
) -> None:
    """Before a run is launched: nobody wants to learn it from the bill."""
    server = serve()
    assert settings.database_url is not None
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "FINOPS_HOME": str(tmp_path / "home"),
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "BILLING_EXPORT_URL": f"bigquery://{NAME}",
        "BIGQUERY_API_ENDPOINT": server.api_endpoint,
        "BIGQUERY_STORAGE_ENDPOINT": server.storage_endpoint,
        "BIGQUERY_USD_PER_TIB_READ": str(2**40),
        "BIGQUERY_MAX_USD_PER_DAY": "1",
        "COLUMNS": "300",
    }

    ran = subprocess.run(
        [Path(sys.executable).with_name("finops"), "backfill", "--from", "2026-09-11", "--to", "2026-09-13"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert ran.returncode == 1
    assert "Reading 3 export days would cost about" in ran.stderr
    assert "BIGQUERY_MAX_USD_PER_DAY is 1" in ran.stderr
    assert [call for call in server.requests if call.startswith("ReadRows")] == []
