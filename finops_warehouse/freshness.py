"""Up to which usage day the numbers are complete, now and as it stood at a moment in the past.

An account's usage day counts as complete once so many later export days are loaded as its own past says are needed:
`account_completeness` holds what was learned. Google delivers details "typically within a day" and sometimes later,
and promises nothing.
"""

from collections.abc import Sequence
from datetime import date, datetime

import psycopg

COMPLETE_AFTER_DAYS = 2
"""What is assumed of an account until enough of its days are old enough to learn from."""


BEHIND = """
    select ledger.usage_day
    from finops.usage_day_ledger as ledger
    left join finops.materialisation as built
        on built.asset = 'aggregated_cost_data' and built.partition_key = ledger.usage_day::text
    where ledger.source_version > coalesce(built.source_version, 0)
"""
"""The usage days whose charges moved after their facts were built."""

BEHIND_AS_OF = """
    select changes.usage_day
    from finops.usage_day_changes as changes
    where changes.noted_at <= %(as_of)s
    group by changes.usage_day
    having max(changes.source_version) > coalesce((
        select max(built.source_version) from finops.materialisation_log as built
        where built.asset = 'aggregated_cost_data' and built.partition_key = changes.usage_day::text
        and built.materialised_at <= %(as_of)s
    ), 0)
"""
"""The same as it stood at a moment."""

_LEARNED = f"""
    select coalesce(max(after_days), {COMPLETE_AFTER_DAYS}) as days
    from (
        select distinct on (billing_account_id) after_days from finops.account_completeness
        where (%(accounts)s::text[] is null or billing_account_id = any(%(accounts)s))
        and (%(as_of)s::timestamptz is null or learned_at <= %(as_of)s)
        order by billing_account_id, as_of_day desc
    ) as newest
"""  # noqa: S608 -- the number is the constant above

_NEVER_BUILT = """
    select min(ledger.usage_day) as day
    from finops.usage_day_ledger as ledger
    where not exists (
        select from finops.materialisation as built
        where built.asset = 'aggregated_cost_data' and built.partition_key = ledger.usage_day::text
    )
"""

COMPLETE_THROUGH = f"""
    with learned as ({_LEARNED}),
    arrived as (
        select max(export_day) - (select days from learned) as day
        from finops.export_day_ledger where row_count > 0
    ),
    never_built as ({_NEVER_BUILT})
    select least(arrived.day, never_built.day - 1, (select max(usage_day) from finops.usage_day_ledger))
    from arrived cross join never_built
    where (select min(usage_day) from finops.usage_day_ledger) <= least(arrived.day, never_built.day - 1)
"""  # noqa: S608 -- made of constants of ours

COMPLETE_THROUGH_AS_OF = f"""
    with learned as ({_LEARNED}),
    arrived as (
        select max(partition_key)::date - (select days from learned) as day
        from finops.materialisation_log
        where asset = 'raw_charges' and row_count > 0 and materialised_at <= %(as_of)s
    ),
    known as (
        select usage_day, exists (
            select from finops.materialisation_log as built
            where built.asset = 'aggregated_cost_data' and built.partition_key = usage_day::text
            and built.materialised_at <= %(as_of)s
        ) as is_built
        from finops.usage_day_changes where noted_at <= %(as_of)s group by usage_day
    ),
    span as (
        select min(usage_day) as first, max(usage_day) as last,
            min(usage_day) filter (where not is_built) as never_built
        from known
    )
    select least(arrived.day, span.never_built - 1, span.last)
    from arrived cross join span
    where span.first <= least(arrived.day, span.never_built - 1)
"""  # noqa: S608 -- made of constants of ours

COMPLETE_AFTER = f"select days from ({_LEARNED}) as learned"  # noqa: S608 -- made of constants of ours
"""After how many export days a usage day of these accounts counts as complete."""

ACCOUNTS = f"""
    with newest as (
        select distinct on (billing_account_id) * from finops.account_completeness
        order by billing_account_id, as_of_day desc
    )
    select billing_account_id, after_days, days_learned_from, known_share,
        least(
            (select max(export_day) from finops.export_day_ledger where row_count > 0) - after_days,
            (select day from ({_NEVER_BUILT}) as never_built) - 1,
            (select max(usage_day) from finops.usage_day_ledger)
        ) as complete_through
    from newest order by 1
"""  # noqa: S608 -- made of constants of ours
"""What was learned of each account, and through which usage day it is complete."""


def freshness_parameters(accounts: Sequence[str] = (), as_of: datetime | None = None) -> dict[str, object]:
    """What `COMPLETE_THROUGH` and its twin as of a moment are asked with; no accounts means all of them."""
    return {"accounts": list(accounts) or None, "as_of": as_of}


def complete_through(connection: psycopg.Connection) -> date | None:
    """The last usage day whose charges have had time to arrive, with every day before it built.

    None when there is no such day. A day that was built and is being restated keeps its last good numbers and
    ends nothing: one late correction must not take six weeks out of everybody's totals for half a minute.
    """
    row = connection.execute(COMPLETE_THROUGH, freshness_parameters()).fetchone()
    return row[0] if row else None


def complete_after_days(connection: psycopg.Connection) -> int:
    """After how many export days a usage day counts as complete for every account."""
    [(days,)] = connection.execute(COMPLETE_AFTER, freshness_parameters()).fetchall()
    return int(days)
