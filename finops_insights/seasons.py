"""The calendar in a cost: the shape of its week, and what comes on the same day of every month.

Support fees, taxes and the closing of the books come monthly, some counted from the start of the month and some
from its end; the two agree in no two months.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Costs = npt.NDArray[np.float64]
Marks = npt.NDArray[np.bool_]

WEEK: Final = 7
SHAPE_BOUNDS: Final = (0.02, 50.0)
SAME_AGE: Final = 0.2
REMEMBERED_DAYS: Final = 100
REMEMBERED_MONTHS: Final = 3
NOTICEABLE: Final = 0.15
"""A jump is looked for again when it was at least so much of the days around it, and..."""
NOTICEABLE_AMOUNT: Final = 5.0
"""...at least so much money."""
_AROUND_DAYS: Final = 14
_NEXT_TO_DAYS: Final = 2


def week_shape(costs: Costs, weekdays: npt.NDArray[np.int64]) -> Costs:
    """What each weekday costs in medians of its week, n series x 7, from the whole weeks at the end of `costs`.

    A series that is mostly silent has no shape: 1 everywhere. Weeks of another age, when credits paid for nearly
    everything, say nothing of the shape it has now.
    """
    weeks = costs.shape[1] // WEEK
    by_week = costs[:, -weeks * WEEK :].reshape(len(costs), weeks, WEEK)
    middle = np.median(by_week, 2, keepdims=True)
    comparable = middle >= np.maximum(SAME_AGE * middle.max(1, keepdims=True), 1e-9)
    ratio = np.where(comparable, by_week / np.where(middle > 0, middle, np.inf), np.nan)
    ratio[~comparable.any((1, 2))] = 1.0
    of_last_week = np.clip(np.nanmedian(ratio, 1), *SHAPE_BOUNDS)
    shape = np.ones((len(costs), WEEK))
    shape[:, weekdays[-WEEK:]] = np.where(np.median(middle, 1) > 0, of_last_week, 1.0)
    return shape


class Monthly(NamedTuple):
    """What a day of the month brings; each one number a series."""

    recurs: Marks
    surely: Marks
    """Whether two months say so; what one month shows may have been chance."""
    height: Costs
    """By how much it jumps from the days around it."""
    level: Costs
    """How high the days around those jumps were."""


def jumps(
    flat: Costs, days: Sequence[date], day: date, told: Marks, quiet: Marks, noticeable: float | Costs = NOTICEABLE
) -> Monthly:
    """Which series jump on `day` of a month, judged by `flat`: their costs on `days` before it, n series x T days.

    A jump that is `told` as an anomaly (n series x T days) makes no month's day by itself: it takes another one. So
    does a fall: fees come once a month, and outages do not. Holidays, `quiet` (T days), say nothing.
    """
    n = len(flat)
    recurs, surely, height, level = np.zeros(n, np.bool_), np.zeros(n, np.bool_), np.zeros(n), np.ones(n)
    for same_day in _earlier_months(days, day):
        earlier = [s for s in same_day if not quiet[s]]
        if not earlier:
            continue
        around = np.stack([_around(flat, s) for s in earlier])
        jump = flat[:, earlier].T - around
        far = np.maximum(np.asarray(noticeable) * np.abs(around), NOTICEABLE_AMOUNT)
        rises, falls = (jump > far).sum(0), (jump < -far).sum(0)
        only_one = (len(earlier) == 1) & ~told[:, earlier].any(1) & (rises == 1)
        twice = (rises >= 2) | (falls >= 2)
        new = (only_one | twice) & ~recurs
        height = np.where(new, np.median(jump, axis=0), height)
        level = np.where(new, np.median(around, axis=0), level)
        recurs, surely = recurs | new, surely | (new & twice)
    return Monthly(recurs, surely, height, level)


def _around(flat: Costs, s: int) -> Costs:
    window = range(max(0, s - _AROUND_DAYS), min(flat.shape[1], s + _AROUND_DAYS + 1))
    return np.asarray(np.median(flat[:, [i for i in window if abs(i - s) > _NEXT_TO_DAYS]], axis=1), np.float64)


def _earlier_months(days: Sequence[date], day: date) -> tuple[list[int], list[int]]:
    """The indices of the same day of the last three months, counted from the month's start and from its end."""
    oldest = max(0, len(days) - REMEMBERED_DAYS)
    newest_first = range(len(days) - 1, oldest - 1, -1)
    to_end = days_to_month_end(day)
    from_start = [s for s in newest_first if days[s].day == day.day and days[s] < day]
    from_end = [s for s in newest_first if days_to_month_end(days[s]) == to_end and days[s] < day]
    return from_start[:REMEMBERED_MONTHS], from_end[:REMEMBERED_MONTHS]


def days_to_month_end(day: date) -> int:
    """How many days are left in the month, this one included."""
    return (first_of_next_month(day) - day).days


def first_of_next_month(day: date) -> date:
    """The first day of the month after the one `day` is in."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
