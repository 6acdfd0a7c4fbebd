"""Language models through the unmodified libraries, over real sockets: what is sent, what is taken, what is refused."""

import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from helpers.subjects import DAY
from llmserver import Answer, Garbage, ModelServer, Slow, Status, Step

from finops_insights import rules
from finops_insights.llm import ANSWERS_REFUSED, FAILURES_IN_A_ROW, Budget, LanguageModel, writer
from finops_insights.narrate import Narrated, RulesEngine, narrate
from finops_insights.prompts import prompt
from finops_insights.subjects import DayRows, Spent, Subject, of_day
from finops_warehouse.settings import Settings

KEY = "sk-hunter2-hunter2"
MODELS = {"openai": "gpt-4o", "anthropic": "claude-haiku-4-5", "vertex": "gemini-2.5-flash", "local": "qwen3"}
PRICES = {"openai": Decimal("0.0006"), "anthropic": Decimal("0.00027"), "vertex": Decimal("0.000111"), "local": None}
"""Of 120 tokens in and 30 out; nobody knows what a server of one's own costs."""
PROVIDERS = list(MODELS)
VERTEX = "/v1beta1/projects/billing-project/locations/europe-west1/publishers/google/models"

GOOD = {
    "headline": "Spend in {{f_month}} came to {{f_spend}}",
    "body": "{{f_service_1}} rose by {{f_service_1_change}}.",
    "check": None,
}
WITH_DIGITS = {**GOOD, "body": "It cost 4242."}
NO_TEXT = {"nonsense": "yes"}

SPENT = Spent(
    "USD", "nw-shop-prod", "Northwind shop", "24E6", "BigQuery", Decimal("31337.55"), Decimal(300), Decimal(0)
)
[SUBJECT] = of_day(DayRows(DAY, DAY.replace(month=1), [SPENT], [], [], []))


def settings(provider: str, server: ModelServer, **more: Any) -> Settings:  # noqa: ANN401
    """The settings of a provider that is this server."""
    chosen: dict[str, Any] = {
        "llm_provider": provider,
        "llm_model_name": MODELS[provider],
        "llm_base_url": server.base_url("openai" if provider == "local" else provider),  # type: ignore[arg-type]
        "llm_timeout_seconds": 5,
    }
    if provider in ("openai", "anthropic"):
        chosen["llm_api_key"] = KEY
    if provider == "vertex":
        chosen |= {"llm_vertex_project": "billing-project", "llm_vertex_location": "europe-west1"}
    return Settings(**chosen | more)


def ask(provider: str, *script: Step, subject: Subject = SUBJECT, **more: Any) -> tuple[ModelServer, Narrated]:  # noqa: ANN401
    """One text from one provider."""
    with ModelServer(script) as server, writer(settings(provider, server, **more)) as model:
        [found] = narrate([subject], model, lambda s: prompt(s, b"k" * 32))
    return server, found


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_model_writes_a_text(provider: str) -> None:
    """One request, and what it took is known."""
    server, found = ask(provider, Answer(GOOD))

    assert (found.engine, found.fallback_reason) == (f"{provider}:{MODELS[provider]}", None)
    assert found.template.model_dump() == GOOD
    assert len(server.requests) == 1
    call = found.call
    assert call is not None
    assert (call.provider, call.model, call.outcome, call.requests) == (provider, MODELS[provider], "ok", 1)
    assert (call.input_tokens, call.output_tokens, call.cost_usd) == (120, 30, PRICES[provider])


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("trouble", "answers"),
    [
        (Status(429), 1),
        (Status(503), 1),
        (Answer(NO_TEXT), 2),
        (Answer(WITH_DIGITS), 2),
        (Garbage("{oops"), 2),
    ],
    ids=["429", "503", "another form", "digits", "no JSON"],
)
def test_trouble_is_followed_by_another_request(provider: str, trouble: Step, answers: int) -> None:
    """The library repeats what the provider dropped; what we refuse is sent back with the reason, and both are paid."""
    server, found = ask(provider, trouble, Answer(GOOD))

    assert (found.engine, found.fallback_reason) == (f"{provider}:{MODELS[provider]}", None)
    assert len(server.requests) == 2
    assert found.call is not None
    assert (found.call.outcome, found.call.requests, found.attempts) == ("ok", answers, answers)
    assert (found.call.input_tokens, found.call.output_tokens) == (120 * answers, 30 * answers)
    if trouble == Answer(WITH_DIGITS):
        assert "a number: every figure is a token" in server.requests[1].told
        assert "a number" not in server.requests[0].told.split("Never write a number")[-1]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("wrong", [WITH_DIGITS, NO_TEXT], ids=["digits", "another form"])
