"""Up to which usage day the numbers are complete."""

from datetime import date

import psycopg

COMPLETE_AFTER_DAYS = 2
"""A usage day counts as complete once the export day two days after it is loaded: Google delivers details
"typically within a day" and sometimes later, and promises nothing."""


BEHIND = """
    select ledger.usage_day
    from finops.usage_day_ledger as ledger
    left join finops.materialisation as built
        on built.asset = 'aggregated_cost_data' and built.partition_key = ledger.usage_day::text
    where ledger.source_version > coalesce(built.source_version, 0)
"""
"""The usage days whose charges moved after their facts were built."""

COMPLETE_THROUGH = f"""
    with arrived as (
        select max(export_day) - {COMPLETE_AFTER_DAYS} as day from finops.export_day_ledger where row_count > 0
    ),
    never_built as (
        select min(ledger.usage_day) as day
        from finops.usage_day_ledger as ledger
        where not exists (
            select from finops.materialisation as built
            where built.asset = 'aggregated_cost_data' and built.partition_key = ledger.usage_day::text
        )
    )
    select least(arrived.day, never_built.day - 1, (select max(usage_day) from finops.usage_day_ledger))
    from arrived cross join never_built
    where (select min(usage_day) from finops.usage_day_ledger) <= least(arrived.day, never_built.day - 1)
"""  # noqa: S608 -- the number is the constant above


def complete_through(connection: psycopg.Connection) -> date | None:
    """The last usage day whose charges have had time to arrive, with every day before it built.

    None when there is no such day. A day that was built and is being restated keeps its last good numbers and
    ends nothing: one late correction must not take six weeks out of everybody's totals for half a minute.
    """
    row = connection.execute(COMPLETE_THROUGH).fetchone()
    return row[0] if row else None
