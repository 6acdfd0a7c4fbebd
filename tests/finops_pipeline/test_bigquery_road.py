"""The same export from files and from BigQuery ends in the same tables."""

import psycopg
import pytest
from bqserver import BigQueryServer
from helpers.road import Road

from finops_pipeline.sample_export import SampleExport
from finops_pipeline.sources.base import OpenPurse
from finops_pipeline.warehouse import source_from
from finops_warehouse.settings import Settings, load_settings

TABLE = "acme.billing.gcp_billing_export_resource_v1_01A7C3"


def test_bigquery_and_files_build_the_same_tables(
    connection: psycopg.Connection, settings: Settings, sample: SampleExport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through Google's own clients, over real sockets, from the one setting an operator gives."""
    by_files = Road(connection, sample.table_dir)
    days = [f"2026-09-{day:02}" for day in range(20, 24)]
    for day in days:
        by_files.load(day)
    by_files.rebuild_behind()
    expected = by_files.contents(["raw_charges", *by_files.contents()])
    forget = [*expected, "usage_day_arrivals", "export_day_ledger", "usage_day_ledger", "usage_day_changes"]
    forget += ["invoice_month_ledger", "materialisation"]
    connection.execute("truncate " + ", ".join(f"finops.{table}" for table in forget))

    with BigQueryServer({TABLE: sample.table_dir}) as server:
        monkeypatch.setenv("BILLING_EXPORT_URL", f"bigquery://{TABLE}")
        monkeypatch.setenv("BIGQUERY_API_ENDPOINT", server.api_endpoint)
        monkeypatch.setenv("BIGQUERY_STORAGE_ENDPOINT", server.storage_endpoint)
        load_settings.cache_clear()
        by_bigquery = Road(connection, sample.table_dir)
        by_bigquery.source = source_from(load_settings(), OpenPurse())
        for day in days:
            by_bigquery.load(day)
        by_bigquery.rebuild_behind()

    assert by_bigquery.contents(list(expected)) == expected
