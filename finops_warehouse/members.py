"""How a row tells which member of a dimension it is of, in SQL. The words are those of `/v1/costs`."""

from psycopg import sql

from finops_warehouse.semantic import UNATTRIBUTED, Dimension, dimension


def member_column(of: Dimension) -> sql.Composable:
    """A member's id as tables hold it; NULL where a charge has none."""
    column = sql.Identifier(of.column)
    return column if of.json_key is None else sql.SQL("({} ->> {})").format(column, sql.Literal(of.json_key))


def member_key(of: Dimension) -> sql.Composed:
    """A member's id; charges without one are a member of their own, never left out."""
    return sql.SQL("coalesce({}, {})").format(member_column(of), sql.Literal(UNATTRIBUTED))


def member_filter(name: str, members: sql.Composable) -> sql.Composed:
    """The condition that a row is of one of `members`, by id or, where there is one, by name."""
    of = dimension(name)
    by_id = sql.SQL("{} = any({})").format(member_key(of), members)
    if of.name_column is None:
        return by_id
    return sql.SQL("({} or {} = any({}))").format(by_id, sql.Identifier(of.name_column), members)
