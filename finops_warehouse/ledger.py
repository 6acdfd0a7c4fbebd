"""What is due. Postgres counts how often the charges of a day have moved and how far each table has followed.

A table's partition is behind while it was built from a lower `source_version` than the ledger holds. Both
numbers change only in the transactions that move the rows, so a lost request, a killed run or a restatement
that arrives during a rebuild costs a little time and never a wrong number.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zlib import crc32

import psycopg
from psycopg import errors

from finops_warehouse.errors import SecondExport

MAX_ATTEMPTS = 5
"""After so many failures in a row a partition is parked: shown, and left alone until somebody rebuilds it."""

FIRST_BACKOFF_SECONDS = 60  # then 2, 4, 8 minutes: a database restart is over by then, a bad row is not


@dataclass(frozen=True)
class Due:
    """A partition that is behind its source."""

    asset: str
    partition_key: str


@dataclass(frozen=True)
class FailedBuild:
    """A partition whose last build failed."""

    asset: str
    partition_key: str
    attempts: int
    parked: bool
    last_error: str


def behind(connection: psycopg.Connection, daily: Mapping[str, str | None], monthly: Sequence[str]) -> list[Due]:
    """Every partition of these tables that is behind and may be tried now, oldest first.

    `daily` maps each table to the table it is built from, None for the one built from the charges themselves:
    a rollup is not behind while its facts are, or a parked fact would have it rebuilt for ever. Parked
    partitions and those waiting for their next attempt are left out; `failed_builds` has them.
    """
    rows = connection.execute(
        """
        with source as (
            select null as asset, usage_day::text as partition_key, source_version from finops.usage_day_ledger
            union all
            select asset, partition_key, source_version from finops.materialisation
        ),
        due as (
            select tables.asset, source.partition_key, source.source_version
            from unnest(%(daily)s::text[], %(inputs)s::text[]) as tables (asset, input)
            join source on source.asset is not distinct from tables.input
            union all
            select asset, invoice_month, source_version
            from finops.invoice_month_ledger cross join unnest(%(monthly)s::text[]) as asset
        )
        select due.asset, due.partition_key
        from due
        left join finops.materialisation as built using (asset, partition_key)
        left join finops.build_attempts as tried using (asset, partition_key)
        where due.source_version > coalesce(built.source_version, 0)
        and tried.parked_at is null
        and coalesce(tried.next_attempt_at <= now(), true)
        order by due.partition_key, due.asset
        """,
        {"daily": list(daily), "inputs": list(daily.values()), "monthly": list(monthly)},
    ).fetchall()
    return [Due(asset, key) for asset, key in rows]


@dataclass(frozen=True)
class Reach:
    """Which days of a table another one looks at: from `back` days before its own day to `ahead` days after it."""

    asset: str
    back: int = 0
    ahead: int = 0


@dataclass(frozen=True)
class Insight:
    """What a table of insights by day is made from."""

    reaches: tuple[Reach, ...]
    is_record: bool = False
    """Whether an old day is a record of what was thought then: built once, and anew only while it is the last day."""


_COSTS = "cost_by_project_service_daily"

INSIGHTS = {
    "cost_maturity": Insight((Reach("aggregated_cost_data"),), is_record=True),
    # A walk begins on the first of a month, five months before; a fall is judged again until late rows are in.
    "cost_anomalies": Insight((Reach(_COSTS, back=185, ahead=14),)),
    "cost_forecasts": Insight((Reach(_COSTS, back=185),), is_record=True),
    "forecast_accuracy": Insight((Reach("cost_forecasts"), Reach(_COSTS, ahead=31))),
    "savings_recommendations": Insight((Reach("aggregated_cost_data", back=90),), is_record=True),
    "focus_conformance": Insight((Reach("aggregated_cost_data"),)),
    "llm_insights": Insight(
        (
            Reach("cost_anomalies", back=62),
            Reach("cost_forecasts"),
            Reach("savings_recommendations"),
            Reach(_COSTS, back=62),
        )
    ),
}
"""Tables by usage day or as-of day that are thought of costs and not added up from them, in the order they build on
each other. Only complete days are thought about."""


def insight_versions(connection: psycopg.Connection, asset: str, complete_through: date) -> dict[date, int]:
    """For each complete day, how far what the insight looks at has come; days with nothing to look at are left out."""
    newest: dict[date, int] = {}
    for reach in INSIGHTS[asset].reaches:
        rows = connection.execute(
            """
            select usage_day, max(version) over (
                order by usage_day range between
                    make_interval(days => %(back)s) preceding and make_interval(days => %(ahead)s) following
            )
            from finops.usage_day_ledger
            left join finops.materialisation on asset = %(asset)s and partition_key = usage_day::text
            where usage_day <= %(complete)s
            """,
            {"asset": reach.asset, "back": reach.back, "ahead": reach.ahead, "complete": complete_through},
        ).fetchall()
        for day, version in rows:
            if version is not None:
                newest[day] = max(newest.get(day, 0), version)
    return newest


def behind_insights(connection: psycopg.Connection, complete_through: date | None) -> list[Due]:
    """Every day of an insight that is behind what it is made from and may be tried now, oldest first."""
    if complete_through is None:
        return []
    rows = connection.execute(
        "select asset, partition_key, source_version from finops.materialisation where asset = any(%s)",
        [list(INSIGHTS)],
    ).fetchall()
    built = {(asset, key): source_version for asset, key, source_version in rows}
    waiting = {
        (asset, key)
        for asset, key in connection.execute(
            "select asset, partition_key from finops.build_attempts "
            "where parked_at is not null or next_attempt_at > now()"
        ).fetchall()
    }
    due = []
    for asset, insight in INSIGHTS.items():
        for day, version in insight_versions(connection, asset, complete_through).items():
            key = day.isoformat()
            is_settled = insight.is_record and day < complete_through and (asset, key) in built
            if version > built.get((asset, key), 0) and not is_settled and (asset, key) not in waiting:
                due.append(Due(asset, key))
    return sorted(due, key=lambda item: item.partition_key)


MONTH_TEXTS = "llm_insights_monthly"
"""The texts about invoice months: each looks at its month and at the one before."""


def behind_month_texts(connection: psycopg.Connection) -> list[str]:
    """The invoice months (YYYYMM) whose text is behind what was added up, and may be tried now, oldest first."""
    rows = connection.execute(
        """
        with added_up as (
            select partition_key, version from finops.materialisation where asset = 'invoice_months'
        ),
        months as (
            select month.partition_key, greatest(month.version, month_before.version) as version
            from added_up as month
            left join added_up as month_before on month_before.partition_key
                = to_char(to_date(month.partition_key, 'YYYYMM') - interval '1 month', 'YYYYMM')
        )
        select months.partition_key
        from months
        left join finops.materialisation as built
            on built.asset = %(asset)s and built.partition_key = months.partition_key
        left join finops.build_attempts as tried
            on tried.asset = %(asset)s and tried.partition_key = months.partition_key
        where months.version > coalesce(built.source_version, 0)
        and tried.parked_at is null
        and coalesce(tried.next_attempt_at <= now(), true)
        order by 1
        """,
        {"asset": MONTH_TEXTS},
    ).fetchall()
    return [month for (month,) in rows]


def changed_export_days(
    connection: psycopg.Connection, held: Mapping[date, str], billing_timezone: str, grain: str
) -> list[date]:
    """The export days of the source whose content is not what is loaded, oldest first.

    A day whose usage days were cut in another time zone is among them: every charge near midnight is on another day.
    So is one that was copied at another grain. Days that are parked or waiting for their next attempt are left out.
    """
    loaded: dict[date, str] = dict(
        connection.execute(
            "select export_day, fingerprint from finops.export_day_ledger "
            "where coalesce(billing_timezone, %(timezone)s) = %(timezone)s and grain = %(grain)s",
            {"timezone": billing_timezone, "grain": grain},
        ).fetchall()
    )
    waiting = {
        date.fromisoformat(key)
        for (key,) in connection.execute(
            "select partition_key from finops.build_attempts where asset = 'raw_charges' "
            "and (parked_at is not null or next_attempt_at > now())"
        ).fetchall()
    }
    return sorted(day for day, mark in held.items() if loaded.get(day) != mark and day not in waiting)


def vanished_export_days(connection: psycopg.Connection, held: Iterable[date]) -> list[date]:
    """Export days that are loaded, that the source no longer holds and that nobody decided to keep, oldest first."""
    rows = connection.execute(
        "select export_day from finops.export_day_ledger "
        "where row_count > 0 and kept_at is null and not export_day = any(%s) order by 1",
        [list(held)],
    ).fetchall()
    return [day for (day,) in rows]


def keep_export_days(connection: psycopg.Connection, days: Iterable[date], because: str) -> list[date]:
    """Decide that the charges of these export days stay, whatever the source holds. Returns those that are loaded.

    Loading a day again ends the decision.
    """
    rows = connection.execute(
        "update finops.export_day_ledger set kept_because = %s, kept_at = now() "
        "where row_count > 0 and export_day = any(%s) returning export_day",
        [because, list(days)],
    ).fetchall()
    return sorted(day for (day,) in rows)


def remove_export_day(connection: psycopg.Connection, export_day: date, run_id: str) -> list[date]:
    """Take an export day's charges out, in one transaction. Returns the usage days that are behind from then on.

    Every total that moves is recorded as restated by a re-export.
    """
    with connection.transaction():
        lock_partition(connection, "raw_charges", export_day.toordinal())
        connection.execute("delete from finops.raw_charges where export_day = %s", [export_day])
        rows = connection.execute(
            "with gone as (delete from finops.usage_day_arrivals where export_day = %s returning usage_day) "
            "select distinct usage_day from gone order by 1",
            [export_day],
        ).fetchall()
        forgotten = connection.execute(
            "delete from finops.export_day_ledger where export_day = %s returning load_count", [export_day]
        ).fetchone()
        if forgotten is None:
            return []
        touched = [day for (day,) in rows]
        touch_usage_days(connection, dict.fromkeys(touched, "re-export"), export_day)
        materialised(connection, "raw_charges", export_day.isoformat(), forgotten[0] + 1, 0, run_id)
    return touched


def missing_export_days(connection: psycopg.Connection, held: Iterable[date]) -> list[tuple[date, date]]:
    """The gaps, first and last day of each, between the days that the source holds or that are loaded.

    Google writes rows every day, so in a gap the export was switched off, and it is not caught up on by itself.
    """
    rows = connection.execute(
        """
        with days as (
            select export_day from finops.export_day_ledger where row_count > 0
            union select export_day from unnest(%s::date[]) as export_day
        ),
        neighbours as (select export_day, lead(export_day) over (order by export_day) as next_day from days)
        select export_day + 1, next_day - 1 from neighbours where next_day > export_day + 1 order by 1
        """,
        [list(held)],
    ).fetchall()
    return [(first, last) for first, last in rows]


def keep_what_expired(
    connection: psycopg.Connection, held: Iterable[date], source_url: str, keeps_days_for: timedelta | None
) -> list[date]:
    """Keep the loaded days that the source let expire by its own rule. Returns those newly found to be gone."""
    if keeps_days_for is None:
        return []
    rows = connection.execute(
        "update finops.export_day_ledger set kept_because = %(because)s, kept_at = now() "
        "where row_count > 0 and kept_at is null and source_url = %(url)s and not export_day = any(%(held)s) "
        "and export_day < (now() at time zone 'UTC' - %(keeps)s)::date returning export_day",
        {
            "because": f"expired: the table keeps its days for {keeps_days_for.days}",
            "url": source_url,
            "held": list(held),
            "keeps": keeps_days_for,
        },
    ).fetchall()
    return sorted(day for (day,) in rows)


def refuse_second_export(
    connection: psycopg.Connection, held: Iterable[date], source_url: str, table_created_at: datetime | None
) -> None:
    """Raises `SecondExport` when days of another export are loaded that this one would not replace.

    The standard and the detailed export tell the same charges, on export days of their own: a table that was switched
    on later, or made anew, brings the weeks before it on its first days. Beside the days of the other one, all of that
    counts twice. Days that somebody decided to keep are not among them.
    """
    rows = connection.execute(
        "select source_url, min(export_day), max(export_day), count(*) from finops.export_day_ledger "
        "where row_count > 0 and kept_at is null and not export_day = any(%(held)s) "
        "and (source_url <> %(url)s or table_created_at <> %(created)s::timestamptz) group by 1 order by 1",
        {"url": source_url, "held": list(held), "created": table_created_at},
    ).fetchall()
    for url, first, last, count in rows:
        found = (
            f"{source_url} was made anew at {table_created_at}, and {count} export days of the table before it are "
            f"loaded ({first} to {last}) that it does not hold. Google writes the charges of the weeks before again "
            "into a new table, so they would count twice."
            if url == source_url
            else f"BILLING_EXPORT_URL is {source_url}, and {count} export days of {url} are loaded ({first} to "
            f"{last}) that it does not hold. Two exports of an account tell the same charges, so costs would count "
            "twice. Set BILLING_EXPORT_URL back, or decide."
        )
        raise SecondExport(
            f"{found} Nothing was loaded. `finops export-days remove --from {first} --to {last}` takes the old days "
            "out; `finops export-days keep` keeps those whose charges the new table does not tell. "
            "docs/runbooks/export-day-vanished.md says how to find out."
        )


def failed_builds(connection: psycopg.Connection) -> list[FailedBuild]:
    """Every partition whose last build failed, parked ones first."""
    rows = connection.execute(
        "select asset, partition_key, attempts, parked_at is not null, last_error from finops.build_attempts "
        "order by parked_at is null, partition_key, asset"
    ).fetchall()
    return [FailedBuild(*row) for row in rows]


def note_failure(connection: psycopg.Connection, asset: str, partition_key: str, error: BaseException) -> None:
    """Remember that a build failed: wait longer before each next attempt, and park it after the fifth.

    Commits by itself. A database that is down does not count against the partition.
    """
    if isinstance(error, errors.OperationalError) and not isinstance(error, errors.QueryCanceled):
        return
    with connection.transaction():
        connection.execute(
            """
            insert into finops.build_attempts as tried (asset, partition_key, attempts, next_attempt_at, last_error)
            values (%(asset)s, %(key)s, 1, now() + %(wait)s * interval '1 second', %(error)s)
            on conflict (asset, partition_key) do update set
                attempts = tried.attempts + 1,
                next_attempt_at = now() + %(wait)s * interval '1 second' * power(2, tried.attempts),
                parked_at = case when tried.attempts + 1 >= %(most)s then coalesce(tried.parked_at, now()) end,
                last_error = excluded.last_error
            """,
            {
                "asset": asset,
                "key": partition_key,
                "wait": FIRST_BACKOFF_SECONDS,
                "most": MAX_ATTEMPTS,
                "error": f"{type(error).__name__}: {error}"[:2000],
            },
        )


def lock_partition(connection: psycopg.Connection, table: str, partition: int) -> None:
    """Keep every other builder of this partition out until the transaction ends. Readers never wait for it."""
    # crc32 and not hashtext: it is the same on every PostgreSQL, and two releases may share a database for a while.
    connection.execute("select pg_advisory_xact_lock(%s::int, %s)", [crc32(table.encode()) - 2**31, partition])


SERVING = crc32(b"finops.serving")
"""The lock a build holds, shared, from the moment it notes to its commit."""

SETTLED = f"select pg_advisory_lock({SERVING}), pg_advisory_unlock({SERVING})"
"""Waits, for milliseconds, until every build that has noted its moment is to be seen: whoever then begins to read gets
of a moment in the past what everybody after them will get."""


def next_version(connection: psycopg.Connection) -> int:
    """The version a partition will have that is being built: higher than any there is."""
    [(version,)] = connection.execute("select nextval('finops.materialisation_version')").fetchall()
    return int(version)


def materialised(
    connection: psycopg.Connection,
    asset: str,
    partition_key: str,
    source_version: int,
    row_count: int,
    run_id: str,
    version: int | None = None,
) -> int:
    """Stamp a partition as built, in the transaction that built it. Returns its version: the one given, or the next.

    Clears its failures. That it changed, the tables' triggers tell at commit. The last thing a build does:
    the moment it notes is the one from which the build counts as served, and readers see it from its commit on.
    """
    connection.execute("select pg_advisory_xact_lock_shared(%s)", [SERVING])
    [(stamped,)] = connection.execute(
        """
        insert into finops.materialisation as built
            (asset, partition_key, version, source_version, row_count, run_id, materialised_at)
        values (%s, %s, coalesce(%s, nextval('finops.materialisation_version')), %s, %s, %s, clock_timestamp())
        on conflict (asset, partition_key) do update set
            version = excluded.version, source_version = excluded.source_version, row_count = excluded.row_count,
            run_id = excluded.run_id, materialised_at = excluded.materialised_at
        returning version
        """,
        [asset, partition_key, version, source_version, row_count, run_id],
    ).fetchall()
    connection.execute(
        "insert into finops.materialisation_log "
        "select version, asset, partition_key, source_version, row_count, run_id, materialised_at "
        "from finops.materialisation where asset = %s and partition_key = %s",
        [asset, partition_key],
    )
    connection.execute(
        "delete from finops.build_attempts where asset = %s and partition_key = %s", [asset, partition_key]
    )
    return int(stamped)


def confirmed(connection: psycopg.Connection, asset: str, partition_key: str, source_version: int) -> None:
    """Say that a partition was looked at again and is as it was: it has caught up, and what builds on it has not to."""
    connection.execute(
        "update finops.materialisation set source_version = %s where asset = %s and partition_key = %s",
        [source_version, asset, partition_key],
    )
    connection.execute(
        "delete from finops.build_attempts where asset = %s and partition_key = %s", [asset, partition_key]
    )


def touch_usage_days(connection: psycopg.Connection, causes: Mapping[date, str], export_day: date | None) -> None:
    """Put these usage days, each for its cause, ahead of the tables built from them; None is a change of rules.

    The last thing a load or a change of rules does, and in the order of days: those that run side by side wait for
    each other here, and only for as long as a commit takes.
    """
    connection.execute(
        """
        with touched as (
            insert into finops.usage_day_ledger as ledger (usage_day, source_version, touched_at)
            select usage_day, 1, now() from unnest(%(days)s::date[]) as usage_day order by usage_day
            on conflict (usage_day) do update set
                source_version = ledger.source_version + 1, touched_at = excluded.touched_at
            returning usage_day, source_version
        )
        insert into finops.usage_day_changes (usage_day, source_version, export_day, cause)
        select usage_day, touched.source_version, %(export_day)s, cause
        from touched
        join unnest(%(days)s::date[], %(causes)s::text[]) as why (usage_day, cause) using (usage_day)
        """,
        {"days": list(causes), "causes": list(causes.values()), "export_day": export_day},
    )


TOUCH_INVOICE_MONTHS = """
    insert into finops.invoice_month_ledger as ledger (invoice_month, source_version, touched_at)
    select invoice_month, 1, now() from unnest(%(months)s::text[]) as invoice_month
    order by invoice_month -- always the same order, or two rebuilds could wait for each other for ever
    on conflict (invoice_month) do update set
        source_version = ledger.source_version + 1, touched_at = excluded.touched_at
"""


def touch_invoice_months(connection: psycopg.Connection, months: Iterable[str]) -> None:
    """Say that the facts of these invoice months moved, in the transaction that moves them."""
    connection.execute(TOUCH_INVOICE_MONTHS, {"months": sorted(set(months))})
