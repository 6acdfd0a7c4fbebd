"""The server itself: REST in one set of threads, Storage Read over gRPC in another, both on ports of 127.0.0.1."""

import json
import re
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import grpc  # type: ignore[import-untyped]

from bqserver.faults import Call, Fault, Faults
from bqserver.jobs import Job, Jobs
from bqserver.read_sessions import ReadSessions
from bqserver.refusals import NotModelled, Refused, error_body
from bqserver.tables import StoredTable, leaves_of

_TABLE_PATH = re.compile(r"/bigquery/v2/projects/(?P<p>[^/]+)/datasets/(?P<d>[^/]+)/tables/(?P<t>[^/]+)")
_JOBS_PATH = re.compile(r"/bigquery/v2/projects/(?P<p>[^/]+)/jobs")
_JOB_PATH = re.compile(r"/bigquery/v2/projects/(?P<p>[^/]+)/jobs/(?P<job>[^/]+)")
_RESULTS_PATH = re.compile(r"/bigquery/v2/projects/(?P<p>[^/]+)/queries/(?P<job>[^/]+)")


class BigQueryServer:
    """`BigQueryServer({"project.dataset.table": folder})`, used as a context manager."""

    def __init__(self, tables: Mapping[str, Path | StoredTable]) -> None:
        self._tables = {
            name: table if isinstance(table, StoredTable) else StoredTable(table) for name, table in tables.items()
        }
        self._faults = Faults()
        self._jobs = Jobs(self._tables)
        self._rest = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._rest_thread = threading.Thread(target=self._rest.serve_forever, kwargs={"poll_interval": 0.02})
        self._grpc = grpc.server(ThreadPoolExecutor(max_workers=8))
        sessions = ReadSessions(self._tables, self._jobs.result_table, self._faults)
        self._grpc.add_generic_rpc_handlers((sessions.handler(),))
        self._grpc_port = self._grpc.add_insecure_port("127.0.0.1:0")

    def __enter__(self) -> Self:
        self._rest_thread.start()
        self._grpc.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._rest.shutdown()
        self._rest.server_close()
        self._rest_thread.join()
        self._grpc.stop(grace=0).wait()

    @property
    def api_endpoint(self) -> str:
        """For `BIGQUERY_API_ENDPOINT`."""
        return f"http://127.0.0.1:{self._rest.server_port}"

    @property
    def storage_endpoint(self) -> str:
        """For `BIGQUERY_STORAGE_ENDPOINT`."""
        return f"127.0.0.1:{self._grpc_port}"

    @property
    def calls(self) -> list[Call]:
        """Every call so far, with what it asked for and under which authorization."""
        return self._faults.calls

    @property
    def requests(self) -> list[str]:
        """The names of the calls alone."""
        return [call.name for call in self.calls]

    @property
    def jobs(self) -> list[Job]:
        """Every job that was run; a dry run is none."""
        return self._jobs.all()

    def plan(self, fault: Fault) -> None:
        """Let `fault` happen from now on."""
        self._faults.plan(fault)

    def expire_jobs(self) -> None:
        """Forget every job and its result, as BigQuery does after a day."""
        self._jobs.forget()

    def full_scan_bytes(self, table: str) -> int:
        """The logical bytes of every column and partition of a table."""
        stored = self._tables[table]
        leaves = [leaf for name, kind in stored.columns().items() for leaf in leaves_of(name, kind)]
        return stored.logical_bytes(stored.partitions(), leaves)

    def answer(
        self,
        call: str,
        body: dict[str, Any],
        asked: Mapping[str, str] | None = None,
        authorization: str | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """What REST answers to `call`, a method and a path; `asked` is the query string."""
        is_dry = bool(body.get("configuration", {}).get("dryRun"))
        if fault := self._faults.met_by(Call(f"{call} (dry run)" if is_dry else call, authorization, body)):
            return int(fault.status), error_body(int(fault.status), fault.reason, "planned by the test")
        try:
            return 200, self._routed(call, body, asked or {})
        except Refused as refused:
            return refused.code, error_body(refused.code, refused.reason, str(refused))
        # Clients try a 500 again for minutes; 501 ends the test at once and says what is missing.
        except Exception as failed:  # noqa: BLE001
            return 501, error_body(501, "notImplemented", f"{type(failed).__name__}: {failed}")

    def _routed(self, call: str, body: dict[str, Any], asked: Mapping[str, str]) -> dict[str, Any]:
        method, _, path = call.partition(" ")
        if method == "GET" and (found := _TABLE_PATH.fullmatch(path)):
            return self._table(found["p"], found["d"], found["t"])
        if method == "POST" and (found := _JOBS_PATH.fullmatch(path)):
            return self._jobs.insert(found["p"], body)
        if method == "GET" and (found := _JOB_PATH.fullmatch(path)):
            return self._jobs.get(found["p"], found["job"], asked)
        if method == "GET" and (found := _RESULTS_PATH.fullmatch(path)):
            return self._jobs.results(found["p"], found["job"], asked)
        raise NotModelled(call)

    def _table(self, project: str, dataset: str, name: str) -> dict[str, Any]:
        table = self._tables.get(f"{project}.{dataset}.{name}")
        if table is None:
            raise Refused(404, "notFound", f"Not found: Table {project}:{dataset}.{name}")
        partitions = table.partitions()
        partitioning: dict[str, Any] = {"type": "DAY"}
        if table.keeps_days_for is not None:
            partitioning["expirationMs"] = str(int(table.keeps_days_for.total_seconds() * 1000))
        return {
            "kind": "bigquery#table",
            "id": f"{project}:{dataset}.{name}",
            "tableReference": {"projectId": project, "datasetId": dataset, "tableId": name},
            "type": "TABLE",
            "location": table.location,
            "schema": {"fields": table.schema()},
            "numRows": str(sum(partition.total_rows for partition in partitions)),
            "numBytes": str(self.full_scan_bytes(f"{project}.{dataset}.{name}")),
            "creationTime": str(int(table.created.timestamp() * 1000)),
            "lastModifiedTime": str(int(max(part.last_modified for part in partitions).timestamp() * 1000)),
            "timePartitioning": partitioning,
            "requirePartitionFilter": table.require_partition_filter,
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer({})

            def do_POST(self) -> None:
                self._answer(json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0)))))

            def _answer(self, body: dict[str, Any]) -> None:
                url = urlsplit(self.path)
                status, said = server.answer(
                    f"{self.command} {unquote(url.path)}",
                    body,
                    dict(parse_qsl(url.query)),
                    self.headers.get("Authorization"),
                )
                content = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class calls it so
                """Stay quiet: `calls` is the log."""

        return Handler
