"""Small exports written by hand, and a BigQuery to read them from."""

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bqserver import BigQueryServer, StoredTable

from finops_pipeline.sources.base import BillingSource
from finops_pipeline.sources.bigquery import Access, BigQuerySource, TableName
from finops_pipeline.sources.contract import EXPORT_FIELDS, EXPORT_SCHEMA

MIDNIGHT = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def charge() -> Callable[..., dict[str, Any]]:
    """One row of the detailed export; `charge(3, currency="EUR")` is another hour's, in euros."""

    def make(hour: int = 0, **changes: object) -> dict[str, Any]:
        start = MIDNIGHT + timedelta(hours=hour)
        return {
            "billing_account_id": "01AAAA-BBBBBB-CCCCCC",
            "service": {"id": "6F81-5844-456A", "description": "Compute Engine"},
            "sku": {"id": "AAAA-0000-0001", "description": "N2 Instance Core running in Americas"},
            "usage_start_time": start,
            "usage_end_time": start + timedelta(hours=1),
            "project": {
                "id": "shop-prod",
                "number": "1234567890",
                "name": "Shop",
                "labels": [{"key": "opened", "value": "2025-06-01"}],
                "ancestry_numbers": "/1/2/",
                "ancestors": [{"resource_name": "organizations/1", "display_name": "example.com"}],
            },
            "labels": [{"key": "team", "value": "checkout"}, {"key": "since", "value": "2026-01-01T00:00:00Z"}],
            "system_labels": [],
            "location": {"location": "us-central1", "country": "US", "region": "us-central1", "zone": None},
            "tags": [{"key": "env", "value": "prod", "inherited": True, "namespace": "1"}],
            "export_time": start + timedelta(hours=5, microseconds=123),
            "cost": 0.1 * (hour + 1),
            "currency": "USD",
            "currency_conversion_rate": 1.0,
            "usage": {
                "amount": 3600.0,
                "unit": "seconds",
                "amount_in_pricing_units": 1.0,
                "pricing_unit": "hour",
            },
            "credits": [{"name": "CUD", "amount": -0.01, "full_name": None, "id": "c1", "type": "DISCOUNT"}],
            "invoice": {"month": "202601", "publisher_type": "GOOGLE"},
            "cost_type": "regular",
            "price": {"effective_price": Decimal("0.000024000"), "unit": "hour", "list_price": Decimal("0.031611000")},
            "cost_at_effective_price_default": Decimal("0.100000000"),
            "resource": {"name": "vm-1", "global_name": None},
        } | changes

    return make


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """Write rows as one file of an export day and say where; the format is that of the file's name."""

    def write(
        rows: list[dict[str, Any]],
        name: str = "a.parquet",
        *,
        day: str = "2026-01-02",
        export: str = "export",
        schema: pa.Schema | None = None,
        row_group_size: int | None = None,
    ) -> Path:
        path = tmp_path / export / f"export_day={day}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".parquet"):
            table = pa.Table.from_pylist(rows, schema or pa.schema(EXPORT_FIELDS))
            pq.write_table(table, path, row_group_size=row_group_size)
        else:
            lines = "".join(json.dumps(_as_bigquery_writes(row)) + "\n" for row in rows).encode()
            path.write_bytes(gzip.compress(lines) if name.endswith(".gz") else lines)
        return path

    return write


@pytest.fixture
def rows_of() -> Callable[..., pa.Table]:
    """Everything one day of a source holds."""

    def read(source: BillingSource, day: date = date(2026, 1, 2)) -> pa.Table:
        with source.read(day) as opened:
            table = pa.Table.from_batches(list(opened.batches), EXPORT_SCHEMA)
        table.validate(full=True)
        return table

    return read


@pytest.fixture
def bigquery_server() -> Iterator[Callable[[Path | StoredTable], BigQueryServer]]:
    """Start a server that holds a folder as the table `acme.billing.export`."""
    with ExitStack() as servers:
        yield lambda folder: servers.enter_context(BigQueryServer({"acme.billing.export": folder}))


@pytest.fixture
def source_at() -> Callable[..., BigQuerySource]:
    """A table of a server, as a source; `source_at(server, mode="query")`."""

    def make(server: BigQueryServer, table: str = "export", **options: Any) -> BigQuerySource:  # noqa: ANN401
        access = Access("acme", api_endpoint=server.api_endpoint, storage_endpoint=server.storage_endpoint)
        return BigQuerySource(TableName("acme", "billing", table), access, **options)

    return make


def _as_bigquery_writes(value: object) -> object:
    """NULLs left out, whole and exact numbers as text, timestamps with a space and a zone."""
    if isinstance(value, dict):
        return {key: _as_bigquery_writes(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_as_bigquery_writes(inner) for inner in value]
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S.%f} UTC"
    if isinstance(value, Decimal) or type(value) is int:
        return str(value)
    return value
