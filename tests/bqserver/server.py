"""The server itself: REST in one thread, Storage Read over gRPC in others, both on ports of 127.0.0.1."""

import json
import re
import threading
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import grpc  # type: ignore[import-untyped]
import pyarrow as pa
from google.cloud.bigquery_storage_v1.types.arrow import ArrowRecordBatch, ArrowSchema, ArrowSerializationOptions
from google.cloud.bigquery_storage_v1.types.storage import CreateReadSessionRequest, ReadRowsRequest, ReadRowsResponse
from google.cloud.bigquery_storage_v1.types.stream import DataFormat, ReadSession, ReadStream

from bqserver.faults import Fault, Faults
from bqserver.tables import NotModelled, StoredTable

MESSAGE_ROWS = 8_192
MINIMUM_BYTES_BILLED = 10 * 2**20
"""What BigQuery bills for any job at least."""

_TABLE_PATH = re.compile(r"/bigquery/v2/projects/(?P<p>[^/]+)/datasets/(?P<d>[^/]+)/tables/(?P<t>[^/]+)")
_JOBS_PATH = re.compile(r"/bigquery/v2/projects/(?P<p>[^/]+)/jobs")
_RESULTS_PATH = re.compile(r"/bigquery/v2/projects/[^/]+/queries/(?P<job>[^/]+)")
_STORAGE_TABLE = re.compile(r"projects/(?P<p>[^/]+)/datasets/(?P<d>[^/]+)/tables/(?P<t>[^/]+)")
_PARTITIONS_QUERY = re.compile(
    r"SELECT partition_id, total_rows, last_modified_time FROM `(?P<p>[^`]+)`\.`(?P<d>[^`]+)`"
    r"\.INFORMATION_SCHEMA\.PARTITIONS WHERE table_name = @(?P<parameter>\w+)"
)
_PARTITIONS_SCHEMA = [
    {"name": "partition_id", "type": "STRING", "mode": "NULLABLE"},
    {"name": "total_rows", "type": "INTEGER", "mode": "NULLABLE"},
    {"name": "last_modified_time", "type": "TIMESTAMP", "mode": "NULLABLE"},
]


