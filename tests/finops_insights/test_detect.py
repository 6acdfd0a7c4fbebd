"""Which days are anomalies: what cost data does every week and month is none, what breaks with its past is one."""

from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_insights.detect import LEARN_DAYS, Detection, History, detect, events

FIRST = date(2026, 7, 1)
DAYS = [FIRST + timedelta(days=i) for i in range(130)]
Costs = npt.NDArray[np.float64]


def usual(level: float = 200.0, weekend: float = 0.6, noise: float = 0.03, seed: int = 0) -> Costs:
    """An ordinary series: a week with quiet weekends, and a little chance."""
    shape = np.array([1.0 if day.weekday() < 5 else weekend for day in DAYS])
    return np.asarray(level * shape * (1 + np.random.default_rng(seed).normal(0, noise, len(DAYS))), np.float64)


def history(*series: Costs, gross: Costs | None = None, charges: Costs | None = None) -> History:
    """The series of one account; the last one is its total."""
    net = np.vstack([*series, np.sum(series, axis=0)])
    return History(
        days=DAYS,
        net=net,
        gross=net if gross is None else np.vstack([gross, gross]),
        charges=np.ones_like(net) if charges is None else np.vstack([charges, charges]),
        account=np.full(len(net), len(net) - 1),
        complete_through=DAYS[-1],
    )


def flagged(found: Detection, series: int = 0) -> list[int]:
    """The days flagged in a series."""
    return np.flatnonzero(found.flagged[series]).tolist()


@pytest.mark.parametrize("seed", range(20))
def test_an_ordinary_week_is_no_anomaly(seed: int) -> None:
    """Quiet weekends and a little noise, for four months, on twenty draws."""
    assert flagged(detect(history(usual(seed=seed)))) == []


@pytest.mark.parametrize("day", [60, 64, 101])
def test_a_spike_is_found_on_its_day(day: int) -> None:
    """A query without a filter: three times the cost, on a weekday or a Sunday, and nothing after it."""
    costs = usual()
    costs[day] *= 3

    assert flagged(detect(history(costs))) == [day]


def test_an_outage_is_found_as_a_fall() -> None:
    """Publishing stopped for two days."""
    costs = usual()
    costs[80:82] *= 0.2
    found = detect(history(costs))

    [event] = [event for event in events(found, history(costs).net) if event.series == 0]
    assert (event.start, event.last, event.direction) == (80, 81, -1)


def test_a_new_level_is_news_for_five_days_and_going_back_is_none() -> None:
    """After that it is the level; and its end was to be expected since its beginning."""
    costs = usual()
    costs[70:90] *= 1.8

    assert flagged(detect(history(costs))) == [70, 71, 72, 73, 74]


def test_what_comes_every_month_is_expected() -> None:
    """The books are closed on the last two days of each month; months differ in length."""
    costs = usual()
    for i, day in enumerate(DAYS):
        if (day + timedelta(days=2)).day <= 2:
            costs[i] *= 2.5
    found = detect(history(costs))

    assert [i for i in flagged(found) if DAYS[i] >= date(2026, 9, 1)] == []


def test_a_fee_once_a_month_is_no_anomaly() -> None:
    """A series that is silent on other days has no level to be off from."""
    costs = np.array([1500.0 if day.day == 1 else 0.0 for day in DAYS])

    assert flagged(detect(history(usual(8000), costs)), series=1) == []


def test_the_end_of_a_credit_is_found_though_nothing_was_billed_before() -> None:
    """Credits paid for everything, so the series was billed at nothing, and was not silent."""
    gross = usual(250)
    net = gross.copy()
    net[:75] = 0
    found = detect(history(net, gross=gross))

    assert flagged(found)[0] == 75
    assert max(flagged(found)) < 75 + 7, "and soon the new cost is the usual one"


def test_a_fall_waits_while_rows_may_be_late() -> None:
    """A day with fewer rows than in each of three weeks is not called cheap before they had two weeks to come."""
    costs, charges = usual(), np.full(len(DAYS), 50.0)
    for day in (90, 125):
        costs[day] *= 0.3
        charges[day] = 30

    assert flagged(detect(history(costs, charges=charges))) == [90]


def test_a_fall_with_all_its_rows_does_not_wait() -> None:
    """The rows are there and cheaper: that is the news."""
    costs = usual()
    costs[125] *= 0.3

    assert flagged(detect(history(costs, charges=np.full(len(DAYS), 50.0)))) == [125]


def test_a_quiet_holiday_is_no_fall_and_an_expensive_one_is_a_rise() -> None:
    """Everybody knows why it was quiet; nobody would know why it was not."""
    quiet, loud = usual(), usual()
    quiet[88] *= 0.5
    loud[88] *= 2

    assert flagged(detect(history(quiet), {DAYS[88]})) == []
    assert flagged(detect(history(loud), {DAYS[88]})) == [88]


def test_a_cost_that_creeps_up_is_found() -> None:
    """Seven percent a day is learned as fast as it rises; the weeks before know better."""
    costs = usual(noise=0.1)
    costs[80:92] *= np.linspace(1.05, 1.9, 12)
    costs[92:] *= 1.9

    found = flagged(detect(history(costs)))
    assert found
    assert 80 <= found[0] < 98


def test_small_change_is_nobodys_hour() -> None:
    """A small service of a large account doubles: less than 0.2 % of the account."""
    small = usual(8)
    small[100] *= 2

    assert flagged(detect(history(usual(9000, seed=3), small)), series=1) == []
    assert flagged(detect(history(small)), series=0) == [100]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    until=st.integers(LEARN_DAYS + 20, 129),
    bumps=st.lists(st.tuples(st.integers(30, 129), st.floats(0, 5)), max_size=6),
)
def test_a_day_is_judged_by_its_past_alone(seed: int, until: int, bumps: list[tuple[int, float]]) -> None:
    """What comes later never changes what a reader was told, so a backfill tells what the sensor would have told."""
    costs = usual(seed=seed)
    for day, factor in bumps:
        costs[day] *= factor
    whole = history(costs)
    part = History(
        DAYS[:until], whole.net[:, :until], whole.gross[:, :until], whole.charges[:, :until], whole.account, DAYS[-1]
    )

    np.testing.assert_array_equal(detect(whole).flagged[:, :until], detect(part).flagged)


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(1, 1e6), day=st.integers(45, 129), factor=st.floats(2, 20))
def test_a_spike_is_found_in_any_currency(scale: float, day: int, factor: float) -> None:
    """Yen have more digits than dollars and the same anomalies."""
    costs = usual(level=100 * scale)
    costs[day] *= factor

    assert day in flagged(detect(history(costs)))
