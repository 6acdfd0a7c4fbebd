"""What an answer needs to be cited: which charges are behind a figure, how far it can be trusted, where to look."""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from urllib.parse import urlencode

from finops_client import CostAnswer, NoEvidence, Row

COSTS_OF_THE_DASHBOARD = ("billed_cost", "effective_cost", "contracted_cost", "list_cost", "cost")
GROUPS_OF_THE_DASHBOARD = ("service", "project", "sku", "region")
COMPARISONS_OF_THE_DASHBOARD = {None: "none", "previous": "previous", "previous_month": "month"}

EVERY_USAGE_DAY = {"start": date(2000, 1, 1), "end": date(2100, 1, 1)}
"""An invoice holds charges of whichever days."""


def with_evidence(answer: CostAnswer, rows: Iterable[Row]) -> tuple[list[Row], list[str]]:
    """The rows, each with the arguments that open its figures, by figure; and why some have none."""
    cited, reasons = [], dict[str, None]()
    for row in rows:
        evidence = {}
        for figure in _sums_of_charges(answer, row):
            try:
                evidence[figure] = dict(answer.evidence_of(row, figure))
            except NoEvidence as reason:
                reasons[f"No evidence for some figures. {reason}"] = None
        cited.append({**row, "evidence": evidence})
    return cited, list(reasons)


def _sums_of_charges(answer: CostAnswer, row: Row) -> list[str]:
    measures = answer.meta["measures"]
    return [name for name in (*measures, *(f"previous_{measure}" for measure in measures)) if row.get(name) is not None]


def notes(meta: Row) -> list[str]:
    """What whoever repeats a figure of this answer has to say with it."""
    said = []
    if missing := meta["missing_days"]:
        said.append(f"{len(missing)} days are missing, which is not zero cost: {_days(missing)}.")
    if behind := meta["behind_days"]:
        said.append(f"Charges of {len(behind)} days moved and are not counted yet: {_days(behind)}.")
    if meta["estimated"]:
        said.append(f"Days after {meta['complete_through']} are unfinished: their charges are still arriving.")
    if meta["restated"]:
        by = ", ".join(f"{one['billed_cost_change']:f} {one['billing_currency']}" for one in meta["restated_by"])
        said.append(
            f"{len(meta['restated_days'])} days moved after they were first served, last at "
            f"{meta['last_restated_at']:%Y-%m-%d %H:%M} UTC, by {by} of billed cost in all. "
            "These figures are the new ones."
        )
    if meta["as_of"] is not None:
        said.append(f"This is what was served at {meta['as_of'].isoformat()}, and may have moved since.")
    if meta["counted_through"] is None:
        said.append("No day of the window is complete, so totals are empty.")
    return said


def _days(days: list[date]) -> str:
    shown = ", ".join(day.isoformat() for day in days[:10])
    return shown if len(days) <= 10 else f"{shown} and {len(days) - 10} more"


def resolved(meta: Row) -> Row:
    """The question as the API understood it, by which it can be asked again."""
    names = (
        "start", "end", "time_basis", "granularity", "group_by", "measures", "filters", "where", "previous_start",
        "previous_end",
    )  # fmt: skip
    return {name: meta[name] for name in names if meta[name] not in (None, {}, [])}


def trust(meta: Row) -> Row:
    """The state of the data an answer is of."""
    names = ("data_version", "as_of", "as_of_day", "complete_through", "counted_through", "table")
    return {name: meta[name] for name in names if name in meta}


def dashboard(url: str, answer: CostAnswer) -> str | None:
    """The page of the dashboard with the same question; None where it has no such view."""
    asked, meta = answer.question, answer.meta
    groups, filters, [first, *more] = meta["group_by"], meta["filters"], meta["measures"]
    currencies = asked.get("billing_currency") or []
    can_be_shown = (
        *(meta["time_basis"] == "usage_day", meta["where"] is None, meta["as_of"] is None, not more),
        *(first in COSTS_OF_THE_DASHBOARD, len(groups) <= 1, len(currencies) <= 1, "top" not in asked),
        *(asked.get("compare") in COMPARISONS_OF_THE_DASHBOARD, not asked.get("include_unfinished")),
        *(name in GROUPS_OF_THE_DASHBOARD for name in (*groups, *filters)),
    )
    if not all(can_be_shown):
        return None
    view = [
        ("from", meta["start"].isoformat()),
        ("to", (meta["end"] - timedelta(days=1)).isoformat()),
        ("cmp", COMPARISONS_OF_THE_DASHBOARD[asked.get("compare")]),
        ("by", groups[0] if groups else "service"),
        ("metric", first),
        *(("cur", currency) for currency in currencies),
        *(("f", f"{name}:{member}") for name, members in filters.items() for member in members),
    ]
    return f"{url}/?{urlencode(view)}"


def facts_cited(facts: Iterable[Row], of: Mapping[str, str]) -> Row:
    """The facts of an insight or recommendation by their id, each figure with the arguments that open it."""
    return {
        fact["id"]: {
            **{name: fact[name] for name in ("label", "value", "unit", "currency", "formatted", "direction")},
            **({"evidence": {**of, "fact_id": fact["id"]}} if fact["value"] is not None else {}),
        }
        for fact in facts
    }
