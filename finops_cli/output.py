"""What commands print: JSON on stdout for programs, everything for people and logs on stderr."""

import getpass
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

people = Console(stderr=True, highlight=False, soft_wrap=True)
"""Where people are spoken to."""


def say(text: str) -> None:
    """A line for people."""
    people.print(text, markup=False)


def whoever_asks() -> str:
    """Whom the record names: the operating system's user, for there is no other login here."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container's user often has no name
        return "cli"


def print_json(document: Any) -> None:  # noqa: ANN401 -- any dataclass or plain value
    """One JSON document on stdout; money as decimal strings."""
    sys.stdout.write(
        json.dumps(
            asdict(document) if is_dataclass(document) and not isinstance(document, type) else document, default=_plain
        )
        + "\n"
    )


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date | datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form here")


class Steps:
    """Progress of long work: bars on a terminal, a line every now and then elsewhere."""

    def __init__(self, bars: Progress | None) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, int] = {}

    def show(self, title: str, done: int, total: int) -> None:
        """Say how far `title` is."""
        if self._bars:
            if title not in self._tasks:
                self._tasks[title] = self._bars.add_task(title, total=total)
            self._bars.update(self._tasks[title], completed=done, total=total)
            return
        tenth = done * 10 // total if total else 10
        if self._said.get(title) != tenth:  # at most eleven lines a title, however long it takes
            self._said[title] = tenth
            say(f"{title}: {done} of {total}")


@contextmanager
def steps() -> Iterator[Steps]:
    """Show progress while the block runs."""
    if not people.is_terminal:
        yield Steps(None)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=people) as bars:
        yield Steps(bars)
