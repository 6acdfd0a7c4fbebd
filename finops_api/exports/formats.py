"""What a file looks like: how each kind of value is selected for it, and how lines that were copied become it.

PostgreSQL writes every format's lines by COPY. CSV and NDJSON are those lines; Arrow and Parquet are read from them,
some megabytes at a time, so that no format needs more memory for more rows.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import IO, Protocol, cast

import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet
from psycopg import sql

PIECE = 64 * 1024
"""Bytes of text that are sent at once: a millisecond of copying, so that other requests wait no longer."""

MONEY_DIGITS = 9
"""Decimal places of the export's amounts, and of BigQuery's NUMERIC."""


class Format(StrEnum):
    """The files there are."""

    csv = "csv"
    ndjson = "ndjson"
    arrow = "arrow"
    parquet = "parquet"


MEDIA_TYPES = {
    Format.csv: "text/csv; charset=utf-8; header=present",
    Format.ndjson: "application/x-ndjson",
    Format.arrow: "application/vnd.apache.arrow.stream",
    Format.parquet: "application/vnd.apache.parquet",
}


class Kind(Enum):
    """What a column holds."""

    text = "text"
    number = "number"
    count = "count"
    boolean = "boolean"
    day = "day"
    moment = "moment"
    json = "json"


@dataclass(frozen=True)
class Column:
    """A column of an export."""

    name: str
    kind: Kind
    digits: int = MONEY_DIGITS
    """Of a number: the decimal places it is rounded to where a format wants to know. CSV and NDJSON keep all."""


# As FOCUS writes moments; parts of a second, which only the time of the export has, are not lost.
MOMENT = """to_char({0} at time zone 'UTC', case when date_trunc('second', {0}) = {0}
    then 'YYYY-MM-DD"T"HH24:MI:SS"Z"' else 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"' end)"""

# By code point: a list of one-character strings would be cut and compared, once for each cell of a million rows.
CSV_TEXT = "case when ascii({0}) = any ('{{9,13,43,45,61,64}}') then '''' || {0} else {0} end"

CSV = {
    Kind.text: CSV_TEXT,
    Kind.boolean: "({})::text",
    Kind.moment: MOMENT,
}
NDJSON = {
    # As text: json writes numerics as bare numbers, and JavaScript would read those as floats.
    Kind.number: "({})::text",
    Kind.count: "({})::text",
    Kind.moment: MOMENT,
}
TYPED = {
    Kind.count: "({})::bigint",
}
"""For what is read again: times are left as PostgreSQL writes them."""

CSV_LINES = "copy (select {columns} from ({select}) as rows) to stdout (format csv)"

# Text format would double the backslashes that JSON is full of. Neither of these two characters is ever bare in JSON.
JSON_LINES = """
    copy (select row_to_json(line) from (select {columns} from ({select}) as rows) as line)
    to stdout (format csv, quote E'\\x01', delimiter E'\\x02')
"""


def copying(form: Format, columns: Sequence[Column], select: sql.Composable, *, formula_safe: bool) -> sql.Composed:
    """The statement that writes these rows as the lines the format is made of."""
    statement = sql.SQL(JSON_LINES if form is Format.ndjson else CSV_LINES)
    shown = sql.SQL(", ").join(_shown(form, column, formula_safe=formula_safe) for column in columns)
    return statement.format(columns=shown, select=select)


def _shown(form: Format, column: Column, *, formula_safe: bool) -> sql.Composed:
    name = sql.Identifier(column.name)
    return sql.SQL("{} as {}").format(_value(form, column, name, formula_safe=formula_safe), name)


def _value(form: Format, column: Column, name: sql.Identifier, *, formula_safe: bool) -> sql.Composable:
    if form is Format.csv:
        unchanged = column.kind is Kind.text and not formula_safe
        return name if unchanged else sql.SQL(CSV.get(column.kind, "{}")).format(name)
    if form is Format.ndjson:
        return sql.SQL(NDJSON.get(column.kind, "{}")).format(name)
    if column.kind is Kind.number:
        return sql.SQL("round(({})::numeric, {})").format(name, sql.Literal(column.digits))
    return sql.SQL(TYPED.get(column.kind, "{}")).format(name)


class Encoder(Protocol):
    """Makes a file of lines, a block at a time. One that is never ended is seen to be broken, where the format can."""

    block: int
    """Bytes of lines to give it at once."""

    in_thread: bool
    """Whether it works long enough to be kept off the event loop."""

    def encoded(self, lines: bytearray) -> bytes:
        """The part of the file that whole lines become."""

    def end(self) -> bytes:
        """What the file ends with."""


def encoder(form: Format, columns: Sequence[Column]) -> Encoder:
    """What makes files of this format."""
    match form:
        case Format.csv:
            return Lines(_header(columns))
        case Format.ndjson:
            return Lines(b"")
        case Format.arrow:
            return ArrowStream(columns)
        case Format.parquet:
            return ParquetFile(columns)


def _header(columns: Sequence[Column]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(column.name for column in columns)
    return line.getvalue().encode()


class Lines:
    """The lines themselves, after the names of the columns where the format has them."""

    block = PIECE
    in_thread = False

    def __init__(self, header: bytes) -> None:
        self._due = header

    def encoded(self, lines: bytearray) -> bytes:
        """The lines, the first time with the header."""
        due, self._due = self._due, b""
        return due + lines

    def end(self) -> bytes:
        """The header of a file without lines, else nothing."""
        return self._due


class ArrowStream:
    """An Arrow IPC stream, a record batch a block."""

    block = 1024 * 1024
    in_thread = True

    def __init__(self, columns: Sequence[Column]) -> None:
        self._lines = _TypedLines(columns)
        self._sink = _Sink()
        self._writer = pa.ipc.new_stream(self._sink, self._lines.schema)

    def encoded(self, lines: bytearray) -> bytes:
        """The lines as a record batch."""
        self._writer.write_table(self._lines.read(lines))
        return self._sink.taken()

    def end(self) -> bytes:
        """The mark of the end."""
        self._writer.close()
        return self._sink.taken()


class ParquetFile:
    """A Parquet file, a row group a block. Readers find everything from its last bytes: without them it is none."""

    block = 2 * 1024 * 1024  # with the 65 columns of FOCUS a writer takes 50 MB, twice this takes 70
    in_thread = True

    def __init__(self, columns: Sequence[Column]) -> None:
        self._lines = _TypedLines(columns)
        self._sink = _Sink()
        self._writer = pa.parquet.ParquetWriter(
            pa.PythonFile(self._sink, mode="w"), self._lines.schema, compression="zstd"
        )

    def encoded(self, lines: bytearray) -> bytes:
        """The lines as a row group."""
        self._writer.write_table(self._lines.read(lines))
        return self._sink.taken()

    def end(self) -> bytes:
        """The footer."""
        self._writer.close()
        return self._sink.taken()


class _TypedLines:
    """CSV lines of PostgreSQL, read into columns of the types they were."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.schema = pa.schema([pa.field(column.name, _type(column)) for column in columns])
        self._parse = pa.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
        self._convert = pa.csv.ConvertOptions(
            column_types=self.schema,
            # PostgreSQL quotes an empty text and leaves a NULL bare.
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        )

    def read(self, lines: bytearray) -> pa.Table:
        """The lines as a table."""
        options = pa.csv.ReadOptions(column_names=self.schema.names, use_threads=False, block_size=len(lines) + 1)
        source = pa.BufferReader(pa.py_buffer(lines))
        return pa.csv.read_csv(cast("IO[bytes]", source), options, self._parse, self._convert)


def _type(column: Column) -> pa.DataType:
    match column.kind:
        case Kind.text | Kind.json:
            return pa.string()
        case Kind.number:
            return pa.decimal128(38, column.digits)
        case Kind.count:
            return pa.int64()
        case Kind.boolean:
            return pa.bool_()
        case Kind.day:
            return pa.date32()
        case Kind.moment:
            return pa.timestamp("us", "UTC")


class _Sink(io.RawIOBase):
    """A file that is only ever written to, and whose bytes are taken away as they come."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._taken = 0

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: "pa.Buffer | bytes") -> int:  # type: ignore[override]
        """Hold these bytes."""
        self._held += data
        return len(data)

    def tell(self) -> int:
        """Bytes written, taken or not."""
        return self._taken + len(self._held)

    def taken(self) -> bytes:
        """The bytes written since it was last asked."""
        data = bytes(self._held)
        self._taken += len(data)
        self._held = bytearray()
        return data
