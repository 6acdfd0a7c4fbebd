"""The tools: each is one question of the API, its answer bounded and with all that a citation needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Generic, TypeVar, cast

from finops_client import CostQuestion, EvidenceQuestion, FinOps, Listing, Row
from finops_mcp import arguments as of
from finops_mcp.citing import (
    EVERY_USAGE_DAY,
    dashboard,
    facts_cited,
    notes,
    resolved,
    trust,
    with_evidence,
)

Asked = TypeVar("Asked", bound=of.Arguments)

MONTHS_SHOWN = 24


@dataclass(frozen=True)
class Tool(Generic[Asked]):
    """A question that an assistant can ask."""

    name: str
    title: str
    description: str
    arguments: type[Asked]
    ask: Callable[[FinOps, Asked], Row]


def _said(arguments: of.Arguments, *without: str) -> dict[str, Any]:
    """The arguments that say something."""
    given = arguments.model_dump(exclude=set(without))
    return {name: value for name, value in given.items() if value not in (None, [], {}, "")}


def _costs(finops: FinOps, asked: of.Costs) -> Row:
    answer = finops.costs(**cast("CostQuestion", _said(asked, "max_rows")))
    rows, unopened = with_evidence(answer, answer.rows[: asked.max_rows])
    totals, _ = with_evidence(answer, answer.totals)
    link = dashboard(finops.url, answer)
    return {
        "rows": rows,
        "rows_left_out": len(answer.rows) - len(rows),
        "totals": totals,
        "cite": {**trust(answer.meta), "query": resolved(answer.meta)},
        "notes": [*notes(answer.meta), *unopened],
        **({"dashboard": link} if link else {}),
    }


def _evidence(finops: FinOps, asked: of.Evidence) -> Row:
    found = finops.evidence(**cast("EvidenceQuestion", _said(asked)))
    left_out = found["row_count"] - found["offset"] - len(found["rows"])
    agrees = (
        "The charges add up to the figure, to the last digit."
        if found["matches"]
        else "The charges do NOT add up to what is served: the figure is behind, or wrong. Do not rely on it."
    )
    return {**found, "rows_left_out": max(0, left_out), "notes": [agrees]}


def _dimensions(finops: FinOps, _: of.Nothing) -> Row:
    return finops.dimensions()


def _members(finops: FinOps, asked: of.Members) -> Row:
    items = finops.dimension_values(asked.dimension, search=asked.search, limit=asked.limit)
    is_all = len(items) < asked.limit
    return {"items": items, "notes": [] if is_all else ["There may be more: search for a part of the name."]}


def _listed(listing: Listing, asked: of.Listed, cited: Callable[[Row], Row] = dict) -> Row:
    shown = listing.items[: asked.max_items]
    return {
        "items": [cited(item) for item in shown],
        "items_left_out": len(listing.items) - len(shown),
        "meta": listing.meta,
        "cite": trust(listing.meta),
    }


def _anomalies(finops: FinOps, asked: of.Anomalies) -> Row:
    def cited(item: Row) -> Row:
        named = {"anomaly_id": item["anomaly_id"]}
        return {
            **item,
            "evidence": {
                "actual_cost": {**named, "fact_id": "f_actual"},
                "expected_cost": {**named, "fact_id": "f_expected"},
                "excess_cost": {**named, "fact_id": "f_excess"},
            },
        }

    return _listed(finops.anomalies(**_said(asked, "max_items")), asked, cited)


def _forecasts(finops: FinOps, asked: of.Forecasts) -> Row:
    def cited(item: Row) -> Row:
        return item if asked.with_days else {name: value for name, value in item.items() if name != "days"}

    answer = _listed(finops.forecasts(**_said(asked, "max_items", "with_days")), asked, cited)
    return {**answer, "notes": ["A forecast is a model's estimate and no sum of charges: cite its intervals with it."]}


def _recommendations(finops: FinOps, asked: of.Narrowed) -> Row:
    def cited(item: Row) -> Row:
        return {**item, "evidence": facts_cited(item["evidence"], {"recommendation_id": item["recommendation_id"]})}

    return _listed(finops.recommendations(**_said(asked, "max_items")), asked, cited)


def _insights(finops: FinOps, asked: of.Insights) -> Row:
    def cited(item: Row) -> Row:
        kept = {name: value for name, value in item.items() if name != "template"}
        return {**kept, "facts": facts_cited(item["facts"].values(), {"insight_id": item["insight_id"]})}

    # One more tells whether any are left out; the API says no more of that.
    found = finops.insights(**_said(asked, "max_items"), limit=asked.max_items + 1)
    return _listed(found, asked, cited)


def _budgets(finops: FinOps, asked: of.Budgets) -> Row:
    found = finops.budgets(**_said(asked, "max_items"))

    def cited(item: Row) -> Row:
        if item["status"] is None or found.meta["counted_through"] is None:
            return item
        counted = {
            "measure": item["measure"],
            "billing_currency": item["billing_currency"],
            "filters": item["filters"],
            "start": date.fromisoformat(f"{found.meta['month']}-01"),
            "end": found.meta["counted_through"] + timedelta(days=1),
        }
        return {**item, "evidence": {"spent": counted}}

    return {**_listed(found, asked, cited), "notes": _notes_of_budgets(found.meta)}


def _notes_of_budgets(meta: Row) -> list[str]:
    missing = meta["missing_days"]
    return [f"{len(missing)} days of the month are missing, which is not zero cost."] if missing else []


def _restatements(finops: FinOps, asked: of.Restatements) -> Row:
    def cited(item: Row) -> Row:
        day = item["usage_day"]
        of_now = {
            "start": day,
            "end": day + timedelta(days=1),
            "billing_currency": item["billing_currency"],
            "filters": {"billing_account": [item["billing_account_id"]]},
        }
        return {**item, "evidence": {"charges_of_the_day_now": of_now}}

    found = finops.restatements(**_said(asked, "max_items"), limit=asked.max_items)
    answer = _listed(found, asked, cited)
    more = found.meta["next"] is not None
    return {**answer, "notes": ["There are older ones: narrow the days to see them."] if more else []}


def _invoice_months(finops: FinOps, asked: of.InvoiceMonths) -> Row:
    def cited(item: Row) -> Row:
        members = {"invoice_month": [item["invoice_month"]], "billing_account": [item["billing_account_id"]]}
        every_charge = {**EVERY_USAGE_DAY, "billing_currency": item["billing_currency"], "filters": members}
        return {**item, "evidence": {"billed_cost": every_charge}}

    found = finops.invoice_months(**_said(asked, "max_items"))
    # The API lists the oldest first, and what is asked about is most often among the newest.
    return _listed(Listing(found.items[::-1], found.meta), asked, cited)


def _data_status(finops: FinOps, _: of.Nothing) -> Row:
    found = finops.meta()
    months = found["invoice_months"]
    said = []
    if found["usage_days_behind"]:
        said.append(f"Charges of {found['usage_days_behind']} usage days moved and are not counted yet.")
    if found["partitions_parked"]:
        said.append(f"{found['partitions_parked']} partitions failed to build and wait for somebody.")
    return {
        **found,
        "invoice_months": months[-MONTHS_SHOWN:],
        "invoice_months_left_out": max(0, len(months) - MONTHS_SHOWN),
        "cite": trust(found),
        "notes": said,
    }


TOOLS: Mapping[str, Tool[Any]] = {
    tool.name: tool
    for tool in (
        Tool(
            "ask_costs",
            "Ask what something cost",
            "What it cost over some days, by up to three dimensions, under any conditions, compared with another "
            "period. Each figure comes with the arguments of show_evidence that open the charges behind it.",
            of.Costs,
            _costs,
        ),
        Tool(
            "show_evidence",
            "Open a figure to the charges behind it",
            "Computes one figure again and lists the rows of the billing export it is the sum of. Take the arguments "
            "from the `evidence` beside the figure. `rows_sum` is the sum of all rows, shown or not.",
            of.Evidence,
            _evidence,
        ),
        Tool(
            "list_dimensions",
            "List what can be asked",
            "Every dimension to group and filter by, custom ones as well, and every measure.",
            of.Nothing,
            _dimensions,
        ),
        Tool(
            "list_members",
            "List the members of a dimension",
            "Ids and names of projects, services, SKUs, teams and so on. Look names up here before filtering by them.",
            of.Members,
            _members,
        ),
        Tool(
            "list_anomalies",
            "List unusual costs",
            "Days that cost more, or less, than the past explains, and which member explains most of it.",
            of.Anomalies,
            _anomalies,
        ),
        Tool(
            "list_forecasts",
            "Forecast the month's end",
            "What the month and the next 30 days will come to, with 80 and 95 % intervals.",
            of.Forecasts,
            _forecasts,
        ),
        Tool(
            "list_recommendations",
            "List what could be saved",
            "Savings found by rules in the bill: low, mid and high a month, with evidence and what each assumes. "
            "`meta.totals` counts those that exclude each other once.",
            of.Narrowed,
            _recommendations,
        ),
        Tool(
            "list_insights",
            "Read the insights",
            "Texts that were checked: every figure in them is a fact, computed again for this answer.",
            of.Insights,
            _insights,
        ),
        Tool(
            "list_budgets",
            "List budgets",
            "How much of each budget is spent in a month, what is forecast, and which alerts were given.",
            of.Budgets,
            _budgets,
        ),
        Tool(
            "list_restatements",
            "List what was corrected",
            "Usage days whose served figures moved: before, after and why. Explains why a figure is not what it was.",
            of.Restatements,
            _restatements,
        ),
        Tool(
            "list_invoice_months",
            "List invoice months",
            "What each invoice adds up to, of which parts, and what is left of the total that Google sent; the newest "
            "first.",
            of.InvoiceMonths,
            _invoice_months,
        ),
        Tool(
            "get_data_status",
            "Say how fresh the data is",
            "Through which day the figures are complete, what is behind, and what is left of each invoice.",
            of.Nothing,
            _data_status,
        ),
    )
}
