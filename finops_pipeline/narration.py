"""Texts about a day or an invoice month: facts read from the tables, words from a writer, both checked, then stored.

The order matters. Facts are read from one snapshot; a model is asked before any transaction is open, since it may take
a minute; and in the transaction that stores a text, every figure in it is computed once more from its source. A day
whose costs moved in between is read and written again, and never stored half old.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

import psycopg
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb
from pydantic import TypeAdapter

from finops_insights.claims import Template
from finops_insights.facts import Fact, stale
from finops_insights.narrate import Cached, Call, LLMService, Narrated, input_hash, narrate
from finops_insights.prompts import PROMPT_VERSION, Prompt, prompt
from finops_insights.recall import as_recall, recall_statement, sources_of
from finops_insights.rules import ENGINE
from finops_insights.subjects import (
    BILLED_FOR_USE,
    AnomalyDay,
    DayRows,
    InvoicedRow,
    InvoiceMonth,
    MonthEnd,
    MonthRows,
    Saving,
    Spent,
    Subject,
    month_before,
    month_to_date,
    months_window,
    of_day,
    of_month,
    same_days_before,
)
from finops_warehouse import ledger
from finops_warehouse.errors import ProofFailed
from finops_warehouse.freshness import complete_through
from finops_warehouse.keys import RECORD, Event

DAILY: Final = "llm_insights"
MONTHLY: Final = "llm_insights_monthly"
"""How the two are called in the ledger; both write the table llm_insights."""

DAYS_BACK: Final = 62
"""How far back a day's text looks: to the first of the month before."""

ALIAS_KEY: Final = "aliases"
KEY_BYTES: Final = 32
TRIES: Final = 3
"""How often a partition whose figures move while it is written is begun anew."""

FACTS = TypeAdapter(dict[str, Fact])


@dataclass(frozen=True)
class NarratedPartition:
    """What building a day or a month did."""

    partition_key: str
    row_count: int
    fallbacks: int
    calls: Sequence[Call]
    source_version: int
    changed: bool
    """Whether a reader sees another text than before."""

    @property
    def tokens(self) -> tuple[int, int]:
        """Into models and out of them."""
        return sum(call.input_tokens for call in self.calls), sum(call.output_tokens for call in self.calls)

    @property
    def cost_usd(self) -> Decimal | None:
        """None as soon as the price of one call is not known."""
        costs = [call.cost_usd for call in self.calls]
        return None if None in costs else sum((cost for cost in costs if cost is not None), Decimal(0))


# -- what can be built


def build_day_insights(connection: psycopg.Connection, day: date, service: LLMService) -> list[Narrated]:
    """The texts about a day as its rows are now; none while it is not complete. Stores only aliases a model is told."""
    return _written(connection, _subjects_of_day(connection, day), service)


def build_month_insights(connection: psycopg.Connection, invoice_month: str, service: LLMService) -> list[Narrated]:
    """The texts about an invoice month (YYYYMM) as its rows are now."""
    return _written(connection, _subjects_of_month(connection, invoice_month), service)


def _subjects_of_day(connection: psycopg.Connection, day: date) -> list[Subject]:
    rows = read_day(connection, day)
    return of_day(rows) if rows else []


def _subjects_of_month(connection: psycopg.Connection, invoice_month: str) -> list[Subject]:
    rows = read_month(connection, invoice_month)
    return of_month(rows) if rows else []


def rebuild_insights_of_day(
    connection: psycopg.Connection, usage_day: date, *, service: LLMService, run_id: str, source_version: int
) -> NarratedPartition:
    """Make llm_insights hold what is to be said about a usage day.

    `source_version` is how far the sources had come before this was called. Raises `ProofFailed` when the figures of
    the day do not hold still; the texts are then as before.
    """
    place = _Place(DAILY, usage_day.isoformat(), "day", usage_day, usage_day.toordinal())
    return _rebuild(connection, place, lambda: _subjects_of_day(connection, usage_day), service, run_id, source_version)


def rebuild_insights_of_month(
    connection: psycopg.Connection, invoice_month: str, *, service: LLMService, run_id: str, source_version: int
) -> NarratedPartition:
    """Make llm_insights hold what is to be said about an invoice month (YYYYMM). Raises as the one of a day does."""
    place = _Place(MONTHLY, invoice_month, "month", first_of(invoice_month), int(invoice_month))
    return _rebuild(
        connection, place, lambda: _subjects_of_month(connection, invoice_month), service, run_id, source_version
    )


