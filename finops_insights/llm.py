"""Language models as writers: OpenAI, Anthropic, Vertex AI, and any server that speaks OpenAI's protocol.

A model has no tools, no network and no memory. It is told what `prompts` says, answers in one typed form, is sent back
twice with the checker's objections, and then the rules write. Whatever a provider does, a day gets its text: nothing
raises from here but a fault of ours. The libraries are imported when a model is first asked, never with this module.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from finops_insights.claims import Template
from finops_insights.narrate import Call, Draft, LLMService, RulesEngine
from finops_insights.prompts import Prompt
from finops_insights.subjects import Subject
from finops_warehouse.settings import Settings, is_loopback

if TYPE_CHECKING:
    from pydantic_ai.models import Model

ANSWERS_REFUSED: Final = 2
"""How often a model is told what is wrong with its answer."""
REQUESTS_REPEATED: Final = 2
"""How often a request is sent again after 429, 503 or no answer."""
MOST_OUTPUT_TOKENS: Final = 4000
FAILURES_IN_A_ROW: Final = 3
"""A provider that is down is not asked for each of a hundred texts."""
REASON_LIMIT: Final = 600


@dataclass
class Budget:
    """What a run may spend, and has."""

    usd: Decimal
    tokens: int
    spent_usd: Decimal = Decimal(0)
    spent_tokens: int = 0

    def spend(self, call: Call) -> None:
        """Count a call."""
        self.spent_usd += call.cost_usd or Decimal(0)
        self.spent_tokens += call.input_tokens + call.output_tokens

    @property
    def why_spent(self) -> str | None:
        """Why no model may be asked any more; None while one may."""
        if self.spent_usd >= self.usd:
            return "the run has spent LLM_MAX_USD_PER_RUN"
        if self.spent_tokens >= self.tokens:
            return "the run has used LLM_MAX_TOKENS_PER_RUN"
        return None


@dataclass
class LanguageModel:
    """A writer that asks a model."""

    provider: str
    model: str
    connect: "Callable[[], Model]"
    """Makes the library's model."""
    timeout_seconds: float
    budget: Budget
    in_text: bool = False
    """Whether the form of the answer is asked for in words: not every local server knows tools."""
    price_is_known: bool = True
    _failures: int = 0
    _connected: "Model | None" = None
    _loop: asyncio.Runner = field(default_factory=asyncio.Runner)

    @property
    def engine(self) -> str:
        """Provider and model."""
        return f"{self.provider}:{self.model}"

    def write(self, subject: Subject, prompt: Callable[[], Prompt], refuse: Callable[[Template], list[str]]) -> Draft:  # noqa: ARG002
        """Ask the model, unless the budget is spent or the provider is down."""
        if (why := self.budget.why_spent) is not None:
            return Draft(None, why, attempts=0)
        if self._failures >= FAILURES_IN_A_ROW:
            return Draft(
                None, "the provider failed several times in a row and was not asked again in this run", attempts=0
            )
        draft = self._loop.run(self._ask(prompt(), refuse))
        if draft.call is not None:
            self.budget.spend(draft.call)
            self._failures = 0 if draft.call.outcome in ("ok", "refused") else self._failures + 1
        return draft

    def close(self) -> None:
        """Close what is open."""
        if self._connected is not None:
            self._loop.run(self._connected.__aexit__(None, None, None))
        self._loop.close()

    async def _ask(self, prompt: Prompt, refuse: Callable[[Template], list[str]]) -> Draft:
        from pydantic_ai import (
            Agent,
            ModelMessagesTypeAdapter,
            ModelRetry,
            PromptedOutput,
            UsageLimits,
            capture_run_messages,
        )
        from pydantic_ai.usage import RunUsage

        agent: Agent[None, Template] = Agent(
            output_type=PromptedOutput(Template) if self.in_text else Template,
            instructions=prompt.instructions,
            retries=ANSWERS_REFUSED,
            model_settings={
                "timeout": self.timeout_seconds,
                "max_tokens": MOST_OUTPUT_TOKENS,
                "max_retries": REQUESTS_REPEATED,
            },
        )
        objections: list[str] = []

        @agent.output_validator
        def only_what_may_be_stored(template: Template) -> Template:
            objections[:] = refuse(template)
            if objections:
                raise ModelRetry("; ".join(objections)[:REASON_LIMIT])
            return template

        usage = RunUsage()
        limits = UsageLimits(
            request_limit=ANSWERS_REFUSED + 1,
            total_tokens_limit=self.budget.tokens - self.budget.spent_tokens,
        )
        template: Template | None = None
        outcome, why = "ok", None
        started = time.monotonic()
        with capture_run_messages() as messages:
            try:
                if self._connected is None:
                    self._connected = await self.connect().__aenter__()
                answered = await agent.run(prompt.text, model=self._connected, usage=usage, usage_limits=limits)
                template = answered.output
            except Exception as error:  # noqa: BLE001 -- whatever a provider's library raises, the day gets its text
                outcome, why = _explained(error, objections)
        call = Call(
            provider=self.provider,
            model=self.model,
            outcome=outcome,
            requests=usage.requests,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cost_usd=usage.cost if self.price_is_known else None,
            latency_ms=round(1000 * (time.monotonic() - started)),
            payload=_storable(
                {
                    "instructions": prompt.instructions,
                    "messages": ModelMessagesTypeAdapter.dump_python(messages, mode="json"),
                }
            ),
        )
        return Draft(template, why, attempts=usage.requests, call=call)