def test_a_model_that_does_not_learn_is_replaced_by_the_rules(provider: str, wrong: dict[str, Any]) -> None:
    """After two more answers, with the reason, and with all three on the bill."""
    server, found = ask(provider, Answer(wrong))

    assert found.template == rules.write(SUBJECT)
    assert found.engine == "rules"
    assert found.fallback_reason is not None
    assert found.fallback_reason.startswith("no answer passed the checks: ")
    assert "4242" not in found.fallback_reason
    assert len(server.requests) == ANSWERS_REFUSED + 1
    assert found.call is not None
    assert (found.call.outcome, found.call.requests, found.call.input_tokens) == ("refused", 3, 360)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_that_does_not_answer_is_given_up(provider: str) -> None:
    """In bounded time: three requests of the timeout each, and the pauses between them."""
    server, found = ask(provider, Slow(30), llm_timeout_seconds=0.2)

    assert (found.engine, found.fallback_reason) == ("rules", "the provider did not answer in time")
    assert found.call is not None
    assert (found.call.outcome, found.call.input_tokens, found.call.cost_usd) == ("timeout", 0, None)
    assert len(server.requests) == 3
    assert found.call.latency_ms < 8000


def test_a_slow_answer_is_asked_for_again() -> None:
    """Once is chance."""
    server, found = ask("openai", Slow(30), Answer(GOOD), llm_timeout_seconds=0.3)

    assert found.engine == "openai:gpt-4o"
    assert len(server.requests) == 2


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_refusal_is_not_repeated_and_the_key_is_not_told(provider: str, status: int) -> None:
    """The reason is stored and shown."""
    server, found = ask(provider, Status(status))

    assert (found.engine, found.fallback_reason) == ("rules", f"the provider answered with status {status}")
    assert len(server.requests) == 1
    assert KEY not in repr(found.call)


def test_nobody_listening_is_a_reason_too() -> None:
    """Not a traceback in the middle of a backfill."""
    with ModelServer([Answer(GOOD)]) as server:
        chosen = settings("openai", server)
    with writer(chosen) as model:
        [found] = narrate([SUBJECT], model, lambda s: prompt(s, b"k" * 32))

    assert (found.engine, found.fallback_reason) == ("rules", "the provider could not be reached")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_sent_holds_no_amount_no_day_and_no_name(provider: str) -> None:
    """As the server received it, byte by byte, and as it is stored."""
    server, found = ask(provider, Answer(WITH_DIGITS), Answer(GOOD))

    assert len(server.requests) == 2
    sent = b"".join(request.body for request in server.requests).decode()
    for secret in ("31337", "31,338", "31,037", "nw-shop-prod", "Northwind", "November", "20 Nov", "2026-11-20", KEY):
        assert secret not in sent
    assert "BigQuery" in sent
    assert re.search(r"project_[0-9a-f]{12}", sent)
    assert found.call is not None
    stored = repr(found.call.payload)
    assert server.requests[0].facts[0]["token"] in stored
    assert KEY not in stored


@pytest.mark.parametrize(
    ("provider", "path", "header"),
    [
        ("openai", "/v1/chat/completions", ("authorization", f"Bearer {KEY}")),
        ("local", "/v1/chat/completions", ("authorization", "Bearer none")),
        ("anthropic", "/v1/messages", ("authorization", f"Bearer {KEY}")),
        (
            "vertex",
            f"{VERTEX}/gemini-2.5-flash:generateContent",
            ("authorization", "Bearer none"),
        ),
    ],
)
def test_each_provider_is_asked_in_its_own_protocol(provider: str, path: str, header: tuple[str, str]) -> None:
    """A server on this machine is never shown Google's credentials."""
    server, _ = ask(provider, Answer(GOOD))
    [request] = server.requests

    assert request.path.split("?")[0] == path
    assert {k.lower(): v for k, v in request.headers.items()}[header[0]] == header[1]


