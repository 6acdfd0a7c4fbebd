"""The export days of the source beside those that are loaded: what expired is kept, what counts twice refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import psycopg

from finops_pipeline.sources.base import BillingSource, TableFacts
from finops_warehouse import ledger


@dataclass(frozen=True)
class HeldDays:
    """What the source holds, and what it let go."""

    fingerprints: Mapping[date, str]
    facts: TableFacts
    expired: tuple[date, ...]
    """Loaded days found to have expired at the source this time; they are kept."""
    gaps: tuple[tuple[date, date], ...]
    """First and last day of each stretch without any rows, between days that have some."""


def held_export_days(connection: psycopg.Connection, source: BillingSource) -> HeldDays:
    """Ask the source for its days. Raises `SecondExport` when they tell charges that are loaded from elsewhere."""
    held, facts = source.partitions(), source.facts()
    expired = ledger.keep_what_expired(connection, held, source.url, facts.keeps_days_for)
    ledger.refuse_second_export(connection, held, source.url, facts.created_at)
    return HeldDays(held, facts, tuple(expired), tuple(ledger.missing_export_days(connection, held)))


def told(held: HeldDays) -> list[str]:
    """What an operator should hear about, a sentence each."""
    said = []
    if held.expired:
        said.append(f"Export days {_days(held.expired[0], held.expired[-1])} expired at the source; they are kept.")
    if held.gaps:
        said.append(
            f"The export holds no rows at all of {', '.join(_days(first, last) for first, last in held.gaps)}. Was it "
            "switched off? Costs that no later export day brought are missing; the invoices show whether any are."
        )
    return said


def _days(first: date, last: date) -> str:
    return f"{first}" if first == last else f"{first} to {last}"
