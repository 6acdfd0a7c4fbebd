"""What is known of a table as a whole: how far it is complete, which days it lacks and which are behind.

It changes with a build and not with a question, so it is held together with the name of the snapshot it was read in. A
statement that saw the same snapshot saw the same tables; after one that did not, it is read anew.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from psycopg import AsyncConnection

from finops_api.catalogue.queries import applied_rules, nothing_complete, refuse_others
from finops_api.database import rows
from finops_api.snapshots import SNAPSHOT
from finops_warehouse.freshness import (
    BEHIND,
    BEHIND_AS_OF,
    COMPLETE_THROUGH,
    COMPLETE_THROUGH_AS_OF,
    freshness_parameters,
)
from finops_warehouse.semantic import DIMENSIONS

HELD = 100
"""Tables by the accounts asked for, of which one is what most ask for."""

_KNOWN = """
    with built as ({built}),
    span as (select coalesce(max(version), 0) as version, min(day) as first, max(day) as last from built)
    select
        {snapshot},
        ({complete_through}),
        span.version, span.first, span.last,
        array(
            select day::date from generate_series(span.first, span.last, interval '1 day') as asked(day)
            where not exists (select from built where built.day = asked.day::date)
        ),
        array(select usage_day from ({behind}) as behind order by 1),
        (select max(version) from finops.dimension_rules)
    from span
"""

KNOWN = _KNOWN.format(
    built="select partition_key::date as day, version from finops.materialisation where asset = %(table)s",
    snapshot=SNAPSHOT,
    complete_through=COMPLETE_THROUGH,
    behind=BEHIND,
)
KNOWN_AS_OF = _KNOWN.format(
    built="""
        select partition_key::date as day, max(version) as version from finops.materialisation_log
        where asset = %(table)s and materialised_at <= %(as_of)s group by partition_key
    """,
    snapshot=SNAPSHOT,
    complete_through=COMPLETE_THROUGH_AS_OF,
    behind=BEHIND_AS_OF,
)


@dataclass(frozen=True, eq=False)
class Known:
    """A table as one snapshot shows it."""

    table: str
    snapshot: str | None
    """None where it has no name that tells it from every other."""
    complete_through: date
    """For the accounts asked for."""
    version: int
    first: date | None
    last: date | None
    gaps: tuple[date, ...]
    """Days between the first and the last that are not built."""
    behind: tuple[date, ...]
    rules_version: int | None

    def behind_days(self, start: date, end: date) -> list[date]:
        """Those from `start` to before `end`."""
        return [day for day in self.behind if start <= day < end]

    def missing_days(self, *windows: tuple[date, date]) -> list[date]:
        """The days of these windows, their ends not included, that are not built."""
        missing: set[date] = set()
        for start, end in windows:
            missing.update(day for day in self.gaps if start <= day < end)
            if self.first is None or self.last is None:
                missing.update(_days(start, end))
            else:
                missing.update(_days(start, min(end, self.first)))
                missing.update(_days(max(start, self.last + timedelta(days=1)), end))
        return sorted(missing)


def _days(start: date, end: date) -> Iterable[date]:
    return (start + timedelta(days=number) for number in range((end - start).days))


async def read(connection: AsyncConnection, table: str, accounts: list[str], as_of: datetime | None = None) -> Known:
    """A table as it is, or at a moment was. Raises `NothingLoaded`, or `NothingServedThen`, before a day is whole."""
    parameters = {"table": table, **freshness_parameters(accounts, as_of)}
    statement = KNOWN_AS_OF if as_of else KNOWN
    [(snapshot, complete, version, first, last, gaps, behind, rules)] = await rows(connection, statement, parameters)
    if complete is None:
        raise nothing_complete(as_of)
    return Known(table, snapshot, complete, version, first, last, tuple(gaps), tuple(behind), rules)


class Memory:
    """What was known last."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[str, ...], Known] = OrderedDict()
        self._custom: tuple[int | None, frozenset[str]] = (None, frozenset())

    def recall(self, table: str, accounts: list[str], names: Iterable[str]) -> Known | None:
        """What is held of a table for these accounts. None as well where one of the dimensions is not known to be."""
        known = self._held.get((table, *accounts))
        if known is None or known.snapshot is None:
            return None
        version, custom = self._custom
        is_there = all(name in DIMENSIONS or (version == known.rules_version and name in custom) for name in names)
        return known if is_there else None

    async def read(self, connection: AsyncConnection, table: str, accounts: list[str], names: Iterable[str]) -> Known:
        """The table as this connection sees it. Raises as `read` does, and `UnknownDimension`."""
        known = await read(connection, table, accounts)
        custom = [name for name in names if name not in DIMENSIONS]
        if custom:
            _, rules = await applied_rules(connection)
            self._custom = (known.rules_version, frozenset(rules.semantic()))
            refuse_others(custom, rules.semantic())
        key = (table, *accounts)
        self._held[key] = known
        self._held.move_to_end(key)
        if len(self._held) > HELD:
            self._held.popitem(last=False)
        return known
