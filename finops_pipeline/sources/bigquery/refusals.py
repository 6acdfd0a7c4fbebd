"""What Google's libraries raise, as one of our errors that says what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb

from finops_pipeline.sources.bigquery.access import Access
from finops_pipeline.sources.bigquery.table import TableName
from finops_pipeline.sources.contract import refused_value
from finops_warehouse.errors import (
    BadValue,
    FinopsError,
    NoPermission,
    SettingsError,
    SourceError,
    SourceUnreachable,
    UnknownTable,
)

_REFUSED_VALUE = re.compile(r"[a-z_.]+ is \S+ in a charge of SKU [^\n]{1,200}?(?=; |\n|$)")
"""What the query that adds charges up says of a value no figure can be made of."""

_OUT_OF_QUOTA = frozenset({"quotaExceeded", "rateLimitExceeded", "jobRateLimitExceeded"})


@contextmanager
def as_our_errors(table: TableName, access: Access, max_bytes_billed: int) -> Iterator[None]:
    """Whatever goes wrong inside with `table` is said as a `FinopsError`."""
    try:
        yield
    except FinopsError:
        raise
    except Exception as failed:
        ours = _as_our_error(failed, table, access, max_bytes_billed)
        if ours is None:
            raise
        raise ours from failed


def reasons(failed: BaseException | None) -> set[str]:
    """What BigQuery calls the error: its class follows the status, and that is the same for many reasons."""
    errors: list[Any] = getattr(failed, "errors", None) or []
    return {str(error["reason"]) for error in errors if isinstance(error, dict) and "reason" in error}


def is_out_of_quota(failed: BaseException | None) -> bool:
    """Waiting helps, asking for permission does not."""
    from google.api_core.exceptions import TooManyRequests

    return bool(reasons(failed) & _OUT_OF_QUOTA) or isinstance(failed, TooManyRequests)


def _as_our_error(failed: Exception, table: TableName, access: Access, max_bytes_billed: int) -> FinopsError | None:
    """None for what is not about BigQuery, such as a mistake of ours or memory running out."""
    import requests
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth

    place = f"BigQuery table {table}"
    if isinstance(failed, duckdb.Error):
        return refused_value(failed, place)
    if isinstance(failed, (auth.DefaultCredentialsError, auth.RefreshError)):
        if access.impersonate is not None:
            remedy = f"The identity that acts as it needs roles/iam.serviceAccountTokenCreator on {access.impersonate}."
        else:
            remedy = (
                "Set GOOGLE_APPLICATION_CREDENTIALS to a file of Google credentials, or run "
                "`gcloud auth application-default login`."
            )
        return NoPermission(
            f"BigQuery needs a Google identity, and {access.identity} is missing or no longer valid. {remedy} "
            f"{_first_line(failed)}"
        )
    cause = failed.cause if isinstance(failed, api.RetryError) else failed
    if is_out_of_quota(cause):
        return SourceUnreachable(
            f"{place}: a BigQuery quota is used up. Wait until it renews (daily quotas: midnight Pacific "
            f"time) or raise it in the Google Cloud console under IAM & Admin > Quotas. {_first_line(cause)}"
        )
    if "bytesBilledLimitExceeded" in reasons(cause):
        return SettingsError(
            f"{place}: this query would bill more than BIGQUERY_MAX_BYTES_BILLED "
            f"({max_bytes_billed} bytes). Raise it; BigQuery bills at least 10 MiB for any query. {_first_line(cause)}"
        )
    if isinstance(cause, api.NotFound):
        return UnknownTable(f"There is no {place}. Check BILLING_EXPORT_URL. {_first_line(cause)}")
    if isinstance(cause, (api.Forbidden, api.Unauthorized)):
        return NoPermission(
            f"{place} may not be read by {access.identity}. Grant it roles/bigquery.dataViewer on the "
            f"dataset {table.dataset}, and roles/bigquery.readSessionUser and roles/bigquery.jobUser on the "
            f"project {access.billing_project}. {_first_line(cause)}"
        )
    unreachable = (api.RetryError, api.ServerError, auth.TransportError, requests.RequestException, OSError)
    if isinstance(failed, unreachable):
        return SourceUnreachable(
            f"{place} does not answer. Check the network and https://status.cloud.google.com; "
            f"it is asked again at the next tick. {_first_line(failed)}"
        )
    if isinstance(failed, api.GoogleAPIError):
        if refused := _REFUSED_VALUE.search(str(failed)):
            return BadValue(f"{place}: {refused[0]}. Correct the value, or export that day again.")
        return SourceError(f"{place} cannot be read. {_first_line(failed)}")
    return None


def _first_line(failed: object) -> str:
    """What Google said, short enough to stand behind our own sentence."""
    return str(failed).strip().split("\n", 1)[0][:300]
