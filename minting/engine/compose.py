"""Plan, blockhash and keys to bytes that may be journalled.

``sign_all`` is the only way to a ``SignedTransaction``, and it verifies what it made (I6):
unverified bytes cannot reach the journal.
"""

from __future__ import annotations

from collections.abc import Sequence

from solders.message import to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature

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
    "sign_all",
    "unsigned",
    "unsigned_for_simulation",
    "v1_probe",
    "verify",
]


async def sign_all(
    plans: Sequence[tuple[PlannedTransaction, ExecutionLimits]],
    *,
    mint: MintFacts,
    program: ReadableMintProgram,
    authority: Pubkey,
    blockhash: Blockhash,
    signers: Sequence[Signer],
    max_priority_fee: int = 0,
    payer: Pubkey | None = None,
) -> list[SignedTransaction]:
    """Builds, signs and verifies transactions that share a blockhash; nothing is sent.

    Each key is asked once for all of them: a remote one costs a round trip.

    Args:
        plans: What is paid, and what to ask of the block for it.
        mint: The mint that pays.
        program: How a group is minted.
        authority: The mint authority.
        blockhash: Dates the transactions.
        signers: The configured keys; one for each address that must sign.
        max_priority_fee: Cap in lamports.
        payer: The fee payer, if it is not the authority.

    Raises:
        MintingRefused: If no signer holds a key that must sign, or one will not sign.
        SignerUnavailable: If a signer gives no signature now.
        VerificationFailed: If the bytes are not what was planned; then none of them is to be used.
        ValueError: If a plan does not fit its format.
    """
    messages = [
        build_message(
            plan,
            mint=mint,
            program=program,
            authority=authority,
            payer=payer,
            blockhash=blockhash.value,
            limits=limits,
        )
        for plan, limits in plans
    ]
    signed: list[SignedTransaction] = []
    for (plan, limits), message, signatures in zip(
        plans, messages, await _signatures(messages, signers), strict=True
    ):
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
        signed.append(
            SignedTransaction(
                plan=plan,
                signature=signatures[0],
                raw=raw,
                blockhash=blockhash,
                memo_root=plan_root(plan),
                limits=limits,
            )
        )
    return signed


async def _signatures(
    messages: Sequence[Message], signers: Sequence[Signer]
) -> list[list[Signature]]:
    """For each message the signatures it needs, in the order of its keys."""
    held = {signer.address: signer for signer in signers}
    needed = [each.account_keys[: each.header.num_required_signatures] for each in messages]
    keys = dict.fromkeys(key for those in needed for key in those)
    if missing := [str(key) for key in keys if key not in held]:
        raise MintingRefused(f"No signer holds the key of {', '.join(missing)}")
    data = [to_bytes_versioned(each) for each in messages]
    given: dict[tuple[int, Pubkey], Signature] = {}
    for key in keys:
        theirs = [at for at, those in enumerate(needed) if key in those]
        signatures = await held[key].sign([data[at] for at in theirs])
        given |= {(at, key): each for at, each in zip(theirs, signatures, strict=True)}
    return [[given[at, key] for key in those] for at, those in enumerate(needed)]
