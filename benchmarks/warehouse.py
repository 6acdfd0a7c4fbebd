"""What benchmarks share: an embedded PostgreSQL of their own, filled and thrown away."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from finops_warehouse.database import connect, init_db
from finops_warehouse.settings import Settings


def peak_memory_mb() -> int:
    """What this process took at most. `getrusage` would say what its parent took, if that was more."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024


@contextmanager
def warehouse() -> Iterator[tuple[psycopg.Connection, Path]]:
    """A connection to a new warehouse, and a folder to put an export into."""
    folder = Path(tempfile.mkdtemp(prefix="finops-bench-"))
    folder.chmod(0o755)
    settings = Settings(finops_home=folder)
    try:
        init_db(settings)
        with connect(settings, autocommit=True) as connection:
            yield connection, folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
