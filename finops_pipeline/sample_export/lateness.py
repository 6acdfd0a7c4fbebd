"""When a charge reaches the export, on which invoice that puts it, and what is put right weeks later.

Most rows arrive within hours, one in a hundred days late. A row that misses its month's cut-off, and every correction,
belongs to the invoice of the month it is exported in: an invoice that was sent never changes.
"""

from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from finops_pipeline.sample_export.chance import chance
from finops_pipeline.sample_export.charges import ADJUSTMENT, Charges, Mask
from finops_pipeline.sample_export.days import (
    DAY,
    EPOCH,
    HOUR,
    first_of_next_month,
    invoice_cut_off,
    month_number,
    utc_midnight,
)
from finops_pipeline.sample_export.fleet import Fleet

BATCH = HOUR // 4
"""The export is appended to four times an hour; all rows of one append carry the same instant."""
LATE_SHARE = 0.01
LONGEST_CORRECTION_DAYS = 45
CHARGES_PER_CORRECTION = 600
CHARGES_PER_DUPLICATE = 2_000
MOST_CORRECTIONS = 50
"""How many times as many corrections and late charges can be asked for: half of all charges are days late by then."""
RERATED_WORKLOAD_CHANCE = 1 / 14


class Adjustment(NamedTuple):
    """The `adjustment_info` of a row."""

    adjustment_id: str
    description: str
    mode: str
    type: str


ADJUSTMENTS = (
    Adjustment("ADJ-4811", "Usage was counted twice.", "COMPLETE_NEGATION_WITH_REMONETIZATION", "USAGE_CORRECTION"),
    Adjustment("ADJ-4812", "The price was corrected.", "COMPLETE_NEGATION_WITH_REMONETIZATION", "PRICE_CORRECTION"),
    Adjustment("ADJ-4813", "Usage was charged in error.", "COMPLETE_NEGATION", "USAGE_CORRECTION"),
    Adjustment("ADJ-4814", "Part of the usage was not yours.", "PARTIAL_CORRECTION", "USAGE_CORRECTION"),
    Adjustment("ADJ-4821", "Goodwill after a support case.", "MANUAL_ADJUSTMENT", "GOODWILL"),
    Adjustment("ADJ-4822", "Availability was below the agreement.", "MANUAL_ADJUSTMENT", "SLA_VIOLATION"),
    Adjustment("ADJ-4823", "Account adjustment.", "MANUAL_ADJUSTMENT", "GENERAL_ADJUSTMENT"),
)
(RECOUNTED, REPRICED, NEGATED, PARTLY_NEGATED, GOODWILL, SLA, GENERAL) = range(len(ADJUSTMENTS))


