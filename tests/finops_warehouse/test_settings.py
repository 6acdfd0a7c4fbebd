"""What a deployment may choose, and how a wrong choice is refused: by name, and never with its value."""

from datetime import date
from pathlib import Path

import pytest

from finops_warehouse.errors import SettingsError
from finops_warehouse.settings import (
    EARLIEST,
    Settings,
    libpq_url,
    load_settings,
    misspelt_settings,
    setting_names,
    sqlalchemy_url,
)

SECRET = "hunter2"

WRONG = [
    ("DATABASE_URL", f"mysql://root:{SECRET}@db/costs", "PostgreSQL"),
    ("DATABASE_URL", f"root {SECRET} at db", "postgresql://"),
    ("DATABASE_URL", f"postgresql://root:{SECRET}@db", "names no database"),
    ("DATABASE_URL", f"postgresql://root:{SECRET}@db:{SECRET}/costs", "DATABASE_URL"),
    ("DAGSTER_DATABASE_URL", f"sqlite:///{SECRET}", "PostgreSQL"),
    ("BILLING_TIMEZONE", f"Mars/{SECRET}", "America/Los_Angeles"),
    ("BILLING_TIMEZONE", f"../{SECRET}", "America/Los_Angeles"),
    ("BILLING_START_DAY", f"yesterday {SECRET}", "date"),
    ("EXTRACT_GRAIN", SECRET, "row"),
    ("LOAD_MEMORY_MB", "64", "greater than or equal to 128"),
    ("BIGQUERY_MAX_BYTES_BILLED", "0", "greater than 0"),
    ("BIGQUERY_MAX_BYTES_BILLED", SECRET, "integer"),
    ("BIGQUERY_API_ENDPOINT", f"http://{SECRET}.example.com:9050", "this machine"),
    ("BIGQUERY_API_ENDPOINT", "http://127.0.0.1.example.com:9050", "this machine"),
    ("BIGQUERY_STORAGE_ENDPOINT", "10.0.0.1:9060", "this machine"),
    ("SQLALCHEMY_ECHO", SECRET, "boolean"),
    ("REDIS_URL", f"http://:{SECRET}@cache:6379", "redis://"),
    ("REDIS_URL", f"redis://:{SECRET}@/0", "redis://"),
    ("REDIS_URL", f"redis://:{SECRET}@cache:{SECRET}/0", "redis://"),
    ("REDIS_URL", f"redis://:{SECRET}@cache/first", "redis://"),
    ("REDIS_URL", f"redis://:{SECRET}@cache/0?socket_timeout=60", "redis://"),
    ("REDIS_URL", f"redis://:{SECRET}@cache[", "redis://"),
    ("LOG_LEVEL", "LOUD", "DEBUG"),
    ("LOG_FORMAT", "xml", "json"),
]


