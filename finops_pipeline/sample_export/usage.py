"""What one Pacific usage day costs: demand per line, told apart by hour, priced, committed and credited."""

from datetime import date

import numpy as np
import numpy.typing as npt

from finops_pipeline.sample_export.chance import chance
from finops_pipeline.sample_export.charges import Charges, net, no_charges, reprice
from finops_pipeline.sample_export.commitments import Commitments
from finops_pipeline.sample_export.credits import CreditRules
from finops_pipeline.sample_export.days import HOUR, pacific_clock, pacific_hours
from finops_pipeline.sample_export.estate import ACCOUNTS, EUR_ACCOUNT, USD_ACCOUNT, Milestones
from finops_pipeline.sample_export.events import Event, Schedule
from finops_pipeline.sample_export.fleet import HOURS_A_DAY, Fleet, Line
from finops_pipeline.sample_export.prices import PriceList

DAYS_A_MONTH = 30.0
BUSIEST_HOUR = 14
HOURS_EUROPE_IS_AHEAD = 9

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class UsageModel:
    """Turns a day into charges. It remembers nothing between days, so any day can be asked for at any time."""

    def __init__(self, fleet: Fleet, milestones: Milestones, schedule: Schedule, seed: int) -> None:
        self._fleet, self._milestones, self._seed = fleet, milestones, seed
        self._events = [(event, _scope(fleet, event)) for event in schedule.events]
        self._prices = PriceList(fleet, milestones, seed)
        self._commitments = Commitments(fleet)
        self._credits = CreditRules(fleet, schedule.credit_expiry)
        self._daily = fleet.floats(lambda line: line.daily)
        self._growth = fleet.floats(lambda line: line.swing.monthly_growth)
        self._weekend = fleet.floats(lambda line: line.swing.weekend)
        self._noise = fleet.floats(lambda line: line.swing.noise)
        self._day_night = fleet.floats(lambda line: line.swing.day_night)
        self._month_end = fleet.floats(lambda line: line.month_end)
        self._dormant = fleet.where(lambda line: line.dormant)
        self._hourly = fleet.where(lambda line: line.hourly) & fleet.is_usage
        self._support = fleet.only("support", USD_ACCOUNT, "support")

    def charges_of(self, day: date) -> Charges:
        """Every charge for usage of that day, complete but for when it is exported."""
        hours = pacific_hours(day)
        level = self._level(day)
        hourly = np.flatnonzero(self._hourly & (level > 0))
        daily = np.flatnonzero(self._fleet.is_usage & ~self._hourly & (level > 0))

        by_hour = self._priced(np.repeat(hourly, len(hours)), self._by_hour(day, level, hourly, hours).ravel(), day)
        by_hour["start"] = np.tile(hours, len(hourly))
        by_hour["end"] = by_hour["start"] + HOUR
        by_day = self._priced(daily, level[daily] * len(hours) / HOURS_A_DAY, day)
        by_day["start"], by_day["end"] = hours[0], hours[-1] + HOUR

        fees = self._fees(day, hours)
        by_hour, partly_covered = self._commitments.flexible(by_hour, fees, len(hours))
        charges = np.concatenate([by_hour, partly_covered, by_day, fees])
        self._commitments.older(charges, len(hours))
        self._credits.apply(charges, day)
        return self._named(charges, day)

    def events_on(self, day: date, charges: Charges) -> list[tuple[Event, int, int]]:
        """The events whose own days include this one: what their scope cost, and what it would have without them."""
        answers = []
        for event, scope in self._events:
            if event.start <= day <= event.end:
                concerned = charges[scope[charges["line"]]]
                actual = int(net(concerned).sum())
                answers.append((event, actual, actual - self._excess(event, concerned, event.factor_on(day))))
        return answers

    def _excess(self, event: Event, concerned: Charges, factor: float) -> int:
        """How much of the cost is the event's doing: all of it where there would have been nothing."""
        if event.wakes or event.kind in ("credit expiry", "launch"):
            return int(net(concerned).sum())
        if event.kind == "holiday dip":
            concerned = concerned[self._weekend[concerned["line"]] < 1]
        return round(int(net(concerned).sum()) * (1 - 1 / factor))

    def _level(self, day: date) -> Floats:
        """What each line costs that day at its usual list price."""
        age = (day - self._milestones.first_day).days
        level = self._daily * (1 + self._growth * (age / DAYS_A_MONTH)) * self._mood(day)
        if day.weekday() >= 5:
            level *= self._weekend
        awake = ~self._dormant
        for event, scope in self._events:
            if event.wakes and event.start <= day <= event.end:
                awake |= scope
            if event.kind == "holiday dip" and event.start == day:
                level[scope & (self._weekend < 1)] *= event.factor
            elif event.kind != "price change":  # dearer, not more: the price list knows
                level[scope] *= event.factor_on(day)
        if day < self._milestones.project_launched:
            awake &= ~self._fleet.launched
        return np.where(awake, level, 0.0)

    def _mood(self, day: date) -> Floats:
        """Chance: half of it shared by a project's whole service, half a meter's own."""
        draw = chance(self._seed, "mood", day)
        shared = draw.standard_normal(int(self._fleet.workload.max()) + 1)[self._fleet.workload]
        own = draw.standard_normal(int(self._fleet.meter.max()) + 1)[self._fleet.meter]
        mood: Floats = np.exp(self._noise * (shared + own) / np.sqrt(2))
        return mood

    def _by_hour(self, day: date, level: Floats, lines: npt.NDArray[np.intp], hours: npt.NDArray[np.int64]) -> Floats:
        ahead = np.array([HOURS_EUROPE_IS_AHEAD if account is EUR_ACCOUNT else 0 for account in ACCOUNTS])
        clock = pacific_clock(hours)[None, :] + ahead[self._fleet.account[lines]][:, None]
        wave = 1 + self._day_night[lines][:, None] * np.cos((clock - BUSIEST_HOUR) * (2 * np.pi / HOURS_A_DAY))
        jitter = chance(self._seed, "hours", day).standard_normal((len(lines), len(hours)))
        by_hour: Floats = level[lines][:, None] / HOURS_A_DAY * wave * np.exp(self._noise[lines][:, None] * jitter / 2)
        return by_hour

    def _priced(self, lines: npt.NDArray[np.intp], usual_cost: Floats, day: date) -> Charges:
        """Charges for as much usage as costs that at usual prices, at the prices of the day."""
        charges = no_charges(len(lines))
        charges["line"] = lines
        charges["usage"] = np.rint(usual_cost / self._prices.usual[lines] * 1e6)
        tier_start, list_price = self._prices.tiers_on(day)
        default_price = self._prices.negotiated(list_price)
        charges["tier_start"] = tier_start[lines]
        charges["list_price"] = charges["model_list_price"] = list_price[lines]
        charges["default_price"] = charges["price"] = default_price[lines]
        reprice(charges)
        return charges

    def _fees(self, day: date, hours: npt.NDArray[np.int64]) -> Charges:
        """Commitment fees of the day and, on the first of a month, the support contract."""
        fees = self._commitments.fees(hours)
        if day.day == 1:
            support = no_charges(1)
            support["line"], support["usage"] = self._support, 1_000_000
            support["start"], support["end"] = hours[0], hours[-1] + HOUR
            fees = np.concatenate([fees, support])
        _, list_price = self._prices.tiers_on(day)
        for price in ("list_price", "model_list_price", "default_price", "price"):
            fees[price] = list_price[fees["line"]]
        reprice(fees)
        return fees

    def _named(self, charges: Charges, day: date) -> Charges:
        """Say which project record and which labels the rows of that day carry."""
        moved = day >= self._milestones.project_moved
        renamed = day >= self._milestones.team_renamed
        project = self._fleet.project[charges["line"]]
        nameless = project < 0
        if day == self._milestones.project_launched:
            nameless |= self._fleet.launched[charges["line"]]
        charges["project"] = np.where(nameless, -1, project * 2 + moved)
        charges["labels"] = charges["line"] * 2 + renamed
        charges["rate"] = self._prices.rates_on(day)[charges["line"]]
        return charges


def _scope(fleet: Fleet, event: Event) -> Mask:
    """The lines an event is about. A SKU that costs nothing until it happens is in no other event's scope."""

    def concerned(line: Line) -> bool:
        return (
            line.account == event.account
            and line.kind in ("usage", "support")
            and line.dormant == event.wakes
            and event.project in (None, line.project and line.project.project_id)
            and event.service in ("", line.offer.sku.service)
            and event.sku in (None, line.sku)
        )

    return fleet.where(concerned)
