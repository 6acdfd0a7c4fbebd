"""The three clocks, as Dagster partitions: when a row was exported, when it was used, which invoice it is on.

There is one object for each, shared by all assets: Dagster splits a range run wherever the start dates differ.
Both daily clocks are plain dates labelled in UTC; that a usage day begins at Pacific midnight is decided once,
in the extract.
"""

from collections.abc import Iterable
from datetime import date, timedelta

import dagster as dg

from finops_warehouse.settings import load_settings

MAX_DAYS_PER_RUN = 30
"""A range run is all or nothing in Dagster's eyes and costs the same to start as a run of one day (about 6 times
less for 90 days); 30 days bound what one bad day can take down with it."""

_start = load_settings().first_day

export_days = dg.DailyPartitionsDefinition(start_date=_start.isoformat(), end_offset=1, timezone="UTC")
usage_days = dg.DailyPartitionsDefinition(start_date=_start.isoformat(), end_offset=1, timezone="UTC")
invoice_months = dg.MonthlyPartitionsDefinition(start_date=f"{_start:%Y%m}", fmt="%Y%m", end_offset=1, timezone="UTC")

MAX_LATENESS_DAYS = 60
"""How far back the lineage graph draws an export day's reach. Drawn only: what is rebuilt is what the ledger saw."""

export_days_that_may_hold = dg.TimeWindowPartitionMapping(
    start_offset=0, end_offset=MAX_LATENESS_DAYS, allow_nonexistent_upstream_partitions=True
)

RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
LANE_TAG = "finops/lane"
"""What asked for a run: `sync` for sensors, the schedule and `finops sync`; `backfill` for `finops backfill`."""


def contiguous(days: Iterable[date], at_most: int = MAX_DAYS_PER_RUN) -> list[list[date]]:
    """The days as runs of neighbours, oldest first, none longer than `at_most`: what one Dagster run can hold."""
    runs: list[list[date]] = []
    for day in sorted(set(days)):
        if runs and day - runs[-1][-1] == timedelta(days=1) and len(runs[-1]) < at_most:
            runs[-1].append(day)
        else:
            runs.append([day])
    return runs


def range_tags(keys: list[str]) -> dict[str, str]:
    """The run tags that make one run of `keys`, which must be neighbours."""
    return {RANGE_START_TAG: keys[0], RANGE_END_TAG: keys[-1]}
