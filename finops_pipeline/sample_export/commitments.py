"""Both ways Google bills commitments.

* The dollar account has the new spend-based model: usage under a commitment is sold at the committed price, as its own
  consumption model, and the fee is credited back as far as it was used (`FEE_UTILIZATION_OFFSET`). At night the
  commitment is larger than the demand, and the rest of the fee stays.
* The euro account has the older models: usage keeps its price and is credited, the fee stays as it is.
"""

import numpy as np
import numpy.typing as npt

from finops_pipeline.sample_export.charges import FLEXIBLE_MODEL, Charges, give_credit, money, net, no_charges, reprice
from finops_pipeline.sample_export.credits import DOLLAR_BASE, FEE_OFFSET, RESOURCE_BASE
from finops_pipeline.sample_export.days import HOUR
from finops_pipeline.sample_export.estate import EUR_ACCOUNT, PROJECT_NUMBER, PROJECTS, USD_ACCOUNT
from finops_pipeline.sample_export.fleet import Fleet

FLEXIBLE_FEE_AN_HOUR = 49
FLEXIBLE_PRICE_PERCENT = 72
COMMITTED_CORES, COMMITTED_GIBIBYTES = 300, 1_050
SQL_FEE_AN_HOUR = 4.0
SQL_PRICE_PERCENT = 75
ROUNDING = 1_000
"""A tenth of a cent: what splitting a charge to the millionth may leave of a fee that is fully used."""


class Commitments:
    """Which lines each commitment pays for, and what it does to their charges."""

    def __init__(self, fleet: Fleet) -> None:
        shop, payments = (PROJECTS[PROJECT_NUMBER[name]] for name in ("nw-eu-shop-prod", "nw-eu-payments"))
        hub = PROJECTS[PROJECT_NUMBER["nw-network-hub"]]
        self._flex_fee = fleet.only("fee", USD_ACCOUNT, "flex fee", hub)
        self._core_fee = fleet.only("fee", EUR_ACCOUNT, "n2 core fee", shop)
        self._ram_fee = fleet.only("fee", EUR_ACCOUNT, "n2 ram fee", shop)
        self._sql_fee = fleet.only("fee", EUR_ACCOUNT, "sql fee", payments)
        self._flexible = fleet.where(lambda line: line.offer.sku.flexible and line.account is USD_ACCOUNT)
        in_frankfurt = fleet.where(
            lambda line: (
                line.kind == "usage" and line.account is EUR_ACCOUNT and line.offer.place.region == "europe-west3"
            )
        )
        self._cores = in_frankfurt & fleet.where(lambda line: line.sku == "n2 core")
        self._ram = in_frankfurt & fleet.where(lambda line: line.sku == "n2 ram")
        self._sql = in_frankfurt & fleet.where(lambda line: line.sku in ("sql ha cpu", "sql ha ram"))

    def fees(self, hours: npt.NDArray[np.int64]) -> Charges:
        """The day's fees, without prices: one row an hour for the new model, one a day for the older ones."""
        hourly = no_charges(len(hours))
        hourly["line"], hourly["usage"] = self._flex_fee, FLEXIBLE_FEE_AN_HOUR * 1_000_000
        hourly["start"], hourly["end"] = hours, hours + HOUR
        daily = no_charges(3)
        daily["line"] = [self._core_fee, self._ram_fee, self._sql_fee]
        per_hour = np.array([COMMITTED_CORES, COMMITTED_GIBIBYTES, SQL_FEE_AN_HOUR])
        daily["usage"] = np.rint(per_hour * 1_000_000 * len(hours))
        daily["start"], daily["end"] = hours[0], hours[-1] + HOUR
        return np.concatenate([hourly, daily])

    def flexible(self, by_hour: Charges, fees: Charges, hours: int) -> tuple[Charges, Charges]:
        """Sell usage at the committed price until each hour's commitment is used up; credit the fee by as much.

        Gives back the hourly charges and the covered parts of those that were covered only in part.
        """
        grid = by_hour.reshape(-1, hours)
        eligible = np.flatnonzero(self._flexible[grid["line"][:, 0]])
        cells = grid[eligible]
        committed = _at_committed_price(cells)
        before = np.cumsum(committed["cost"], axis=0) - committed["cost"]
        fee = fees[fees["line"] == self._flex_fee]
        left = np.clip(fee["cost"] - before, 0, None)
        whole, part = committed["cost"] <= left, (committed["cost"] > left) & (left > 0)

        covered = committed[part]
        covered["usage"] = np.floor(left[part] / covered["price"] * 1_000_000_000)
        reprice(covered)
        cells["usage"][part] -= covered["usage"]
        cells[whole] = committed[whole]
        _reprice_cells(cells, part)
        grid[eligible] = cells

        used = np.where(whole, committed["cost"], 0).sum(axis=0)
        np.add.at(used, np.nonzero(part)[1], covered["cost"])
        used = np.where(fee["cost"] - used < ROUNDING, fee["cost"], used)
        give_credit(fee, used > 0, FEE_OFFSET, used)
        fees[fees["line"] == self._flex_fee] = fee
        return grid.reshape(-1), covered

    def older(self, charges: Charges, hours: int) -> None:
        """Credit the committed part of usage, the same share of every charge."""
        for lines, committed in ((self._cores, COMMITTED_CORES), (self._ram, COMMITTED_GIBIBYTES)):
            usage = lines[charges["line"]]
            share = _share(committed * 1_000_000 * hours, charges["usage"][usage].sum())
            covered = np.floor(charges["usage"] * share).astype(np.int64)
            give_credit(charges, usage, RESOURCE_BASE, money(covered, charges["price"])[usage])
        usage = self._sql[charges["line"]]
        fee = int(net(charges[charges["line"] == self._sql_fee]).sum())
        share = _share(fee * 100 / SQL_PRICE_PERCENT, charges["cost"][usage].sum())
        give_credit(charges, usage, DOLLAR_BASE, np.floor(charges["cost"][usage] * share).astype(np.int64))


def _share(committed: float, used: int) -> float:
    return min(committed / used, 1.0) if used else 0.0


def _at_committed_price(charges: Charges) -> Charges:
    committed = charges.copy()
    committed["model"] = FLEXIBLE_MODEL
    committed["price"] = (charges["default_price"] * FLEXIBLE_PRICE_PERCENT + 50) // 100
    committed["model_list_price"] = (charges["list_price"] * FLEXIBLE_PRICE_PERCENT + 50) // 100
    reprice(committed)
    return committed


def _reprice_cells(cells: Charges, chosen: npt.NDArray[np.bool_]) -> None:
    remainder = cells[chosen]
    reprice(remainder)
    cells[chosen] = remainder
