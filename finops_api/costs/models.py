"""The question and the answer of `/v1/costs`."""

from calendar import monthrange
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, PrivateAttr, model_validator

from finops_api.errors import EmptyWindow, NothingToCompare, TooManyGroups, WindowTooLong
from finops_api.questions import Day, Filtered, Member, Moment, refuse_what_does_not_add_up
from finops_warehouse.conditions import MAX_VALUES, Condition, CustomName
from finops_warehouse.semantic import DIMENSIONS, MEASURES, SHARES

MAX_DAYS = 1100
MAX_GROUPS = 3
MAX_ROWS = 5000
MAX_TOP = 50

DimensionName = StrEnum("DimensionName", {name: name for name in DIMENSIONS})  # type: ignore[misc]
MeasureName = StrEnum("MeasureName", {name: name for name in [*MEASURES, *SHARES]})  # type: ignore[misc]

Window = Literal["7d", "14d", "30d", "90d", "180d", "365d", "mtd", "ytd", "lastmonth"]
Compare = Literal["previous", "previous_month", "period"]
TimeBasis = Literal["usage_day", "invoice_month"]


class CostQuery(Filtered):
    """What was it, from `start` to `end`, by these dimensions?"""

    start: Day | None = Field(None, description="First usage day.")
    end: Day | None = Field(None, description="Day after the last: `end` is not included.")
    window: Window | None = Field(
        None,
        description="Instead of start and end: the last complete days, this month or year to date, or last month.",
    )
    time_basis: TimeBasis = Field(
        "usage_day",
        description="What start and end are days of: when charges were used, or the invoices they are on. With "
        "invoice_month both are a first of a month, and late charges count in the month they are billed in.",
    )
    granularity: Literal["daily", "weekly", "monthly", "invoice_month", "total"] = Field(
        "daily",
        description="A row a usage day, a week (by its Monday), a calendar month of usage, an invoice month, or one.",
    )
    group_by: list[DimensionName | CustomName] = Field(
        [], description="Up to three dimensions, built-in or custom: `/v1/dimensions` lists them."
    )
    measure: list[MeasureName] = Field([MeasureName("billed_cost")], description="What to add up.")
    compare: Compare | None = Field(
        None,
        description="Also the same number of days just before, the same days of the month before, or with `period` as "
        "many days from compare_start on; with granularity daily or total. A month that is shorter gives the days it "
        "has. Rows and totals then have each measure also as `previous_…`, `change_…` and `change_percent_…`.",
    )
    compare_start: Day | None = Field(None, description="With compare=period: the first day of the other period.")
    top: int | None = Field(
        None,
        ge=1,
        le=MAX_TOP,
        description="Keep so many members of the one dimension grouped by, largest total of the first measure first; "
        "the rest is one member, `(other)`. Exact: the rows still add up to the totals.",
    )
    include_unfinished: bool = Field(
        default=False,
        description="Count days whose charges are still arriving in totals and months, too. They are always shown.",
    )
    billing_currency: list[Member] = Field([], max_length=MAX_VALUES, description="Only these currencies.")
    as_of: Moment | None = Field(
        None,
        description="Answer as at this moment (with its time zone: 2026-11-03T09:00:00Z): the figures a reader was "
        "served then, before later restatements, over the days that were complete then.",
    )

    limit: int | None = Field(
        None,
        ge=1,
        le=MAX_ROWS,
        description="Answer so many rows, and in `meta.next_cursor` where the next ones begin. Totals are of all rows.",
    )
    cursor: str | None = Field(
        None,
        max_length=300,
        description="`next_cursor` of the page before, with the same question. Refused once the data has moved.",
    )

    @model_validator(mode="after")
    def _can_be_compared(self) -> Self:
        if (self.compare == "period") != (self.compare_start is not None):
            raise ValueError("give compare=period and compare_start together")
        if self.compare and self.limit:
            raise ValueError("an answer that is compared is not paged: leave out limit, or compare")
        if self.cursor and not self.limit:
            raise ValueError("give limit with cursor")
        return self

    @model_validator(mode="after")
    def _names_its_days(self) -> Self:
        if self.window and (self.start or self.end):
            raise ValueError("give window, or start and end, not both")
        if not self.window and not (self.start and self.end):
            raise ValueError("give start and end (end is not included), or window")
        return self

    _resolved: "ResolvedQuery | None" = PrivateAttr(None)

    def condition(self) -> Condition | None:
        """What charges have to be beyond the filters; a URL cannot say it."""
        return None

    def dimensions(self) -> set[str]:
        """Every dimension that is grouped or filtered by, named in `group_by`, in a filter or in the granularity."""
        of_time = {"invoice_month"} if "invoice_month" in (self.granularity, self.time_basis) else set()
        condition = self.condition()
        return {
            *map(str, self.group_by),
            *self.filters(),
            *(condition.dimensions() if condition else ()),
            *of_time,
        }

    def resolved(self, complete_through: date) -> "ResolvedQuery":
        """The question with its days settled. Raises a `BadQuestion` when it has no answer."""
        held = self._resolved
        # A copy of a question that says something else has brought along what the original was resolved to.
        if held is None or held.query is not self or held.complete_through != complete_through:
            held = self._resolved = self._resolve(complete_through)
        return held

    def _resolve(self, complete_through: date) -> "ResolvedQuery":
        start, end = self._days(complete_through)
        if start >= end:
            raise EmptyWindow(f"No day lies from {start} to {end}: end is not included, so it must be after start.")
        if (end - start).days > MAX_DAYS:
            raise WindowTooLong(f"{start} to {end} is {(end - start).days} days; one answer holds {MAX_DAYS}.")
        if len(set(self.group_by)) > MAX_GROUPS:
            raise TooManyGroups(f"An answer is grouped by {MAX_GROUPS} dimensions at most, not {len(self.group_by)}.")
        if self.top and len(set(self.group_by)) != 1:
            raise TooManyGroups("`top` ranks the members of one dimension: give exactly one group_by with it.")
        if self.compare and self.granularity not in ("daily", "total"):
            raise NothingToCompare("Weeks and months of two periods differ. Compare with granularity daily or total.")
        if self.compare and self.time_basis == "invoice_month":
            raise NothingToCompare("Invoices have no days to lay beside each other. Ask for granularity=invoice_month.")
        condition = self.condition()
        filters = self.filters()
        members = {**(condition.members() if condition else {}), **filters}
        for measure in self.measure:
            refuse_what_does_not_add_up(str(measure), members)
        counted_end = end if self.include_unfinished else min(end, complete_through + timedelta(days=1))
        counted_end = max(counted_end, start)
        if self.compare and start - date.min < max(counted_end - start, timedelta(days=31)):
            raise NothingToCompare(f"The calendar has no {(counted_end - start).days} days before {start}.")
        if self.compare_start and date.max - self.compare_start < counted_end - start:
            raise NothingToCompare(f"The calendar has no {(counted_end - start).days} days after {self.compare_start}.")
        return ResolvedQuery(self, filters, start, end, counted_end, complete_through)

    def _days(self, complete_through: date) -> tuple[date, date]:
        if self.time_basis == "usage_day":
            return self._usage_days(complete_through)
        if self.window and self.window.endswith("d"):
            raise EmptyWindow(f"An invoice month is not made of the last {self.window}. Ask for mtd, ytd or lastmonth.")
        start, end = self._usage_days(complete_through)
        if self.window:  # of the month that is running, the invoice as a whole
            end = end if end.day == 1 else _month_after(end)
        if start.day != 1 or end.day != 1:
            raise EmptyWindow(f"Invoices are by month: {start} to {end} has to go from a first of a month to another.")
        return start, end

    def _usage_days(self, complete_through: date) -> tuple[date, date]:
        end = complete_through + timedelta(days=1)
        match self.window:
            case None:
                assert self.start and self.end  # noqa: PT018 -- the validator above refused everything else
                return self.start, self.end
            case "mtd":
                return complete_through.replace(day=1), end
            case "ytd":
                return complete_through.replace(month=1, day=1), end
            case "lastmonth":
                first = complete_through.replace(day=1)
                before = first - timedelta(days=1)
                return first - timedelta(days=monthrange(before.year, before.month)[1]), first
            case window:
                return end - timedelta(days=int(window.removesuffix("d"))), end


