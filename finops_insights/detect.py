"""Which days cost more or less than their past explains.

Daily cost has structure, and ignoring it is what makes alarms false: a week has a shape, some charges come on the
same day of every month, some series are silent most of the time, and a level that stays is no longer news. Each
series is walked day by day with nothing but its own past, so a flag of an old day is the flag a reader would have
seen then, and a longer history never changes it.

Costs are floats here and nowhere else: they are compared with a tolerance, never added up for a reader.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from finops_insights import seasons
from finops_insights.thresholds import MIN_AMOUNT, MIN_SHARE, MIN_SHARE_OF_ACCOUNT, SENSITIVITY

Series = npt.NDArray[np.float64]
"""n series x T days."""
Flags = npt.NDArray[np.bool_]
Row = npt.NDArray[np.float64]
"""One number for each series."""

ARRIVES_WITHIN_DAYS: Final = 14
"""So long a fall may be a row that is late. One row in a hundred comes two to ten days late."""
LEARN_DAYS: Final = 21
"""Three weeks: the median of each weekday then has three days to choose from."""
SETTLE_DAYS: Final = 14
"""Deviations that have to be seen before a deviation can be called unusual."""
MEMORY_DAYS: Final = 56
USUAL_FLOOR: Final = 0.03
"""A series that never moves would otherwise be alarmed by a cent."""
STAYS_AFTER_DAYS: Final = 5
"""A new level that was off on so many days is the level..."""
STAYS_WITHIN_DAYS: Final = 9
"""...when that was within so many: on a quiet weekend a new level may not show."""
RETURNS_WITHIN_DAYS: Final = 45
"""Going back to the level of before is the end of a told story, not another one."""
CREPT_BY: Final = 0.30
CREEPS_FOR_DAYS: Final = 21
UNKNOWN_DEVIATION: Final = 0.10
SILENT_SHARE: Final = 0.25
SAME_EVENT_GAP_DAYS: Final = 3
_TINY: Final = 1e-9


@dataclass(frozen=True)
class Detection:
    """What was found; every array is n series x T days."""

    flagged: Flags
    score: Series
    """How many times its usual deviation the day was off; signed."""
    expected: Series
    """What the past explains, in the currency of the series. NaN while the series is being learned."""


@dataclass(frozen=True)
class Event:
    """Neighbouring flagged days of one series that go the same way."""

    series: int
    start: int
    """Index of its first day."""
    last: int
    """Index of its last day so far."""
    direction: int
    """1 when it cost more than expected, -1 when less."""
    days: tuple[int, ...]
    """Indices of the flagged days."""


@dataclass(frozen=True)
class History:
    """The costs of all series on neighbouring complete days; every array is n series x T days."""

    days: Sequence[date]
    net: Series
    """What was billed, less what its own rule explains: discounts that grow over a month, rows that occur twice."""
    gross: Series
    """The same before credits: a series whose credits pay for everything is not silent."""
    charges: Series
    """How many rows of the export are behind each cost."""
    account: npt.NDArray[np.int64]
    """For each series, the index of the one that holds its whole account."""
    complete_through: date
    """Rows of days just before may still be on their way."""


def detect(history: History, quiet_days: Collection[date] = (), k: float = SENSITIVITY) -> Detection:
    """Walk every series through its days. On `quiet_days` (public holidays) a fall is nobody's news."""
    walk = Walk(history, quiet_days, k)
    for t in range(LEARN_DAYS, len(history.days)):
        walk.step(t)
    return Detection(walk.flagged, walk.score, walk.expected)


def events(detection: Detection, actual: Series) -> list[Event]:
    """The flagged days as events, oldest first; a gap of up to three days is still the same event."""
    found: list[Event] = []
    for series in np.flatnonzero(detection.flagged.any(1)):
        open_event: Event | None = None
        for t in np.flatnonzero(detection.flagged[series]):
            direction = 1 if actual[series, t] > detection.expected[series, t] else -1
            goes_on = (
                open_event is not None
                and open_event.direction == direction
                and t - open_event.last <= SAME_EVENT_GAP_DAYS
            )
            if goes_on and open_event is not None:
                days_so_far = (*open_event.days, int(t))
                open_event = Event(int(series), open_event.start, int(t), direction, days_so_far)
                found[-1] = open_event
            else:
                open_event = Event(int(series), int(t), int(t), direction, (int(t),))
                found.append(open_event)
    return sorted(found, key=lambda event: (event.start, event.series))


