"""Small billing exports written row by row, and the whole road from them to the served tables."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

from finops_pipeline.assets.sql_assets import daily_inputs, monthly_tables
from finops_pipeline.loading import Loaded, load_export_day
from finops_pipeline.rebuilding import rebuild_invoice_month, rebuild_usage_day
from finops_pipeline.sources.base import BillingSource, Grain
from finops_pipeline.sources.contract import EXPORT_SCHEMA
from finops_pipeline.sources.files import FilesSource
from finops_warehouse import ledger
from finops_warehouse.assignment import apply
from finops_warehouse.dimensions import default_rules
from finops_warehouse.sql_models import postgres_models
from finops_warehouse.tables import STAMPED_COLUMNS, metadata

Row = dict[str, Any]
FILE_SCHEMA = pa.schema([column for column in EXPORT_SCHEMA if column.name != "extra"])
TABLES = ["aggregated_cost_data", *sorted(set(daily_inputs()) - {"aggregated_cost_data"}), *monthly_tables()]


def charge(
    cost: float,
    *,
    start: str = "2026-09-10T12:00",
    exported: str = "2026-09-11T03:00",
    project: str | None = "shop",
    service: str = "Compute Engine",
    sku: str = "N2 Core",
    month: str | None = None,
    currency: str = "USD",
    account: str = "A",
    paid_by: Sequence[tuple[str | None, float]] = (),
    **other: object,
) -> Row:
    """A row of the export: what a test does not say is unremarkable. Times are UTC."""
    begins = datetime.fromisoformat(start).replace(tzinfo=UTC)
    return {
        "billing_account_id": account,
        "service": {"id": f"id of {service}", "description": service},
        "sku": {"id": f"id of {sku}", "description": sku},
        "usage_start_time": begins,
        "usage_end_time": begins + timedelta(hours=1),
        "project": {"id": project, "name": project, "labels": [], "ancestors": []} if project else None,
        "labels": [],
        "system_labels": [],
        "tags": [],
        "location": {"location": "us-central1", "region": "us-central1"},
        "export_time": datetime.fromisoformat(exported).replace(tzinfo=UTC),
        "cost": cost,
        "currency": currency,
        "usage": {"amount": 3600.0, "unit": "seconds", "amount_in_pricing_units": 1.0, "pricing_unit": "hour"},
        "credits": [{"name": str(kind), "amount": amount, "type": kind} for kind, amount in paid_by],
        "invoice": {"month": month or f"{begins:%Y%m}"},
        "cost_type": "regular",
        **other,
    }


class Export:
    """A billing export in a folder, written a day at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, export_day: str, rows: Sequence[Row], schema: pa.Schema = FILE_SCHEMA) -> Path:
        """Write a day, replacing what it held."""
        file = self.folder / f"export_day={export_day}" / "part-000.parquet"
        file.parent.mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), file)
        return file

    def write_by_export_time(self, rows: Sequence[Row]) -> None:
        """Write each row into the day its export_time says."""
        days: dict[str, list[Row]] = {}
        for row in rows:
            days.setdefault(f"{row['export_time']:%Y-%m-%d}", []).append(row)
        for day, held in days.items():
            self.write(day, held)


class Road:
    """The way from an export to its tables, walked without Dagster."""

    def __init__(self, connection: psycopg.Connection, folder: Path, timezone: str = "America/Los_Angeles") -> None:
        self.connection = connection
        self.grain: Grain = "row"
        self.timezone = timezone
        self.source: BillingSource = FilesSource(folder)
        apply(connection, default_rules(), "dimensions.yaml")

    def load(self, export_day: str) -> Loaded:
        """Load one export day."""
        day = date.fromisoformat(export_day)
        return load_export_day(
            self.connection,
            self.source,
            day,
            fingerprint=self.source.partitions().get(day, "gone"),
            billing_timezone=self.timezone,
            first_usage_day=date(2024, 1, 1),
            run_id="test",
            grain=self.grain,
        )

    def load_changed(self) -> list[date]:
        """Load every export day that is not loaded as it is."""
        changed = ledger.changed_export_days(self.connection, self.source.partitions(), self.timezone, self.grain)
        for day in changed:
            self.load(day.isoformat())
        return changed

    def rebuild_behind(self) -> set[str]:
        """Rebuild everything that is behind, until nothing is. Returns the usage days and months it built."""
        built: set[str] = set()
        models = {model.table: model for model in postgres_models()}
        while due := ledger.behind(self.connection, daily_inputs(), monthly_tables()):
            for item in due:
                model = models[item.asset]
                if model.header.partition == "usage_day":
                    day = date.fromisoformat(item.partition_key)
                    rebuild_usage_day(self.connection, model, day, run_id="test")
                else:
                    rebuild_invoice_month(self.connection, model, item.partition_key, run_id="test")
                built.add(item.partition_key)
        return built

    def walk(self) -> set[str]:
        """Load what changed and rebuild what that put behind."""
        self.load_changed()
        return self.rebuild_behind()

    def forget(self) -> None:
        """Forget everything that was loaded; the rules of custom dimensions stay in force, and who did what is kept."""
        kept = ("dimension_rules", "api_keys", "audit_event")
        tables = [table.name for table in metadata.tables.values() if table.name not in kept]
        self.connection.execute("truncate " + ", ".join(f"finops.{table}" for table in tables))

    def total(self, table: str = "aggregated_cost_data", where: str = "true") -> Decimal | None:
        """The billed cost of a table."""
        [(total,)] = self.connection.execute(f"select sum(billed_cost) from finops.{table} where {where}").fetchall()
        return total if total is None else Decimal(total)

    def contents(self, tables: Sequence[str] = TABLES) -> Mapping[str, list[tuple[Any, ...]]]:
        """Every row of every served table, in an order of its own, without what its writer noted about it."""
        return {
            table: sorted(self.connection.execute(f"select {_names(table)} from finops.{table}").fetchall(), key=repr)
            for table in tables
        }


def _names(table: str) -> str:
    columns = metadata.tables[f"finops.{table}"].columns
    return ", ".join(column.name for column in columns if column.name not in STAMPED_COLUMNS)
