"""What there is to write about a day or a month, and the facts a text about it may show.

Pure: rows in, facts out. A fact's label never holds a name, because labels are sent to language models; names are
facts of their own. The id of a figure begins with the id of the name it belongs to (`f_service_1_change` is a change
of `f_service_1`), which is how the checker knows when a sentence gives it to somebody else. A change is shown without
its sign: the fact says which way it goes, and the words have to.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

from finops_insights import facts as write
from finops_insights.aliases import Kind
from finops_insights.facts import Derived, Direction, Fact, FromCell, Given, Operation, Stored, Unit, derive
from finops_warehouse.cells import Cell
from finops_warehouse.semantic import UNATTRIBUTED

SubjectKind = Literal["spend_summary", "anomaly"]
Period = Literal["day", "month"]
Severity = Literal["low", "medium", "high"]

NAME_LIMIT: Final = 96
MOVERS: Final = {"service": 3, "project": 2}
"""How many are named."""
MOVED_AT_LEAST = Decimal("0.01")
"""A member that moved by less of the total is not worth a sentence."""
SUMMED_DAYS: Final = 10
"""The expected cost of a longer event is taken from its excess and not added up day by day: a text holds 40 facts."""
NOBODY = {"project": "charges without a project", "service": "charges without a service"}
LARGEST_PERCENT = Decimal(1000)
"""A larger change says only that there was hardly anything before; its amount is shown alone."""


class Entity(NamedTuple):
    """Something with a name that was written by somebody else."""

    kind: Kind
    value: str
    """Its id, as filters take it."""
    name: str


@dataclass(frozen=True)
class Subject:
    """Something to write about."""

    subject: SubjectKind
    subject_id: str
    period: Period
    period_start: date
    billing_currency: str
    facts: Mapping[str, Fact]
    entities: Mapping[str, Entity] = field(default_factory=dict)
    """By the id of the fact that shows its name."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What is known beside figures, in words of ours."""
    sub_account_id: str | None = None
    service_id: str | None = None
    severity: Severity | None = None

    @property
    def insight_id(self) -> str:
        """The same for every rewrite of the same subject."""
        parts = (self.period, self.period_start.isoformat(), self.subject, self.subject_id, self.billing_currency)
        return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]

    @property
    def names(self) -> set[str]:
        """What no text may spell out."""
        spelled = {
            text for entity in self.entities.values() for text in (entity.value, entity.name, shown(entity.name))
        }
        return spelled - {UNATTRIBUTED, *NOBODY.values()}


# -- rows, as they are read


@dataclass(frozen=True)
class Spent:
    """What a service in a project cost in a window and before it."""

    billing_currency: str
    sub_account_id: str | None
    sub_account_name: str | None
    service_id: str | None
    service_name: str | None
    now: Decimal
    before: Decimal
    whole_month_before: Decimal = Decimal(0)
    """The calendar month before the one of the day."""


@dataclass(frozen=True)
class AnomalyDay:
    """A row of `cost_anomalies`."""

    usage_day: date
    anomaly_id: str
    scope: str
    billing_account_id: str
    billing_currency: str
    sub_account_id: str | None
    sub_account_name: str | None
    service_id: str | None
    service_name: str | None
    start_day: date
    direction: Direction
    severity: Severity
    actual_cost: Decimal
    expected_cost: Decimal
    event_excess_cost: Decimal
    causes: Sequence[Mapping[str, Any]]
    explained_by: Sequence[str]


@dataclass(frozen=True)
class MonthEnd:
    """The row of `cost_forecasts` for everything in a currency, to the end of a month."""

    billing_currency: str
    start_day: date
    expected_cost: Decimal
    low_80: Decimal
    high_80: Decimal
    status: str


@dataclass(frozen=True)
class Saving:
    """A counted row of `savings_recommendations`."""

    recommendation_id: str
    billing_currency: str
    title: str
    monthly_saving_mid: Decimal