class BigQueryServer:
    """`BigQueryServer({"project.dataset.table": folder})`, used as a context manager."""

    def __init__(self, tables: Mapping[str, Path]) -> None:
        self._tables = {name: StoredTable(folder) for name, folder in tables.items()}
        self._faults = Faults()
        self._jobs: dict[str, dict[str, Any]] = {}
        self._streams: dict[str, tuple[pa.Table, pa.ipc.IpcWriteOptions]] = {}
        self._rest = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._rest_thread = threading.Thread(target=self._rest.serve_forever, kwargs={"poll_interval": 0.02})
        self._grpc = grpc.server(ThreadPoolExecutor(max_workers=4))
        self._grpc.add_generic_rpc_handlers((self._rpc_handlers(),))
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
    def requests(self) -> list[str]:
        """Every call so far: `GET /bigquery/v2/…`, `CreateReadSession`, `ReadRows@<offset>`."""
        return self._faults.calls

    def plan(self, fault: Fault) -> None:
        """Let `fault` happen from now on."""
        self._faults.plan(fault)

    def answer(self, call: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """What REST answers to `call`, a method and a path."""
        if fault := self._faults.met_by(call):
            return int(fault.status), _error(int(fault.status), fault.reason, "planned by the test")
        try:
            return self._routed(call, body)
        # Clients try a 500 again for minutes; 501 ends the test at once and says what is missing.
        except Exception as failed:  # noqa: BLE001
            return 501, _error(501, "notImplemented", f"{type(failed).__name__}: {failed}")

    def _routed(self, call: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        method, _, path = call.partition(" ")
        if method == "GET" and (asked := _TABLE_PATH.fullmatch(path)):
            return self._table(asked["p"], asked["d"], asked["t"])
        if method == "POST" and (asked := _JOBS_PATH.fullmatch(path)):
            return self._run(asked["p"], body)
        if method == "GET" and (asked := _RESULTS_PATH.fullmatch(path)):
            return self._results(asked["job"])
        raise NotModelled(call)

    def _table(self, project: str, dataset: str, name: str) -> tuple[int, dict[str, Any]]:
        table = self._tables.get(f"{project}.{dataset}.{name}")
        if table is None:
            return 404, _error(404, "notFound", f"Not found: Table {project}:{dataset}.{name}")
        partitions = table.partitions()
        return 200, {
            "kind": "bigquery#table",
            "id": f"{project}:{dataset}.{name}",
            "tableReference": {"projectId": project, "datasetId": dataset, "tableId": name},
            "type": "TABLE",
            "location": "US",
            "schema": {"fields": table.schema()},
            "numRows": str(sum(partition.total_rows for partition in partitions)),
            "numBytes": str(table.size()),
            "lastModifiedTime": str(max(partition.last_modified_us for partition in partitions) // 1000),
            "timePartitioning": {"type": "DAY"},
        }

    def _run(self, project: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        configuration = body["configuration"]
        query = configuration["query"]
        asked = _PARTITIONS_QUERY.fullmatch(" ".join(query["query"].split()))
        if asked is None or query.get("useLegacySql", True):
            raise NotModelled(f"the query {query['query']!r}")
        values = {
            parameter["name"]: parameter["parameterValue"]["value"] for parameter in query.get("queryParameters", [])
        }
        table = self._tables.get(f"{asked['p']}.{asked['d']}.{values[asked['parameter']]}")
        job_id = body["jobReference"].get("jobId") or uuid.uuid4().hex
        status: dict[str, Any] = {"state": "DONE"}
        if int(query.get("maximumBytesBilled", MINIMUM_BYTES_BILLED)) < MINIMUM_BYTES_BILLED:
            problem = {"reason": "bytesBilledLimitExceeded", "message": "Query exceeded limit for bytes billed"}
            status |= {"errorResult": problem, "errors": [problem]}
        self._jobs[job_id] = {
            "kind": "bigquery#job",
            "id": f"{project}:US.{job_id}",
            "jobReference": {"projectId": project, "jobId": job_id, "location": "US"},
            "configuration": configuration | {"jobType": "QUERY"},
            "status": status,
            "statistics": {"query": {"totalBytesProcessed": "0", "totalBytesBilled": str(MINIMUM_BYTES_BILLED)}},
            "rows": table.partitions() if table and not configuration.get("dryRun") else [],
        }
        return 200, {key: value for key, value in self._jobs[job_id].items() if key != "rows"}

    def _results(self, job_id: str) -> tuple[int, dict[str, Any]]:
        job = self._jobs.get(job_id)
        if job is None:
            return 404, _error(404, "notFound", f"Not found: Job {job_id}")
        if problem := job["status"].get("errorResult"):
            return 500, _error(500, problem["reason"], problem["message"])
        rows = [(row.partition_id, row.total_rows, row.last_modified_us) for row in job["rows"]]
        return 200, {
            "kind": "bigquery#getQueryResultsResponse",
            "jobReference": job["jobReference"],
            "jobComplete": True,
            "schema": {"fields": _PARTITIONS_SCHEMA},
            "totalRows": str(len(rows)),
            "rows": [{"f": [{"v": str(value)} for value in row]} for row in rows],
        }

    def _create_read_session(self, request: CreateReadSessionRequest, context: grpc.ServicerContext) -> ReadSession:
        if fault := self._faults.met_by("CreateReadSession"):
            context.abort(grpc.StatusCode[str(fault.status)], "planned by the test")
        asked = _STORAGE_TABLE.fullmatch(request.read_session.table)
        name = ".".join(asked.groups()) if asked else ""
        if name not in self._tables:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Not found: Table {request.read_session.table}")
        if request.read_session.data_format != DataFormat.ARROW:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "a format other than Arrow")
        options = request.read_session.read_options
        try:
            rows, size = self._tables[name].scan(list(options.selected_fields), options.row_restriction)
        except Exception as failed:  # noqa: BLE001  any other status would be tried again for minutes
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{type(failed).__name__}: {failed}")
        return self._opened(request, rows, size)

    def _opened(self, request: CreateReadSessionRequest, rows: pa.Table, size: int) -> ReadSession:
        codec = request.read_session.read_options.arrow_serialization_options.buffer_compression
        is_lz4 = codec == ArrowSerializationOptions.CompressionCodec.LZ4_FRAME
        written = pa.ipc.IpcWriteOptions(compression="lz4" if is_lz4 else None)
        name = f"{request.parent}/locations/us/sessions/{uuid.uuid4().hex}"
        count = min(request.max_stream_count or 2, 4, rows.num_rows)
        part = -(-rows.num_rows // count) if count else 0
        streams = [f"{name}/streams/{index}" for index in range(count)]
        for index, stream in enumerate(streams):
            self._streams[stream] = (rows.slice(index * part, part), written)
        return ReadSession(
            name=name,
            table=request.read_session.table,
            data_format=DataFormat.ARROW,
            arrow_schema=ArrowSchema(serialized_schema=rows.schema.serialize().to_pybytes()),
            streams=[ReadStream(name=stream) for stream in streams],
            estimated_row_count=rows.num_rows,
            estimated_total_bytes_scanned=size,
        )

    def _read_rows(self, request: ReadRowsRequest, context: grpc.ServicerContext) -> Iterator[ReadRowsResponse]:
        fault = self._faults.met_by(f"ReadRows@{request.offset}")
        if request.read_stream not in self._streams:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Not found: Stream {request.read_stream}")
        rows, written = self._streams[request.read_stream]
        sent = 0
        for batch in rows.slice(request.offset).combine_chunks().to_batches(max_chunksize=MESSAGE_ROWS):
            if fault and sent >= fault.after_rows:
                break
            response = ReadRowsResponse(
                row_count=batch.num_rows,
                arrow_record_batch=ArrowRecordBatch(
                    serialized_record_batch=_serialized(batch, written), row_count=batch.num_rows
                ),
            )
            if not sent:
                # The client cannot decode a stream whose first message has no schema.
                response.arrow_schema = ArrowSchema(serialized_schema=rows.schema.serialize().to_pybytes())
            sent += batch.num_rows
            yield response
        if fault:
            context.abort(grpc.StatusCode[str(fault.status)], "planned by the test")

    def _rpc_handlers(self) -> grpc.GenericRpcHandler:
        # The proto-plus types serialise themselves, so no generated servicer is needed.
        return grpc.method_handlers_generic_handler(
            "google.cloud.bigquery.storage.v1.BigQueryRead",
            {
                "CreateReadSession": grpc.unary_unary_rpc_method_handler(
                    self._create_read_session, CreateReadSessionRequest.deserialize, ReadSession.serialize
                ),
                "ReadRows": grpc.unary_stream_rpc_method_handler(
                    self._read_rows, ReadRowsRequest.deserialize, ReadRowsResponse.serialize
                ),
            },
        )

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer({})

            def do_POST(self) -> None:
                self._answer(json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0)))))

            def _answer(self, body: dict[str, Any]) -> None:
                status, said = server.answer(f"{self.command} {unquote(urlsplit(self.path).path)}", body)
                content = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class calls it so
                """Stay quiet: `requests` is the log."""

        return Handler


def _serialized(batch: pa.RecordBatch, written: pa.ipc.IpcWriteOptions) -> bytes:
    """The batch as one Arrow IPC message: `RecordBatch.serialize` knows no compression, a stream writer does."""
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, batch.schema, options=written) as writer:
        writer.write_batch(batch)
    _, message, *_ = pa.ipc.MessageReader.open_stream(stream.getvalue())
    return bytes(message.serialize().to_pybytes())


def _error(code: int, reason: str, message: str) -> dict[str, Any]:
    """An error in the shape that google-api-core reads reasons from."""
    problem = {"domain": "global", "reason": reason, "message": message}
    return {"error": {"code": code, "message": message, "errors": [problem]}}
