"""A billing export kept as files: a folder per export day, Parquet or JSON Lines as BigQuery's own export writes them.

Files of one day may have been written under different schemas, so each is made to conform by itself. Their order is
that of their names. Whatever is wrong with a file is said with its name.
"""

import gzip
import hashlib
import re
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from glob import escape
from pathlib import Path

import duckdb
import pyarrow as pa
from duckdb.sqltypes import DuckDBPyType

from finops_pipeline.sources.base import ExportDayRead, Spend, TableFacts
from finops_pipeline.sources.contract import (
    BATCH_ROWS,
    ConformingSelect,
    as_contract,
    conforming_select,
    connect,
    json_reading_types,
    refused_value,
)
from finops_warehouse.errors import (
    ExportDayVanished,
    FinopsError,
    NoPermission,
    SecondExport,
    SourceError,
    UnknownTable,
    UnreadableFile,
    WrongColumnType,
)

PARQUET_SUFFIXES = (".parquet",)
JSON_SUFFIXES = (".jsonl", ".json", ".jsonl.gz", ".json.gz")

_DAY_FOLDER = re.compile(r"(?:export_day|pt)=(?P<day>.*)")


class FilesSource:
    """`<folder>/export_day=YYYY-MM-DD/*.parquet|*.jsonl`; `pt=` is understood too. Other folders are not ours."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    @property
    def url(self) -> str:
        """The folder as BILLING_EXPORT_URL names it."""
        return self._folder.as_uri()

    def partitions(self) -> Mapping[date, str]:
        """Every day that has files. The fingerprint is made of their names and contents, so copying changes nothing."""
        return {day: self._fingerprint(paths) for day, paths in sorted(self._files_by_day().items())}

    def facts(self) -> TableFacts:
        """Nothing: a folder is neither made anew nor does it expire by a rule we could ask for."""
        return TableFacts()

    def estimate(self, export_days: Iterable[date]) -> Spend:
        """The bytes of these days' files, which nobody bills."""
        by_day = self._files_by_day()
        size = sum(_size(path) for day in export_days for path in by_day.get(day, []))
        return Spend("file", "read export days", None, estimated_bytes=size)

    @contextmanager
    def read(self, export_day: date) -> Iterator[ExportDayRead]:
        """Open the files of one day. Schemas are checked here, values while streaming."""
        paths = self._files_by_day().get(export_day)
        if not paths:
            raise ExportDayVanished(
                f"{self._folder} holds no files for {export_day}. Put the folder export_day={export_day} back, "
                "or check BILLING_EXPORT_URL."
            )
        with closing(connect()) as connection:
            plans = [plan for path in paths if (plan := _plan(connection, path)) is not None]
            _refuse_both_tables(plans)
            unknown = dict.fromkeys(name for plan in plans for name in plan.select.unknown_columns)
            batches = _streamed(connection, plans)
            try:
                yield ExportDayRead(batches, tuple(unknown), sum(_size(path) for path in paths))
            finally:
                batches.close()

    def _files_by_day(self) -> dict[date, list[Path]]:
        by_day: dict[date, list[Path]] = defaultdict(list)
        try:
            for day_folder in self._folder.iterdir():
                named = _DAY_FOLDER.fullmatch(day_folder.name)
                if named and day_folder.is_dir():
                    day = _day_of(day_folder, named["day"])
                    files = [*filter(_is_data, day_folder.iterdir())]
                    if files and by_day[day]:
                        raise SecondExport(
                            f"{self._folder} holds {day} twice, as {day_folder.name} and {by_day[day][0].parent.name}: "
                            "its charges would count twice. Take one of the two away."
                        )
                    by_day[day] += files
        except (FileNotFoundError, NotADirectoryError):
            raise UnknownTable(
                f"There is no folder {self._folder}. Check BILLING_EXPORT_URL, and that the folder is mounted here."
            ) from None
        except PermissionError as refused:
            raise _not_permitted(Path(refused.filename or self._folder)) from None
        return {day: sorted(paths, key=self._name_of) for day, paths in by_day.items() if paths}

    def _fingerprint(self, paths: list[Path]) -> str:
        digest = hashlib.blake2b(digest_size=16)
        for path in paths:
            digest.update(f"{self._name_of(path)}\0{_content_hash_now(path)}\n".encode())
        return digest.hexdigest()

    def _name_of(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()


@dataclass(frozen=True)
class _FilePlan:
    """One file, how DuckDB opens it and how its rows become the contract's."""

    path: Path
    table_function: str
    select: ConformingSelect
    is_detailed: bool
    """Of the detailed export: only its charges say what resource they are for, and it always had that column."""


def _refuse_both_tables(plans: list[_FilePlan]) -> None:
    """Raises `SecondExport` for a day with files of the standard and of the detailed export: each tells all charges."""
    detailed = [plan.path for plan in plans if plan.is_detailed]
    standard = [plan.path for plan in plans if not plan.is_detailed]
    if detailed and standard:
        raise SecondExport(
            f"{detailed[0]} is of the detailed export and {standard[0]}, without the column resource, of the standard "
            "one: both tell the same charges, which would count twice. Take one of the two away. If both are of the "
            "detailed export and no charge of one happens to have a resource, join the two files."
        )


def _plan(connection: duckdb.DuckDBPyConnection, path: Path) -> _FilePlan | None:
    """How to read `path`; None for a file without a single row to learn columns from (BigQuery writes such shards)."""
    place = f"File {path}"
    with _errors_of(path):
        if path.name.endswith(PARQUET_SUFFIXES):
            opened = f"read_parquet({_literal(path)}, hive_partitioning = false)"
            held = _columns(connection, opened)
            return _FilePlan(path, opened, conforming_select(held, place), _is_detailed(held))

        if _is_blank(path):
            return None
        lines = f"read_json({_literal(path)}, format = 'newline_delimited', records = true, hive_partitioning = false"
        # Looking at every row is what finds a column that only one row has.
        inferred = _columns(
            connection, f"{lines}, sample_size = -1, field_appearance_threshold = 0, map_inference_threshold = -1)"
        )
        types = json_reading_types(inferred, place)
        columns = ", ".join(f"{_text(name)}: {_text(kind)}" for name, kind in types.items())
        opened = f"{lines}, columns = {{{columns}}})"
        held = _columns(connection, opened)
        return _FilePlan(path, opened, conforming_select(held, place, is_json=True), _is_detailed(held))


def _is_detailed(held: Mapping[str, DuckDBPyType]) -> bool:
    return "resource" in map(str.lower, held)


def _streamed(connection: duckdb.DuckDBPyConnection, plans: list[_FilePlan]) -> Generator[pa.RecordBatch, None, None]:
    for plan in plans:
        with _errors_of(plan.path):
            query = f"SELECT {plan.select.select_list} FROM {plan.table_function}"  # noqa: S608  every name in it is quoted
            with closing(connection.sql(query).to_arrow_reader(BATCH_ROWS)) as reader:
                yield from map(as_contract, reader)


def _columns(connection: duckdb.DuckDBPyConnection, table_function: str) -> dict[str, DuckDBPyType]:
    relation = connection.sql(f"FROM {table_function}")
    return dict(zip(relation.columns, relation.types, strict=True))


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    """Whatever goes wrong inside is said as one of our errors, with the file's name.

    DuckDB's own exceptions become plain OSErrors on their way through an Arrow stream.
    """
    try:
        yield
    except FinopsError:
        raise
    except (duckdb.OutOfMemoryException, duckdb.InterruptException):
        raise
    except PermissionError:
        raise _not_permitted(path) from None
    except (duckdb.Error, OSError, EOFError, pa.ArrowException) as failed:
        raise _as_our_error(failed, path) from failed


def _as_our_error(failed: Exception, path: Path) -> SourceError:
    place = f"File {path}"
    if refused := refused_value(failed, place):
        return refused
    said = str(failed).split("\n", 1)[0].strip()
    if "JSON transform error" in said:
        return WrongColumnType(
            f"{place}: a value has another shape than the export's schema says. {said} "
            "Correct the line, or export that day again."
        )
    return UnreadableFile(
        f"{place} cannot be read as what its name says: it is cut short, damaged or something else. {said} "
        "Export that day again, or take the file away."
    )


def _not_permitted(path: Path) -> NoPermission:
    return NoPermission(f"We may not read {path}. Give the user this process runs as read access to it.")


def _day_of(day_folder: Path, written: str) -> date:
    try:
        if len(written) == len("YYYY-MM-DD"):
            return date.fromisoformat(written)
    except ValueError:
        pass
    raise UnreadableFile(
        f"Folder {day_folder} names no day. Call it export_day=YYYY-MM-DD, with the UTC day its rows were exported on."
    )


def _is_data(path: Path) -> bool:
    # Writers mark what is not (yet) data with a leading dot or underscore: _SUCCESS, .part-0.parquet.crc.
    return path.name.endswith(PARQUET_SUFFIXES + JSON_SUFFIXES) and not path.name.startswith((".", "_"))


def _size(path: Path) -> int:
    with _errors_of(path):
        return path.stat().st_size


def _content_hash_now(path: Path) -> str:
    with _errors_of(path):
        status = path.stat()
        return _content_hash(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=100_000)
def _content_hash(path: Path, size: int, modified_ns: int) -> str:  # noqa: ARG001  they are what makes a cached hash old
    """What is in the file. Remembered for the process: a sensor asks twice a minute and the files rarely change."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _is_blank(path: Path) -> bool:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        while chunk := file.read(65_536):
            if chunk.strip():
                return False
    return True


def _literal(path: Path) -> str:
    return _text(escape(str(path)))


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
