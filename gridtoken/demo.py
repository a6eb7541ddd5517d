"""``make demo``: everything on this machine, from nothing to a minted batch in the admin.

What it makes (secrets, passwords, mint, chain, database, logs) lies under ``DATA_DIR``, so that a
second run goes on where the first stopped. Its children get their environment from here; ``.env``
is neither read nor written.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import psycopg
from solders.keypair import Keypair

from gridtoken.commands import Commands
from gridtoken.embedded import postgres
from gridtoken.processes import Child, ProcessError

BASE_DIR = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
ENV_FILE = "demo.env"
CHAIN_PORT = 8899
READINGS_MINTED = 40
"""Of the first batch; the others stay pending, for whoever tries it out."""
SOL = 10**9
CONFIRMED = {"commitment": "confirmed"}


class Stopped(BaseException):
    """Somebody asked us to stop."""


@dataclass(slots=True)
class State:
    """What one run leaves to the next, in a file only its owner reads."""

    secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(50))
    admin_password: str = field(default_factory=lambda: secrets.token_urlsafe(9))
    operator_password: str = field(default_factory=lambda: secrets.token_urlsafe(9))
    approver_password: str = field(default_factory=lambda: secrets.token_urlsafe(9))
    auditor_password: str = field(default_factory=lambda: secrets.token_urlsafe(9))
    chain_port: int = 0
    mint: str = ""
    api_token: str = ""
    seeded: bool = False
    minted: bool = False

    @classmethod
    def load(cls, path: Path) -> State:
        """The last run's, with a new secret for whatever it did not have."""
        known = json.loads(path.read_text()) if path.exists() else {}
        return cls(**known)

    def passwords(self) -> dict[str, str]:
        """Who may log in: from all to nothing but looking."""
        return {
            "admin": self.admin_password,
            "operator": self.operator_password,
            "approver": self.approver_password,
            "auditor": self.auditor_password,
        }

    def save(self, path: Path) -> None:
        """Replaces the file in one step: a kill leaves the old or the new one."""
        write_private(path, json.dumps(asdict(self), indent=2) + "\n")


