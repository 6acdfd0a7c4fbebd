"""The costs of the warehouse as the thinking reads them: a series for each service in each project, day by day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import psycopg

from finops_insights.detect import History
from finops_warehouse.semantic import UNATTRIBUTED

USED = ("Usage", "Purchase")
"""Charge categories that somebody's use decides; taxes and adjustments follow from bills."""

MONTHS_BACK = 5
"""A walk through the days begins on the first of a month so many months before, whoever asks for which day: the same
day is then judged the same way, alone or in a range."""


class SeriesKey(NamedTuple):
    """Which costs a series holds. NULL members are None."""

    billing_account_id: str
    billing_currency: str
    sub_account_id: str | None
    service_id: str | None


@dataclass(frozen=True)
class CostSeries:
    """Every series on neighbouring days; arrays are n series x T days."""

    days: Sequence[date]
    keys: Sequence[SeriesKey]
    sub_account_names: dict[str | None, str | None]
    service_names: dict[str | None, str | None]
    billed: npt.NDArray[np.float64]
    """All that was billed, taxes and adjustments too."""
    used: npt.NDArray[np.float64]
    """What was billed for use and commitments."""
    explained: npt.NDArray[np.float64]
    """The part of `used` that a rule of its own explains: sustained-use discounts, rows that occur twice."""
    gross: npt.NDArray[np.float64]
    """The cost of use before credits."""
    charges: npt.NDArray[np.float64]

    def index(self, day: date) -> int:
        """The column of a day."""
        return (day - self.days[0]).days


def walk_start(day: date) -> date:
    """The day a walk to `day` begins on."""
    months = day.year * 12 + day.month - 1 - MONTHS_BACK
    return date(months // 12, months % 12 + 1, 1)


def read_cost_series(connection: psycopg.Connection, first: date, last: date) -> CostSeries | None:
    """The series from `first`, or the first day there is, to `last`. None when there is no day."""
    rows = connection.execute(
        """
        select billing_account_id, billing_currency, sub_account_id, max(sub_account_name), service_id,
            max(service_name), usage_day,
            sum(billed_cost)::float8,
            coalesce(sum(billed_cost) filter (where charge_category = any(%(used)s)), 0)::float8,
            coalesce(sum(repeated_cost + credit_sustained_usage_discount)
                filter (where charge_category = any(%(used)s)), 0)::float8,
            coalesce(sum(cost) filter (where charge_category = any(%(used)s)), 0)::float8,
            coalesce(sum(charge_count) filter (where charge_category = any(%(used)s)), 0)::float8
        from finops.cost_by_project_service_daily
        where usage_day between %(first)s and %(last)s
        group by billing_account_id, billing_currency, sub_account_id, service_id, usage_day
        order by usage_day
        """,
        {"used": list(USED), "first": first, "last": last},
    ).fetchall()
    return _as_series(rows, last) if rows else None


def _as_series(rows: Sequence[tuple[Any, ...]], last: date) -> CostSeries:
    start = rows[0][6]
    days = [start + timedelta(days=i) for i in range((last - start).days + 1)]
    keys = sorted({SeriesKey(row[0], row[1], row[2], row[4]) for row in rows}, key=_in_order)
    place = {key: i for i, key in enumerate(keys)}
    cube = np.zeros((5, len(keys), len(days)))
    for account, currency, project, _, service, _, day, *amounts in rows:
        cube[:, place[SeriesKey(account, currency, project, service)], (day - start).days] = amounts
    billed, used, explained, gross, charges = cube
    return CostSeries(
        days,
        keys,
        {row[2]: row[3] for row in rows},
        {row[4]: row[5] for row in rows},
        billed,
        used,
        explained,
        gross,
        charges,
    )


def _in_order(key: SeriesKey) -> tuple[str, ...]:
    return tuple(part or UNATTRIBUTED for part in key)


def watched(series: CostSeries, complete_through: date) -> tuple[History, list[SeriesKey]]:
    """What a detector watches: every series, and after them a total for each account and currency."""
    accounts = sorted({(key.billing_account_id, key.billing_currency) for key in series.keys})
    keys = [*series.keys, *(SeriesKey(account, currency, None, None) for account, currency in accounts)]
    account_of = [accounts.index((key.billing_account_id, key.billing_currency)) for key in series.keys]
    sums = np.zeros((len(accounts), len(series.keys)))
    sums[account_of, np.arange(len(series.keys))] = 1

    def with_totals(costs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.vstack([costs, sums @ costs])

    history = History(
        days=series.days,
        net=with_totals(series.used - series.explained),
        gross=with_totals(series.gross),
        charges=with_totals(series.charges),
        account=np.array([len(series.keys) + i for i in [*account_of, *range(len(accounts))]]),
        complete_through=complete_through,
    )
    return history, keys
