"""What a deployment may choose. Read once, at start; a wrong or contradictory value stops us there and names itself."""

import difflib
import os
import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from finops_warehouse.errors import SettingsError

OUR_PREFIXES = (
    *("BILLING_", "BIGQUERY_", "LLM_", "FINOPS_", "OIDC_", "DAGSTER_DATABASE_", "DATABASE_", "EXTRACT_"),
    *("COMPLETE_", "INVOICES_", "LOAD_", "API_", "RATE_LIMIT_", "CORS_", "SESSION_", "PUBLIC_", "REDIS_"),
)
"""A variable that begins so and is none of ours was most likely meant to be."""


EARLIEST = date(2024, 1, 1)
LLM_NEEDS = {
    "openai": ("llm_model_name", "llm_api_key"),
    "anthropic": ("llm_model_name", "llm_api_key"),
    "vertex": ("llm_model_name", "llm_vertex_project", "llm_vertex_location"),
    "local": ("llm_model_name", "llm_base_url"),
    "any": ("llm_model_name", "llm_api_key", "llm_base_url", "llm_vertex_project", "llm_vertex_location"),
}
"""What a language model cannot be asked without, by provider."""

OIDC_NEEDS = ("oidc_issuer", "oidc_client_id", "public_url")
"""What people cannot be signed in without."""

OIDC_LISTS = ("oidc_admins", "oidc_analysts", "oidc_viewers")
"""Who may what; the first that names somebody counts."""

_LISTED = re.compile(r"group:\S(.*\S)?|[^\s@]*@[^\s@]+\.[^\s@]+")

MIN_PEPPER = 16
"""Characters of a secret that digests are made with."""

ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:\d{1,5})?")
"""An origin as browsers send it: no path, no user, no capital letter."""

REDIS_URL_REMEDY = "is not a Redis URL; write redis://user:password@host:6379/0"

SECRETS = Path("/run/secrets")
"""Where Compose and Kubernetes put secrets: a file named like the setting, in small letters."""


