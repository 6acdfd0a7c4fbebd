"""Queries that cannot cost more than was agreed: what one would process is asked first, and it is held to that.

Each job has an id made of what it asks. A query that is sent again, by a client that lost the answer or by a process
that was killed, is the same job and is billed once.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING

from finops_pipeline.sources.base import Purse, Spend
from finops_pipeline.sources.bigquery import patience
from finops_pipeline.sources.bigquery.access import Access
from finops_pipeline.sources.bigquery.storage_read import OpenedRows, StorageReads
from finops_pipeline.sources.bigquery.table import storage_path
from finops_warehouse.errors import SourceUnreachable

if TYPE_CHECKING:
    from google.cloud import bigquery
    from google.cloud.bigquery.table import RowIterator

MINIMUM_BYTES_BILLED = 10 * 2**20
"""What BigQuery bills for any query at least."""

_HEADROOM = 1.2
"""How much more than estimated a query may bill: rows may arrive between the question and the query."""

_ROWS_AT_ONCE = 10_000
_JOBS_OF_ONE_QUERY = 10
_NO_LABEL = re.compile(r"[^a-z0-9_-]+")


@dataclass(frozen=True)
class Query:
    """GoogleSQL with named parameters, and what it is for."""

    sql: str
    parameters: Mapping[str, str | date | datetime]
    purpose: str
    """In a few words, for the purse and for labels on Google's bill."""
    export_day: date | None
    occasion: str
    """On the same occasion the same query is the same job, and has the same rows: a fingerprint of what it reads."""


