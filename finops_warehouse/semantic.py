"""The one list of what can be asked: dimensions to group and filter by, measures to add up.

The API's parameters, its documentation and the choice of table are made from it. A measure says whether it
may be added over days and members; every amount belongs to a currency, and no two currencies are ever added.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

from finops_warehouse.tables import CREDIT_TYPES, metadata

UNATTRIBUTED = "(unattributed)"
"""How a member is written that the export leaves out: a project of NULL is real money, and is never dropped."""

OTHER = "(other)"
"""How the member is written that holds all members an answer does not show one by one."""


@dataclass(frozen=True)
class Dimension:
    """Something to group or filter by."""

    name: str
    focus_name: str | None
    column: str
    name_column: str | None
    """The column with the member's name for people, where that is another one."""
    description: str
    json_key: str | None = None
    """Custom dimensions share a JSON column: the key of this one in it."""


@dataclass(frozen=True)
class Measure:
    """Something to add up."""

    name: str
    focus_name: str | None
    column: str
    unit: str
    additivity: Literal["additive", "semi-additive", "non-additive"]
    description: str


DIMENSIONS = {
    d.name: d
    for d in (
        Dimension("billing_account", "BillingAccountId", "billing_account_id", None, "Billing account that pays."),
        Dimension("invoice_month", None, "invoice_month", None, "Invoice the charge is on, YYYYMM."),
        Dimension(
            "project", "SubAccountId", "sub_account_id", "sub_account_name", "Project; charges without one are kept."
        ),
        Dimension("service", "ServiceName", "service_id", "service_name", "Service, as on the invoice."),
        Dimension("sku", "SkuId", "sku_id", "sku_description", "SKU, as on the invoice."),
        Dimension("region", "RegionId", "region_id", None, "Region, or the wider location of a charge without one."),
        Dimension("charge_category", "ChargeCategory", "charge_category", None, "Usage, Purchase, Tax or Adjustment."),
        Dimension("cost_type", None, "cost_type", None, "regular, tax, adjustment or rounding_error."),
    )
}

_COSTS = (
    Measure("billed_cost", "BilledCost", "billed_cost", "currency", "additive", "After credits, as on the invoice."),
    Measure(
        "effective_cost", "EffectiveCost", "effective_cost", "currency", "additive",
        "Billed cost, with the used part of a commitment's fee on the usage it covers.",
    ),
    Measure(
        "contracted_cost", "ContractedCost", "contracted_cost", "currency", "additive",
        "At the contract's prices, before commitments and credits.",
    ),
    Measure("list_cost", "ListCost", "list_cost", "currency", "additive", "At list prices."),
    Measure("cost", None, "cost", "currency", "additive", "The export's cost, before credits."),
)  # fmt: skip

COST_BASES = tuple(measure.name for measure in _COSTS)
"""The costs of which each is a whole of its own: two of them are two answers about the same charges."""

CREDIT_MEANINGS = {
    "fee_utilization_offset": (
        "Takes back the fee of a used commitment, which its usage carries again; negative, and never a saving."
    ),
}

MEASURES = {
    m.name: m
    for m in (
        *_COSTS,
        *(
            Measure(
                f"credit_{credit_type}", None, f"credit_{credit_type}", "currency", "additive",
                CREDIT_MEANINGS.get(credit_type, f"Credits of type {credit_type.upper()}; negative."),
            )
            for credit_type in CREDIT_TYPES
        ),
        Measure("charge_count", None, "charge_count", "charges", "additive", "Rows of the export."),
    )
}  # fmt: skip

SHARES = {
    "coverage": Measure(
        "coverage", None, "billed_cost", "share", "non-additive",
        "Share of billed cost that has an owner in a custom dimension. Never added up: `/v1/coverage` computes it.",
    )
}  # fmt: skip
"""Quotients of measures. They are listed, and refused wherever something is added up."""

# Smallest first: a question is answered from the first table that holds every column it needs.
READ_FROM = (
    "cost_by_service_daily",
    "cost_by_custom_daily",
    "cost_by_project_service_daily",
    "cost_by_sku_region_daily",
    "aggregated_cost_data",
)


RULE_SUFFIX = "_rule"
"""`team_rule` is the dimension whose members are the rules that assigned the teams."""


def dimension(name: str) -> Dimension:
    """The dimension of that name. One that is not built in is read as a custom one, whether or not rules make it."""
    if name in DIMENSIONS:
        return DIMENSIONS[name]
    if name.endswith(RULE_SUFFIX):
        of = name.removesuffix(RULE_SUFFIX)
        return Dimension(name, None, "assigned_by", None, f"Which rule assigned {of}: a source, or default.", of)
    return Dimension(name, None, "custom", None, f"Custom dimension {name}.", name)


def table_for(dimensions: set[str]) -> str:
    """The smallest table that can be grouped and filtered by all of `dimensions`."""
    needed = {dimension(name).column for name in dimensions}
    return next(table for table, columns in _columns_read_from().items() if needed <= columns)


@cache
def _columns_read_from() -> dict[str, frozenset[str]]:
    return {table: frozenset(metadata.tables[f"finops.{table}"].columns.keys()) for table in READ_FROM}
