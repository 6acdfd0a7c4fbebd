"""Proving every number again, from the source rows up.

The identities compare stored tables; here the source is read once more and compared with `raw_charges` row by
row and column by column, so that a single altered value is found, not only one that moves a sum.
"""

from dataclasses import dataclass
from datetime import date

import psycopg
from pydantic import TypeAdapter

from finops_insights.claims import Template, check_template
from finops_insights.facts import Fact, recomputed
from finops_insights.recall import as_recall, recall_statement, sources_of
from finops_pipeline.checked_day import extracted_rows
from finops_pipeline.loading import copy_batches
from finops_pipeline.sources.base import BillingSource, Grain
from finops_warehouse import identities
from finops_warehouse.errors import SourceError
from finops_warehouse.identities import Difference, Held

FACTS = TypeAdapter(dict[str, Fact])
OTHER_GRAIN = "of another grain"
TEXTS_AT_ONCE = 25
"""So that one statement recalls a few hundred figures, and not tens of thousands."""


@dataclass(frozen=True)
class Proof:
    """What was compared and where it differs."""

    rows: int
    export_days: int
    invoice_months: int
    closed_invoices: int
    """Closed months whose invoice total is known; each must leave a residual of 0."""
    insights: int
    """Texts whose every figure was computed again, and that the checker was asked about again."""
    identities: tuple[Held, ...]
    """Each thing that was compared, with what is left over."""
    differences: tuple[Difference, ...]

    @property
    def holds(self) -> bool:
        """Whether every identity holds to the last digit."""
        return not self.differences


def prove(connection: psycopg.Connection, source: BillingSource, billing_timezone: str, grain: Grain = "row") -> Proof:
    """Recompute source = raw = facts = rollups = months = invoices, and every figure of every text.

    Export days the source no longer holds, or holds in another state than was loaded, are differences too. Those that
    were kept on purpose are counted and cannot be compared with the source any more.
    """
    rows_of_ledger = connection.execute(
        "select export_day, case when grain = %s then fingerprint else %s end, kept_at is not null "
        "from finops.export_day_ledger",
        [grain, OTHER_GRAIN],
    ).fetchall()
    held = source.partitions()
    kept = {day for day, _, is_kept in rows_of_ledger if is_kept and day not in held}
    loaded: dict[date, str] = {day: mark for day, mark, _ in rows_of_ledger if day not in kept}
    found: list[Difference] = []
    for day in sorted({*loaded, *held}):
        found += _day_against_source(connection, source, day, held.get(day), loaded.get(day), billing_timezone, grain)
    checked = [
        identities.RAW_EQUALS_SOURCE,
        identities.FACTS_EQUAL_RAW,
        identities.EFFECTIVE_EQUALS_BILLED,
        *identities.rollup_identities(),
        identities.MONTHS_EQUAL_FACTS,
        identities.PARTS_EQUAL_SOURCE,
        identities.MONTHS_EQUAL_PARTS,
    ]
    rows_differ = len(found)
    held_by: list[Held] = []
    for identity in checked:
        holds, differs = identities.compared(connection, identity)
        held_by.append(holds)
        found += differs
    allocation = identities.allocation_differences(connection)
    moved = identities.moved_after_close(connection)
    other = identities.other_than_the_focus_export(connection)
    insights, wrong = _texts(connection)
    found += [*allocation, *identities.unsettled_invoices(connection), *moved, *other, *wrong]
    [(rows,)] = connection.execute("select coalesce(sum(charge_count), 0)::bigint from finops.raw_charges").fetchall()
    [(months, closed)] = connection.execute(
        "select count(*), count(*) filter (where closed_from <= current_date and invoice_total is not null) "
        "from finops.invoice_months"
    ).fetchall()
    [(allocated, settled, witnessed)] = connection.execute(
        "select (select count(*) from (select distinct usage_day, billing_account_id, billing_currency, dimension "
        "from finops.allocated_costs) as places), "
        "(select count(*) from finops.invoice_months where closed_from <= current_date), "
        "(select count(*) from finops.invoice_months join finops.focus_export_months "
        "using (invoice_month, billing_account_id, billing_currency) where closed_from <= current_date)"
    ).fetchall()
    compared = (
        Held("every row = its source row", len({*loaded, *held}), rows_differ, {}),
        *([Held("kept export days, not compared", len(kept), 0, {})] if kept else []),
        *held_by,
        Held("allocated = facts", allocated, len(allocation), {}),
        identities.held_by_invoices(connection),
        Held("closed months stand still", settled, len(moved), {}),
        Held("months = FOCUS export", witnessed, len(other), {}),
        Held("texts = facts", insights, len(wrong), {}),
    )
    return Proof(rows, len(loaded), months, closed, insights, compared, tuple(found))