class Settings(BaseSettings):
    """Every setting of the product. Each is an environment variable of the same name in capitals, or a line of `.env`.

    Raises `SettingsError` from `load_settings`; constructing the class directly raises pydantic's own error.
    """

    model_config = SettingsConfigDict(
        env_file=".env",
        secrets_dir=SECRETS if SECRETS.is_dir() else None,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # or a refusal would print the password it refuses
    )

    database_url: SecretStr | None = None
    """Postgres to use, `postgresql://user:password@host/database`. Unset: a server of our own under FINOPS_HOME."""

    dagster_database_url: SecretStr | None = None
    """Where Dagster keeps runs and events. Unset: the database `dagster` on the same server as DATABASE_URL."""

    sqlalchemy_echo: bool = False
    """Log every statement SQLAlchemy sends (migrations)."""

    finops_home: Path = Path(".finops")
    """Folder for what we keep on this machine: the embedded server, the sample export, Dagster's home."""

    billing_export_url: str | None = None
    """The billing export: `file:///folder` or `bigquery://project.dataset.table`. Unset: the generated sample."""

    focus_version: Literal["1.2", "1.3", "1.4"] = "1.2"
    """Whose column names the view focus_cost_and_usage has. 1.3 and 1.4 name who provides and who hosts a service."""

    billing_timezone: str = "America/Los_Angeles"
    """Time zone of usage days. Google's reports and invoices count in Pacific time."""

    billing_start_day: date | None = None
    """First day the asset graph offers as a partition; no charge may be older. Unset: 2024-01-01, or the first day
    of the sample export while that is what is read."""

    complete_share: Decimal = Field(default=Decimal("0.97"), gt=0, lt=1)
    """A usage day counts as complete once this share of its final cost was there on nine of ten past days."""

    complete_after_days: int | None = Field(default=None, ge=0, le=45)
    """Call a usage day complete after so many later export days instead. Unset: learned from the account's past."""

    focus_export_url: str | None = Field(default=None, pattern=r"^file:///.")
    """Folder of Google's own FOCUS export, Parquet or JSONL: `file:///folder`. A second witness beside the invoices."""

    invoices_dir: Path | None = None
    """Folder where invoice totals are dropped as CSV or JSON files; `finops sync` and the daemon take them."""

    holidays_country: str = "US"
    """Country whose public holidays explain a quiet day, as ISO 3166 writes it. Empty: none do."""

    dimensions_file: Path | None = None
    """File of rules for custom dimensions and shared costs. Unset: team, environment and cost_center, by labels."""

    extract_grain: Literal["row", "day"] = "row"
    """How much of the export is copied: `row` keeps every charge, `day` what the hours of a usage day add up to."""

    load_memory_mb: int = Field(default=128, ge=128)
    """What DuckDB may take in memory while export days are read; a load as a whole takes up to 270 MB more, whatever
    the day's size."""

    answers_kept_mb: int = Field(default=64, ge=0)
    """Memory in which the API keeps answers until the data behind them changes. 0: none is kept."""

    google_application_credentials: Path | None = None
    """Service account key file for BigQuery. Unset: the machine's own Google identity."""

    bigquery_api_endpoint: str | None = None
    """Another BigQuery REST server, `http://127.0.0.1:PORT`. Loopback only, and then without credentials."""

    bigquery_storage_endpoint: str | None = None
    """Another BigQuery Storage server, `127.0.0.1:PORT`, plain gRPC. Loopback only, and then without credentials."""

    bigquery_max_bytes_billed: int = Field(default=10 * 2**30, gt=0)
    """No single BigQuery job may bill more bytes than this."""

    bigquery_max_usd_per_run: Decimal = Field(default=Decimal(10), ge=0)
    """A run stops before what reading the export costs it, at the prices below, would be more than this."""

    bigquery_max_usd_per_day: Decimal = Field(default=Decimal(25), ge=0)
    """Reading stops before all runs of a day (UTC) together would cost more than this."""

    bigquery_usd_per_tib_queried: Decimal = Field(default=Decimal("6.25"), ge=0)
    """What your contract bills for a TiB that a query processes. The default is Google's list price in the US."""

    bigquery_usd_per_tib_read: Decimal = Field(default=Decimal("1.10"), ge=0)
    """What your contract bills for a TiB that Storage Read returns. The default is Google's list price in the US."""

    api_token: SecretStr | None = None
    """A token that may do everything, sent as `Authorization: Bearer …`. Unset, and without keys made by `finops keys`:
    the API answers this machine only."""

    finops_api_url: str = Field(default="http://127.0.0.1:8000", pattern=r"^https?://.")
    """The API that `finops mcp` asks for an assistant: `https://finops.example.com`."""

    finops_api_key: SecretStr | None = None
    """The key it asks with; scopes and rows are the key's. Unset: it asks without one, as an open API on this machine
    allows."""

    api_key_pepper: SecretStr | None = None
    """Secret the digests of API keys are made with; the same wherever keys are made and checked. Unset: generated once
    into FINOPS_HOME."""

    rate_limit_queries_per_minute: int = Field(default=600, ge=0)
    """How many questions one API key may ask in a minute; 0 means any number."""

    rate_limit_exports_per_minute: int = Field(default=20, ge=0)
    """How many downloads one API key may begin in a minute; 0 means any number."""

    rate_limit_refusals_per_minute: int = Field(default=30, ge=0)
    """How many requests without a valid key are answered 401 in a minute, by address; more get 429. 0 means any
    number."""

    rate_limit_sign_ins_per_minute: int = Field(default=120, ge=0)
    """How many steps of signing in, of which each sign-in has two, are answered in a minute, by address; 0 means any
    number."""

    public_url: str | None = None
    """Where browsers find the API and the dashboard: `https://finops.example.com`. Needed for signing in."""

    oidc_issuer: str | None = None
    """The OpenID Connect provider that people sign in at, by its issuer: `https://accounts.google.com`. Unset: nobody
    signs in, and the API knows keys alone."""

    oidc_client_id: str | None = None
    """What the provider calls this deployment."""

    oidc_client_secret: SecretStr | None = None
    """What this deployment proves that with. Unset: the provider takes it for a public client, by PKCE alone."""

    oidc_scopes: str = "openid email profile"
    """What the provider is asked to tell of people. `openid` and `email` are needed."""

    oidc_groups_claim: str = "groups"
    """The claim of the ID token that names somebody's groups; `group:…` below is looked for in it."""

    oidc_admins: str | None = None
    """Who reads, downloads and changes: e-mail addresses, `@domain`s and `group:name`s, with commas between them."""

    oidc_analysts: str | None = None
    """Who reads and downloads; written as OIDC_ADMINS is."""

    oidc_viewers: str | None = None
    """Who reads; written as OIDC_ADMINS is. Who is in none of the three is refused."""

    session_hours: int = Field(default=12, gt=0, le=720)
    """After how many hours somebody signs in again, whatever they do."""

    session_idle_minutes: int = Field(default=120, ge=5)
    """After how many minutes without a request somebody signs in again."""

    redis_url: SecretStr | None = None
    """A Redis in which several processes of the API share answers and count requests together:
    `redis://user:password@host:6379/0`, `rediss://…` for TLS. Unset: each keeps and counts for itself."""

    api_replicas: int = Field(default=1, gt=0)
    """How many processes of the API share the database. Each may open twelve connections; one that starts says so when
    all of them together may not."""

    cors_origins: str | None = None
    """Other origins whose pages may call the API with a key, with spaces between them: `https://wiki.example.com`."""

    dagster_url: str = "http://127.0.0.1:3000"
    """Where people reach the Dagster UI; links to runs and partitions start with it."""

    alert_webhook_url: SecretStr | None = None
    """Where failed runs and parked partitions are reported, as a JSON POST. Unset: only Dagster and status say it."""

    llm_provider: Literal["none", "openai", "anthropic", "vertex", "local"] = "none"
    """Who writes the sentences: `none` is our own rules; `local` is any server that speaks OpenAI's protocol."""

    llm_model_name: str | None = None
    """The provider's name of the model. Needed by every provider."""

    llm_api_key: SecretStr | None = None
    """The key for openai and anthropic, and for a local server that wants one. Vertex uses the machine's identity."""

    llm_base_url: str | None = None
    """Where the provider is, when that is not its usual place. Needed by `local`: `http://127.0.0.1:11434/v1`."""

    llm_vertex_project: str | None = None
    """Google Cloud project that pays for Vertex AI. Needed by `vertex`."""

    llm_vertex_location: str | None = None
    """Region Vertex AI is asked in, or `global`. Needed by `vertex`."""

    llm_timeout_seconds: float = Field(default=30, gt=0, le=600)
    """How long one answer may take; after two more tries our own rules write."""

    llm_max_usd_per_run: Decimal = Field(default=Decimal(5), ge=0)
    """A run that has spent so much asks no model any more. Counts calls whose price is known."""

    llm_max_tokens_per_run: int = Field(default=2_000_000, ge=0)
    """A run that has sent and received so many tokens asks no model any more."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """How much is logged."""

    log_format: Literal["text", "json"] = "text"
    """`json` for log collectors, one object a line; `text` for people."""

    @field_validator("database_url", "dagster_database_url")
    @classmethod
    def _is_a_postgres_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        try:
            url = make_url(value.get_secret_value())
        except (ArgumentError, ValueError):  # ValueError: of a port that is none, and its message holds the text
            raise ValueError("is not a database URL; write postgresql://user:password@host:5432/database") from None
        if url.get_backend_name() not in ("postgresql", "postgres"):
            raise ValueError("is not a PostgreSQL URL; write postgresql://user:password@host:5432/database")
        if not url.database:
            raise ValueError("names no database; write postgresql://user:password@host:5432/database")
        return value

    @field_validator("redis_url")
    @classmethod
    def _is_a_redis_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value().strip():
            return None  # an empty file, where Compose wants the secret to be there
        said = value.get_secret_value().strip()
        try:
            url = urlsplit(said)
            is_one = url.scheme in ("redis", "rediss") and bool(url.hostname) and url.port != 0
        except ValueError:  # of a port that is none, and its message holds the text
            raise ValueError(REDIS_URL_REMEDY) from None
        # What stands behind a question mark would be options of the client, timeouts among them.
        if not is_one or not re.fullmatch(r"/?|/\d{1,4}", url.path) or url.query or url.fragment:
            raise ValueError(REDIS_URL_REMEDY)
        return SecretStr(said)

    @field_validator("api_key_pepper")
    @classmethod
    def _cannot_be_guessed(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < MIN_PEPPER:
            raise ValueError(f"has fewer than {MIN_PEPPER} characters; make one that cannot be guessed")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: str | None) -> str | None:
        # A wildcard is none: whoever means everybody can run a proxy that says so.
        if not all(ORIGIN.fullmatch(origin) for origin in (value or "").split()):
            raise ValueError("names what is no origin; write https://host in small letters, with a port if it has one")
        return value

    @field_validator("billing_timezone")
    @classmethod
    def _is_a_time_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("is not an IANA time zone; write for example America/Los_Angeles or Etc/UTC") from None
        return value

    @field_validator("finops_home", "dimensions_file", "invoices_dir")
    @classmethod
    def _is_absolute_from_here_on(cls, value: Path | None) -> Path | None:
        # Dagster's processes run in folders of their own; a relative path would mean another place there.
        return None if value is None else value.expanduser().absolute()

    @field_validator("bigquery_api_endpoint", "bigquery_storage_endpoint")
    @classmethod
    def _is_loopback(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not is_loopback(value.split("://")[-1].split("/")[0].rsplit(":", 1)[0].strip("[]")):
            # It is spoken to without credentials or encryption: only a test server may be.
            raise ValueError("may only name this machine (127.0.0.1, [::1] or localhost)")
        return value

    @model_validator(mode="after")
    def _endpoints_need_bigquery(self) -> Self:
        is_bigquery = "bigquery://" in (self.billing_export_url or "")  # it may hold several URLs
        if (self.bigquery_api_endpoint or self.bigquery_storage_endpoint) and not is_bigquery:
            raise ValueError(
                "BIGQUERY_API_ENDPOINT or BIGQUERY_STORAGE_ENDPOINT is set but BILLING_EXPORT_URL is not bigquery://…"
            )
        return self

    @field_validator(
        *("llm_model_name", "llm_base_url", "llm_vertex_project", "llm_vertex_location", "llm_api_key"),
        *("finops_api_key", "public_url", "oidc_issuer", "oidc_client_id", "oidc_client_secret", *OIDC_LISTS),
    )
    @classmethod
    def _empty_is_unset(cls, value: str | SecretStr | None) -> str | SecretStr | None:
        said = value.get_secret_value() if isinstance(value, SecretStr) else value
        return value if said else None  # deployments often declare every variable, and leave some empty

    @field_validator("llm_base_url")
    @classmethod
    def _is_a_web_address(cls, value: str | None) -> str | None:
        if value is not None and not (value.startswith(("http://", "https://")) and urlsplit(value).hostname):
            raise ValueError("is not an address; write https://host/path or http://127.0.0.1:11434/v1")
        return value

    @field_validator("public_url")
    @classmethod
    def _is_an_origin(cls, value: str | None) -> str | None:
        if value is None:
            return None
        url = urlsplit(value)
        if not url.hostname or "@" in url.netloc or url.path.strip("/") or url.query or url.fragment:
            raise ValueError("is not where a site begins; write https://finops.example.com, without a path")
        if not is_safe(value):
            raise ValueError("would carry sessions in the clear. Write https://, or name this machine")
        # As browsers name an origin, to be compared with what they send.
        usual = {"https": ":443", "http": ":80"}[url.scheme]
        return f"{url.scheme}://{url.netloc.lower().removesuffix(usual)}"

    @field_validator("oidc_issuer")
    @classmethod
    def _is_an_issuer(cls, value: str | None) -> str | None:
        if value is not None and (not is_safe(value) or urlsplit(value).query or urlsplit(value).fragment):
            raise ValueError("is not an issuer; write it as the provider does, https://accounts.google.com")
        return value

    @field_validator("oidc_scopes")
    @classmethod
    def _asks_who_it_is(cls, value: str) -> str:
        if not {"openid", "email"} <= set(value.split()):
            raise ValueError("must hold openid and email, or nobody can be told from anybody")
        return value

    @field_validator(*OIDC_LISTS)
    @classmethod
    def _lists_people(cls, value: str | None) -> str | None:
        wrong = [entry for entry in _entries(value) if not _LISTED.fullmatch(entry)]
        if wrong:
            raise ValueError(
                "must list e-mail addresses, @domains and group:names with commas between them; "
                f"entry {_entries(value).index(wrong[0]) + 1} is none of these"
            )
        return value

    @model_validator(mode="after")
    def _people_can_sign_in(self) -> Self:
        """Half of it would be a deployment that everybody believes to be open to those listed."""
        given = [name for name in (*OIDC_NEEDS, "oidc_client_secret", *OIDC_LISTS) if getattr(self, name) is not None]
        if given in ([], ["public_url"]):
            return self
        missing = [name for name in OIDC_NEEDS if name not in given]
        if missing:
            raise ValueError(f"{_variables(missing)} is not set, and signing in needs it.")
        if not any(_entries(getattr(self, name)) for name in OIDC_LISTS):
            raise ValueError(f"None of {_variables(OIDC_LISTS)} names anybody, so nobody could sign in.")
        return self

    @model_validator(mode="after")
    def _the_model_can_be_asked(self) -> Self:
        """A half-made choice must not silently mean the rules."""
        given = [name for name in LLM_NEEDS["any"] if getattr(self, name) is not None]
        if self.llm_provider == "none":
            if given:
                raise ValueError(
                    f"{_variables(given)} is set but LLM_PROVIDER is none. Name the provider, or unset the others."
                )
            return self
        missing = [name for name in LLM_NEEDS[self.llm_provider] if name not in given]
        if missing:
            raise ValueError(f"{_variables(missing)} is not set, and LLM_PROVIDER={self.llm_provider} needs it.")
        if self.llm_provider == "vertex" and self.llm_api_key is not None:
            raise ValueError("LLM_API_KEY is set but LLM_PROVIDER=vertex uses the machine's Google identity. Unset it.")
        if self.llm_provider != "local" and self.llm_base_url is not None and not is_safe(self.llm_base_url):
            raise ValueError("LLM_BASE_URL would carry credentials in the clear. Write https://, or name this machine.")
        return self

    @property
    def embedded(self) -> bool:
        """Whether the database is the one we keep ourselves."""
        return self.database_url is None

    @property
    def signs_people_in(self) -> bool:
        """Whether people sign in at a provider."""
        return self.oidc_issuer is not None

    @property
    def listed_people(self) -> dict[str, tuple[str, ...]]:
        """Who is listed for each role, the one that may most first."""
        return {
            "admin": _entries(self.oidc_admins),
            "analyst": _entries(self.oidc_analysts),
            "viewer": _entries(self.oidc_viewers),
        }

    @property
    def first_day(self) -> date:
        """The first day of the asset graph's partitions."""
        if self.billing_start_day is not None:
            return self.billing_start_day
        sample_days = () if self.billing_export_url else self.sample_folder.glob("*/export_day=*")
        return min((date.fromisoformat(day.name.removeprefix("export_day=")) for day in sample_days), default=EARLIEST)

    @property
    def sample_folder(self) -> Path:
        """Where the sample export lives when no other export is named."""
        return self.finops_home / "sample"