class Walk:
    """All series on their way through the days; `step` each day from LEARN_DAYS on, in order."""

    def __init__(self, history: History, quiet_days: Collection[date] = (), k: float = SENSITIVITY) -> None:
        self.net, self.gross, self.charges, self.days, self.k = (
            history.net, history.gross, history.charges, history.days, k,
        )  # fmt: skip
        self.account, self.complete_through = history.account, history.complete_through
        self.weekday = np.array([day.weekday() for day in self.days])
        self.quiet = np.array([day in quiet_days for day in self.days])
        net = history.net
        n, length = net.shape
        self.clean = net.astype(np.float64, copy=True)
        """The costs at today's level, without what was off or comes once a month: what tomorrow is judged by."""
        self.flagged = np.zeros((n, length), np.bool_)
        self.score = np.zeros((n, length))
        self.expected = np.full((n, length), np.nan)
        self.deviation = np.full((n, length), np.nan)
        self.followed_on = np.full(n, -STAYS_WITHIN_DAYS - 1)
        self.level_before = np.zeros(n)
        self.known_until = np.full(n, -1)
        self.min_amount = np.full(n, MIN_AMOUNT)

    def step(self, t: int) -> None:
        """Judge day t of every series by the days before it."""
        history = self.clean[:, max(0, t - MEMORY_DAYS) : t]
        account_costs = np.median(self.net[self.account, max(0, t - MEMORY_DAYS) : t], axis=1)
        self.min_amount = np.maximum(MIN_AMOUNT, MIN_SHARE_OF_ACCOUNT * account_costs)
        shape = seasons.week_shape(history, self.weekday[:t])
        level, usual = self._level(history, shape, t)
        scale = self._usual_deviation(t)
        recurs, monthly_cost = self._monthly(level, usual, shape, scale, t)
        expected = np.where(recurs, monthly_cost, usual)
        cost = self.net[:, t]
        base = np.maximum(np.maximum(expected, 0.25 * level), _TINY)
        relative = (cost - expected) / base
        score = relative / scale / np.where(recurs, 3.0, 1.0)  # a monthly charge is known less exactly than a level
        off = (np.abs(score) > self.k) & (np.abs(cost - expected) > self.min_amount) & (np.abs(relative) > MIN_SHARE)
        off &= ~((cost < expected) & (self.quiet[t] | self._arriving(t)))
        off = np.where(self._silent(t), self._louder_than_ever(t), off)
        back = off & self._is_back(cost, shape[:, self.weekday[t]], t)
        off &= ~back

        crept, before = self._crept(shape, t)
        crept &= ~off & ~back
        self.expected[:, t] = np.where(crept, before * shape[:, self.weekday[t]], expected)
        self.score[:, t], self.flagged[:, t] = score, off | crept
        self.deviation[:, t] = np.clip(relative, -self.k * scale, self.k * scale) if self._settled(t) else (
            np.clip(relative, -1, 1)
        )  # fmt: skip
        # Neither an outlier nor a monthly charge may move the level that the next days are judged by.
        self.clean[:, t] = np.where(off | recurs | self.quiet[t], np.where(recurs, usual, expected), cost)
        self._follow(np.flatnonzero(back), shape, t, 1)
        settled = off & (self.flagged[:, max(0, t + 1 - STAYS_WITHIN_DAYS) : t + 1].sum(1) >= STAYS_AFTER_DAYS)
        settled &= self.followed_on < t - STAYS_WITHIN_DAYS
        self._remember_level(settled & (self.known_until < t), level, t)
        self._follow(np.flatnonzero(settled), shape, t, STAYS_AFTER_DAYS)
        self._remember_level(crept, before, t)

    def _crept(self, shape: Series, t: int) -> tuple[Flags, Row]:
        """Whether the last week is far above the weeks before the last three, with no day that was; and those weeks.

        A level that rises a little every day is learned as fast as it rises.
        """
        if not self._settled(t):
            return np.zeros(len(self.net), np.bool_), np.zeros(len(self.net))
        flat = self.net[:, max(0, t - MEMORY_DAYS) : t + 1] / shape[:, self.weekday[max(0, t - MEMORY_DAYS) : t + 1]]
        now, before = np.median(flat[:, -7:], 1), np.median(flat[:, :-CREEPS_FOR_DAYS], 1)
        rose = now - before
        far = (rose > CREPT_BY * before) & (rose > self.min_amount) & (before > self.min_amount)
        goes_on = self.net[:, t] - before * shape[:, self.weekday[t]] > self.min_amount
        return far & goes_on & (t > self.known_until) & ~self._silent(t), before

    def _settled(self, t: int) -> bool:
        return t - LEARN_DAYS >= SETTLE_DAYS

    def _level(self, history: Series, shape: Series, t: int) -> tuple[Row, Row]:
        """The level of the last week, and what day t costs at it with the drift of the last two."""
        flat = history[:, -14:] / shape[:, self.weekday[t - 14 : t]]
        last_week, fortnight = np.median(flat[:, -7:], 1), np.median(flat, 1)
        drift = np.clip((last_week - fortnight) / 3.5, -0.02 * fortnight, 0.02 * fortnight)
        return last_week, (last_week + 3 * drift) * shape[:, self.weekday[t]]

    def _monthly(self, level: Row, usual: Row, shape: Series, scale: Row, t: int) -> tuple[Flags, Row]:
        """Whether the series jumps on this day of every month, and to what."""
        flat = self.net[:, :t] / shape[:, self.weekday[:t]]
        noticeable = np.maximum(seasons.NOTICEABLE, np.minimum(2 * scale, 0.5))
        found = seasons.jumps(flat, self.days[:t], self.days[t], self.flagged[:, :t], self.quiet[:t], noticeable)
        growth = np.where(level > 0, np.clip(level / np.maximum(found.level, _TINY), 0.3, 3), 1.0)
        cost = usual + found.height * growth * shape[:, self.weekday[t]]
        # What only one month shows is believed when it comes, and not missed when it does not.
        comes = np.abs(self.net[:, t] - cost) < np.abs(self.net[:, t] - usual)
        recurs = found.recurs & (found.surely | comes)
        return recurs, np.where(recurs, cost, usual)

    def _usual_deviation(self, t: int) -> Row:
        if not self._settled(t):
            return np.full(len(self.net), np.inf)
        seen = np.abs(self.deviation[:, max(LEARN_DAYS, t - MEMORY_DAYS) : t])
        return np.asarray(np.maximum(1.4826 * np.nanmedian(seen, axis=1), USUAL_FLOOR), np.float64)

    def _arriving(self, t: int) -> Flags:
        """Series of which rows may still be on their way: fewer than in each of three weeks, and the day is young.

        A fall can wait: whoever is hurt by an outage knows before the bill does.
        """
        if (self.complete_through - self.days[t]).days >= ARRIVES_WITHIN_DAYS:
            return np.zeros(len(self.net), np.bool_)
        same_weekday = self.charges[:, [t - 7, t - 14, t - 21]]
        return np.asarray(self.charges[:, t] < same_weekday.min(1), np.bool_)

    def _silent(self, t: int) -> Flags:
        """Series that cost next to nothing on over a quarter of their days: a weekday index means nothing there."""
        gross = self.gross[:, max(0, t - MEMORY_DAYS) : t]
        loudest = self.gross[:, max(0, t - 90) : t].max(1, keepdims=True)
        return np.asarray((gross <= 0.02 * loudest + 1e-6).mean(1) > SILENT_SHARE, np.bool_)

    def _louder_than_ever(self, t: int) -> Flags:
        loudest = self.net[:, max(0, t - 90) : t].max(1)
        heard = (self.net[:, max(0, t - MEMORY_DAYS) : t] > 0).sum(1) >= 5
        return np.asarray((self.net[:, t] > 2 * loudest) & (self.net[:, t] > self.min_amount) & heard, np.bool_)

    def _is_back(self, cost: Row, weekday: Row, t: int) -> Flags:
        before = self.level_before * weekday
        near = np.abs(cost - before) <= np.maximum(0.25 * np.abs(before), self.min_amount)
        return np.asarray((t <= self.known_until) & near, np.bool_)

    def _remember_level(self, which: Flags, level: Row, t: int) -> None:
        """Keep the level of before the first day off."""
        self.level_before = np.where(which, level, self.level_before)
        self.known_until = np.where(which, t + RETURNS_WITHIN_DAYS, self.known_until)

    def _follow(self, which: npt.NDArray[np.int64], shape: Series, t: int, lasted: int) -> None:
        """Take the last days as the level of these series: rescale their past to it."""
        for i in which:
            first = max(LEARN_DAYS, t - lasted + 1)
            past = slice(max(0, first - MEMORY_DAYS), first)
            level_now = float(np.median(self.net[i, first : t + 1] / shape[i, self.weekday[first : t + 1]]))
            level_past = float(np.median(self.clean[i, max(0, first - 14) : first]))
            if level_past > 0.2 * level_now:
                self.clean[i, past] *= level_now / level_past
            else:  # credits paid for everything, so the shape of its week is in the costs before them
                before_credits = self.gross[i, past]
                self.clean[i, past] = before_credits * level_now / max(_TINY, float(np.median(before_credits)))
                self.deviation[i, past] = UNKNOWN_DEVIATION
            self.clean[i, first : t + 1] = self.net[i, first : t + 1]
            self.followed_on[i] = t
