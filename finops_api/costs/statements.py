"""The SQL of a cost question. Questions of one shape differ in their values alone, and share a statement.

Statements are made of a shape and not of a question, so that making one, which takes longer than PostgreSQL needs for
a small answer, is done once.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, cast

from psycopg import sql

from finops_api.costs.models import CostQuery, ResolvedQuery
from finops_api.snapshots import SNAPSHOT, Statement, Value
from finops_warehouse.conditions import Put
from finops_warehouse.members import member_filter, member_key
from finops_warehouse.semantic import MEASURES, OTHER, Dimension, dimension, table_for
from finops_warehouse.tables import STAMPED_COLUMNS, aggregated_cost_data

SHAPES_KEPT = 1000

PERIOD_NAMES = {
    "daily": "usage_day",
    "weekly": "week",
    "monthly": "month",
    "invoice_month": "invoice_month",
    "total": None,
}
PERIODS = {
    "daily": "usage_day",
    "weekly": "date_trunc('week', usage_day)::date::text",
    "monthly": "to_char(usage_day, 'YYYY-MM')",
    "invoice_month": "invoice_month",
    "total": "null::text",
}

CHARGES = """
    select * from {table}
    where usage_day >= %(start)s and usage_day < %(end)s and {filters}
"""

# What rows are ordered by comes first: PostgreSQL passes every column before one to compare it.
ROWS = """
    select {period} as period, billing_currency, {sums} {groups}
    from charges where {daily} or usage_day < %(counted_end)s
    group by {keys}
    order by period, billing_currency, {first} desc, {keys}
"""

# What moved the answer: of the accounts asked for, and as of a moment only what had moved by then.
# One row a day that moved, one a currency by how much it did, and one for when the last did: all of one reading, for
# most windows hold none, and what PostgreSQL prepares for each reading takes longer than finding that out.
MOVED = """
    select json_agg(moved) from (
        select usage_day, billing_currency, max(restated_at) as last_restated_at,
            trim_scale(sum(billed_cost_after - billed_cost_before))::text as billed_cost_change
        from finops.restatements
        where usage_day >= %(start)s and usage_day < %(end)s
        and (%(as_of)s::timestamptz is null or restated_at <= %(as_of)s)
        and (%(accounts)s::text[] is null or billing_account_id = any(%(accounts)s))
        and (%(currencies)s::text[] = '{}' or billing_currency = any(%(currencies)s))
        group by grouping sets ((usage_day), (billing_currency), ())
        having count(*) > 0
    ) as moved
"""

# Rows and totals come as the text of their JSON, put together here: `json_agg` looks up how each value of each row is
# written, and takes as long for a hundred rows as finding out what is in them.
ANSWER = f"""
    with charges as ({{charges}}),
    rows as ({{rows}} limit %(limit)s offset %(offset)s)
    select {SNAPSHOT}, shown.count, shown.items, added.totals, ({{moved}})
    from
        (select count(*) as count, coalesce(string_agg({{row}}, ','), '') as items from rows) as shown,
        (select coalesce(string_agg({{total}}, ','), '') as totals from ({{totals}}) as total) as added
"""  # noqa: S608 -- made of constants of ours

# Of the rows where all of them are there, and of the charges where a page holds some: so charges are mostly read once.
TOTALS = """
    select billing_currency, {sums} from {added} where {counted}
    group by billing_currency order by billing_currency
"""

TOP = f"""
    select {SNAPSHOT}, billing_currency, member from (
        select billing_currency, {{key}} as member,
            row_number() over (partition by billing_currency order by sum({{first}}) desc, {{key}}) as place
        from {{table}}
        where usage_day >= %(start)s and usage_day < %(counted_end)s and {{filters}}
        group by billing_currency, {{key}}
    ) as ranked
    where place <= %(top)s
