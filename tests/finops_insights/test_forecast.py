"""Forecasts: the days ahead, their intervals, and what comes once a month."""

from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pytest

from finops_insights.forecast import HORIZON_DAYS, MODEL, calendar_of, outlook

FIRST = date(2026, 7, 1)
Costs = npt.NDArray[np.float64]
NOTHING_DUE = np.zeros(HORIZON_DAYS)


def days(count: int) -> list[date]:
    """Neighbouring days from the first one."""
    return [FIRST + timedelta(days=i) for i in range(count)]


def usual(count: int, seed: int = 0, noise: float = 0.05) -> Costs:
    """A week with quiet weekends."""
    shape = np.array([1.0 if day.weekday() < 5 else 0.5 for day in days(count)])
    return np.asarray(100 * shape * (1 + np.random.default_rng(seed).normal(0, noise, count)), np.float64)


def test_the_shape_of_the_week_goes_on() -> None:
    """The next Sunday costs what Sundays cost."""
    costs = usual(100)
    found = outlook(costs, costs, NOTHING_DUE, seed=1)

    assert found is not None
    assert (found.model, found.status) == (MODEL, "ok")
    ahead = [FIRST + timedelta(days=100 + i) for i in range(HORIZON_DAYS)]
    for day, expected in zip(ahead, found.expected, strict=True):
        assert expected == pytest.approx(100 if day.weekday() < 5 else 50, rel=0.15)


def test_intervals_hold_what_comes() -> None:
    """On fifty series of one kind: the 95 % interval holds about 95 % of the days, and the 80 % one fewer."""
    held = {"80": 0, "95": 0}
    for seed in range(50):
        costs = usual(121, seed)
        found = outlook(costs[:90], costs[:90], NOTHING_DUE, seed=seed)
        assert found is not None
        bounds = found.daily_bounds()
        for level in held:
            inside = (costs[90:] >= bounds[f"low_{level}"]) & (costs[90:] <= bounds[f"high_{level}"])
            held[level] += int(inside.sum())

    assert 0.92 <= held["95"] / (50 * 31) <= 0.995
    assert 0.75 <= held["80"] / (50 * 31) < held["95"] / (50 * 31)


def test_the_interval_of_a_sum_is_narrower_than_the_sum_of_intervals() -> None:
    """Good and bad days make up for each other; added daily bounds would say that a month is unknowable."""
    costs = usual(100)
    found = outlook(costs, costs, NOTHING_DUE, seed=1)

    assert found is not None
    daily, month = found.daily_bounds(), found.bounds(0, 30)
    assert month["high_95"] - month["low_95"] < 0.97 * (daily["high_95"][:30] - daily["low_95"][:30]).sum()
    assert month["low_95"] <= month["low_80"] <= found.expected[:30].sum() <= month["high_80"] <= month["high_95"]


def test_a_monthly_charge_comes_back_on_its_day() -> None:
    """Counted from the month's start (a fee) and from its end (the tax), whatever the month's length."""
    known = days(120)
    costs = np.zeros((2, 120))
    for i, day in enumerate(known):
        costs[0, i] = 1500 if day.day == 1 else 0
        costs[1, i] = 900 if (day + timedelta(days=1)).day == 1 else 0
    ahead = [known[-1] + timedelta(days=i + 1) for i in range(HORIZON_DAYS)]

    due = calendar_of(costs, known, ahead, np.zeros(costs.shape, np.bool_), np.zeros(120, np.bool_))

    assert {day: amount for day, amount in zip(ahead, due[0], strict=True) if amount} == {date(2026, 11, 1): 1500}
    assert {day: amount for day, amount in zip(ahead, due[1], strict=True) if amount} == {date(2026, 10, 31): 900}


def test_weekends_are_no_monthly_charge() -> None:
    """The 1st of last month was a Sunday: that says nothing of the 1st of this one."""
    known = days(70)
    ahead = [known[-1] + timedelta(days=i + 1) for i in range(HORIZON_DAYS)]

    assert not calendar_of(usual(70)[None, :], known, ahead, np.zeros((1, 70), np.bool_), np.zeros(70, np.bool_)).any()


def test_one_anomaly_is_no_monthly_charge() -> None:
    """Last month's outage is not forecast for this month; two outages on the same day of the month would be."""
    known = days(115)
    costs, told = usual(115)[None, :].copy(), np.zeros((1, 115), np.bool_)
    ahead = [known[-1] + timedelta(days=i + 1) for i in range(HORIZON_DAYS)]
    quiet = np.zeros(115, np.bool_)
    for month, due in ((9, False), (10, True)):
        day = known.index(date(2026, month, 15))
        costs[0, day], told[0, day] = 0, True

        so_far = slice(0, day + 9)
        assert calendar_of(costs[:, so_far], known[so_far], ahead, told[:, so_far], quiet[so_far]).any() == due


def test_too_few_days_say_nothing_and_a_few_say_so() -> None:
    """Thirteen days give no forecast; three weeks give one that calls itself little known."""
    assert outlook(usual(13), usual(13), NOTHING_DUE, seed=1) is None
    found = outlook(usual(21), usual(21), NOTHING_DUE, seed=1)

    assert found is not None
    assert found.status == "low_history"


def test_costs_do_not_become_credits_by_themselves() -> None:
    """A small noisy cost is forecast at no less than nothing; a credit may stay one."""
    costs = np.abs(np.random.default_rng(4).normal(0.5, 2, 90))
    small = outlook(costs, costs, NOTHING_DUE, seed=1)
    credit = outlook(-usual(90), -usual(90), NOTHING_DUE, seed=1)

    assert small is not None
    assert credit is not None
    assert small.paths.min() >= 0
    assert credit.expected.max() < 0


def test_the_same_days_give_the_same_forecast() -> None:
    """A rebuild that changes no input changes no figure."""
    costs = usual(90)
    first, again = (outlook(costs, costs, NOTHING_DUE, seed=7) for _ in range(2))

    assert first is not None
    assert again is not None
    np.testing.assert_array_equal(first.paths, again.paths)
