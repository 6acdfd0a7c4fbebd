"""Anomalies of a usage day: what the detector flags, with the amounts as the warehouse holds them and a cause."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import psycopg

from finops_insights.detect import Detection, Event, detect, events
from finops_insights.drill import Leaf, drill
from finops_pipeline.cost_series import USED, CostSeries, SeriesKey, read_cost_series, walk_start, watched
from finops_pipeline.insight_days import Row
from finops_warehouse import ledger
from finops_warehouse.freshness import complete_through
from finops_warehouse.semantic import UNATTRIBUTED

ASSET = "cost_anomalies"
CENT = Decimal("0.01")
WEEKS_COMPARED = 4
EXPLAINS_ACCOUNT = 0.2
"""A service in a project explains its account's anomaly when it is at least so much of it."""
SEVERE = (("high", 0.10), ("medium", 0.03))
"""By what the event has cost beyond expectation so far, as a part of what the account costs in a day."""
SLICES = {"billing_account": ("project", "service", "sku"), "project_service": ("sku", "region")}
COLUMNS = {"project": "sub_account_id", "service": "service_id", "sku": "sku_id", "region": "region_id"}
NAMES = {"project": "sub_account_name", "service": "service_name", "sku": "sku_description", "region": "region_id"}


@dataclass(frozen=True)
class Watch:
    """One walk of the detector: everything that is known of the days of a month."""

    versions: Mapping[date, int]
    series: CostSeries
    keys: Sequence[SeriesKey]
    found: Detection
    events: Sequence[Event]
    account_costs: Sequence[float]
    """For each series, what its account costs on a usual day."""


class Watcher:
    """Anomalies day by day; days of one month share a walk."""

    def __init__(self, connection: psycopg.Connection, quiet_days: frozenset[date]) -> None:
        self._connection = connection
        self._quiet_days = quiet_days
        self._watches: dict[date, Watch | None] = {}

    def rows_of(self, day: date) -> tuple[list[Row], int]:
        """The rows of a day and the version of what they were made from; no rows while the day is not complete."""
        month = day.replace(day=1)
        if month not in self._watches:
            self._watches[month] = self._watch(month)
        watch = self._watches[month]
        if watch is None or day not in watch.versions:
            return [], 0
        t = watch.series.index(day)
        flagged = [(number, event) for number, event in enumerate(watch.events) if t in event.days]
        rows = [self._row(watch, event, t) for _, event in flagged]
        return _explained_by_others(rows), watch.versions[day]

    def _watch(self, month: date) -> Watch | None:
        # The versions and the costs are of one moment: a change after it leaves the day behind, and is seen next time.
        with self._connection.transaction():
            self._connection.execute("set transaction isolation level repeatable read")
            complete = complete_through(self._connection)
            if complete is None or complete < month:
                return None
            versions = ledger.insight_versions(self._connection, ASSET, complete)
            in_sight = month + timedelta(days=31 + 14)
            series = read_cost_series(self._connection, walk_start(month), min(complete, in_sight))
        if series is None:
            return None
        history, keys = watched(series, complete)
        found = detect(history, self._quiet_days)
        usual = np.median(history.net[history.account], axis=1)
        return Watch(versions, series, keys, found, events(found, history.net), usual.tolist())

    def _row(self, watch: Watch, event: Event, t: int) -> Row:
        day, key = watch.series.days[t], watch.keys[event.series]
        scope = "project_service" if event.series < len(watch.series.keys) else "billing_account"
        so_far = [i for i in event.days if i <= t]
        days = [watch.series.days[i] for i in so_far]
        actual = self._billed(key, scope, days)
        expected = {d: _expected(watch, event.series, i) for d, i in zip(days, so_far, strict=True)}
        excess = {d: actual[d] - expected[d] for d in days}
        total = sum(excess.values(), Decimal(0))
        start = watch.series.days[event.start]
        return {
            "usage_day": day,
            "anomaly_id": anomaly_id(key, scope, start),
            "scope": scope,
            "billing_account_id": key.billing_account_id,
            "billing_currency": key.billing_currency,
            "sub_account_id": key.sub_account_id,
            "sub_account_name": watch.series.sub_account_names.get(key.sub_account_id) if key.sub_account_id else None,
            "service_id": key.service_id,
            "service_name": watch.series.service_names.get(key.service_id) if key.service_id else None,
            "start_day": start,
            "direction": "up" if event.direction > 0 else "down",
            "severity": _severity(float(abs(total)), watch.account_costs[event.series]),
            "actual_cost": actual[day],
            "expected_cost": expected[day],
            "excess_cost": excess[day],
            "event_excess_cost": total,
            "score": Decimal(str(round(float(watch.found.score[event.series, t]), 1))),
            "causes": self._causes(key, scope, day),
            "explained_by": [],
        }

    def _billed(self, key: SeriesKey, scope: str, days: Sequence[date]) -> dict[date, Decimal]:
        rows = self._connection.execute(
            """
            select usage_day, sum(billed_cost) from finops.cost_by_project_service_daily
            where usage_day = any(%(days)s) and charge_category = any(%(used)s)
            and billing_account_id = %(account)s and billing_currency = %(currency)s
            and (%(all)s or (sub_account_id is not distinct from %(project)s
                and service_id is not distinct from %(service)s))
            group by usage_day
            """,
            {
                "days": list(days), "used": list(USED), "account": key.billing_account_id,
                "currency": key.billing_currency, "all": scope == "billing_account",
                "project": key.sub_account_id, "service": key.service_id,
            },
        ).fetchall()  # fmt: skip
        return {day: Decimal(0) for day in days} | dict(rows)

    def _causes(self, key: SeriesKey, scope: str, day: date) -> list[dict[str, str]]:
        """The slice that explains the day, compared with the same weekday of the four weeks before."""
        dimensions = SLICES[scope]
        earlier = [day - timedelta(days=7 * week) for week in range(1, WEEKS_COMPARED + 1)]
        columns = ", ".join(f"coalesce({COLUMNS[name]}, '{UNATTRIBUTED}')" for name in dimensions)
        names = ", ".join(f"max({NAMES[name]})" for name in dimensions)
        rows = self._connection.execute(
            f"""
            select usage_day, {columns}, {names}, sum(billed_cost)::float8 from finops.aggregated_cost_data
            where usage_day = any(%(days)s) and charge_category = any(%(used)s)
            and billing_account_id = %(account)s and billing_currency = %(currency)s
            and (%(all)s or (sub_account_id is not distinct from %(project)s
                and service_id is not distinct from %(service)s))
            group by usage_day, {columns}
            """,  # noqa: S608 -- made of the constants above
            {
                "days": [day, *earlier], "used": list(USED), "account": key.billing_account_id,
                "currency": key.billing_currency, "all": scope == "billing_account",
                "project": key.sub_account_id, "service": key.service_id,
            },
        ).fetchall()  # fmt: skip
        width = len(dimensions)
        actual: dict[Leaf, float] = {}
        before: dict[Leaf, list[float]] = {}
        called: dict[tuple[str, str], str] = {}
        for usage_day, *rest in rows:
            leaf, leaf_names, cost = tuple(rest[:width]), rest[width : 2 * width], rest[-1]
            if usage_day == day:
                actual[leaf] = cost
            else:
                before.setdefault(leaf, []).append(cost)
            for name, member, label in zip(dimensions, leaf, leaf_names, strict=True):
                called[name, member] = label or member
        expected = {
            leaf: float(np.median([*costs, *[0.0] * (WEEKS_COMPARED - len(costs))])) for leaf, costs in before.items()
        }
        return [
            {
                "dimension": cause.dimension,
                "member": cause.member,
                "name": called[cause.dimension, cause.member],
                "share_percent": f"{100 * cause.share:.1f}",
            }
            for cause in drill(dimensions, expected, actual)
        ]