class Demo:
    """One run: set up, serve, stop."""

    def __init__(self, data: Path, port: int) -> None:
        self._data = data
        self._port = port
        self._logs = data / "logs"
        self._state_file = data / "demo.json"
        self._database = data / "postgres"
        self._children: list[Child] = []
        self._commands: Commands | None = None
        self._logs.mkdir(parents=True, exist_ok=True)
        self._state = State.load(self._state_file)
        self._authority = load_keypair(data / "authority.json")

    # -------------------------------------------------------------- the way up
    def start(self) -> None:
        """Everything up to the moment where a person can look at it."""
        self._state.save(self._state_file)
        self._step("PostgreSQL", lambda: postgres.use(self._database))
        self._step("local chain", self._start_chain)
        self._step("tables", lambda: self._manage("migrate", "--verbosity=0"))
        self._step("static files", lambda: self._manage("collectstatic", "--noinput"))
        self._step("users", lambda: self._manage("create_demo_users"))
        self._step("SOL for the mint authority", self._fund)
        self._step("mint", self._make_mint)
        if not self._state.seeded:
            self._step("demo meters and readings", self._seed)
        if not self._state.api_token:
            self._step("API token", self._make_token)
        self._step("worker", self._start_worker)
        self._step("web", self._start_web)
        if not self._state.minted:
            self._step(f"first batch, {READINGS_MINTED} readings", self._mint)
        self._end_commands()
        self._write_env_file()

    def wait(self) -> NoReturn:
        """Until somebody stops us, or a child ends by itself.

        Raises:
            ProcessError: A child ended.
        """
        while True:
            for child in self._children:
                child.raise_if_ended()
            time.sleep(0.3)

    def stop(self) -> None:
        """Everything down again, the last started first; each within its time."""
        self._end_commands()
        for child in reversed(self._children):
            say(f"  stopping {child.name}")
            child.stop()
        postgres.leave(self._database)

    def _start_chain(self) -> None:
        remembered = self._state.chain_port or CHAIN_PORT
        port = remembered if is_free(remembered) else free_port()
        self._remember(chain_port=port)
        ledger = str(self._data / "ledger")
        self._spawn("chain", *manage("localnet", "--port", str(port), "--ledger", ledger))
        self._wait_for("chain", lambda: self._rpc("getHealth") == "ok")

    def _fund(self) -> None:
        address = str(self._authority.pubkey())

        def funded() -> bool:
            return bool(self._rpc("getBalance", address, CONFIRMED)["value"] >= SOL)

        if not funded():
            self._rpc("requestAirdrop", address, 100 * SOL)
            self._wait_for("chain", funded)

    def _make_mint(self) -> None:
        self._remember(mint=self._manage("create_mint").splitlines()[-1].strip())

    def _seed(self) -> None:
        self._manage("seed_demo")
        self._remember(seeded=True)

    def _make_token(self) -> None:
        scopes = [word for scope in ("read", "submit", "mint") for word in ("--scope", scope)]
        self._remember(api_token=self._manage("create_api_token", "operator", *scopes).strip())

    def _start_worker(self) -> None:
        self._spawn("worker", *manage("qcluster"), environment=self._key())

    def _start_web(self) -> None:
        bind = f"{HOST}:{self._port}"
        self._spawn("web", sys.executable, "-m", "gunicorn", "--bind", bind)
        self._wait_for("web", lambda: bool(fetch(f"http://{bind}/admin/login/")))

    def _mint(self) -> None:
        with psycopg.connect(postgres.url(self._database)) as connection:
            rows = connection.execute(
                "SELECT id FROM readings_meterreading WHERE status = 'pending'"
                " ORDER BY period_start, id LIMIT %s",
                [READINGS_MINTED],
            ).fetchall()
        chosen = [word for (reading,) in rows for word in ("--reading", str(reading))]
        self._manage("mint", *chosen, "--wait")
        self._remember(minted=True)

    def _write_env_file(self) -> None:
        """For a person's own ``manage.py``: ``ENV_FILE`` names it; ``.env`` is never touched."""
        values = self._settings() | self._key()
        lines = [f"{name}={value}\n" for name, value in values.items()]
        write_private(self._data / ENV_FILE, "".join(lines))

    # -------------------------------------------------------------- how
    def _step(self, what: str, act: Callable[[], object]) -> None:
        say(f"  {what} … ", end="")
        began = time.monotonic()
        act()
        say(f"{time.monotonic() - began:.1f} s")

    def _remember(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self._state, name, value)
        self._state.save(self._state_file)

    def _environment(self) -> dict[str, str]:
        """Of the children; what is not named here is theirs to inherit."""
        return {**os.environ, "ENV_FILE": "", **self._settings()}

    def _settings(self) -> dict[str, str]:
        """What makes it this demo and no other installation."""
        return {
            "DATA_DIR": str(self._data),
            "DATABASE_URL": "",
            "DJANGO_SETTINGS_MODULE": "gridtoken.settings",
            "DJANGO_DEBUG": "false",
            "DJANGO_SECRET_KEY": self._state.secret_key,
            "DJANGO_ALLOWED_HOSTS": "localhost,127.0.0.1",
            "DJANGO_HTTPS": "false",
            "STAFF_MFA_REQUIRED": "false",
            "SOLANA_RPC_URL": self._chain_url(),
            "SOLANA_GENESIS_HASH": "",
            "MINT_SIGNER": "keypair",
            "MINT_AUTHORITY_KEYPAIR": "",
            "MINT_AUTHORITY_ADDRESS": str(self._authority.pubkey()),
            "MINT_PROGRAM": "spl-token",
            "ENERGY_TOKEN_MINT": self._state.mint,
            "PYTHONUNBUFFERED": "1",
        }

    def _key(self) -> dict[str, str]:
        """For the worker and our own commands: the web process never sees the key."""
        return {"MINT_AUTHORITY_KEYPAIR": str(self._data / "authority.json")}

    def _manage(self, *words: str) -> str:
        """A command's answer."""
        passwords = {
            f"DEMO_{name.upper()}_PASSWORD": password
            for name, password in self._state.passwords().items()
        }
        environment = self._environment() | self._key() | passwords
        if self._commands is None or self._commands.environment != environment:
            self._end_commands()
            self._commands = Commands(environment, BASE_DIR, self._logs / "setup.log")
        return self._commands.run(*words)

    def _end_commands(self) -> None:
        if self._commands is not None:
            self._commands.end()
        self._commands = None

    def _spawn(self, name: str, *command: str, environment: dict[str, str] | None = None) -> None:
        whole = self._environment() | (environment or {})
        self._children.append(Child(name, command, whole, BASE_DIR, self._logs / f"{name}.log"))

    def _wait_for(self, name: str, ready: Callable[[], bool], seconds: float = 60) -> None:
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            for child in self._children:
                child.raise_if_ended()
            try:
                if ready():
                    return
            except OSError:
                pass  # not listening yet
            time.sleep(0.1)
        raise ProcessError(f"{name} does not answer after {seconds:.0f} s, see {self._logs}")

    def _chain_url(self) -> str:
        return f"http://{HOST}:{self._state.chain_port}"

    def _rpc(self, method: str, *parameters: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        answer = json.loads(fetch(self._chain_url(), json.dumps(body).encode()))
        if "error" in answer:
            raise ProcessError(f"The chain refuses {method}: {answer['error']['message']}")
        return answer["result"]

    def welcome(self) -> str:
        """What a person needs to know now."""
        site = f"http://{HOST}:{self._port}"
        people = "\n           ".join(
            f"{name} / {password}" for name, password in self._state.passwords().items()
        )
        return f"""
Ready. Ctrl-C stops all of it; the next `make demo` goes on from here.

  Look     {site}/admin/
  Log in   {people}
  API      {site}/api/docs/
           curl -H 'Authorization: Bearer {self._state.api_token}' {site}/api/v1/readings
  Shell    ENV_FILE={self._data / ENV_FILE} .venv/bin/python manage.py mint --pending --wait
  Chain    {self._chain_url()} (Solana JSON-RPC)
  Mint     {self._state.mint}
  Logs     {self._logs}
"""


# ------------------------------------------------------------------ small things
def manage(*words: str) -> tuple[str, ...]:
    """A command line of ``manage.py``."""
    return (sys.executable, str(BASE_DIR / "manage.py"), *words)


def say(text: str, end: str = "\n") -> None:
    """Progress, at once also when nobody's terminal is behind it."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner may read, whole or not at all."""
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text(text)
    unfinished.replace(path)


def load_keypair(path: Path) -> Keypair:
    """The authority's, in the form of Solana's command line; made when missing."""
    if not path.exists():
        write_private(path, json.dumps(list(bytes(Keypair()))))
    return Keypair.from_bytes(bytes(json.loads(path.read_text())))


def fetch(url: str, body: bytes | None = None) -> bytes:
    """The answer of one of our own servers."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 — loopback, ours
        return bytes(answer.read())


def is_free(port: int) -> bool:
    """Whether we may listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def read_port() -> int:
    """``PORT``, checked before anything is started."""
    text = os.environ.get("PORT", "8000")
    if not text.isdigit() or not 0 < int(text) < 65_536:
        raise SystemExit(f"PORT must be a port number, not {text!r}")
    if not is_free(int(text)):
        raise SystemExit(
            f"Port {text} is taken: set PORT to another one, as in `make demo PORT=8001`"
        )
    return int(text)


def claim(data: Path) -> int:
    """Holds the folder against a second demo in it, for as long as we live."""
    data.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(data / "demo.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit(f"A demo runs in {data} already: set DATA_DIR to another folder") from None
    return descriptor


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise Stopped


def main() -> None:
    """Exit code 0 when asked to stop, 1 when something went wrong."""
    data = (BASE_DIR / Path(os.environ.get("DATA_DIR", ".data")).expanduser()).resolve()
    port = read_port()
    claim(data)
    demo = Demo(data, port)
    code = 0
    for wanted in (signal.SIGINT, signal.SIGTERM):
        signal.signal(wanted, _stop)
    try:
        say(f"GridToken demo in {data}")
        demo.start()
        say(demo.welcome())
        demo.wait()
    except Stopped:
        say("\nStopping")
    except (ProcessError, postgres.PostgresError, psycopg.Error, urllib.error.URLError) as error:
        code = 1
        sys.stderr.write(f"\n{error}\n")
        say("Stopping")
    finally:
        for wanted in (signal.SIGINT, signal.SIGTERM):
            signal.signal(wanted, signal.SIG_IGN)  # stopping takes bounded time: let it finish
        demo.stop()
    say("Stopped")
    raise SystemExit(code)


if __name__ == "__main__":
    main()
