"""The calendar a Google invoice follows: Pacific usage days, UTC export days, invoice months.

Instants are microseconds since 1970 UTC, the unit BigQuery and Arrow keep them in.
"""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

PACIFIC = ZoneInfo("America/Los_Angeles")
EPOCH = date(1970, 1, 1)
HOUR = 3_600_000_000
DAY = 24 * HOUR

Instants = npt.NDArray[np.int64]


def utc_midnight(day: date) -> int:
    return (day - EPOCH).days * DAY


def pacific_midnight(day: date) -> int:
    return int(datetime.combine(day, time(), PACIFIC).timestamp()) * 1_000_000


def pacific_hours(day: date) -> Instants:
    """When each hour of the usage day starts: 24 of them, 23 and 25 when the clocks change."""
    return np.arange(pacific_midnight(day), pacific_midnight(day + timedelta(days=1)), HOUR, dtype=np.int64)


def pacific_clock(hours: Instants) -> npt.NDArray[np.float64]:
    """What the clock on a Californian wall shows at each instant."""
    return np.array([datetime.fromtimestamp(hour / 1_000_000, PACIFIC).hour for hour in hours.tolist()], np.float64)


def month_number(day: date) -> int:
    """The invoice month as a number, 202601 for January 2026."""
    return day.year * 100 + day.month


def first_of_next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def last_of_month(day: date) -> date:
    return first_of_next_month(day) - timedelta(days=1)


def invoice_cut_off(usage_day: date) -> int:
    """From this instant on, usage of that day's month goes onto the next invoice."""
    return utc_midnight(first_of_next_month(usage_day) + timedelta(days=1))


def invoice_issued(month: date) -> date:
    """The fifth business day after the month ends, when its invoice can be read."""
    day = first_of_next_month(month)
    business_days = 1 if day.weekday() < 5 else 0
    while business_days < 5:
        day += timedelta(days=1)
        business_days += day.weekday() < 5
    return day


def us_holiday(day: date) -> str | None:
    """The holidays on which shops and offices of the sample are visibly quieter."""
    fixed = {(1, 1): "New Year's Day", (7, 4): "Independence Day", (12, 25): "Christmas Day"}
    week_of_month = (day.day + 6) // 7
    if day.weekday() == 3 and day.month == 11 and week_of_month == 4:
        return "Thanksgiving"
    if day.weekday() == 0 and day.month == 9 and week_of_month == 1:
        return "Labor Day"
    if day.weekday() == 0 and day.month == 5 and day.day > 24:
        return "Memorial Day"
    if day.weekday() == 0 and day.month == 2 and week_of_month == 3:
        return "Presidents' Day"
    return fixed.get((day.month, day.day))
