"""The SQL from a number to its charges, always of one snapshot: the number and its rows are of one moment."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from psycopg import AsyncConnection, sql
from pydantic import TypeAdapter

from finops_api.catalogue.queries import last_complete_day, refuse_unknown
from finops_api.costs.queries import kept_members
from finops_api.costs.statements import shape_of
from finops_api.database import rows
from finops_api.errors import UnknownFigure
from finops_api.evidence.models import CellInfo, ChargeInfo, ColumnStep, Evidence, EvidenceQuery, FormulaPart
from finops_api.questions import refuse_what_does_not_add_up
from finops_api.snapshots import OneSnapshot
from finops_insights.facts import MINUS, Derived, Fact, FromCell, Stored, money, recomputed
from finops_insights.recall import Asked, as_recall, recall_statement, sources_of
from finops_warehouse import lineage
from finops_warehouse.cells import Cell, cell_charges, raw_measure
from finops_warehouse.partitions import next_month
from finops_warehouse.semantic import MEASURES, OTHER, UNATTRIBUTED, table_for
from finops_warehouse.sql_models import sql_model

CHARGES_FILE = sql_model("staging", "charges").path
"""Part of every model that reads the charges, and of the statement that opens a cell."""

FACTS = TypeAdapter(dict[str, Fact])
OPERATORS = {
    "difference": MINUS, "sum": "+", "ratio_percent": "÷", "change_percent": "against", "mean_per_day": "÷",
}  # fmt: skip

CHARGE = """
    json_build_object(
        'row', to_char(export_day, 'YYYYMMDD') || '-' || encode(row_hash, 'hex') || '-' || occurrence,
        'export_day', export_day, 'usage_day', usage_day, 'invoice_month', invoice_month,
        'project', sub_account_id, 'project_name', sub_account_name, 'service_name', service_name,
        'sku_description', sku_description, 'region', region_id, 'cost_type', cost_type,
        'resource_name', resource_name, 'custom', custom, 'assigned_by', assigned_by,
        'charge_count', charge_count, 'consumed_quantity', consumed_quantity::text, 'consumed_unit', consumed_unit,
        'cost', trim_scale(cost)::text, 'billed_cost', trim_scale(billed_cost)::text,
        'value', trim_scale(value)::text
    )
"""
# Two scans that touch few columns, and neither keeps the rows: of half a million of them a page is fetched whole.
PAGE = """
    with found as not materialized ({charges}),
    page as (
        select * from found order by abs(value) desc, export_day, row_hash, occurrence limit {limit} offset {offset}
    ),
    whole as (
        select raw.*, coalesce(raw.region, raw.location) as region_id, page.value,
            finops.members_of(assignment) as custom, finops.rules_of(assignment) as assigned_by
        from page join finops.raw_charges as raw on raw.tableoid = page.stored_in and raw.ctid = page.stored_at
        cross join lateral finops.assign_dimensions(
            labels, project_labels, tags, project_ancestors, sub_account_id, sub_account_name
        ) as assignment
    ),
    total as (
        select count(*) as rows, coalesce(sum(charge_count), 0)::bigint as charges,
            coalesce(sum(value), 0)::numeric as value
        from found
    )
    select
        (
            select coalesce(json_agg({charge} order by abs(value) desc, export_day, row_hash, occurrence), '[]')
            from whole
        ),
        total.rows, total.charges, total.value
    from total
