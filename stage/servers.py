"""What a run needs: PostgreSQL, chain, mint, settings, and processes that can be found again.

Nothing here knows Django: the environment that ``gridtoken.settings`` reads is made here.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from solders.keypair import Keypair

from gridtoken.commands import Commands
from gridtoken.embedded import postgres
from gridtoken.processes import Child, ProcessError, run
from stage.chain import Chain, ChainError

BASE_DIR = Path(__file__).resolve().parent.parent
SOL = 10**9
MARK = "STAGE_CLUSTER"
"""Variable in the environment of a cluster's processes: forks and orphans keep it."""
PATIENCE = 120.0
"""Seconds for a server to answer."""


class Stage:
    """A database and a chain of this run's own, under one folder."""

    def __init__(self, name: str, *, slot_ms: int, workers: int) -> None:
        self.folder = Path(mkdtemp(prefix=f"gridtoken-{name}-"))
        self.logs = self.folder / "logs"
        self.logs.mkdir()
        self.journal_dir = self.folder / "journal"
        self._slot_ms = slot_ms
        self._port = 0
        self._chain: Child | None = None
        self._authority = Keypair()
        self.keypair_file = self.folder / "authority.json"
        self.keypair_file.touch(mode=0o600)
        self.keypair_file.write_text(json.dumps(list(bytes(self._authority))))
        self.environment = {
            **_strangers(),
            "ENV_FILE": "",
            "DATA_DIR": str(self.folder),
            "DJANGO_SETTINGS_MODULE": "gridtoken.settings",
            "DJANGO_SECRET_KEY": "only-for-this-run-" + "x" * 40,
            "DJANGO_ALLOWED_HOSTS": "localhost",
            "DJANGO_HTTPS": "false",
            "MINT_AUTHORITY_KEYPAIR": str(self.keypair_file),
            "MINT_JOURNAL_DIR": str(self.journal_dir),
            "Q_WORKERS": str(workers),
            "PYTHONUNBUFFERED": "1",
        }

    @property
    def authority(self) -> str:
        """The mint authority's address, which also pays."""
        return str(self._authority.pubkey())

    @property
    def url(self) -> str:
        """The node's."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def chain_pid(self) -> int:
        """The node's process; 0 before it was started."""
        return self._chain.pid if self._chain else 0

    @property
    def postmaster(self) -> int:
        """The database's main process."""
        return int((self.folder / "postgres" / "data" / "postmaster.pid").read_text().split()[0])

    @property
    def chain(self) -> Chain:
        """The way to the node."""
        return Chain(self.url)

    def set_up(self) -> str:
        """Starts the servers and makes tables and mint.

        Returns:
            The mint's address.

        Raises:
            ProcessError, PostgresError: something does not start.
        """
        postgres.use(self.folder / "postgres")
        self.start_chain()
        self.environment["SOLANA_RPC_URL"] = self.url
        self.chain.call("requestAirdrop", self.authority, 1_000 * SOL)
        self._until(lambda: self.chain.lamports(self.authority) > 0, "airdrop")
        commands = Commands(self.environment, BASE_DIR, self.logs / "setup.log")
        try:
            commands.run("migrate", "--verbosity=0")
            mint = commands.run("create_mint").splitlines()[-1]
        finally:
            commands.end()
        self.environment["ENERGY_TOKEN_MINT"] = mint
        return mint

    def tear_down(self) -> None:
        """Stops the servers; the folder stays, for whoever wants to look."""
        if self._chain is not None:
            self._chain.stop()
        postgres.leave(self.folder / "postgres")

    def manage(self, *words: str) -> str:
        """A command's answer.

        Raises:
            ProcessError: it failed.
        """
        return run(_manage(*words), self.environment, BASE_DIR, self.logs / "setup.log")

    def ask(self, *words: str) -> Child:
        """A command in a process of its own, that nobody waits for."""
        return Child(words[0], _manage(*words), self.environment, BASE_DIR, self.logs / "ask.log")

    def start_cluster(self, name: str, **more: str) -> Child:
        """``manage.py qcluster`` with more in its environment; ``members`` finds its processes."""
        environment = {**self.environment, **more, MARK: self._mark(name)}
        log = self.logs / f"{name}.log"
        return Child(name, _manage("qcluster"), environment, BASE_DIR, log)

    def members(self, name: str) -> list[int]:
        """Every process of a cluster, orphans of earlier starts too, oldest first."""
        wanted = f"{MARK}={self._mark(name)}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if wanted in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
                except OSError:
                    continue  # it ended, or is not ours to look at
        return sorted(found)

    def start_chain(self) -> None:
        """The node; after the first time on the same port, with the same ledger."""
        port_file = self.folder / "port"
        port_file.unlink(missing_ok=True)
        command = [
            *(sys.executable, "-m", "gridtoken.embedded.server", "--control"),
            *("--ledger", str(self.folder / "ledger"), "--port", str(self._port)),
            *("--slot-ms", str(self._slot_ms), "--port-file", str(port_file)),
        ]
        self._chain = Child("chain", command, _strangers(), BASE_DIR, self.logs / "chain.log")
        self._until(port_file.exists, "chain")
        self._port = int(port_file.read_text())

    def stop_chain(self) -> None:
        """Ends the node in order; ``start_chain`` starts it again."""
        if self._chain is not None:
            self._chain.stop()

    def kill_chain(self) -> None:
        """``kill -9`` of the node; it is started again at once."""
        if self._chain is not None:
            os.kill(self._chain.pid, signal.SIGKILL)
            self._chain.stop()
        self.start_chain()

    def restart_database(self, *, crash: bool) -> None:
        """Ends the server as a crash or an immediate restart would; its keeper starts it again."""
        os.kill(self.postmaster, signal.SIGKILL if crash else signal.SIGQUIT)

    def _mark(self, name: str) -> str:
        return f"{self.folder.name}/{name}"

    def _until(self, done: Callable[[], bool], what: str) -> None:
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            if self._chain is not None:
                self._chain.raise_if_ended()
            try:
                if done():
                    return
            except ChainError:
                pass  # not yet
            time.sleep(0.05)
        raise ProcessError(f"{what} does not answer after {PATIENCE:.0f} s, see {self.logs}")


def _manage(*words: str) -> tuple[str, ...]:
    return (sys.executable, "manage.py", *words)


def _strangers() -> dict[str, Any]:
    """The caller's environment without anything that our settings would read."""
    example = (BASE_DIR / ".env.example").read_text().splitlines()
    ours = {line.partition("=")[0] for line in example} | {"DJANGO_SETTINGS_MODULE"}
    return {name: value for name, value in os.environ.items() if name not in ours}