@dataclass(frozen=True)
class DayRows:
    """Everything a day's texts are made of."""

    day: date
    first_day: date
    """The first day there are costs of."""
    spent: Sequence[Spent]
    anomalies: Sequence[AnomalyDay]
    """Of every event flagged on the day or the day before, all days up to the day."""
    forecasts: Sequence[MonthEnd]
    savings: Sequence[Saving]
    costs_of_ended: Mapping[str, Decimal] = field(default_factory=dict)
    """By anomaly, for events whose last flagged day was the day before: what the day itself cost."""


@dataclass(frozen=True)
class InvoicedRow:
    """What a service in a project cost on the invoices of a month and of the month before."""

    billing_currency: str
    sub_account_id: str | None
    sub_account_name: str | None
    service_id: str | None
    service_name: str | None
    now: Decimal
    before: Decimal


@dataclass(frozen=True)
class InvoiceMonth:
    """The rows of `invoice_months` of a month and a currency, added up."""

    billing_currency: str
    billed_cost: Decimal
    invoice_total: Decimal | None
    """None unless every account's invoice was handed in."""


@dataclass(frozen=True)
class MonthRows:
    """Everything a month's texts are made of."""

    month: date
    """Its first day."""
    is_over: bool
    first_day: date
    window: tuple[date, date]
    """Half-open: holds every usage day that is on the invoices of the month."""
    window_before: tuple[date, date] | None
    """The same for the month before; None when its days are not all there."""
    spent: Sequence[InvoicedRow]
    invoices: Sequence[InvoiceMonth]


# -- windows


def month_to_date(day: date) -> tuple[date, date]:
    """The days of the month up to `day`, half-open."""
    return day.replace(day=1), day + timedelta(days=1)


def same_days_before(window: tuple[date, date]) -> tuple[date, date]:
    """As many days of the month before, all of them where it has fewer.

    Not the days just before: taxes and fees are billed on certain days of a month, and would look like news.
    """
    start, end = window
    first = month_before(start)
    return first, min(first + (end - start), start)


def month_before(first: date) -> date:
    """The first day of the month before."""
    return (first - timedelta(days=1)).replace(day=1)


def months_window(first: date) -> tuple[date, date]:
    """The days of a month, half-open."""
    return first, (first + timedelta(days=31)).replace(day=1)


# -- subjects


def of_day(rows: DayRows) -> list[Subject]:
    """A summary for each currency, and a text for each anomaly that goes on or has just ended."""
    currencies = sorted({spent.billing_currency for spent in rows.spent})
    events: dict[str, list[AnomalyDay]] = {}
    for row in sorted(rows.anomalies, key=lambda a: (a.anomaly_id, a.usage_day)):
        events.setdefault(row.anomaly_id, []).append(row)
    return [
        *(_day_summary(rows, currency) for currency in currencies),
        *(_anomaly(rows, event, rows.costs_of_ended.get(name)) for name, event in events.items()),
    ]


def of_month(rows: MonthRows) -> list[Subject]:
    """A summary for each currency."""
    return [_month_summary(rows, invoice) for invoice in rows.invoices]


def _day_summary(rows: DayRows, currency: str) -> Subject:
    window = month_to_date(rows.day)
    before = same_days_before(window)
    spent = [row for row in rows.spent if row.billing_currency == currency]
    made = _Making(currency)
    notes: dict[str, str] = {}
    made.month("f_month", "the month", window[0])
    made.day("f_first_day", "the first day that is counted", max(window[0], rows.first_day))
    made.day("f_day", "the last day that is counted", rows.day)
    made.cell(
        "f_spend",
        "spent in the month so far",
        _sum(s.now for s in spent),
        Cell(start=window[0], end=window[1], billing_currency=currency),
    )
    if rows.first_day <= before[0]:
        cell = Cell(start=before[0], end=before[1], billing_currency=currency)
        made.day("f_before_first", "the first day of those compared with", before[0])
        made.day("f_before_last", "the last day of those compared with", before[1] - timedelta(days=1))
        made.cell("f_before", "spent on the same days of the month before", _sum(s.before for s in spent), cell)
        made.change("f_change", "the change between the two", "f_spend", "f_before")
        made.change_percent("f_change_percent", "the change as a part of what was spent before", "f_spend", "f_before")
        made.movers(spent, window, before, {})
    else:
        notes["comparison"] = "there are not enough earlier days to compare with"
    _forecast(made, notes, rows, spent, currency)
    _unusual(made, notes, rows, currency)
    _savings(made, rows, currency)
    return Subject(
        "spend_summary", currency, "day", rows.day, currency, made.facts, made.entities, notes,
    )  # fmt: skip


