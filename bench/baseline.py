"""The two ways before this product, over solana-py and solders directly.

``one by one``: the old path. Reading after reading: account check, token account if missing,
blockhash, mint, confirmation.

``the listing``: the seed's listing taken literally. Batches of at most fifty readings, five at a
time; the users of a batch in parallel; per user an account check, a transaction of its own for a
missing account, then the mint of the sum; each transaction with a blockhash and a confirmation of
its own.

Neither is held back: connections are kept open, `confirmed` is enough, and the interval between two
looks at a signature is solana-py's own (0.5 s). A 429 is waited out for as long as it says.

A process of its own, so that its CPU time and memory are its own: reads a job from stdin and
answers on stdout, both JSON.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

import httpx2
from solana.exceptions import SolanaRpcException
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed
from solana.rpc.models import TxOpts
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from solders.transaction import VersionedTransaction
from spl.token.constants import TOKEN_PROGRAM_ID
from spl.token.instructions import (
    create_associated_token_account,
    get_associated_token_address,
    initialize_mint,
    mint_to_checked,
)
from spl.token.models import InitializeMintParams, MintToCheckedParams

from bench.figures import LISTING, ONE_BY_ONE

T = TypeVar("T")

BATCH_SIZE, CONCURRENT_BATCHES = 50, 5
MAX_TOKENS = 10**12
"""The seed's three limits."""
DECIMALS = 9
MINT_BYTES = 82
TIMEOUT = 60.0
PAUSE = 0.5
"""Seconds after a 429 that does not say for how long (solana-client's own)."""
JITTER = 0.25
CREATE_MINT = "create a mint"


@dataclass(frozen=True, slots=True)
class Payment:
    """One reading."""

    user_id: str
    wallet: Pubkey
    base_units: int


@dataclass
class Baseline:
    """One client, one mint, and what was done with them."""

    client: AsyncClient
    payer: Keypair
    mint: Pubkey
    sent: int = 0
    created: int = 0
    latencies: list[float] = field(default_factory=list)
    """Seconds of each payment, from its turn to its confirmation."""
    random: Random = field(default_factory=lambda: Random(0))

    async def one_by_one(self, payments: Sequence[Payment]) -> None:
        """The old path."""
        for payment in payments:
            await self.pay([payment])

    async def listing(self, payments: Sequence[Payment]) -> None:
        """The seed's, five batches at a time."""
        places = asyncio.Semaphore(CONCURRENT_BATCHES)

        async def one(batch: Sequence[Payment]) -> None:
            async with places:
                users: dict[str, list[Payment]] = {}
                for payment in batch:
                    users.setdefault(payment.user_id, []).append(payment)
                await asyncio.gather(*map(self.pay, users.values()))

        await asyncio.gather(*map(one, optimized(payments)))

    async def pay(self, payments: Sequence[Payment]) -> None:
        """``mint_for_user_batch``: one user's readings, in one mint to the first one's wallet."""
        begun = time.perf_counter()
        wallet = payments[0].wallet
        account = get_associated_token_address(wallet, self.mint)
        found = await self.ask(lambda: self.client.get_account_info(account))
        if found.value is None:
            await self.send([create_associated_token_account(self.me, wallet, self.mint)])
            self.created += 1
        units = sum(payment.base_units for payment in payments)
        await self.send(
            [
                mint_to_checked(
                    MintToCheckedParams(
                        program_id=TOKEN_PROGRAM_ID,
                        mint=self.mint,
                        dest=account,
                        mint_authority=self.me,
                        amount=units,
                        decimals=DECIMALS,
                        signers=[],
                    )
                )
            ]
        )
        self.latencies.append(time.perf_counter() - begun)

    async def send(self, instructions: Sequence[Instruction], *more: Keypair) -> None:
        """A blockhash of its own, one transaction, and its confirmation.

        Raises:
            RuntimeError: it landed with an error.
        """
        dated = await self.ask(self.client.get_latest_blockhash)
        message = MessageV0.try_compile(self.me, list(instructions), [], dated.value.blockhash)
        signed = VersionedTransaction(message, [self.payer, *more])
        options = TxOpts(preflight_commitment=Confirmed)
        signature = (await self.ask(lambda: self.client.send_transaction(signed, options))).value
        self.sent += 1
        told = await self.ask(lambda: self.client.confirm_transaction(signature, Confirmed))
        if told.value[0] is None or told.value[0].err is not None:
            raise RuntimeError(f"{signature} landed with {told.value[0]}")

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """The answer; a 429 is waited out."""
        while True:
            try:
                return await question()
            except SolanaRpcException as failure:
                rest = _rest(failure.__cause__)
                if rest is None:
                    raise
                await asyncio.sleep(rest * (1 + JITTER * self.random.random()))

    @property
    def me(self) -> Pubkey:
        """Payer and mint authority."""
        return self.payer.pubkey()


def optimized(payments: Sequence[Payment]) -> list[list[Payment]]:
    """``optimize_batch``: order kept, greedy, both limits."""
    batches: list[list[Payment]] = [[]]
    units = 0
    for payment in payments:
        full = len(batches[-1]) >= BATCH_SIZE or units + payment.base_units > MAX_TOKENS
        if full and batches[-1]:
            batches.append([])
            units = 0
        batches[-1].append(payment)
        units += payment.base_units
    return [batch for batch in batches if batch]


def _rest(cause: BaseException | None) -> float | None:
    """Seconds that a 429 asks to wait; None for any other failure."""
    if not isinstance(cause, httpx2.HTTPStatusError) or cause.response.status_code != 429:
        return None
    return float(cause.response.headers.get("retry-after", PAUSE))


async def _create_mint(baseline: Baseline, mint: Keypair) -> None:
    rent = await baseline.client.get_minimum_balance_for_rent_exemption(MINT_BYTES)
    await baseline.send(
        [
            create_account(
                CreateAccountParams(
                    from_pubkey=baseline.me,
                    to_pubkey=mint.pubkey(),
                    lamports=rent.value,
                    space=MINT_BYTES,
                    owner=TOKEN_PROGRAM_ID,
                )
            ),
            initialize_mint(
                InitializeMintParams(
                    program_id=TOKEN_PROGRAM_ID,
                    mint=mint.pubkey(),
                    decimals=DECIMALS,
                    mint_authority=baseline.me,
                )
            ),
        ],
        mint,
    )


async def _work(job: dict[str, Any]) -> dict[str, Any]:
    payer, mint = Keypair.from_base58_string(job["payer"]), Keypair.from_base58_string(job["mint"])
    payments = [
        Payment(user, Pubkey.from_string(wallet), units) for user, wallet, units in job["payments"]
    ]
    at_once = BATCH_SIZE * CONCURRENT_BATCHES
    async with AsyncClient(
        job["url"],
        commitment=Confirmed,
        timeout=TIMEOUT,
        max_connections=at_once,
        max_keepalive_connections=at_once,
        keepalive_expiry=30,
    ) as client:
        baseline = Baseline(client, payer, mint.pubkey())
        begun, cpu = time.perf_counter(), time.process_time()
        ways = {ONE_BY_ONE: baseline.one_by_one, LISTING: baseline.listing}
        if job["way"] == CREATE_MINT:
            await _create_mint(baseline, mint)
        else:
            await ways[job["way"]](payments)
        return {
            "seconds": time.perf_counter() - begun,
            "cpu_seconds": time.process_time() - cpu,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "transactions": baseline.sent,
            "created": baseline.created,
            "latencies": baseline.latencies,
        }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(_work(json.load(sys.stdin)))))
