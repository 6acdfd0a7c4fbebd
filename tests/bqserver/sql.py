"""GoogleSQL, run by DuckDB: what a query reads, what that costs, and its rows.

What sqlglot would translate into something that runs and says something else is put right here or refused.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from bqserver.refusals import NotModelled, Refused
from bqserver.tables import PSEUDO_COLUMNS, Partition, StoredTable, leaves_of

_PSEUDO = frozenset(PSEUDO_COLUMNS)
_INFORMATION_SCHEMA = "INFORMATION_SCHEMA.PARTITIONS"
_COMPARISONS = (exp.EQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
_INTEGER = pa.int64()
_NUMERIC = pa.decimal128(38, 9)


@dataclass(frozen=True)
class Scan:
    """One table in a FROM, with what is read of it."""

    node: exp.Table
    name: str
    table: StoredTable
    partitions: list[Partition]
    leaves: frozenset[str]

    @property
    def processed_bytes(self) -> int:
        """What BigQuery says the query processes of this table."""
        return self.table.logical_bytes(self.partitions, self.leaves)


class Question:
    """One query, understood and not yet run. Raises `Refused` as BigQuery would and `NotModelled`."""

    def __init__(
        self,
        text: str,
        parameters: list[dict[str, Any]],
        tables: Mapping[str, StoredTable],
        location: str | None = None,
    ) -> None:
        try:
            statements = sqlglot.parse(text, dialect="bigquery")
        except SqlglotError as wrong:
            raise Refused(400, "invalidQuery", f"Syntax error: {wrong}") from None
        if len(statements) != 1 or not isinstance(statements[0], exp.Query):
            raise NotModelled("anything but one SELECT")
        self._tree = statements[0]
        self._tables = tables
        self._location = location
        self._bind(parameters)
        _refuse_what_duckdb_would_answer_differently(self._tree)
        self.scans = list(self._scans())
        _as_duckdb_means_it(self._tree, [scan.node for scan in self.scans])

    @property
    def processed_bytes(self) -> int:
        """What a dry run answers. A question about metadata counts as what is billed at least."""
        if self._listings():
            return 10 * 2**20
        return sum(scan.processed_bytes for scan in self.scans)

    @property
    def duckdb_where(self) -> str:
        """The WHERE of the outermost SELECT in DuckDB's words, for a read session's row restriction."""
        where = self._tree.args.get("where")
        return f" {where.sql(dialect='duckdb')}" if where else ""

    def run(self) -> pa.Table:
        """Every row, typed as BigQuery types them."""
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            for number, scan in enumerate(self.scans):
                scan.table.create_view(connection, f"scan_{number}", scan.partitions)
                scan.node.replace(_named(f"scan_{number}", scan.node))
            for number, (node, dataset) in enumerate(self._listings()):
                connection.register(f"listing_{number}", self._listing(dataset))
                node.replace(_named(f"listing_{number}", node))
            rows = connection.sql(self._tree.sql(dialect="duckdb"))
            # A column of arrays holds no NULL once it is stored, and every result is.
            columns = ", ".join(
                f'coalesce("{name}", []) AS "{name}"' if kind.id == "list" else f'"{name}"'
                for name, kind in zip(rows.columns, rows.types, strict=True)
            )
            table = rows.project(columns).to_arrow_table()
        return _as_bigquery_types(table)

    def _bind(self, parameters: list[dict[str, Any]]) -> None:
        values = {
            parameter["name"]: exp.cast(
                exp.Literal.string(parameter["parameterValue"]["value"]),
                exp.DataType.build(parameter["parameterType"]["type"], dialect="bigquery"),
            )
            for parameter in parameters
        }
        for node in list(self._tree.find_all(exp.Parameter)):
            if node.name not in values:
                raise Refused(400, "invalidQuery", f"Query parameter '{node.name}' not found")
            node.replace(values[node.name].copy())

    def _listings(self) -> list[tuple[exp.Table, str]]:
        nodes = [node for node in self._tree.find_all(exp.Table) if node.name.upper() == _INFORMATION_SCHEMA]
        return [(node, f"{node.catalog}.{node.db}") for node in nodes]

    def _scans(self) -> Iterator[Scan]:
        ctes = {cte.alias.lower() for cte in self._tree.find_all(exp.CTE)}
        for node in self._tree.find_all(exp.Table):
            if node.name.upper() == _INFORMATION_SCHEMA or (not node.db and node.name.lower() in ctes):
                continue
            name = f"{node.catalog}.{node.db}.{node.name}"
            table = self._tables.get(name)
            if table is None or self._location not in {None, table.location}:
                where = f"{node.catalog}:{node.db}.{node.name}"
                raise Refused(404, "notFound", f"Not found: Table {where} was not found in location {self._location}")
            filters = _partition_filters(node)
            if table.require_partition_filter and not filters:
                raise Refused(
                    400,
                    "invalidQuery",
                    f"Cannot query over table '{name}' without a filter over column(s) '_PARTITION_LOAD_TIME', "
                    "'_PARTITIONDATE', '_PARTITIONTIME' that can be used for partition elimination",
                )
            leaves = frozenset(_leaves_read(self._tree, node, table))
            yield Scan(node, name, table, _pruned(table.partitions(), filters), leaves)

    def _listing(self, dataset: str) -> pa.Table:
        """INFORMATION_SCHEMA.PARTITIONS of a dataset."""
        rows = [
            {
                "table_schema": dataset.partition(".")[2],
                "table_name": name.rpartition(".")[2],
                "partition_id": partition.partition_id,
                "total_rows": partition.total_rows,
                "last_modified_time": partition.last_modified,
            }
            for name, table in self._tables.items()
            if name.rpartition(".")[0] == dataset and self._location in {None, table.location}
            for partition in table.partitions()
        ]
        columns: list[tuple[str, pa.DataType]] = [
            ("table_schema", pa.string()),
            ("table_name", pa.string()),
            ("partition_id", pa.string()),
            ("total_rows", pa.int64()),
            ("last_modified_time", pa.timestamp("us", "UTC")),
        ]
        return pa.Table.from_pylist(rows, pa.schema(columns))


def _named(name: str, node: exp.Table) -> exp.Table:
    # GoogleSQL lets columns be qualified with the table's own name; so does the view's alias.
    return exp.to_table(name).as_(node.alias_or_name, quoted=True)  # type: ignore[return-value]


def _partition_filters(node: exp.Table) -> list[exp.Expr]:
    """The conditions that BigQuery can prune this table's partitions by: a pseudo column, alone, beside constants."""
    select = node.find_ancestor(exp.Select)
    where = select.args.get("where") if select else None
    conditions = list(where.this.flatten()) if where and isinstance(where.this, exp.And) else []
    if where and not conditions:
        conditions = [where.this]
    return [condition.unnest() for condition in conditions if _prunes(condition.unnest(), node.alias_or_name)]


