"""One measurement at a time: what node, database, processes and payer tell before and after it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from solders.keypair import Keypair

from bench import gauges
from bench.baseline import CREATE_MINT
from bench.figures import LISTING, ONE_BY_ONE, Measured, Run, difference
from gridtoken.processes import ProcessError
from stage.chain import ChainError
from stage.servers import BASE_DIR, SOL, Stage

CONFIRMED = {"commitment": "confirmed"}
PATIENCE = 30.0
ACCOUNT_BYTES = 165


class BenchError(Exception):
    """A way did not do what it was measured for; the message says what."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a way is to do, and under which name it is noted."""

    section: str
    workload: str
    accounts: str
    measured: Sequence[Measured]
    of: int
    """Readings of the whole workload; ``measured`` may be a sample."""
    of_wallets: int


@dataclass(slots=True)
class Watch:
    """What changed while it was watched; whole when the block has ended."""

    calls: Mapping[str, int] = field(default_factory=dict)
    refused: int = 0
    lamports: int = 0
    """By which the payer's balance fell."""
    database_cpu: float | None = None
    chain_cpu: float | None = None


class Hall:
    """The servers of a run, and the keys of the two ways that are compared with ours."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.payer = Keypair()
        self.mints = {ONE_BY_ONE: Keypair(), LISTING: Keypair()}
        self.account_rent = 0

    def set_up(self) -> None:
        """SOL for the baselines' payer, a mint for each of them."""
        chain = self.stage.chain
        address = str(self.payer.pubkey())
        chain.call("requestAirdrop", address, 1_000 * SOL)
        _until(lambda: self.lamports(address) > 0, "airdrop")
        for mint in self.mints.values():
            self._ask_baseline(CREATE_MINT, mint, [])
        self.account_rent = int(chain.call("getMinimumBalanceForRentExemption", ACCOUNT_BYTES))

    def limit(self, per_second: int | None) -> None:
        """From here on the node answers so many requests a second, the others with a 429."""
        plan = {} if per_second is None else {"requests_per_second": per_second}
        self.stage.chain.control(faults=plan)

    def lamports(self, address: str) -> int:
        """A balance at ``confirmed``, however long the node has to be asked."""
        found: list[int] = []

        def asked() -> bool:
            found.append(int(self.stage.chain.call("getBalance", address, CONFIRMED)["value"]))
            return True

        _until(asked, "balance")
        return found[-1]

    def supply(self, mint: str) -> int:
        """Base units at ``confirmed``."""
        found: list[int] = []

        def asked() -> bool:
            answer = self.stage.chain.call("getTokenSupply", mint, CONFIRMED)
            found.append(int(answer["value"]["amount"]))
            return True

        _until(asked, "supply")
        return found[-1]

    @contextmanager
    def watched(self, payer: str) -> Iterator[Watch]:
        """Counts at the node, so that resends and other processes' questions count too."""
        watch = Watch()
        lamports = self.lamports(payer)
        postgres = gauges.with_children(self.stage.postmaster)
        database = gauges.cpu_seconds(postgres)
        chain = gauges.cpu_seconds([self.stage.chain_pid])
        before = self.stage.chain.control(requests=True)
        yield watch
        after = self.stage.chain.control(requests=True)
        watch.calls = difference(after["requests"], before["requests"])
        watch.refused = after["refused"] - before["refused"]
        postgres = gauges.with_children(self.stage.postmaster)
        watch.database_cpu = _more(gauges.cpu_seconds(postgres), database)
        watch.chain_cpu = _more(gauges.cpu_seconds([self.stage.chain_pid]), chain)
        watch.lamports = lamports - self.lamports(payer)

    def baseline(self, way: str, task: Task) -> tuple[Run, list[float]]:
        """Mints by one of the old ways, and makes sure that it did.

        Returns:
            What it took, and the seconds of each of its payments.

        Raises:
            BenchError: not everything was minted.
        """
        mint = self.mints[way]
        before = self.supply(str(mint.pubkey()))
        with self.watched(str(self.payer.pubkey())) as watch:
            told = self._ask_baseline(way, mint, task.measured)
        minted = self.supply(str(mint.pubkey())) - before
        wanted = sum(each.base_units for each in task.measured)
        if minted != wanted:
            raise BenchError(f"{way} minted {minted} base units of {wanted}")
        rent = told["created"] * self.account_rent
        run = Run(
            section=task.section,
            workload=task.workload,
            way=way,
            accounts=task.accounts,
            readings=len(task.measured),
            of=task.of,
            wallets=wallets_of(task.measured),
            of_wallets=task.of_wallets,
            seconds=told["seconds"],
            transactions=told["transactions"],
            fee_lamports=watch.lamports - rent,
            rent_lamports=rent,
            calls=watch.calls,
            refused=watch.refused,
            peak_mb=told["peak_mb"],
            cpu_seconds=told["cpu_seconds"],
            chain_cpu_seconds=watch.chain_cpu,
        )
        return run, told["latencies"]

    def open_accounts(self, way: str, measured: Sequence[Measured]) -> None:
        """The token accounts of a way's mint, by minting one reading to each wallet."""
        one = {each.wallet: each for each in reversed(measured)}
        self._ask_baseline(LISTING, self.mints[way], list(one.values()))

    def _ask_baseline(
        self, way: str, mint: Keypair, measured: Sequence[Measured]
    ) -> dict[str, Any]:
        job = {
            "url": self.stage.url,
            "way": way,
            "payer": str(self.payer),
            "mint": str(mint),
            "payments": [(each.user_id, each.wallet, each.base_units) for each in measured],
        }
        done = subprocess.run(
            [sys.executable, "-m", "bench.baseline"],
            cwd=BASE_DIR,
            input=json.dumps(job),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no word of why"])[-1]
            raise BenchError(f"{way} ended with code {done.returncode}: {last}")
        return dict(json.loads(done.stdout))


def whole(section: str, accounts: str, measured: Sequence[Measured]) -> Task:
    """A task that is all of its workload."""
    wallets = wallets_of(measured)
    workload = f"{len(measured):,} of {wallets:,}"
    return Task(section, workload, accounts, measured, len(measured), wallets)


def wallets_of(measured: Sequence[Measured]) -> int:
    """How many different ones are paid."""
    return len({each.wallet for each in measured})


def _more(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before


def _until(done: Any, what: str) -> None:
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        try:
            if done():
                return
        except ChainError:
            pass  # a node that allows so many requests a second
        time.sleep(0.1)
    raise ProcessError(f"the node does not answer: {what}")
