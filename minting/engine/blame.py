"""Whose fault a failed simulation or a landing with an error is (I8).

``blame`` reads the error alone and *suspects*; a wallet is evicted only after its token account
was read again and ``confirm`` agrees. Whatever is the payer's, the authority's, the mint's or the
program's fault stops the wave and blames no wallet.

Error shapes are those of JSON-RPC: ``"BlockhashNotFound"``, ``{"InstructionError": [3, "…"]}``,
``{"InstructionError": [3, {"Custom": 17}]}``. Nothing is read from log lines: p-token writes none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from solders.instruction import Instruction
from solders.pubkey import Pubkey
from spl.token.constants import ASSOCIATED_TOKEN_PROGRAM_ID

from minting.engine.errors import WalletRefused
from minting.engine.messages import numbered_instructions
from minting.engine.programs.base import ReadableMintProgram
from minting.engine.types import (
    AccountView,
    Destination,
    MintFacts,
    PlannedTransaction,
)
from minting.engine.wallets import judge_token_account


class Fault(StrEnum):
    """What to do about an error."""

    WALLET = "wallet"
    """This destination's own: evict it with the code, once ``confirm`` agrees."""
    ALONE = "alone"
    """Its account changed under the plan, or nothing is proven: it travels alone from now on,
    with its create instruction, a few times at most."""
    SPLIT = "split"
    """Together they need more than a transaction may use: plan smaller ones."""
    WAVE = "wave"
    """Payer, authority, mint or program: stop, blame no wallet."""
    AGAIN = "again"
    """Nobody's: plan or send it anew later."""


@dataclass(frozen=True, slots=True)
class Blame:
    """A fault, its code, and whose destination it concerns (``WALLET`` and ``ALONE``)."""

    fault: Fault
    code: str
    why: str
    destination: Destination | None = None


# TransactionError: what concerns no single instruction.
_TRANSACTION_ERRORS: Mapping[str, tuple[Fault, str]] = {
    "AccountNotFound": (Fault.WAVE, "insufficient_funds"),
    "InsufficientFundsForFee": (Fault.WAVE, "insufficient_funds"),
    "InsufficientFundsForRent": (Fault.WAVE, "insufficient_funds"),
    "InvalidAccountForFee": (Fault.WAVE, "insufficient_funds"),
    "UnsupportedVersion": (Fault.WAVE, "unsupported_version"),
    "MaxLoadedAccountsDataSizeExceeded": (Fault.SPLIT, "limits_exceeded"),
    "TooManyAccountLocks": (Fault.SPLIT, "limits_exceeded"),
    "AccountInUse": (Fault.AGAIN, "cluster_busy"),
    "AlreadyProcessed": (Fault.AGAIN, "already_processed"),
    "BlockhashNotFound": (Fault.AGAIN, "blockhash_not_found"),
    "ClusterMaintenance": (Fault.AGAIN, "cluster_busy"),
    "CommitCancelled": (Fault.AGAIN, "cluster_busy"),
    "WouldExceedAccountDataBlockLimit": (Fault.AGAIN, "cluster_busy"),
    "WouldExceedMaxAccountCostLimit": (Fault.AGAIN, "cluster_busy"),
    "WouldExceedMaxBlockCostLimit": (Fault.AGAIN, "cluster_busy"),
    "WouldExceedMaxVoteCostLimit": (Fault.AGAIN, "cluster_busy"),
}

# InstructionError of any instruction: a limit of the whole transaction was reached in it.
LIMIT_ERRORS = frozenset(
    {
        "ComputationalBudgetExceeded",
        "MaxAccountsDataAllocationsExceeded",
        "MaxAccountsExceeded",
        "MaxInstructionTraceLengthExceeded",
        "ProgramFailedToComplete",
    }
)

# spl_token::error::TokenError, and what the program answers about a destination that is no token
# account of this mint any more.
_MINT_SUSPICIONS: Mapping[int | str, str] = {
    3: "account_other_mint",
    9: "account_uninitialized",
    17: "account_frozen",
    "IncorrectProgramId": "account_not_token",
    "InvalidAccountData": "account_not_token",
    "InvalidAccountOwner": "account_not_token",
    "IllegalOwner": "account_not_token",
    "UninitializedAccount": "account_uninitialized",
}

# spl_token::error::TokenError: OwnerMismatch, Overflow, MintDecimalsMismatch. Met through a program
# they are the authority's or the mint's as well.
_MINT_FAULTS: frozenset[int | str] = frozenset({4, 14, 18})

# spl_associated_token_account::error: 0 is InvalidOwner. The system program's own 0 (address in
# use) arrives as the same number, which is one reason to read the account again.
_CREATE_SUSPICIONS: Mapping[int | str, str] = {
    0: "account_owner_changed",
    "IllegalOwner": "account_owner_changed",
    "IncorrectProgramId": "account_not_token",
    "InvalidAccountData": "account_other_mint",
    "InvalidAccountOwner": "account_not_token",
}

PROGRAM_REFUSED = "program_refused"
"""An error of the program that mints, which names no fault of a token account."""

UNPROVEN = "unproven"
"""A suspicion that the token account, read again, does not bear out."""

# SystemError::ResultWithNegativeLamports, met inside a create: the payer ran out of SOL there.
NEGATIVE_LAMPORTS = 1


