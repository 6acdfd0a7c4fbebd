"""The answer to a cost question, always of one snapshot: rows, totals and their version are of one moment."""

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from weakref import WeakKeyDictionary

from psycopg import sql

from finops_api.costs import cursors, statements
from finops_api.costs.models import MAX_ROWS, CostMeta, ResolvedQuery, RestatedBy
from finops_api.costs.statements import Shape, shape_of, table_of, values_of
from finops_api.errors import TooManyRows
from finops_api.known import Known
from finops_api.snapshots import SNAPSHOT, Bound, OneSnapshot, Statement, Value

Kept = list[tuple[str, str]]
"""Currency and id of the members that an answer shows one by one."""

# Which usage days the charges of invoices are of: those that arrived, or that were ever served.
INVOICED_DAYS = Statement.of(
    sql.SQL(f"""
    select {SNAPSHOT}, min(usage_day), max(usage_day) from finops.usage_day_arrivals
    where invoice_month >= %(first_invoice)s and invoice_month < %(end_of_invoices)s
""")  # noqa: S608 -- made of constants of ours
)
INVOICED_DAYS_AS_OF = Statement.of(
    sql.SQL(f"""
    select {SNAPSHOT}, min(usage_day), max(usage_day) from (
        select usage_day, invoice_month from finops.aggregated_cost_data
        union all
        select usage_day, invoice_month from finops.superseded_cost_data
    ) as served
    where invoice_month >= %(first_invoice)s and invoice_month < %(end_of_invoices)s
""")  # noqa: S608 -- made of constants of ours
)

# Versions rise in the order they are given out, and not always in that of their commits: the newest one alone may
# stay what it was.
VERSIONS = Statement.of(
    sql.SQL(f"select {SNAPSHOT}, coalesce(sum(version), 0) from finops.materialisation where asset = %(table)s")  # noqa: S608 -- ours
)


async def costs(snapshot: OneSnapshot, asked: ResolvedQuery, known: Known) -> str:
    """The answer to a cost question, a `CostPage` as JSON.

    Raises `TooManyRows` rather than cut an answer short unseen.
    """
    asked = await settled(snapshot, asked)
    query = asked.query
    if not query.top and not query.limit and not query.compare:
        found = await _read(snapshot, asked, _all_of(asked))
        return _page(found.items, found.totals, _meta_of_all(asked, known, found.moves))
    shape = shape_of(asked, table_of(query))
    kept = await kept_members(snapshot, asked, shape)
    if query.limit:
        state = await _state_of(snapshot, asked, shape.table)
        offset = cursors.position(query, state)
        found = await _read(snapshot, asked, _some_of(asked, shape, kept, asked.read_days, offset))
        items, next_cursor = found.items, None
        if found.count > query.limit:
            items = _written(_read_again(items)[:-1])
            next_cursor = cursors.cursor(query, state, offset + query.limit)
        return _page(items, found.totals, _meta(asked, known, found.moves, next_cursor).model_dump_json())
    found = await _read(snapshot, asked, _some_of(asked, shape, kept, asked.read_days))
    items, totals = found.items, found.totals
    if query.compare:
        first, last = asked.previous
        # The members shown are those of the window itself, or a row would be compared with another selection.
        before = await _read(snapshot, asked, _some_of(asked, shape, kept, (first, last, last)))
        items = _beside(items, before.items, asked)
        totals = _beside(totals, before.totals, asked)
    return _page(items, totals, _meta(asked, known, found.moves, None).model_dump_json())


def _page(items: str, totals: str, meta: str) -> str:
    return f'{{"items":[{items}],"totals":[{totals}],"meta":{meta}}}'


