"""Tables made by the models of `dbt_like_sql/`: adding a table is adding its file and its columns.

An asset takes from the model's header what Dagster shows: description, inputs, columns with their units, and
the column lineage that sqlglot reads from the query.
"""

from collections.abc import Mapping
from datetime import date

import dagster as dg

from finops_pipeline.assets.days import Metadata, amounts, build_each
from finops_pipeline.partitions import MAX_DAYS_PER_RUN, invoice_months, usage_days
from finops_pipeline.rebuilding import FACT_TABLE, Rebuilt, rebuild_invoice_month, rebuild_usage_day
from finops_pipeline.warehouse import Warehouse
from finops_warehouse import lineage
from finops_warehouse.sql_models import ColumnDoc, SqlModel, postgres_models
from finops_warehouse.tables import metadata as tables
from finops_warehouse.tables import usage_day_arrivals


def sql_assets() -> list[dg.AssetsDefinition]:
    """An asset for every Postgres model."""
    return [_asset(model) for model in postgres_models()]


def daily_inputs() -> dict[str, str | None]:
    """Each table by usage day with the table it is built from; None for the fact table, built from the charges."""
    daily = (model for model in postgres_models() if model.header.partition == "usage_day")
    return {model.table: None if model.table == FACT_TABLE else model.header.inputs[0] for model in daily}


def monthly_tables() -> list[str]:
    """The tables by invoice month."""
    return [model.table for model in postgres_models() if model.header.partition == "invoice_month"]


def _asset(model: SqlModel) -> dg.AssetsDefinition:
    by_usage_day = model.header.partition == "usage_day"

    @dg.asset(
        name=model.table,
        description=(
            f"{model.header.description}\n\nOne row for each {', '.join(model.header.grain)}. Made by `{model.path}`."
        ),
        partitions_def=usage_days if by_usage_day else invoice_months,
        deps=_deps(model),
        backfill_policy=dg.BackfillPolicy.multi_run(MAX_DAYS_PER_RUN),
        group_name=model.layer,
        owners=[f"team:{model.header.owner}"],
        kinds={"postgres", "sql"},
        metadata={
            **table_metadata(model, model.columns),
            "dagster/column_lineage": column_lineage(model),
            "identities": dg.MetadataValue.json(list(model.header.identities)),
            "query": dg.MetadataValue.md(f"```sql\n{model.query}\n```"),
        },
    )
    def build(context: dg.AssetExecutionContext, warehouse: Warehouse) -> None:
        with warehouse.connection() as connection:

            def rebuild(key: str) -> Metadata:
                if by_usage_day:
                    day = date.fromisoformat(key)
                    return _metadata(rebuild_usage_day(connection, model, day, run_id=context.run.run_id))
                return _metadata(rebuild_invoice_month(connection, model, key, run_id=context.run.run_id))

            build_each(context, connection, rebuild)

    return build


def _deps(model: SqlModel) -> list[dg.AssetDep]:
    if model.table == FACT_TABLE:
        return [dg.AssetDep("usage_day_charges")]
    if model.header.partition == "usage_day":
        return [dg.AssetDep(table) for table in model.header.inputs]
    # An invoice holds corrections of any earlier month; the ledger knows of which, the graph draws two months.
    reach = dg.TimeWindowPartitionMapping(start_offset=-2, allow_nonexistent_upstream_partitions=True)
    made_of = "usage_day_charges" if model.header.inputs[0] == usage_day_arrivals.name else FACT_TABLE
    return [dg.AssetDep(made_of, partition_mapping=reach)]


def table_metadata(model: SqlModel, documented: Mapping[str, ColumnDoc]) -> dict[str, object]:
    """Where the model's table is, how it is partitioned, and its columns with what is documented of them."""
    columns = [
        dg.TableColumn(
            column.name,
            type=str(column.type).lower(),
            description=_said(documented[column.name]) if column.name in documented else None,
            constraints=dg.TableColumnConstraints(nullable=bool(column.nullable)),
        )
        for column in tables.tables[f"finops.{model.table}"].columns
    ]
    return {
        "dagster/table_name": f"finops.{model.table}",
        "dagster/partition_expr": model.header.partition,
        "dagster/column_schema": dg.TableSchema(columns),
    }


def _said(doc: ColumnDoc) -> str:
    return f"{doc.description} (in {doc.unit})" if doc.unit else doc.description


def column_lineage(model: SqlModel) -> dg.TableColumnLineage:
    """For every column of the model's table, the columns of its inputs it is made of, as Dagster draws it."""
    return dg.TableColumnLineage(
        {
            name: [dg.TableColumnDep(dg.AssetKey(column.table), column.name) for column in made_of]
            for name, made_of in lineage.origins(model).items()
        }
    )


def _metadata(rebuilt: Rebuilt) -> Metadata:
    return {
        "dagster/partition_row_count": dg.MetadataValue.int(rebuilt.row_count),
        "source_version": dg.MetadataValue.int(rebuilt.source_version),
        "version": dg.MetadataValue.int(rebuilt.version),
        "restated": dg.MetadataValue.bool(rebuilt.restated),
        **amounts(rebuilt.billed_cost),
    }
