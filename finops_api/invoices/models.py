"""The questions and answers of `/v1/invoice-months` and `/v1/invoices`."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from finops_api.questions import Member, Question
from finops_warehouse.conditions import MAX_VALUES

Month = Annotated[str, Field(pattern=r"^[0-9]{4}(0[1-9]|1[0-2])$", description="YYYYMM.")]


class InvoiceMonthQuery(Question):
    """Which invoice months? All of them, oldest first, if nothing is said."""

    invoice_month: list[Month] = Field([], max_length=MAX_VALUES)
    billing_account: list[Member] = Field([], max_length=MAX_VALUES)


class Seal(BaseModel):
    """What the month was when it closed."""

    billed_cost: str
    charge_count: int
    input_hash: str
    sealed_at: datetime
    reason: str


class InvoiceProof(BaseModel):
    """An invoice month as the identity it is; amounts are decimal strings in `billing_currency`.

    billed_cost = cost_regular + cost_tax + cost_adjustment + cost_rounding_error + the credits.
    """

    invoice_month: str
    billing_account_id: str
    billing_currency: str
    state: Literal["open", "closing", "closed"]
    closing_from: date
    closed_from: date
    cost_regular: str
    cost_tax: str
    cost_adjustment: str
    cost_rounding_error: str
    credits: dict[str, str] = Field(description="By credit type; negative.")
    billed_cost: str
    charge_count: int
    late_billed_cost: str = Field(description="What export days after `closed_from` brought; part of `billed_cost`.")
    late_charge_count: int
    input_hash: str = Field(description="Hash of the rows behind the month, whatever order they came in.")
    invoice_id: str | None
    invoice_total: str | None
    residual: str | None = Field(description="billed_cost less invoice_total; 0 is the proof.")
    focus_export_total: str | None = Field(description="What Google's own FOCUS export bills; null without one.")
    focus_export_residual: str | None = Field(description="billed_cost less focus_export_total.")
    seal: Seal | None = Field(description="Null while the month is not closed and whole.")
    moved_after_close: bool = Field(description="Whether it moved since it closed, and nobody accepted that.")


class InvoiceMonths(BaseModel):
    """Invoice months, oldest first."""

    items: list[InvoiceProof]


class PartsQuery(Question):
    """Which invoice's parts?"""

    invoice_month: Month
    billing_account: list[Member] = Field([], max_length=MAX_VALUES)


class Part(BaseModel):
    """What an export day brought for an invoice."""

    billing_account_id: str
    billing_currency: str
    export_day: date
    cost_type: str
    cost: str
    credits: dict[str, str] = Field(description="By credit type; negative. Types without an amount are left out.")
    billed_cost: str
    charge_count: int


class Parts(BaseModel):
    """The parts of an invoice month, by export day and cost type; their billed costs add up to the month's."""

    items: list[Part]


class InvoiceTotal(BaseModel):
    """What the invoice says."""

    total: Annotated[str, Field(max_length=60, pattern=r"^-?[0-9]+(\.[0-9]+)?$", examples=["1234.56"])]
    invoice_id: Annotated[str, Field(max_length=100, pattern=r"^[^\x00]+$")] | None = Field(
        None, description="The number on the invoice."
    )


class Taken(BaseModel):
    """What became of it."""

    changed: bool = Field(description="Whether the total is new; its month is then proven by the next build.")
