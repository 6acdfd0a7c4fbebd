"""Writing what was thought about a day: whole, in one transaction, stamped with how far its sources had come."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from finops_warehouse import ledger
from finops_warehouse.tables import STAMPED_COLUMNS, metadata

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Written:
    """What replacing a day did."""

    row_count: int
    source_version: int
    changed: bool


def replace_day(
    connection: psycopg.Connection,
    asset: str,
    day: date,
    rows: Mapping[str, Sequence[Row]],
    *,
    source_version: int,
    run_id: str,
) -> Written:
    """Make the tables hold exactly `rows` of `day`. The first table's first column is the day of all of them.

    Rows that are as they were leave the version that is served alone, so that nothing built on them is behind.
    """
    with connection.transaction():
        ledger.lock_partition(connection, asset, day.toordinal())
        before = [_held(connection, table, day) for table in rows]
        after = [_comparable(table, given) for table, given in rows.items()]
        count = len(next(iter(rows.values())))
        is_built = connection.execute(
            "select from finops.materialisation where asset = %s and partition_key = %s", [asset, day.isoformat()]
        ).fetchone()
        if is_built is not None and before == after:
            ledger.confirmed(connection, asset, day.isoformat(), source_version)
            return Written(count, source_version, changed=False)
        for table, given in rows.items():
            connection.execute(
                sql.SQL("delete from {} where {} = %s").format(sql.Identifier("finops", table), _day_of(table)), [day]
            )
            _copy(connection, table, given)
        ledger.materialised(connection, asset, day.isoformat(), source_version, count, run_id)
    return Written(count, source_version, changed=True)


def _columns(table: str) -> list[str]:
    """The columns a row is given with; what Postgres notes of its writing is no part of it."""
    return [column.name for column in metadata.tables[f"finops.{table}"].columns if column.name not in STAMPED_COLUMNS]


def _day_of(table: str) -> sql.Identifier:
    return sql.Identifier(_columns(table)[0])


def _held(connection: psycopg.Connection, table: str, day: date) -> list[str]:
    statement = sql.SQL("select * from {} where {} = %s").format(sql.Identifier("finops", table), _day_of(table))
    cursor = connection.cursor(row_factory=psycopg.rows.dict_row).execute(statement, [day])
    return _comparable(table, cursor.fetchall())


def _comparable(table: str, rows: Sequence[Row]) -> list[str]:
    """Rows as text, in an order of their own; JSON in the order of its keys, since Postgres keeps another one."""
    names, as_json = _columns(table), _json_columns(table)
    return sorted(
        repr([json.dumps(row[name], sort_keys=True) if name in as_json else row[name] for name in names])
        for row in rows
    )


def _json_columns(table: str) -> set[str]:
    return {column.name for column in metadata.tables[f"finops.{table}"].columns if str(column.type) == "JSONB"}


def _copy(connection: psycopg.Connection, table: str, rows: Sequence[Row]) -> None:
    names, as_json = _columns(table), _json_columns(table)
    statement = sql.SQL("copy {} ({}) from stdin").format(
        sql.Identifier("finops", table), sql.SQL(", ").join(map(sql.Identifier, names))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row([Jsonb(row[name]) if name in as_json else row[name] for name in names])
