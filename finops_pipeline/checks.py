"""The identities as Dagster checks. Those that would make a served number wrong block what is built from it.

A check of a run looks at the partitions of that run and names the ones that fail; started by hand it looks at
everything. They repeat, on what is stored now, what each build has already proven before it committed.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import dagster as dg

from finops_pipeline.partitions import RANGE_END_TAG, RANGE_START_TAG
from finops_pipeline.warehouse import Warehouse
from finops_warehouse import identities
from finops_warehouse.focus import conformance
from finops_warehouse.focus.conformance import Counted
from finops_warehouse.freshness import complete_after_days, complete_through
from finops_warehouse.identities import Difference, Identity

MAX_LISTED = 50
LEAST_COVERAGE, MOST_COVERAGE = Decimal("0.90"), Decimal("0.99")
LEAST_CONFORMANCE = Decimal(99)
LATE_AFTER_DAYS = 2  # beyond those that are waited for on purpose: two days are ours to explain


def all_checks() -> list[dg.AssetChecksDefinition]:
    """Every check of the graph."""
    blocking = [
        identities.RAW_EQUALS_SOURCE,
        identities.FACTS_EQUAL_RAW,
        identities.EFFECTIVE_EQUALS_BILLED,
        identities.MONTHS_EQUAL_FACTS,
        identities.PARTS_EQUAL_SOURCE,
        *identities.rollup_identities(),
    ]
    return [
        *(_identity_check(identity) for identity in blocking),
        allocated_costs_equal_facts,
        closed_months_equal_invoices,
        closed_months_stand_still,
        usage_days_are_recent,
        forecasts_keep_their_word,
        rows_conform_to_focus,
        closed_months_equal_the_focus_export,
    ]


def _identity_check(identity: Identity) -> dg.AssetChecksDefinition:
    name = f"equals_{identity.against}" if identity.against != identity.table else f"{identity.measure}_equals_billed"

    @dg.asset_check(
        asset=identity.table,
        name=name,
        blocking=True,
        description=f"{identity.name}, to the last digit, for every account and currency of every {identity.clock}.",
    )
    def check(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> dg.AssetCheckResult:
        first, last = partition_window(context)
        with warehouse.connection() as connection:
            return _result(identities.differences(connection, identity, first, last))

    return check


@dg.asset_check(asset="allocated_costs", name="equals_aggregated_cost_data", blocking=True)
def allocated_costs_equal_facts(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> dg.AssetCheckResult:
    """Shared costs are split to the last digit: for every custom dimension, account and currency of every day."""
    first, last = partition_window(context)
    with warehouse.connection() as connection:
        return _result(identities.allocation_differences(connection, first, last))


@dg.asset_check(asset="invoice_months", blocking=True)
def closed_months_equal_invoices(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> dg.AssetCheckResult:
    """Every closed month whose invoice was handed in adds up to it, to the cent."""
    first, last = partition_window(context)
    with warehouse.connection() as connection:
        return _result(identities.unsettled_invoices(connection, first, last))


@dg.asset_check(asset="invoice_months")
def closed_months_equal_the_focus_export(
    context: dg.AssetCheckExecutionContext, warehouse: Warehouse
) -> dg.AssetCheckResult:
    """Every closed month that Google's own FOCUS export holds is there what it is here, to the cent."""
    first, last = partition_window(context)
    with warehouse.connection() as connection:
        return _result(identities.other_than_the_focus_export(connection, first, last))


@dg.asset_check(asset="invoice_months", blocking=True)
def closed_months_stand_still(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> dg.AssetCheckResult:
    """No closed month has moved since it closed, unless its invoice did or somebody accepted it."""
    first, last = partition_window(context)
    with warehouse.connection() as connection:
        return _result(identities.moved_after_close(connection, first, last))


@dg.asset_check(asset="aggregated_cost_data")
def usage_days_are_recent(warehouse: Warehouse) -> dg.AssetCheckResult:
    """The last complete usage day is no older than what it is waited for and two days: what a reader means by fresh."""
    with warehouse.connection() as connection:
        complete = complete_through(connection)
        allowed = complete_after_days(connection) + LATE_AFTER_DAYS
    today = datetime.now(UTC).date()
    return dg.AssetCheckResult(
        passed=complete is not None and today - complete <= timedelta(days=allowed),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"complete_through": str(complete)},
    )


@dg.asset_check(asset="forecast_accuracy")
def forecasts_keep_their_word(warehouse: Warehouse) -> dg.AssetCheckResult:
    """Over the last 60 as-of days the 95 % interval held 90 to 99 % of the days, and no simpler model was better."""
    with warehouse.connection() as connection:
        [(points, coverage, wape, floor)] = connection.execute(
            """
            select coalesce(sum(points), 0)::bigint, round(sum(within_95) / nullif(sum(points), 0), 4),
                round(sum(absolute_error) / nullif(sum(actual_cost), 0), 4),
                round(sum(floor_absolute_error) / nullif(sum(actual_cost), 0), 4)
            from finops.forecast_accuracy
            where as_of_day > (select max(as_of_day) from finops.forecast_accuracy) - 60
            """
        ).fetchall()
    return dg.AssetCheckResult(
        passed=points == 0 or (LEAST_COVERAGE <= coverage <= MOST_COVERAGE and wape <= floor),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"points": points, "coverage_95": str(coverage), "wape": str(wape), "floor_wape": str(floor)},
    )


@dg.asset_check(asset="focus_conformance")
def rows_conform_to_focus(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> dg.AssetCheckResult:
    """At least 99 % of the Static rules of FOCUS that apply to the run's days hold; those that fail are named."""
    first, last = partition_window(context)
    with warehouse.connection() as connection:
        found = connection.execute(conformance.FOUND, {"first": first, "last": last}).fetchall()
    judged = conformance.verdicts({rule_id: Counted(*counts) for rule_id, *counts in found})
    total = conformance.score(judged)
    failed = [verdict for verdict in judged.values() if verdict.status == "failed" and not verdict.rule.is_composite]
    return dg.AssetCheckResult(
        passed=total.percent is None or total.percent >= LEAST_CONFORMANCE,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "score_percent": str(total.percent),
            "rules_passed": total.passed,
            "rules_failed": total.failed,
            **{
                verdict.rule.rule_id: f"{verdict.reason} For example {', '.join(verdict.counted.examples)}."
                for verdict in failed[:MAX_LISTED]
            },
        },
    )


def partition_window(context: dg.AssetCheckExecutionContext) -> tuple[str | None, str | None]:
    """The first and last partition of the run a check runs in; open on both sides when it has none."""
    tags = context.run.tags
    one = tags.get("dagster/partition")
    return tags.get(RANGE_START_TAG, one), tags.get(RANGE_END_TAG, one)


def _result(found: Sequence[Difference]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=not found,
        metadata={
            "differences": len(found),
            **({"first_differences": dg.MetadataValue.json([str(d) for d in found[:MAX_LISTED]])} if found else {}),
        },
    )