def _forecast(made: "_Making", notes: dict[str, str], rows: DayRows, spent: Sequence[Spent], currency: str) -> None:
    forecast = next((f for f in rows.forecasts if f.billing_currency == currency), None)
    if forecast is None:
        return
    key = {
        "as_of_day": rows.day.isoformat(), "scope": "total", "member": "all", "billing_currency": currency,
        "period": "month_end",
    }  # fmt: skip
    for name, label, column in (
        ("f_forecast", "what the month is forecast to cost", "expected_cost"),
        ("f_forecast_low", "the low end of what the forecast allows for", "low_80"),
        ("f_forecast_high", "the high end of what the forecast allows for", "high_80"),
    ):
        made.stored(name, label, getattr(forecast, column), Stored(table="cost_forecasts", key=key, column=column))
    made.given_percent("f_forecast_certainty", "how often costs end inside what the forecast allows for", Decimal(80))
    made.month("f_forecast_month", "the month that is forecast", forecast.start_day)
    if forecast.status != "ok":
        notes["forecast"] = "it rests on little history"
    whole = months_window(month_before(forecast.start_day))
    if rows.first_day > whole[0]:
        return
    to_date = month_to_date(rows.day)
    cost = _sum(s.now if whole == to_date else s.whole_month_before for s in spent)
    cell = Cell(start=whole[0], end=whole[1], billing_currency=currency)
    made.month("f_last_month", "the month before the forecast one", whole[0])
    made.cell("f_last_month_spend", "spent in the month before the forecast one", cost, cell)
    made.change_percent(
        "f_forecast_change", "the forecast against the month before", "f_forecast", "f_last_month_spend"
    )


def _unusual(made: "_Making", notes: dict[str, str], rows: DayRows, currency: str) -> None:
    """How many anomalies the day has; those that others explain are not counted beside them."""
    found = [
        a for a in rows.anomalies
        if a.usage_day == rows.day and a.billing_currency == currency and not a.explained_by
    ]  # fmt: skip
    if not found:
        notes["anomalies"] = "none"
        return
    key = {"usage_day": rows.day.isoformat(), "billing_currency": currency, "explained_by": "{}"}
    made.count(
        "f_anomalies",
        "anomalies found on the last day",
        len(found),
        "anomaly",
        "anomalies",
        Stored(table="cost_anomalies", key=key, column="*"),
    )


def _savings(made: "_Making", rows: DayRows, currency: str) -> None:
    found = sorted(
        (s for s in rows.savings if s.billing_currency == currency),
        key=lambda s: (-s.monthly_saving_mid, s.recommendation_id),
    )
    if not found:
        return
    day = rows.day.isoformat()
    key = {"as_of_day": day, "billing_currency": currency, "counted": "true"}
    made.stored(
        "f_savings", "what could be saved in a month", _sum(s.monthly_saving_mid for s in found),
        Stored(table="savings_recommendations", key=key, column="monthly_saving_mid"), suffix=" a month",
    )  # fmt: skip
    best = found[0]
    made.words("f_saving", "the recommendation that would save most", best.title)
    if len(found) > 1:
        key = {"as_of_day": day, "recommendation_id": best.recommendation_id}
        made.stored(
            "f_saving_amount", "what that recommendation would save", best.monthly_saving_mid,
            Stored(table="savings_recommendations", key=key, column="monthly_saving_mid"), suffix=" a month",
        )  # fmt: skip


