"""What an unfinished day will come to: only where enough days say it, and with room for the other nine in ten."""

from decimal import Decimal

import pytest

from finops_insights.nowcast import Nowcast, Shares, nowcast

HALF = Shares(30, Decimal("0.5"), Decimal("0.4"), Decimal("0.8"))


def test_what_is_known_grows_by_the_share_that_is_known() -> None:
    """Half is known: twice as much comes; where more was known, less."""
    assert nowcast(Decimal(100), HALF) == Nowcast(Decimal("200.00"), Decimal("125.00"), Decimal("250.00"))


@pytest.mark.parametrize(
    ("known", "shares"),
    [
        (Decimal(100), None),
        (Decimal(100), Shares(13, Decimal("0.5"), Decimal("0.4"), Decimal("0.8"))),
        (Decimal(100), Shares(30, Decimal("0.3"), Decimal("0.1"), Decimal("0.8"))),
        (Decimal(-1), HALF),
    ],
)
def test_too_little_gives_no_number(known: Decimal, shares: Shares | None) -> None:
    """Nothing learned, too few days, too small a share, or a day that owes us: no guess is better than a wrong one."""
    assert nowcast(known, shares) is None