class CostQuestion(CostQuery):
    """A question as a body: what a URL can ask, and any combination of conditions."""

    where: Condition | None = Field(
        None,
        description="`{dimension, operator, values}`, `{and: […]}`, `{or: […]}` or `{not: …}`, into each other. "
        "Beside it the plain filters hold as well.",
    )

    @model_validator(mode="after")
    def _is_not_endless(self) -> Self:
        if self.where is not None:
            self.where.refuse_too_much()
        return self

    def condition(self) -> Condition | None:
        """What charges have to be beyond the filters."""
        return self.where


class ResolvedQuery:
    """A question whose days are known. One that is asked again is the same object, and never changed."""

    def __init__(
        self,
        query: CostQuery,
        filters: dict[str, list[str]],
        start: date,
        end: date,
        counted_end: date,
        complete_through: date,
    ) -> None:
        self.query = query
        self.filters = filters
        """The members asked for, by dimension."""
        self.groups = list(dict.fromkeys(map(str, query.group_by)))
        """The dimensions grouped by, each once, in the order asked."""
        self.measures = list(dict.fromkeys(map(str, query.measure)))
        """The measures asked for, each once, in the order asked."""
        self.start = start
        self.end = end
        self.counted_end = counted_end
        """End of what totals hold: unfinished days are left out unless they were asked for."""
        self.complete_through = complete_through
        self.read_days = (start, end, counted_end)
        """The usage days that are read, and the end of what totals hold. Of invoices, those their charges are of."""

    def over_usage_days(self, start: date, end: date) -> "ResolvedQuery":
        """The question that reads these usage days, not those of the calendar months asked for."""
        complete_end = self.complete_through + timedelta(days=1)
        counted_end = max(end if self.query.include_unfinished else min(end, complete_end), start)
        settled = ResolvedQuery(self.query, self.filters, self.start, self.end, counted_end, self.complete_through)
        settled.read_days = (start, end, counted_end)
        return settled

    @property
    def previous(self) -> tuple[date, date]:
        """The days it is compared with, as many as totals count where there are as many."""
        length = self.counted_end - self.start
        if self.query.compare_start:
            return self.query.compare_start, self.query.compare_start + length
        if self.query.compare != "previous_month":
            return self.start - length, self.start
        first = _month_before(self.start)
        return first, min(first + length, self.start)


