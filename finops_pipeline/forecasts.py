"""Forecasts as of a day: of each currency, account, project and service, from what was known then."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import psycopg

from finops_insights.detect import LEARN_DAYS, Walk
from finops_insights.forecast import HORIZON_DAYS, Outlook, calendar_of, outlook
from finops_insights.seasons import Marks, first_of_next_month
from finops_pipeline.cost_series import CostSeries, SeriesKey, read_cost_series, walk_start, watched
from finops_pipeline.insight_days import Row
from finops_warehouse import ledger
from finops_warehouse.freshness import complete_through
from finops_warehouse.semantic import UNATTRIBUTED

ASSET = "cost_forecasts"
CENT = Decimal("0.01")
ALL = "all"
NEXT_DAYS = 30
Costs = npt.NDArray[np.float64]


class Scope(NamedTuple):
    """What a forecast is of."""

    scope: str
    billing_currency: str
    member: str


@dataclass(frozen=True)
class Thinking:
    """What a walk knew at the end of a day."""

    day: date
    clean: Costs
    """Every series so far, at its level of that day and without what was off or comes monthly."""
    told: Marks
    """The days that were anomalies."""
    quiet: Marks
    """The holidays."""


class Forecaster:
    """Forecasts day by day, oldest first; days of one month share a walk."""

    def __init__(self, connection: psycopg.Connection, quiet_days: frozenset[date]) -> None:
        self._connection = connection
        self._quiet_days = quiet_days
        self._month: date | None = None
        self._versions: Mapping[date, int] = {}
        self._series: CostSeries | None = None
        self._walk: Iterator[Thinking] = iter(())

    def rows_of(self, as_of: date) -> tuple[dict[str, list[Row]], int]:
        """The rows of each table as of a day and the version of what they were made from."""
        nothing: dict[str, list[Row]] = {"cost_forecasts": [], "cost_forecast_days": []}
        if self._month != as_of.replace(day=1) or self._series is None:
            self._begin(as_of.replace(day=1))
        if self._series is None or as_of not in self._versions:
            return nothing, 0
        thinking = next((then for then in self._walk if then.day == as_of), None)
        if thinking is None:  # asked for out of order: walk the month again
            self._begin(as_of.replace(day=1))
            thinking = next(then for then in self._walk if then.day == as_of)
        return self._rows(self._series, thinking), self._versions[as_of]

    def _begin(self, month: date) -> None:
        self._month, self._series = month, None
        with self._connection.transaction():
            self._connection.execute("set transaction isolation level repeatable read")
            complete = complete_through(self._connection)
            if complete is None or complete < month:
                return
            self._versions = ledger.insight_versions(self._connection, ASSET, complete)
            last = min(complete, first_of_next_month(month) - timedelta(days=1))
            self._series = read_cost_series(self._connection, walk_start(month), last)
        if self._series is not None:
            self._walk = _walk(self._series, self._quiet_days)

    def _rows(self, series: CostSeries, thinking: Thinking) -> dict[str, list[Row]]:
        as_of, t = thinking.day, series.index(thinking.day)
        ahead = [as_of + timedelta(days=i + 1) for i in range(HORIZON_DAYS)]
        billed = series.billed[:, : t + 1]
        due = calendar_of(billed, series.days[: t + 1], ahead, thinking.told, thinking.quiet)
        to_date = self._billed_to_date(ahead[0].replace(day=1), as_of)
        totals: list[Row] = []
        by_day: list[Row] = []
        for scope, members in _scopes(series.keys).items():
            actual = billed[members].sum(0)
            if not actual.any():
                continue
            found = outlook(thinking.clean[members].sum(0), actual, due[members].sum(0), seed=as_of.toordinal())
            if found is None:
                continue
            name = _name(series, scope)
            totals += _totals(scope, name, as_of, t + 1, ahead, found, to_date.get(scope, Decimal(0)))
            by_day += _by_day(scope, as_of, ahead, found)
        return {"cost_forecasts": totals, "cost_forecast_days": by_day}

    def _billed_to_date(self, first: date, as_of: date) -> dict[Scope, Decimal]:
        """What each scope has cost in its month so far, exact."""
        rows = self._connection.execute(
            """
            select billing_currency, billing_account_id, coalesce(sub_account_id, %(nobody)s),
                coalesce(service_id, %(nobody)s), grouping(billing_account_id), grouping(coalesce(sub_account_id,
                %(nobody)s)), grouping(coalesce(service_id, %(nobody)s)), sum(billed_cost)
            from finops.cost_by_project_service_daily
            where usage_day between %(first)s and %(last)s
            group by billing_currency, grouping sets (
                (), (billing_account_id), (coalesce(sub_account_id, %(nobody)s)), (coalesce(service_id, %(nobody)s))
            )
            """,
            {"nobody": UNATTRIBUTED, "first": first, "last": as_of},
        ).fetchall()
        found = {}
        for currency, account, project, service, *without, billed in rows:
            match without:
                case [0, _, _]:
                    scope = Scope("billing_account", currency, account)
                case [_, 0, _]:
                    scope = Scope("project", currency, project)
                case [_, _, 0]:
                    scope = Scope("service", currency, service)
                case _:
                    scope = Scope("total", currency, ALL)
            found[scope] = billed
        return found


def _walk(series: CostSeries, quiet_days: frozenset[date]) -> Iterator[Thinking]:
    history, _ = watched(_with_everything_billed(series), series.days[-1])
    walk = Walk(history, quiet_days)
    for t, day in enumerate(series.days):
        if t >= LEARN_DAYS:
            walk.step(t)
        n = len(series.keys)
        yield Thinking(day, walk.clean[:n, : t + 1].copy(), walk.flagged[:n, : t + 1], walk.quiet[: t + 1])


def _with_everything_billed(series: CostSeries) -> CostSeries:
    """Taxes and adjustments are on the bill too: what is forecast is all that is billed."""
    return CostSeries(
        series.days,
        series.keys,
        series.sub_account_names,
        series.service_names,
        series.billed,
        series.billed,
        np.zeros_like(series.billed),
        series.gross,
        series.charges,
    )


def _scopes(keys: Sequence[SeriesKey]) -> dict[Scope, list[int]]:
    """Which series each scope is made of."""
    members: dict[Scope, list[int]] = {}
    for i, key in enumerate(keys):
        for scope in (
            Scope("total", key.billing_currency, ALL),
            Scope("billing_account", key.billing_currency, key.billing_account_id),
            Scope("project", key.billing_currency, key.sub_account_id or UNATTRIBUTED),
            Scope("service", key.billing_currency, key.service_id or UNATTRIBUTED),
        ):
            members.setdefault(scope, []).append(i)
    return members


def _name(series: CostSeries, scope: Scope) -> str | None:
    if scope.scope == "project":
        return series.sub_account_names.get(scope.member)
    return series.service_names.get(scope.member) if scope.scope == "service" else None


def _totals(
    scope: Scope, name: str | None, as_of: date, days: int, ahead: Sequence[date], found: Outlook, to_date: Decimal
) -> Iterator[Row]:
    month_days = (first_of_next_month(ahead[0]) - ahead[0]).days
    for period, length, start, so_far in (
        ("month_end", month_days, ahead[0].replace(day=1), to_date),
        ("next_30_days", NEXT_DAYS, ahead[0], Decimal(0)),
    ):
        bounds = found.bounds(0, length)
        yield {
            "as_of_day": as_of,
            **scope._asdict(),
            "period": period,
            "member_name": name,
            "start_day": start,
            "end_day": ahead[0] + timedelta(days=length),
            "actual_to_date": so_far,
            "expected_cost": so_far + _cents(float(found.expected[:length].sum())),
            **{bound: so_far + _cents(value) for bound, value in bounds.items()},
            "model": found.model,
            "status": found.status,
            "history_days": days,
        }


def _by_day(scope: Scope, as_of: date, ahead: Sequence[date], found: Outlook) -> Iterator[Row]:
    bounds = found.daily_bounds()
    for i, day in enumerate(ahead):
        yield {
            "as_of_day": as_of,
            **scope._asdict(),
            "usage_day": day,
            "expected_cost": _cents(float(found.expected[i])),
            **{bound: _cents(float(values[i])) for bound, values in bounds.items()},
            "floor_cost": _cents(float(found.floor[i])),
        }


def _cents(value: float) -> Decimal:
    return Decimal(str(value)).quantize(CENT)
