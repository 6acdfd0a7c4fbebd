"""Texts about usage days and invoice months: by a language model where one is set up, by rules otherwise.

A run has one writer, and so one budget. Whoever writes, no figure is the writer's: a text holds tokens, and each figure
is computed again from its source in the transaction that stores it.
"""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import date

import dagster as dg
import psycopg

from finops_insights.llm import writer
from finops_insights.narrate import LLMService
from finops_pipeline.assets.days import Metadata, build_each
from finops_pipeline.assets.insight_assets import days_back, insight
from finops_pipeline.checks import partition_window
from finops_pipeline.narration import (
    DAILY,
    DAYS_BACK,
    MONTHLY,
    NarratedPartition,
    fallbacks,
    rebuild_insights_of_day,
    rebuild_insights_of_month,
    source_version_of_day,
    source_version_of_month,
)
from finops_pipeline.partitions import invoice_months
from finops_pipeline.warehouse import Warehouse

Rebuild = Callable[[psycopg.Connection, LLMService, str], NarratedPartition]


@insight(
    dg.AssetDep("cost_by_project_service_daily", partition_mapping=days_back(DAYS_BACK)),
    dg.AssetDep("cost_anomalies", partition_mapping=days_back(DAYS_BACK)),
    dg.AssetDep("cost_forecasts"),
    dg.AssetDep("savings_recommendations"),
)
def llm_insights(context: dg.AssetExecutionContext, warehouse: Warehouse) -> None:
    """What a day means, in words: the spend of each currency, and every anomaly that goes on or has just ended."""

    def rebuild(connection: psycopg.Connection, service: LLMService, key: str) -> NarratedPartition:
        day = date.fromisoformat(key)
        version = source_version_of_day(connection, day)
        return rebuild_insights_of_day(
            connection, day, service=service, run_id=context.run.run_id, source_version=version
        )

    _build(context, warehouse, rebuild)


@dg.asset(
    partitions_def=invoice_months,
    deps=[
        dg.AssetDep(
            "invoice_months",
            partition_mapping=dg.TimeWindowPartitionMapping(
                start_offset=-1, allow_nonexistent_upstream_partitions=True
            ),
        )
    ],
    group_name="insights",
    kinds={"postgres", "python"},
)
def llm_insights_monthly(context: dg.AssetExecutionContext, warehouse: Warehouse) -> None:
    """What an invoice month means, in words: its total, what moved, and whether it equals the invoices."""

    def rebuild(connection: psycopg.Connection, service: LLMService, key: str) -> NarratedPartition:
        version = source_version_of_month(connection, key)
        return rebuild_insights_of_month(
            connection, key, service=service, run_id=context.run.run_id, source_version=version
        )

    _build(context, warehouse, rebuild)


def _build(context: dg.AssetExecutionContext, warehouse: Warehouse, rebuild: Rebuild) -> None:
    with ExitStack() as open_for_the_run:
        connection = open_for_the_run.enter_context(warehouse.connection())
        service = open_for_the_run.enter_context(writer(warehouse.settings))
        build_each(context, connection, lambda key: _metadata(rebuild(connection, service, key), service))


def _metadata(built: NarratedPartition, service: LLMService) -> Metadata:
    tokens_in, tokens_out = built.tokens
    cost = built.cost_usd
    return {
        "dagster/partition_row_count": dg.MetadataValue.int(built.row_count),
        "source_version": dg.MetadataValue.int(built.source_version),
        "changed": dg.MetadataValue.bool(built.changed),
        "engine": dg.MetadataValue.text(service.engine),
        "fallbacks": dg.MetadataValue.int(built.fallbacks),
        "model_calls": dg.MetadataValue.int(len(built.calls)),
        "input_tokens": dg.MetadataValue.int(tokens_in),
        "output_tokens": dg.MetadataValue.int(tokens_out),
        "cost_usd": dg.MetadataValue.text("unknown" if cost is None else f"{cost:f}"),
    }


def text_checks() -> list[dg.AssetChecksDefinition]:
    """Every check of the texts."""
    return [_written_by_the_model(DAILY, "day"), _written_by_the_model(MONTHLY, "month")]


def _written_by_the_model(asset: str, period: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=asset, name="written_by_the_model_that_was_asked")
    def check(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> dg.AssetCheckResult:
        """No text had to be written by the rules because the model failed, was refused or had spent its budget."""
        first, last = partition_window(context)
        with warehouse.connection() as connection:
            found = fallbacks(connection, period, first, last)
        return dg.AssetCheckResult(
            passed=not found,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={
                "fallbacks": sum(found.values()),
                **({"reasons": dg.MetadataValue.json(found)} if found else {}),
            },
        )

    return check