def _read_again(objects: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(f"[{objects}]")
    return found


def _written(objects: list[dict[str, Any]]) -> str:
    return json.dumps(objects, ensure_ascii=False, separators=(",", ":"))[1:-1]


async def settled(snapshot: OneSnapshot, asked: ResolvedQuery) -> ResolvedQuery:
    """The question with the days that are to be read; of invoices, the usage days that their charges are of."""
    if asked.query.time_basis != "invoice_month":
        return asked
    statement = INVOICED_DAYS_AS_OF if asked.query.as_of else INVOICED_DAYS
    [(first, last)] = await snapshot.rows(statement.given(values_of(asked)))
    return asked if first is None else asked.over_usage_days(first, last + timedelta(days=1))


async def _state_of(snapshot: OneSnapshot, asked: ResolvedQuery, table: str) -> str:
    """What the rows of a table are at this moment: another one after every build of any of its days."""
    [(versions,)] = await snapshot.rows(VERSIONS.given({"table": table}))
    return f"{table} {versions} {asked.complete_through}"


async def kept_members(snapshot: OneSnapshot, asked: ResolvedQuery, shape: Shape) -> Kept | None:
    """The members an answer shows one by one, with their currency; None when it shows all."""
    if asked.query.top is None:
        return None
    start, _, counted_end = asked.read_days
    values: dict[str, Value] = {**values_of(asked), "start": start, "counted_end": counted_end, "top": asked.query.top}
    return [(currency, member) for currency, member in await snapshot.rows(statements.top(shape).given(values))]


Moves = list[dict[str, Any]] | None
"""The days that moved, by how much in each currency, and when the last of them did, in a row each; None of nothing."""


@dataclass(frozen=True)
class Found:
    """What the tables say of some days."""

    count: int
    """Of rows."""
    items: str
    """Rows as JSON, with commas between them."""
    totals: str
    moves: Moves


def _some_of(
    asked: ResolvedQuery, shape: Shape, kept: Kept | None, days: tuple[date, date, date], offset: int = 0
) -> Bound:
    """What gives rows and totals of the days from the first to before the second; totals count those to the third."""
    start, end, counted_end = days
    is_by_invoice = asked.query.time_basis == "invoice_month"
    values: dict[str, Value] = {
        **values_of(asked),
        "start": start,
        "end": end,
        "counted_end": counted_end,
        "complete_through": asked.complete_through,
        "shown_start": asked.start if is_by_invoice else start,
        "shown_end": asked.end if is_by_invoice else counted_end,
        "kept_currencies": [currency for currency, _ in kept or []],
        "kept_members": [member for _, member in kept or []],
        "limit": (asked.query.limit or MAX_ROWS) + 1,
        "offset": offset,
    }
    return statements.answer(shape, shows_top=kept is not None).given(values)


_bound: WeakKeyDictionary[ResolvedQuery, Bound] = WeakKeyDictionary()


def _all_of(asked: ResolvedQuery) -> Bound:
    """What gives every row of a question, and totals; worked out once for as long as somebody holds the question."""
    bound = _bound.get(asked)
    if bound is None:
        shape = shape_of(asked, table_of(asked.query))
        bound = _bound[asked] = _some_of(asked, shape, None, asked.read_days)
    return bound


async def _read(snapshot: OneSnapshot, asked: ResolvedQuery, bound: Bound) -> Found:
    [(count, items, totals, moves)] = await snapshot.rows(bound)
    if count > MAX_ROWS and not asked.query.limit:
        raise TooManyRows(
            f"The answer has more than {MAX_ROWS} rows. Page through it with limit, take a shorter window, or group by "
            "less."
        )
    return Found(count, items, totals, moves)


def _beside(objects: str, objects_before: str, asked: ResolvedQuery) -> str:
    """Give every row what the same members cost in the period before; a member that is gone gets a row of its own.

    A period without a row cost nothing: a day that is missing from either period is named in `meta`. Days that are
    still arriving have none to be compared with, and get null.
    """
    now, before = _read_again(objects), _read_again(objects_before)
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
    return _written(now)


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


async def meta_of(snapshot: OneSnapshot, asked: ResolvedQuery, known: Known) -> CostMeta:
    """How far an answer can be trusted, when nothing else of it is read."""
    start, end, _ = asked.read_days
    [(moves,)] = await snapshot.rows(statements.RESTATED.given({**values_of(asked), "start": start, "end": end}))
    return _meta(asked, known, moves, None)


_written_last: WeakKeyDictionary[ResolvedQuery, tuple[Known, str]] = WeakKeyDictionary()
"""What was said of each question while nothing of it had moved, and what was known of its table then."""


def _meta_of_all(asked: ResolvedQuery, known: Known, moves: Moves) -> str:
    if moves is not None:
        return _meta(asked, known, moves, None).model_dump_json()
    of_then, text = _written_last.get(asked, (None, ""))
    if of_then is not known:
        text = _meta(asked, known, None, None).model_dump_json()
        _written_last[asked] = (known, text)
    return text


def _meta(asked: ResolvedQuery, known: Known, moves: Moves, next_cursor: str | None) -> CostMeta:
    query = asked.query
    start, end, _ = asked.read_days
    previous_start, previous_end = asked.previous if query.compare else (None, None)
    compared = [asked.previous] if query.compare else []
    counted_through = asked.counted_end - timedelta(days=1)
    restated_days, restated_by, last_restated_at = _told(moves)
    return CostMeta(
        start=asked.start,
        end=asked.end,
        granularity=query.granularity,
        group_by=asked.groups,
        measures=asked.measures,
        filters=asked.filters,
        where=query.condition(),
        time_basis=query.time_basis,
        table=known.table,
        data_version=known.version,
        complete_through=asked.complete_through,
        counted_through=counted_through if counted_through >= asked.start else None,
        estimated=end - timedelta(days=1) > asked.complete_through,
        missing_days=known.missing_days((start, end), *compared),
        restated=bool(restated_days),
        restated_days=restated_days,
        last_restated_at=last_restated_at,
        restated_by=restated_by,
        as_of=query.as_of,
        behind_days=known.behind_days(start, end),
        previous_start=previous_start,
        previous_end=previous_end,
        next_cursor=next_cursor,
    )


def _told(moves: Moves) -> tuple[list[date], list[RestatedBy], datetime | None]:
    """The days that moved, by how much each currency did, and when the last of them did."""
    days, by_currency, last = [], [], None
    for move in moves or []:
        if (day := move["usage_day"]) is not None:
            days.append(date.fromisoformat(day))
        elif (currency := move["billing_currency"]) is not None:
            by_currency.append(RestatedBy(billing_currency=currency, billed_cost_change=move["billed_cost_change"]))
        else:
            last = datetime.fromisoformat(move["last_restated_at"])
    return sorted(days), sorted(by_currency, key=lambda each: each.billing_currency), last
