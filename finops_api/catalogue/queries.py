"""What is known of the tables as a whole."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from typing import Any

from psycopg import sql

from finops_api.database import Readable, ScopedPool, rows
from finops_api.errors import ApiError, NothingLoaded, NothingServedThen, UnknownDimension
from finops_warehouse.assignment import APPLIED
from finops_warehouse.dimensions import Rules
from finops_warehouse.freshness import BEHIND, COMPLETE_THROUGH, COMPLETE_THROUGH_AS_OF, freshness_parameters
from finops_warehouse.invoices import STATE
from finops_warehouse.members import member_column
from finops_warehouse.semantic import DIMENSIONS, UNATTRIBUTED, dimension, table_for

MAX_VALUES = 500


async def last_complete_day(connections: Readable, accounts: Sequence[str] = (), as_of: datetime | None = None) -> date:
    """The last usage day that is, or at a moment was, complete for these accounts, or for all.

    Raises `NothingLoaded`, or `NothingServedThen`, before there is one.
    """
    statement = COMPLETE_THROUGH_AS_OF if as_of else COMPLETE_THROUGH
    found = await rows(connections, statement, freshness_parameters(accounts, as_of))
    if not found or found[0][0] is None:
        raise nothing_complete(as_of)
    day: date = found[0][0]
    return day


def nothing_complete(as_of: datetime | None) -> ApiError:
    """Why nothing can be answered before a day is, or at a moment was, complete."""
    if as_of is not None:
        return NothingServedThen(f"At {as_of.isoformat()} no usage day was complete yet. Ask as of a later moment.")
    return NothingLoaded("No usage day has been built yet. `finops status` shows how far the pipeline is.")


async def applied_rules(connections: Readable) -> tuple[int | None, Rules]:
    """The rules in force with their version; none before any were applied."""
    found = await rows(connections, APPLIED)
    return (found[0][0], Rules.model_validate(found[0][1])) if found else (None, Rules())


async def refuse_unknown(connections: Readable, names: Iterable[str]) -> None:
    """Raises `UnknownDimension`, listing what there is, unless every one of the dimensions is there."""
    not_built_in = [name for name in names if name not in DIMENSIONS]
    if not not_built_in:
        return
    _, rules = await applied_rules(connections)
    refuse_others(not_built_in, rules.semantic())


def refuse_others(names: Iterable[str], custom: Collection[str]) -> None:
    """Raises `UnknownDimension`, listing what there is, unless every one of the names is of a custom dimension."""
    unknown = sorted(name for name in names if name not in custom)
    if unknown:
        raise UnknownDimension(
            f"There is no dimension {', '.join(unknown)}. There are: {', '.join([*DIMENSIONS, *custom])}."
        )


async def members(connections: ScopedPool, name: str, search: str, limit: int) -> list[dict[str, Any]]:
    """The members of a dimension whose id or name holds `search`, in the order of their names."""
    of = dimension(name)
    # Who sees some projects only is told the members their rows have.
    needed = {name} if connections.scope.projects is None else {name, "project"}
    statement = sql.SQL(
        """
        select json_build_object('id', coalesce({id}, {unattributed}), 'name', max({shown}))
        from {table} where %(search)s = '' or strpos(lower({id}), lower(%(search)s)) > 0
            or strpos(lower({shown}), lower(%(search)s)) > 0
        group by {id} order by max({shown}) nulls last, {id} limit %(limit)s
        """
    ).format(
        id=member_column(of),
        shown=sql.Identifier(of.name_column) if of.name_column else member_column(of),
        unattributed=sql.Literal(UNATTRIBUTED),
        table=sql.Identifier("finops", table_for(needed)),
    )
    return [member for (member,) in await rows(connections, statement, {"search": search, "limit": limit})]


OVERVIEW = f"""
    select
        (select min(usage_day) from finops.usage_day_ledger),
        (select max(usage_day) from finops.usage_day_ledger),
        (select max(export_day) from finops.export_day_ledger),
        (select max(loaded_at) from finops.export_day_ledger),
        (select coalesce(max(version), 0) from finops.materialisation),
        array(select distinct billing_currency from finops.invoice_months order by 1),
        (select count(*) from ({BEHIND}) as behind),
        (select count(*) from finops.build_attempts where parked_at is not null),
        coalesce((select engine from finops.llm_insights order by created_at desc limit 1), 'rules'),
        (select coalesce(json_agg(m order by m.invoice_month, m.billing_account_id), '[]') from (
            select invoice_month, billing_account_id, billing_currency,
                {STATE} as state,
                trim_scale(billed_cost)::text as billed_cost, trim_scale(invoice_total)::text as invoice_total,
                trim_scale(residual)::text as residual
            from finops.invoice_months
        ) as m)
"""  # noqa: S608 -- made of constants of ours
