"""Storage Read: a session is a selection of one table's rows, cut into streams that can be taken up at any row."""

import re
import threading
import uuid
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass

import duckdb
import grpc  # type: ignore[import-untyped]
import pyarrow as pa
from google.cloud.bigquery_storage_v1.types.arrow import ArrowRecordBatch, ArrowSchema, ArrowSerializationOptions
from google.cloud.bigquery_storage_v1.types.storage import CreateReadSessionRequest, ReadRowsRequest, ReadRowsResponse
from google.cloud.bigquery_storage_v1.types.stream import DataFormat, ReadSession, ReadStream

from bqserver.faults import Call, Faults
from bqserver.refusals import NotModelled, Refused
from bqserver.sql import Question
from bqserver.tables import FileState, Partition, StoredTable, file_state, leaves_of, selection

MESSAGE_ROWS = 8_192
MESSAGES_KEPT = 64
"""A day of 200,000 rows is 25. To make them again took 0.4 s of a benchmark's cores, and Google has its own."""

_TABLE_PATH = re.compile(r"projects/(?P<p>[^/]+)/datasets/(?P<d>[^/]+)/tables/(?P<t>[^/]+)")
_REFUSALS = {400: grpc.StatusCode.INVALID_ARGUMENT, 404: grpc.StatusCode.NOT_FOUND}


