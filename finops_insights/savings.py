"""What could be saved, from billing rows alone.

A rule looks at what was billed, never at a machine: it says what it assumes and how sure that is, and gives a low, a
middle and a high amount. Its numbers are in `savings.yaml`, with the day they were looked at.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict

Confidence = Literal["high", "medium", "low"]
WEIGHT: Final[Mapping[Confidence, Decimal]] = {
    "high": Decimal(1), "medium": Decimal("0.6"), "low": Decimal("0.25"),
}  # fmt: skip
"""How much an uncertain saving counts when recommendations are put in order."""
CENT = Decimal("0.01")
MIN_MONTHLY = Decimal(5)
WINDOW_DAYS: Final = 30


@dataclass(frozen=True)
class Spend:
    """What one SKU cost in one project and region over the window; amounts in `billing_currency`."""

    billing_account_id: str
    billing_currency: str
    sub_account_id: str | None
    sub_account_name: str | None
    service_id: str | None
    service_name: str | None
    sku_id: str | None
    sku_description: str | None
    region_id: str | None
    cost: Decimal
    """Billed in the 30 days."""
    cost_before: Decimal
    """Billed in the 30 days before those."""
    repeated_cost: Decimal
    steady_uncovered: Decimal
    """The daily cost before credits, less what commitments cover, that nine days in ten reach."""
    days: int
    """Days with a charge, of the 30."""
    recent_days: int
    """Days with a charge, of the last 15."""
    weekday_cost: Decimal
    """Cost of an average Monday to Friday."""
    weekend_cost: Decimal
    """Cost of an average Saturday or Sunday."""
    pricing_quantity: Decimal


class Shares(BaseModel):
    """Parts of a cost."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: Decimal
    mid: Decimal
    high: Decimal


class Rule(BaseModel):
    """One rule's words and numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    sku: str
    not_sku: str | None = None
    traffic_sku: str | None = None
    share: Shares
    confidence: Confidence
    assumption: str
    min_days: int = 0
    quiet_days: int = 0
    min_growth: Decimal = Decimal(0)
    min_cost: Decimal = Decimal(0)
    min_weekend: Decimal = Decimal(0)
    min_share_of_project: Decimal = Decimal(0)
    hours_of_one: Decimal = Decimal(1)

    def matches(self, spend: Spend) -> bool:
        """Whether a SKU is one of those the rule is about."""
        described = spend.sku_description or ""
        wanted = re.search(self.sku, described, re.IGNORECASE)
        return bool(wanted) and not (self.not_sku and re.search(self.not_sku, described, re.IGNORECASE))


class Rules(BaseModel):
    """All rules."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    as_of: date
    nonprod: frozenset[str]
    rules: Mapping[str, Rule]


@cache
def shipped_rules() -> Rules:
    """The rules of this release. Raises pydantic's error, naming the rule, when the file is wrong."""
    text = (files("finops_insights") / "savings.yaml").read_text(encoding="utf-8")
    return Rules.model_validate(yaml.safe_load(text))


@dataclass(frozen=True)
class Recommendation:
    """Something to do, and what it may save in a month."""

    recommendation_id: str
    rule_id: str
    rule_version: str
    title: str
    scope: Spend
    """Whose cost it is; parts that are summed over are None."""
    skus: tuple[str, ...]
    """SKU ids whose cost the evidence adds up."""
    base: Decimal
    """The monthly cost that the shares are parts of."""
    shows_growth: bool
    monthly_saving_low: Decimal
    monthly_saving_mid: Decimal
    monthly_saving_high: Decimal
    confidence: Confidence
    assumption: str
    exclusive_group: str
    """Of the recommendations of one group only one can be followed; the largest counts."""
    counted: bool = True


@dataclass(frozen=True)
class Bill:
    """A month of spend, as rules look at it."""

    spends: Sequence[Spend]
    environment: Mapping[str | None, str]
    """The environment each project says it is."""

    def project(self, spend: Spend) -> list[Spend]:
        """Everything the project of a spend was billed for."""
        return [s for s in self.spends if (s.billing_account_id, s.sub_account_id) == _project(spend)]


Found = Iterator[tuple[list[Spend], Decimal]]
"""Spends of one project and region that belong together, and the monthly cost a saving is a part of."""


