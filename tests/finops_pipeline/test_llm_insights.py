"""Texts from the tables and back: what is stored holds, what moved is written anew, what is sent gives nothing away."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import Context
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from helpers.road import Export, Road, Row, charge
from helpers.subjects import HOSTILE
from llmserver import Answer, Garbage, ModelServer, Obedient, Protocol, Request, Slow, Status, Step
from psycopg.types.json import Jsonb

from finops_insights.claims import Template, check_template
from finops_insights.facts import Fact, stale
from finops_insights.llm import writer
from finops_insights.narrate import Draft, LLMService, RulesEngine
from finops_insights.prompts import Prompt
from finops_insights.recall import as_recall, recall_statement, sources_of
from finops_insights.rendering import render
from finops_insights.subjects import Subject
from finops_pipeline.assets.llm_insights import llm_insights, llm_insights_monthly, text_checks
from finops_pipeline.narration import (
    FACTS,
    NarratedPartition,
    deployment_key,
    payload_digest,
    rebuild_insights_of_day,
    rebuild_insights_of_month,
    source_version_of_day,
)
from finops_pipeline.warehouse import Warehouse
from finops_warehouse import ledger
from finops_warehouse.errors import ProofFailed
from finops_warehouse.settings import Settings, load_settings

DAY = date(2026, 10, 10)
KEY = "sk-hunter2-hunter2"


def two_months(
    *,
    project: str = "shop",
    service: str = "BigQuery",
    sku: str = "Analysis",
    **other: Any,  # noqa: ANN401
) -> list[Row]:
    """Ten days of September and the same days of October, at 10.00 and 12.50 a day."""
    return [
        charge(
            cost, start=f"2026-{month}-{day:02d}T12:00", exported=f"2026-{month}-12T03:00",
            project=project, service=service, sku=sku, **other,
        )
        for month, cost in (("09", 10.0), ("10", 12.5))
        for day in range(1, 11)
    ]  # fmt: skip


@pytest.fixture
def costs(road: Road, export: Export) -> Road:
    """Two windows of costs, complete through 10 October."""
    export.write_by_export_time([*two_months(), *two_months(project="lake", service="Cloud Storage", sku="Standard")])
    road.walk()
    return road


def think_of(connection: psycopg.Connection, day: date = DAY, causes: list[dict[str, str]] | None = None) -> None:
    """An anomaly of each service in a project on the day and the one before, a forecast and a saving."""
    connection.execute(
        """
        insert into finops.cost_anomalies
        select usage_day, 'anomaly of ' || coalesce(sub_account_id, '') || coalesce(service_id, ''), 'project_service',
            billing_account_id, billing_currency, sub_account_id, max(sub_account_name), service_id, max(service_name),
            %(day)s::date - 1, 'up', 'high', sum(billed_cost), 4, sum(billed_cost) - 4,
            (sum(billed_cost) - 4) * (usage_day - %(day)s + 2), 9, %(causes)s, '{}'
        from finops.cost_by_project_service_daily
        where usage_day between %(day)s - 1 and %(day)s and charge_category = 'Usage'
        group by usage_day, billing_account_id, billing_currency, sub_account_id, service_id
        """,
        {"day": day, "causes": Jsonb(causes or [])},
    )
    connection.execute(
        """
        insert into finops.cost_forecasts values
            (%(day)s, 'total', 'all', 'USD', 'month_end', null, %(month)s, %(end)s, 250, 800, 700, 900, 650, 950,
            'm', 'ok', 40)
        """,
        {"day": day, "month": day.replace(day=1), "end": date(2026, 11, 1)},
    )
    connection.execute(
        """
        insert into finops.savings_recommendations (as_of_day, recommendation_id, rule_id, rule_version, title,
            billing_account_id, billing_currency, window_start, window_end, evidence, monthly_saving_low,
            monthly_saving_mid, monthly_saving_high, confidence, assumption, exclusive_group, counted, first_seen,
            status)
        select %(day)s, 'r' || n, 'idle', '1', 'Move N1 machines', 'A', 'USD', %(day)s, %(day)s, '[]', 1, 5 * n, 20,
            'high', 'x', 'g' || n, n < 3, %(day)s, 'open'
        from generate_series(1, 3) as n
        """,
        {"day": day},
    )


def rebuild(
    connection: psycopg.Connection, service: LLMService | None = None, day: date = DAY, run_id: str = "run"
) -> NarratedPartition:
    return rebuild_insights_of_day(
        connection, day, service=service or RulesEngine(), run_id=run_id,
        source_version=source_version_of_day(connection, day),
    )  # fmt: skip


@dataclass(frozen=True)
class Told:
    """A row of llm_insights, as a reader gets it."""

    subject: str
    subject_id: str
    engine: str
    fallback_reason: str | None
    template: Template
    facts: dict[str, Fact]

    @property
    def text(self) -> str:
        return "\n".join(render(part, self.facts) for part in self.template.parts)


def stored(connection: psycopg.Connection) -> list[Told]:
    rows = connection.execute(
        "select subject, subject_id, engine, fallback_reason, template, facts from finops.llm_insights "
        "order by period, period_start, subject desc, subject_id"
    ).fetchall()
    return [
        Told(subject, of, engine, reason, Template.model_validate(template), FACTS.validate_python(facts))
        for subject, of, engine, reason, template, facts in rows
    ]


def moved(connection: psycopg.Connection, insight: Told) -> list[str]:
    sources = sources_of(insight.facts.values())
    found = connection.execute(recall_statement(sources)).fetchall()
    return stale(insight.facts, as_recall(sources, found))


def versions(connection: psycopg.Connection) -> dict[str, int]:
    return dict(
        connection.execute(
            "select partition_key, version from finops.materialisation where asset like 'llm_insights%'"
        ).fetchall()
    )


# -- by the rules


def test_a_day_is_told_from_its_tables(costs: Road) -> None:
    """A summary and a text for each anomaly; every figure of every text is what the tables say."""
    think_of(costs.connection)

    built = rebuild(costs.connection)

    summary, *anomalies = stored(costs.connection)
    assert (built.row_count, built.fallbacks, built.calls, built.changed) == (3, 0, [], True)
    assert summary.text == (
        "October 2026: $250 spent so far, 25% more than on the same days of the month before\n"
        "$250 was spent from 1 October to 10 October, $50 more than the $200 from 1 September to 10 September. "
        "Of the services, BigQuery rose most, by $25 to $125. Cloud Storage rose by $25 to $125. "
        "Of the projects, lake rose most, by $25 to $125. shop rose by $25 to $125. "
        "October 2026 is expected to come to $800. In 80% of cases it ends between $700 and $900. "
        "That would be 300% more than the $200 of September 2026. "
        "On 10 October, 2 anomalies were found. "
        "About $15 a month could be saved; the largest part is \u201cMove N1 machines\u201d, with $10 a month."
    )
    assert anomalies[1].text.startswith("BigQuery in shop cost $17 more than expected from 9 October to 10 October\n")
    assert [moved(costs.connection, insight) for insight in (summary, *anomalies)] == [[], [], []]
    assert {insight.engine for insight in (summary, *anomalies)} == {"rules"}


def test_a_stale_figure_is_noticed(costs: Road) -> None:
    """The check above can fail: each kind of source is computed again."""
    think_of(costs.connection)
    rebuild(costs.connection)

    costs.connection.execute(
        "update finops.cost_by_service_daily set billed_cost = billed_cost + 0.01 where usage_day = '2026-10-05'"
    )
    costs.connection.execute("update finops.cost_forecasts set expected_cost = expected_cost + 0.01")
    costs.connection.execute("delete from finops.savings_recommendations where recommendation_id = 'r2'")

    changed = set(moved(costs.connection, stored(costs.connection)[0]))
    assert {"f_spend", "f_change", "f_service_1_now", "f_forecast", "f_savings", "f_saving_amount"} <= changed
    assert not {"f_before", "f_forecast_low", "f_service_1_before"} & changed


def test_an_unchanged_day_keeps_its_version(costs: Road) -> None:
    """Caches and ETags hang on it."""
    think_of(costs.connection)
    rebuild(costs.connection)
    before = versions(costs.connection)

    again = rebuild(costs.connection, run_id="another")

    assert not again.changed
    assert versions(costs.connection) == before


def test_a_restated_day_is_told_anew(costs: Road, export: Export) -> None:
    """A correction that arrives moves the figure, and the text with it."""
    rebuild(costs.connection)
    export.write(
        "2026-10-13", [charge(-50.0, start="2026-10-02T12:00", exported="2026-10-13T03:00", service="BigQuery")]
    )
    costs.walk()

    built = rebuild(costs.connection)

    assert built.changed
    assert stored(costs.connection)[0].text.startswith("October 2026: $200 spent so far")


def test_a_day_that_is_not_complete_is_not_told(costs: Road) -> None:
    """Half a day is no saving."""
    built = rebuild(costs.connection, day=date(2026, 10, 11))

    assert (built.row_count, built.source_version) == (0, 0)
    assert stored(costs.connection) == []
    assert versions(costs.connection) != {}


@dataclass
class Meanwhile:
    """A writer during whose writing something happens."""

    happens: Callable[[int], None]
    engine: str = "slow:writer"
    asked: int = 0
    words: Callable[[Subject], Template] = field(
        default=lambda _: Template(headline="In {{f_month}}", body="{{f_spend}} was spent.")
    )

    def write(self, subject: Subject, prompt: Callable[[], Prompt], refuse: Callable[[Template], list[str]]) -> Draft:
        self.asked += 1
        self.happens(self.asked)
        return Draft(self.words(subject))


def test_a_day_that_moves_while_it_is_written_is_written_anew(costs: Road) -> None:
    """A model takes a minute; what it wrote about is checked again before anybody reads it."""

    def correct(time: int) -> None:
        if time == 1:
            costs.connection.execute("update finops.cost_by_project_service_daily set billed_cost = billed_cost + 1")
            costs.connection.execute("update finops.cost_by_service_daily set billed_cost = billed_cost + 1")

    service = Meanwhile(correct)
    rebuild(costs.connection, service)

    assert service.asked == 2
    [insight] = stored(costs.connection)
    assert insight.text == "In October 2026\n$270 was spent."
    assert moved(costs.connection, insight) == []


def test_a_day_that_never_holds_still_keeps_its_old_texts(costs: Road) -> None:
    """And says so: it is noted as failed, and tried again."""
    rebuild(costs.connection)
    before, version = stored(costs.connection), versions(costs.connection)

    def correct(_: int) -> None:
        costs.connection.execute("update finops.cost_by_project_service_daily set billed_cost = billed_cost + 1")
        costs.connection.execute("update finops.cost_by_service_daily set billed_cost = billed_cost + 1")

    with pytest.raises(ProofFailed, match="f_spend of spend_summary USD"):
        rebuild(costs.connection, Meanwhile(correct))

    assert (stored(costs.connection), versions(costs.connection)) == (before, version)


def test_nobody_is_asked_about_tables_that_do_not_agree(costs: Road) -> None:
    """A day whose anomalies are behind its costs is told after them; a text now would be paid for and thrown away."""
    think_of(costs.connection)
    costs.connection.execute("update finops.cost_anomalies set actual_cost = actual_cost + 1")
    service = Meanwhile(lambda _: None)

    with pytest.raises(ProofFailed, match="of anomaly"):
        rebuild(costs.connection, service)

    assert service.asked == 0


def test_a_build_that_dies_leaves_the_old_texts(costs: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    """One transaction: a reader sees a whole day of one moment."""
    rebuild(costs.connection)
    before = stored(costs.connection)
    costs.connection.execute("update finops.cost_by_project_service_daily set billed_cost = billed_cost + 1")
    costs.connection.execute("update finops.cost_by_service_daily set billed_cost = billed_cost + 1")

    def die(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(ledger, "materialised", die)
    with pytest.raises(KeyboardInterrupt):
        rebuild(costs.connection)

    assert stored(costs.connection) == before


def test_two_builders_of_a_day_make_one_day(costs: Road, settings: Settings) -> None:
    """A sensor and a person at once."""
    from finops_warehouse.database import connect

    think_of(costs.connection)
    errors: list[BaseException] = []

    def build() -> None:
        try:
            with connect(settings, autocommit=True) as connection:
                rebuild(connection)
        except BaseException as error:  # noqa: BLE001 -- told to the test's own thread
            errors.append(error)

    builders = [threading.Thread(target=build) for _ in range(4)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()

    assert errors == []
    assert len(stored(costs.connection)) == 3


def test_an_invoice_month_is_told(costs: Road) -> None:
    """Its total, what moved, and that it equals the invoice."""
    costs.connection.execute("insert into finops.invoices values ('A', '202609', 'USD', 200.00)")
    ledger.touch_invoice_months(costs.connection, ["202609"])
    costs.walk()

    for month in ("202609", "202610"):
        rebuild_insights_of_month(costs.connection, month, service=RulesEngine(), run_id="run", source_version=1)

    september, october = stored(costs.connection)
    assert "That equals the invoices, $200.00, to the cent." in september.text
    assert october.text.startswith("October 2026: $250 so far\n")
    assert moved(costs.connection, september) == moved(costs.connection, october) == []


# -- by a model


def obliging(request: Request) -> dict[str, Any]:
    """A good text for whatever was asked: it names the first fact, which never has a direction."""
    named = request.facts[0]["token"]
    return {"headline": f"Read about {named}", "body": f"This is about {named}.", "check": None}


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[Callable[..., ModelServer]]:
    """A server for these settings, answering as the test says."""
    servers: list[ModelServer] = []

    def start(*script: Step, name: str = "gpt-4o", provider: Protocol = "openai") -> ModelServer:
        server = ModelServer(script)
        servers.append(server.__enter__())
        chosen = {"LLM_PROVIDER": provider, "LLM_MODEL_NAME": name, "LLM_BASE_URL": server.base_url(provider)}
        chosen |= (
            {"LLM_VERTEX_PROJECT": "p", "LLM_VERTEX_LOCATION": "global"}
            if provider == "vertex"
            else {"LLM_API_KEY": KEY}
        )
        for setting, value in chosen.items():
            monkeypatch.setenv(setting, value)
        load_settings.cache_clear()
        return server

    yield start
    for server in servers:
        server.__exit__(None, None, None)


def rebuild_by_model(connection: psycopg.Connection) -> NarratedPartition:
    with writer(load_settings()) as service:
        return rebuild(connection, service)


def calls(connection: psycopg.Connection) -> list[dict[str, Any]]:
    cursor = connection.cursor(row_factory=psycopg.rows.dict_row)
    return cursor.execute("select * from finops.llm_calls order by call_id").fetchall()


@pytest.mark.parametrize(
    ("provider", "name", "cost"),
    [
        ("openai", "gpt-4o", Decimal("0.0006")),
        ("anthropic", "claude-haiku-4-5", Decimal("0.00027")),
        ("vertex", "gemini-2.5-flash", Decimal("0.000111")),
    ],
)
def test_a_models_text_is_stored_with_what_it_took(
    costs: Road, model: Callable[..., ModelServer], provider: Protocol, name: str, cost: Decimal
) -> None:
    """Who wrote it, from what, for how much, and what exactly was sent."""
    think_of(costs.connection)
    server = model(Obedient(obliging), name=name, provider=provider)

    built = rebuild_by_model(costs.connection)

    assert {insight.engine for insight in stored(costs.connection)} == {f"{provider}:{name}"}
    assert (built.tokens, built.cost_usd, built.fallbacks) == ((360, 90), 3 * cost, 0)
    assert len(server.requests) == 3
    logged = calls(costs.connection)
    assert [(c["provider"], c["model"], c["outcome"], c["requests"]) for c in logged] == [(provider, name, "ok", 1)] * 3
    assert [(c["input_tokens"], c["output_tokens"], c["cost_usd"]) for c in logged] == [(120, 30, cost)] * 3
    assert all(c["latency_ms"] > 0 and c["partition_key"] == "2026-10-10" for c in logged)
    for request, call in zip(server.requests, logged, strict=True):
        [first] = [part["content"] for part in call["payload"]["messages"][0]["parts"]]
        assert first in request.told
        assert call["payload"]["instructions"] in request.told
    assert KEY not in repr(logged)


@pytest.mark.parametrize(
    ("script", "outcome", "requests", "tokens", "reason"),
    [
        ([Status(503), Obedient(obliging)], "ok", 1, 120, None),
        ([Answer({"headline": "42", "body": "42"}), Obedient(obliging)], "ok", 2, 240, None),
        ([Answer({"headline": "42", "body": "42"})], "refused", 3, 360, "no answer passed the checks"),
        ([Status(403)], "http 403", 0, 0, "the provider answered with status 403"),
    ],
)
def test_every_way_a_call_ends_is_in_the_log(
    costs: Road,
    model: Callable[..., ModelServer],
    script: list[Step],
    outcome: str,
    requests: int,
    tokens: int,
    reason: str | None,
) -> None:
    """What was paid for and not used was paid for all the same."""
    model(*script)

    rebuild_by_model(costs.connection)

    [call] = calls(costs.connection)
    assert (call["outcome"], call["requests"], call["input_tokens"]) == (outcome, requests, tokens)
    [insight] = stored(costs.connection)
    assert insight.engine == ("rules" if reason else "openai:gpt-4o")
    assert (insight.fallback_reason or "").startswith(reason or "")


# -- and who asked


def audited(connection: psycopg.Connection) -> list[dict[str, Any]]:
    cursor = connection.cursor(row_factory=psycopg.rows.dict_row)
    return cursor.execute("select * from finops.audit_event where action = 'llm.call' order by event_id").fetchall()


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ([Obedient(obliging)], "ok"),
        ([Answer({"headline": "42", "body": "42"})], "refused"),
        ([Garbage("I am not able to")], "refused"),
        ([Status(403)], "http 403"),
        ([Slow(30)], "timeout"),
    ],
)
def test_a_model_that_was_asked_is_in_the_audit(
    costs: Road, model: Callable[..., ModelServer], monkeypatch: pytest.MonkeyPatch, script: list[Step], outcome: str
) -> None:
    """Which one, by which run, what for, for how much and how it ended; and nothing of what was said."""
    monkeypatch.setenv("LLM_TIMEOUT_SECONDS", "0.5")
    server = model(*script)

    with writer(load_settings()) as service:
        rebuild(costs.connection, service, run_id="a-run")

    [call], [event] = calls(costs.connection), audited(costs.connection)
    assert (event["actor"], event["scope"]) == ("run a-run", "openai:gpt-4o")
    assert event["detail"] == {
        "call_id": call["call_id"],
        "purpose": "llm_insights 2026-10-10",
        "outcome": outcome,
        "requests": call["requests"],
        "input_tokens": call["input_tokens"],
        "output_tokens": call["output_tokens"],
        "cost_usd": None if call["cost_usd"] is None else str(call["cost_usd"].normalize()),
        "payload_sha256": payload_digest(call["payload"]),
    }
    assert call["outcome"] == outcome
    said = repr(event)
    assert KEY not in said
    assert call["payload"]["instructions"][:40] not in said
    assert not [fact for request in server.requests for fact in request.facts if fact["token"] in said]


def test_an_unknown_price_is_no_price_in_the_audit(costs: Road, model: Callable[..., ModelServer]) -> None:
    """Nothing is not the same as unknown."""
    model(Obedient(obliging), name="a-model-of-ones-own")

    rebuild_by_model(costs.connection)

    assert [event["detail"]["cost_usd"] for event in audited(costs.connection)] == [None]


def test_the_audit_shows_when_a_logged_conversation_was_altered(costs: Road, model: Callable[..., ModelServer]) -> None:
    """The log can be changed by whoever may write tables; what the audit says of it cannot."""
    think_of(costs.connection)
    model(Obedient(obliging))
    rebuild_by_model(costs.connection)
    costs.connection.execute(
        "update finops.llm_calls set payload = jsonb_set(payload, '{instructions}', '\"Be kind.\"') "
        "where call_id = (select min(call_id) from finops.llm_calls)"
    )

    held = {call["call_id"]: payload_digest(call["payload"]) for call in calls(costs.connection)}

    events = [event["detail"] for event in audited(costs.connection)]
    assert [event["payload_sha256"] == held[event["call_id"]] for event in events] == [False, True, True]


@dataclass
class Dying:
    """A model whose process dies when it is asked once more than `times`."""

    model: LLMService
    times: int

    @property
    def engine(self) -> str:
        return self.model.engine

    def write(self, subject: Subject, prompt: Callable[[], Prompt], refuse: Callable[[Template], list[str]]) -> Draft:
        if self.times == 0:
            raise KeyboardInterrupt
        self.times -= 1
        return self.model.write(subject, prompt, refuse)


def test_a_run_that_dies_has_written_down_whom_it_asked(costs: Road, model: Callable[..., ModelServer]) -> None:
    """What was sent has left the machine and was paid for, whatever becomes of the day; and it is not asked twice."""
    think_of(costs.connection)
    server = model(Obedient(obliging))

    with writer(load_settings()) as service, pytest.raises(KeyboardInterrupt):
        rebuild(costs.connection, Dying(service, 2))

    assert len(server.requests) == len(calls(costs.connection)) == len(audited(costs.connection)) == 2
    assert stored(costs.connection) == []
    rebuild_by_model(costs.connection)
    assert len(server.requests) == len(audited(costs.connection)) == 3


def test_a_call_is_logged_and_audited_or_neither(costs: Road, model: Callable[..., ModelServer]) -> None:
    """One transaction: no row of the log is without its event."""
    model(Obedient(obliging))
    costs.connection.execute("alter table finops.audit_event rename to somewhere_else")

    with pytest.raises(psycopg.errors.UndefinedTable):
        rebuild_by_model(costs.connection)

    assert calls(costs.connection) == []


def test_the_rules_are_no_model(costs: Road) -> None:
    """Nobody is asked, so nothing is audited."""
    rebuild(costs.connection)

    assert audited(costs.connection) == []


@pytest.mark.parametrize("provider", ["openai", "anthropic", "vertex"])
def test_an_answer_that_postgres_cannot_hold_costs_nothing_but_the_answer(
    costs: Road, model: Callable[..., ModelServer], provider: Protocol
) -> None:
    """A null character or half a surrogate in it must not take the day's texts, or the audit's row."""
    model(
        Answer({"headline": "{{f_day}}\0", "body": "\ud800 {{f_spend}}.", "check": None}),
        provider=provider, name="a-model",
    )  # fmt: skip

    assert rebuild_by_model(costs.connection).fallbacks == 1

    [call] = calls(costs.connection)
    assert call["outcome"] in ("refused", "error")  # a library may not be able to send half a surrogate back
    assert len(call["payload"]["messages"]) > 1


def test_an_unchanged_day_asks_nobody_again(costs: Road, model: Callable[..., ModelServer]) -> None:
    """Re-materialising a month of days is free; a cent of change is asked about, and nothing else."""
    think_of(costs.connection)
    server = model(Obedient(obliging))
    rebuild_by_model(costs.connection)
    before = versions(costs.connection)

    rebuild_by_model(costs.connection)
    assert len(server.requests) == 3
    assert versions(costs.connection) == before

    costs.connection.execute("update finops.cost_forecasts set low_80 = low_80 + 0.01")
    rebuild_by_model(costs.connection)
    assert len(server.requests) == 4
    assert len(calls(costs.connection)) == 4


def test_a_lost_table_of_texts_is_filled_from_the_cache(costs: Road, model: Callable[..., ModelServer]) -> None:
    """What was paid for is kept."""
    think_of(costs.connection)
    server = model(Obedient(obliging))
    rebuild_by_model(costs.connection)
    before = stored(costs.connection)

    costs.connection.execute("truncate finops.llm_insights")
    costs.connection.execute("delete from finops.materialisation where asset = 'llm_insights'")
    rebuild_by_model(costs.connection)

    assert stored(costs.connection) == before
    assert len(server.requests) == 3


def test_a_fallback_is_stored_as_one_and_tried_again(costs: Road, model: Callable[..., ModelServer]) -> None:
    """The rules' text stands in until the model writes one; it is never taken for the model's."""
    server = model(Answer({"headline": "It cost 42", "body": "It cost 42."}))

    built = rebuild_by_model(costs.connection)

    [insight] = stored(costs.connection)
    assert (insight.engine, built.fallbacks, len(server.requests)) == ("rules", 1, 3)
    assert "a number" in (insight.fallback_reason or "")
    assert calls(costs.connection)[0]["outcome"] == "refused"
    assert costs.connection.execute("select count(*) from finops.llm_cache").fetchall() == [(0,)]

    model(Obedient(obliging))
    assert rebuild_by_model(costs.connection).changed
    assert [insight.engine for insight in stored(costs.connection)] == ["openai:gpt-4o"]


def test_an_unknown_price_is_unknown_and_not_nothing(costs: Road, model: Callable[..., ModelServer]) -> None:
    """A sum with a hole in it is no sum."""
    model(Obedient(obliging), name="a-model-of-ones-own")

    built = rebuild_by_model(costs.connection)

    assert built.cost_usd is None
    assert [(c["cost_usd"], c["input_tokens"]) for c in calls(costs.connection)] == [(None, 120)]


def test_aliases_are_explained_here_and_nowhere_else(costs: Road, model: Callable[..., ModelServer]) -> None:
    """Whoever reads the audit can tell which project was meant; whoever got it cannot."""
    think_of(costs.connection)
    server = model(Obedient(obliging))
    rebuild_by_model(costs.connection)

    known: dict[str, str] = dict(costs.connection.execute("select alias, value from finops.aliases").fetchall())
    sent = {fact.get("stands_for") for request in server.requests for fact in request.facts} - {None}
    assert {known[name] for name in sent if name in known} == {"shop", "lake"}
    assert sent - set(known) == {"BigQuery", "Cloud Storage"}
    key = deployment_key(costs.connection, "aliases")
    assert len(key) == 32
    assert key == deployment_key(costs.connection, "aliases")
    assert key.hex() not in repr(calls(costs.connection))


# -- hostile exports


@pytest.fixture
def hostile(road: Road, export: Export) -> Road:
    """An export whose projects, services, SKUs, labels and resources are named by somebody who means harm."""
    rows: list[Row] = []
    for number, text in enumerate(HOSTILE):
        rows += two_months(
            project=text, service=f"{text} {number}", sku=text,
            labels=[{"key": "note", "value": text}], resource={"name": text, "global_name": text},
        )  # fmt: skip
    for row in rows:
        row["service"]["description"] = row["service"]["id"].removeprefix("id of ")
    export.write_by_export_time(rows)
    road.walk()
    think_of(
        road.connection,
        causes=[{"dimension": "sku", "member": "s", "name": HOSTILE[0], "share_percent": "80.0"}],
    )
    road.connection.execute(
        "update finops.cost_anomalies set causes = jsonb_set(causes, '{0,name}', to_jsonb(sub_account_id))"
    )
    return road


def telling(text: str) -> bool:
    """Whether a text is long enough to be recognised where it should not be."""
    return len(text) > 8 and text not in ("{{f_spend}}",)


def test_nothing_hostile_is_sent(hostile: Road, model: Callable[..., ModelServer]) -> None:
    """Not in the body of any request: neither as it is, nor escaped as JSON escapes it."""
    server = model(Obedient(obliging))

    built = rebuild_by_model(hostile.connection)

    assert built.row_count == len(HOSTILE) + 1 == len(server.requests)
    assert built.fallbacks == 0
    for request in server.requests:
        for text in filter(telling, HOSTILE):
            assert text not in request.told
            assert text[:40] not in request.told
            assert json.dumps(text)[1:-1] not in request.body.decode()
        assert request.told.isascii()


def test_a_model_that_obeys_is_refused_and_the_rules_write(hostile: Road, model: Callable[..., ModelServer]) -> None:
    """Had an injection arrived: what it asks for is not stored."""
    obeying = iter(HOSTILE * 20)
    server = model(Obedient(lambda _: {"headline": "Costs", "body": next(obeying), "check": None}))

    built = rebuild_by_model(hostile.connection)

    texts = stored(hostile.connection)
    assert built.fallbacks == len(texts) == len(HOSTILE) + 1
    assert {insight.engine for insight in texts} == {"rules"}
    assert all((insight.fallback_reason or "").startswith("no answer passed") for insight in texts)
    assert len(server.requests) == 3 * len(texts)
    assert not [text for text in filter(telling, HOSTILE) if text in " ".join(i.fallback_reason or "" for i in texts)]


def test_hostile_names_are_shown_and_change_nothing_around_them(hostile: Road) -> None:
    """A project is called what it is called; its text has as many lines as any other and every figure holds."""
    rebuild(hostile.connection)

    for insight in stored(hostile.connection):
        assert check_template(insight.template, insight.facts) == []
        assert moved(hostile.connection, insight) == []
        assert len(insight.text.splitlines()) == len(insight.template.parts)
        assert all(line.isprintable() for line in insight.text.splitlines())
        if insight.subject == "anomaly":
            assert insight.text.count("$17 more than expected") == 1


def test_a_project_named_like_another_ones_id_takes_no_text_away(road: Road, export: Export) -> None:
    """Its costs are in no figure of the other, and the day is told all the same."""
    impostor = two_months(project="impostor")
    for row in impostor:
        row["project"]["name"] = "shop"
    export.write_by_export_time([*two_months(), *impostor, *two_months(project="lake", service="Cloud Storage")])
    road.walk()
    think_of(road.connection)

    built = rebuild(road.connection)

    texts = stored(road.connection)
    assert built.row_count == len(texts) == 4
    assert [moved(road.connection, insight) for insight in texts] == [[]] * 4
    assert {insight.facts["f_actual"].value for insight in texts[1:]} == {Decimal(25)}
    assert "$375 was spent" in texts[0].text


# -- as Dagster runs it


def materialize(instance: dg.DagsterInstance, asset: dg.AssetsDefinition, key: str) -> dg.ExecuteInProcessResult:
    def run() -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [asset, *text_checks()], selection=dg.AssetSelection.assets(asset), partition_key=key, instance=instance,
            resources={"warehouse": Warehouse()}, raise_on_error=False,
        )  # fmt: skip

    # Dagster keeps its last instance in a context variable, and another test's may be gone: begin with none.
    return Context().run(run)


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    [materialization] = result.get_asset_materialization_events()
    return {name: value.value for name, value in materialization.materialization.metadata.items()}


def test_the_asset_says_who_wrote_and_what_it_took(costs: Road, instance: dg.DagsterInstance) -> None:
    """In the Dagster UI, partition by partition."""
    result = materialize(instance, llm_insights, "2026-10-10")

    assert result.success
    said = metadata_of(result)
    assert (said["dagster/partition_row_count"], said["engine"], said["fallbacks"]) == (1, "rules", 0)
    assert (said["model_calls"], said["input_tokens"], said["cost_usd"]) == (0, 0, "0")
    assert [check.passed for check in result.get_asset_check_evaluations()] == [True]


def test_the_asset_warns_when_the_rules_had_to_write(
    costs: Road, instance: dg.DagsterInstance, model: Callable[..., ModelServer]
) -> None:
    """The texts are there and right; somebody should still look at the provider."""
    model(Status(401))

    result = materialize(instance, llm_insights, "2026-10-10")

    assert result.success
    assert metadata_of(result)["fallbacks"] == 1
    [check] = result.get_asset_check_evaluations()
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.metadata["reasons"].value == {"the provider answered with status 401": 1}


def test_a_month_is_an_asset_too(costs: Road, instance: dg.DagsterInstance) -> None:
    """By invoice month, in the same table."""
    result = materialize(instance, llm_insights_monthly, "202609")

    assert result.success
    assert metadata_of(result)["dagster/partition_row_count"] == 1
    assert versions(costs.connection).keys() == {"202609"}


def test_a_key_of_the_deployment_is_in_no_file(connection: psycopg.Connection, tmp_path: Path) -> None:
    """Each has its own, in Postgres alone."""
    assert deployment_key(connection, "aliases") != deployment_key(connection, "another")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_loading_the_graph_loads_no_provider(tmp_path: Path) -> None:
    """A code location loads in seconds, and without a network."""
    code = (
        "import sys, finops_pipeline.definitions;"
        "print(*[m for m in ('pydantic_ai', 'openai', 'anthropic', 'google.genai') if m in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert ran.stdout.split() == []
