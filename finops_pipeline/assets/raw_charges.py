"""The billing export, copied: every row Google wrote, by the day it was exported.

An export day is immutable once it is over, so its fingerprint says whether there is anything to do, and only
days that changed are read. Days are replaced whole, in one transaction each.
"""

from datetime import date

import dagster as dg

from finops_pipeline.assets.days import Metadata, amounts, build_each
from finops_pipeline.assets.sql_assets import table_metadata
from finops_pipeline.export_days import held_export_days
from finops_pipeline.loading import Loaded, load_export_day
from finops_pipeline.partitions import MAX_DAYS_PER_RUN, export_days, export_days_that_may_hold, usage_days
from finops_pipeline.spending import LedgerPurse
from finops_pipeline.warehouse import Warehouse
from finops_warehouse import ledger
from finops_warehouse.errors import ExportDayVanished
from finops_warehouse.sql_models import sql_model

EXTRACT = sql_model("extract", "raw_charges")

billing_export = dg.AssetSpec(
    "billing_export",
    group_name="source",
    kinds={"googlecloud", "bigquery"},
    description="The billing export as Google writes it: append-only, without row ids, late by days.",
)

usage_day_charges = dg.AssetSpec(
    "usage_day_charges",
    partitions_def=usage_days,
    deps=[dg.AssetDep("raw_charges", partition_mapping=export_days_that_may_hold)],
    group_name="raw",
    kinds={"postgres"},
    description=(
        "The charges of a usage day, whichever export days brought them. Nothing is stored here: each load reports "
        "the usage days it touched, with the ledger's version as data version."
    ),
)


@dg.asset(
    partitions_def=export_days,
    deps=[billing_export],
    backfill_policy=dg.BackfillPolicy.multi_run(MAX_DAYS_PER_RUN),
    group_name="raw",
    kinds={"postgres", "duckdb"},
    metadata=table_metadata(EXTRACT, EXTRACT.header.columns),
)
def raw_charges(context: dg.AssetExecutionContext, warehouse: Warehouse) -> None:
    """Every row of the billing export, by export day, exact to the last digit and never de-duplicated."""
    purse = warehouse.purse(context.run.run_id)
    source = warehouse.source(purse)

    with warehouse.connection() as connection:
        found = held_export_days(connection, source)
        held = found.fingerprints

        def load(key: str) -> Metadata:
            day = date.fromisoformat(key)
            if day not in held:
                _refuse_if_it_was_there(day, ledger.vanished_export_days(connection, held), source.url)
                return {
                    "dagster/partition_row_count": dg.MetadataValue.int(0),
                    "note": dg.MetadataValue.text("The export holds nothing for this day."),
                }
            loaded = load_export_day(
                connection,
                source,
                day,
                fingerprint=held[day],
                billing_timezone=warehouse.settings.billing_timezone,
                first_usage_day=warehouse.settings.first_day,
                run_id=context.run.run_id,
                grain=warehouse.settings.extract_grain,
                table_created_at=found.facts.created_at,
                memory_mb=warehouse.settings.load_memory_mb,
            )
            context.log_event(
                dg.AssetObservation(
                    billing_export.key,
                    metadata={"export_day": key, "fingerprint": held[day], "url": source.url},
                    tags={"dagster/data_version": held[day]},
                )
            )
            _report_touched_usage_days(context, loaded)
            return _metadata(loaded) | _spent(purse, day)

        build_each(context, connection, load)


def _refuse_if_it_was_there(day: date, vanished: list[date], url: str) -> None:
    if day in vanished:
        raise ExportDayVanished(
            f"Export day {day} was loaded and {url} no longer holds it (did somebody delete the partition?). Its "
            "charges are kept as they are. Decide with `finops export-days keep` or `finops export-days remove`."
        )


def _report_touched_usage_days(context: dg.AssetExecutionContext, loaded: Loaded) -> None:
    """The honest lineage: which usage days this export day really reached."""
    for day in loaded.touched_usage_days:
        context.log_event(
            dg.AssetMaterialization(
                usage_day_charges.key,
                partition=day.isoformat(),
                metadata={"export_day": loaded.export_day.isoformat()},
                tags={"dagster/data_version": f"{loaded.export_day:%Y%m%d}-{loaded.version}"},
            )
        )


def _spent(purse: LedgerPurse, day: date) -> Metadata:
    """What reading the day was billed for; nothing where nobody bills."""
    spent = purse.spent_on(day)
    if not spent:
        return {}
    return {
        "bigquery_bytes_estimated": dg.MetadataValue.int(sum(done.estimated_bytes for done in spent)),
        "bigquery_bytes_billed": dg.MetadataValue.int(sum(done.billed_bytes for done in spent)),
        "bigquery_slot_ms": dg.MetadataValue.int(sum(done.slot_ms for done in spent)),
        "bigquery_usd": dg.MetadataValue.text(f"{purse.usd(spent):f}"),
        "bigquery_jobs": dg.MetadataValue.json([done.job_id for done in spent if done.job_id]),
    }


def _metadata(loaded: Loaded) -> Metadata:
    metadata: Metadata = {
        "dagster/partition_row_count": dg.MetadataValue.int(loaded.row_count),
        "bytes_read": dg.MetadataValue.int(loaded.bytes_read),
        "touched_usage_days": dg.MetadataValue.json([day.isoformat() for day in loaded.touched_usage_days]),
        "plot/touched_usage_days": dg.MetadataValue.int(len(loaded.touched_usage_days)),
        "version": dg.MetadataValue.int(loaded.version),
        **amounts(loaded.billed_cost),
    }
    if loaded.unknown_columns:
        metadata["unknown_columns_kept_in_extra"] = dg.MetadataValue.json(list(loaded.unknown_columns))
    return metadata