"""


async def evidence(connection: AsyncConnection, asked: EvidenceQuery) -> Evidence:
    """The answer. Raises `UnknownFigure` when there is no such insight, anomaly, recommendation or figure."""
    facts, wanted = await _figure(connection, asked)
    now = recomputed(facts, await recall(connection, list(facts.values())))
    fact = facts[wanted]
    cell = _cell_of(facts, fact)
    charges, count, counted, total = await _page(connection, cell, asked) if cell else ([], 0, 0, Decimal(0))
    cell_value = (await _value(connection, cell)) if cell else None
    steps = _columns(cell)
    holds = now[wanted] == fact.value and (cell is None or total == cell_value)
    return Evidence(
        label=fact.label,
        formula=_formula(facts, fact, now),
        value=_plain(now[wanted]),
        served_value=_plain(fact.value),
        unit=fact.unit,
        currency=fact.currency,
        formatted=money(fact.value, fact.currency, cents=True)
        if fact.value is not None and fact.currency
        else fact.formatted,
        matches=holds,
        recomputed_at=datetime.now(UTC),
        cell=CellInfo(**cell.model_dump()) if cell else None,
        cell_value=_plain(cell_value),
        rows=[ChargeInfo.model_validate(charge) for charge in charges],
        row_count=count,
        charge_count=counted,
        rows_sum=f"{total:f}",
        offset=asked.offset,
        limit=asked.limit,
        path=_path(cell),
        columns=steps,
        sql_files=list(dict.fromkeys([step.sql_file for step in reversed(steps)] + [CHARGES_FILE] * bool(cell))),
    )


async def charges_of(connection: AsyncConnection, asked: EvidenceQuery) -> AsyncIterator[list[ChargeInfo]]:
    """Every charge behind the number, a page at a time. Raises as `evidence` does."""
    facts, wanted = await _figure(connection, asked)
    cell = _cell_of(facts, facts[wanted])
    page = asked.model_copy(update={"limit": 2000, "offset": 0})
    while cell is not None:
        charges, count, _, _ = await _page(connection, cell, page)
        yield [ChargeInfo.model_validate(charge) for charge in charges]
        page = page.model_copy(update={"offset": page.offset + page.limit})
        if page.offset >= count:
            return


async def recall(connection: AsyncConnection, facts: list[Fact]) -> Any:  # noqa: ANN401 -- facts.Recall
    """What the facts' sources say now."""
    sources: list[Asked] = sources_of(facts)
    found = await rows(connection, recall_statement(sources)) if sources else []
    return as_recall(sources, found)


async def _figure(connection: AsyncConnection, asked: EvidenceQuery) -> tuple[Mapping[str, Fact], str]:
    """The facts a number belongs to, and which of them it is."""
    if asked.insight_id is not None:
        found = await rows(
            connection,
            "select facts from finops.llm_insights where insight_id = %(id)s order by period_start desc limit 1",
            {"id": asked.insight_id},
        )
        return _named(FACTS.validate_python(found[0][0]) if found else {}, asked.fact_id, "insight")
    if asked.recommendation_id is not None:
        found = await rows(
            connection,
            "select evidence from finops.savings_recommendations where recommendation_id = %(id)s "
            "order by as_of_day desc limit 1",
            {"id": asked.recommendation_id},
        )
        facts = {fact["id"]: Fact.model_validate(fact) for fact in found[0][0]} if found else {}
        return _named(facts, asked.fact_id, "recommendation")
    if asked.anomaly_id is not None:
        return _named(await _anomaly(connection, asked.anomaly_id), asked.fact_id or "f_excess", "anomaly")
    cell = await _cell_of_answer(connection, asked) if asked.granularity else asked.cell()
    value = await _value(connection, cell)
    return {"f_cell": _cell_fact("f_cell", _label(cell), cell, value)}, "f_cell"


async def _cell_of_answer(connection: AsyncConnection, asked: EvidenceQuery) -> Cell:
    """The cell at these coordinates of the answer of `/v1/costs`: the days it counts, the members it is of.

    Raises the refusals of `/v1/costs`, and `UnknownFigure` when the answer has no such cell.
    """
    answer = asked.answer().resolved(await last_complete_day(connection, asked.billing_account))
    await refuse_unknown(connection, answer.query.dimensions())
    start, end = answer.start, answer.end if asked.granularity == "daily" else answer.counted_end
    if asked.period is not None:
        try:
            first = date.fromisoformat(f"{asked.period}-01"[:10])
        except ValueError:
            raise UnknownFigure(f"{asked.period} is no day of the calendar.") from None
        after = first + timedelta(days=1) if asked.granularity == "daily" else next_month(first)
        start, end = max(start, first), min(end, after)
    if start >= end:
        raise UnknownFigure(f"The answer counts no day of {asked.period or 'its window'}.")
    at = dict(zip(map(str, asked.group_by), asked.member, strict=True))
    excluding: dict[str, list[str]] = {}
    if asked.top is not None and OTHER in at.values():
        [(name, _)] = at.items()
        shape = shape_of(answer, table_for(answer.query.dimensions()))
        kept = await kept_members(OneSnapshot(connection), answer, shape) or []
        at, excluding = {}, {name: [member for currency, member in kept if currency == asked.billing_currency]}
    refuse_what_does_not_add_up(str(asked.measure), asked.members())
    assert asked.billing_currency
    return Cell(
        measure=str(asked.measure),
        start=start,
        end=end,
        billing_currency=asked.billing_currency,
        filters=asked.built_in_filters(),
        custom=asked.custom_filters(),
        at=at,
        excluding=excluding,
        where=asked.condition(),
    )


