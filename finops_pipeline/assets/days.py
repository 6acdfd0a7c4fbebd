"""Working through the days of a run one by one: each commits by itself, and a bad one does not stop the others."""

from collections.abc import Callable, Mapping
from decimal import Decimal

import dagster as dg
import psycopg

from finops_warehouse import ledger
from finops_warehouse.errors import FinopsError

Metadata = dict[str, dg.MetadataValue]


def build_each(
    context: dg.AssetExecutionContext, connection: psycopg.Connection, build: Callable[[str], Metadata]
) -> None:
    """Build every partition of the run; report each by its own metadata.

    A partition that fails is noted in the ledger, with its next attempt, and the others are still built. The
    run then fails naming the failed ones, and those that were built are recorded as materialised all the same.
    """
    asset = context.asset_key
    table = asset.path[-1]
    built: dict[str, Metadata] = {}
    failed: dict[str, Exception] = {}
    keys = list(context.partition_keys)
    for number, key in enumerate(keys, start=1):
        try:
            built[key] = build(key)
        except psycopg.OperationalError:
            raise  # the database is gone: the other days would fail alike, and none of them is to blame
        except Exception as error:
            ledger.note_failure(connection, table, key, error)
            # A refusal of ours explains itself; anything else needs its traceback.
            context.log.log("ERROR", f"{table} {key}: {error}", exc_info=not isinstance(error, FinopsError))
            failed[key] = error
        else:
            context.log.info(
                f"{table} {key}: {built[key]['dagster/partition_row_count'].value} rows ({number}/{len(keys)})"
            )
    if failed:
        for key, metadata in built.items():
            context.log_event(dg.AssetMaterialization(asset, partition=key, metadata=metadata))
        raise dg.Failure(
            f"{len(failed)} of {len(keys)} partitions of {table} failed; the others are built. "
            + " | ".join(f"{key}: {error}" for key, error in failed.items()),
            metadata={"failed": sorted(failed)},
            allow_retries=False,  # the ledger decides when a partition is tried again
        )
    for key, metadata in built.items():
        context.add_asset_metadata(metadata, asset_key=asset, partition_key=key)


def amounts(billed_cost: Mapping[str, Decimal]) -> Metadata:
    """A total by currency: exact as text, and in whole units as a number, which is what Dagster can plot."""
    metadata: Metadata = {}
    for currency, amount in billed_cost.items():
        metadata[f"billed_cost_{currency}"] = dg.MetadataValue.text(f"{amount:f}")
        metadata[f"plot/billed_cost_{currency}"] = dg.MetadataValue.int(int(amount.to_integral_value()))
    return metadata