def anomaly_id(key: SeriesKey, scope: str, start: date) -> str:
    """The name of an event, the same on every one of its days and in every rebuild."""
    text = "|".join([scope, *(part or UNATTRIBUTED for part in key), start.isoformat()])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _expected(watch: Watch, series: int, t: int) -> Decimal:
    """What was to be expected of the billed cost: the detector's number and what rules of their own explain."""
    explained = (
        float(watch.series.explained[series, t]) if series < len(watch.series.keys) else _of_account(watch, series, t)
    )
    return Decimal(str(float(watch.found.expected[series, t]) + explained)).quantize(CENT)


def _of_account(watch: Watch, series: int, t: int) -> float:
    account = watch.keys[series][:2]
    return float(sum(watch.series.explained[i, t] for i, key in enumerate(watch.series.keys) if key[:2] == account))


def _severity(excess: float, account_cost: float) -> str:
    share = excess / account_cost if account_cost > 0 else 1.0
    return next((name for name, least in SEVERE if share >= least), "low")


def _explained_by_others(rows: Sequence[Row]) -> list[Row]:
    """An account's anomaly names the services in projects that it is made of."""

    def parts(row: Row) -> list[str]:
        return sorted(
            other["anomaly_id"]
            for other in rows
            if other["scope"] == "project_service"
            and (other["billing_account_id"], other["billing_currency"], other["direction"])
            == (row["billing_account_id"], row["billing_currency"], row["direction"])
            and abs(other["excess_cost"]) >= Decimal(str(EXPLAINS_ACCOUNT)) * abs(row["excess_cost"])
        )

    named: list[dict[str, Any]] = [dict(row) for row in rows]
    for row in named:
        if row["scope"] == "billing_account":
            row["explained_by"] = parts(row)
    return [*named]