@pytest.mark.parametrize(("name", "value", "remedy"), WRONG, ids=[f"{name}={value}" for name, value, _ in WRONG])
def test_a_wrong_value_is_refused_by_name_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, remedy: str
) -> None:
    """The message goes to a log; the variable and the remedy are wanted there, the password is not."""
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as refused:
        load_settings()

    assert name in str(refused.value)
    assert remedy in str(refused.value)
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_every_wrong_value_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three mistakes are one restart, not three."""
    for name in ("LOG_LEVEL", "BILLING_TIMEZONE", "DATABASE_URL"):
        monkeypatch.setenv(name, "wrong")

    with pytest.raises(SettingsError) as refused:
        load_settings()

    assert all(name in str(refused.value) for name in ("LOG_LEVEL", "BILLING_TIMEZONE", "DATABASE_URL"))


@pytest.mark.parametrize("name", ["BIGQUERY_API_ENDPOINT", "BIGQUERY_STORAGE_ENDPOINT"])
@pytest.mark.parametrize("export", [None, "file:///data/export"])
def test_settings_that_contradict_each_other_are_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, export: str | None
) -> None:
    """A BigQuery endpoint without a BigQuery export is a mistake in one of the two."""
    monkeypatch.setenv(name, "http://127.0.0.1:9050" if "API" in name else "127.0.0.1:9060")
    if export:
        monkeypatch.setenv("BILLING_EXPORT_URL", export)

    with pytest.raises(SettingsError, match="BILLING_EXPORT_URL"):
        load_settings()

    monkeypatch.setenv("BILLING_EXPORT_URL", "bigquery://p.d.t")
    assert load_settings().billing_export_url == "bigquery://p.d.t"


ASKED = {
    "openai": {"LLM_MODEL_NAME": "m", "LLM_API_KEY": SECRET},
    "anthropic": {"LLM_MODEL_NAME": "m", "LLM_API_KEY": SECRET},
    "vertex": {"LLM_MODEL_NAME": "m", "LLM_VERTEX_PROJECT": "p", "LLM_VERTEX_LOCATION": "europe-west1"},
    "local": {"LLM_MODEL_NAME": "m", "LLM_BASE_URL": "http://127.0.0.1:11434/v1"},
}
"""What each provider of language models needs, and no more."""


@pytest.mark.parametrize("provider", ASKED)
def test_a_provider_with_all_it_needs_is_taken(monkeypatch: pytest.MonkeyPatch, provider: str) -> None:
    """The refusals below must not hit it; and what a deployment declares and leaves empty is unset."""
    for name in ("LLM_API_KEY", "LLM_BASE_URL", "LLM_VERTEX_PROJECT", "LLM_VERTEX_LOCATION"):
        monkeypatch.setenv(name, "")
    for name, value in {"LLM_PROVIDER": provider, **ASKED[provider]}.items():
        monkeypatch.setenv(name, value)

    assert (load_settings().llm_provider, load_settings().llm_model_name) == (provider, "m")


@pytest.mark.parametrize(
    ("provider", "name"), [(provider, name) for provider, needs in ASKED.items() for name in needs]
)
def test_a_provider_without_what_it_needs_is_refused(monkeypatch: pytest.MonkeyPatch, provider: str, name: str) -> None:
    """Silence would mean texts by the rules, from somebody who believes to pay for a model."""
    for given, value in {"LLM_PROVIDER": provider, **ASKED[provider]}.items():
        if given != name:
            monkeypatch.setenv(given, value)

    with pytest.raises(SettingsError, match=rf"{name} .*LLM_PROVIDER={provider}") as refused:
        load_settings()

    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("name", ["LLM_API_KEY", "LLM_MODEL_NAME", "LLM_VERTEX_PROJECT"])
def test_a_model_without_a_provider_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A key that nobody uses was meant for somebody."""
    monkeypatch.setenv(name, SECRET)

    with pytest.raises(SettingsError, match=f"{name} .*LLM_PROVIDER") as refused:
        load_settings()

    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("provider", "name", "value", "remedy"),
    [
        ("vertex", "LLM_API_KEY", SECRET, "Google identity"),
        ("openai", "LLM_BASE_URL", f"http://{SECRET}.example.com/v1", "https://"),
        ("vertex", "LLM_BASE_URL", f"http://{SECRET}.example.com", "https://"),
        ("local", "LLM_BASE_URL", SECRET, "http://127.0.0.1:11434/v1"),
        ("local", "LLM_BASE_URL", f"file:///{SECRET}", "http://127.0.0.1:11434/v1"),
        ("openai", "LLM_TIMEOUT_SECONDS", "0", "greater than 0"),
        ("openai", "LLM_MAX_USD_PER_RUN", "-1", "greater than or equal to 0"),
        ("openai", "LLM_PROVIDER", SECRET, "anthropic"),
    ],
)
def test_a_model_that_cannot_be_asked_so_is_refused(
    monkeypatch: pytest.MonkeyPatch, provider: str, name: str, value: str, remedy: str
) -> None:
    """A key over plain http is no secret any more."""
    for given, usual in {"LLM_PROVIDER": provider, **ASKED[provider], name: value}.items():
        monkeypatch.setenv(given, usual)

    with pytest.raises(SettingsError) as refused:
        load_settings()

    assert name in str(refused.value)
    assert remedy in str(refused.value)
    assert SECRET not in str(refused.value)


SIGN_IN = {
    "OIDC_ISSUER": "https://accounts.example.com",
    "OIDC_CLIENT_ID": "finops",
    "PUBLIC_URL": "https://finops.example.com",
    "OIDC_VIEWERS": "@example.com",
}
"""What signing in needs, and no more."""


def test_people_sign_in_with_all_that_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusals below must not hit it; what is left empty is unset; an origin is as browsers write it."""
    for name, value in {**SIGN_IN, "OIDC_CLIENT_SECRET": "", "OIDC_ADMINS": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PUBLIC_URL", "https://FinOps.example.com:443/")
    monkeypatch.setenv("OIDC_ANALYSTS", " group:Cost analysts, someone@example.com,, ")

    assert load_settings().signs_people_in
    assert load_settings().oidc_client_secret is None
    assert load_settings().public_url == "https://finops.example.com"
    assert load_settings().listed_people == {
        "admin": (),
        "analyst": ("group:Cost analysts", "someone@example.com"),
        "viewer": ("@example.com",),
    }


@pytest.mark.parametrize("name", SIGN_IN)
def test_half_a_sign_in_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A deployment that knows keys alone, while somebody believes that people sign in."""
    for given, value in SIGN_IN.items():
        if given != name:
            monkeypatch.setenv(given, value)

    with pytest.raises(SettingsError, match=name):
        load_settings()


