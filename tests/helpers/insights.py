"""Thinking about days without Dagster: what the assets do, one table after the other."""

from datetime import date

import psycopg

from finops_insights.narrate import RulesEngine
from finops_pipeline.insight_days import Written, replace_day
from finops_pipeline.narration import (
    rebuild_insights_of_day,
    rebuild_insights_of_month,
    source_version_of_day,
    source_version_of_month,
)
from finops_pipeline.thoughts import reader
from finops_warehouse import ledger
from finops_warehouse.freshness import complete_through

TEXTS = "llm_insights"
THOUGHT_OF_COSTS = [name for name in ledger.INSIGHTS if name != TEXTS]


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


def write_about(connection: psycopg.Connection, days: list[date]) -> None:
    """Have the rules write about these days."""
    for day in days:
        version = source_version_of_day(connection, day)
        rebuild_insights_of_day(connection, day, service=RulesEngine(), run_id="test", source_version=version)


def think_about_what_is_behind(connection: psycopg.Connection) -> dict[str, list[date]]:
    """Build every day of every table that is behind, in the order they build on each other, then the months' texts."""
    built: dict[str, list[date]] = {}
    for asset in ledger.INSIGHTS:
        due = ledger.behind_insights(connection, complete_through(connection))
        days = [date.fromisoformat(item.partition_key) for item in due if item.asset == asset]
        if asset == TEXTS:
            write_about(connection, days)
        else:
            think(connection, asset, days)
        if days:
            built[asset] = days
    for month in ledger.behind_month_texts(connection):
        version = source_version_of_month(connection, month)
        rebuild_insights_of_month(connection, month, service=RulesEngine(), run_id="test", source_version=version)
    return built
