"""How long we wait for Google: what fails is tried again for a while, and never for Google's own ten minutes."""

from typing import TYPE_CHECKING

from finops_pipeline.sources.bigquery.refusals import reasons

if TYPE_CHECKING:
    from google.api_core.retry import Retry

PATIENCE_SECONDS = 45.0
"""How long a failing call is tried again. Google's own ten minutes would leave an operator guessing."""

QUERY_SECONDS = 600.0
"""How long a healthy query may take, queueing included. Asked again later, the same question finds the same job."""


def rest_retry() -> "Retry":
    """What Google's client tries again by itself: overload, rate limits, broken connections, any status 500."""
    from google.cloud.bigquery import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(PATIENCE_SECONDS)


def results_retry() -> "Retry":
    """A healthy job whose results were asked for too often. With a job id of ours Google's client leaves that to us."""
    from google.api_core.retry import Retry

    return Retry(
        predicate=lambda failed: "jobRateLimitExceeded" in reasons(failed),
        initial=0.5,
        maximum=5.0,
        timeout=QUERY_SECONDS,
    )


def storage_retry() -> "Retry":
    """A session that cannot be opened, or a stream that cannot be taken up again, because the service is busy."""
    from google.api_core.exceptions import ServiceUnavailable
    from google.api_core.retry import Retry, if_exception_type

    return Retry(predicate=if_exception_type(ServiceUnavailable), initial=0.1, maximum=5.0, timeout=PATIENCE_SECONDS)
