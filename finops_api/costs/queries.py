"""The only SQL that reads costs, always within one snapshot: rows, totals and their version are of one moment."""

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from psycopg import AsyncConnection, sql

from finops_api.costs import cursors
from finops_api.costs.models import MAX_ROWS, CostMeta, CostPage, ResolvedQuery
from finops_api.database import rows
from finops_api.errors import TooManyRows
from finops_warehouse.conditions import Put
from finops_warehouse.freshness import BEHIND, BEHIND_AS_OF
from finops_warehouse.members import member_filter, member_key
from finops_warehouse.semantic import MEASURES, OTHER, Dimension, dimension, table_for
from finops_warehouse.tables import STAMPED_COLUMNS, aggregated_cost_data

Kept = list[tuple[str, str]]
"""Currency and id of the members that an answer shows one by one."""

PERIODS = {
    "daily": "usage_day::text",
    "weekly": "date_trunc('week', usage_day)::date::text",
    "monthly": "to_char(usage_day, 'YYYY-MM')",
    "invoice_month": "invoice_month",
    "total": "null::text",
}
PERIOD_NAMES = {
    "daily": "usage_day",
    "weekly": "week",
    "monthly": "month",
    "invoice_month": "invoice_month",
    "total": None,
}

CHARGES = """
    select * from {table}
    where usage_day >= %(start)s and usage_day < %(end)s and {filters}
"""

ROWS = """
    select {period} as period, {groups} billing_currency, {sums}
    from charges where {daily} or usage_day < %(counted_end)s
    group by {keys}
    order by period, billing_currency, {first} desc, {keys}
"""

STATEMENT = """
    with charges as ({charges}),
    rows as ({rows} limit %(limit)s offset %(offset)s),
    totals as (
        select billing_currency, {sums} from charges where usage_day < %(counted_end)s
        group by billing_currency order by billing_currency
    )
    select
        (select coalesce(json_agg(rows), '[]') from rows),
        (select coalesce(json_agg(totals), '[]') from totals)
"""

TOP = """
    select billing_currency, member from (
        select billing_currency, {key} as member,
            row_number() over (partition by billing_currency order by sum({first}) desc, {key}) as place
        from {table}
        where usage_day >= %(start)s and usage_day < %(counted_end)s and {filters}
        group by billing_currency, {key}
    ) as ranked
    where place <= %(top)s
"""

META = f"""
    select
        (select coalesce(max(version), 0) from finops.materialisation where asset = %(table)s),
        array(
            select day::date from (
                select generate_series(%(start)s::date, %(end)s::date - 1, interval '1 day')
                union
                select generate_series(%(previous_start)s::date, %(previous_end)s::date - 1, interval '1 day')
            ) as asked(day)
            where not exists (
                select from finops.materialisation where asset = %(table)s and partition_key = day::date::text
            )
            order by 1
        ),
        array(
            select usage_day from ({BEHIND}) as behind
            where usage_day >= %(start)s and usage_day < %(end)s order by 1
        )
"""  # noqa: S608 -- made of constants of ours

META_AS_OF = f"""
    with built as (
        select partition_key, max(version) as version from finops.materialisation_log
        where asset = %(table)s and materialised_at <= %(as_of)s group by partition_key
    )
    select
        (select coalesce(max(version), 0) from built),
        array(
            select day::date from (
                select generate_series(%(start)s::date, %(end)s::date - 1, interval '1 day')
                union
                select generate_series(%(previous_start)s::date, %(previous_end)s::date - 1, interval '1 day')
            ) as asked(day)
            where not exists (select from built where partition_key = day::date::text)
            order by 1
        ),
        array(
            select usage_day from ({BEHIND_AS_OF}) as behind
            where usage_day >= %(start)s and usage_day < %(end)s order by 1
        )
"""  # noqa: S608 -- made of constants of ours