def test_nobody_signs_in_unless_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Knowing where browsers find us is not yet a provider."""
    monkeypatch.setenv("PUBLIC_URL", "http://127.0.0.1:8000")

    assert not load_settings().signs_people_in


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("PUBLIC_URL", f"http://{SECRET}.example.com", "https://"),
        ("PUBLIC_URL", f"https://example.com/{SECRET}", "without a path"),
        ("PUBLIC_URL", f"https://{SECRET}@example.com", "without a path"),
        ("PUBLIC_URL", SECRET, "https://finops.example.com"),
        ("PUBLIC_URL", f"ftp://127.0.0.1/?{SECRET}", "https://finops.example.com"),
        ("OIDC_ISSUER", f"http://{SECRET}.example.com", "https://accounts.google.com"),
        ("OIDC_ISSUER", f"https://accounts.example.com?{SECRET}", "https://accounts.google.com"),
        ("OIDC_ISSUER", SECRET, "https://accounts.google.com"),
        ("OIDC_VIEWERS", f"@example.com, {SECRET}", "entry 2 is none of these"),
        ("OIDC_ADMINS", f"a@b.com {SECRET}@b.com", "commas between them"),
        ("OIDC_ADMINS", "group:", "commas between them"),
        ("OIDC_ADMINS", "@", "commas between them"),
        ("OIDC_VIEWERS", " , ", "names anybody"),
        ("OIDC_SCOPES", "openid profile", "openid and email"),
        ("SESSION_HOURS", "0", "greater than 0"),
        ("SESSION_IDLE_MINUTES", "1", "greater than or equal to 5"),
    ],
)
def test_a_sign_in_that_is_wrong_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, remedy: str
) -> None:
    """Before the first person is sent anywhere."""
    for given, usual in {**SIGN_IN, name: value}.items():
        monkeypatch.setenv(given, usual)

    with pytest.raises(SettingsError) as refused:
        load_settings()

    assert name in str(refused.value)
    assert remedy in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9050", "http://localhost:9050", "http://[::1]:9050"])
def test_an_endpoint_on_this_machine_is_taken(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """The test server is there; the refusal above must not hit it."""
    monkeypatch.setenv("BILLING_EXPORT_URL", "bigquery://p.d.t")
    monkeypatch.setenv("BIGQUERY_API_ENDPOINT", endpoint)

    assert load_settings().bigquery_api_endpoint == endpoint


@pytest.mark.parametrize(
    "name", ["DATABASE_URL", "API_TOKEN", "API_KEY_PEPPER", "ALERT_WEBHOOK_URL", "DAGSTER_DATABASE_URL", "LLM_API_KEY"]
)
def test_a_secret_is_not_printed_with_the_settings(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Somebody logs the settings some day."""
    monkeypatch.setenv(name, f"postgresql://u:{SECRET}@h/d")
    if name == "LLM_API_KEY":
        monkeypatch.setenv("LLM_PROVIDER", "openai")
        monkeypatch.setenv("LLM_MODEL_NAME", "m")

    assert SECRET not in repr(load_settings())
    assert SECRET not in load_settings().model_dump_json()


def test_settings_come_from_the_env_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`.env` in the working folder is what `cp .env.example .env` makes; the environment has the last word."""
    (tmp_path / ".env").write_text("LOG_LEVEL=DEBUG\nBILLING_TIMEZONE=Etc/UTC\n")
    monkeypatch.setenv("LOG_LEVEL", "ERROR")

    assert (load_settings().log_level, load_settings().billing_timezone) == ("ERROR", "Etc/UTC")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("DATABASE_ULR", "DATABASE_URL"),
        ("BILLING_EXPORT", "BILLING_EXPORT_URL"),
        ("BILLING_TIME_ZONE", "BILLING_TIMEZONE"),
        ("FINOPS_HOMR", "FINOPS_HOME"),
        ("BIGQUERY_MAX_BYTES", "BIGQUERY_MAX_BYTES_BILLED"),
    ],
)
def test_a_misspelt_name_is_reported_with_the_one_that_was_meant(
    monkeypatch: pytest.MonkeyPatch, name: str, meant: str
) -> None:
    """Silence would mean the default: the sample instead of the company's export."""
    monkeypatch.setenv(name, SECRET)

    [said] = misspelt_settings()

    assert said == f"{name} is not a setting; did you mean {meant}?"


