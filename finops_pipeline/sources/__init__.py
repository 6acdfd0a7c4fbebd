"""Where billing rows come from. Every source gives the same Arrow table for the same export day."""

from datetime import date
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit
from urllib.request import url2pathname

from finops_pipeline.sources.base import BillingSource, ExportDayRead, Purse
from finops_pipeline.sources.bigquery import Access, BigQuerySource, TableName
from finops_pipeline.sources.combined import CombinedSource
from finops_pipeline.sources.files import FilesSource
from finops_warehouse.errors import SettingsError

__all__ = ["BillingSource", "ExportDayRead", "open_source"]

_ACCEPTED = "Write file:///absolute/folder or bigquery://project.dataset.table."
_MOST_STREAMS = 16


def open_source(
    url: str,
    *,
    bigquery_api_endpoint: str | None = None,
    bigquery_storage_endpoint: str | None = None,
    max_bytes_billed: int = 10 * 2**30,
    credentials_file: Path | None = None,
    first_day: date = date(2024, 1, 1),
    purse: Purse | None = None,
    run_label: str | None = None,
    added_up_in: str | None = None,
) -> BillingSource:
    """The source BILLING_EXPORT_URL names: one URL, or several with white space between them, read as one export.

    Opens no connection. Raises `SettingsError` for a URL it cannot mean, and `SecondExport` for two of one account.

    A BigQuery URL takes options behind a question mark: `mode=storage` or `mode=query`, `streams=N`,
    `credentials=/path/file.json`, `impersonate=account@project.iam.gserviceaccount.com` and `billing_project=id`.
    `credentials_file` is for BigQuery exports whose URL names none, and never shown to a test server. `purse` is asked
    before anything is billed; without one nobody keeps count. `run_label` stands on Google's bill. `added_up_in`, a
    time zone, has BigQuery add up the hours of each usage day, unless the URL says mode=storage; files are read row by
    row, and whoever loads them adds up.
    """
    sources: list[BillingSource] = []
    for one in url.split():
        scheme, separator, rest = one.partition("://")
        if separator and scheme == "file":
            sources.append(_files(one))
        elif separator and scheme == "bigquery":
            name, options = _table_and_options(rest)
            own_credentials = Path(options["credentials"]) if "credentials" in options else None
            is_test_server = bool(bigquery_api_endpoint or bigquery_storage_endpoint)
            access = Access(
                options.get("billing_project", name.project),
                api_endpoint=bigquery_api_endpoint,
                storage_endpoint=bigquery_storage_endpoint,
                credentials_file=own_credentials or (None if is_test_server else credentials_file),
                impersonate=options.get("impersonate"),
            )
            sources.append(
                BigQuerySource(
                    name,
                    access,
                    mode="query" if options.get("mode") == "query" else "storage",
                    streams=int(options.get("streams", "1")),
                    max_bytes_billed=max_bytes_billed,
                    first_day=first_day,
                    purse=purse,
                    run_label=run_label,
                    added_up_in=None if options.get("mode") == "storage" else added_up_in,
                )
            )
        else:
            raise SettingsError(f"BILLING_EXPORT_URL names no export we can read. {_ACCEPTED}")
    if not sources:
        raise SettingsError(f"BILLING_EXPORT_URL is empty. {_ACCEPTED}")
    return sources[0] if len(sources) == 1 else CombinedSource(sources)


def _table_and_options(rest: str) -> tuple[TableName, dict[str, str]]:
    """What stands behind `bigquery://`."""
    name, _, query = rest.partition("?")
    parts = name.rstrip("/").rsplit(".", 2)
    if len(parts) != 3 or not all(parts):
        raise SettingsError(f"BILLING_EXPORT_URL: {name} names no BigQuery table. {_ACCEPTED}")
    return TableName(*parts), _options(query)


def _options(query: str) -> dict[str, str]:
    """What stands behind the question mark of a BigQuery URL."""
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) != len(pairs) or set(options) - {
        "mode",
        "streams",
        "credentials",
        "impersonate",
        "billing_project",
    }:
        raise SettingsError(
            f"BILLING_EXPORT_URL: the options {query!r} are not all known, or one is given twice. There are mode, "
            "streams, credentials, impersonate and billing_project."
        )
    if options.get("mode", "storage") not in {"storage", "query"}:
        raise SettingsError(f"BILLING_EXPORT_URL: mode={options['mode']} is neither mode=storage nor mode=query.")
    streams = options.get("streams", "1")
    if not (streams.isascii() and streams.isdigit() and 1 <= int(streams) <= _MOST_STREAMS):
        raise SettingsError(f"BILLING_EXPORT_URL: streams={streams} is not a number from 1 to {_MOST_STREAMS}.")
    for name in ("credentials", "impersonate", "billing_project"):
        if options.get(name) == "":
            raise SettingsError(f"BILLING_EXPORT_URL: the option {name} is empty.")
    return options


def _files(url: str) -> BillingSource:
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        raise SettingsError(
            "BILLING_EXPORT_URL has to name an absolute folder: file:///data/export, with three slashes. "
            f"{parts.netloc!r} would be another machine."
        )
    if parts.query or parts.fragment:
        raise SettingsError("BILLING_EXPORT_URL: write ? as %3F and # as %23 in the name of a folder.")
    return FilesSource(Path(url2pathname(parts.path)))