def append_time(instants: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The first append after each instant."""
    batch = -(-instants // BATCH)
    return batch * BATCH + batch * 2_654_435_761 % 53_000_017


class Lateness:
    """Gives the charges of a usage day their export times, and adds what follows from them."""

    def __init__(self, fleet: Fleet, seed: int, corrections: int = 1) -> None:
        self._fleet, self._seed, self._corrections_times = fleet, seed, corrections

    def exported(self, charges: Charges, usage_day: date) -> Charges:
        """The day's charges with their export times and invoices, charges that occur twice, and later corrections."""
        late = self._delay(charges, usage_day)
        draw = chance(self._seed, "second thoughts", usage_day)
        ordinary = np.flatnonzero(self._fleet.is_usage[charges["line"]] & (charges["model"] == 0) & ~late)
        count = min(self._corrections_times * (1 + len(ordinary) // CHARGES_PER_CORRECTION), len(ordinary))
        corrected = draw.choice(ordinary, count, replace=False)
        corrections = [self._corrections(charges[np.sort(corrected)], usage_day, draw)]
        workload, to_rerate = self._fleet.workload[charges["line"]], ordinary
        for _ in range(self._corrections_times):
            if len(to_rerate) and draw.random() < RERATED_WORKLOAD_CHANCE:
                is_rerated = workload[to_rerate] == workload[draw.choice(to_rerate)]
                corrections.append(self._rerated(charges[to_rerate[is_rerated]], usage_day, draw))
                to_rerate = to_rerate[~is_rerated]  # a workload is billed again once
        twice = charges[np.sort(draw.choice(ordinary, 1 + len(ordinary) // CHARGES_PER_DUPLICATE, replace=False))]
        return np.concatenate([charges, twice, *corrections])

    def _delay(self, charges: Charges, usage_day: date) -> Mask:
        """Set when each charge is exported and on which invoice; says which charges are days late."""
        draw = chance(self._seed, "delay", usage_day)
        count = len(charges)
        hours = np.minimum(draw.gamma(2.0, 2.5, count), 48.0)
        late_days = draw.uniform(2.0, 10.0, count)
        late: Mask = draw.random(count) < LATE_SHARE * self._corrections_times
        delay = np.where(late, late_days * DAY, hours * HOUR)
        charges["export"] = append_time(charges["end"] + delay.astype(np.int64))
        next_month = month_number(first_of_next_month(usage_day))
        missed = charges["export"] >= invoice_cut_off(usage_day)
        charges["invoice_month"] = np.where(missed, next_month, month_number(usage_day))
        return late

    def _corrections(self, originals: Charges, usage_day: date, draw: np.random.Generator) -> Charges:
        """Each of these charges put right in its own way, on its own later day."""
        lags = draw.integers(1, LONGEST_CORRECTION_DAYS + 1, len(originals))
        reasons = draw.choice([RECOUNTED, REPRICED, NEGATED, PARTLY_NEGATED], len(originals), p=[0.4, 0.3, 0.15, 0.15])
        return np.concatenate(
            [
                _put_right(originals[index : index + 1], int(reason), self._issued(originals, usage_day, int(lag)))
                for index, (lag, reason) in enumerate(zip(lags, reasons, strict=True))
            ]
        )

    def _rerated(self, originals: Charges, usage_day: date, draw: np.random.Generator) -> Charges:
        """A whole workload of that day billed again at a corrected price."""
        return _put_right(originals, REPRICED, self._issued(originals, usage_day, int(draw.integers(5, 22))))

    def _issued(self, originals: Charges, usage_day: date, lag: int) -> date:
        """The day a correction is issued: after the last of its originals was exported."""
        exported = EPOCH + timedelta(days=int(originals["export"].max()) // DAY)
        return max(usage_day + timedelta(days=lag), exported + timedelta(days=1))


def _put_right(originals: Charges, reason: int, issued: date) -> Charges:
    """The rows that correct these: each negated, and billed again where usage or price was wrong."""
    scale = {RECOUNTED: 50, REPRICED: 90, NEGATED: 0, PARTLY_NEGATED: 80}[reason]
    replaced = _scaled(originals, scale, keep_usage=reason == REPRICED)
    negated = _times(originals, -1)
    if reason == PARTLY_NEGATED:
        rows = _sum_of(negated, replaced)
    elif reason == NEGATED:
        rows = negated
    else:
        rows = np.concatenate([negated, replaced])
    # In the middle of the day, so that Pacific and UTC agree on the month it is issued in.
    rows["export"] = append_time(np.int64(utc_midnight(issued) + 10 * HOUR) + np.arange(len(rows)) % 40 * BATCH)
    rows["invoice_month"] = month_number(issued)
    rows["cost_type"], rows["adjustment"] = ADJUSTMENT, reason
    return rows


_AMOUNTS = ("list_cost", "default_cost", "model_list_cost", "cost", "credit_amount")


def _times(charges: Charges, factor: int) -> Charges:
    product = charges.copy()
    for amount in (*_AMOUNTS, "usage"):
        product[amount] *= factor
    return product


def _scaled(charges: Charges, percent: int, *, keep_usage: bool) -> Charges:
    """The charges at a part of their amounts; a price correction leaves the usage as it was."""
    scaled = charges.copy()
    for amount in (*_AMOUNTS, *(() if keep_usage else ("usage",))):
        # Towards zero, so that a credit never comes to more than its cost.
        scaled[amount] = np.sign(scaled[amount]) * (np.abs(scaled[amount]) * percent // 100)
    return scaled


def _sum_of(these: Charges, those: Charges) -> Charges:
    total = these.copy()
    for amount in (*_AMOUNTS, "usage"):
        total[amount] += those[amount]
    return total
