"""One day is read while another is copied: in order, no more than one ahead, and what fails fails in its turn."""

import threading
from contextlib import ExitStack, closing
from datetime import date, timedelta

import duckdb
import pytest

from finops_pipeline.checked_day import CheckedDay
from finops_pipeline.reading_ahead import reading_ahead

DAYS = [date(2026, 9, 1) + timedelta(n) for n in range(4)]


class Reader:
    """Reads days of nothing, and remembers which were begun and which are still open."""

    def __init__(self, spoilt: date | None = None) -> None:
        self.spoilt = spoilt
        self.begun: list[date] = []
        self.open: set[date] = set()
        self.reads = threading.Semaphore(0)

    def read(self, day: date) -> CheckedDay:
        """As `read_export_day` does."""
        self.begun.append(day)
        self.reads.release()
        if day == self.spoilt:
            raise ValueError(f"{day} is spoilt")
        opened = ExitStack()
        self.open.add(day)
        opened.callback(self.open.remove, day)
        return CheckedDay(day, "Etc/UTC", "row", [], (), 0, opened.enter_context(closing(duckdb.connect())), opened)

    def wait_for_reads(self, count: int) -> None:
        """Wait until so many reads were begun."""
        for _ in range(count):
            assert self.reads.acquire(timeout=60)


def test_the_next_day_is_read_while_one_is_copied_and_no_further() -> None:
    """Two days at once double the memory a load takes; three would treble it."""
    reader = Reader()
    with reading_ahead(DAYS, reader.read) as take, closing(take(DAYS[0])):
        reader.wait_for_reads(2)
        assert reader.begun == DAYS[:2]

    assert reader.begun == DAYS[:2]


def test_days_come_in_their_order_and_a_spoilt_one_fails_alone() -> None:
    """The day before must not be blamed for what was found while it was copied, nor the day after be lost."""
    reader = Reader(spoilt=DAYS[1])
    taken = []
    with reading_ahead(DAYS, reader.read) as take:
        for day in DAYS:
            if day == reader.spoilt:
                with pytest.raises(ValueError, match="spoilt"):
                    take(day)
            else:
                with closing(take(day)) as checked:
                    taken.append(checked.export_day)

    assert taken == [DAYS[0], DAYS[2], DAYS[3]]
    assert reader.open == set()


def test_a_run_that_ends_early_leaves_nothing_behind() -> None:
    """The database is gone while a day is copied: what was read ahead goes too, or each retry would fill the disk."""
    reader = Reader()

    def copy_until_the_database_is_gone() -> None:
        with reading_ahead(DAYS, reader.read) as take, closing(take(DAYS[0])):
            reader.wait_for_reads(2)
            raise ConnectionError

    with pytest.raises(ConnectionError):
        copy_until_the_database_is_gone()

    assert reader.open == set()
