"""What the sample's author knows and the pipeline must find out: invoice totals, and what was an anomaly."""

import csv
import io
from collections.abc import Iterable
from decimal import Decimal

from finops_pipeline.sample_export.events import Event
from finops_pipeline.sample_export.invoices import Invoice

INVOICE_COLUMNS = (
    "billing_account_id",
    "invoice_month",
    "billing_currency",
    "total",
    "regular",
    "tax",
    "adjustment",
    "rounding_error",
)
ANOMALY_COLUMNS = (
    "anomaly_id",
    "is_anomaly",
    "kind",
    "billing_account_id",
    "project_id",
    "service",
    "sku",
    "start_day",
    "end_day",
    "expected_cost",
    "actual_cost",
    "excess_cost",
    "description",
)


class AnswerKey:
    """Adds up, over each event's days, what its scope cost and what it would have cost without it.

    Net of credits and as first billed: what later corrections change is not held against the event.
    """

    def __init__(self) -> None:
        self._events: dict[str, Event] = {}
        self._actual: dict[str, int] = {}
        self._expected: dict[str, int] = {}

    def observe(self, event: Event, actual: int, expected: int) -> None:
        """One of the event's days."""
        key = event.event_id
        self._events[key] = event
        self._actual[key] = self._actual.get(key, 0) + actual
        self._expected[key] = self._expected.get(key, 0) + expected

    def as_csv(self) -> bytes:
        """Every event that began, oldest first."""
        rows = []
        for key, event in sorted(self._events.items(), key=lambda item: (item[1].start, item[0])):
            actual, expected = self._actual[key], self._expected[key]
            rows.append(
                (
                    key,
                    str(event.is_anomaly).lower(),
                    event.kind,
                    event.account.billing_account_id,
                    event.project or "",
                    event.service,
                    event.sku_description,
                    event.start,
                    event.end,
                    _cents(expected),
                    _cents(actual),
                    _cents(actual - expected),
                    event.description,
                )
            )
        return _csv(ANOMALY_COLUMNS, rows)


def invoices_as_csv(invoices: Iterable[Invoice]) -> bytes:
    """One line per account and issued invoice; the cost types add up to the total."""
    return _csv(
        INVOICE_COLUMNS,
        (
            (
                invoice.account.billing_account_id,
                f"{invoice.month:%Y%m}",
                invoice.account.currency,
                _cents(invoice.total),
                *(_exact(amount) for amount in invoice.by_cost_type),
            )
            for invoice in invoices
        ),
    )


def _exact(millionths: int) -> str:
    return str(Decimal(millionths).scaleb(-6))


def _cents(millionths: int) -> str:
    return str(Decimal(millionths).scaleb(-6).quantize(Decimal("0.01")))


def _csv(columns: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()
