"""From a figure of an answer to the question whose charges add up to it.

A figure is named by its exact days and the ids of its members, so that the same charges are found when the window it
was asked with has moved on.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from finops_client.errors import NoEvidence
from finops_client.questions import CostQuestion, EvidenceQuestion

OTHER = "(other)"
PREVIOUS = "previous_"
A_DAY = timedelta(days=1)

BEFORE_ANY_EXPORT = date(2000, 1, 1)
"""An invoice holds charges of whichever days; Google's billing export began later than this."""


def evidence_of(
    question: CostQuestion, meta: Mapping[str, Any], row: Mapping[str, Any], figure: str
) -> EvidenceQuestion:
    """The question that opens a figure of a row, or of a total, of the answer to `question`. Raises `NoEvidence`."""
    is_previous = figure.startswith(PREVIOUS)
    measure = figure.removeprefix(PREVIOUS)
    if measure not in meta["measures"] or figure not in row:
        raise NoEvidence(f"{figure} is no sum of charges. These of its row are: {', '.join(meta['measures'])}.")
    if meta["as_of"] is not None:
        raise NoEvidence("Evidence adds up the charges of now, and this answer is as of the past. Ask without as_of.")
    filters = dict(meta["filters"])
    members = {name: row[name] for name in meta["group_by"] if name in row}
    named: EvidenceQuestion = {"measure": measure, "billing_currency": row["billing_currency"]}
    if "where" in question:
        named["where"] = question["where"]
    if OTHER in members.values():
        return {**named, **_other(question, meta, row, is_previous=is_previous), "filters": filters}
    start, end = _previous_days(meta, row) if is_previous else _days(meta, row)
    if start >= end:
        raise NoEvidence("The figure counts no day, so no charge is behind it.")
    if meta["time_basis"] == "invoice_month":
        at = {**filters, **{name: [member] for name, member in members.items()}}
        return {**named, "start": start, "end": end, "filters": {**at, "invoice_month": _invoices(meta, row, filters)}}
    if "invoice_month" in row and "invoice_month" not in members:
        filters = {**filters, "invoice_month": [row["invoice_month"]]}
    place: EvidenceQuestion = {"granularity": "total", "start": start, "end": end, "filters": filters}
    if members:
        place |= {"group_by": list(members), "member": list(members.values())}
    # The days are exactly those that were counted, so none of them is to be left out again.
    return {**named, **place, "include_unfinished": True}


def _days(meta: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[date, date]:
    """The usage days that a figure counts."""
    if "usage_day" in row:
        return row["usage_day"], row["usage_day"] + A_DAY
    start, counted_through = meta["start"], meta["counted_through"] or meta["start"] - A_DAY
    if meta["time_basis"] == "invoice_month":
        start = BEFORE_ANY_EXPORT
        counted_through = meta["counted_through"] or meta["complete_through"]
    first, after = start, counted_through + A_DAY
    if "week" in row:
        first, after = row["week"], row["week"] + 7 * A_DAY
    elif "month" in row:
        first = date.fromisoformat(f"{row['month']}-01")
        after = (first + 31 * A_DAY).replace(day=1)
    return max(first, start), min(after, counted_through + A_DAY)


def _previous_days(meta: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[date, date]:
    start: date = meta["previous_start"]
    if "usage_day" not in row:
        return start, meta["previous_end"]
    day = row["usage_day"] - (meta["start"] - start)
    return day, day + A_DAY


def _other(
    question: CostQuestion, meta: Mapping[str, Any], row: Mapping[str, Any], *, is_previous: bool
) -> EvidenceQuestion:
    """`(other)` is whatever is left beside the members of the whole answer, so the answer has to be named with it."""
    if is_previous or meta["granularity"] not in ("daily", "monthly", "total") or meta["time_basis"] != "usage_day":
        raise NoEvidence("What (other) holds follows from the whole answer. Ask without top, and open a member.")
    [group] = meta["group_by"]
    named: EvidenceQuestion = {
        "granularity": meta["granularity"], "start": meta["start"], "end": meta["end"], "group_by": [group],
        "member": [OTHER], "top": question["top"], "ranked_by": meta["measures"][0],
        "include_unfinished": question.get("include_unfinished", False),
    }  # fmt: skip
    if meta["granularity"] == "daily":
        named["period"] = row["usage_day"].isoformat()
    if meta["granularity"] == "monthly":
        named["period"] = row["month"]
    return named


def _invoices(meta: Mapping[str, Any], row: Mapping[str, Any], filters: Mapping[str, Sequence[str]]) -> list[str]:
    if "invoice_month" in row:
        return [row["invoice_month"]]
    months, month = [], meta["start"]
    while month < meta["end"]:
        months.append(f"{month:%Y%m}")
        month = (month + 31 * A_DAY).replace(day=1)
    kept = filters.get("invoice_month", months)
    return [month for month in months if month in kept]
