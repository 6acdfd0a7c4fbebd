"""What a backfill of a window means: its export days, the usage days they reach, the invoices those are on."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from finops_pipeline.assets.sql_assets import daily_inputs, monthly_tables
from finops_pipeline.orchestration import (
    RAW_ASSET,
    Backfill,
    DaemonKeeper,
    Stage,
    dagster_instance,
)
from finops_pipeline.sources.base import BillingSource
from finops_pipeline.spending import LedgerPurse, estimated_usd
from finops_pipeline.warehouse import source_from
from finops_warehouse import budgets, ledger
from finops_warehouse.assignment import follow
from finops_warehouse.database import connect
from finops_warehouse.errors import BadDateRange, BadRequest, BudgetReached, NoDataInRange
from finops_warehouse.freshness import complete_through
from finops_warehouse.settings import Settings

Show = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Outcome:
    """A backfill that is done."""

    backfill_ids: tuple[str, ...]
    seconds: float


def run_backfill(
    settings: Settings, first: date, last: date, select: list[str], show: Show, *, daemon_grace_seconds: float = 0
) -> Outcome:
    """Backfill `first` to `last`, both included, and whatever else that puts behind. Blocks until all is built.

    A daemon is started for as long as it takes when none is at work, nor has come up within the grace given.
    The rules of DIMENSIONS_FILE are applied first. Raises a `BadRequest` when there is nothing to build, `BadRules`
    when those are wrong, and `FinopsError` with the runs' own words when something
    failed.
    """
    began = time.monotonic()
    assets = _known(select)
    _refuse_window_without_data(settings, first, last, RAW_ASSET in assets)
    with connect(settings, autocommit=True) as connection:
        follow(connection, settings)
    with dagster_instance(settings) as instance:
        backfill = Backfill(settings, instance)
        with backfill.alone():
            ids: list[str] = []
            with DaemonKeeper(settings, instance, daemon_grace_seconds) as daemon:
                for plans in STAGES:
                    # What does not wait for each other is launched at once: each look of the daemon is 30 s.
                    stages = [stage for plan in plans if (stage := plan(settings, first, last, assets)) is not None]
                    launched = [(stage, backfill.launch(stage)) for stage in stages]
                    ids += [backfill_id for _, backfill_id in launched]
                    for stage, backfill_id in launched:
                        for progress in backfill.follow(stage, backfill_id):
                            # After the launch: a daemon looks for backfills as it starts, and then every 30 s.
                            daemon.ensure()
                            show(stage.title, progress.done, progress.total)
                if daemon.is_ours:  # somebody else's goes on after us and closes them by itself
                    for closed in backfill.closing(ids):
                        daemon.ensure()
                        show("backfills closed in Dagster", closed, len(ids))
    return Outcome(tuple(ids), time.monotonic() - began)


def due_window(settings: Settings) -> tuple[date, date] | None:
    """The export days a backfill has to begin with so that afterwards nothing is due; None when nothing is.

    From the first to the last day that is not loaded as the source holds it; when only tables are behind, the
    last day that is loaded.
    """
    held = _source(settings).partitions()
    with connect(settings, autocommit=True) as connection:
        changed = ledger.changed_export_days(connection, held, settings.billing_timezone, settings.extract_grain)
        behind = [
            *ledger.behind(connection, daily_inputs(), monthly_tables()),
            *ledger.behind_insights(connection, complete_through(connection)),
            *ledger.behind_month_texts(connection),
            *budgets.behind_months(connection, complete_through(connection)),
        ]
    if changed:
        return changed[0], changed[-1]
    return (max(held), max(held)) if behind else None


@dataclass(frozen=True)
class Estimate:
    """What reading the export days of a window would take."""

    export_days: int
    bytes: int
    usd: Decimal


def estimated(settings: Settings, first: date, last: date, select: list[str]) -> Estimate | None:
    """What a backfill of this window will be billed for reading the export; None when it reads nothing that is billed.

    Raises `BudgetReached` when that alone is more than may be spent in a day, before anything has begun.
    """
    if RAW_ASSET not in _known(select):
        return None
    source = _source(settings)
    held = source.partitions()
    days = [day for day in _window(first, last) if day in held]
    spend = source.estimate(days)
    if spend.kind == "file":
        return None
    usd = estimated_usd(settings, spend.kind, spend.estimated_bytes)
    if usd > settings.bigquery_max_usd_per_day:
        raise BudgetReached(
            f"Reading {len(days)} export days would cost about {usd:f} USD ({spend.estimated_bytes:,} bytes), and "
            f"BIGQUERY_MAX_USD_PER_DAY is {settings.bigquery_max_usd_per_day:f}. Raise it, or backfill fewer days."
        )
    return Estimate(len(days), spend.estimated_bytes, usd)


def _source(settings: Settings) -> BillingSource:
    return source_from(settings, LedgerPurse.of_one_pass(settings, "finops backfill"))


def _known(select: list[str]) -> set[str]:
    known = {RAW_ASSET, *daily_inputs(), *monthly_tables(), *ledger.INSIGHTS, ledger.MONTH_TEXTS, budgets.ASSET}
    unknown = sorted(set(select) - known)
    if unknown:
        raise BadRequest(f"There is no asset {', '.join(unknown)}. There are: {', '.join(sorted(known))}.")
    return set(select) or known


def _refuse_window_without_data(settings: Settings, first: date, last: date, loads: bool) -> None:
    if first < settings.first_day:
        raise BadDateRange(
            f"{first} is before the first partition, {settings.first_day}. Set BILLING_START_DAY={first} or earlier."
        )
    if not loads:
        return
    source = _source(settings)
    held = sorted(source.partitions())
    if not any(first <= day <= last for day in held):
        holds = f"it holds {held[0]} to {held[-1]}" if held else "it holds no export day at all"
        raise NoDataInRange(f"{source.url} has no export day between {first} and {last}; {holds}.")


def _export_days(settings: Settings, first: date, last: date, assets: set[str]) -> Stage | None:
    if RAW_ASSET not in assets:
        return None
    held = _source(settings).partitions()
    with connect(settings, autocommit=True) as connection:
        vanished = ledger.vanished_export_days(connection, held)
    days = [day for day in _window(first, last) if day in held or day in vanished]
    return _stage("export days", [RAW_ASSET], [day.isoformat() for day in days])


def _usage_days(settings: Settings, first: date, last: date, assets: set[str]) -> Stage | None:
    """The window, and every other usage day that is behind: late charges reach back beyond any window."""
    tables = sorted(assets & {*daily_inputs()})
    if not tables:
        return None
    with connect(settings, autocommit=True) as connection:
        rows = connection.execute(
            "select usage_day::text from finops.usage_day_ledger where usage_day between %s and %s", [first, last]
        ).fetchall()
        behind = ledger.behind(connection, daily_inputs(), []) if assets >= {*daily_inputs()} else []
    return _stage("usage days", tables, sorted({key for (key,) in rows} | {item.partition_key for item in behind}))


def _invoice_months(settings: Settings, first: date, last: date, assets: set[str]) -> Stage | None:
    tables = sorted(assets & {*monthly_tables()})
    if not tables:
        return None
    with connect(settings, autocommit=True) as connection:
        rows = connection.execute(
            "select invoice_month from finops.invoice_month_ledger where invoice_month between %s and %s",
            [f"{first:%Y%m}", f"{last:%Y%m}"],
        ).fetchall()
        behind = ledger.behind(connection, {}, monthly_tables())
    return _stage("invoice months", tables, sorted({key for (key,) in rows} | {item.partition_key for item in behind}))


def _insight_days(settings: Settings, first: date, last: date, assets: set[str]) -> Stage | None:
    """The complete days of the window, and every other one whose insights are behind."""
    tables = [asset for asset in ledger.INSIGHTS if asset in assets]
    if not tables:
        return None
    with connect(settings, autocommit=True) as connection:
        complete = complete_through(connection)
        rows = connection.execute(
            "select usage_day::text from finops.usage_day_ledger where usage_day between %s and least(%s, %s::date)",
            [first, last, complete],
        ).fetchall()
        behind = ledger.behind_insights(connection, complete) if assets >= {*ledger.INSIGHTS} else []
    keys = {key for (key,) in rows} if complete else set()
    return _stage("insights", tables, sorted(keys | {item.partition_key for item in behind}))


def _month_texts(settings: Settings, first: date, last: date, assets: set[str]) -> Stage | None:
    """The texts of the window's invoice months, and every other one that is behind."""
    if ledger.MONTH_TEXTS not in assets:
        return None
    with connect(settings, autocommit=True) as connection:
        rows = connection.execute(
            "select partition_key from finops.materialisation where asset = 'invoice_months' "
            "and partition_key between %s and %s",
            [f"{first:%Y%m}", f"{last:%Y%m}"],
        ).fetchall()
        behind = ledger.behind_month_texts(connection)
    return _stage("month texts", [ledger.MONTH_TEXTS], sorted({key for (key,) in rows} | set(behind)))


def _budget_months(settings: Settings, first: date, last: date, assets: set[str]) -> Stage | None:
    """The months of the window, where there is a budget, and every other one whose budgets are behind."""
    if budgets.ASSET not in assets:
        return None
    with connect(settings, autocommit=True) as connection:
        rows = connection.execute(
            "select distinct to_char(usage_day, 'YYYYMM') from finops.usage_day_ledger "
            "where usage_day between %s and %s and exists (select from finops.budgets)",
            [first, last],
        ).fetchall()
        behind = budgets.behind_months(connection, complete_through(connection))
    return _stage("budgets", [budgets.ASSET], sorted({key for (key,) in rows} | {f"{month:%Y%m}" for month in behind}))


STAGES: tuple[tuple[Callable[[Settings, date, date, set[str]], Stage | None], ...], ...] = (
    (_export_days,),
    (_usage_days,),
    (_invoice_months, _insight_days),
    (_month_texts, _budget_months),
)
"""What a backfill builds, in the order it builds on each other."""


def _stage(title: str, assets: list[str], keys: list[str]) -> Stage | None:
    return Stage(title, tuple(assets), tuple(keys)) if keys else None


def _window(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
