"""What the API writes as texts, as what it is: amounts as `Decimal`, days as `date`, moments as `datetime`.

By the names of fields, which mean the same in every answer; a test holds them against the API's description and its
real answers. Names and labels of the billing data are never looked into: whoever names a project could call it 5.00.
"""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

DECIMALS = frozenset((
    "actual_cost", "actual_to_date", "amount", "bias", "billed_cost", "billed_cost_after", "billed_cost_before",
    "billed_cost_change", "budget_amount", "cell_value", "consumed_quantity", "cost", "cost_adjustment", "cost_regular",
    "cost_rounding_error", "cost_tax", "coverage_80", "coverage_95", "elapsed_percent", "excess_cost", "expected",
    "expected_cost", "expected_percent", "floor_wape", "focus_export_residual", "focus_export_total", "high_80",
    "high_95", "invoice_total", "late_billed_cost", "low_80", "low_95", "min_amount", "min_percent",
    "min_percent_of_account", "monthly_saving_high", "monthly_saving_low", "monthly_saving_mid", "remaining",
    "residual", "rows_sum", "sensitivity", "served_value", "share_percent", "spent", "spent_percent", "value", "wape",
))  # fmt: skip

DAYS = frozenset((
    "as_of_day", "behind_days", "closed_from", "closing_from", "complete_through", "counted_through", "crossed_on",
    "data_through", "end", "export_day", "export_days", "first_as_of_day", "first_seen", "first_usage_day",
    "last_as_of_day", "last_day", "last_export_day", "last_usage_day", "missing_days", "peak_day", "period_start",
    "previous_end", "previous_start", "restated_days", "start", "start_day", "usage_day",
))  # fmt: skip

MOMENTS = frozenset((
    "as_of", "created_at", "last_restated_at", "loaded_at", "materialised_at", "noticed_at", "posted_at",
    "recomputed_at", "restated_at", "sealed_at", "updated_at", "verified_at", "withdrawn_at",
))  # fmt: skip

OF_DECIMALS = frozenset(("credits",))
"""Amounts by names that are not ours."""

OF_OTHERS = frozenset((
    "assigned_by", "at", "custom", "excluding", "filters", "key", "where",
))  # fmt: skip
"""What holds names of others: left as it is."""


def decoded(document: Any) -> Any:  # noqa: ANN401 -- any part of a JSON document
    """The document with its amounts, days and moments as what they are."""
    if isinstance(document, list):
        return [decoded(part) for part in document]
    if isinstance(document, Mapping):
        return {name: _value(name, value) for name, value in document.items()}
    return document


def _value(name: str, value: Any) -> Any:  # noqa: ANN401 -- any part of a JSON document
    if name in OF_OTHERS:
        return value
    if name in OF_DECIMALS:
        return {kind: Decimal(amount) for kind, amount in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], str):
        return [_text(name, one) for one in value]
    return _text(name, value) if isinstance(value, str) else decoded(value)


def _text(name: str, text: str) -> Decimal | date | datetime | str:
    if name in DECIMALS:
        return Decimal(text)
    if name in DAYS:
        return date.fromisoformat(text)
    return datetime.fromisoformat(text) if name in MOMENTS else text
