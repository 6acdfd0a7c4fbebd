"""Recommendations as of a day: a month of spend by project, SKU and region, read from the facts."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal

import psycopg

from finops_insights.facts import Fact, FromCell, money
from finops_insights.facts import day as written_day
from finops_insights.savings import WINDOW_DAYS, Bill, Recommendation, Spend, recommend, shipped_rules
from finops_pipeline.insight_days import Row
from finops_warehouse import ledger
from finops_warehouse.cells import Cell, cell_value
from finops_warehouse.freshness import complete_through

ASSET = "savings_recommendations"
MIN_DAYS = 30

SPENDS = """
    with daily as (
        select billing_account_id, billing_currency, sub_account_id, service_id, sku_id, region_id, usage_day,
            max(sub_account_name) as sub_account_name, max(service_name) as service_name,
            max(sku_description) as sku_description, sum(billed_cost) as billed_cost,
            sum(cost + credit_committed_usage_discount + credit_committed_usage_discount_dollar_base)
                as uncovered, -- on demand, less what a commitment covers
            sum(repeated_cost) as repeated_cost, sum(pricing_quantity) as pricing_quantity
        from finops.aggregated_cost_data
        where usage_day > %(day)s - 60 and usage_day <= %(day)s and charge_category = 'Usage'
        group by billing_account_id, billing_currency, sub_account_id, service_id, sku_id, region_id, usage_day
    )
    select billing_account_id, billing_currency, sub_account_id, max(sub_account_name), service_id, max(service_name),
        sku_id, max(sku_description), region_id,
        sum(billed_cost) filter (where usage_day > %(day)s - 30),
        coalesce(sum(billed_cost) filter (where usage_day <= %(day)s - 30), 0),
        coalesce(sum(repeated_cost) filter (where usage_day > %(day)s - 30), 0),
        -- A day without a charge is a day at nothing: fewer than 28 days and the tenth percentile is 0.
        case when count(*) filter (where usage_day > %(day)s - 30) >= 28 then greatest(0,
            percentile_disc(0.1) within group (order by uncovered) filter (where usage_day > %(day)s - 30)
        ) else 0 end,
        count(*) filter (where usage_day > %(day)s - 30),
        count(*) filter (where usage_day > %(day)s - 15),
        coalesce(avg(billed_cost) filter (where usage_day > %(day)s - 28 and extract(isodow from usage_day) < 6), 0),
        coalesce(avg(billed_cost) filter (where usage_day > %(day)s - 28 and extract(isodow from usage_day) > 5), 0),
        coalesce(sum(pricing_quantity) filter (where usage_day > %(day)s - 30), 0)
    from daily
    group by billing_account_id, billing_currency, sub_account_id, service_id, sku_id, region_id
    having count(*) filter (where usage_day > %(day)s - 30) > 0
    order by billing_account_id, billing_currency, sub_account_id, service_id, sku_id, region_id
"""

ENVIRONMENTS = """
    select distinct on (sub_account_id) sub_account_id, label ->> 'value'
    from finops.raw_charges cross join jsonb_array_elements(project_labels) as label
    where usage_day = %(day)s and lower(label ->> 'key') in ('env', 'environment')
    order by sub_account_id, export_time desc
"""


def rows_of(connection: psycopg.Connection, day: date) -> tuple[list[Row], int]:
    """The recommendations as of a day, and the version of what they were made from; none before a month of days."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        complete = complete_through(connection)
        versions = ledger.insight_versions(connection, ASSET, complete) if complete else {}
        if day not in versions:
            return [], 0
        first = min(versions)
        if (day - first).days + 1 < MIN_DAYS:
            return [], versions[day]
        spends = [Spend(*row) for row in connection.execute(SPENDS, {"day": day}).fetchall()]
        environment: Mapping[str | None, str] = dict(connection.execute(ENVIRONMENTS, {"day": day}).fetchall())
        found = recommend(Bill(spends, environment), shipped_rules())
        seen = _first_seen(connection, [r.recommendation_id for r in found], day)
        rows = [_row(connection, r, day, seen.get(r.recommendation_id, day)) for r in found]
    return rows, versions[day]


def _first_seen(connection: psycopg.Connection, ids: list[str], day: date) -> dict[str, date]:
    rows = connection.execute(
        "select recommendation_id, min(as_of_day) from finops.savings_recommendations "
        "where recommendation_id = any(%s) and as_of_day < %s group by 1",
        [ids, day],
    ).fetchall()
    return dict(rows)


def _row(connection: psycopg.Connection, found: Recommendation, day: date, first_seen: date) -> Row:
    scope = found.scope
    window = day - timedelta(days=WINDOW_DAYS - 1), day + timedelta(days=1)
    return {
        "as_of_day": day,
        "recommendation_id": found.recommendation_id,
        "rule_id": found.rule_id,
        "rule_version": found.rule_version,
        "title": found.title,
        "billing_account_id": scope.billing_account_id,
        "billing_currency": scope.billing_currency,
        "sub_account_id": scope.sub_account_id,
        "sub_account_name": scope.sub_account_name,
        "service_id": scope.service_id,
        "service_name": scope.service_name,
        "sku_id": scope.sku_id,
        "sku_description": scope.sku_description,
        "region_id": scope.region_id,
        "window_start": window[0],
        "window_end": window[1],
        "evidence": [fact.model_dump(mode="json") for fact in _evidence(connection, found, *window)],
        "monthly_saving_low": found.monthly_saving_low,
        "monthly_saving_mid": found.monthly_saving_mid,
        "monthly_saving_high": found.monthly_saving_high,
        "confidence": found.confidence,
        "assumption": found.assumption,
        "exclusive_group": found.exclusive_group,
        "counted": found.counted,
        "first_seen": first_seen,
        "status": "open",
    }


def _evidence(connection: psycopg.Connection, found: Recommendation, start: date, end: date) -> list[Fact]:
    """What was billed for it in the window, and before where the rule is about growth."""
    filters: dict[str, list[str]] = {"billing_account": [found.scope.billing_account_id], "sku": list(found.skus)}
    if found.scope.sub_account_id is not None:
        filters["project"] = [found.scope.sub_account_id]
    if found.scope.region_id is not None:
        filters["region"] = [found.scope.region_id]
    filters["charge_category"] = ["Usage"]
    windows = {"f_cost": (start, end)}
    if found.shows_growth:
        windows["f_cost_before"] = (start - timedelta(days=WINDOW_DAYS), start)
    facts = []
    for fact_id, (first, last) in windows.items():
        cell = Cell(start=first, end=last, billing_currency=found.scope.billing_currency, filters=filters)
        value = _value(connection, cell)
        label = f"billed from {written_day(first)} to {written_day(cell.last_day)}"
        facts.append(
            Fact(
                id=fact_id,
                label=label,
                value=value,
                unit="currency",
                currency=cell.billing_currency,
                formatted=money(value, cell.billing_currency),
                source=FromCell(cell=cell),
            )
        )
    return facts


def _value(connection: psycopg.Connection, cell: Cell) -> Decimal:
    statement, parameters = cell_value(cell)
    [(value,)] = connection.execute(statement, parameters).fetchall()
    return Decimal(value)
