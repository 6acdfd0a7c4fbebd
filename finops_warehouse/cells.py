"""A served cell: one measure, over some days, of the members asked for. The words are those of `/v1/costs`.

Whatever shows a figure made of costs can say which cell it is, so that anyone can add it up again and open the
charges behind it.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Self

from psycopg import sql
from pydantic import BaseModel, ConfigDict, Field, model_validator

from finops_warehouse.semantic import DIMENSIONS, MEASURES, UNATTRIBUTED, table_for


class Cell(BaseModel):
    """A measure added up over `start <= usage day < end`, in one currency, of the members in `filters`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    measure: str = "billed_cost"
    start: date
    end: date
    billing_currency: str
    filters: Mapping[str, list[str]] = Field(default={}, description="Members by dimension, ids or names.")

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        unknown = sorted(set(self.filters) - set(DIMENSIONS))
        if unknown:
            raise ValueError(f"there is no dimension {', '.join(unknown)}; there are: {', '.join(DIMENSIONS)}")
        if self.measure not in MEASURES:
            raise ValueError(f"there is no measure {self.measure}; there are: {', '.join(MEASURES)}")
        if self.start >= self.end:
            raise ValueError(f"no day lies from {self.start} to {self.end}: end is not included")
        return self

    @property
    def last_day(self) -> date:
        """The last day that is included."""
        return self.end - timedelta(days=1)

    @property
    def table(self) -> str:
        """The smallest served table that holds it."""
        return table_for(set(self.filters))


def cell_value(cell: Cell) -> tuple[sql.Composed, dict[str, Any]]:
    """The statement that adds the cell up from its served table, as one row of one numeric; 0 when nothing is there."""
    statement = sql.SQL("select coalesce(sum({measure}), 0)::numeric from {table} where {where}").format(
        measure=sql.Identifier(MEASURES[cell.measure].column),
        table=sql.Identifier("finops", cell.table),
        where=_where(cell),
    )
    return statement, _parameters(cell)


def _where(cell: Cell) -> sql.Composed:
    conditions = [
        sql.SQL("usage_day >= %(start)s and usage_day < %(end)s and billing_currency = %(billing_currency)s"),
        *(member_filter(name, f"is_{name}") for name in cell.filters),
    ]
    return sql.SQL(" and ").join(conditions)


def _parameters(cell: Cell) -> dict[str, Any]:
    return {
        "start": cell.start,
        "end": cell.end,
        "billing_currency": cell.billing_currency,
        **{f"is_{name}": list(members) for name, members in cell.filters.items()},
    }


def member_key(column: str) -> sql.Composed:
    """A member's id; charges without one are a member of their own, never left out."""
    return sql.SQL("coalesce({}, {})").format(sql.Identifier(column), sql.Literal(UNATTRIBUTED))


def member_filter(name: str, parameter: str) -> sql.Composed:
    """The condition that a row is of one of the members in `parameter`, by id or, where there is one, by name."""
    dimension = DIMENSIONS[name]
    wanted = sql.SQL("any({})").format(sql.Placeholder(parameter))
    by_id = sql.SQL("{} = {}").format(member_key(dimension.column), wanted)
    if dimension.name_column is None:
        return by_id
    return sql.SQL("({} or {} = {})").format(by_id, sql.Identifier(dimension.name_column), wanted)