def _storable(value: Any) -> Any:  # noqa: ANN401 -- JSON
    """JSON as Postgres takes it: a model may answer with characters that no text there can hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, dict):
        return {_storable(name): _storable(held) for name, held in value.items()}
    if isinstance(value, list):
        return [_storable(held) for held in value]
    return value


def _explained(error: Exception, objections: list[str]) -> tuple[str, str]:
    """An outcome and a reason, in words of ours: a provider's message may repeat the key, or what a model wrote."""
    from pydantic_ai import exceptions

    match error:
        case exceptions.ModelTimeoutError() | exceptions.RunTimedOut() | TimeoutError():
            return "timeout", "the provider did not answer in time"
        case exceptions.ModelHTTPError(status_code=status):
            return f"http {status}", f"the provider answered with status {status}"
        case exceptions.ModelAPIError():
            return "unreachable", "the provider could not be reached"
        case exceptions.UsageLimitExceeded():
            return "limit", "the answer would have taken more than the run may use"
        case exceptions.UnexpectedModelBehavior():
            said = "; ".join(objections) or "no answer had the form that was asked for"
            return "refused", f"no answer passed the checks: {said}"[:REASON_LIMIT]
        case _:
            return "error", f"the provider's library failed ({type(error).__name__})"


@contextmanager
def writer(settings: Settings) -> Iterator[LLMService]:
    """Who writes, by the settings: for one run, since a run has one budget."""
    if settings.llm_provider == "none":
        yield RulesEngine()
        return
    model = LanguageModel(
        provider=settings.llm_provider,
        model=settings.llm_model_name or "",
        connect=lambda: CONNECT[settings.llm_provider](settings),
        timeout_seconds=settings.llm_timeout_seconds,
        budget=Budget(settings.llm_max_usd_per_run, settings.llm_max_tokens_per_run),
        in_text=settings.llm_provider == "local",
        price_is_known=settings.llm_provider != "local",
    )
    try:
        yield model
    finally:
        model.close()


# -- providers


def _openai(settings: Settings) -> "Model":
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    url = settings.llm_base_url or "https://api.openai.com/v1"  # and not what OPENAI_BASE_URL says
    provider = OpenAIProvider(base_url=url, api_key=_key(settings) or "none")
    return OpenAIChatModel(settings.llm_model_name or "", provider=provider)


def _anthropic(settings: Settings) -> "Model":
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    url = settings.llm_base_url or "https://api.anthropic.com"
    provider = AnthropicProvider(base_url=url, api_key=_key(settings))
    return AnthropicModel(settings.llm_model_name or "", provider=provider)


def _vertex(settings: Settings) -> "Model":
    from google.genai.types import HttpRetryOptions
    from google.oauth2.credentials import Credentials
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.providers.google_cloud import GoogleCloudProvider

    if settings.google_application_credentials is not None:
        # Google's client reads the environment and nothing else; a line of .env would not reach it.
        os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = str(settings.google_application_credentials)
    on_this_machine = is_loopback(urlsplit(settings.llm_base_url or "").hostname or "")
    provider = GoogleCloudProvider(
        project=settings.llm_vertex_project,
        location=settings.llm_vertex_location,
        # A server on this machine is not Google, and must not be shown Google's credentials.
        credentials=Credentials(token="none") if on_this_machine else None,  # type: ignore[no-untyped-call]  # noqa: S106
        base_url=settings.llm_base_url,
        retry_options=HttpRetryOptions(
            attempts=REQUESTS_REPEATED + 1,
            initial_delay=0.5,
            max_delay=5,
            http_status_codes=[408, 429, 500, 502, 503, 504],
        ),
    )
    return GoogleModel(settings.llm_model_name or "", provider=provider)


def _key(settings: Settings) -> str | None:
    return settings.llm_api_key.get_secret_value() if settings.llm_api_key else None


CONNECT: Final = {"openai": _openai, "local": _openai, "anthropic": _anthropic, "vertex": _vertex}
