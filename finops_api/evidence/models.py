"""The question and the answer of `/v1/evidence`."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from finops_api.costs.models import MAX_TOP, CostQuestion, DimensionName, MeasureName, Window
from finops_api.errors import EmptyWindow
from finops_api.questions import Day, Filtered, Member, refuse_what_does_not_add_up
from finops_insights.facts import Unit
from finops_warehouse.cells import Cell
from finops_warehouse.conditions import Condition, CustomName

MAX_PAGE = 200
Id = Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9_.:-]+$")]


class EvidenceQuery(Filtered):
    """Which number? A cell in the words of `/v1/costs`, or a figure of an insight, anomaly or recommendation."""

    start: Day | None = Field(None, description="First usage day of a cell.")
    end: Day | None = Field(None, description="Day after the last.")
    billing_currency: Annotated[Member, Field(min_length=1)] | None = None
    measure: MeasureName = MeasureName("billed_cost")

    window: Window | None = Field(None, description="Instead of start and end, as asked of `/v1/costs`.")
    granularity: Literal["daily", "monthly", "total"] | None = Field(
        None,
        description="That of the answer the cell is in; with it, days that no total counts are left out here, too.",
    )
    group_by: list[DimensionName | CustomName] = Field([], description="What the answer was grouped by.")
    top: int | None = Field(None, ge=1, le=MAX_TOP, description="The `top` the answer was asked with.")
    ranked_by: MeasureName | None = Field(None, description="The first measure of the answer, if `measure` is another.")
    include_unfinished: bool = False
    period: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}(-[0-9]{2})?$")] | None = Field(
        None, description="The cell's `usage_day` or `month`."
    )
    member: list[Member] = Field(
        [], max_length=3, description="The cell's member of each dimension in `group_by`, in its order; `(other)` too."
    )

    insight_id: Id | None = Field(None, description="Instead of a cell: an insight, with `fact_id`.")
    anomaly_id: Id | None = Field(None, description="Instead of a cell: an anomaly; its excess.")
    recommendation_id: Id | None = Field(None, description="Instead of a cell: a recommendation, with `fact_id`.")
    fact_id: Annotated[str, Field(pattern=r"^f_[a-z0-9_]+$", max_length=60)] | None = None

    limit: int = Field(50, ge=1, le=MAX_PAGE)
    offset: int = Field(0, ge=0, le=10_000_000)

    @model_validator(mode="after")
    def _names_one_number(self) -> Self:
        named = [name for name in ("insight_id", "anomaly_id", "recommendation_id") if getattr(self, name)]
        has_days = self.window is not None or (self.start is not None and self.end is not None)
        is_cell = has_days and self.billing_currency is not None
        if self.window and (self.start or self.end):
            raise ValueError("give window, or start and end, not both")
        if self.granularity is None and (self.window or self.group_by or self.period or self.member or self.top):
            raise ValueError("a cell of an answer is named with the answer's granularity")
        if len(self.member) != len(self.group_by):
            raise ValueError("give one member for each dimension in group_by, in the same order")
        if self.granularity in ("daily", "monthly") and self.period is None:
            raise ValueError("name the cell's period: its usage_day or month")
        if self.period is not None and len(self.period) != {"daily": 10, "monthly": 7}.get(self.granularity or "", 0):
            raise ValueError("the period is a usage_day of a daily answer, or a month of a monthly one")
        if len(named) + is_cell != 1:
            raise ValueError(
                "name one number: start, end and billing_currency of a cell, or insight_id, anomaly_id or "
                "recommendation_id"
            )
        if named and named != ["anomaly_id"] and self.fact_id is None:
            raise ValueError("name the figure: fact_id")
        return self

    def condition(self) -> Condition | None:
        """What charges have to be beyond the filters; a URL cannot say it."""
        return None

    def members(self) -> dict[str, list[str]]:
        """The members its charges may be of: what decides whether measures add up."""
        condition = self.condition()
        return {**(condition.members() if condition else {}), **self.filters()}

    def dimensions(self) -> set[str]:
        """Every dimension it is narrowed by."""
        condition = self.condition()
        return {*self.filters(), *(condition.dimensions() if condition else ())}

    def answer(self) -> CostQuestion:
        """The question whose answer the cell is in."""
        assert self.billing_currency
        return CostQuestion(
            start=self.start,
            end=self.end,
            window=self.window,
            granularity=self.granularity or "total",
            group_by=self.group_by,
            measure=[self.ranked_by or self.measure],
            top=self.top,
            include_unfinished=self.include_unfinished,
            billing_currency=[self.billing_currency],
            where=self.condition(),
            **{name: getattr(self, name) for name in Filtered.model_fields},
        )

    def cell(self) -> Cell:
        """The cell asked for by its days and members alone. Raises `EmptyWindow` when it holds no day."""
        assert self.start and self.end and self.billing_currency  # noqa: PT018 -- checked above
        if self.start >= self.end:
            raise EmptyWindow(f"No day lies from {self.start} to {self.end}: end is not included.")
        refuse_what_does_not_add_up(str(self.measure), self.members())
        return Cell(
            measure=str(self.measure),
            start=self.start,
            end=self.end,
            billing_currency=self.billing_currency,
            filters=self.built_in_filters(),
            custom=self.custom_filters(),
            where=self.condition(),
        )


class EvidenceQuestion(EvidenceQuery):
    """A number named by a body: what a URL can name, and cells of answers to any combination of conditions."""

    where: Condition | None = Field(None, description="As asked of `/v1/costs/query`.")

    @model_validator(mode="after")
    def _is_of_a_cell(self) -> Self:
        if self.where is not None:
            if self.insight_id or self.anomaly_id or self.recommendation_id:
                raise ValueError(
                    "where narrows a cell: a figure of an insight, anomaly or recommendation is what it is"
                )
            self.where.refuse_too_much()
        return self

    def condition(self) -> Condition | None:
        """What charges have to be beyond the filters."""
        return self.where


class FormulaPart(BaseModel):
    """A figure that another one is computed from."""

    fact_id: str
    label: str
    operator: str = Field(description="What stands before it: nothing, a sign, or = before the result.")
    value: str | None
    formatted: str


class ChargeInfo(BaseModel):
    """A row of the billing export, or what the hours of a usage day add up to where the export is copied by day."""

    row: str = Field(description="Names the row for ever: export day, hash and occurrence.")
    export_day: date
    usage_day: date
    invoice_month: str
    project: str | None
    project_name: str | None
    service_name: str | None
    sku_description: str | None
    region: str | None
    cost_type: str
    resource_name: str | None
    custom: dict[str, str] = Field(description="Its member by custom dimension.")
    assigned_by: dict[str, str] = Field(description="By custom dimension, the rule that assigned it.")
    consumed_quantity: str | None
    consumed_unit: str | None
    charge_count: int = Field(description="Rows of the export it stands for; 1 unless EXTRACT_GRAIN is `day`.")
    cost: str
    billed_cost: str
    value: str = Field(description="What the row adds to the cell.")


class CellInfo(BaseModel):
    """Whose rows these are."""

    measure: str
    start: date
    end: date
    billing_currency: str
    filters: Mapping[str, list[str]]
    custom: Mapping[str, list[str]]
    at: Mapping[str, str] = Field(description="The coordinates: of each dimension grouped by, the member by its id.")
    excluding: Mapping[str, list[str]] = Field(description="What `(other)` leaves out: the members shown one by one.")
    where: Condition | None = Field(None, description="What its charges have to be as well.")


class ColumnStep(BaseModel):
    """A column on the way from the charges to the number."""

    column: str = Field(description="`table.column`.")
    made_of: list[str] = Field(description="Empty where the export itself is read.")
    sql_file: str


class Evidence(BaseModel):
    """A number, how it is computed, and the charges it is made of."""

    label: str
    formula: list[FormulaPart] = Field(description="Empty where the number is simply the sum of its rows.")
    value: str | None = Field(description="The number, computed again for this answer.")
    served_value: str | None = Field(description="The number as it is served.")
    unit: Unit
    currency: str | None
    formatted: str
    matches: bool = Field(description="Whether both are equal, and the rows add up to their cell, to the last digit.")
    recomputed_at: datetime
    cell: CellInfo | None = Field(description="The cell whose rows these are; null where there is none.")
    cell_value: str | None = Field(description="What the served tables say of the cell.")
    rows: list[ChargeInfo]
    row_count: int
    charge_count: int = Field(description="Rows of the export that all rows stand for.")
    rows_sum: str
    offset: int
    limit: int
    path: list[str] = Field(description="The tables from the charges to the number.")
    columns: list[ColumnStep] = Field(description="From the number down to the charges: what makes each column.")
    sql_files: list[str]