def recommend(bill: Bill, rules: Rules) -> list[Recommendation]:
    """Every recommendation, the most certain money first. Savings never exceed what was spent."""
    found = [
        recommendation
        for rule_id, rule in rules.rules.items()
        for spends, base in RULES[rule_id](bill, rule, rules)
        if (recommendation := _recommendation(rule_id, rule, rules.version, spends, base)) is not None
    ]
    best = {r.exclusive_group: r for r in sorted(found, key=lambda r: (r.monthly_saving_mid, r.recommendation_id))}
    counted = [replace(r, counted=best[r.exclusive_group] is r) for r in found]
    return sorted(counted, key=lambda r: (-r.monthly_saving_mid * WEIGHT[r.confidence], r.recommendation_id))


def _recommendation(
    rule_id: str, rule: Rule, version: str, spends: Sequence[Spend], base: Decimal
) -> Recommendation | None:
    spent = sum((s.cost for s in spends), Decimal(0))
    base = min(base, spent)
    low, mid, high = ((base * share).quantize(CENT) for share in (rule.share.low, rule.share.mid, rule.share.high))
    if high < MIN_MONTHLY:
        return None
    scope = _common(spends)
    named = (rule_id, scope.billing_account_id, scope.billing_currency, scope.sub_account_id, scope.region_id)
    identity = "|".join(part or "" for part in named)
    return Recommendation(
        recommendation_id=hashlib.sha256(identity.encode()).hexdigest()[:16],
        rule_id=rule_id,
        rule_version=version,
        title=rule.title,
        scope=scope,
        skus=tuple(sorted({s.sku_id for s in spends if s.sku_id})),
        base=base,
        shows_growth=rule.min_growth > 0,
        monthly_saving_low=low,
        monthly_saving_mid=mid,
        monthly_saving_high=high,
        confidence=rule.confidence,
        assumption=rule.assumption,
        exclusive_group=_group(rule_id, scope),
    )


MACHINES = ("old-generation", "nights-and-weekends")


def _group(rule_id: str, scope: Spend) -> str:
    """What is done about the same machines can be done once: stop them, replace them, or commit to them."""
    kind = "machines" if rule_id in MACHINES else rule_id
    return "|".join((kind, scope.billing_account_id, scope.sub_account_id or "", scope.region_id or ""))


def _common(spends: Sequence[Spend]) -> Spend:
    """The first spend, without what the others do not share."""

    def shared(name: str) -> bool:
        return len({getattr(spend, name) for spend in spends}) == 1

    scope = spends[0]
    if not shared("sub_account_id"):
        scope = replace(scope, sub_account_id=None, sub_account_name=None)
    if not shared("service_id"):
        scope = replace(scope, service_id=None, service_name=None)
    if not shared("sku_id"):
        scope = replace(scope, sku_id=None, sku_description=None)
    return scope if shared("region_id") else replace(scope, region_id=None)


def _project(spend: Spend) -> tuple[str, str | None]:
    return spend.billing_account_id, spend.sub_account_id


def _by_place(spends: Iterable[Spend]) -> Iterator[list[Spend]]:
    """The spends of each project and region."""
    places: dict[tuple[str, str, str | None, str | None], list[Spend]] = {}
    for spend in spends:
        place = (spend.billing_account_id, spend.billing_currency, spend.sub_account_id, spend.region_id)
        places.setdefault(place, []).append(spend)
    yield from places.values()


def _cost(spends: Iterable[Spend]) -> Decimal:
    return sum((s.cost for s in spends), Decimal(0))


def _is_nonprod(bill: Bill, rules: Rules, spend: Spend) -> bool:
    return bill.environment.get(spend.sub_account_id, "").strip().lower() in rules.nonprod


# -- the rules, each by its id


def idle_address(bill: Bill, rule: Rule, _: Rules) -> Found:
    """An address nobody uses is billed every day."""
    for spends in _by_place(s for s in bill.spends if rule.matches(s) and s.days >= rule.min_days):
        yield spends, _cost(spends)


def disks_without_machines(bill: Bill, rule: Rule, _: Rules) -> Found:
    """Disks are billed in a project where no machine runs any more."""
    for spends in _by_place(s for s in bill.spends if rule.matches(s)):
        machines = [
            s for s in bill.project(spends[0]) if re.search("Core running|GPU running", s.sku_description or "")
        ]
        if not any(s.recent_days for s in machines):
            yield spends, _cost(spends)


def idle_gateway(bill: Bill, rule: Rule, _: Rules) -> Found:
    """A gateway is billed and nothing goes through it."""
    traffic = re.compile(rule.traffic_sku or "$^", re.IGNORECASE)
    for spends in _by_place(s for s in bill.spends if rule.matches(s)):
        if not any(traffic.search(s.sku_description or "") for s in bill.project(spends[0])):
            yield spends, _cost(spends)