def _texts(connection: psycopg.Connection) -> tuple[int, list[Difference]]:
    """How many texts there are, and each figure that is not what its source says, each text that says what it may not.

    A text about days that were restated a moment ago is among them until it is written anew.
    """
    rows = connection.execute(
        "select insight_id, period_start, template, facts from finops.llm_insights order by period_start, insight_id"
    ).fetchall()
    found: list[Difference] = []
    for begin in range(0, len(rows), TEXTS_AT_ONCE):
        texts = [
            (f"{insight_id} of {start}", Template.model_validate(template), FACTS.validate_python(facts))
            for insight_id, start, template, facts in rows[begin : begin + TEXTS_AT_ONCE]
        ]
        sources = sources_of(fact for _, _, facts in texts for fact in facts.values())
        recall = as_recall(sources, connection.execute(recall_statement(sources)).fetchall())
        for where, template, facts in texts:
            now = recomputed(facts, recall)
            found += [
                Difference("texts = facts", f"{where}, {fact.id}", str(fact.value), str(now[fact.id]))
                for fact in facts.values()
                if now[fact.id] != fact.value
            ]
            found += [
                Difference("texts say only facts", where, said, "tokens and plain words")
                for said in check_template(template, facts)
            ]
    return len(rows), found


def _day_against_source(
    connection: psycopg.Connection,
    source: BillingSource,
    day: date,
    held: str | None,
    loaded: str | None,
    billing_timezone: str,
    grain: Grain,
) -> list[Difference]:
    where = f"export day {day}"
    if loaded is None:
        return [Difference("raw = source", where, "not loaded", "the source's rows")]
    if held is None:
        return [Difference("raw = source", where, "loaded rows", "nothing: the source no longer holds that day")]
    if loaded == OTHER_GRAIN:
        return [
            Difference("raw = source", where, "rows of another EXTRACT_GRAIN", "those that `finops sync` would load")
        ]
    if held != loaded:
        return [Difference("raw = source", where, "what was loaded", "another content: the source changed since")]
    try:
        missing, surplus = _compare_rows(connection, source, day, billing_timezone, grain)
    except SourceError as error:
        return [Difference("raw = source", where, "loaded rows", f"an export that can be read: {error}")]
    if missing or surplus:
        return [Difference("raw = source", where, f"{surplus} rows the source does not hold", f"{missing} others")]
    return []


def _compare_rows(
    connection: psycopg.Connection, source: BillingSource, day: date, billing_timezone: str, grain: Grain
) -> tuple[int, int]:
    """How many rows of the source are not in `raw_charges`, and how many there are not in the source."""
    with extracted_rows(source, day, billing_timezone, grain=grain) as rows, connection.transaction():
        connection.execute(
            "create temporary table source_rows (like finops.raw_charges including defaults) on commit drop"
        )
        copy_batches(connection, "pg_temp.source_rows", rows.schema, rows)
        columns = ", ".join(rows.schema.names)
        [(missing, surplus)] = connection.execute(
            f"""
            with raw as (select {columns} from finops.raw_charges where export_day = %(day)s),
            source as (select {columns} from source_rows)
            select
                (select count(*) from (select * from source except all select * from raw) as missing),
                (select count(*) from (select * from raw except all select * from source) as surplus)
            """,  # noqa: S608 -- the names are our own table's
            {"day": day},
        ).fetchall()
    return int(missing), int(surplus)