@dataclass(frozen=True)
class _Selection:
    """The rows of a session, read anew for every call: a day need not fit into memory."""

    prepare: Callable[[duckdb.DuckDBPyConnection], None]
    """Makes the view or table `held`."""
    sql: str
    estimated_bytes: int
    content: tuple[FileState, ...] = ()
    """The files it is read from, as they were; of a query's result there are none."""

    def open(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(config={"threads": 1})
        connection.execute("SET TimeZone = 'UTC'")
        self.prepare(connection)
        return connection


@dataclass(frozen=True)
class _Stream:
    selection: _Selection
    start: int
    rows: int
    written: pa.ipc.IpcWriteOptions


@dataclass(frozen=True)
class _Message:
    rows: int
    schema: bytes
    batch: bytes


class ReadSessions:
    """The gRPC service. What it does not model it answers with UNIMPLEMENTED, which no client tries again."""

    def __init__(
        self,
        tables: Mapping[str, StoredTable],
        result_table: Callable[[str], pa.Table | None],
        faults: Faults,
    ) -> None:
        self._tables = tables
        self._result_table = result_table
        self._faults = faults
        self._streams: dict[str, _Stream] = {}
        self._kept: dict[Hashable, list[_Message]] = {}
        self._keeping = threading.Lock()

    def handler(self) -> grpc.GenericRpcHandler:
        """For a gRPC server. The proto-plus types serialise themselves, so no generated servicer is needed."""
        return grpc.method_handlers_generic_handler(
            "google.cloud.bigquery.storage.v1.BigQueryRead",
            {
                "CreateReadSession": grpc.unary_unary_rpc_method_handler(
                    self._create, CreateReadSessionRequest.deserialize, ReadSession.serialize
                ),
                "ReadRows": grpc.unary_stream_rpc_method_handler(
                    self._read_rows, ReadRowsRequest.deserialize, ReadRowsResponse.serialize
                ),
            },
        )

    def _create(self, request: CreateReadSessionRequest, context: grpc.ServicerContext) -> ReadSession:
        options = request.read_session.read_options
        asked = {
            "parent": request.parent,
            "table": request.read_session.table,
            "selected_fields": list(options.selected_fields),
            "row_restriction": options.row_restriction,
            "max_stream_count": request.max_stream_count,
        }
        if fault := self._faults.met_by(Call("CreateReadSession", _authorization(context), asked)):
            context.abort(grpc.StatusCode[str(fault.status)], f"{fault.reason} planned by the test")
        try:
            return self._session(request)
        except Refused as refused:
            context.abort(_REFUSALS[refused.code], str(refused))
        except Exception as failed:  # noqa: BLE001  any other status would be tried again for minutes
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{type(failed).__name__}: {failed}")
        raise AssertionError  # abort raises

    def _session(self, request: CreateReadSessionRequest) -> ReadSession:
        if request.read_session.data_format != DataFormat.ARROW:
            raise NotModelled("a format other than Arrow")
        chosen = self._selection(request.read_session)
        with chosen.open() as connection:
            schema = connection.sql(f"{chosen.sql} LIMIT 0").to_arrow_table().schema
            [(rows,)] = connection.sql(f"SELECT count(*) FROM ({chosen.sql})").fetchall()
        codec = request.read_session.read_options.arrow_serialization_options.buffer_compression
        is_lz4 = codec == ArrowSerializationOptions.CompressionCodec.LZ4_FRAME
        written = pa.ipc.IpcWriteOptions(compression="lz4" if is_lz4 else None)
        name = f"{request.parent}/locations/us/sessions/{uuid.uuid4().hex}"
        count = min(request.max_stream_count or 2, 4, rows)
        part = -(-rows // count) if count else 0
        streams = [f"{name}/streams/{index}" for index in range(count)]
        for index, stream in enumerate(streams):
            start = index * part
            self._streams[stream] = _Stream(chosen, start, max(0, min(part, rows - start)), written)
        return ReadSession(
            name=name,
            table=request.read_session.table,
            data_format=DataFormat.ARROW,
            arrow_schema=ArrowSchema(serialized_schema=schema.serialize().to_pybytes()),
            streams=[ReadStream(name=stream) for stream in streams],
            estimated_row_count=rows,
            estimated_total_bytes_scanned=chosen.estimated_bytes,
        )

    def _selection(self, session: ReadSession) -> _Selection:
        path = _TABLE_PATH.fullmatch(session.table)
        name = ".".join(path.groups()) if path else ""
        fields = list(session.read_options.selected_fields)
        restriction = session.read_options.row_restriction
        if (result := self._result_table(name)) is not None:
            return _of_a_result(result, fields, restriction)
        if name not in self._tables:
            raise Refused(404, "notFound", f"Not found: Table {session.table}")
        return _of_a_table(name, self._tables[name], fields, restriction)

    def _read_rows(self, request: ReadRowsRequest, context: grpc.ServicerContext) -> Iterator[ReadRowsResponse]:
        fault = self._faults.met_by(
            Call(f"ReadRows@{request.offset}", _authorization(context), {"stream": request.read_stream})
        )
        stream = self._streams.get(request.read_stream)
        if stream is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Not found: Stream {request.read_stream}")
            raise AssertionError  # abort raises
        sent = 0
        for message in self._messages(stream, request.offset):
            if fault and sent >= fault.after_rows:
                break
            response = ReadRowsResponse(
                row_count=message.rows,
                arrow_record_batch=ArrowRecordBatch(serialized_record_batch=message.batch, row_count=message.rows),
            )
            if not sent:
                # The client cannot decode a stream whose first message has no schema.
                response.arrow_schema = ArrowSchema(serialized_schema=message.schema)
            sent += message.rows
            yield response
        if fault:
            context.abort(grpc.StatusCode[str(fault.status)], f"{fault.reason} planned by the test")

    def _messages(self, stream: _Stream, offset: int) -> Iterator[_Message]:
        """The rows of a stream from `offset` on. What was made of files is kept, when it is little."""
        first, left = stream.start + offset, max(0, stream.rows - offset)
        chosen = stream.selection
        asked = (chosen.sql, chosen.content, stream.written.compression, first, left)
        if kept := self._kept.get(asked):
            yield from kept
            return
        made: list[_Message] = []
        with chosen.open() as connection:
            sql = f"{chosen.sql} LIMIT {left} OFFSET {first}"
            for batch in connection.sql(sql).to_arrow_reader(MESSAGE_ROWS):
                schema = batch.schema.serialize().to_pybytes()
                message = _Message(batch.num_rows, schema, _serialized(batch, stream.written))
                if len(made) <= MESSAGES_KEPT:
                    made.append(message)
                yield message
        if chosen.content:
            self._keep(asked, made)

    def _keep(self, asked: Hashable, made: list[_Message]) -> None:
        with self._keeping:
            held = sum(map(len, self._kept.values()))
            if held + len(made) > MESSAGES_KEPT:
                self._kept.clear()
            if len(made) <= MESSAGES_KEPT:
                self._kept[asked] = made


def _of_a_table(name: str, table: StoredTable, fields: list[str], restriction: str) -> _Selection:
    columns = table.columns()
    where = f" WHERE {restriction}" if restriction.strip() else ""
    question = Question(f"SELECT 1 FROM `{name}`{where}", [], {name: table})
    [scan] = question.scans
    partitions: list[Partition] = scan.partitions
    leaves = [leaf for column, kind in columns.items() for leaf in leaves_of(column, kind)]
    wanted = [
        leaf
        for leaf in leaves
        if not fields or leaf in scan.leaves or any(f"{leaf}.".startswith(f"{field}.") for field in fields)
    ]
    return _Selection(
        lambda connection: table.create_view(connection, "held", partitions),
        f"SELECT {selection(columns, fields)} FROM held{question.duckdb_where}",
        table.logical_bytes(partitions, wanted),
        tuple(file_state(path) for partition in partitions for path in partition.files),
    )


def _of_a_result(rows: pa.Table, fields: list[str], restriction: str) -> _Selection:
    if fields or restriction:
        raise NotModelled("a part of a query's result")
    return _Selection(lambda connection: _register(connection, rows), "SELECT * FROM held", rows.nbytes)


def _register(connection: duckdb.DuckDBPyConnection, rows: pa.Table) -> None:
    connection.register("held", rows)


def _authorization(context: grpc.ServicerContext) -> str | None:
    return next((value for key, value in context.invocation_metadata() if key == "authorization"), None)


def _serialized(batch: pa.RecordBatch, written: pa.ipc.IpcWriteOptions) -> bytes:
    """The batch as one Arrow IPC message: `RecordBatch.serialize` knows no compression, a stream writer does."""
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, batch.schema, options=written) as writer:
        writer.write_batch(batch)
    _, message, *_ = pa.ipc.MessageReader.open_stream(stream.getvalue())
    return bytes(message.serialize().to_pybytes())
