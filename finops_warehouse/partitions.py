"""Monthly storage partitions of the big tables: made by whoever first writes to a month."""

from datetime import date

import psycopg
from psycopg import sql


def month_of(day: date) -> date:
    """The first day of the month `day` is in."""
    return day.replace(day=1)


def next_month(day: date) -> date:
    """The first day of the month after the one `day` is in."""
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def ensure_month(connection: psycopg.Connection, table: str, day: date) -> None:
    """Make sure `finops.<table>` can take rows of `day`. Commits by itself, and waits for no reader.

    A partition is made aside and attached: `create table … partition of` would lock the parent against
    everybody, and one slow dashboard query would hold up the load and all that queues behind it.
    """
    first = month_of(day)
    name = f"{table}_{first:%Y%m}"
    with connection.transaction():
        if _exists(connection, name):
            return
        connection.execute("select pg_advisory_xact_lock(hashtext(%s))", [f"finops.{name}"])
        if _exists(connection, name):
            return
        identifiers = {"part": sql.Identifier("finops", name), "parent": sql.Identifier("finops", table)}
        bounds = {"first": sql.Literal(first), "end": sql.Literal(next_month(first))}
        connection.execute(sql.SQL("create table {part} (like {parent} including all)").format(**identifiers))
        connection.execute(
            sql.SQL("alter table {parent} attach partition {part} for values from ({first}) to ({end})").format(
                **identifiers, **bounds
            )
        )


def _exists(connection: psycopg.Connection, name: str) -> bool:
    # Not to_regclass: it may answer from a cache that has not heard of a partition committed a moment ago.
    [(found,)] = connection.execute(
        "select exists (select from pg_tables where schemaname = 'finops' and tablename = %s)", [name]
    ).fetchall()
    return bool(found)