def _variables(names: Sequence[str]) -> str:
    return ", ".join(name.upper() for name in names)


def _entries(listed: str | None) -> tuple[str, ...]:
    return tuple(entry.strip() for entry in (listed or "").split(",") if entry.strip())


def is_safe(url: str) -> bool:
    """Whether a secret may be sent there: encrypted, or not leaving this machine."""
    parts = urlsplit(url)
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def sqlalchemy_url(dsn: str, driver: str) -> URL:
    """`dsn` with its driver named: since SQLAlchemy 2.1 a bare `postgresql://` no longer means psycopg2."""
    return make_url(dsn).set(drivername=f"postgresql+{driver}")


def libpq_url(dsn: str) -> str:
    """`dsn` as libpq and psycopg 3 read it, whatever driver it named."""
    return make_url(dsn).set(drivername="postgresql").render_as_string(hide_password=False)


def setting_names() -> list[str]:
    """Every variable a deployment may set."""
    return [name.upper() for name in Settings.model_fields]


def misspelt_settings() -> list[str]:
    """Variables and lines of `.env` that look like ours and are not, each as a sentence with the likeliest name."""
    ours = setting_names()
    given = {name.upper() for name in [*os.environ, *dotenv_values(".env")]}
    strangers = [name for name in given if name.startswith(OUR_PREFIXES) and name not in ours]
    close = {name: difflib.get_close_matches(name, ours, n=1, cutoff=0.75) for name in strangers}
    return [f"{name} is not a setting; did you mean {match[0]}?" for name, match in sorted(close.items()) if match]


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """The settings of this process, read once from the environment and `.env`.

    Raises `SettingsError` naming every wrong variable; no value is printed, since it may be a secret.
    """
    try:
        return Settings()
    except ValidationError as refused:
        lines = []
        for error in refused.errors(include_input=False, include_url=False):
            name = ".".join(str(part) for part in error["loc"]).upper()
            said = error["msg"].removeprefix("Value error, ")
            lines.append(f"{name} {said}" if name else said)
        raise SettingsError("Settings are wrong:\n  " + "\n  ".join(lines)) from None
