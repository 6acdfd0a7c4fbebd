"""Arguments several commands share, read the same way everywhere."""

from datetime import date

from finops_warehouse.errors import BadDateRange


def a_day(option: str, given: str) -> date:
    """The day an option names. Raises `BadDateRange` when it is none."""
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise BadDateRange(f"{option} must be a day like 2026-11-23, not {given!r}.") from None


def a_window(first: str, last: str) -> tuple[date, date]:
    """The days `--from` and `--to` name, both included. Raises `BadDateRange` when there are none between them."""
    start, end = a_day("--from", first), a_day("--to", last)
    if start > end:
        raise BadDateRange(f"--from {start} is after --to {end}.")
    return start, end
