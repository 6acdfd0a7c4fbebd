"""Budgets by calendar month of usage, held against what was spent and what is forecast."""

import dagster as dg

from finops_pipeline.assets.days import Metadata, build_each
from finops_pipeline.assets.insight_assets import COSTS
from finops_pipeline.assets.sql_assets import table_metadata
from finops_pipeline.budget_alerts import ALERTS, watch_month
from finops_pipeline.narration import first_of
from finops_pipeline.partitions import invoice_months
from finops_pipeline.warehouse import Warehouse

_OF_A_MONTH = dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)  # some are still to come
_OF_A_MONTH_AND_THE_DAY_BEFORE = dg.TimeWindowPartitionMapping(
    start_offset=-1, allow_nonexistent_upstream_partitions=True
)


@dg.asset(
    partitions_def=invoice_months,
    deps=[
        dg.AssetDep(COSTS, partition_mapping=_OF_A_MONTH),
        # The last day before the month has a forecast of it as well.
        dg.AssetDep("cost_forecasts", partition_mapping=_OF_A_MONTH_AND_THE_DAY_BEFORE),
    ],
    group_name="insights",
    kinds={"postgres", "sql"},
    metadata=table_metadata(ALERTS, ALERTS.header.columns),
)
def budget_alerts(context: dg.AssetExecutionContext, warehouse: Warehouse) -> None:
    """Which thresholds the budgets of a month have reached, by what was spent or by forecast."""
    with warehouse.connection() as connection:

        def build(key: str) -> Metadata:
            watched = watch_month(connection, first_of(key), run_id=context.run.run_id)
            return {
                "dagster/partition_row_count": dg.MetadataValue.int(watched.reached),
                "source_version": dg.MetadataValue.int(watched.source_version),
                "noticed": dg.MetadataValue.int(watched.added),
                "withdrawn": dg.MetadataValue.int(watched.withdrawn),
            }

        build_each(context, connection, build)