def _prunes(condition: exp.Expr, table: str) -> bool:
    columns = list(condition.find_all(exp.Column))
    if condition.find(exp.Query) or not all(
        column.name.upper() in _PSEUDO and column.table in {"", table} for column in columns
    ):
        return False
    if isinstance(condition, (exp.Between, exp.In)):
        return len(columns) == 1 and condition.this is columns[0]
    # A function around the column, even on one side only, is a filter and prunes nothing.
    return (
        isinstance(condition, _COMPARISONS)
        and len(columns) == 1
        and (condition.this is columns[0] or condition.expression is columns[0])
    )


def _pruned(partitions: list[Partition], filters: list[exp.Expr]) -> list[Partition]:
    """The partitions that no filter excludes."""
    kept = partitions
    for condition in filters:
        bare = condition.copy()
        for column in bare.find_all(exp.Column):
            column.set("table", None)
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            midnights = [
                datetime(part.day.year, part.day.month, part.day.day, tzinfo=UTC) if part.day else None for part in kept
            ]
            held = pa.table(
                {
                    "number": pa.array(range(len(kept)), pa.int64()),
                    "_PARTITIONTIME": pa.array(midnights, pa.timestamp("us", "UTC")),
                    "_PARTITIONDATE": pa.array([part.day for part in kept], pa.date32()),
                }
            )
            connection.register("held", held)
            numbers = connection.sql(
                f"SELECT number FROM held WHERE {bare.sql(dialect='duckdb')} ORDER BY 1"
            ).fetchall()
        kept = [kept[number] for (number,) in numbers]
    return kept