# What moved the answer: of the accounts asked for, and as of a moment only what had moved by then.
RESTATED = """
    with moved as (
        select * from finops.restatements
        where usage_day >= %(start)s and usage_day < %(end)s
        and (%(as_of)s::timestamptz is null or restated_at <= %(as_of)s)
        and (%(accounts)s::text[] is null or billing_account_id = any(%(accounts)s))
        and (%(currencies)s::text[] = '{}' or billing_currency = any(%(currencies)s))
    )
    select
        array(select distinct usage_day from moved order by 1),
        (select max(restated_at) from moved),
        (select coalesce(json_agg(by_currency order by by_currency.billing_currency), '[]') from (
            select billing_currency, trim_scale(sum(billed_cost_after - billed_cost_before))::text as billed_cost_change
            from moved group by billing_currency
        ) as by_currency)
"""

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


def _relation(asked: ResolvedQuery, table: str) -> sql.Composable:
    """What is read: a table, or the facts as they were served at the moment asked for."""
    if asked.query.as_of is None:
        return sql.Identifier("finops", table)
    names = [column.name for column in aggregated_cost_data.columns if column.name not in STAMPED_COLUMNS]
    return sql.SQL(SEEN).format(columns=sql.SQL(", ").join(map(sql.Identifier, names)))


# Which usage days the charges of invoices are of: those that arrived, or that were ever served.
INVOICED_DAYS = """
    select min(usage_day), max(usage_day) from finops.usage_day_arrivals
    where invoice_month >= to_char(%(start)s::date, 'YYYYMM') and invoice_month < to_char(%(end)s::date, 'YYYYMM')
"""
INVOICED_DAYS_AS_OF = """
    select min(usage_day), max(usage_day) from (
        select usage_day, invoice_month from finops.aggregated_cost_data
        union all
        select usage_day, invoice_month from finops.superseded_cost_data
    ) as served
    where invoice_month >= to_char(%(start)s::date, 'YYYYMM') and invoice_month < to_char(%(end)s::date, 'YYYYMM')
"""


async def costs(connection: AsyncConnection, asked: ResolvedQuery) -> CostPage:
    """The answer to a cost question. Raises `TooManyRows` rather than cut an answer short unseen."""
    await settle_read_days(connection, asked)
    table = table_of(asked)
    kept = await kept_members(connection, asked, table)
    state, offset = "", 0
    if asked.query.limit:
        state = await _state_of(connection, table, asked)
        offset = cursors.position(asked.query, state)
    items, totals = await _read(connection, asked, table, kept, asked.read_days, offset)
    next_cursor = None
    if asked.query.limit and len(items) > asked.query.limit:
        items.pop()
        next_cursor = cursors.cursor(asked.query, state, offset + len(items))
    if asked.query.compare:
        first, last = asked.previous
        # The members shown are those of the window itself, or a row would be compared with another selection.
        before, totals_before = await _read(connection, asked, table, kept, (first, last, last), 0)
        _put_beside(items, before, asked)
        _put_beside(totals, totals_before, asked)
    meta = await meta_of(connection, asked, table)
    return CostPage(items=items, totals=totals, meta=meta.model_copy(update={"next_cursor": next_cursor}))


async def settle_read_days(connection: AsyncConnection, asked: ResolvedQuery) -> None:
    """Of invoices, read the usage days that their charges are of; to be awaited before anything is read."""
    if asked.query.time_basis != "invoice_month":
        return
    statement = INVOICED_DAYS_AS_OF if asked.query.as_of else INVOICED_DAYS
    [(first, last)] = await rows(connection, statement, {"start": asked.start, "end": asked.end})
    if first is not None:
        asked.reads_usage_days(first, last + timedelta(days=1))