def _month_before(day: date) -> date:
    """The same day of the month before, or its last one."""
    last_of_month_before = day.replace(day=1) - timedelta(days=1)
    return last_of_month_before.replace(day=min(day.day, last_of_month_before.day))


def _month_after(day: date) -> date:
    return day.replace(day=1) + timedelta(days=monthrange(day.year, day.month)[1])


class RestatedBy(BaseModel):
    """By how much billed cost moved in a currency, over every account of the window."""

    billing_currency: str
    billed_cost_change: str


class CostMeta(BaseModel):
    """How far an answer can be trusted."""

    start: date
    end: date
    granularity: str
    group_by: list[str]
    measures: list[str]
    filters: dict[str, list[str]]
    where: Condition | None = Field(description="The conditions of the question.")
    time_basis: TimeBasis
    table: str = Field(description="The table it was read from.")
    data_version: int = Field(description="Rises whenever any day of that table is rebuilt.")
    complete_through: date = Field(description="Last usage day whose charges have all had time to arrive.")
    counted_through: date | None = Field(description="Last usage day in totals and months; None when there is none.")
    estimated: bool = Field(description="Whether days of the window are still arriving.")
    missing_days: list[date] = Field(
        description="Days of the window, and of the one it is compared with, that are not built. They are not zeroes."
    )
    restated: bool = Field(description="Whether a figure of the window moved after it was first served.")
    restated_days: list[date] = Field(description="Days of the window whose figures moved after they were served.")
    last_restated_at: datetime | None = Field(description="When the last of them moved.")
    restated_by: list[RestatedBy] = Field(description="By how much all restatements together moved billed cost.")
    as_of: datetime | None = Field(description="The moment the answer is as of; None is now.")
    behind_days: list[date] = Field(
        description="Days of the window whose charges moved since they were built; they show what was last built."
    )
    previous_start: date | None = None
    previous_end: date | None = None
    next_cursor: str | None = Field(None, description="Where the next page begins; null on the last one.")


class CostPage(BaseModel):
    """Rows and totals; amounts are decimal strings in the row's `billing_currency`."""

    items: list[dict[str, Any]] = Field(
        description="Period, dimensions and measures; with `compare`, each measure also as `previous_…`, `change_…` "
        "and `change_percent_…`, null where there is nothing to compare with."
    )
    totals: list[dict[str, Any]] = Field(description="One row a currency, over the days up to `counted_through`.")
    meta: CostMeta