def _leaves_read(tree: exp.Query, node: exp.Table, table: StoredTable) -> Iterator[str]:
    """The leaf columns of `table` that the query mentions where it can mean them."""
    columns = table.columns()
    leaves = [leaf for name, kind in columns.items() for leaf in leaves_of(name, kind)]
    names = {name.lower() for name in columns}
    own = {node.alias_or_name.lower(), node.name.lower()}
    unnested = {
        unnest.args["alias"].columns[0].name.lower(): _parts(unnest.expressions[0])
        for unnest in tree.find_all(exp.Unnest)
        if unnest.args.get("alias") and unnest.expressions and isinstance(unnest.expressions[0], exp.Column)
    }
    for star in tree.find_all(exp.Star):
        if isinstance(star.parent, exp.Select) and any(source is node for source in _sources(star.parent)):
            excluded = {column.name.lower() for column in star.args.get("except_") or []}
            yield from (leaf for leaf in leaves if leaf.split(".")[0].lower() not in excluded)
    for column in tree.find_all(exp.Column):
        is_unnested = isinstance(column.parent, exp.Unnest) and column.parent.args.get("alias")
        if is_unnested or isinstance(column.parent, exp.Star):
            continue  # what is used of its elements is counted instead; what a star leaves out is not read
        parts = _parts(column)
        if parts[0] in unnested:
            parts = unnested[parts[0]] + parts[1:]
        if parts[0] in own and len(parts) > 1:
            parts = parts[1:]
        elif not _may_mean(column, node):
            continue
        if parts[0] in names:
            path = ".".join(parts)
            yield from (
                leaf
                for leaf in leaves
                if f"{leaf.lower()}.".startswith(f"{path}.") or path.startswith(f"{leaf.lower()}.")
            )


def _parts(column: exp.Expr) -> list[str]:
    """`project.labels.key` as its parts, in lower case."""
    parts = [part.name.lower() for part in column.parts] if isinstance(column, exp.Column) else []
    outer = column.parent
    while isinstance(outer, exp.Dot):
        parts.append(outer.expression.name.lower())
        outer = outer.parent
    return parts


def _may_mean(column: exp.Column, node: exp.Table) -> bool:
    """Whether an unqualified name stands where `node` is in scope: in its SELECT, or in one nested within that."""
    select = column.find_ancestor(exp.Select)
    while select is not None:
        sources = _sources(select)
        if any(source is node for source in sources):
            return True
        if not any(isinstance(source, exp.Unnest) for source in sources):
            return False
        select = select.find_ancestor(exp.Select)
    return False


def _sources(select: exp.Select) -> list[exp.Expr]:
    """What a SELECT reads from by itself, without what the CTEs in front of it read."""
    clauses = [select.args.get("from_"), *(select.args.get("joins") or [])]
    return [clause.this for clause in clauses if clause]


def _refuse_what_duckdb_would_answer_differently(tree: exp.Query) -> None:
    """Weeks are counted otherwise, offsets begin at one, and BIGNUMERIC does not fit."""
    if any(node.this.name.upper().startswith("WEEK") for node in tree.find_all(exp.Extract)):
        raise NotModelled("EXTRACT(WEEK), which counts from Sunday in BigQuery")
    if any(node.args.get("offset") for node in tree.find_all(exp.Unnest)):
        raise NotModelled("WITH OFFSET")
    if any(node.is_type(exp.DataType.Type.BIGDECIMAL) for node in tree.find_all(exp.DataType)):
        raise NotModelled("BIGNUMERIC")
    for select in tree.find_all(exp.Select):
        for column in select.expressions:
            if column.alias_or_name.upper() in _PSEUDO and select.parent is None:
                raise Refused(400, "invalidQuery", f"Invalid field name {column.alias_or_name}: give it an alias")


def _as_duckdb_means_it(tree: exp.Query, scanned: list[exp.Table]) -> None:
    """Change what would run in DuckDB and silently say something else."""
    for kind in list(tree.find_all(exp.DataType)):
        if kind.this == exp.DataType.Type.DECIMAL and not kind.expressions:
            # DuckDB's DECIMAL keeps three digits: a price of 0.000024 would be nothing.
            kind.replace(exp.DataType.build("DECIMAL(38, 9)", dialect="duckdb"))
    for extract in list(tree.find_all(exp.Extract)):
        if extract.this.name.upper() == "DAYOFWEEK":  # Sunday is 1, and in DuckDB 0
            extract.replace(exp.paren(exp.Add(this=extract.copy(), expression=exp.Literal.number(1))))
    for truncated in list(tree.find_all(exp.DateTrunc)):  # of a date, and in DuckDB a timestamp
        truncated.replace(exp.cast(truncated.copy(), "DATE"))
    for star in tree.find_all(exp.Star):
        select = star.parent
        if isinstance(select, exp.Select) and any(node in scanned for node in _sources(select)):
            hidden = [exp.column(name) for name in PSEUDO_COLUMNS]
            star.set("except_", [*(star.args.get("except_") or []), *hidden])


def _as_bigquery_types(table: pa.Table) -> pa.Table:
    """INT64 where DuckDB adds whole numbers up in more digits, and NUMERIC for what has decimals."""
    fields = []
    for field in table.schema:
        if pa.types.is_decimal(field.type):
            fields.append(field.with_type(_INTEGER if field.type.scale == 0 else _NUMERIC))
        elif pa.types.is_integer(field.type):
            fields.append(field.with_type(_INTEGER))
        else:
            fields.append(field)
    return table.cast(pa.schema(fields))