def _named(facts: Mapping[str, Fact], fact_id: str | None, kind: str) -> tuple[Mapping[str, Fact], str]:
    if not facts:
        raise UnknownFigure(f"There is no such {kind}. It may have been written anew: ask for the list again.")
    if fact_id is None or fact_id not in facts:
        raise UnknownFigure(f"The {kind} has no figure {fact_id}. It has: {', '.join(facts)}.")
    return facts, fact_id


async def _anomaly(connection: AsyncConnection, anomaly_id: str) -> dict[str, Fact]:
    """An anomaly as facts: what its days cost, what was expected of each, and the difference."""
    found = await rows(
        connection,
        "select usage_day, billing_account_id, billing_currency, scope, sub_account_id, service_id, expected_cost "
        "from finops.cost_anomalies where anomaly_id = %(id)s order by usage_day",
        {"id": anomaly_id},
    )
    facts: dict[str, Fact] = {}
    for day, account, currency, scope, project, service, expected in found:
        filters = {"billing_account": [account], "charge_category": ["Usage", "Purchase"]}
        if scope == "project_service":
            filters |= {"project": [project or UNATTRIBUTED], "service": [service or UNATTRIBUTED]}
        cell = Cell(start=day, end=day + timedelta(days=1), billing_currency=currency, filters=filters)
        key = f"{day:%Y%m%d}"
        facts[f"f_actual_{key}"] = _cell_fact(
            f"f_actual_{key}", f"billed on {day}", cell, await _value(connection, cell)
        )
        facts[f"f_expected_{key}"] = _money_fact(
            f"f_expected_{key}", f"expected on {day}", expected, currency,
            Stored(table="cost_anomalies", key={"usage_day": day.isoformat(), "anomaly_id": anomaly_id},
                   column="expected_cost"),
        )  # fmt: skip
    if not facts:
        return facts
    return _added_up(facts, found[0][2], found[0][0], found[-1][0])


def _added_up(facts: dict[str, Fact], currency: str, first: date, last: date) -> dict[str, Fact]:
    days = f"{first} to {last}" if first != last else f"{first}"
    for name, label in (("actual", f"billed, {days}"), ("expected", f"expected, {days}")):
        parts = [fact for key, fact in facts.items() if key.startswith(f"f_{name}_")]
        total = sum((fact.value for fact in parts if fact.value is not None), Decimal(0))
        source = Derived(operation="sum", of=tuple(fact.id for fact in parts))
        facts[f"f_{name}"] = _money_fact(f"f_{name}", label, total, currency, source)
    actual, expected = facts["f_actual"].value, facts["f_expected"].value
    assert actual is not None and expected is not None  # noqa: PT018 -- sums are never None
    difference = Derived(operation="difference", of=("f_actual", "f_expected"))
    facts["f_excess"] = _money_fact("f_excess", f"beyond expectation, {days}", actual - expected, currency, difference)
    return facts


def _cell_fact(fact_id: str, label: str, cell: Cell, value: Decimal) -> Fact:
    if MEASURES[cell.measure].unit != "currency":
        return Fact(
            id=fact_id, label=label, value=value, unit="count", formatted=f"{value:,f}", source=FromCell(cell=cell)
        )
    return _money_fact(fact_id, label, value, cell.billing_currency, FromCell(cell=cell))


