"""The files of `dbt_like_sql/`: a header that says what the table is, and one query that makes it.

The header is YAML in the first comment. Models of the Postgres dialect take named parameters (`:start_day`),
and are what a table is rebuilt from, what its asset is made from and what its column lineage is read from.
"""

import csv
import io
import re
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict

from finops_warehouse.tables import STAMPED_COLUMNS, metadata

HEADER = re.compile(r"\A/\*\n(?P<yaml>.*?)\n\*/\n(?P<query>.*)\Z", re.DOTALL)
PARAMETER = re.compile(r"(?<!:):([a-z_]+)\b")
REFERENCE = re.compile(r"\{\{ ref\('([a-z_]+)'\) \}\}")


class ColumnDoc(BaseModel):
    """What a column holds, in which unit, and what must be true of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str
    unit: str | None = None
    type: str | None = None
    """The PostgreSQL type, of a view's column: tables say it in `finops_warehouse/tables.py`."""
    tests: tuple[Literal["not_null"], ...] = ()


class Header(BaseModel):
    """The comment at the top of a model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str
    materialized: Literal["table", "view", "ephemeral"] = "table"
    """Whether the query fills a table, is read as a view, or is only a part of other queries."""
    grain: tuple[str, ...] | str
    partition: Literal["export_day", "usage_day", "as_of_day", "invoice_month", "month"]
    dialect: Literal["postgres", "duckdb", "bigquery"] = "postgres"
    inputs: tuple[str, ...]
    owner: str
    columns: dict[str, ColumnDoc] = {}
    identities: tuple[str, ...] = ()


@dataclass(frozen=True)
class SqlModel:
    """One file: the table it makes, what its header says, its query."""

    table: str
    layer: str
    header: Header
    query: str
    parameters: frozenset[str] = field(default_factory=frozenset)

    @property
    def columns(self) -> dict[str, ColumnDoc]:
        """Every column the model fills; one the header leaves out means what it means in the model's first input."""
        own = self.header.columns
        table = metadata.tables[f"finops.{self.table}"]
        names = [column.name for column in table.columns if column.name not in STAMPED_COLUMNS]
        if all(name in own for name in names):
            return {name: own[name] for name in names}
        inherited = next(model for model in postgres_models() if model.table == self.header.inputs[0]).columns
        return {name: own.get(name) or inherited[name] for name in names}

    @property
    def path(self) -> str:
        """Where the file is, from the top of the checkout."""
        return f"dbt_like_sql/{self.layer}/{self.table}.sql"

    def as_psycopg(self) -> str:
        """The query with its parameters as psycopg names them."""
        return PARAMETER.sub(r"%(\1)s", self.query.replace("%", "%%"))

    def as_template(self) -> str:
        """The query with its parameters as `psycopg.sql.SQL.format` names them."""
        return PARAMETER.sub(r"{\1}", self.query)


@cache
def sql_model(layer: str, table: str) -> SqlModel:
    """The model in `dbt_like_sql/<layer>/<table>.sql`, with what `{{ ref('…') }}` stands for in its place.

    That is the query of a model in staging/, or the rows of a CSV file in seeds/.

    Raises `ValueError` naming the file when its header is missing or says something we do not know.
    """
    path = f"dbt_like_sql/{layer}/{table}.sql"
    text = (files("dbt_like_sql") / layer / f"{table}.sql").read_text(encoding="utf-8")
    parts = HEADER.match(text)
    if parts is None:
        raise ValueError(f"{path} does not begin with a /* … */ header")
    header: Any = yaml.safe_load(parts["yaml"])
    query = REFERENCE.sub(lambda reference: _referred(reference[1]), parts["query"].strip())
    return SqlModel(table, layer, Header.model_validate(header), query, frozenset(PARAMETER.findall(query)))


def _referred(name: str) -> str:
    seed = files("dbt_like_sql") / "seeds" / f"{name}.csv"
    if not seed.is_file():
        return sql_model("staging", name).query
    header, *rows = csv.reader(io.StringIO(seed.read_text(encoding="utf-8")))
    values = ", ".join("(" + ", ".join(_quoted(value) for value in row) + ")" for row in rows)
    return f"select * from (values {values}) as seed ({', '.join(header)})"  # noqa: S608 -- a file of ours


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@cache
def postgres_models() -> tuple[SqlModel, ...]:
    """Every table that Postgres makes from other tables, in the order of their names."""
    found = [
        sql_model(layer.name, file.name.removesuffix(".sql"))
        for layer in files("dbt_like_sql").iterdir()
        if layer.name in ("staging", "core", "marts")
        for file in layer.iterdir()
        if file.name.endswith(".sql")
    ]
    return tuple(sorted((m for m in found if m.header.materialized == "table"), key=lambda model: model.table))
