"""Query jobs: run at once, described as BigQuery describes them, and their results kept as anonymous tables."""

import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from bqserver.refusals import NotModelled, Refused
from bqserver.rows import rows_of, schema_of
from bqserver.sql import Question
from bqserver.tables import StoredTable

MINIMUM_BYTES_BILLED = 10 * 2**20
"""What BigQuery bills for any query at least."""

_MEBIBYTE = 2**20


@dataclass(frozen=True)
class Job:
    """One job that was run. A dry run is none."""

    resource: dict[str, Any]
    rows: pa.Table | None
    """None when it failed."""

    @property
    def id(self) -> str:
        """As the client chose it."""
        return str(self.resource["jobReference"]["jobId"])

    @property
    def labels(self) -> dict[str, str]:
        """For whoever reads the bill."""
        return dict(self.resource["configuration"].get("labels", {}))

    @property
    def processed_bytes(self) -> int:
        """What a dry run would have said."""
        return int(self.resource["statistics"]["query"]["totalBytesProcessed"])

    @property
    def billed_bytes(self) -> int:
        """Nothing, when it was refused for being too much."""
        return int(self.resource["statistics"]["query"]["totalBytesBilled"])

    @property
    def maximum_bytes_billed(self) -> int | None:
        """What it was allowed to bill."""
        allowed = self.resource["configuration"]["query"].get("maximumBytesBilled")
        return None if allowed is None else int(allowed)


class Jobs:
    """Every job so far, by project and id."""

    def __init__(self, tables: Mapping[str, StoredTable]) -> None:
        self._tables = tables
        self._jobs: dict[tuple[str, str], Job] = {}
        self._lock = threading.Lock()

    def all(self) -> list[Job]:
        """In the order they were begun."""
        return list(self._jobs.values())

    def insert(self, project: str, body: dict[str, Any]) -> dict[str, Any]:
        """Run a query, or only say what it would process. Raises `Refused` and `NotModelled`."""
        configuration = body["configuration"]
        asked = configuration.get("query")
        if asked is None or asked.get("useLegacySql", True):
            raise NotModelled("a job other than a query in GoogleSQL")
        if asked.get("destinationTable") or asked.get("writeDisposition"):
            raise NotModelled("a destination table")
        job_id = body["jobReference"].get("jobId") or uuid.uuid4().hex
        location = body["jobReference"].get("location", "US")
        question = Question(asked["query"], asked.get("queryParameters", []), self._tables, location)
        reference = {"projectId": project, "jobId": job_id, "location": location}
        processed = question.processed_bytes
        if configuration.get("dryRun"):
            statistics = {"query": {"totalBytesProcessed": str(processed), "totalBytesBilled": "0"}}
            return _resource(reference, configuration, statistics)
        with self._lock:
            if (project, job_id) in self._jobs:
                raise Refused(409, "duplicate", f"Already Exists: Job {project}:{location}.{job_id}")
            job = _run(question, reference, configuration, processed)
            self._jobs[(project, job_id)] = job
        # The client has to come back for the outcome, as it has to with jobs that take their time.
        return job.resource | {"status": {"state": "RUNNING"}, "statistics": {}}

    def get(self, project: str, job_id: str, asked: Mapping[str, str]) -> dict[str, Any]:
        """The job as it is now."""
        return self._found(project, job_id, asked).resource

    def results(self, project: str, job_id: str, asked: Mapping[str, str]) -> dict[str, Any]:
        """One page of its rows."""
        job = self._found(project, job_id, asked)
        if job.rows is None:
            problem = job.resource["status"]["errorResult"]
            raise Refused(400, problem["reason"], problem["message"])
        start = int(asked.get("pageToken") or asked.get("startIndex") or 0)
        length = int(asked.get("maxResults", 100_000))
        page = job.rows.slice(start, length)
        # A client that asks for no rows is waiting for the job to end: it gets neither rows nor a place to go on from.
        more: dict[str, Any] = {"rows": rows_of(page)} if length else {}
        if length and start + length < job.rows.num_rows:
            more["pageToken"] = str(start + length)
        return {
            "kind": "bigquery#getQueryResultsResponse",
            "jobReference": job.resource["jobReference"],
            "jobComplete": True,
            "schema": {"fields": schema_of(job.rows)},
            "totalRows": str(job.rows.num_rows),
            "totalBytesProcessed": str(job.processed_bytes),
        } | more

    def result_table(self, name: str) -> pa.Table | None:
        """The rows kept under an anonymous table's full name; None when there is no such table."""
        for job in self._jobs.values():
            if job.rows is not None and _destination_name(job) == name:
                return job.rows
        return None

    def forget(self) -> None:
        """Let every job and its result expire."""
        with self._lock:
            self._jobs.clear()

    def _found(self, project: str, job_id: str, asked: Mapping[str, str]) -> Job:
        job = self._jobs.get((project, job_id))
        location = asked.get("location", "US")
        if job is None or job.resource["jobReference"]["location"] != location:
            raise Refused(404, "notFound", f"Not found: Job {project}:{location}.{job_id}")
        return job


def _run(question: Question, reference: dict[str, str], configuration: dict[str, Any], processed: int) -> Job:
    billed = max(MINIMUM_BYTES_BILLED, -(-processed // _MEBIBYTE) * _MEBIBYTE)
    allowed = configuration["query"].get("maximumBytesBilled")
    if allowed is not None and int(allowed) < billed:
        nothing = {"query": {"totalBytesProcessed": str(processed), "totalBytesBilled": "0"}}
        said = f"Query exceeded limit for bytes billed: {allowed}. {billed} or higher required."
        problem = {"reason": "bytesBilledLimitExceeded", "message": said}
        return Job(_resource(reference, configuration, nothing, problem), None)
    try:
        rows = question.run()
    except duckdb.InvalidInputException as raised:
        # ERROR() of the query itself. It was run, so it is billed.
        told = {"query": {"totalBytesProcessed": str(processed), "totalBytesBilled": str(billed), "totalSlotMs": "1"}}
        said = str(raised).removeprefix("Invalid Input Error: ")
        return Job(_resource(reference, configuration, told, {"reason": "invalidQuery", "message": said}), None)
    slot_ms = 1 + processed // _MEBIBYTE
    statistics: dict[str, Any] = {
        "query": {
            "totalBytesProcessed": str(processed),
            "totalBytesBilled": str(billed),
            "totalSlotMs": str(slot_ms),
            "statementType": "SELECT",
            "cacheHit": False,
        }
    }
    destination = {
        "projectId": reference["projectId"],
        "datasetId": "_anonymous",
        "tableId": f"anon{uuid.uuid4().hex}",
    }
    query = configuration["query"] | {"destinationTable": destination}
    return Job(_resource(reference, configuration | {"query": query}, statistics), rows)


def _resource(
    reference: dict[str, str],
    configuration: dict[str, Any],
    statistics: dict[str, Any],
    problem: dict[str, str] | None = None,
) -> dict[str, Any]:
    status: dict[str, Any] = {"state": "DONE"}
    if problem:
        status |= {"errorResult": problem, "errors": [problem]}
    return {
        "kind": "bigquery#job",
        "id": f"{reference['projectId']}:{reference['location']}.{reference['jobId']}",
        "jobReference": reference,
        "configuration": configuration | {"jobType": "QUERY"},
        "status": status,
        "statistics": statistics,
    }


def _destination_name(job: Job) -> str:
    table = job.resource["configuration"]["query"]["destinationTable"]
    return f"{table['projectId']}.{table['datasetId']}.{table['tableId']}"
