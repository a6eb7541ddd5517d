"""Transactions of the test cluster's authority, and how to see one through."""

from __future__ import annotations

import asyncio
from itertools import count

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0, MessageV1, TransactionConfig
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from minting.cluster import Node
from minting.engine.types import Blockhash, Commitment

AUTHORITY = Keypair.from_seed(bytes([41] * 32))
HOUSEHOLD = Keypair.from_seed(bytes([42] * 32)).pubkey()
SOL = 1_000_000_000
SLOT_MS = 20
_amounts = count(1_000_000)
"""No two transfers alike: the same transaction in the same block has the same signature."""


def on_node(net, story):
    async def run():
        async with Node(net.url) as node:
            return await story(node)

    return asyncio.run(run())


def pay(lamports=None) -> Instruction:
    amount = next(_amounts) if lamports is None else lamports
    return transfer(
        TransferParams(from_pubkey=AUTHORITY.pubkey(), to_pubkey=HOUSEHOLD, lamports=amount)
    )


def v0(*instructions, date: Blockhash, signers=(AUTHORITY,)) -> VersionedTransaction:
    message = MessageV0.try_compile(
        AUTHORITY.pubkey(), list(instructions), [], Hash.from_string(date.value)
    )
    return VersionedTransaction(message, list(signers))


def v1(*instructions, date: Blockhash) -> VersionedTransaction:
    config = TransactionConfig(compute_unit_limit=20_000, loaded_accounts_data_size_limit=65_536)
    message = MessageV1.try_compile(
        AUTHORITY.pubkey(), list(instructions), Hash.from_string(date.value), config
    )
    return VersionedTransaction(message, [AUTHORITY])


async def settled(node, transaction, commitment=Commitment.CONFIRMED):
    """Sends until the chain knows it for good; its status."""
    signature = str(transaction.signatures[0])
    ladder = list(Commitment)
    async with asyncio.timeout(20):
        while True:
            await node.send(bytes(transaction))
            status = (await node.statuses([signature])).statuses[0]
            if status and ladder.index(status.commitment) >= ladder.index(commitment):
                return status
            await asyncio.sleep(SLOT_MS / 1_000)
