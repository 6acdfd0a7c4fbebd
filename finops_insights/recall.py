"""Reading facts again from where they come from: one statement for as many as there are."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from psycopg import sql

from finops_insights.facts import Fact, FromCell, Recall, Stored
from finops_warehouse.cells import cell_values
from finops_warehouse.tables import metadata

Asked = FromCell | Stored
EVERY_ROW = "*"
"""As the column of a stored fact: how many rows its key names."""


def sources_of(facts: Iterable[Fact]) -> list[Asked]:
    """The cells and stored columns that facts come from, each once."""
    found: list[Asked] = []
    for fact in facts:
        if isinstance(fact.source, FromCell | Stored) and fact.source not in found:
            found.append(fact.source)
    return found


def recall_statement(sources: Sequence[Asked]) -> sql.Composed:
    """A row for each source: its position and its value now, NULL where it is gone. Takes no parameters."""
    cells = [(i, source.cell) for i, source in enumerate(sources) if isinstance(source, FromCell)]
    stored = [(i, source) for i, source in enumerate(sources) if isinstance(source, Stored)]
    selects = [sql.SQL("select {}, ({})").format(sql.Literal(i), _stored_value(source)) for i, source in stored]
    if cells:
        places = sql.SQL(", ").join(
            sql.SQL("({}, {})").format(sql.Literal(n), sql.Literal(i)) for n, (i, _) in enumerate(cells)
        )
        selects.append(
            sql.SQL(
                "select place, value from (values {}) as places (number, place) "
                "join ({}) as cells (number, value) using (number)"
            ).format(places, cell_values([cell for _, cell in cells]))
        )
    return sql.SQL(" union all ").join(selects)


def as_recall(sources: Sequence[Asked], found: Iterable[Sequence[Any]]) -> Recall:
    """The rows of `recall_statement` as what `facts.stale` asks."""
    values: Mapping[int, Decimal | None] = dict(tuple(row) for row in found)

    def recall(source: Asked) -> Decimal | None:
        return values.get(sources.index(source))

    return recall


def _stored_value(source: Stored) -> sql.Composed:
    columns = metadata.tables[f"finops.{source.table}"].columns
    column, *steps = source.column.split("/")
    unknown = sorted({column, *source.key} - {EVERY_ROW, *(column.name for column in columns)})
    if unknown:
        raise ValueError(f"{source.table} has no column {', '.join(unknown)}")
    value: sql.Composable = sql.Identifier(column)
    if steps:
        value = sql.SQL("({} #>> {})").format(value, sql.Literal("{" + ",".join(steps) + "}"))
    summed = sql.SQL("count(*)") if column == EVERY_ROW else sql.SQL("sum({}::numeric)").format(value)
    return sql.SQL("select {}::numeric from {} where {}").format(
        summed,
        sql.Identifier("finops", source.table),
        sql.SQL(" and ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value)) for name, value in source.key.items()
        ),
    )