CAUSE_LABELS = {"project": "a project", "service": "a service", "sku": "a SKU", "region": "a region"}
BILLED_FOR_USE = ["Usage", "Purchase"]
"""The charge categories anomalies are looked for in."""


def _anomaly(rows: DayRows, event: Sequence[AnomalyDay], cost_now: Decimal | None) -> Subject:
    """The whole event up to the day."""
    day, last = rows.day, event[-1]
    members = {"project": last.sub_account_id or UNATTRIBUTED, "service": last.service_id or UNATTRIBUTED}
    has_cells = last.scope != "project_service" or not any(
        member in _mistakable(rows.spent, kind) for kind, member in members.items()
    )
    made = _Making(last.billing_currency)
    filters = {"billing_account": [last.billing_account_id], "charge_category": BILLED_FOR_USE}
    if last.scope == "project_service":
        made.member("f_service", "the service", "service", last.service_id, last.service_name)
        made.member("f_project", "the project", "project", last.sub_account_id, last.sub_account_name)
        filters |= {kind: [member] for kind, member in members.items()}
    else:
        made.member("f_account", "the billing account", "billing_account", last.billing_account_id, None)
    made.day("f_start", "the day it began", last.start_day)
    if last.usage_day > last.start_day:
        made.day("f_last", "the last unusual day so far", last.usage_day)
        made.days("f_days", "how many days were unusual", len(event))
    if has_cells:
        made.actual(event, filters)
    else:
        made.summed("f_actual", "what it cost on the unusual days", event, "actual_cost")
    made.expected(event)
    made.change("f_excess", "the difference between the two", "f_actual", "f_expected")
    made.change_percent("f_excess_percent", "the difference as a part of what was expected", "f_actual", "f_expected")
    made.causes(last)
    notes = {"state": "it went on" if last.usage_day == day else "it ended"}
    if last.usage_day < day and cost_now is not None and has_cells:
        window = {"start": day, "end": day + timedelta(days=1)}
        made.day("f_day", "the day after the last unusual one", day)
        made.cell("f_now", "what it cost on that day", cost_now, made.cell_of(filters, **window))
        halfway = (last.actual_cost + last.expected_cost) / 2
        if (cost_now > halfway) == (last.direction == "up") and cost_now != halfway:
            notes["state"] = "it stayed at the new level, which counts as usual from now on"
    if last.explained_by:
        notes["made of"] = "anomalies of services in projects, which have texts of their own"
    return Subject(
        "anomaly", last.anomaly_id, "day", day, last.billing_currency, made.facts, made.entities, notes,
        sub_account_id=last.sub_account_id, service_id=last.service_id, severity=last.severity,
    )  # fmt: skip


def _month_summary(rows: MonthRows, invoice: InvoiceMonth) -> Subject:
    currency = invoice.billing_currency
    spent = [row for row in rows.spent if row.billing_currency == currency]
    made = _Making(currency)
    notes = {"state": "the month is over" if rows.is_over else "the month is not over"}
    made.month("f_month", "the month", rows.month)
    if rows.first_day > rows.month:
        notes["coverage"] = "the first days of the month are missing"
        made.day("f_first_day", "the first day that is counted", rows.first_day)
    on_invoice = {"invoice_month": [f"{rows.month:%Y%m}"]}
    total = Cell(start=rows.window[0], end=rows.window[1], billing_currency=currency, filters=on_invoice)
    made.cell("f_total", "all charges on the invoices of the month", invoice.billed_cost, total)
    if rows.is_over and rows.window_before is not None:
        first = month_before(rows.month)
        on_last = {"invoice_month": [f"{first:%Y%m}"]}
        cell = Cell(start=rows.window_before[0], end=rows.window_before[1], billing_currency=currency, filters=on_last)
        made.month("f_month_before", "the month before", first)
        made.cell("f_before", "all charges on the invoices of the month before", _sum(s.before for s in spent), cell)
        made.change("f_change", "the change between the two", "f_total", "f_before")
        made.change_percent("f_change_percent", "the change as a part of the month before", "f_total", "f_before")
        made.movers(spent, rows.window, rows.window_before, on_invoice, on_last)
    if invoice.invoice_total is None:
        notes["invoice"] = "its total was not handed in"
    else:
        key = {"invoice_month": f"{rows.month:%Y%m}", "billing_currency": currency}
        source = Stored(table="invoice_months", key=key, column="invoice_total")
        made.stored("f_invoice", "the total on the invoices Google sent", invoice.invoice_total, source, cents=True)
        made.difference("f_residual", "what the charges and the invoices differ by", "f_total", "f_invoice")
        notes["invoice"] = "it equals the charges" if made.facts["f_residual"].value == 0 else "it differs"
    return Subject("spend_summary", currency, "month", rows.month, currency, made.facts, made.entities, notes)


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))


