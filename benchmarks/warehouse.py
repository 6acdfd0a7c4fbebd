"""What benchmarks share: an embedded PostgreSQL of their own, filled and thrown away."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql

from finops_warehouse.database import connect, init_db
from finops_warehouse.settings import Settings


def peak_memory_mb() -> int:
    """What this process took at most. `getrusage` would say what its parent took, if that was more."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024


@contextmanager
def warehouse() -> Iterator[tuple[psycopg.Connection, Path]]:
    """A connection to a new warehouse, and a folder to put an export into."""
    folder = Path(tempfile.mkdtemp(prefix="finops-bench-"))
    folder.chmod(0o755)
    settings = Settings(finops_home=folder)
    try:
        init_db(settings)
        with connect(settings, autocommit=True) as connection:
            yield connection, folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


MORE = """
    with held as (select {names} from {table})
    insert into {table} ({names})
    select {made} from held cross join generate_series(1, %(times)s) as copy
    limit %(more)s
"""


def copy_rows(connection: psycopg.Connection, table: str, rows: int, made: Mapping[str, LiteralString]) -> None:
    """Copy what a table holds until it holds so many rows; `made` says how the copies' columns differ."""
    whole = sql.Identifier("finops", table)
    described = connection.execute(sql.SQL("select * from {} limit 0").format(whole)).description or []
    [(held,)] = connection.execute(sql.SQL("select count(*) from {}").format(whole)).fetchall()
    names = [column.name for column in described]
    more = sql.SQL(MORE).format(
        names=sql.SQL(", ").join(map(sql.Identifier, names)),
        table=whole,
        made=sql.SQL(", ").join(sql.SQL(made[name]) if name in made else sql.Identifier(name) for name in names),
    )
    connection.execute(more, {"times": rows // held + 1, "more": rows - held})
