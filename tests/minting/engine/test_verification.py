"""I6: bytes that differ from the plan in any way are caught, however they came to differ."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.instruction import AccountMeta, Instruction
from solders.message import (
    Message,
    MessageAddressTableLookup,
    MessageHeader,
    MessageV0,
    MessageV1,
    TransactionConfig,
)
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from spl.memo.constants import MEMO_PROGRAM_ID

from minting.engine import instructions as build
from minting.engine.compose import build_message, unsigned, verify
from minting.engine.errors import MintingRefused, VerificationFailed
from minting.engine.programs.spl_token import SplTokenProgram
from minting.engine.receipts import plan_root
from minting.engine.types import (
    Destination,
    ExecutionLimits,
    MintFacts,
    PlannedTransaction,
    SignedTransaction,
    Signer,
)
from tests.minting.engine.cast import (
    AUTHORITY,
    BLOCKHASH,
    FACTS,
    LIMITS,
    OUTSIDER,
    PAYER,
    PROGRAM,
    V0,
    V1,
    HotKey,
    destination,
    sign,
)
from tests.minting.engine.tampering import (
    BID,
    GROUPS,
    MEMO,
    PLANS,
    STRANGER,
    TAMPERINGS,
    Draft,
    signed,
)


def check(raw: bytes, plan: PlannedTransaction, cap: int = 1_000) -> None:
    verify(
        raw,
        plan=plan,
        mint=FACTS,
        program=PROGRAM,
        authority=AUTHORITY.pubkey(),
        blockhash=BLOCKHASH.value,
        limits=BID,
        max_priority_fee=cap,
    )


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


def caught(*checks: str):
    """The bytes are refused, and one of these checks says so."""
    return pytest.raises(VerificationFailed, match=rf"^({'|'.join(checks)}): ")


@pytest.mark.parametrize("version", [V0, V1])
def test_i6_accepts_what_was_planned(version):
    draft = Draft.of(PLANS[version])
    check(signed(draft.message()), draft.plan)


@pytest.mark.parametrize("version", [V0, V1])
@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_i6_catches(tampering, version):
    expected, tamper = TAMPERINGS[tampering]
    draft = Draft.of(PLANS[version])
    tamper(draft)
    with caught(expected):
        check(signed(draft.message()), draft.plan)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (TransactionConfig(600, None, LIMITS.loaded_data_bytes), "limits"),
        (TransactionConfig(600, 0, LIMITS.loaded_data_bytes), "limits"),
        (TransactionConfig(600, LIMITS.compute_units - 1, LIMITS.loaded_data_bytes), "limits"),
        (TransactionConfig(600, LIMITS.compute_units, None), "limits"),
        (TransactionConfig(600, LIMITS.compute_units, 1), "limits"),
        (TransactionConfig(600, LIMITS.compute_units, LIMITS.loaded_data_bytes, 65_536), "limits"),
        (TransactionConfig(601, LIMITS.compute_units, LIMITS.loaded_data_bytes), "priority fee"),
        (TransactionConfig(None, LIMITS.compute_units, LIMITS.loaded_data_bytes), "message"),
        (TransactionConfig(600, LIMITS.compute_units + 1, LIMITS.loaded_data_bytes), "message"),
    ],
)
def test_i6_catches_other_limits_in_v1(config, expected):
    draft = Draft.of(PLANS[V1])
    draft.config = config
    with caught(expected):
        check(signed(draft.message()), draft.plan)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ([build.compute_unit_limit(0)], "limits"),
        ([build.compute_unit_limit(LIMITS.compute_units - 1)], "limits"),
        ([build.loaded_data_limit(1)], "limits"),
        ([build.compute_unit_limit(400_000), build.compute_unit_limit(400_000)], "limits"),
        ([build.compute_unit_limit(300_000), build.compute_unit_price(2_004)], "priority fee"),
        ([build.compute_unit_price(2_000)], "priority fee"),
        ([], "message"),
    ],
)
def test_i6_catches_other_limits_in_v0(budget, expected):
    draft = Draft.of(PLANS[V0])
    draft.instructions[MEMO + 1 :] = budget
    with caught(expected):
        check(signed(draft.message()), draft.plan)


@pytest.mark.parametrize("version", [V0, V1])
def test_i6_caps_the_priority_fee_whatever_was_planned(version):
    draft = Draft.of(PLANS[version])
    with caught("priority fee"):
        check(signed(draft.message()), draft.plan, cap=599)


@pytest.mark.parametrize("version", [V0, V1])
def test_i6_catches_privileges_and_addresses_that_nothing_needs(version):
    message = Draft.of(PLANS[version]).message()
    header = message.header
    writable = MessageHeader(
        header.num_required_signatures,
        header.num_readonly_signed_accounts,
        header.num_readonly_unsigned_accounts - 1,
    )
    for changed_header, keys in (
        (writable, message.account_keys),
        (header, [*message.account_keys, OUTSIDER.pubkey()]),
    ):
        changed: MessageV0 | MessageV1
        if isinstance(message, MessageV1):
            changed = MessageV1(
                changed_header,
                message.config,
                message.recent_blockhash,
                keys,
                message.instructions,
            )
        else:
            changed = MessageV0(
                changed_header, keys, message.recent_blockhash, message.instructions, []
            )
        with caught("message", "encoding"):
            check(signed(changed), PLANS[version])


def test_i6_catches_a_lookup_table_and_a_legacy_message():
    plan = PLANS[V0]
    message = Draft.of(plan).message()
    table = MessageAddressTableLookup(OUTSIDER.pubkey(), bytes([0]), b"")
    with_table = MessageV0(
        message.header,
        message.account_keys,
        message.recent_blockhash,
        message.instructions,
        [table],
    )
    with caught("programs"):
        check(signed(with_table), plan)
    legacy = Message.new_with_blockhash(
        Draft.of(plan).instructions, AUTHORITY.pubkey(), message.recent_blockhash
    )
    with caught("version"):
        check(signed(legacy), plan)


def test_i6_catches_another_version_than_planned():
    with caught("version"):
        check(signed(Draft.of(PLANS[V0]).message()), PLANS[V1])


@pytest.mark.parametrize("version", [V0, V1])
def test_i6_catches_missing_and_foreign_signatures(version):
    message = Draft.of(PLANS[version]).message()
    null = unsigned(message)
    foreign = unsigned(message, [OUTSIDER.sign_message(b"something else")])
    for raw in (null, foreign):
        with caught("signatures"):
            check(raw, PLANS[version])


@settings(max_examples=300)
@given(data=st.data(), version=st.sampled_from([V0, V1]))
def test_i6_catches_any_changed_byte(data, version):
    raw = bytearray(signed(Draft.of(PLANS[version]).message()))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(VerificationFailed):
        check(bytes(raw), PLANS[version])


@given(tail=st.binary(min_size=1, max_size=8), version=st.sampled_from([V0, V1]))
def test_i6_catches_bytes_behind_the_transaction(tail, version):
    raw = signed(Draft.of(PLANS[version]).message())
    for changed in (raw + tail, raw[: -len(tail)], tail):
        with pytest.raises(VerificationFailed):
            check(changed, PLANS[version])


def test_i6_catches_bytes_that_no_leader_would_take():
    for version, size in ((V0, 1_233), (V1, 4_097)):
        with caught("encoding"):
            check(bytes(size), PLANS[version])


def test_i6_catches_a_plan_that_pays_a_reading_twice_or_the_wrong_account():
    for groups in (
        [GROUPS[0], replace(GROUPS[0])],
        [replace(GROUPS[0], token_account=STRANGER)],
        [destination(0, 0)],
    ):
        plan = replace(PLANS[V1], destinations=tuple(groups))
        draft = Draft.of(plan)
        with caught("destinations"):
            check(signed(draft.message()), plan)


class Thief(SplTokenProgram):
    """A builder with a fault: what it pays is right in sum and goes to a stranger."""

    def mint(
        self, destination: Destination, mint: MintFacts, authority: Pubkey
    ) -> tuple[Instruction, ...]:
        return tuple(super().mint(replace(destination, token_account=STRANGER), mint, authority))


def sign_plan(
    plan: PlannedTransaction,
    *,
    program: SplTokenProgram = PROGRAM,
    limits: ExecutionLimits = LIMITS,
    signers: Sequence[Signer] = (HotKey(AUTHORITY),),
    payer: Pubkey | None = None,
) -> SignedTransaction:
    return asyncio.run(
        sign(
            plan,
            mint=FACTS,
            program=program,
            authority=AUTHORITY.pubkey(),
            blockhash=BLOCKHASH,
            limits=limits,
            signers=signers,
            payer=payer,
        )
    )


def test_i6_reads_the_bytes_without_trusting_their_builder():
    with caught("destinations"):
        sign_plan(PLANS[V1], program=Thief())


def test_i6_nothing_is_signed_without_being_verified():
    class Forger(HotKey):
        async def sign(self, messages: Sequence[bytes]) -> list[Signature]:
            return [OUTSIDER.sign_message(message) for message in messages]

    with caught("signatures"):
        sign_plan(PLANS[V1], signers=[Forger(AUTHORITY)])


@pytest.mark.parametrize("version", [V0, V1])
def test_a_fee_payer_apart_signs_first(version):
    plan = PLANS[version]
    both = sign_plan(plan, signers=[HotKey(AUTHORITY), HotKey(PAYER)], payer=PAYER.pubkey())
    transaction = VersionedTransaction.from_bytes(both.raw)
    assert transaction.message.account_keys[:2] == [PAYER.pubkey(), AUTHORITY.pubkey()]
    assert transaction.signatures[0] == both.signature


def test_a_key_that_nobody_holds_is_named():
    with pytest.raises(MintingRefused, match=str(PAYER.pubkey())):
        sign_plan(PLANS[V1], payer=PAYER.pubkey())


def test_i2_a_signature_is_known_before_anything_is_sent():
    one = sign_plan(PLANS[V1])
    assert VersionedTransaction.from_bytes(one.raw).signatures == [one.signature]
    assert one.memo_root == plan_root(PLANS[V1])
    assert one.blockhash == BLOCKHASH


def test_i3_other_limits_make_another_signature():
    """Both would land: which is why a result belongs to one live transaction."""
    assert (
        sign_plan(PLANS[V1]).signature
        != sign_plan(PLANS[V1], limits=ExecutionLimits(1, 1)).signature
    )


def test_unsigned_instruction_indices_are_those_of_the_plan():
    message = build_message(
        PLANS[V0],
        mint=FACTS,
        program=PROGRAM,
        authority=AUTHORITY.pubkey(),
        blockhash=BLOCKHASH.value,
        limits=BID,
    )
    programs = [message.account_keys[each.program_id_index] for each in message.instructions]
    assert programs[MEMO] == MEMO_PROGRAM_ID
