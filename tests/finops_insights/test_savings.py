"""What could be saved: for each rule a case that is one, a case that nearly is, and what may never be claimed."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops_insights.savings import RULES, Bill, Recommendation, Spend, recommend, shipped_rules

D = Decimal
ORDINARY = Spend(
    billing_account_id="A", billing_currency="USD", sub_account_id="p", sub_account_name="Project p",
    service_id="s", service_name="Service s", sku_id="k", sku_description="Something", region_id="us-central1",
    cost=D(300), cost_before=D(300), repeated_cost=D(0), steady_uncovered=D(0), days=30, recent_days=15,
    weekday_cost=D(10), weekend_cost=D(10), pricing_quantity=D(720),
)  # fmt: skip


def spend(sku: str, **other: object) -> Spend:
    """A month of a SKU."""
    return replace(ORDINARY, sku_description=sku, sku_id=f"id of {sku}", **other)  # type: ignore[arg-type]


def found(rule_id: str, *spends: Spend, env: str = "prod") -> list[Recommendation]:
    """What a rule recommends for a project of an environment."""
    every = recommend(Bill(spends, {"p": env, None: ""}), shipped_rules())
    return [recommendation for recommendation in every if recommendation.rule_id == rule_id]


CORE, RAM = "N2 Instance Core running in Americas", "N2 Instance Ram running in Americas"
SQL_HA = "Cloud SQL for PostgreSQL: Regional - vCPU in Americas"
CASES: dict[str, tuple[Sequence[Spend], str, str, Sequence[Spend], str]] = {
    # rule: spends that are a case, their environment, the middle saving; spends that nearly are, their environment
    "idle-address": ([spend("Static Ip Charge")], "prod", "300.00", [spend("Static Ip Charge", days=14)], "prod"),
    "disks-without-machines": (
        [spend("SSD backed PD Capacity")], "prod", "210.00", [spend("SSD backed PD Capacity"), spend(CORE)], "prod",
    ),
    "idle-gateway": (
        [spend("Networking Cloud Nat Gateway Uptime")], "prod", "300.00",
        [spend("Networking Cloud Nat Gateway Uptime"), spend("Networking Cloud Nat Data Processing")], "prod",
    ),
    "growing-snapshots": (
        [spend("Storage PD Snapshot", cost_before=D(200))], "prod", "50.00",
        [spend("Storage PD Snapshot", cost_before=D(280))], "prod",
    ),
    "old-generation": (
        [spend("N1 Predefined Instance Core running in Americas")], "prod", "39.00", [spend(CORE)], "prod",
    ),
    "nights-and-weekends": (
        [spend(CORE), spend(RAM)], "staging", "300.00", [spend(CORE, weekend_cost=D("8.9"))], "staging",
    ),
    "nonprod-high-availability": ([spend(SQL_HA)], "Dev ", "150.00", [spend(SQL_HA)], "prod"),
    "growing-logs": (
        [spend("Log Storage cost", cost_before=D(200))], "prod", "150.00",
        [spend("Log Storage cost", cost_before=D(240))], "prod",
    ),
    "inter-region-traffic": (
        [spend("Network Inter Region Data Transfer Out"), spend("Something")], "prod", "150.00",
        [spend("Network Inter Region Data Transfer Out", cost=D(30)), spend("Something", cost=D(980))], "prod",
    ),
    "extra-clusters": (
        [spend("Zonal Kubernetes Clusters", pricing_quantity=D(1440))], "test", "150.00",
        [spend("Zonal Kubernetes Clusters", pricing_quantity=D(1080))], "test",
    ),
    "commitment-gap": (
        [spend(CORE, steady_uncovered=D(8))], "prod", "88.80", [spend(CORE, steady_uncovered=D(0))], "prod",
    ),
    "repeated-charges": (
        [spend("Something", repeated_cost=D(20))], "prod", "10.00",
        [spend("Something", repeated_cost=D("9.99"))], "prod",
    ),
}  # fmt: skip


def test_every_rule_has_its_case() -> None:
    """A rule without one is a guess."""
    assert CASES.keys() == RULES.keys() == shipped_rules().rules.keys()


@pytest.mark.parametrize("rule_id", CASES)
def test_a_case_is_found_with_its_exact_saving(rule_id: str) -> None:
    """The middle amount is a share of what was billed."""
    spends, env, saving, *_ = CASES[rule_id]
    [recommendation] = found(rule_id, *spends, env=env)

    assert recommendation.monthly_saving_mid == D(saving)
    assert (
        D(0)
        <= recommendation.monthly_saving_low
        <= recommendation.monthly_saving_mid
        <= recommendation.monthly_saving_high
    )
    assert recommendation.assumption.endswith(".")


@pytest.mark.parametrize("rule_id", CASES)
def test_what_nearly_is_a_case_is_none(rule_id: str) -> None:
    """One day too few, one environment too important, one cent too little."""
    *_, spends, env = CASES[rule_id]

    assert found(rule_id, *spends, env=env) == []


@pytest.mark.parametrize("rule_id", CASES)
def test_the_currency_is_that_of_the_bill(rule_id: str) -> None:
    """And two currencies are two recommendations."""
    spends, env, saving, *_ = CASES[rule_id]
    in_euro = [replace(s, billing_account_id="B", billing_currency="EUR") for s in spends]

    both = found(rule_id, *spends, *in_euro, env=env)
    assert sorted(r.scope.billing_currency for r in both) == ["EUR", "USD"]
    assert {r.monthly_saving_mid for r in both} == {D(saving)}


@pytest.mark.parametrize("rule_id", CASES)
def test_what_was_paid_by_credits_saves_nothing(rule_id: str) -> None:
    """Nothing is billed, so nothing can be saved, whatever runs."""
    spends, env, *_ = CASES[rule_id]

    assert found(rule_id, *(replace(s, cost=D(0), repeated_cost=D(0)) for s in spends), env=env) == []


def test_of_what_excludes_each_other_the_largest_counts() -> None:
    """The same machines can be stopped at night or replaced, not both."""
    old = spend("N1 Predefined Instance Core running in Americas")
    both = recommend(Bill([old], {"p": "dev"}), shipped_rules())

    assert {r.rule_id: r.counted for r in both} == {"nights-and-weekends": True, "old-generation": False}


def test_the_same_advice_keeps_its_name() -> None:
    """Next month's amount is another, the recommendation is not; another project's is."""
    [today] = found("idle-address", spend("Static Ip Charge"))
    [next_month] = found("idle-address", spend("Static Ip Charge", cost=D(310)))
    [elsewhere] = found("idle-address", spend("Static Ip Charge", sub_account_id="q"))

    assert today.recommendation_id == next_month.recommendation_id != elsewhere.recommendation_id


AMOUNTS = st.decimals(-100, 10_000, places=2)
SKUS = st.sampled_from(sorted({s.sku_description or "" for case in CASES.values() for s in [*case[0], *case[3]]}))
SPENDS = st.builds(
    lambda sku, cost, before, repeated, steady, env: (
        spend(sku, cost=cost, cost_before=before, repeated_cost=repeated, steady_uncovered=steady),
        env,
    ),
    SKUS, AMOUNTS, AMOUNTS, AMOUNTS, st.decimals(0, 1000, places=2), st.sampled_from(["prod", "dev"]),
)  # fmt: skip


@given(st.lists(SPENDS, max_size=12, unique_by=lambda case: case[0].sku_id))
def test_no_saving_is_more_than_what_was_spent_and_none_is_negative(cases: list[tuple[Spend, str]]) -> None:
    """Whatever the bill looks like, refunds and all."""
    spends = [one for one, _ in cases]
    env = cases[0][1] if cases else "prod"
    for recommendation in recommend(Bill(spends, {"p": env}), shipped_rules()):
        spent = sum((s.cost for s in spends if s.sku_id in recommendation.skus), D(0))

        assert D(0) <= recommendation.monthly_saving_low
        assert recommendation.monthly_saving_high <= spent