async def _state_of(connection: AsyncConnection, table: str, asked: ResolvedQuery) -> str:
    """What the rows of a table are at this moment: another one after every build of any of its days."""
    # Versions rise in the order they are given out, and not always in that of their commits: the newest one alone may
    # stay what it was.
    statement = "select coalesce(sum(version), 0) from finops.materialisation where asset = %(table)s"
    [(versions,)] = await rows(connection, statement, {"table": table})
    return f"{table} {versions} {asked.complete_through}"


async def kept_members(connection: AsyncConnection, asked: ResolvedQuery, table: str) -> Kept | None:
    """The members an answer shows one by one, with their currency; None when it shows all."""
    if asked.query.top is None:
        return None
    [group] = (dimension(name) for name in asked.groups)
    statement = sql.SQL(TOP).format(
        key=member_key(group),
        first=sql.Identifier(MEASURES[asked.measures[0]].column),
        table=_relation(asked, table),
        filters=_filters(asked),
    )
    start, _, counted_end = asked.read_days
    parameters = {"start": start, "counted_end": counted_end, "top": asked.query.top, **_values(asked)}
    return [(currency, member) for currency, member in await rows(connection, statement, parameters)]


async def _read(
    connection: AsyncConnection,
    asked: ResolvedQuery,
    table: str,
    kept: Kept | None,
    days: tuple[date, date, date],
    offset: int,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows and totals of the days from the first to before the second; totals count those before the third."""
    start, _, counted_end = days
    charges, shown = _selects(asked, table, kept)
    statement = sql.SQL(STATEMENT).format(charges=charges, rows=shown, sums=_sums(asked))
    limit = asked.query.limit or MAX_ROWS
    parameters = {**_parameters(asked, kept, days), "limit": limit + 1, "offset": offset}
    [(items, totals)] = await rows(connection, statement, parameters)
    if len(items) > MAX_ROWS and not asked.query.limit:
        raise TooManyRows(
            f"The answer has more than {MAX_ROWS} rows. Page through it with limit, take a shorter window, or group by "
            "less."
        )
    if asked.query.time_basis == "invoice_month":
        start, counted_end = asked.start, asked.end
    return [_named(item, asked, start, counted_end) for item in items], totals


def every_row(asked: ResolvedQuery, table: str) -> tuple[sql.Composed, dict[str, Any]]:
    """The select of the rows of an answer however many there are, their period as `period`, and its parameters."""
    charges, shown = _selects(asked, table, None)
    statement = sql.SQL("with charges as ({}) {}").format(charges, shown)
    return statement, _parameters(asked, None, asked.read_days)


def table_of(asked: ResolvedQuery) -> str:
    """The table an answer is read from; as of a moment that is the one whose old rows are kept."""
    return "aggregated_cost_data" if asked.query.as_of else table_for(asked.query.dimensions())


def _selects(asked: ResolvedQuery, table: str, kept: Kept | None) -> tuple[sql.Composed, sql.Composed]:
    """The charges an answer is made of, and its rows made of them."""
    granularity = asked.query.granularity
    groups = [dimension(name) for name in asked.groups]
    shown = [_shown(group, kept) for group in groups]
    names = [
        sql.SQL("{} as {},").format(key, sql.Identifier(group.name)) for key, group in zip(shown, groups, strict=True)
    ]
    names += [
        sql.SQL("{} as {},").format(_name(group, group.name_column, kept), sql.Identifier(f"{group.name}_name"))
        for group in groups
        if group.name_column
    ]
    if kept is not None:
        names += [_others(group) for group in groups]
    keys = [sql.SQL(PERIODS[granularity]), sql.SQL("billing_currency"), *shown]
    charges = sql.SQL(CHARGES).format(table=_relation(asked, table), filters=_filters(asked))
    return charges, sql.SQL(ROWS).format(
        period=sql.SQL(PERIODS[granularity]),
        groups=sql.SQL(" ").join(names),
        sums=_sums(asked),
        daily=sql.SQL("true" if granularity == "daily" else "false"),
        keys=sql.SQL(", ").join(keys[1:] if granularity == "total" else keys),
        first=sql.SQL("sum({})").format(sql.Identifier(MEASURES[asked.measures[0]].column)),
    )


def _parameters(asked: ResolvedQuery, kept: Kept | None, days: tuple[date, date, date]) -> dict[str, Any]:
    start, end, counted_end = days
    return {
        "start": start,
        "end": end,
        "counted_end": counted_end,
        "kept_currencies": [currency for currency, _ in kept or []],
        "kept_members": [member for _, member in kept or []],
        **_values(asked),
    }


IS_KEPT = "(billing_currency, {}) in (select * from unnest(%(kept_currencies)s::text[], %(kept_members)s::text[]))"


def _shown(group: Dimension, kept: Kept | None) -> sql.Composed:
    """The member a row is shown under."""
    key = member_key(group)
    if kept is None:
        return key
    is_kept = sql.SQL(IS_KEPT).format(key)
    return sql.SQL("case when {} then {} else {} end").format(is_kept, key, sql.Literal(OTHER))


def _name(group: Dimension, name_column: str, kept: Kept | None) -> sql.Composed:
    name = sql.SQL("max({})").format(sql.Identifier(name_column))
    if kept is None:
        return name
    return sql.SQL("{} filter (where {})").format(name, sql.SQL(IS_KEPT).format(member_key(group)))


def _others(group: Dimension) -> sql.Composed:
    """How many members a row stands for beyond those that are shown."""
    key = member_key(group)
    return sql.SQL("count(distinct {}) filter (where not {}) as others,").format(key, sql.SQL(IS_KEPT).format(key))


def _sums(asked: ResolvedQuery) -> sql.Composed:
    return sql.SQL(", ").join(map(_sum, asked.measures))


def _sum(measure: str) -> sql.Composed:
    # As text: json writes numerics as bare numbers, and JavaScript would read those as floats.
    column = sql.Identifier(MEASURES[measure].column)
    return sql.SQL("trim_scale(sum({}))::text as {}").format(column, sql.Identifier(measure))


def _filters(asked: ResolvedQuery) -> sql.Composed:
    conditions: list[sql.Composable] = [sql.SQL("true")]
    conditions += [member_filter(name, sql.Placeholder(f"is_{name}")) for name in asked.query.filters()]
    if asked.query.billing_currency:
        conditions.append(sql.SQL("billing_currency = any({})").format(sql.Placeholder("currencies")))
    if asked.query.time_basis == "invoice_month":
        conditions.append(sql.SQL("invoice_month >= %(first_invoice)s and invoice_month < %(end_of_invoices)s"))
    if condition := asked.query.condition():
        conditions.append(condition.as_sql(_put_into({})))
    return sql.SQL(" and ").join(conditions)


def _put_into(values: dict[str, Any]) -> Put:
    """Has conditions compare with placeholders, and notes what for."""

    def put(texts: list[str]) -> sql.Composable:
        name = f"where_{len(values)}"
        values[name] = texts
        return sql.Placeholder(name)

    return put


def _values(asked: ResolvedQuery) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if condition := asked.query.condition():
        condition.as_sql(_put_into(values))
    return {
        **values,
        "first_invoice": asked.start.strftime("%Y%m"),
        "end_of_invoices": asked.end.strftime("%Y%m"),
        "as_of": asked.query.as_of,
        "currencies": asked.query.billing_currency,
        **{f"is_{name}": values for name, values in asked.query.filters().items()},
    }


def _named(item: dict[str, Any], asked: ResolvedQuery, start: date, counted_end: date) -> dict[str, Any]:
    """A row with its period under the name it has at this granularity."""
    period = item.pop("period")
    name = PERIOD_NAMES[asked.query.granularity]
    if name is None:
        return {"start": start.isoformat(), "end": counted_end.isoformat(), **item}
    if name == "usage_day":
        return {name: period, "estimated": date.fromisoformat(period) > asked.complete_through, **item}
    return {name: period, **item}


def _put_beside(now: list[dict[str, Any]], before: list[dict[str, Any]], asked: ResolvedQuery) -> None:
    """Give every row what the same members cost in the period before; a member that is gone gets a row of its own.

    A period without a row cost nothing: a day that is missing from either period is named in `meta`. Days that are
    still arriving have none to be compared with, and get null.
    """
    shift = asked.start - asked.previous[0]

    def key(item: dict[str, Any], moved: timedelta) -> str:
        day = date.fromisoformat(item["usage_day"]) + moved if "usage_day" in item else None
        return json.dumps([str(day), item["billing_currency"], *(item.get(name) for name in asked.groups)])

    def nothing(item: dict[str, Any]) -> str | None:
        compared = "usage_day" not in item or date.fromisoformat(item["usage_day"]) < asked.counted_end
        return "0" if compared else None

    earlier = {key(item, shift): item for item in before}
    for item in now:
        match = earlier.pop(key(item, timedelta(0)), None)
        for measure in asked.measures:
            _compare(item, measure, match[measure] if match else nothing(item))
    for gone in earlier.values():
        row = dict(gone)
        if "usage_day" in row:
            row["usage_day"] = (date.fromisoformat(row["usage_day"]) + shift).isoformat()
            row["estimated"] = False
        elif "start" in row:
            row |= {"start": asked.start.isoformat(), "end": asked.counted_end.isoformat()}
        row |= dict.fromkeys(asked.measures, "0")
        for measure in asked.measures:
            _compare(row, measure, gone[measure])
        now.append(row)


def _compare(item: dict[str, Any], measure: str, before: str | None) -> None:
    """Put beside a measure what it was before, and by how much it moved: as an amount, and in percent of before."""
    item[f"previous_{measure}"] = before
    item[f"change_{measure}"] = item[f"change_percent_{measure}"] = None
    if before is not None:
        change = Decimal(item[measure]) - Decimal(before)
        item[f"change_{measure}"] = format(change, "f")
        if Decimal(before):
            percent = change / abs(Decimal(before)) * 100
            item[f"change_percent_{measure}"] = format(percent.quantize(Decimal("0.01")), "f")


async def meta_of(connection: AsyncConnection, asked: ResolvedQuery, table: str) -> CostMeta:
    """How far an answer from this table can be trusted."""
    as_of = asked.query.as_of
    previous_start, previous_end = asked.previous if asked.query.compare else (asked.start, asked.start)
    parameters = {
        "table": table,
        "start": asked.read_days[0],
        "end": asked.read_days[1],
        "previous_start": previous_start,
        "previous_end": previous_end,
        "as_of": as_of,
        "accounts": asked.query.billing_account or None,
        "currencies": asked.query.billing_currency,
    }
    [(version, missing, behind)] = await rows(connection, META_AS_OF if as_of else META, parameters)
    [(restated, last_restated_at, changes)] = await rows(connection, RESTATED, parameters)
    counted_through = asked.counted_end - timedelta(days=1)
    return CostMeta(
        start=asked.start,
        end=asked.end,
        granularity=asked.query.granularity,
        group_by=asked.groups,
        measures=asked.measures,
        filters=asked.query.filters(),
        where=asked.query.condition(),
        time_basis=asked.query.time_basis,
        table=table,
        data_version=version,
        complete_through=asked.complete_through,
        counted_through=counted_through if counted_through >= asked.start else None,
        estimated=asked.read_days[1] - timedelta(days=1) > asked.complete_through,
        missing_days=missing,
        restated=bool(restated),
        restated_days=restated,
        last_restated_at=last_restated_at,
        restated_by=changes,
        as_of=as_of,
        behind_days=behind,
        previous_start=previous_start if asked.query.compare else None,
        previous_end=previous_end if asked.query.compare else None,
    )
