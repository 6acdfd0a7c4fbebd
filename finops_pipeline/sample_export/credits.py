"""Every credit a row may carry, and the rules that give those which no commitment gives."""

from collections.abc import Callable
from datetime import date
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from finops_pipeline.sample_export.charges import Charges, give_credit
from finops_pipeline.sample_export.days import last_of_month
from finops_pipeline.sample_export.estate import EUR_ACCOUNT
from finops_pipeline.sample_export.fleet import Fleet, Line


class Credit(NamedTuple):
    """What the export says of a credit beside its amount."""

    name: str
    full_name: str
    credit_id: str
    type: str | None


CREDITS = (
    Credit("Fee utilization offset", "Compute Flexible CUDs 1 Year fee utilization offset", "fee-utilization-offset",
           "FEE_UTILIZATION_OFFSET"),
    Credit("Committed Usage Discount: CPU and RAM", "Committed Usage Discount: CPU and RAM",
           "committed-usage-discount", "COMMITTED_USAGE_DISCOUNT"),
    Credit("Committed Usage Discount - Dollar Based: Cloud SQL", "Committed Usage Discount - Dollar Based: Cloud SQL",
           "committed-usage-discount-dollar-base", "COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE"),
    Credit("Sustained Usage Discount", "Sustained Usage Discount", "sustained-usage-discount",
           "SUSTAINED_USAGE_DISCOUNT"),
    Credit("Free Tier", "Free tier: first invocations of the month", "free-tier", "FREE_TIER"),
    Credit("Innovation programme", "Innovation programme: sandbox credit", "promo-sandbox-2025", "PROMOTION"),
    Credit("Research credits", "Research credits for training", "promo-research-2025", "PROMOTION"),
    Credit("Spend-based discount", "Spend-based discount (contractual)", "spend-discount", "DISCOUNT"),
    Credit("Reseller margin", "Reseller Margin", "reseller-margin", "RESELLER_MARGIN"),
    Credit("Subscription benefit", "Monitoring subscription benefit", "subscription-benefit", "SUBSCRIPTION_BENEFIT"),
    Credit("Migration credit", "Migration credit", "migration-credit", None),
)  # fmt: skip
(FEE_OFFSET, RESOURCE_BASE, DOLLAR_BASE, SUSTAINED, FREE_TIER, SANDBOX_PROMOTION, RESEARCH_PROMOTION, CONTRACT, MARGIN,
 BENEFIT, UNTYPED) = range(len(CREDITS))  # fmt: skip

SUSTAINED_PERMILLE = (0, 200, 400, 600)
"""What running on is rewarded with in each quarter of a month."""


class _Rule(NamedTuple):
    credit: int
    permille: int
    lines: npt.NDArray[np.bool_]


class CreditRules:
    """Credits that depend on what a line is and on the day, in the order they are granted."""

    def __init__(self, fleet: Fleet, credit_expiry: date) -> None:
        self._credit_expiry = credit_expiry
        self._rules = [
            _Rule(credit, permille, fleet.where(lambda line, holds=holds: line.kind == "usage" and holds(line)))  # type: ignore[misc]
            for credit, permille, holds in _POLICY
        ]

    def apply(self, charges: Charges, day: date) -> None:
        for rule in self._rules:
            permille = self._permille_on(rule, day)
            if permille:
                chosen = rule.lines[charges["line"]]
                give_credit(charges, chosen, rule.credit, charges["cost"][chosen] * permille // 1000)

    def _permille_on(self, rule: _Rule, day: date) -> int:
        if rule.credit == SUSTAINED:
            return SUSTAINED_PERMILLE[(day.day - 1) * 4 // last_of_month(day).day]
        if rule.credit == SANDBOX_PROMOTION and day >= self._credit_expiry:
            return 0
        return rule.permille


def _in(project_id: str, *skus: str) -> Callable[[Line], bool]:
    return lambda line: line.project is not None and line.project.project_id == project_id and line.sku in skus


def _sandbox(line: Line) -> bool:
    return line.project is not None and line.project.project_id == "nw-sandbox"


_POLICY: tuple[tuple[int, int, Callable[[Line], bool]], ...] = (
    (SUSTAINED, 0, lambda line: line.sku in ("n1 core", "n1 ram")),
    (FREE_TIER, 1000, lambda line: line.sku == "functions"),
    (SANDBOX_PROMOTION, 1000, _sandbox),
    (RESEARCH_PROMOTION, 150, _in("nw-ml-training", "a100")),
    (CONTRACT, 30, _in("nw-warehouse", "analysis", "active storage", "slots")),
    (CONTRACT, 20, lambda line: line.account is EUR_ACCOUNT and line.offer.sku.service == "Cloud Storage"),
    (MARGIN, 50, lambda line: line.account is EUR_ACCOUNT and line.offer.sku.service == "Cloud Storage"),
    (BENEFIT, 200, _in("nw-observability", "metrics")),
    (UNTYPED, 60, _in("nw-data-lake", "nearline storage")),
)
