"""What is answered: rows whose amounts are `Decimal`s, and what says how far they can be trusted."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from finops_client.decoding import decoded
from finops_client.evidence import evidence_of
from finops_client.questions import CostQuestion, EvidenceQuestion
from finops_client.tables import columns_of, frame, table

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]

PERIODS: Mapping[str, Mapping[str, pa.DataType]] = {
    "daily": {"usage_day": pa.date32(), "estimated": pa.bool_()},
    "weekly": {"week": pa.date32()},
    "monthly": {"month": pa.string()},
    "invoice_month": {"invoice_month": pa.string()},
    "total": {"start": pa.date32(), "end": pa.date32()},
}
"""The columns that say of when a row is, by granularity."""

NAMED = ("project", "service", "sku")
"""The dimensions whose members have a name beside their id, in `service_name` and so on."""


@dataclass(frozen=True)
class CostAnswer:
    """What it cost: every row of the answer, however many pages they came in."""

    question: CostQuestion
    """As it was asked."""

    rows: list[Row]
    """Period, dimensions and measures. Amounts are `Decimal`s in the row's `billing_currency`, days are `date`s."""

    totals: list[Row]
    """A row a currency, over the days up to `meta["counted_through"]`. Currencies are never added."""

    meta: Row
    """The resolved question, and how far the answer can be trusted: data version, complete through, missing days."""

    def to_arrow(self) -> pa.Table:
        """The rows as a table, its columns the same whether or not there are rows. Amounts are decimal128."""
        groups = {name: pa.string() for name in self.meta["group_by"]}
        names = {f"{name}_name": pa.string() for name in groups if name in NAMED}
        others = {"others": pa.int64()} if "top" in self.question else {}
        columns: dict[str, pa.DataType | None] = {
            **PERIODS[self.meta["granularity"]], **groups, **names, **others, "billing_currency": pa.string(),
            **dict.fromkeys(figures(self.meta)),
        }  # fmt: skip
        return table(self.rows, columns)

    def to_pandas(self) -> "pd.DataFrame":
        """The rows as a DataFrame. Amounts stay `Decimal`s, which add up exactly. Raises `MissingPandas`."""
        return frame(self.to_arrow())

    def evidence_of(self, row: Row, figure: str = "billed_cost") -> EvidenceQuestion:
        """The question of `FinOps.evidence` whose charges add up to a figure of one of the rows or totals.

        Raises `NoEvidence` where one question cannot name them: a change, an answer as of the past.
        """
        return evidence_of(self.question, self.meta, row, figure)


def figures(meta: Row) -> list[str]:
    """The names of the amounts in the rows of an answer."""
    beside = ("", "previous_", "change_", "change_percent_") if meta["previous_start"] else ("",)
    return [f"{prefix}{measure}" for measure in meta["measures"] for prefix in beside]


def cost_answer(question: CostQuestion, pages: list[Row]) -> CostAnswer:
    """The answer that pages of one state of the data make up; totals and meta are those of the last."""
    meta = decoded(pages[-1]["meta"])
    amounts = figures(meta)
    days = [name for name, kind in PERIODS[meta["granularity"]].items() if kind == pa.date32()]
    rows = [_row(row, days, amounts) for page in pages for row in page["items"]]
    return CostAnswer(question, rows, [_row(row, [], amounts) for row in pages[-1]["totals"]], meta)


def _row(row: Row, days: list[str], amounts: list[str]) -> Row:
    """By the answer's own columns: a custom dimension may be called what an amount or a day is elsewhere."""
    typed: Row = {name: date.fromisoformat(row[name]) for name in days}
    typed |= {name: Decimal(row[name]) for name in amounts if row[name] is not None}
    return {**row, **typed}


@dataclass(frozen=True)
class Listing:
    """A list of the API: anomalies, forecasts, recommendations, insights, budgets, restatements, invoice months."""

    items: list[Row]
    """Amounts are `Decimal`s, days are `date`s, moments are `datetime`s."""

    meta: Row
    """What was looked at; empty where the API says nothing of it."""

    def to_arrow(self) -> pa.Table:
        """The items as a table. What lies within an item becomes a struct or a list."""
        return table(self.items, columns_of(self.items))

    def to_pandas(self) -> "pd.DataFrame":
        """The items as a DataFrame; amounts stay `Decimal`s. Raises `MissingPandas`."""
        return frame(self.to_arrow())


@dataclass(frozen=True)
class Download:
    """A file that arrived whole."""

    path: Path
    size: int
    """In bytes."""

    data_version: int
    """Rises with the data the file is made from."""

    complete_through: date
    """The last usage day whose charges have all had time to arrive."""

    missing_days: int
    """Days of the window that are not built: they have no rows, which is not a zero."""
