"""What goes wrong, and what only looks as if it did: the answer key of the sample.

Anomalies start after a warm-up and then come every five to seven days, each in another project and service, for as long
as the export lasts. Look-alikes have a reason a reader of the calendar knows: the month's end, a holiday, a launch, an
announced price.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from typing import Literal, NamedTuple

from finops_pipeline.sample_export.catalog import SKUS
from finops_pipeline.sample_export.chance import chance
from finops_pipeline.sample_export.days import last_of_month, us_holiday
from finops_pipeline.sample_export.demand import MONTH_END_BATCH, ordinary_meters
from finops_pipeline.sample_export.estate import (
    EUR_ACCOUNT,
    LAUNCHED_PROJECT,
    PROJECT_NUMBER,
    PROJECTS,
    USD_ACCOUNT,
    Account,
    Milestones,
)
from finops_pipeline.sample_export.prices import NEW_PRICE_PERCENT

WARM_UP_DAYS = 36
STEP_STAYS_DAYS, STEP_FADES_DAYS = 60, 30
HOLIDAY_DEMAND = 0.62

Kind = Literal[
    "spike",
    "burst",
    "level step",
    "ramp",
    "egress burst",
    "new sku",
    "drop",
    "credit expiry",
    "month-end batch",
    "holiday dip",
    "launch",
    "price change",
    "monthly fee",
]


@dataclass(frozen=True)
class Event:
    """One entry of the answer key. `project` and `sku` are None where it concerns all of them."""

    event_id: str
    is_anomaly: bool
    kind: Kind
    account: Account
    project: str | None
    service: str
    sku: str | None
    start: date
    end: date
    factor: float
    description: str

    @property
    def wakes(self) -> bool:
        """Whether it makes something run that otherwise costs nothing."""
        return self.kind in ("egress burst", "new sku")

    @property
    def sku_description(self) -> str:
        """The SKU as the export names it; empty where all of the service's are concerned."""
        key = (self.project, self.sku, self.wakes)
        named = (m.offer.description for m in ordinary_meters() if (m.project.project_id, m.sku, m.dormant) == key)
        return next(named, "")

    def factor_on(self, day: date) -> float:
        """How many times its usual cost the scope has that day."""
        age = (day - self.start).days
        if age < 0 or (day > self.end and self.kind != "level step"):
            return 1.0
        if self.kind == "level step":
            faded = min(max((age - STEP_STAYS_DAYS) / STEP_FADES_DAYS, 0.0), 1.0)
            return 1 + (self.factor - 1) * (1 - faded)
        if self.kind == "ramp":
            return 1 + (self.factor - 1) * (age + 1) / ((self.end - self.start).days + 1)
        return self.factor


class _Mishap(NamedTuple):
    kind: Kind
    project: str
    sku: str
    whole_service: bool
    days: int
    factor: float
    story: str


# The first eight are one of each kind, so that a quarter of a year shows them all.
_MISHAPS = (
    _Mishap("spike", "nw-warehouse", "analysis", False, 1, 3.1, "A query without a partition filter ran all day."),
    _Mishap("level step", "nw-checkout-prod", "run cpu", True, 7, 1.75, "Minimum instances were left at forty."),
    _Mishap("egress burst", "nw-data-lake", "region egress", False, 2, 1.0, "A copy job read the lake from afar."),
    _Mishap("ramp", "nw-observability", "logs", True, 10, 2.9, "Debug logging was left on and spread."),
    _Mishap("credit expiry", "nw-sandbox", "", False, 7, 1.0, "The promotional credit ran out."),
    _Mishap("new sku", "nw-ml-training", "h100", False, 5, 1.0, "H100 machines were started for a trial and kept."),
    _Mishap("drop", "nw-events", "pubsub", True, 2, 0.2, "Publishing stopped: an outage, not a saving."),
    _Mishap("burst", "nw-ci", "build", True, 3, 2.6, "A failing build retried itself for days."),
    _Mishap("spike", "nw-eu-analytics", "analysis", False, 1, 3.4, "A dashboard re-read every partition."),
    _Mishap("burst", "nw-ml-serving", "prediction", True, 3, 2.1, "A client resent every prediction request."),
    _Mishap("level step", "nw-eu-shop-prod", "run cpu", True, 7, 1.8, "A release doubled the memory of a service."),
    _Mishap("new sku", "nw-eu-payments", "t4", False, 4, 1.0, "Graphics cards were attached by mistake."),
    _Mishap("ramp", "nw-eu-backup", "snapshot", False, 10, 2.6, "Snapshots stopped being deleted."),
    _Mishap("egress burst", "nw-checkout-prod", "region egress", False, 3, 2.4, "A replica was read across an ocean."),
    _Mishap("drop", "nw-search-prod", "redis", True, 2, 0.15, "The cache was down."),
    _Mishap("burst", "nw-data-lake", "class a", False, 4, 4.2, "A job listed the same bucket in a loop."),
)
_MISHAPS_OF_EVERY_KIND = 8


