"""BILLING_EXPORT_URL: the forms it may take."""

import subprocess
import sys

import pytest

from finops_pipeline.sources import open_source
from finops_warehouse.errors import SettingsError


@pytest.mark.parametrize(
    ("url", "means"),
    [
        ("file:///data/export", "file:///data/export"),
        ("file:///data/my%20export", "file:///data/my%20export"),
        ("file://localhost/data/export", "file:///data/export"),
        ("bigquery://acme.billing.export", "bigquery://acme.billing.export"),
        ("bigquery://acme.billing.export?mode=storage", "bigquery://acme.billing.export"),
        ("bigquery://acme.billing.export?mode=query&streams=4", "bigquery://acme.billing.export"),
        (
            "bigquery://acme.billing.export?credentials=/run/key.json&billing_project=ops",
            "bigquery://acme.billing.export",
        ),
        ("bigquery://example.com:acme.billing.export", "bigquery://example.com:acme.billing.export"),
    ],
)
def test_an_export_is_named_by_a_url(url: str, means: str) -> None:
    """And the source says the same URL back, for logs and errors."""
    assert open_source(url).url == means


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/data/export",
        "gs://bucket/export",
        "file://data/export",
        "file:///data/export?day=1",
        "bigquery://acme.billing",
        "bigquery://acme.billing.export?mode=fast",
        "bigquery://acme.billing.export?mode=query&mode=storage",
        "bigquery://acme.billing.export?streams=0",
        "bigquery://acme.billing.export?streams=many",
        "bigquery://acme.billing.export?billing_project=",
        "bigquery://acme.billing.export?password=secret",
        "bigquery://acme.`billing`.export",
    ],
)
def test_anything_else_is_refused_with_the_forms_there_are(url: str) -> None:
    """A source is never guessed: the wrong export is the wrong bill."""
    with pytest.raises(SettingsError, match="BILLING_EXPORT_URL"):
        open_source(url)


def test_opening_a_bigquery_source_imports_nothing_of_google() -> None:
    """Every command and every Dagster process would wait for it."""
    code = (
        "import sys; from finops_pipeline.sources import open_source; open_source('bigquery://a.b.c'); "
        "sys.exit(any(name.startswith(('google.cloud', 'grpc')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
