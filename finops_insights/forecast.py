"""What the coming days will cost, and how far off that may be.

A model learns from the level and the week of a series without its outliers; what comes once a month is added back
on its day. Intervals of sums come from whole simulated paths: daily bounds added up would be far too wide.
Importing this module imports the forecasting library, which takes a second or more: import it where it is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from statsforecast.models import AutoETS, SeasonalNaive

from finops_insights import seasons
from finops_insights.detect import LEARN_DAYS, MEMORY_DAYS
from finops_insights.seasons import WEEK

Costs = npt.NDArray[np.float64]

HORIZON_DAYS: Final = 31
"""To the end of the longest month."""
MIN_DAYS: Final = 14
FULL_DAYS: Final = 28
PATHS: Final = 400
LEVEL_CHANGES_BY: Final = 2.0
"""A quarter's weeks say too little of how far a level can move: with 1, the 95 % interval held 0.93 of the days of all
series and 0.87 of those of the totals; with 2, 0.95 and 0.92."""
MODEL: Final = "AutoETS(ANA)"
FLOOR: Final = "SeasonalNaive(7)"
BOUNDS: Final = {"low_80": 0.10, "high_80": 0.90, "low_95": 0.025, "high_95": 0.975}


@dataclass(frozen=True)
class Outlook:
    """The future of one series; arrays start on the day after its last."""

    model: str
    status: Literal["ok", "low_history"]
    expected: Costs
    """By day."""
    paths: Costs
    """What may happen: PATHS x days."""
    floor: Costs
    """By day, what the simplest model says: the same weekday again."""

    def bounds(self, start: int, end: int) -> dict[str, float]:
        """The interval of the sum of the days from `start` to `end` (indices, end not included)."""
        sums = self.paths[:, start:end].sum(1)
        return {name: float(np.quantile(sums, share)) for name, share in BOUNDS.items()}

    def daily_bounds(self) -> dict[str, Costs]:
        """The interval of each day."""
        return {name: np.asarray(np.quantile(self.paths, share, axis=0), np.float64) for name, share in BOUNDS.items()}


def outlook(clean: Costs, actual: Costs, calendar: Costs, *, seed: int) -> Outlook | None:
    """Forecast one series.

    `clean` holds its days without outliers and monthly charges, `actual` as they were, `calendar` the monthly
    charges of the coming days. None when there are too few days to say anything.
    """
    days, ahead = len(clean), len(calendar)
    if days < MIN_DAYS:
        return None
    floor = np.asarray(SeasonalNaive(season_length=WEEK).forecast(y=actual, h=ahead)["mean"], np.float64)
    if days < FULL_DAYS or not clean.any():
        return _little_known(clean, calendar, floor, seed)
    model = AutoETS(season_length=WEEK, model="ANA").fit(clean)
    expected = np.asarray(model.predict(ahead)["mean"], np.float64)
    errors = np.asarray(model.model_["residuals"], np.float64)
    paths = _paths(expected, errors, float(np.nan_to_num(model.model_["par"][0])), actual, seed)
    return _bounded(MODEL, "ok", expected + calendar, paths + calendar, floor, clean)


def _paths(expected: Costs, errors: Costs, alpha: float, actual: Costs, seed: int) -> Costs:
    """Days drawn from the errors of the past; each error also moves the level of the days after it by `alpha`.

    The level itself is known no better than its last weeks: an error common to the whole path is drawn beside.
    """
    draw = np.random.default_rng(seed)
    daily = draw.choice(errors - errors.mean(), (PATHS, len(expected)))
    carried = np.cumsum(daily, axis=1) - daily
    weekly = LEVEL_CHANGES_BY * _weekly_level_changes(actual)
    drift = draw.choice(weekly, (PATHS, 1)) * np.sqrt(np.arange(1, len(expected) + 1) / WEEK)[None, :]
    return np.asarray(expected + daily + alpha * carried + drift, np.float64)


def _weekly_level_changes(actual: Costs) -> Costs:
    """How the median of a week differs from that of the week before, for as long as is remembered."""
    weeks = len(actual) // WEEK
    medians = np.median(actual[-weeks * WEEK :].reshape(weeks, WEEK), axis=1)
    changes = np.diff(medians)
    return np.concatenate([changes, -changes]) if len(changes) else np.zeros(1)


def _little_known(clean: Costs, calendar: Costs, floor: Costs, seed: int) -> Outlook:
    draw = np.random.default_rng(seed)
    errors = clean[WEEK:] - clean[:-WEEK]
    expected = np.asarray(SeasonalNaive(season_length=WEEK).forecast(y=clean, h=len(calendar))["mean"], np.float64)
    paths = expected + draw.choice(np.concatenate([errors, -errors]), (PATHS, len(calendar)))
    return _bounded(FLOOR, "low_history", expected + calendar, paths + calendar, floor, clean)


def _bounded(
    model: str, status: Literal["ok", "low_history"], expected: Costs, paths: Costs, floor: Costs, clean: Costs
) -> Outlook:
    """Costs do not turn into credits by themselves: a series that never was below zero is not forecast there."""
    if clean.min() >= 0:
        expected, paths = np.maximum(expected, 0), np.maximum(paths, 0)
    return Outlook(model, status, expected, paths, floor)


def calendar_of(
    actual: Costs, days: Sequence[date], ahead: Sequence[date], told: seasons.Marks, quiet: seasons.Marks
) -> Costs:
    """The monthly charges that are due on the days `ahead`, n series x days.

    `actual` and `told`, the days that were anomalies, are n series x the days so far; `quiet` marks the holidays.
    """
    due = np.zeros((len(actual), len(ahead)))
    if len(days) < LEARN_DAYS:
        return due
    weekdays = np.array([day.weekday() for day in days])
    flat = actual / seasons.week_shape(actual[:, -MEMORY_DAYS:], weekdays)[:, weekdays]
    for i, day in enumerate(ahead):
        found = seasons.jumps(flat, days, day, told, quiet)
        due[:, i] = np.where(found.recurs, found.height, 0.0)
    return due