def test_variables_of_other_programs_send_nothing_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The libraries read variables of their own; what counts here is what our settings say."""
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another")
    monkeypatch.setenv("GOOGLE_API_KEY", "of-another")

    server, found = ask("openai", Answer(GOOD))
    assert found.engine == "openai:gpt-4o"
    assert "sk-of-another" not in repr(server.requests)
    server, found = ask("vertex", Answer(GOOD))
    assert "of-another" not in repr(server.requests)


def test_a_local_server_needs_no_tools() -> None:
    """The form is asked for in words: small servers know nothing else."""
    server, found = ask("local", Answer(GOOD))

    assert found.engine == "local:qwen3"
    assert "tools" not in server.requests[0].json


def test_a_model_has_no_tool_but_its_answer() -> None:
    """Hijacked, it can still do nothing but write words."""
    server, _ = ask("openai", Answer(GOOD))

    assert [tool["function"]["name"] for tool in server.requests[0].json["tools"]] == ["final_result"]


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ({"llm_max_usd_per_run": Decimal("0.001")}, "LLM_MAX_USD_PER_RUN"),
        ({"llm_max_tokens_per_run": 300}, "LLM_MAX_TOKENS_PER_RUN"),
    ],
)
def test_a_run_stops_asking_when_its_budget_is_spent(limit: dict[str, Any], reason: str) -> None:
    """A backfill of a year must not be a surprise on somebody's bill."""
    with ModelServer([Answer(GOOD)]) as server, writer(settings("openai", server, **limit)) as model:
        found = narrate([SUBJECT] * 4, model, lambda s: prompt(s, b"k" * 32))

    assert [n.engine for n in found] == ["openai:gpt-4o"] * 2 + ["rules"] * 2
    assert len(server.requests) == 2
    assert reason in (found[-1].fallback_reason or "")
    assert found[-1].call is None


def test_a_budget_of_nothing_asks_nobody() -> None:
    """Zero means zero."""
    with ModelServer([Answer(GOOD)]) as server, writer(settings("openai", server, llm_max_usd_per_run=0)) as model:
        [found] = narrate([SUBJECT], model, lambda s: prompt(s, b"k" * 32))

    assert found.engine == "rules"
    assert server.requests == []


def test_a_provider_that_is_down_is_not_asked_for_every_text() -> None:
    """A hundred timeouts would be an hour."""
    with ModelServer([Status(400)]) as server, writer(settings("openai", server)) as model:
        found = narrate([SUBJECT] * 6, model, lambda s: prompt(s, b"k" * 32))

    assert len(server.requests) == FAILURES_IN_A_ROW
    assert all(n.engine == "rules" for n in found)
    assert "not asked again" in (found[-1].fallback_reason or "")


def test_an_answer_ends_the_row_of_failures() -> None:
    """Three in a row, not three in a day."""
    script: list[Step] = [Status(400), Status(400), Answer(GOOD), Status(400), Status(400), Answer(GOOD)]
    with ModelServer(script) as server, writer(settings("openai", server)) as model:
        found = narrate([SUBJECT] * 6, model, lambda s: prompt(s, b"k" * 32))

    assert len(server.requests) == 6
    assert [n.engine == "rules" for n in found] == [True, True, False, True, True, False]


def test_whatever_a_library_raises_the_text_is_written() -> None:
    """A bug of theirs is no missing day of ours."""

    def broken() -> Any:  # noqa: ANN401
        raise ZeroDivisionError(KEY)

    model = LanguageModel("openai", "m", broken, 1.0, Budget(Decimal(1), 1000))
    try:
        [found] = narrate([SUBJECT], model, lambda s: prompt(s, b"k" * 32))
    finally:
        model.close()

    assert (found.engine, found.fallback_reason) == ("rules", "the provider's library failed (ZeroDivisionError)")


def test_without_a_provider_the_rules_write() -> None:
    """The default: no key, no network, no library."""
    with writer(Settings()) as service:
        assert isinstance(service, RulesEngine)
        [found] = narrate([SUBJECT], service, lambda _: pytest.fail("nobody is told anything"))

    assert (found.engine, found.call, found.fallback_reason) == ("rules", None, None)


def test_no_provider_is_imported_before_it_is_asked(tmp_path: Path) -> None:
    """Loading the asset graph takes seconds less, and the API's image does without them."""
    code = (
        "import sys, finops_insights.llm, finops_insights.claims, finops_insights.rendering, finops_insights.rules;"
        "print(*sorted({m.split('.')[0] for m in sys.modules} & {'openai', 'anthropic', 'google', 'pydantic_ai'}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert ran.stdout.split() == []
