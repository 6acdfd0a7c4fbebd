"""What each invoice comes to, in whole numbers: every exported charge is counted once, then tax and rounding close it.

Tax is exported on the 2nd of the following month and the rounding row on the 3rd, both on the closed month's invoice.
"""

from collections import defaultdict
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np

from finops_pipeline.sample_export.charges import (
    ADJUSTMENT,
    COST_TYPES,
    NONE,
    ROUNDING_ERROR,
    TAX,
    Charges,
    Integers,
    net,
    no_charges,
)
from finops_pipeline.sample_export.days import (
    DAY,
    HOUR,
    last_of_month,
    month_number,
    pacific_midnight,
    utc_midnight,
)
from finops_pipeline.sample_export.estate import ACCOUNTS, PROJECTS, Account, Milestones
from finops_pipeline.sample_export.fleet import Fleet
from finops_pipeline.sample_export.lateness import GENERAL, GOODWILL, SLA, append_time
from finops_pipeline.sample_export.prices import exchange_rate

CENT = 10_000
TAX_DAY, ROUNDING_DAY = 2, 3


class Invoice(NamedTuple):
    account: Account
    month: date
    by_cost_type: tuple[int, ...]
    """Net millionths of regular, tax, adjustment and rounding_error, in the order of COST_TYPES."""

    @property
    def total(self) -> int:
        return sum(self.by_cost_type)


class _Manual(NamedTuple):
    """An adjustment somebody at Google enters by hand, on the same day of every month."""

    day_of_month: int
    project: str
    sku: str
    adjustment: int
    amount: int


_MANUAL = (
    _Manual(9, "nw-checkout-prod", "spanner", SLA, -86_400_000),
    _Manual(13, "nw-eu-payments", "sql ha cpu", GOODWILL, -55_000_000),
    _Manual(17, "nw-warehouse", "analysis", GOODWILL, -140_000_000),
    _Manual(24, "nw-network-hub", "egress", GENERAL, 31_250_000),
)


class Invoicing:
    """Running totals by account and invoice month."""

    def __init__(self, fleet: Fleet, milestones: Milestones, seed: int) -> None:
        self._fleet, self._milestones, self._seed = fleet, milestones, seed
        self._tax_lines = np.flatnonzero(fleet.where(lambda line: line.kind == "tax"))
        self._rounding_lines = np.flatnonzero(fleet.where(lambda line: line.kind == "rounding"))
        by_account_and_type = (len(ACCOUNTS), len(COST_TYPES))
        self._totals: dict[int, Integers] = defaultdict(lambda: np.zeros(by_account_and_type, np.int64))
        by_account_and_payer = (len(ACCOUNTS), len(PROJECTS) + 1)
        self._taxable: dict[int, Integers] = defaultdict(lambda: np.zeros(by_account_and_payer, np.int64))

    def count(self, exported: Charges) -> None:
        """Add what was exported to the invoices it says it is on."""
        amounts = net(exported)
        account = self._fleet.account[exported["line"]]
        payer = np.where(exported["project"] < 0, len(PROJECTS), exported["project"] // 2)
        untaxed = np.where(exported["cost_type"] == TAX, 0, amounts)
        for month in np.unique(exported["invoice_month"]).tolist():
            on_it = exported["invoice_month"] == month
            np.add.at(self._totals[month], (account[on_it], exported["cost_type"][on_it]), amounts[on_it])
            np.add.at(self._taxable[month], (account[on_it], payer[on_it]), untaxed[on_it])

    def entries(self, export_day: date) -> Charges:
        """What billing itself adds that day: manual adjustments, taxes, rounding."""
        entries = [self._manual(manual, export_day) for manual in _MANUAL if manual.day_of_month == export_day.day]
        last_month = export_day.replace(day=1) - timedelta(days=1)
        if month_number(last_month) in self._totals and export_day.day == TAX_DAY:
            entries.append(self._closing(self._tax_lines, self._taxes(last_month), TAX, export_day))
        if month_number(last_month) in self._totals and export_day.day == ROUNDING_DAY:
            entries.append(self._closing(self._rounding_lines, self._gaps(last_month), ROUNDING_ERROR, export_day))
        return np.concatenate([no_charges(), *entries])

    def invoice(self, account: Account, month: date) -> Invoice | None:
        """The invoice of that month, if anything was billed on it."""
        if month_number(month) not in self._totals:
            return None
        return Invoice(account, month, tuple(self._totals[month_number(month)][ACCOUNTS.index(account)].tolist()))

    def _taxes(self, month: date) -> Integers:
        """Each payer's tax; what belongs to no project is taxed at the account."""
        taxable = self._taxable[month_number(month)]
        account, payer = self._fleet.account[self._tax_lines], self._fleet.project[self._tax_lines]
        rate = np.array([each.tax_permyriad for each in ACCOUNTS], np.int64)[account]
        tax: Integers = np.maximum(taxable[account, payer], 0) * rate // 10_000  # payer -1 is the last: no project
        return tax

    def _gaps(self, month: date) -> Integers:
        """What is missing to whole cents."""
        total = self._totals[month_number(month)].sum(axis=1)
        gaps: Integers = (total + CENT // 2) // CENT * CENT - total
        return gaps

    def _closing(self, lines: Integers, amounts: Integers, cost_type: int, export_day: date) -> Charges:
        month = export_day.replace(day=1) - timedelta(days=1)
        rows = self._entered(lines, amounts, last_of_month(month), export_day)
        rows["cost_type"], rows["invoice_month"] = cost_type, month_number(month)
        return rows

    def _manual(self, manual: _Manual, export_day: date) -> Charges:
        line = next(
            index
            for index, line in enumerate(self._fleet.lines)
            if line.project is not None and (line.project.project_id, line.sku) == (manual.project, manual.sku)
        )
        rows = self._entered(np.array([line]), np.array([manual.amount]), export_day, export_day)
        rows["cost_type"], rows["adjustment"] = ADJUSTMENT, manual.adjustment
        rows["invoice_month"] = month_number(export_day)
        rows["end"] = rows["start"] + HOUR  # over before it is exported
        return rows

    def _entered(self, lines: Integers, amounts: Integers, usage_day: date, export_day: date) -> Charges:
        """Charges of an amount, for a usage day, without usage or price."""
        rows = no_charges(len(lines))
        rows["line"], rows["cost"] = lines, amounts
        rows["list_cost"] = rows["default_cost"] = rows["model_list_cost"] = amounts
        project, moved = self._fleet.project[lines], usage_day >= self._milestones.project_moved
        rows["project"] = np.where(project < 0, NONE, project * 2 + moved)
        rows["labels"] = NONE
        rates = [exchange_rate(self._seed, account, usage_day) for account in ACCOUNTS]
        rows["rate"] = np.array(rates)[self._fleet.account[lines]]
        rows["start"] = pacific_midnight(usage_day)
        rows["end"] = pacific_midnight(usage_day + timedelta(days=1))
        rows["export"] = append_time(np.full(len(lines), utc_midnight(export_day) + DAY - 6 * HOUR))
        return rows
