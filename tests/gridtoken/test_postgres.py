"""The embedded PostgreSQL: there while somebody uses it, whatever happens to anybody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from gridtoken.embedded import postgres
from gridtoken.env import BASE_DIR
from tests.gridtoken.proc import is_alive, proc

USER = """
import sys, time
from pathlib import Path
from gridtoken.embedded import postgres
print(postgres.use(Path(sys.argv[1]), throwaway=sys.argv[2] == "True"), flush=True)
time.sleep(60)
"""


def eventually(holds: Callable[[], object], seconds: float = 20) -> None:
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def postmaster(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().split()[0])


def keeper(folder: Path) -> int:
    words = f"{postgres.__file__}\0{folder}\0".encode()
    (found,) = (path for path in Path("/proc").glob("[0-9]*/cmdline") if words in proc(path))
    return int(found.parent.name)


def query(folder: Path, statement: str) -> object:
    with psycopg.connect(postgres.url(folder), autocommit=True) as connection:
        cursor = connection.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


@pytest.fixture
def place() -> Iterator[Path]:
    """Not ``tmp_path``: every pytest session that starts locks its parent against others again."""
    with tempfile.TemporaryDirectory(prefix="gt-") as path:
        yield Path(path)


@pytest.fixture
def folder(place: Path) -> Iterator[Path]:
    path = place / "postgres"
    yield path
    postgres.leave(path)


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Another process that uses the folder."""
    started: list[subprocess.Popen[str]] = []

    def call(*, throwaway: bool = False) -> subprocess.Popen[str]:
        user = subprocess.Popen(
            [sys.executable, "-c", USER, str(folder), str(throwaway)],
            cwd=BASE_DIR,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(user)
        return user

    yield call
    for user in started:
        user.kill()
        user.communicate()


def test_several_who_start_it_at_once_share_one(folder, start):
    users = [start() for _ in range(4)]
    lines = {user.stdout.readline().strip() for user in users}
    assert lines == {postgres.url(folder)}
    first = postmaster(folder)
    query(folder, "CREATE TABLE kept (n int)")
    for user in users[1:]:
        user.kill()
        user.wait()
    time.sleep(0.2)
    assert postmaster(folder) == first
    users[0].kill()  # nobody is left, and nobody had a chance to say so
    eventually(lambda: not is_alive(first))
    postgres.use(folder)
    assert query(folder, "SELECT count(*) FROM kept") == 0
    assert query(folder, "SELECT current_setting('fsync')") == "on"


def test_it_comes_back_when_it_is_killed_and_keeps_what_was_committed(folder):
    postgres.use(folder)
    query(folder, "CREATE TABLE kept (n int)")
    first = postmaster(folder)
    os.kill(first, signal.SIGKILL)
    eventually(lambda: not is_alive(first))
    postgres.use(folder)
    assert query(folder, "SELECT count(*) FROM kept") == 0
    assert postmaster(folder) != first


def test_after_kill_9_of_everything_it_starts_again(folder, start):
    user = start()
    user.stdout.readline()
    query(folder, "CREATE TABLE kept (n int)")
    first = postmaster(folder)
    for pid in (keeper(folder), user.pid, first):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not is_alive(first))
    assert (folder / "data" / "postmaster.pid").exists()
    postgres.use(folder)
    assert query(folder, "SELECT count(*) FROM kept") == 0


def test_a_server_whose_keeper_was_killed_gets_another(folder):
    postgres.use(folder)
    first = postmaster(folder)
    old = keeper(folder)
    os.kill(old, signal.SIGKILL)
    eventually(lambda: not is_alive(old))
    postgres.use(folder)
    assert keeper(folder) != old
    assert postmaster(folder) == first
    postgres.leave(folder)
    assert not is_alive(first)


def test_a_stale_number_that_is_somebody_else_s_now_is_no_server(folder):
    postgres.use(folder)
    lines = (folder / "data" / "postmaster.pid").read_text().splitlines()
    postgres.leave(folder)
    lines[0] = str(os.getpid())
    (folder / "data" / "postmaster.pid").write_text("\n".join(lines) + "\n")
    postgres.use(folder)
    assert postmaster(folder) != os.getpid()


def test_a_forked_child_keeps_it_up(folder):
    postgres.use(folder)
    first = postmaster(folder)
    reader, writer = os.pipe()
    if not (child := os.fork()):
        os.close(writer)
        os.read(reader, 1)  # until the parent lets go
        os._exit(0)
    postgres.leave(folder)
    assert is_alive(first)
    os.close(writer)
    os.waitpid(child, 0)
    os.close(reader)
    eventually(lambda: not is_alive(first))


def test_a_throwaway_goes_with_its_last_user(folder, start):
    user = start(throwaway=True)
    user.stdout.readline()
    assert query(folder, "SELECT current_setting('fsync')") == "off"
    user.kill()
    eventually(lambda: not list(folder.parent.iterdir()))


def test_a_folder_too_deep_for_a_socket(place):
    folder = place / ("deep" * 20) / "postgres"
    url = postgres.use(folder, throwaway=True)
    sockets = postgres.socket_folder(folder)
    assert not sockets.is_relative_to(place)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    postgres.leave(folder)
    assert not sockets.exists()


def test_a_server_that_cannot_start_says_why(folder):
    postgres.use(folder)
    postgres.leave(folder)
    (folder / "data" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(postgres.PostgresError, match="does not start"):
        postgres.use(folder)


def test_without_the_package_the_way_out_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(postgres.PostgresError, match="set DATABASE_URL to a server"):
        postgres._binaries()
