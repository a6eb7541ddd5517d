"""Plan, blockhash and keys to bytes that may be journalled.

``sign`` is the only way to a ``SignedTransaction``, and it verifies what it made (I6): unverified
bytes cannot reach the journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from solders.message import to_bytes_versioned
from solders.pubkey import Pubkey

from minting.engine.errors import MintingRefused
from minting.engine.messages import (
    Message,
    build_message,
    limits_from,
    priority_fee,
    unsigned,
    unsigned_for_simulation,
    v1_probe,
)
from minting.engine.programs.base import ReadableMintProgram
from minting.engine.receipts import plan_root
from minting.engine.types import (
    Blockhash,
    ExecutionLimits,
    MintFacts,
    PlannedTransaction,
    SignedTransaction,
    Signer,
)
from minting.engine.verification import verify

__all__ = [
    "Message",
    "build_message",
    "limits_from",
    "priority_fee",
    "sign",
    "unsigned",
    "unsigned_for_simulation",
    "v1_probe",
    "verify",
]


async def sign(
    plan: PlannedTransaction,
    *,
    mint: MintFacts,
    program: ReadableMintProgram,
    authority: Pubkey,
    blockhash: Blockhash,
    limits: ExecutionLimits,
    signers: Sequence[Signer],
    max_priority_fee: int = 0,
    payer: Pubkey | None = None,
) -> SignedTransaction:
    """Builds, signs and verifies one transaction; nothing is sent.

    Args:
        plan: What is paid.
        mint: The mint that pays.
        program: How a group is minted.
        authority: The mint authority.
        blockhash: Dates the transaction.
        limits: What to ask of the block.
        signers: The configured keys; one for each address that must sign.
        max_priority_fee: Cap in lamports.
        payer: The fee payer, if it is not the authority.

    Raises:
        MintingRefused: If no signer holds a key that must sign.
        VerificationFailed: If the bytes are not what was planned.
        ValueError: If the plan does not fit its format.
    """
    message = build_message(
        plan,
        mint=mint,
        program=program,
        authority=authority,
        payer=payer,
        blockhash=blockhash.value,
        limits=limits,
    )
    data = to_bytes_versioned(message)
    held = {signer.address: signer for signer in signers}
    needed = message.account_keys[: message.header.num_required_signatures]
    if missing := [str(key) for key in needed if key not in held]:
        raise MintingRefused(f"No signer holds the key of {', '.join(missing)}")
    signatures = await asyncio.gather(*(held[key].sign(data) for key in needed))
    raw = unsigned(message, signatures)
    verify(
        raw,
        plan=plan,
        mint=mint,
        program=program,
        authority=authority,
        payer=payer,
        blockhash=blockhash.value,
        limits=limits,
        max_priority_fee=max_priority_fee,
    )
    return SignedTransaction(
        plan=plan,
        signature=signatures[0],
        raw=raw,
        blockhash=blockhash,
        memo_root=plan_root(plan),
        limits=limits,
    )