@dataclass(frozen=True)
class GuardedQueries:
    """Query jobs under one identity, paid from one purse, none of them billed more than `max_bytes_billed`."""

    access: Access
    purse: Purse
    max_bytes_billed: int
    run_label: str | None = None
    """A label on Google's bill that says which run it was."""

    def estimated_bytes(self, query: Query, location: str | None) -> int:
        """What the query would be billed for, by a dry run, which is free."""
        with closing(self.access.client()) as client:
            return self._dry_run(client, query, location)

    @contextmanager
    def rows(self, query: Query, reads: StorageReads, location: str | None) -> Iterator[OpenedRows]:
        """Run `query` and open its rows, which are read from storage: by REST they are a hundred times slower.

        Raises `BudgetReached` before the query is run.
        """
        from google.api_core.exceptions import NotFound

        with ExitStack() as opened, closing(self.access.client()) as client:
            job_ids = self._job_ids(query)
            try:
                rows = opened.enter_context(self._result(client, query, reads, location, job_ids))
            except NotFound:
                # The job, or the table with its rows, has expired. Half a result is never completed from another.
                rows = opened.enter_context(self._result(client, query, reads, location, job_ids))
            yield rows

    def few_rows(self, query: Query, location: str | None) -> list["bigquery.Row"]:
        """Run `query` and fetch its rows by REST: for some thousand rows, with nothing billed but the query."""
        from google.api_core.exceptions import NotFound

        with closing(self.access.client()) as client:
            job_ids = self._job_ids(query)
            try:
                return list(self._finished(client, query, location, job_ids, _ROWS_AT_ONCE)[1])
            except NotFound:
                return list(self._finished(client, query, location, job_ids, _ROWS_AT_ONCE)[1])

    @contextmanager
    def _result(
        self,
        client: "bigquery.Client",
        query: Query,
        reads: StorageReads,
        location: str | None,
        job_ids: Iterator[str],
    ) -> Iterator[OpenedRows]:
        job, _ = self._finished(client, query, location, job_ids)
        table = job.destination
        with reads.open(
            storage_path(table.project, table.dataset_id, table.table_id),
            purpose=f"fetch the result of: {query.purpose}",
            export_day=query.export_day,
        ) as opened:
            yield replace(opened, billed_bytes=opened.billed_bytes + (job.total_bytes_billed or 0))

    def _finished(
        self,
        client: "bigquery.Client",
        query: Query,
        location: str | None,
        job_ids: Iterator[str],
        rows_at_once: int | None = None,
    ) -> tuple["bigquery.QueryJob", "RowIterator"]:
        """The query's job once it is done, allowed by the purse before and paid after, however it ended.

        Its rows are fetched by REST, `rows_at_once`, by whoever iterates over them; without a number nobody does.
        """
        from google.api_core.exceptions import ClientError
        from google.cloud.bigquery import QueryJob

        estimated = self._dry_run(client, query, location)
        planned = Spend("query", query.purpose, query.export_day, estimated_bytes=estimated)
        self.purse.allow(planned)
        job: QueryJob | None = None
        may_have_run = True
        try:
            job = self._begun(client, query, location, estimated, job_ids)
            rows = patience.results_retry()(job.result)(
                page_size=rows_at_once, retry=patience.rest_retry(), timeout=patience.QUERY_SECONDS
            )
        except ClientError:
            may_have_run = job is not None
            raise
        finally:
            self.purse.pay(_done(planned, job, may_have_run))
        return job, rows

    def _dry_run(self, client: "bigquery.Client", query: Query, location: str | None) -> int:
        config = self._config(query)
        config.dry_run = True
        job = client.query(
            query.sql,
            job_config=config,
            location=location,
            retry=patience.rest_retry(),
            timeout=patience.PATIENCE_SECONDS,
            job_retry=None,
        )
        return max(job.total_bytes_processed or 0, MINIMUM_BYTES_BILLED)

    def _begun(
        self,
        client: "bigquery.Client",
        query: Query,
        location: str | None,
        estimated: int,
        job_ids: Iterator[str],
    ) -> "bigquery.QueryJob":
        """The query's job: a new one, or the one that an earlier attempt began and that has not failed."""
        from google.api_core.exceptions import Conflict
        from google.cloud.bigquery import QueryJob

        config = self._config(query)
        config.maximum_bytes_billed = min(self.max_bytes_billed, int(_HEADROOM * estimated))
        for job_id in job_ids:
            try:
                return client.query(
                    query.sql,
                    job_config=config,
                    job_id=job_id,
                    location=location,
                    retry=patience.rest_retry(),
                    timeout=patience.PATIENCE_SECONDS,
                    job_retry=None,
                )
            except Conflict:
                job = client.get_job(
                    job_id, location=location, retry=patience.rest_retry(), timeout=patience.PATIENCE_SECONDS
                )
                if isinstance(job, QueryJob) and job.error_result is None:
                    return job
        raise SourceUnreachable(
            f"BigQuery has failed {_JOBS_OF_ONE_QUERY} jobs of one query ({query.purpose}). Look at the jobs of "
            f"project {self.access.billing_project} with the label app: finops-intelligence."
        )

    def _config(self, query: Query) -> "bigquery.QueryJobConfig":
        from google.cloud import bigquery

        labels = {"app": "finops-intelligence", "purpose": _label(query.purpose)}
        if query.export_day is not None:
            labels["export_day"] = query.export_day.isoformat()
        if self.run_label is not None:
            labels["run"] = _label(self.run_label)
        parameters = [
            bigquery.ScalarQueryParameter(name, _parameter_type(value), value)
            for name, value in query.parameters.items()
        ]
        return bigquery.QueryJobConfig(query_parameters=parameters, labels=labels)

    def _job_ids(self, query: Query) -> Iterator[str]:
        asked = [self.access.billing_project, query.sql, query.occasion, str(query.export_day)]
        asked += [f"{name}={value}" for name, value in sorted(query.parameters.items())]
        digest = hashlib.blake2b("\0".join(asked).encode(), digest_size=16).hexdigest()
        return (f"finops_{digest}_{attempt}" for attempt in range(_JOBS_OF_ONE_QUERY))


def _done(planned: Spend, job: "bigquery.QueryJob | None", may_have_run: bool) -> Spend:
    """What the query came to. Until BigQuery has said it, that is what was estimated."""
    if job is None:
        return replace(planned, billed_bytes=planned.estimated_bytes if may_have_run else 0)
    if job.state != "DONE":
        return replace(planned, billed_bytes=planned.estimated_bytes, job_id=job.job_id)
    return replace(planned, billed_bytes=job.total_bytes_billed or 0, slot_ms=job.slot_millis or 0, job_id=job.job_id)


def _parameter_type(value: str | date | datetime) -> str:
    if isinstance(value, str):
        return "STRING"
    return "TIMESTAMP" if isinstance(value, datetime) else "DATE"


def _label(text: str) -> str:
    """`text` as Google allows it in a label."""
    return _NO_LABEL.sub("-", text.lower()).strip("-")[:63]