class Schedule:
    """All events up to a last day. A later last day adds events and changes none."""

    def __init__(self, milestones: Milestones, seed: int, last_day: date) -> None:
        self._first_day = milestones.first_day
        self._milestones = milestones
        self._seed = seed
        self._last_day = last_day
        everything = [*self._anomalies(), *self._look_alikes()]
        self.events = sorted((e for e in everything if e.start <= last_day), key=lambda e: (e.start, e.event_id))

    @property
    def credit_expiry(self) -> date:
        """The first day the sandbox pays for itself; the far future while that is not yet in sight."""
        return next((event.start for event in self.events if event.kind == "credit expiry"), date.max)

    def _anomalies(self) -> Iterator[Event]:
        start = self._first_day + timedelta(days=WARM_UP_DAYS)
        for number in count():
            if start > self._last_day:
                return
            mishap = self._mishap(number)
            if mishap.kind == "credit expiry" and number >= len(_MISHAPS):
                continue  # what ran out once cannot run out again
            yield _as_event(mishap, number, start)
            start += timedelta(days=int(chance(self._seed, f"gap {number}").integers(5, 8)))

    def _mishap(self, number: int) -> _Mishap:
        """Each round through the list has its own order; the first begins with one of every kind."""
        turn, position = divmod(number, len(_MISHAPS))
        shuffle = chance(self._seed, f"mishaps {turn}").permutation
        early = [*shuffle(_MISHAPS_OF_EVERY_KIND)]
        late = [*(shuffle(len(_MISHAPS) - _MISHAPS_OF_EVERY_KIND) + _MISHAPS_OF_EVERY_KIND)]
        return _MISHAPS[int((early + late)[position])]

    def _look_alikes(self) -> Iterator[Event]:
        day = self._first_day
        while day <= self._last_day:
            if day == last_of_month(day) - timedelta(days=1):
                yield from _month_end(day)
            if day.day == 1:
                yield _look_alike("monthly fee", USD_ACCOUNT, None, "support", day, day, 1.0, "Support, once a month.")
            holiday = us_holiday(day)
            if holiday:
                yield _holiday(day, holiday)
            day += timedelta(days=1)
        yield from self._announced()

    def _announced(self) -> Iterator[Event]:
        launch, change = self._milestones.project_launched, self._milestones.price_changed
        week = timedelta(days=6)
        story = "A product announced for this day was launched."
        yield _look_alike("launch", USD_ACCOUNT, LAUNCHED_PROJECT, "run cpu", launch, launch + week, 1.0, story)
        for account in (USD_ACCOUNT, EUR_ACCOUNT):
            story = f"Google raised Cloud SQL prices by {NEW_PRICE_PERCENT - 100} %, as announced."
            yield _look_alike(
                "price change", account, None, "sql cpu", change, change + week, NEW_PRICE_PERCENT / 100, story
            )


def _as_event(mishap: _Mishap, number: int, start: date) -> Event:
    sku = SKUS[mishap.sku] if mishap.sku else None
    return Event(
        event_id=f"anomaly-{number + 1:03d}",
        is_anomaly=True,
        kind=mishap.kind,
        account=PROJECTS[PROJECT_NUMBER[mishap.project]].account,
        project=mishap.project,
        service=sku.service if sku else "",
        sku=None if mishap.whole_service or not mishap.sku else mishap.sku,
        start=start,
        end=start + timedelta(days=mishap.days - 1),
        factor=mishap.factor,
        description=mishap.story,
    )


def _look_alike(
    kind: Kind, account: Account, project: str | None, sku: str, start: date, end: date, factor: float, story: str
) -> Event:
    event_id = f"{kind.replace(' ', '-')}-{account.currency.lower()}-{start}"
    one_sku = sku if kind == "month-end batch" else None
    return Event(event_id, False, kind, account, project, SKUS[sku].service, one_sku, start, end, factor, story)


def _month_end(day: date) -> Iterator[Event]:
    for (project, sku), factor in MONTH_END_BATCH.items():
        account = PROJECTS[PROJECT_NUMBER[project]].account
        end = day + timedelta(days=1)
        yield _look_alike("month-end batch", account, project, sku, day, end, factor, "The books are closed.")


def _holiday(day: date, name: str) -> Event:
    story = f"{name}: fewer people work and shop."
    return Event(
        f"holiday-usd-{day}", False, "holiday dip", USD_ACCOUNT, None, "", None, day, day, HOLIDAY_DEMAND, story
    )
