"""What is thought of the costs: anomalies, forecasts with their back-test, and savings, by complete day.

Days that are not complete are built empty and asked for again: an unfinished day is in no test and no fit.
"""

from collections.abc import Callable, Mapping
from datetime import date

import dagster as dg
import psycopg

from finops_pipeline.assets.days import Metadata, build_each
from finops_pipeline.assets.sql_assets import table_metadata
from finops_pipeline.insight_days import Written, replace_day
from finops_pipeline.partitions import LANE_TAG, MAX_DAYS_PER_RUN, usage_days
from finops_pipeline.thoughts import ACCURACY, MATURITY, reader, when_complete
from finops_pipeline.warehouse import Warehouse, quiet_days
from finops_warehouse import ledger
from finops_warehouse.freshness import complete_through


def days_back(reach: int) -> dg.TimeWindowPartitionMapping:
    """How the lineage graph draws a table that looks back."""
    return dg.TimeWindowPartitionMapping(start_offset=-reach, allow_nonexistent_upstream_partitions=True)


def insight(
    *deps: dg.AssetDep, metadata: Mapping[str, object] | None = None
) -> Callable[[Callable[..., None]], dg.AssetsDefinition]:
    """An asset by complete day, made by thinking about the tables it depends on."""
    return dg.asset(
        partitions_def=usage_days,
        deps=deps,
        backfill_policy=dg.BackfillPolicy.multi_run(MAX_DAYS_PER_RUN),
        group_name="insights",
        kinds={"postgres", "python"},
        metadata=metadata,
    )


COSTS = "cost_by_project_service_daily"


@insight(
    dg.AssetDep("usage_day_charges", partition_mapping=days_back(120)),
    metadata=table_metadata(MATURITY, MATURITY.header.columns),
)
def cost_maturity(context: dg.AssetExecutionContext, warehouse: Warehouse) -> None:
    """How long the cost of a usage day takes to become final, by service; and from when an account is complete."""
    _build(context, warehouse)


@insight(dg.AssetDep(COSTS, partition_mapping=days_back(185)), dg.AssetDep("aggregated_cost_data"))
def cost_anomalies(context: dg.AssetExecutionContext, warehouse: Warehouse) -> None:
    """Days on which an account, or a service in a project, cost more or less than its past explains."""
    _build(context, warehouse)


@insight(dg.AssetDep(COSTS, partition_mapping=days_back(185)))
def cost_forecasts(context: dg.AssetExecutionContext, warehouse: Warehouse) -> None:
    """What the month and the next 30 days will cost, as of a day: by currency, account, project and service."""
    _build(context, warehouse)


@insight(dg.AssetDep("cost_forecasts"), dg.AssetDep(COSTS), metadata=table_metadata(ACCURACY, ACCURACY.header.columns))
def forecast_accuracy(context: dg.AssetExecutionContext, warehouse: Warehouse) -> None:
    """The rolling back-test: what was forecast as of a day, against what came."""
    _build(context, warehouse)


@insight(dg.AssetDep("aggregated_cost_data", partition_mapping=days_back(90)))
def savings_recommendations(context: dg.AssetExecutionContext, warehouse: Warehouse) -> None:
    """What could be saved, from billing rows alone: evidence, assumption, confidence, and three amounts."""
    _build(context, warehouse)


@insight(dg.AssetDep("aggregated_cost_data"))
def focus_conformance(context: dg.AssetExecutionContext, warehouse: Warehouse) -> None:
    """The rows of a day in FOCUS columns against every rule of the specification that rows or columns can decide."""
    _build(context, warehouse)


def _build(context: dg.AssetExecutionContext, warehouse: Warehouse) -> None:
    asset = context.asset_key.path[-1]
    with warehouse.connection() as connection:
        read = reader(asset, connection, quiet_days(warehouse.settings), when_complete(warehouse.settings))

        def build(key: str) -> Metadata:
            day = date.fromisoformat(key)
            if context.run.tags.get(LANE_TAG) == "sync" and (kept := _kept(connection, asset, day)) is not None:
                return _metadata(kept)
            rows, version = read(day)
            return _metadata(
                replace_day(connection, asset, day, rows, source_version=version, run_id=context.run.run_id)
            )

        build_each(context, connection, build)


def _kept(connection: psycopg.Connection, asset: str, day: date) -> Written | None:
    """What is there of a day that is a record and not the last one: only somebody's backfill thinks it anew."""
    complete = complete_through(connection)
    if not ledger.INSIGHTS[asset].is_record or complete is None or day >= complete:
        return None
    row = connection.execute(
        "select row_count, source_version from finops.materialisation where asset = %s and partition_key = %s",
        [asset, day.isoformat()],
    ).fetchone()
    return Written(row[0], row[1], changed=False) if row else None


def _metadata(written: Written) -> Metadata:
    return {
        "dagster/partition_row_count": dg.MetadataValue.int(written.row_count),
        "source_version": dg.MetadataValue.int(written.source_version),
        "changed": dg.MetadataValue.bool(written.changed),
    }