def _money_fact(fact_id: str, label: str, value: Decimal, currency: str, source: FromCell | Derived | Stored) -> Fact:
    return Fact(
        id=fact_id,
        label=label,
        value=value,
        unit="currency",
        currency=currency,
        formatted=money(value, currency, cents=True),
        source=source,
    )


def _formatted(fact: Fact, value: Decimal | None) -> str:
    """To the cent here, where a reader checks the arithmetic."""
    return money(value, fact.currency, cents=True) if value is not None and fact.currency else fact.formatted


def _label(cell: Cell) -> str:
    days = f"{cell.start}" if cell.start == cell.last_day else f"{cell.start} to {cell.last_day}"
    named = {**cell.members, **{name: [member] for name, member in cell.at.items()}}
    named |= {f"{name} other than": members for name, members in cell.excluding.items()}
    members = "; ".join(f"{name} {', '.join(values)}" for name, values in named.items())
    of = "; ".join(filter(None, (members, "where the conditions hold" if cell.where else ""))) or "everything"
    return f"{cell.measure}, {days}, {of} in {cell.billing_currency}"


def _cell_of(facts: Mapping[str, Fact], fact: Fact) -> Cell | None:
    """The cell whose charges are behind a figure: its own, or that of the first of its parts that has one.

    A sum of neighbouring days of the same members is one cell.
    """
    match fact.source:
        case FromCell(cell=cell):
            return cell
        case Derived(operation=operation, of=of):
            cells = [found for part in of if (found := _cell_of(facts, facts[part])) is not None]
            if operation == "sum" and len(cells) == len(of):
                return _joined(cells)
            return cells[0] if cells else None
        case _:
            return None


def _members(cell: Cell) -> dict[str, object]:
    """What a cell is of, whatever its days."""
    return cell.model_dump(exclude={"start", "end"})


def _joined(cells: list[Cell]) -> Cell:
    cells = sorted(cells, key=lambda cell: cell.start)
    alike = all(_members(cell) == _members(cells[0]) for cell in cells)
    neighbours = all(left.end == right.start for left, right in pairwise(cells))
    return cells[0].model_copy(update={"end": cells[-1].end}) if alike and neighbours else cells[0]


def _formula(facts: Mapping[str, Fact], fact: Fact, now: Mapping[str, Decimal | None]) -> list[FormulaPart]:
    if not isinstance(fact.source, Derived):
        return []
    operator = OPERATORS[fact.source.operation]
    parts = [_part(facts[name], operator if i else "", now) for i, name in enumerate(fact.source.of)]
    return [*parts, _part(fact, "=", now)]


def _part(fact: Fact, operator: str, now: Mapping[str, Decimal | None]) -> FormulaPart:
    value = now[fact.id]
    return FormulaPart(
        fact_id=fact.id, label=fact.label, operator=operator, value=_plain(value), formatted=_formatted(fact, value)
    )


async def _page(connection: AsyncConnection, cell: Cell, asked: EvidenceQuery) -> tuple[list[Any], int, int, Decimal]:
    what = sql.SQL("export_day, row_hash, occurrence, charge_count, stored_in, stored_at, {}::numeric as value").format(
        raw_measure(cell.measure)
    )
    statement = sql.SQL(PAGE).format(
        charges=cell_charges(cell, what),
        charge=sql.SQL(CHARGE),
        limit=sql.Literal(asked.limit),
        offset=sql.Literal(asked.offset),
    )
    [(charges, count, counted, total)] = await rows(connection, statement)
    return charges, count, counted, total


async def _value(connection: AsyncConnection, cell: Cell) -> Decimal:
    source = FromCell(cell=cell)
    [(_, value)] = await rows(connection, recall_statement([source]))
    return Decimal(value)


def _columns(cell: Cell | None) -> list[ColumnStep]:
    """The columns from the cell's measure down to those of `raw_charges`."""
    if cell is None:
        return []
    return [
        ColumnStep(column=str(step.column), made_of=[str(column) for column in step.made_of], sql_file=step.sql_file)
        for step in lineage.path(cell.table, MEASURES[cell.measure].column)
    ]


def _path(cell: Cell | None) -> list[str]:
    if cell is None:
        return []
    return list(dict.fromkeys(["raw_charges", "aggregated_cost_data", cell.table]))


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"