"""  # noqa: S608 -- made of constants of ours

# A fact row is served from one version of its day to another, and a day had one version at a moment.
SEEN = """(
    with served as (
        select partition_key::date as usage_day, max(version) as version
        from finops.materialisation_log
        where asset = 'aggregated_cost_data' and materialised_at <= %(as_of)s
        group by partition_key
    )
    select {columns} from finops.aggregated_cost_data join served using (usage_day) where from_version <= version
    union all
    select {columns} from finops.superseded_cost_data join served using (usage_day)
    where from_version <= version and until_version > version
) as seen"""

IS_KEPT = "(billing_currency, {}) in (select * from unnest(%(kept_currencies)s::text[], %(kept_members)s::text[]))"


@dataclass(frozen=True)
class Shape:
    """All of a question that its SQL depends on."""

    table: str
    granularity: str
    groups: tuple[str, ...]
    measures: tuple[str, ...]
    filters: tuple[str, ...]
    condition: str | None
    has_currencies: bool
    is_by_invoice: bool
    is_as_of: bool
    is_paged: bool

    @property
    def dimensions(self) -> list[Dimension]:
        """Those that it is grouped by."""
        return [dimension(name) for name in self.groups]


def shape_of(asked: ResolvedQuery, table: str) -> Shape:
    """What a question has in common with others over this table."""
    query = asked.query
    condition = query.condition()
    return Shape(
        table=table,
        granularity=query.granularity,
        groups=tuple(asked.groups),
        measures=tuple(asked.measures),
        filters=tuple(asked.filters),
        condition=condition.as_sql(_put_into({})).as_string() if condition else None,
        has_currencies=bool(query.billing_currency),
        is_by_invoice=query.time_basis == "invoice_month",
        is_as_of=query.as_of is not None,
        is_paged=query.limit is not None,
    )


def table_of(query: CostQuery) -> str:
    """The table an answer is read from; as of a moment that is the one whose old rows are kept."""
    return "aggregated_cost_data" if query.as_of else table_for(query.dimensions())


@lru_cache(SHAPES_KEPT)
def answer(shape: Shape, *, shows_top: bool) -> Statement:
    """How many rows, the rows and their totals as JSON, and what moved them."""
    charges, rows = _selects(shape, _sums(shape), shows_top=shows_top)
    texts = [
        *shape.groups,
        *(f"{group.name}_name" for group in shape.dimensions if group.name_column),
        *(("others",) if shows_top else ()),
        "billing_currency",
    ]
    # As text: json writes numerics as bare numbers, and JavaScript would read those as floats.
    amounts = {name: _quoted(sql.SQL("trim_scale({})::text").format(sql.Identifier(name))) for name in shape.measures}
    row = {**_of_when(shape), **{name: _json(sql.Identifier(name)) for name in texts}, **amounts}
    total = {"billing_currency": _json(sql.Identifier("billing_currency")), **amounts}
    return Statement.of(
        sql.SQL(ANSWER).format(
            charges=charges,
            rows=rows,
            totals=_totals(shape),
            moved=sql.SQL(MOVED),
            row=_object(row),
            total=_object(total),
        )
    )


def _totals(shape: Shape) -> sql.Composed:
    """The sums of each currency over the days that are counted."""
    if shape.is_paged:
        return sql.SQL(TOTALS).format(
            sums=_sums(shape), added=sql.SQL("charges"), counted=sql.SQL("usage_day < %(counted_end)s")
        )
    sums = [sql.SQL("sum({0}) as {0}").format(sql.Identifier(measure)) for measure in shape.measures]
    # Rows of longer periods hold no other days.
    counted = "period < %(counted_end)s" if shape.granularity == "daily" else "true"
    return sql.SQL(TOTALS).format(sums=sql.SQL(", ").join(sums), added=sql.SQL("rows"), counted=sql.SQL(counted))


def _of_when(shape: Shape) -> dict[str, sql.Composed]:
    """What a row says of its period, under the name it has at this granularity."""
    name = PERIOD_NAMES[shape.granularity]
    if name is None:
        shown = {"start": "shown_start", "end": "shown_end"}
        return {end: _quoted(sql.SQL("{}::text").format(sql.Placeholder(given))) for end, given in shown.items()}
    of_when = {name: _quoted(sql.Identifier("period"))}
    if name == "usage_day":
        of_when["estimated"] = sql.SQL("(period > {}::date)::text").format(sql.Placeholder("complete_through"))
    return of_when


def _object(fields: dict[str, sql.Composed]) -> sql.Composed:
    """The text of a JSON object. None of its values may be NULL, or the object would be."""
    pieces: list[sql.Composable] = []
    for name, value in fields.items():
        pieces += [sql.Literal(f"{',' if pieces else '{'}{json.dumps(name)}:"), value]
    return sql.SQL(" || ").join([*pieces, sql.Literal("}")])


def _json(value: sql.Composable) -> sql.Composed:
    """Whatever a value is, as JSON."""
    return sql.SQL("coalesce(to_json({})::text, 'null')").format(value)


def _quoted(value: sql.Composable) -> sql.Composed:
    """A number or a day as a JSON string; there is nothing in it to escape."""
    return sql.SQL("coalesce('\"' || {} || '\"', 'null')").format(value)


@lru_cache(SHAPES_KEPT)
def top(shape: Shape) -> Statement:
    """The members that are shown one by one, with their currency."""
    [group] = shape.dimensions
    return Statement.of(
        sql.SQL(TOP).format(key=member_key(group), first=_first(shape), table=_relation(shape), filters=_filters(shape))
    )


RESTATED = Statement.of(sql.SQL(f"select {SNAPSHOT}, ({MOVED})"))


def every_row(asked: ResolvedQuery, table: str) -> tuple[sql.Composed, dict[str, Value]]:
    """The select of the rows of an answer however many there are, their period as `period`, and its parameters."""
    shape = shape_of(asked, table)
    texts = [
        sql.SQL("trim_scale(sum({}))::text as {}").format(_column(measure), sql.Identifier(measure))
        for measure in shape.measures
    ]
    charges, shown = _selects(shape, sql.SQL(", ").join(texts), shows_top=False)
    start, end, counted_end = asked.read_days
    return sql.SQL("with charges as ({}) {}").format(charges, shown), {
        "start": start,
        "end": end,
        "counted_end": counted_end,
        **values_of(asked),
    }


def _selects(shape: Shape, sums: sql.Composed, *, shows_top: bool) -> tuple[sql.Composed, sql.Composed]:
    """The charges an answer is made of, and its rows made of them."""
    groups = shape.dimensions
    shown = [_shown(group, shows_top=shows_top) for group in groups]
    names = [
        sql.SQL(", {} as {}").format(key, sql.Identifier(group.name)) for key, group in zip(shown, groups, strict=True)
    ]
    names += [
        sql.SQL(", {} as {}").format(
            _name(group, group.name_column, shows_top=shows_top), sql.Identifier(f"{group.name}_name")
        )
        for group in groups
        if group.name_column
    ]
    if shows_top:
        names += [_others(group) for group in groups]
    period = sql.SQL(PERIODS[shape.granularity])
    keys = [period, sql.SQL("billing_currency"), *shown]
    charges = sql.SQL(CHARGES).format(table=_relation(shape), filters=_filters(shape))
    return charges, sql.SQL(ROWS).format(
        period=period,
        groups=sql.SQL(" ").join(names),
        sums=sums,
        daily=sql.SQL("true" if shape.granularity == "daily" else "false"),
        keys=sql.SQL(", ").join(keys[1:] if shape.granularity == "total" else keys),
        first=sql.SQL("sum({})").format(_first(shape)),
    )


def _relation(shape: Shape) -> sql.Composable:
    """What is read: a table, or the facts as they were served at the moment asked for."""
    if not shape.is_as_of:
        return sql.Identifier("finops", shape.table)
    names = [column.name for column in aggregated_cost_data.columns if column.name not in STAMPED_COLUMNS]
    return sql.SQL(SEEN).format(columns=sql.SQL(", ").join(map(sql.Identifier, names)))


def _shown(group: Dimension, *, shows_top: bool) -> sql.Composed:
    """The member a row is shown under."""
    key = member_key(group)
    if not shows_top:
        return key
    return sql.SQL("case when {} then {} else {} end").format(sql.SQL(IS_KEPT).format(key), key, sql.Literal(OTHER))


def _name(group: Dimension, name_column: str, *, shows_top: bool) -> sql.Composed:
    name = sql.SQL("max({})").format(sql.Identifier(name_column))
    if not shows_top:
        return name
    return sql.SQL("{} filter (where {})").format(name, sql.SQL(IS_KEPT).format(member_key(group)))


def _others(group: Dimension) -> sql.Composed:
    """How many members a row stands for beyond those that are shown."""
    key = member_key(group)
    return sql.SQL(", count(distinct {}) filter (where not {}) as others").format(key, sql.SQL(IS_KEPT).format(key))


def _first(shape: Shape) -> sql.Identifier:
    return _column(shape.measures[0])


def _column(measure: str) -> sql.Identifier:
    return sql.Identifier(MEASURES[measure].column)


def _sums(shape: Shape) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("sum({}) as {}").format(_column(measure), sql.Identifier(measure)) for measure in shape.measures
    )


def _filters(shape: Shape) -> sql.Composed:
    conditions: list[sql.Composable] = [sql.SQL("true")]
    conditions += [member_filter(name, sql.Placeholder(f"is_{name}")) for name in shape.filters]
    if shape.has_currencies:
        conditions.append(sql.SQL("billing_currency = any(%(currencies)s)"))
    if shape.is_by_invoice:
        conditions.append(sql.SQL("invoice_month >= %(first_invoice)s and invoice_month < %(end_of_invoices)s"))
    if shape.condition is not None:
        conditions.append(sql.SQL(cast("Any", shape.condition)))
    return sql.SQL(" and ").join(conditions)


def _put_into(values: dict[str, Value]) -> Put:
    """Has conditions compare with placeholders, and notes what for."""

    def put(texts: list[str]) -> sql.Composable:
        name = f"where_{len(values)}"
        values[name] = texts
        return sql.Placeholder(name)

    return put


def values_of(asked: ResolvedQuery) -> Mapping[str, Value]:
    """What its statements are given, besides days and what is shown."""
    query = asked.query
    values: dict[str, Value] = {}
    if condition := query.condition():
        condition.as_sql(_put_into(values))
    return {
        **values,
        "first_invoice": _invoice_month(asked.start),
        "end_of_invoices": _invoice_month(asked.end),
        "as_of": query.as_of,
        "accounts": query.billing_account or None,
        "currencies": query.billing_currency,
        **{f"is_{name}": members for name, members in asked.filters.items()},
    }


def _invoice_month(day: date) -> str:
    # strftime writes the year 202 with three digits, and its months would be some of 2026 and after.
    return f"{day.year:04}{day.month:02}"
