"""What a usage day will have cost once all of its charges are in, from the part that is known."""

from dataclasses import dataclass
from decimal import Decimal

LEAST_DAYS = 14
"""Fewer past days say nothing about one day in twenty."""
LEAST_SHARE = Decimal("0.2")
"""Of less than a fifth any guess would be five times as wrong as the fifth is."""
CENT = Decimal("0.01")


@dataclass(frozen=True)
class Shares:
    """Which share of the final cost past days of this age had: the median, and what 19 of 20 days lie between."""

    days_learned_from: int
    median: Decimal
    low: Decimal
    high: Decimal


@dataclass(frozen=True)
class Nowcast:
    """An estimate in the currency of what is known, to the cent; nine of ten days end between low and high."""

    expected_cost: Decimal
    low: Decimal
    high: Decimal


def nowcast(known_cost: Decimal, shares: Shares | None) -> Nowcast | None:
    """What `known_cost` will grow to. None when too little is known, or was ever learned, to say it."""
    if shares is None or shares.days_learned_from < LEAST_DAYS or shares.low < LEAST_SHARE or known_cost < 0:
        return None
    return Nowcast(
        (known_cost / shares.median).quantize(CENT),
        (known_cost / shares.high).quantize(CENT),
        (known_cost / shares.low).quantize(CENT),
    )
