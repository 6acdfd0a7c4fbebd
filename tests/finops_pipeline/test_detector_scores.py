"""How many of the sample's injected anomalies are found, and how often an alarm is false.

The detector was tuned on seeds 7, 11, 21 and 2026 (the demo's), and what 101, 202 and 303 showed led to two of its
rules. Nothing in it was changed because of the seeds below.
"""

import csv
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import duckdb
import holidays
import numpy as np
import pytest
from helpers.proofs import count

from finops_insights.detect import LEARN_DAYS, SETTLE_DAYS, Event, detect, events
from finops_pipeline.cost_series import CostSeries, SeriesKey, watched
from finops_pipeline.sample_export import SampleExport, write_sample_export

NAMED = [404, 505, 606]
SEEDS = [*NAMED, *range(1000, 1000 + count(0, 12))]
DAYS = 120
LAST_EXPORT_DAY = date(2026, 11, 23)
COMPLETE_THROUGH = LAST_EXPORT_DAY - timedelta(days=2)
DAYS_A_MONTH = 30.4

SERIES = """
    with rows as (
        select
            *, (usage_start_time at time zone 'America/Los_Angeles')::date as usage_day,
            row_number() over (partition by charge::text) as occurrence,
            coalesce(list_sum(list_transform(credits, lambda c: c.amount)), 0) as credit,
            coalesce(list_sum(list_transform(
                list_filter(credits, lambda c: c.type = 'SUSTAINED_USAGE_DISCOUNT'), lambda c: c.amount
            )), 0) as sustained
        from read_parquet(?) as charge
        where cost_type = 'regular'
    )
    select
        billing_account_id, currency, project.id, service.description,
        usage_day,
        sum(cost + credit)::double,
        (sum(sustained) + coalesce(sum(cost + credit) filter (where occurrence > 1), 0))::double,
        sum(cost)::double, count(*)::double
    from rows where usage_day <= ? group by 1, 2, 3, 4, 5 order by usage_day
"""


class Truth(NamedTuple):
    """An injected anomaly."""

    anomaly_id: str
    account: str
    project: str
    service: str
    start: date
    end: date


@dataclass(frozen=True)
class Score:
    """What a detector made of a sample."""

    injected: int
    found: int
    false_alerts: int
    series_months: float

    @property
    def false_per_hundred(self) -> float:
        """False alerts in a hundred months of series that can be judged."""
        return 100 * self.false_alerts / self.series_months


def series_of(sample: SampleExport) -> CostSeries:
    """The sample's series as the warehouse would give them."""
    files = str(sample.table_dir / "*" / "*.parquet")
    rows = duckdb.connect().execute(SERIES, [files, COMPLETE_THROUGH]).fetchall()
    days = [rows[0][4] + timedelta(days=i) for i in range((COMPLETE_THROUGH - rows[0][4]).days + 1)]
    keys = sorted({SeriesKey(*row[:4]) for row in rows}, key=str)
    place = {key: i for i, key in enumerate(keys)}
    cube = np.zeros((4, len(keys), len(days)))
    for row in rows:
        cube[:, place[SeriesKey(*row[:4])], (row[4] - days[0]).days] = row[5:]
    used, explained, gross, charges = cube
    return CostSeries(days, keys, {}, {}, used, used, explained, gross, charges)


def injected(truth: Path, last_day: date) -> list[Truth]:
    """The anomalies of the answer key that had begun; its look-alikes are none."""
    with truth.open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["is_anomaly"] == "true"]
    found = [
        Truth(
            row["anomaly_id"], row["billing_account_id"], row["project_id"], row["service"],
            date.fromisoformat(row["start_day"]), date.fromisoformat(row["end_day"]),
        )
        for row in rows
    ]  # fmt: skip
    return [truth for truth in found if truth.start <= last_day]


def score(sample: SampleExport) -> Score:
    """Every event that touches no injected anomaly of its account, project and service is a false alert."""
    series = series_of(sample)
    history, keys = watched(series, COMPLETE_THROUGH)
    quiet = holidays.country_holidays("US", years=[2026])
    found = detect(history, {day for day in series.days if day in quiet})
    truths = injected(sample.truth_dir / "anomalies.csv", COMPLETE_THROUGH)
    hits = [_hit(event, keys[event.series], series.days, truths) for event in events(found, history.net)]
    named = {
        truth.anomaly_id
        for event, hit in zip(events(found, history.net), hits, strict=True)
        for truth in hit
        if event.series < len(series.keys)
    }
    months = len(keys) * (len(series.days) - LEARN_DAYS - SETTLE_DAYS) / DAYS_A_MONTH
    return Score(len(truths), len(named), sum(not hit for hit in hits), months)


def _hit(event: Event, key: SeriesKey, days: object, truths: list[Truth]) -> list[Truth]:
    first, last = days[event.start], days[event.last]  # type: ignore[index]
    account, _, project, service = key
    is_account = project is None and service is None
    return [
        truth
        for truth in truths
        if truth.account == account
        and (is_account or (truth.project == project and truth.service in ("", service)))
        and truth.start <= last
        and truth.end >= first
    ]


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Score]:
    """The score of each seed."""
    found = {}
    for seed in SEEDS:
        folder = tmp_path_factory.mktemp(f"seed-{seed}")
        sample = write_sample_export(folder, days=DAYS, rows_per_day=1500, seed=seed, last_export_day=LAST_EXPORT_DAY)
        found[seed] = score(sample)
    return found


def test_four_in_five_injected_anomalies_are_found(scores: dict[int, Score]) -> None:
    """Of every seed, by the project and service they are in."""
    for seed, found in scores.items():
        assert found.injected >= 10
        assert found.found >= 0.8 * found.injected, (seed, found)


def test_an_alarm_is_false_less_than_once_in_a_hundred_series_months(scores: dict[int, Score]) -> None:
    """Look-alikes, late rows and rows that occur twice among them: an alarm that cries wolf is switched off.

    On each of the named seeds, and over all of them: four alarms in the 341 series-months of one seed are chance.
    """
    for seed in NAMED:
        assert scores[seed].false_per_hundred <= 1.0, (seed, scores[seed])
    alerts = sum(found.false_alerts for found in scores.values())
    months = sum(found.series_months for found in scores.values())
    assert 100 * alerts / months <= 1.0, scores