def source_version_of_day(connection: psycopg.Connection, day: date) -> int:
    """How far everything a day's texts look at has come; 0 while the day is not complete."""
    complete = complete_through(connection)
    return ledger.insight_versions(connection, DAILY, complete).get(day, 0) if complete else 0


def source_version_of_month(connection: psycopg.Connection, invoice_month: str) -> int:
    """How far the invoice month and the one before have come."""
    months = [invoice_month, f"{month_before(first_of(invoice_month)):%Y%m}"]
    [(version,)] = connection.execute(
        "select coalesce(max(version), 0) from finops.materialisation "
        "where asset = 'invoice_months' and partition_key = any(%s)",
        [months],
    ).fetchall()
    return int(version)


def first_of(invoice_month: str) -> date:
    """The first day of an invoice month."""
    return date(int(invoice_month[:4]), int(invoice_month[4:]), 1)


# -- rows

SPENT = """
    select billing_currency, sub_account_id, sub_account_name, service_id, service_name,
        coalesce(sum(billed_cost) filter (where usage_day >= %(start)s), 0) as now,
        coalesce(sum(billed_cost) filter (where usage_day < %(before_end)s), 0) as before,
        coalesce(sum(billed_cost) filter (where usage_day < %(start)s), 0) as whole_month_before
    from finops.cost_by_project_service_daily
    where usage_day >= %(before)s and usage_day < %(end)s
    group by billing_currency, sub_account_id, sub_account_name, service_id, service_name
"""

ANOMALIES = """
    select usage_day, anomaly_id, scope, billing_account_id, billing_currency, sub_account_id, sub_account_name,
        service_id, service_name, start_day, direction, severity, actual_cost, expected_cost, event_excess_cost, causes,
        explained_by
    from finops.cost_anomalies
    where usage_day <= %(day)s and anomaly_id in (
        select anomaly_id from finops.cost_anomalies where usage_day between %(day)s - 1 and %(day)s
    )
    order by anomaly_id, usage_day
"""

COST_OF_DAY = """
    select coalesce(sum(billed_cost), 0) from finops.cost_by_project_service_daily
    where usage_day = %(day)s and billing_account_id = %(account)s and billing_currency = %(currency)s
    and charge_category = any(%(used)s) and (%(whole_account)s or (
        sub_account_id is not distinct from %(project)s and service_id is not distinct from %(service)s))
"""

FORECASTS = """
    select billing_currency, start_day, expected_cost, low_80, high_80, status from finops.cost_forecasts
    where as_of_day = %(day)s and scope = 'total' and member = 'all' and period = 'month_end'
"""

SAVINGS = """
    select recommendation_id, billing_currency, title, monthly_saving_mid from finops.savings_recommendations
    where as_of_day = %(day)s and counted
"""

FIRST_DAY = "select min(usage_day) from finops.cost_by_service_daily"


def read_day(connection: psycopg.Connection, day: date) -> DayRows | None:
    """Everything a day's texts are made of, of one snapshot; None while the day is not complete."""
    window = month_to_date(day)
    before, before_end = same_days_before(window)
    windows = {"day": day, "start": window[0], "end": window[1], "before": before, "before_end": before_end}
    with _snapshot(connection):
        complete = complete_through(connection)
        if complete is None or day > complete:
            return None
        [(first_day,)] = connection.execute(FIRST_DAY).fetchall()
        anomalies = connection.cursor(row_factory=class_row(AnomalyDay)).execute(ANOMALIES, windows).fetchall()
        return DayRows(
            day=day,
            first_day=first_day or day,
            spent=connection.cursor(row_factory=class_row(Spent)).execute(SPENT, windows).fetchall(),
            anomalies=anomalies,
            forecasts=connection.cursor(row_factory=class_row(MonthEnd)).execute(FORECASTS, windows).fetchall(),
            savings=connection.cursor(row_factory=class_row(Saving)).execute(SAVINGS, windows).fetchall(),
            costs_of_ended=_costs_of_ended(connection, day, anomalies),
        )


