"""`finops.focus_cost_and_usage`: the rows of FOCUS for whoever reads them with SQL."""

from hashlib import md5
from typing import Literal

import psycopg
from psycopg import sql

from finops_warehouse.sql_models import PARAMETER, sql_model

FocusVersion = Literal["1.2", "1.3", "1.4"]

MODEL = sql_model("marts", "focus_cost_and_usage")
COLUMN_TYPES = {name: column.type or "" for name, column in MODEL.header.columns.items()}
"""PostgreSQL types by column, of version 1.2."""

VIEW = sql.Identifier("finops", MODEL.table)

NEW_NAMES = {"ProviderName": "ServiceProviderName", "PublisherName": "HostProviderName"}
"""1.3 has both names of these columns, 1.4 the new one alone."""


def column_names(version: FocusVersion) -> list[tuple[str, str]]:
    """The columns of a version in their order: what they are called in 1.2, and in it."""
    named: list[tuple[str, str]] = []
    for name in COLUMN_TYPES:
        if name not in NEW_NAMES or version in ("1.2", "1.3"):
            named.append((name, name))
        if name in NEW_NAMES and version in ("1.3", "1.4"):
            # Whoever publishes what runs there, it runs at Google's: the host of every charge is the provider.
            named.append(("ProviderName", NEW_NAMES[name]))
    return named


def make_view(connection: psycopg.Connection, version: FocusVersion) -> None:
    """Make the view as this release and the setting want it; nothing happens when it is so already.

    It reads a function, `focus_rows(start_day, end_day)`, that anybody may ask for a window of usage days. What the
    function reads is looked up when it is asked, so migrations may change it as if nobody read it.
    """
    body = PARAMETER.sub(lambda name: {"start_day": "$1", "end_day": "$2"}[name[1]], MODEL.query)
    function = sql.SQL(
        "create function finops.focus_rows(start_day date, end_day date) returns table ({}) "
        "language sql stable parallel safe as {}"
    ).format(
        sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(type_)) for name, type_ in COLUMN_TYPES.items()
        ),
        sql.Literal(body),
    )
    columns = sql.SQL(", ").join(
        sql.SQL("{} as {}").format(sql.Identifier(old), sql.Identifier(new)) for old, new in column_names(version)
    )
    view = sql.SQL(
        "create view {} with (security_invoker = true) as select {} from finops.focus_rows('-infinity', 'infinity')"
    ).format(VIEW, columns)
    text = sql.Composed([function, view]).as_string(connection)
    digest = md5(text.encode(), usedforsecurity=False).hexdigest()
    note = f"The charges in the columns of FOCUS {version}. Made from {MODEL.path}, {digest}."
    [(stands,)] = connection.execute("select obj_description(to_regclass(%s))", [f"finops.{MODEL.table}"]).fetchall()
    if stands == note:
        return
    with connection.transaction():
        connection.execute(sql.SQL("drop view if exists {}").format(VIEW))
        connection.execute("drop function if exists finops.focus_rows")
        connection.execute(function)
        connection.execute(view)
        connection.execute(sql.SQL("comment on view {} is {}").format(VIEW, sql.Literal(note)))