def growing(bill: Bill, rule: Rule, _: Rules) -> Found:
    """The cost of something that could expire has grown; the saving is a part of the growth."""
    for spends in _by_place(s for s in bill.spends if rule.matches(s)):
        now, before = _cost(spends), sum((s.cost_before for s in spends), Decimal(0))
        if before > 0 and now - before > rule.min_growth * before:
            yield spends, now - before


def growing_logs(bill: Bill, rule: Rule, _: Rules) -> Found:
    """Logs have grown by more than the rest does in a year; the saving is a part of all of them."""
    for spends in _by_place(s for s in bill.spends if rule.matches(s)):
        now, before = _cost(spends), sum((s.cost_before for s in spends), Decimal(0))
        if before > 0 and now - before > rule.min_growth * before and now >= rule.min_cost:
            yield spends, now


def whole_cost(bill: Bill, rule: Rule, _: Rules) -> Found:
    """Something that has a cheaper like is billed."""
    for spends in _by_place(s for s in bill.spends if rule.matches(s)):
        yield spends, _cost(spends)


def nights_and_weekends(bill: Bill, rule: Rule, rules: Rules) -> Found:
    """Machines that are not production cost as much on Sunday as on Tuesday."""
    for spends in _by_place(s for s in bill.spends if rule.matches(s) and _is_nonprod(bill, rules, s)):
        weekday = sum((s.weekday_cost for s in spends), Decimal(0))
        weekend = sum((s.weekend_cost for s in spends), Decimal(0))
        if weekday > 0 and weekend >= rule.min_weekend * weekday:
            yield spends, _cost(spends)


def nonprod_high_availability(bill: Bill, rule: Rule, rules: Rules) -> Found:
    """A database that is not production is kept twice."""
    for spends in _by_place(s for s in bill.spends if rule.matches(s) and _is_nonprod(bill, rules, s)):
        yield spends, _cost(spends)


def inter_region_traffic(bill: Bill, rule: Rule, _: Rules) -> Found:
    """Traffic between regions is a noticeable part of a project."""
    by_project: dict[tuple[str, str | None], list[Spend]] = {}
    for spend in bill.spends:
        if rule.matches(spend):
            by_project.setdefault(_project(spend), []).append(spend)
    for spends in by_project.values():
        if _cost(spends) > rule.min_share_of_project * _cost(bill.project(spends[0])):
            yield spends, _cost(spends)


def extra_clusters(bill: Bill, rule: Rule, rules: Rules) -> Found:
    """A project that is not production pays the fee of more than one cluster."""
    for spends in _by_place(s for s in bill.spends if rule.matches(s) and _is_nonprod(bill, rules, s)):
        clusters = sum((s.pricing_quantity for s in spends), Decimal(0)) / rule.hours_of_one
        if clusters > Decimal("1.5"):
            yield spends, _cost(spends) * (clusters - 1) / clusters


def commitment_gap(bill: Bill, rule: Rule, rules: Rules) -> Found:
    """Machines that always run are paid on demand."""
    production = (s for s in bill.spends if rule.matches(s) and not _is_nonprod(bill, rules, s))
    by_region: dict[tuple[str, str, str | None], list[Spend]] = {}
    for spend in production:
        by_region.setdefault((spend.billing_account_id, spend.billing_currency, spend.region_id), []).append(spend)
    for spends in by_region.values():
        yield spends, WINDOW_DAYS * sum((s.steady_uncovered for s in spends), Decimal(0))


def repeated_charges(bill: Bill, rule: Rule, _: Rules) -> Found:
    """Rows occur twice, equal to the last digit."""
    by_account: dict[tuple[str, str], list[Spend]] = {}
    for spend in bill.spends:
        if spend.repeated_cost > 0:
            by_account.setdefault((spend.billing_account_id, spend.billing_currency), []).append(spend)
    for spends in by_account.values():
        repeated = sum((s.repeated_cost for s in spends), Decimal(0))
        if repeated >= rule.min_cost:
            yield spends, repeated


RULES: Final[Mapping[str, Callable[[Bill, Rule, Rules], Found]]] = {
    "idle-address": idle_address,
    "disks-without-machines": disks_without_machines,
    "idle-gateway": idle_gateway,
    "growing-snapshots": growing,
    "old-generation": whole_cost,
    "nights-and-weekends": nights_and_weekends,
    "nonprod-high-availability": nonprod_high_availability,
    "growing-logs": growing_logs,
    "inter-region-traffic": inter_region_traffic,
    "extra-clusters": extra_clusters,
    "commitment-gap": commitment_gap,
    "repeated-charges": repeated_charges,
}
