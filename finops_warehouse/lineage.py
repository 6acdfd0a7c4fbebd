"""Which columns a column of a table is made of, read from the SQL that makes it."""

from dataclasses import dataclass
from functools import cache

import sqlglot
from sqlglot import exp
from sqlglot.lineage import Node, lineage

from finops_warehouse.sql_models import PARAMETER, SqlModel, postgres_models, sql_model
from finops_warehouse.tables import metadata


@dataclass(frozen=True, order=True)
class Column:
    """A column of a table of ours."""

    table: str
    name: str

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"


@dataclass(frozen=True)
class Step:
    """A column on the way from the charges to a number, what it is made of, and the file that says how."""

    column: Column
    made_of: tuple[Column, ...]
    sql_file: str


def origins(model: SqlModel) -> dict[str, tuple[Column, ...]]:
    """For every column of the model's table, the columns of its inputs it is made of."""
    return {name: _made_of(model.layer, model.table, name) for name in model.columns}


@cache
def _made_of(layer: str, table: str, column: str) -> tuple[Column, ...]:
    query = sqlglot.parse_one(PARAMETER.sub("null", sql_model(layer, table).query), dialect="postgres")
    schema = {
        "finops": {
            table.name: {column.name: str(column.type).lower() for column in table.columns}
            for table in metadata.tables.values()
        }
    }
    return tuple(sorted(_leaves(lineage(column, query, schema=schema, dialect="postgres"))))


def path(table: str, column: str) -> list[Step]:
    """The steps from a column of a served table down to the export, the served one first."""
    models = {model.table: model for model in postgres_models()}
    steps: list[Step] = []
    waiting = [Column(table, column)]
    while waiting:
        here = waiting.pop(0)
        if any(step.column == here for step in steps):
            continue
        if here.table == "raw_charges":
            steps.append(Step(here, (), sql_model("extract", "raw_charges").path))
        elif here.table in models:
            made_of = _made_of(models[here.table].layer, here.table, here.name)
            steps.append(Step(here, made_of, models[here.table].path))
            waiting += made_of
    return steps


def _leaves(node: Node) -> set[Column]:
    found = set()
    for leaf in node.walk():
        if isinstance(leaf.expression, exp.Table) and leaf.expression.db == "finops":
            found.add(Column(leaf.expression.name, leaf.name.split(".")[-1].strip('"')))
    return found