def _costs_of_ended(connection: psycopg.Connection, day: date, anomalies: Sequence[AnomalyDay]) -> dict[str, Decimal]:
    last = {row.anomaly_id: row for row in anomalies}
    costs: dict[str, Decimal] = {}
    for name, row in last.items():
        if row.usage_day < day:
            of = {
                "day": day, "account": row.billing_account_id, "currency": row.billing_currency,
                "used": BILLED_FOR_USE, "whole_account": row.scope == "billing_account",
                "project": row.sub_account_id, "service": row.service_id,
            }  # fmt: skip
            [(costs[name],)] = connection.execute(COST_OF_DAY, of).fetchall()
    return costs


INVOICED = """
    select billing_currency, sub_account_id, sub_account_name, service_id, service_name,
        coalesce(sum(billed_cost) filter (where invoice_month = %(month)s), 0) as now,
        coalesce(sum(billed_cost) filter (where invoice_month = %(before)s), 0) as before
    from finops.cost_by_project_service_daily
    where invoice_month in (%(month)s, %(before)s)
    group by billing_currency, sub_account_id, sub_account_name, service_id, service_name
"""

INVOICES = """
    select billing_currency, sum(billed_cost) as billed_cost,
        case when count(*) = count(invoice_total) then sum(invoice_total) end as invoice_total
    from finops.invoice_months
    where invoice_month = %(month)s
    group by billing_currency
    order by billing_currency
"""

INVOICE_DAYS = """
    select invoice_month, min(usage_day), max(usage_day) + 1 from finops.cost_by_service_daily
    where invoice_month in (%(month)s, %(before)s) group by invoice_month
"""


def read_month(connection: psycopg.Connection, invoice_month: str) -> MonthRows | None:
    """Everything a month's texts are made of, of one snapshot; None when nothing is on its invoices."""
    first = first_of(invoice_month)
    months = {"month": invoice_month, "before": f"{month_before(first):%Y%m}"}
    with _snapshot(connection):
        [(first_day,)] = connection.execute(FIRST_DAY).fetchall()
        days = {month: (start, end) for month, start, end in connection.execute(INVOICE_DAYS, months).fetchall()}
        if invoice_month not in days:
            return None
        complete = complete_through(connection)
        return MonthRows(
            month=first,
            is_over=complete is not None and complete >= months_window(first)[1] - timedelta(days=1),
            first_day=first_day,
            window=days[invoice_month],
            window_before=days.get(months["before"]) if first_day <= month_before(first) else None,
            spent=connection.cursor(row_factory=class_row(InvoicedRow)).execute(INVOICED, months).fetchall(),
            invoices=connection.cursor(row_factory=class_row(InvoiceMonth)).execute(INVOICES, months).fetchall(),
        )


@contextmanager
def _snapshot(connection: psycopg.Connection) -> Iterator[None]:
    """One moment for every statement inside; inside a transaction of the caller's, that one's."""
    in_transaction = connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE
    with connection.transaction():
        if not in_transaction:
            connection.execute("set transaction isolation level repeatable read, read only")
        yield


# -- words


def _written(
    connection: psycopg.Connection,
    subjects: Sequence[Subject],
    service: LLMService,
    when_written: Callable[[Narrated], None] = lambda _: None,
) -> list[Narrated]:
    if service.engine == ENGINE:
        return narrate(subjects, service, _no_prompt)
    key = deployment_key(connection, ALIAS_KEY)

    def told(subject: Subject) -> Prompt:
        asked = prompt(subject, key)
        _remember(connection, asked.aliases)
        return asked

    cached = _cached(connection, [input_hash(s, service.engine) for s in subjects])
    written: list[Narrated] = []
    for subject in subjects:
        [text] = narrate([subject], service, told, cached)
        when_written(text)
        written.append(text)
    return written


def _no_prompt(_: Subject) -> Prompt:
    raise AssertionError("the rules engine asks nobody")


def deployment_key(connection: psycopg.Connection, name: str) -> bytes:
    """A random key of this deployment, made when it is first asked for. It never leaves the database but in use."""
    connection.execute(
        "insert into finops.deployment_keys (name, key) values (%s, %s) on conflict do nothing",
        [name, secrets.token_bytes(KEY_BYTES)],
    )
    [(key,)] = connection.execute("select key from finops.deployment_keys where name = %s", [name]).fetchall()
    return bytes(key)