def shown(name: str) -> str:
    """A name as a text may show it: on one line, without characters that hide or turn the text around it, not long."""
    visible = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in name)
    one_line = " ".join(visible.split())
    return one_line if len(one_line) <= NAME_LIMIT else one_line[: NAME_LIMIT - 1] + "\u2026"


class _Making:
    """Facts of one subject, being made."""

    def __init__(self, currency: str) -> None:
        self.currency = currency
        self.facts: dict[str, Fact] = {}
        self.entities: dict[str, Entity] = {}

    def _add(self, name: str, label: str, unit: Unit, formatted: str, **more: Any) -> None:  # noqa: ANN401 -- what a Fact takes
        more.setdefault("value", None)
        more.setdefault("source", Given())
        currency = self.currency if unit == "currency" else None
        self.facts[name] = Fact(id=name, label=label, unit=unit, formatted=formatted, currency=currency, **more)

    def words(self, name: str, label: str, text: str) -> None:
        """A name of ours."""
        self._add(name, label, "name", text)

    def member(self, name: str, label: str, kind: Kind, member: str | None, called: str | None) -> None:
        """The name of a member of a dimension."""
        self.entities[name] = Entity(kind, member or UNATTRIBUTED, called or member or UNATTRIBUTED)
        text = NOBODY.get(kind, UNATTRIBUTED) if member in (None, UNATTRIBUTED) else shown(called or member or "")
        self._add(name, label, "name", text or UNATTRIBUTED)

    def day(self, name: str, label: str, value: date) -> None:
        self._add(name, label, "day", write.day(value))

    def month(self, name: str, label: str, value: date) -> None:
        self._add(name, label, "month", write.month(value))

    def days(self, name: str, label: str, value: int) -> None:
        self._add(name, label, "days", _counted(value, "day", "days"), value=Decimal(value))

    def given_percent(self, name: str, label: str, value: Decimal) -> None:
        self._add(name, label, "percent", write.percent(value), value=value)

    def count(self, name: str, label: str, value: int, one: str, many: str, source: Stored) -> None:
        self._add(name, label, "count", _counted(value, one, many), value=Decimal(value), source=source)

    def cell_of(self, filters: Mapping[str, list[str]], start: date, end: date) -> Cell:
        return Cell(start=start, end=end, billing_currency=self.currency, filters=filters)

    def cell(self, name: str, label: str, value: Decimal, cell: Cell) -> None:
        self._amount(name, label, value, FromCell(cell=cell))

    def stored(
        self, name: str, label: str, value: Decimal, source: Stored, *, cents: bool = False, suffix: str = ""
    ) -> None:
        self._amount(name, label, value, source, cents=cents, suffix=suffix)

    def _amount(
        self,
        name: str,
        label: str,
        value: Decimal,
        source: FromCell | Stored | Derived,
        *,
        cents: bool = False,
        suffix: str = "",
    ) -> None:
        formatted = write.money(value, self.currency, cents=cents) + suffix
        self._add(name, label, "currency", formatted, value=value, source=source)

    def _derived(self, operation: Operation, of: Sequence[str]) -> tuple[Decimal | None, Derived]:
        parts = [value for value in (self.facts[name].value for name in of) if value is not None]
        value = derive(operation, parts) if len(parts) == len(of) else None
        return value, Derived(operation=operation, of=tuple(of))

    def change(self, name: str, label: str, new: str, old: str) -> None:
        """How much more or less, without the sign."""
        value, source = self._derived("difference", (new, old))
        assert value is not None  # both are amounts
        formatted = write.money(abs(value), self.currency)
        self._add(name, label, "currency", formatted, value=value, source=source, direction=_way(value))

    def change_percent(self, name: str, label: str, new: str, old: str) -> None:
        """The same as a part of the old; nothing where the old is nothing, or so little that the part is no news."""
        value, source = self._derived("change_percent", (new, old))
        if value is not None and abs(value) < LARGEST_PERCENT:
            way = _way(value)
            self._add(name, label, "percent", write.percent(abs(value)), value=value, source=source, direction=way)

    def difference(self, name: str, label: str, one: str, other: str) -> None:
        """How far two amounts that should be one are apart."""
        value, source = self._derived("difference", (one, other))
        assert value is not None
        self._add(
            name, label, "currency", write.money(abs(value), self.currency, cents=True), value=value, source=source
        )

    def movers(
        self,
        spent: Sequence[Spent] | Sequence[InvoicedRow],
        window: tuple[date, date],
        before: tuple[date, date],
        filters: Mapping[str, list[str]],
        filters_before: Mapping[str, list[str]] | None = None,
    ) -> None:
        """The members whose cost changed most, services and projects, the largest change first."""
        threshold = max(abs(_sum(s.now for s in spent)), abs(_sum(s.before for s in spent))) * MOVED_AT_LEAST
        for kind, most in MOVERS.items():
            mistakable = _mistakable(spent, kind)
            moved = (m for m in _moved(spent, kind) if (m.member or UNATTRIBUTED) not in mistakable)
            ranked = [m for m in moved if abs(m.now - m.before) > threshold][:most]
            for place, m in enumerate(ranked, start=1):
                name = f"f_{kind}_{place}"
                only = {kind: [m.member or UNATTRIBUTED]}
                label = f"the {kind} that changed most" if place == 1 else f"another {kind} that changed much"
                self.member(name, label, "service" if kind == "service" else "project", m.member, m.called)
                self.cell(f"{name}_now", "what it cost", m.now, self.cell_of({**filters, **only}, *window))
                was = self.cell_of({**(filters if filters_before is None else filters_before), **only}, *before)
                self.cell(f"{name}_before", "what it cost before", m.before, was)
                self.change(f"{name}_change", "how its cost changed", f"{name}_now", f"{name}_before")

    def actual(self, event: Sequence[AnomalyDay], filters: Mapping[str, list[str]]) -> None:
        """What the unusual days cost: one cell for each run of neighbouring days."""
        runs: list[list[AnomalyDay]] = []
        for row in event:
            if runs and row.usage_day - runs[-1][-1].usage_day == timedelta(days=1):
                runs[-1].append(row)
            else:
                runs.append([row])
        label = "what it cost on the unusual days"
        names = ["f_actual"] if len(runs) == 1 else [f"f_actual_{n}" for n in range(1, len(runs) + 1)]
        for name, run in zip(names, runs, strict=True):
            cell = self.cell_of(filters, run[0].usage_day, run[-1].usage_day + timedelta(days=1))
            self.cell(name, label if len(runs) == 1 else "a part of that", _sum(row.actual_cost for row in run), cell)
        self._summed("f_actual", label, names)

    def expected(self, event: Sequence[AnomalyDay]) -> None:
        """What was expected of the unusual days."""
        label, name = "what was expected of the unusual days", "f_expected"
        last = event[-1]
        if len(event) > SUMMED_DAYS:
            key = {"usage_day": last.usage_day.isoformat(), "anomaly_id": last.anomaly_id}
            source = Stored(table="cost_anomalies", key=key, column="event_excess_cost")
            self.stored("f_beyond", "what was not expected", last.event_excess_cost, source)
            value, derived = self._derived("difference", ("f_actual", "f_beyond"))
            assert value is not None
            self._amount(name, label, value, derived)
            return
        self.summed(name, label, event, "expected_cost")

    def summed(
        self, name: str, label: str, event: Sequence[AnomalyDay], column: Literal["actual_cost", "expected_cost"]
    ) -> None:
        """What is stored of each day of an event, added up."""
        names = [name] if len(event) == 1 else [f"{name}_{n}" for n in range(1, len(event) + 1)]
        for part, row in zip(names, event, strict=True):
            key = {"usage_day": row.usage_day.isoformat(), "anomaly_id": row.anomaly_id}
            source = Stored(table="cost_anomalies", key=key, column=column)
            self.stored(part, label if len(event) == 1 else "a part of that", getattr(row, column), source)
        self._summed(name, label, names)

    def _summed(self, name: str, label: str, parts: Sequence[str]) -> None:
        if list(parts) == [name]:
            return
        value, source = self._derived("sum", parts)
        assert value is not None
        self._amount(name, label, value, source)

    def causes(self, last: AnomalyDay) -> None:
        """The slice that explains the last day."""
        for place, cause in enumerate(last.causes, start=1):
            dimension = str(cause["dimension"])
            kind: Kind = dimension if dimension in ("project", "service", "sku", "region") else "sku"  # type: ignore[assignment]
            name = f"f_cause_{place}"
            self.member(name, f"{CAUSE_LABELS[kind]} that explains it", kind, str(cause["member"]), str(cause["name"]))
            share = Decimal(str(cause["share_percent"]))
            key = {"usage_day": last.usage_day.isoformat(), "anomaly_id": last.anomaly_id}
            column = f"causes/{place - 1}/share_percent"
            source = Stored(table="cost_anomalies", key=key, column=column)
            formatted = write.percent(share)
            self._add(f"{name}_share", "how much of it that explains", "percent", formatted, value=share, source=source)


