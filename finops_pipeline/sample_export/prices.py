"""What one pricing unit costs on a day: tiers, negotiated discounts, exchange rates, one announced change."""

from datetime import date

import numpy as np
import numpy.typing as npt

from finops_pipeline.sample_export.chance import chance
from finops_pipeline.sample_export.estate import ACCOUNTS, EUR_ACCOUNT, Account, Milestones
from finops_pipeline.sample_export.fleet import Fleet, Line

USUAL_EUROS_PER_DOLLAR = 0.9
RATE_SCALE = 10_000
NEW_PRICE_PERCENT = 104
NEVER = 2**62

Prices = npt.NDArray[np.int64]


def exchange_rate(seed: int, account: Account, day: date) -> int:
    """Ten-thousandths of the account's currency for a dollar, fixed for the month as Google does."""
    if account is not EUR_ACCOUNT:
        return RATE_SCALE
    wobble = chance(seed, "exchange rate", day.replace(day=1)).integers(-150, 151)
    return round(USUAL_EUROS_PER_DOLLAR * RATE_SCALE) + int(wobble)


def _tiers(line: Line) -> list[tuple[int, int]]:
    sku = line.offer.sku
    return [(start, line.offer.price_nanos(usd)) for start, usd in sku.tiers or ((0, sku.usd),)]


class PriceList:
    """Prices of every line of a fleet."""

    def __init__(self, fleet: Fleet, milestones: Milestones, seed: int) -> None:
        self._fleet = fleet
        self._milestones = milestones
        self._seed = seed
        tiers = [_tiers(line) for line in fleet.lines]
        most = max(len(of_line) for of_line in tiers)
        padded = [of_line + [(NEVER, 0)] * (most - len(of_line)) for of_line in tiers]
        self._tier_starts = np.array([[start for start, _ in of_line] for of_line in padded], np.int64)
        self._tier_prices = np.array([[price for _, price in of_line] for of_line in padded], np.int64)
        self._discount = np.array([line.offer.sku.discount_permille for line in fleet.lines], np.int64)
        self._raised = fleet.where(lambda line: line.offer.sku.service == "Cloud SQL" and line.kind == "usage")
        usual_rate = fleet.floats(lambda line: USUAL_EUROS_PER_DOLLAR if line.account is EUR_ACCOUNT else 1.0)
        self.usual = self._tier_prices[:, 0] / 1e9 * usual_rate
        """The first tier's list price in the account's currency at the usual rate: demand is sized by it."""
        self._daily_units = fleet.floats(lambda line: line.daily) / np.where(self.usual > 0, self.usual, 1)

    def tiers_on(self, day: date) -> tuple[Prices, Prices]:
        """(where its tier starts, list price) of each line; tiers start again on the first of the month."""
        used_so_far = (self._daily_units * (day.day - 1))[:, None]
        tier = np.maximum((self._tier_starts <= used_so_far).sum(axis=1) - 1, 0)
        every_line = np.arange(len(tier))
        return self._tier_starts[every_line, tier], self._in_currency(self._tier_prices[every_line, tier], day)

    def negotiated(self, list_prices: Prices) -> Prices:
        return (list_prices * (1000 - self._discount) + 500) // 1000

    def rates_on(self, day: date) -> Prices:
        """Each account's exchange rate as ten-thousandths, by line."""
        by_account = [exchange_rate(self._seed, account, day) for account in ACCOUNTS]
        return np.array(by_account, np.int64)[self._fleet.account]

    def _in_currency(self, usd: Prices, day: date) -> Prices:
        percent = np.where(self._raised & (day >= self._milestones.price_changed), NEW_PRICE_PERCENT, 100)
        return np.rint(usd * (percent * self.rates_on(day) / (100 * RATE_SCALE))).astype(np.int64)