def _remember(connection: psycopg.Connection, aliases: Mapping[str, tuple[str, str]]) -> None:
    """What an alias means, before it is sent."""
    connection.execute(
        "insert into finops.aliases (alias, kind, value) select * from unnest(%s::text[], %s::text[], %s::text[]) "
        "on conflict do nothing",
        [list(aliases), [kind for kind, _ in aliases.values()], [value for _, value in aliases.values()]],
    )


def _cached(connection: psycopg.Connection, hashes: Sequence[str]) -> dict[str, Cached]:
    rows = connection.execute(
        "select input_hash, template, attempts from finops.llm_cache where input_hash = any(%s)", [list(hashes)]
    ).fetchall()
    return {digest: Cached(Template.model_validate(template), attempts) for digest, template, attempts in rows}


# -- storing


@dataclass(frozen=True)
class _Place:
    asset: str
    key: str
    period: str
    period_start: date
    lock: int


def _rebuild(
    connection: psycopg.Connection,
    place: _Place,
    read: Callable[[], list[Subject]],
    service: LLMService,
    run_id: str,
    source_version: int,
) -> NarratedPartition:
    calls: list[Call] = []
    moved: list[str] = []
    for _ in range(TRIES):
        subjects = read()
        if service.engine != ENGINE and (moved := _moved(connection, subjects)):
            continue  # tables that do not agree yet: a model's text about them would be paid for and thrown away

        def note(text: Narrated) -> None:
            # At once: a run that dies at its tenth text has asked, and paid for, nine.
            _log(connection, place, text, run_id)
            _keep(connection, text)

        narrated = _written(connection, subjects, service, note)
        calls += [n.call for n in narrated if n.call is not None]
        moved, changed = _store(connection, place, narrated, run_id, source_version)
        if not moved:
            fallbacks = sum(n.fallback_reason is not None for n in narrated)
            return NarratedPartition(place.key, len(narrated), fallbacks, calls, source_version, changed)
    raise ProofFailed(
        f"The texts of {place.key} would show figures that are not what their source says now: {', '.join(moved)}. "
        "They are as before. `finops verify` shows whether a table is wrong; the next build tries again."
    )


def _store(
    connection: psycopg.Connection, place: _Place, narrated: Sequence[Narrated], run_id: str, source_version: int
) -> tuple[list[str], bool]:
    """Replace the texts. Returns the figures that moved, and then nothing was stored; and whether any text changed."""
    with connection.transaction():
        ledger.lock_partition(connection, place.asset, place.lock)
        # Computed again inside the lock and just before they are stored: what a text says is what the tables say.
        moved = _moved(connection, [n.subject for n in narrated])
        if moved:
            return moved, False
        rows = [_row(place, n, run_id, source_version) for n in narrated]
        where = [place.period, place.period_start]
        held = connection.cursor(row_factory=dict_row).execute(
            "select * from finops.llm_insights where period = %s and period_start = %s", where
        )
        is_built = connection.execute(
            "select from finops.materialisation where asset = %s and partition_key = %s", [place.asset, place.key]
        ).fetchone()
        if is_built is not None and _comparable(held.fetchall()) == _comparable(rows):
            ledger.confirmed(connection, place.asset, place.key, source_version)
            return [], False
        connection.execute("delete from finops.llm_insights where period = %s and period_start = %s", where)
        if rows:
            names = list(rows[0])
            with (
                connection.cursor() as cursor,
                cursor.copy(f"copy finops.llm_insights ({', '.join(names)}) from stdin") as copy,
            ):
                for row in rows:
                    copy.write_row([Jsonb(v) if isinstance(v, dict) else v for v in row.values()])
        ledger.materialised(connection, place.asset, place.key, source_version, len(rows), run_id)
    return [], True


def _moved(connection: psycopg.Connection, subjects: Sequence[Subject]) -> list[str]:
    """The figures that are not what their source says now."""
    sources = sources_of(fact for subject in subjects for fact in subject.facts.values())
    if not sources:
        return []
    recall = as_recall(sources, connection.execute(recall_statement(sources)).fetchall())
    return [
        f"{name} of {subject.subject} {subject.subject_id}"
        for subject in subjects
        for name in stale(subject.facts, recall)
    ]


