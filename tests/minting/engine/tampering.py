"""Transactions open to tampering, and the ways to tamper with them (I6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import (
    Message,
    MessageV0,
    MessageV1,
    TransactionConfig,
)
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction
from spl.token.instructions import create_associated_token_account, mint_to
from spl.token.models import MintToParams

from minting.engine import instructions as build
from minting.engine.messages import numbered_instructions, v0_budget
from minting.engine.receipts import memo_text, plan_root
from minting.engine.types import Destination, PlannedTransaction
from minting.engine.wallets import associated_token_address
from tests.minting.engine.cast import (
    AUTHORITY,
    BATCH_ID,
    BLOCKHASH,
    FACTS,
    LIMITS,
    OUTSIDER,
    PAYER,
    PROGRAM,
    V0,
    V1,
    destination,
    plan_of,
    reading_id,
    wallet,
)

GROUPS = [destination(0, 5, 7), destination(1, 11, create=True), destination(2, 13)]
PLANS = {version: plan_of(GROUPS, version) for version in (V0, V1)}
BID = replace(LIMITS, priority_fee_lamports=600)
CONFIG = TransactionConfig(600, LIMITS.compute_units, LIMITS.loaded_data_bytes)
Instructions = list[Instruction]


@dataclass
class Draft:
    """Everything that a transaction is made of, open to tampering before it is signed."""

    plan: PlannedTransaction
    instructions: Instructions
    payer: Pubkey
    blockhash: Hash
    config: TransactionConfig

    @classmethod
    def of(cls, plan: PlannedTransaction) -> Draft:
        numbered = numbered_instructions(
            plan, mint=FACTS, program=PROGRAM, authority=AUTHORITY.pubkey()
        )
        instructions = [instruction for _, instruction in numbered]
        if plan.version is V0:
            instructions += v0_budget(BID, len(instructions))
        recent = Hash.from_string(BLOCKHASH.value)
        return cls(plan, instructions, AUTHORITY.pubkey(), recent, CONFIG)

    def message(self) -> MessageV0 | MessageV1:
        if self.plan.version is V1:
            return MessageV1.try_compile(self.payer, self.instructions, self.blockhash, self.config)
        return MessageV0.try_compile(self.payer, self.instructions, [], self.blockhash)


def signed(message: Message | MessageV0 | MessageV1) -> bytes:
    """Validly signed by whoever it wants: the strongest tampering there is."""
    keys = {key.pubkey(): key for key in (AUTHORITY, OUTSIDER, PAYER)}
    signers = message.account_keys[: message.header.num_required_signatures]
    return bytes(VersionedTransaction(message, [keys[each] for each in signers]))


def swap(draft: Draft, index: int, instruction: Instruction) -> None:
    draft.instructions[index] = instruction


def data_changed(draft: Draft, index: int, data: bytes) -> None:
    old = draft.instructions[index]
    swap(draft, index, Instruction(old.program_id, data, old.accounts))


def account_changed(draft: Draft, index: int, place: int, key: Pubkey) -> None:
    old = draft.instructions[index]
    metas = list(old.accounts)
    metas[place] = AccountMeta(key, metas[place].is_signer, metas[place].is_writable)
    swap(draft, index, Instruction(old.program_id, old.data, metas))


# Instructions of a draft: mint 0, create 1, mint 1, mint 2, memo, then v0's compute budget.
MINT_0, CREATE, MINT_1, MINT_2, MEMO = range(5)
STRANGER = associated_token_address(OUTSIDER.pubkey(), FACTS)


def minted(units: int, decimals: int = 9) -> bytes:
    return bytes([14]) + units.to_bytes(8, "little") + bytes([decimals])


def moved_units(draft: Draft) -> None:
    data_changed(draft, MINT_0, minted(11))
    data_changed(draft, MINT_2, minted(14))


def freeze_instead(draft: Draft) -> None:
    old = draft.instructions[MINT_0]
    swap(draft, MINT_0, Instruction(old.program_id, bytes([10]), old.accounts))


def plain_mint_to(draft: Draft) -> None:
    old = draft.instructions[MINT_0].accounts
    swap(
        draft,
        MINT_0,
        mint_to(
            MintToParams(
                program_id=FACTS.token_program,
                mint=FACTS.address,
                dest=old[1].pubkey,
                mint_authority=AUTHORITY.pubkey(),
                amount=12,
            )
        ),
    )


def outsider_signs_too(draft: Draft) -> None:
    old = draft.instructions[MEMO]
    metas = [AccountMeta(OUTSIDER.pubkey(), is_signer=True, is_writable=False)]
    swap(draft, MEMO, Instruction(old.program_id, old.data, metas))


def authority_signs_memo(draft: Draft) -> None:
    old = draft.instructions[MEMO]
    metas = [AccountMeta(AUTHORITY.pubkey(), is_signer=True, is_writable=False)]
    swap(draft, MEMO, Instruction(old.program_id, old.data, metas))


def steal_lamports(draft: Draft) -> None:
    params = TransferParams(from_pubkey=AUTHORITY.pubkey(), to_pubkey=OUTSIDER.pubkey(), lamports=1)
    draft.instructions.append(transfer(params))


def outsider_pays(draft: Draft) -> None:
    draft.payer = OUTSIDER.pubkey()


def old_blockhash(draft: Draft) -> None:
    draft.blockhash = Hash.hash(b"older")


def create_for_stranger(draft: Draft) -> None:
    stranger = Destination(GROUPS[0].group, STRANGER, create=True)
    stranger = replace(stranger, group=replace(stranger.group, wallet=OUTSIDER.pubkey()))
    create = build.create_token_account(stranger, FACTS, AUTHORITY.pubkey())
    draft.instructions.insert(0, create)


def create_not_idempotent(draft: Draft) -> None:
    create = create_associated_token_account(
        AUTHORITY.pubkey(), wallet(1), FACTS.address, FACTS.token_program
    )
    swap(draft, CREATE, create)


TAMPERINGS: dict[str, tuple[str, Callable[[Draft], object]]] = {
    "one unit more": ("destinations", lambda draft: data_changed(draft, MINT_0, minted(13))),
    "units moved between wallets": ("destinations", moved_units),
    "a stranger's account": (
        "destinations",
        lambda draft: account_changed(draft, MINT_0, 1, STRANGER),
    ),
    "a wallet left out": ("destinations", lambda draft: draft.instructions.pop(MINT_2)),
    "a mint twice": (
        "destinations",
        lambda draft: draft.instructions.insert(0, draft.instructions[MINT_0]),
    ),
    "other decimals": ("mints", lambda draft: data_changed(draft, MINT_0, minted(12, 8))),
    "another mint": (
        "mints",
        lambda draft: account_changed(draft, MINT_0, 0, OUTSIDER.pubkey()),
    ),
    "another authority": (
        "signers",
        lambda draft: account_changed(draft, MINT_0, 2, OUTSIDER.pubkey()),
    ),
    "an unchecked mint": ("mints", plain_mint_to),
    "a freeze": ("mints", freeze_instead),
    "longer data": ("mints", lambda draft: data_changed(draft, MINT_0, minted(12) + b"\0")),
    "a transfer of lamports": ("programs", steal_lamports),
    "another program": (
        "programs",
        lambda draft: swap(draft, MINT_0, Instruction(OUTSIDER.pubkey(), minted(12), [])),
    ),
    "a missing create": ("creates", lambda draft: draft.instructions.pop(CREATE)),
    "a create too many": ("creates", create_for_stranger),
    "a create that can fail": ("creates", create_not_idempotent),
    "no memo": ("memo", lambda draft: draft.instructions.pop(MEMO)),
    "two memos": (
        "memo",
        lambda draft: draft.instructions.append(draft.instructions[MEMO]),
    ),
    "another root": (
        "memo",
        lambda draft: swap(draft, MEMO, build.memo(memo_text(BATCH_ID, bytes(32)))),
    ),
    "another batch": (
        "memo",
        lambda draft: swap(
            draft, MEMO, build.memo(memo_text(reading_id(9), plan_root(draft.plan)))
        ),
    ),
    "a memo that is no text": ("memo", lambda draft: data_changed(draft, MEMO, b"\xff" * 70)),
    "a memo with signer": ("memo", authority_signs_memo),
    "one signer more": ("signers", outsider_signs_too),
    "another fee payer": ("signers", outsider_pays),
    "another blockhash": ("blockhash", old_blockhash),
    "another order": (
        "message",
        lambda draft: draft.instructions.insert(0, draft.instructions.pop(MINT_2)),
    ),
}
