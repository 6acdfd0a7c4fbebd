"""A served cell: one measure, over some days, of the members asked for. The words are those of `/v1/costs`.

Whatever shows a figure made of costs can say which cell it is, so that anyone can add it up again and open the
charges behind it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from itertools import count
from typing import Any, Self

from psycopg import sql
from pydantic import BaseModel, ConfigDict, Field, model_validator

from finops_warehouse.algebra import check_cell
from finops_warehouse.conditions import Condition
from finops_warehouse.members import member_filter, member_key
from finops_warehouse.semantic import DIMENSIONS, MEASURES, dimension, table_for
from finops_warehouse.sql_models import sql_model


class Cell(BaseModel):
    """A measure added up over `start <= usage day < end`, in one currency, of the members in `filters`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    measure: str = "billed_cost"
    start: date
    end: date
    billing_currency: str
    filters: Mapping[str, list[str]] = Field(default={}, description="Members by dimension, ids or names.")
    custom: Mapping[str, list[str]] = Field(default={}, description="Members by custom dimension.")
    at: Mapping[str, str] = Field(default={}, description="The one member by dimension, by its id and nothing else.")
    excluding: Mapping[str, list[str]] = Field(default={}, description="Members left out, by dimension, by their ids.")
    where: Condition | None = Field(
        default=None, exclude_if=lambda where: where is None, description="What charges have to be as well."
    )

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        unknown = sorted(set(self.filters) - set(DIMENSIONS))
        if unknown:
            raise ValueError(f"there is no dimension {', '.join(unknown)}; there are: {', '.join(DIMENSIONS)}")
        if self.measure not in MEASURES:
            raise ValueError(f"there is no measure {self.measure}; there are: {', '.join(MEASURES)}")
        check_cell(self.measure, {**(self.where.members() if self.where else {}), **self.members})
        if self.start >= self.end:
            raise ValueError(f"no day lies from {self.start} to {self.end}: end is not included")
        return self

    @property
    def members(self) -> dict[str, list[str]]:
        """The members it is of, by dimension, built-in or custom."""
        return {**self.filters, **self.custom}

    @property
    def last_day(self) -> date:
        """The last day that is included."""
        return self.end - timedelta(days=1)

    @property
    def table(self) -> str:
        """The smallest served table that holds it."""
        of_conditions = self.where.dimensions() if self.where else ()
        return table_for({*self.members, *self.at, *self.excluding, *of_conditions})


Value = Callable[[str, Any], sql.Composable]
"""How a value gets into a statement: as a placeholder of that name, or as a literal."""

CHARGES = """
    with charges as (
        select staged.*, finops.members_of(assignment) as custom, finops.rules_of(assignment) as assigned_by
        from ({charges}) as staged
    )
    select {what} from charges where {conditions} and {measure} <> 0
"""
"""Read from the text the facts are made of; whoever opens a cell compares the two sums."""


def cell_value(cell: Cell) -> tuple[sql.Composed, dict[str, Any]]:
    """The statement that adds the cell up from its served table, as one row of one numeric; 0 when nothing is there."""
    values: dict[str, Any] = {}

    def placeholder(name: str, value: object) -> sql.Composable:
        values[name] = value
        return sql.Placeholder(name)

    return _sum_of(cell, placeholder), values


def cell_values(cells: Sequence[Cell]) -> sql.Composed:
    """One statement for many cells: a row for each, its position and its value. Takes no parameters."""
    return sql.SQL(" union all ").join(
        sql.SQL("select {}, ({})").format(sql.Literal(position), _sum_of(cell, _literal))
        for position, cell in enumerate(cells)
    )


def cells_by_day(cells: Mapping[int, Cell]) -> sql.Composed:
    """One statement for many cells: a row for each and each usage day it has charges on: its number, day and value.

    Takes no parameters.
    """
    return sql.SQL(" union all ").join(
        sql.SQL("select {}, usage_day, sum({})::numeric from {} where {} group by usage_day").format(
            sql.Literal(number),
            sql.Identifier(MEASURES[cell.measure].column),
            sql.Identifier("finops", cell.table),
            _conditions(cell, _literal),
        )
        for number, cell in cells.items()
    )


def cell_charges(cell: Cell, what: sql.Composable) -> sql.Composed:
    """The statement that selects `what` from the rows of `raw_charges` behind the cell. Takes no parameters."""
    window = {"start_day": sql.Literal(cell.start), "end_day": sql.Literal(cell.end)}
    return sql.SQL(CHARGES).format(
        charges=sql.SQL(sql_model("staging", "charges").as_template()).format(**window),
        what=what,
        conditions=_conditions(cell, _literal),
        measure=raw_measure(cell.measure),
    )


def raw_measure(measure: str) -> sql.SQL:
    """How a measure is read off one row of `staging/charges.sql`."""
    column = MEASURES[measure].column
    return sql.SQL(f"coalesce({column}, 0)" if column.startswith("credit_") else column)


def _literal(_: str, value: object) -> sql.Composable:
    return sql.Literal(value)


def _sum_of(cell: Cell, value: Value) -> sql.Composed:
    return sql.SQL("select coalesce(sum({measure}), 0)::numeric from {table} where {conditions}").format(
        measure=sql.Identifier(MEASURES[cell.measure].column),
        table=sql.Identifier("finops", cell.table),
        conditions=_conditions(cell, value),
    )


def _conditions(cell: Cell, value: Value) -> sql.Composed:
    conditions: list[sql.Composable] = [
        sql.SQL("usage_day >= {}").format(value("start", cell.start)),
        sql.SQL("usage_day < {}").format(value("end", cell.end)),
        sql.SQL("billing_currency = {}").format(value("billing_currency", cell.billing_currency)),
        *(member_filter(name, value(f"is_{name}", list(members))) for name, members in cell.members.items()),
        *(
            sql.SQL("{} = {}").format(member_key(dimension(name)), value(f"at_{name}", member))
            for name, member in cell.at.items()
        ),
        *(
            sql.SQL("not {} = any({})").format(member_key(dimension(name)), value(f"not_{name}", list(members)))
            for name, members in cell.excluding.items()
        ),
    ]
    if cell.where is not None:
        numbers = count()
        conditions.append(cell.where.as_sql(lambda members: value(f"where_{next(numbers)}", members)))
    return sql.SQL(" and ").join(conditions)
