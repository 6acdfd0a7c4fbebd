"""Thinking about days without Dagster: what the assets do, one table after the other."""

from datetime import date

import psycopg

from finops_pipeline.insight_days import Written, replace_day
from finops_pipeline.thoughts import reader
from finops_warehouse import ledger
from finops_warehouse.freshness import complete_through

THOUGHT_OF_COSTS = [name for name in ledger.INSIGHTS if name != "llm_insights"]


def think(
    connection: psycopg.Connection, asset: str, days: list[date], quiet_days: frozenset[date] = frozenset()
) -> dict[date, Written]:
    """Build these days of one table of insights."""
    read = reader(asset, connection, quiet_days)
    written = {}
    for day in days:
        rows, version = read(day)
        written[day] = replace_day(connection, asset, day, rows, source_version=version, run_id="test")
    return written


def think_about_what_is_behind(connection: psycopg.Connection) -> dict[str, list[date]]:
    """Build every day of every table that is behind, in the order they build on each other."""
    built: dict[str, list[date]] = {}
    for asset in THOUGHT_OF_COSTS:
        due = ledger.behind_insights(connection, complete_through(connection))
        days = [date.fromisoformat(item.partition_key) for item in due if item.asset == asset]
        think(connection, asset, days)
        if days:
            built[asset] = days
    return built
