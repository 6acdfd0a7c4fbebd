"""How each table of insights reads its days: what it is made of, and how far that had come when it was read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import psycopg

from finops_pipeline import focus_days
from finops_pipeline.insight_days import Row
from finops_warehouse import ledger
from finops_warehouse.freshness import complete_through
from finops_warehouse.settings import Settings
from finops_warehouse.sql_models import sql_model

ACCURACY = sql_model("insights", "forecast_accuracy")
MATURITY = sql_model("insights", "cost_maturity")
COMPLETENESS = sql_model("insights", "account_completeness")

Read = Callable[[date], tuple[Mapping[str, Sequence[Row]], int]]
"""The rows of a day by table, and the version of what they were made from; 0 for a day that is not complete."""


@dataclass(frozen=True)
class WhenComplete:
    """When a usage day counts as complete, as the deployment wants it."""

    share: Decimal = Decimal("0.97")
    """Of the final cost, on nine of ten days."""
    after_days: int | None = None
    """So many export days after the usage day, whatever was learned."""
    billing_timezone: str = "America/Los_Angeles"


def when_complete(settings: Settings) -> WhenComplete:
    """What the settings say of it."""
    return WhenComplete(settings.complete_share, settings.complete_after_days, settings.billing_timezone)


def reader(
    asset: str,
    connection: psycopg.Connection,
    quiet_days: frozenset[date] = frozenset(),
    complete: WhenComplete = WhenComplete(),
) -> Read:
    """The reader of an asset. Ask it for the days of a run in order: neighbouring days share their work."""
    match asset:
        case "cost_maturity":
            return lambda day: _learned(connection, day, complete)
        case "cost_anomalies":
            from finops_pipeline.anomalies import Watcher

            watcher = Watcher(connection, quiet_days)

            def anomalies(day: date) -> tuple[Mapping[str, Sequence[Row]], int]:
                rows, version = watcher.rows_of(day)
                return {asset: rows}, version

            return anomalies
        case "cost_forecasts":
            from finops_pipeline.forecasts import Forecaster  # the forecasting library takes seconds to import

            return Forecaster(connection, quiet_days).rows_of
        case "forecast_accuracy":
            return lambda day: _judged(connection, day)
        case "savings_recommendations":
            from finops_pipeline import savings

            def recommendations(day: date) -> tuple[Mapping[str, Sequence[Row]], int]:
                rows, version = savings.rows_of(connection, day)
                return {asset: rows}, version

            return recommendations
        case focus_days.ASSET:
            return lambda day: _alone(asset, focus_days.rows_of(connection, day))
        case _:
            raise ValueError(f"{asset} is no table of insights")


def _alone(table: str, read: tuple[Sequence[Row], int]) -> tuple[Mapping[str, Sequence[Row]], int]:
    rows, version = read
    return {table: rows}, version


def _judged(connection: psycopg.Connection, day: date) -> tuple[Mapping[str, Sequence[Row]], int]:
    """The forecasts as of a day against what came."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        complete = complete_through(connection)
        if complete is None:
            return {"forecast_accuracy": []}, 0
        version = ledger.insight_versions(connection, "forecast_accuracy", complete).get(day, 0)
        window = {"start_day": day, "end_day": day + timedelta(days=1), "complete_through": complete}
        cursor = connection.cursor(row_factory=psycopg.rows.dict_row)
        return {"forecast_accuracy": cursor.execute(ACCURACY.as_psycopg(), window).fetchall()}, version


def _learned(
    connection: psycopg.Connection, day: date, wanted: WhenComplete
) -> tuple[Mapping[str, Sequence[Row]], int]:
    """How the costs of days that are over became final, as of a day."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        # Not only of complete days: which those are follows from what is learned here.
        version = ledger.insight_versions(connection, MATURITY.table, day).get(day, 0)
        values = {
            "start_day": day,
            "billing_timezone": wanted.billing_timezone,
            "complete_share": wanted.share,
            "complete_after_days": wanted.after_days,
        }
        cursor = connection.cursor(row_factory=psycopg.rows.dict_row)
        return {
            model.table: cursor.execute(model.as_psycopg(), values).fetchall() for model in (MATURITY, COMPLETENESS)
        }, version