def _member(row: Spent | InvoicedRow, kind: str) -> tuple[str | None, str | None]:
    """Id and name."""
    return (row.service_id, row.service_name) if kind == "service" else (row.sub_account_id, row.sub_account_name)


def _mistakable(spent: Sequence[Spent] | Sequence[InvoicedRow], kind: str) -> set[str]:
    """The ids that somebody has given to another member as its name.

    Filters take ids and names, so a cell of such a member would hold the costs of both. There is no figure of it.
    """
    members = {(member or UNATTRIBUTED, called) for member, called in (_member(row, kind) for row in spent)}
    ids = {member for member, _ in members}
    return {called for member, called in members if called is not None and called in ids and called != member}


class _Moved(NamedTuple):
    member: str | None
    called: str | None
    now: Decimal
    before: Decimal


def _moved(spent: Sequence[Spent] | Sequence[InvoicedRow], kind: str) -> list[_Moved]:
    """Every member of a dimension, the largest change first; ties by id, so that the same bill is the same text."""
    found: dict[str | None, _Moved] = {}
    for row in spent:
        member, called = _member(row, kind)
        so_far = found.get(member, _Moved(member, called, Decimal(0), Decimal(0)))
        names = [name for name in (so_far.called, called) if name is not None]
        found[member] = _Moved(member, max(names, default=None), so_far.now + row.now, so_far.before + row.before)
    return sorted(found.values(), key=lambda m: (-abs(m.now - m.before), m.member or ""))


def _way(value: Decimal) -> Direction | None:
    return "up" if value > 0 else "down" if value < 0 else None


def _counted(value: int, one: str, many: str) -> str:
    return f"{value:,} {one if value == 1 else many}"