def test_names_of_others_are_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning at every start about somebody else's variable is one nobody reads."""
    for name in ["PATH_X", "DATABASE_HOST_OF_ANOTHER_PROGRAM", "LLM_CACHE_DIR_OF_ANOTHER", *setting_names()]:
        monkeypatch.setenv(name, "x")

    assert misspelt_settings() == []


def test_a_misspelt_name_in_the_env_file_is_reported(tmp_path: Path) -> None:
    """Most people's settings are in `.env`, and so are their typing mistakes."""
    (tmp_path / ".env").write_text("# DATABASE_ULR=commented\nBILLING_EXPORT_ULR=file:///x\nexport LOG_LEVEL=INFO\n")

    assert misspelt_settings() == ["BILLING_EXPORT_ULR is not a setting; did you mean BILLING_EXPORT_URL?"]


def test_the_first_day_is_the_one_that_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the operator says counts, whatever the sample holds."""
    (tmp_path / "home/sample/table/export_day=2026-08-01").mkdir(parents=True)
    monkeypatch.setenv("BILLING_START_DAY", "2025-02-03")

    assert load_settings().first_day == date(2025, 2, 3)


def test_the_first_day_of_the_sample_is_the_first_partition(tmp_path: Path) -> None:
    """A demo of 90 days shows 90 partitions in the Dagster UI, not a thousand empty ones."""
    for day in ("2026-08-02", "2026-08-01", "2026-08-03"):
        (tmp_path / f"home/sample/table/export_day={day}").mkdir(parents=True)

    assert load_settings().first_day == date(2026, 8, 1)


def test_a_real_export_does_not_begin_with_the_sample(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A sample left over from a demo must not cut off the years before it."""
    (tmp_path / "home/sample/table/export_day=2026-08-01").mkdir(parents=True)
    monkeypatch.setenv("BILLING_EXPORT_URL", "file:///data/export")

    assert load_settings().first_day == EARLIEST


def test_without_anything_the_first_day_is_the_earliest() -> None:
    """Nothing set and nothing generated yet: loading the definitions must work all the same."""
    assert load_settings().first_day == EARLIEST == date(2024, 1, 1)


@pytest.mark.parametrize("given", ["postgresql", "postgres", "postgresql+psycopg2", "postgresql+asyncpg"])
def test_a_database_url_may_name_any_driver(given: str) -> None:
    """People paste what another program's documentation says; we use our own driver and keep the password whole."""
    rest = "u%40corp:p%2Fw%25@h:6432/d?sslmode=require"

    assert libpq_url(f"{given}://{rest}") == f"postgresql://{rest}"
    url = sqlalchemy_url(f"{given}://{rest}", "psycopg")
    assert (url.drivername, url.username, url.password) == ("postgresql+psycopg", "u@corp", "p/w%")
    assert dict(url.query) == {"sslmode": "require"}


@pytest.mark.parametrize("given", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_a_database_url_of_each_of_these_kinds_is_taken(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """Heroku, Render and older documentation write `postgres://`."""
    monkeypatch.setenv("DATABASE_URL", f"{given}://u:p@h/d")

    assert load_settings().database_url is not None


def test_the_home_is_absolute_and_knows_the_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Dagster's processes work in other folders; `.finops` must be the same place for all of them."""
    monkeypatch.setenv("FINOPS_HOME", ".finops")
    assert load_settings().finops_home == tmp_path / ".finops"

    load_settings.cache_clear()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FINOPS_HOME", "~/finops")
    assert load_settings().finops_home == tmp_path / "finops"


def test_every_setting_says_what_it_is_for() -> None:
    """Each description is what `.env.example` and the documentation are checked against."""
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("empty", ["", " ", "\n"])
def test_an_empty_redis_url_is_none(monkeypatch: pytest.MonkeyPatch, empty: str) -> None:
    """Compose wants the file of a secret to be there, also where there is no Redis."""
    monkeypatch.setenv("REDIS_URL", empty)

    assert load_settings().redis_url is None


@pytest.mark.parametrize("url", ["redis://cache", "rediss://finops:p%40ss@cache:6380/3", "redis://[::1]:6379/0"])
def test_a_redis_url_is_taken_and_not_shown(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """With a password, TLS, a port and a number of a database, or none of these."""
    monkeypatch.setenv("REDIS_URL", f"{url}\n")

    given = load_settings().redis_url

    assert given is not None
    assert given.get_secret_value() == url
    assert url not in repr(load_settings())