def _row(place: _Place, n: Narrated, run_id: str, source_version: int) -> dict[str, Any]:
    return {
        "insight_id": n.subject.insight_id,
        "period": place.period,
        "period_start": place.period_start,
        "subject": n.subject.subject,
        "subject_id": n.subject.subject_id,
        "billing_currency": n.subject.billing_currency,
        "sub_account_id": n.subject.sub_account_id,
        "service_id": n.subject.service_id,
        "severity": n.subject.severity,
        "template": n.template.model_dump(),
        "facts": FACTS.dump_python({**n.subject.facts}, mode="json"),
        "engine": n.engine,
        "fallback_reason": n.fallback_reason,
        "prompt_version": PROMPT_VERSION,
        "attempts": n.attempts,
        "input_hash": n.input_hash,
        "input_version": source_version,
        "run_id": run_id,
    }


SAME = ("insight_id", "input_hash", "engine", "fallback_reason", "template")
"""Texts that agree in these are the same to a reader."""


def _comparable(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted(json.dumps([row[name] for name in SAME], sort_keys=True) for row in rows)


def _log(connection: psycopg.Connection, place: _Place, n: Narrated, run_id: str) -> None:
    """Write down what a model was asked, whether or not its text will be stored: the whole of it, and that it was."""
    if n.call is None:
        return
    with connection.transaction():
        [(call_id,)] = connection.execute(
            """
            insert into finops.llm_calls (asset, partition_key, insight_id, input_hash, provider, model, prompt_version,
                outcome, requests, input_tokens, output_tokens, cost_usd, latency_ms, payload, run_id)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            returning call_id
            """,
            [
                place.asset, place.key, n.subject.insight_id, n.input_hash, n.call.provider, n.call.model,
                PROMPT_VERSION, n.call.outcome, n.call.requests, n.call.input_tokens, n.call.output_tokens,
                n.call.cost_usd, n.call.latency_ms, Jsonb(n.call.payload), run_id,
            ],
        ).fetchall()  # fmt: skip
        connection.execute(RECORD, _event(call_id, n.call, place, run_id).parameters())


def _event(call_id: int, call: Call, place: _Place, run_id: str) -> Event:
    """That a model was asked. What was sent is in llm_calls, and here only a digest by which it can be held to that."""
    return Event(
        actor=f"run {run_id}",
        action="llm.call",
        scope=f"{call.provider}:{call.model}",
        detail={
            "call_id": call_id,
            "purpose": f"{place.asset} {place.key}",
            "outcome": call.outcome,
            "requests": call.requests,
            "input_tokens": call.input_tokens,
            "output_tokens": call.output_tokens,
            "cost_usd": None if call.cost_usd is None else str(call.cost_usd),
            "payload_sha256": payload_digest(call.payload),
        },
    )


def payload_digest(payload: Any) -> str:  # noqa: ANN401 -- JSON
    """The digest of a conversation, however its JSON is written."""
    return hashlib.sha256(json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _keep(connection: psycopg.Connection, n: Narrated) -> None:
    """Put what a model has just written where the next build looks first; what was refused is asked for again."""
    if n.is_new:
        connection.execute(
            "insert into finops.llm_cache (input_hash, engine, template, attempts) values (%s, %s, %s, %s) "
            "on conflict do nothing",
            [n.input_hash, n.engine, Jsonb(n.template.model_dump()), n.attempts],
        )


def fallbacks(connection: psycopg.Connection, period: str, first: str | None, last: str | None) -> dict[str, int]:
    """How many texts of these partitions the rules had to write for a model, by reason."""
    key = "period_start::text" if period == "day" else "to_char(period_start, 'YYYYMM')"
    rows = connection.execute(
        f"""
        select fallback_reason, count(*) from finops.llm_insights
        where period = %(period)s and fallback_reason is not null
        and (%(first)s::text is null or {key} >= %(first)s) and (%(last)s::text is null or {key} <= %(last)s)
        group by 1 order by 2 desc, 1
        """,  # noqa: S608 -- one of the two above
        {"period": period, "first": first, "last": last},
    ).fetchall()
    return dict(rows)