def blame(
    err: object,
    plan: PlannedTransaction,
    *,
    mint: MintFacts,
    program: ReadableMintProgram,
    authority: Pubkey,
    payer: Pubkey | None = None,
) -> Blame:
    """Suspects whose fault an error is, by its kind and by the instruction that failed.

    Args:
        err: ``err`` of a simulation or of a landing, as JSON.
        plan: What was simulated or landed.
        mint: The mint that pays.
        program: How a group is minted.
        authority: The mint authority.
        payer: The fee payer, if it is not the authority.
    """
    name, detail = _named(err)
    if name != "InstructionError":
        fault, code = _TRANSACTION_ERRORS.get(name, (Fault.WAVE, "transaction_refused"))
        return _limited(fault, code, f"the transaction failed: {name}", plan)
    index, reason = instruction_error(detail)
    why = f"instruction {index} failed: {_text(reason)}"
    if reason in LIMIT_ERRORS:
        return _limited(Fault.SPLIT, "limits_exceeded", why, plan)
    numbered = numbered_instructions(
        plan, mint=mint, program=program, authority=authority, payer=payer
    )
    if index is None or not 0 <= index < len(numbered):
        return Blame(Fault.WAVE, "transaction_refused", why)
    destination, instruction = numbered[index]
    if destination is None:
        return Blame(Fault.WAVE, "transaction_refused", why)
    calls = instruction.program_id == program.address(mint) != mint.token_program
    if calls:
        return _suspect_of_call(destination, reason, index, program)
    return _suspect(destination, instruction, reason, why)


def confirm(suspicion: Blame, view: AccountView | None, mint: MintFacts) -> Blame:
    """What remains of a suspicion against a wallet after its token account was read again.

    An account that must not be paid is the wallet's fault, with the code of what was found. One
    that was closed or prefunded meanwhile, or that looks fine, proves nothing: its wallet travels
    alone. Any other blame stays as it is.

    Args:
        suspicion: Answer of ``blame``.
        view: The account at the destination's address now.
        mint: The mint that pays.
    """
    destination = suspicion.destination
    if suspicion.fault is not Fault.WALLET or destination is None:
        return suspicion
    try:
        state = judge_token_account(destination.group.wallet, view, mint)
    except WalletRefused as refused:
        return Blame(Fault.WALLET, refused.code, str(refused), destination)
    if state.create != destination.create or state.held_lamports != destination.held_lamports:
        return Blame(
            Fault.ALONE, "account_changed", "its token account changed since the plan", destination
        )
    if suspicion.code == PROGRAM_REFUSED:
        return Blame(Fault.ALONE, PROGRAM_REFUSED, suspicion.why, destination)
    return Blame(
        Fault.ALONE, UNPROVEN, f"{suspicion.why}; its token account looks fine", destination
    )


def _suspect(
    destination: Destination, instruction: Instruction, reason: int | str, why: str
) -> Blame:
    """A destination's own instruction failed: the wallet's fault, or the wave's."""
    creates = instruction.program_id == ASSOCIATED_TOKEN_PROGRAM_ID
    if creates and reason == NEGATIVE_LAMPORTS:
        return Blame(Fault.WAVE, "insufficient_funds", why)
    suspicions = _CREATE_SUSPICIONS if creates else _MINT_SUSPICIONS
    code = suspicions.get(reason)
    if code is None:
        return Blame(Fault.WAVE, "minting_refused", why)
    return Blame(Fault.WALLET, code, why, destination)


def _suspect_of_call(
    destination: Destination, reason: int | str, index: int, program: ReadableMintProgram
) -> Blame:
    """A program's own instruction failed: by its own check, or in the token program it called.

    Its codes and those of the token program arrive alike; what it lists as its own is its own.
    Whether it refuses this destination or everybody, only another simulation tells.
    """
    named = program.explain(reason) if isinstance(reason, int) else None
    why = f"instruction {index} failed: {named or _text(reason)}"
    if named is None and reason in _MINT_FAULTS:
        return Blame(Fault.WAVE, "minting_refused", why)
    code = None if named else _MINT_SUSPICIONS.get(reason)
    return Blame(Fault.WALLET, code or PROGRAM_REFUSED, why, destination)


def _limited(fault: Fault, code: str, why: str, plan: PlannedTransaction) -> Blame:
    """A plan of one destination cannot be split: it is tried again with fresh limits."""
    if fault is Fault.SPLIT and len(plan.destinations) == 1:
        return Blame(Fault.AGAIN, code, why)
    return Blame(fault, code, why)


def _named(err: object) -> tuple[str, object]:
    """(kind, detail) of a transaction error; unit kinds are plain text in JSON."""
    if isinstance(err, Mapping) and len(err) == 1:
        ((name, detail),) = err.items()
        return str(name), detail
    return str(err), None


def instruction_error(detail: object) -> tuple[int | None, int | str]:
    """(index, reason) of an ``InstructionError``: a number for custom errors, else its name."""
    if not isinstance(detail, Sequence) or isinstance(detail, str) or len(detail) != 2:
        return None, str(detail)
    index, (name, custom) = detail[0], _named(detail[1])
    reason = custom if name == "Custom" and isinstance(custom, int) else name
    return (index if isinstance(index, int) else None), reason


def _text(reason: int | str) -> str:
    return f"custom error {reason}" if isinstance(reason, int) else str(reason)
