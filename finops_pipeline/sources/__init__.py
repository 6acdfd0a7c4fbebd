"""Where billing rows come from. Every source gives the same Arrow table for the same export day."""

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from finops_pipeline.sources.base import BillingSource, ExportDayRead, Purse
from finops_warehouse.errors import SettingsError

__all__ = ["BillingSource", "ExportDayRead", "open_source"]

_ACCEPTED = "Write file:///absolute/folder or bigquery://project.dataset.table."


def open_source(
    url: str,
    *,
    bigquery_api_endpoint: str | None = None,
    bigquery_storage_endpoint: str | None = None,
    max_bytes_billed: int = 10 * 2**30,
    purse: Purse | None = None,
) -> BillingSource:
    """The source BILLING_EXPORT_URL names. Opens no connection; raises `SettingsError` for a URL it cannot mean.

    `purse` is asked before whatever is billed; without one there is no budget and nothing is written down.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "file":
        return _files(url)
    if separator and scheme == "bigquery":
        return _bigquery(url, rest, bigquery_api_endpoint, bigquery_storage_endpoint, max_bytes_billed, purse)
    raise SettingsError(f"BILLING_EXPORT_URL names no export we can read. {_ACCEPTED}")


def _files(url: str) -> BillingSource:
    from finops_pipeline.sources.files import FilesSource

    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        raise SettingsError(
            "BILLING_EXPORT_URL has to name an absolute folder: file:///data/export, with three slashes. "
            f"{parts.netloc!r} would be another machine."
        )
    if parts.query or parts.fragment:
        raise SettingsError("BILLING_EXPORT_URL: write ? as %3F and # as %23 in the name of a folder.")
    return FilesSource(Path(url2pathname(parts.path)))


def _bigquery(
    url: str,
    rest: str,
    api_endpoint: str | None,
    storage_endpoint: str | None,
    max_bytes_billed: int,
    purse: Purse | None,
) -> BillingSource:
    from finops_pipeline.sources.bigquery import BigQueryStorageSource

    table, _, options = rest.partition("?")
    if options == "mode=query":
        raise SettingsError(
            "BILLING_EXPORT_URL: mode=query is not available in this release. Leave it out, or write mode=storage."
        )
    names = table.rstrip("/").rsplit(".", 2)
    if options not in {"", "mode=storage"} or len(names) != 3 or not all(names):
        raise SettingsError(f"BILLING_EXPORT_URL {url} names no BigQuery table. {_ACCEPTED}")
    project, dataset, name = names
    return BigQueryStorageSource(
        project,
        dataset,
        name,
        api_endpoint=api_endpoint,
        storage_endpoint=storage_endpoint,
        max_bytes_billed=max_bytes_billed,
        purse=purse,
    )
