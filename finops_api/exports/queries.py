"""What is exported: the rows of a cost question, without the limit of one answer, and the charges of an invoice."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection, sql

from finops_api.catalogue.queries import refuse_unknown
from finops_api.costs.models import ResolvedQuery
from finops_api.costs.queries import meta_of, settled
from finops_api.costs.statements import PERIOD_NAMES, every_row, table_of
from finops_api.database import rows
from finops_api.errors import NoSuchMonth, NotExported
from finops_api.exports.formats import MONEY_DIGITS, Column, Kind
from finops_api.exports.models import CostExportQuery, FocusExportQuery
from finops_api.known import read
from finops_api.snapshots import OneSnapshot
from finops_warehouse.focus.view import VIEW
from finops_warehouse.semantic import MEASURES, dimension


@dataclass(frozen=True)
class Export:
    """Rows that are written to a file."""

    name: str
    """Of the file, without its ending."""

    select: sql.Composed
    parameters: dict[str, Any]
    columns: list[Column]
    headers: dict[str, str]
    """How far they can be trusted."""


COSTS = "select {period} {others} from ({select}) as answer"


async def costs_export(moment: AsyncConnection, query: CostExportQuery) -> Export:
    """Every row of the answer to a cost question. Raises its refusals, and `NotExported`."""
    if query.compare or query.top or query.limit:
        raise NotExported("An export holds every row as it is: leave out `compare`, `top` and `limit`.")
    table = table_of(query)
    known = await read(moment, table, query.billing_account, query.as_of)
    await refuse_unknown(moment, query.dimensions())
    snapshot = OneSnapshot(moment)
    asked = await settled(snapshot, query.resolved(known.complete_through))
    meta = await meta_of(snapshot, asked, known)
    select, parameters = every_row(asked, table)
    period = _period(asked)
    named = {column.name for column, _ in period}  # by invoice month and grouped by it: the two are one
    others = [column for column in _columns(asked) if column.name not in named]
    of_invoices = query.time_basis == "invoice_month"
    return Export(
        name=f"costs-{asked.start}-to-{asked.end - timedelta(days=1)}",
        select=sql.SQL(COSTS).format(
            period=sql.SQL(" ").join(
                sql.SQL("{} as {},").format(value, sql.Identifier(column.name)) for column, value in period
            ),
            others=sql.SQL(", ").join(sql.Identifier(column.name) for column in others),
            select=select,
        ),
        parameters={
            **parameters,
            "complete_through": asked.complete_through,
            "shown_start": asked.start,
            "shown_end": asked.end if of_invoices else asked.counted_end,
        },
        columns=[*(column for column, _ in period), *others],
        headers={
            "X-Data-Version": str(meta.data_version),
            "X-Complete-Through": meta.complete_through.isoformat(),
            "X-Missing-Days": str(len(meta.missing_days)),
        },
    )


def _period(asked: ResolvedQuery) -> list[tuple[Column, sql.SQL]]:
    """The columns that say of when a row is, as `/v1/costs` names them."""
    name = PERIOD_NAMES[asked.query.granularity]
    if name is None:
        return [
            (Column("start", Kind.day), sql.SQL("%(shown_start)s::date")),
            (Column("end", Kind.day), sql.SQL("%(shown_end)s::date")),
        ]
    if name == "usage_day":
        return [
            (Column(name, Kind.day), sql.SQL("period::date")),
            (Column("estimated", Kind.boolean), sql.SQL("period::date > %(complete_through)s::date")),
        ]
    return [(Column(name, Kind.text), sql.SQL("period"))]


def _columns(asked: ResolvedQuery) -> list[Column]:
    """The columns after the period, in the order of `/v1/costs`."""
    groups = [dimension(name) for name in asked.groups]
    names = [group.name for group in groups] + [f"{group.name}_name" for group in groups if group.name_column]
    counted = {name: Kind.count if MEASURES[name].unit == "charges" else Kind.number for name in asked.measures}
    return [
        *(Column(name, Kind.text) for name in [*names, "billing_currency"]),
        *(Column(name, kind) for name, kind in counted.items()),
    ]


VIEW_COLUMNS = """
    select attname, format_type(atttypid, null) from pg_attribute
    where attrelid = 'finops.focus_cost_and_usage'::regclass and attnum > 0 and not attisdropped order by attnum
"""
"""As the view has them now: which version of FOCUS it is in is a setting."""

ARRIVED = """
    select
        count(*), min(usage_day), max(usage_day), min(export_day), max(export_day),
        (select coalesce(sum(source_version), 0)::bigint from finops.usage_day_ledger),
        (select coalesce(string_agg(distinct invoice_month, ', ' order by invoice_month), '')
            from finops.usage_day_arrivals)
    from finops.usage_day_arrivals where invoice_month = %(month)s
"""

# The days are where the month's charges are: the first lets PostgreSQL use an index, the second leave out partitions.
FOCUS = """
    select {columns} from {view}
    where "x_InvoiceMonth" = %(month)s and "x_UsageDay" between %(first_usage_day)s and %(last_usage_day)s
    and "x_ExportDay" between %(first_export_day)s and %(last_export_day)s
"""

KINDS = {
    "numeric": Kind.number,
    "timestamp with time zone": Kind.moment,
    "date": Kind.day,
    "boolean": Kind.boolean,
    "jsonb": Kind.json,
}

DIGITS = {"Price": 18, "Quantity": 12}
"""By what a column's name ends in. Prices of a byte are small; quantities are small, or byte-seconds of petabytes."""


async def focus_export(moment: AsyncConnection, query: FocusExportQuery) -> Export:
    """The charges of an invoice month in the columns of FOCUS. Raises `NoSuchMonth` when nothing is known of it."""
    [(arrived, first, last, first_export, last_export, version, months)] = await rows(
        moment, ARRIVED, {"month": query.month}
    )
    if not arrived:
        raise NoSuchMonth(f"No charge is on an invoice of {query.month}. There are: {months or 'none yet'}.")
    columns = [_focus_column(name, type_) for name, type_ in await rows(moment, VIEW_COLUMNS)]
    return Export(
        name=f"focus-{query.month[:4]}-{query.month[4:]}",
        select=sql.SQL(FOCUS).format(columns=sql.SQL(", ").join(map(_focus_value, columns)), view=VIEW),
        parameters={
            "month": query.month,
            "first_usage_day": first,
            "last_usage_day": last,
            "first_export_day": first_export,
            "last_export_day": last_export,
        },
        columns=columns,
        headers={"X-Data-Version": str(version)},
    )


def _focus_column(name: str, type_: str) -> Column:
    digits = next((digits for ending, digits in DIGITS.items() if name.endswith(ending)), MONEY_DIGITS)
    return Column(name, KINDS.get(type_, Kind.text), digits)


def _focus_value(column: Column) -> sql.Composed:
    name = sql.Identifier(column.name)
    return sql.SQL("trim_scale({0}) as {0}" if column.kind is Kind.number else "{0}").format(name)
