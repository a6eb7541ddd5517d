"""What landed bytes mint, read independently, against what the journal says of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from spl.token.constants import TOKEN_2022_PROGRAM_ID, TOKEN_PROGRAM_ID

from minting.engine.audit import (
    Contents,
    Difference,
    MintedTo,
    Paid,
    compare,
    read_transaction,
    root_of,
    sort_page,
)
from minting.engine.messages import build_message
from minting.engine.receipts import memo_text, plan_root
from minting.engine.states import TransactionStatus
from minting.engine.types import CalledInstruction, HistoryEntry, MessageVersion
from minting.engine.wallets import associated_token_address
from tests.minting.engine.cast import (
    AUTHORITY,
    BATCH_ID,
    BLOCKHASH,
    FACTS,
    LIMITS,
    MINT,
    OUTSIDER,
    PROGRAM,
    destination,
    plan_of,
    reading_id,
    wallet,
)

GROUPS = [destination(0, 5, 7), destination(1, 11, create=True), destination(2, 13)]


def signed(version: MessageVersion) -> tuple[bytes, list[Paid]]:
    plan = plan_of(GROUPS, version)
    message = build_message(
        plan,
        mint=FACTS,
        program=PROGRAM,
        authority=AUTHORITY.pubkey(),
        blockhash=BLOCKHASH.value,
        limits=LIMITS,
    )
    paid = [
        Paid(payment.reading_id, str(each.group.wallet), payment.base_units)
        for each in plan.destinations
        for payment in each.group.payments
    ]
    return bytes(VersionedTransaction(message, [AUTHORITY])), paid


def by_outsider(*instructions: Instruction) -> bytes:
    message = MessageV0.try_compile(OUTSIDER.pubkey(), list(instructions), [], Hash.hash(b"recent"))
    return bytes(VersionedTransaction(message, [OUTSIDER]))


def token_instruction(
    data: bytes, *accounts: Pubkey, program: Pubkey = TOKEN_PROGRAM_ID
) -> Instruction:
    return Instruction(program, data, [AccountMeta(key, False, True) for key in accounts])


def amount(tag: int, units: int, more: bytes = b"") -> bytes:
    return bytes([tag]) + units.to_bytes(8, "little") + more


MINT_ADDRESS, SOMEWHERE, OTHER_MINT = MINT.pubkey(), wallet(77), wallet(78)


@pytest.mark.parametrize("version", list(MessageVersion))
def test_our_own_bytes_are_read_back_and_pay_what_was_planned(version):
    raw, paid = signed(version)

    contents = read_transaction(raw, MINT_ADDRESS)

    assert contents.signed
    assert contents.minted == 36
    assert contents.burned == 0
    assert contents.memo == (BATCH_ID, plan_root(plan_of(GROUPS, version)))
    assert root_of(paid) == contents.memo[1]
    assert compare(contents, paid, FACTS) == []


@pytest.mark.parametrize("program", [TOKEN_PROGRAM_ID, TOKEN_2022_PROGRAM_ID])
def test_whatever_mints_or_burns_is_seen(program):
    signer = OUTSIDER.pubkey()
    raw = by_outsider(
        token_instruction(amount(7, 5), MINT_ADDRESS, SOMEWHERE, signer, program=program),
        token_instruction(amount(14, 6, b"\x09"), MINT_ADDRESS, SOMEWHERE, signer, program=program),
        # Bytes behind the arguments are ignored by the programs, so they are by us.
        token_instruction(amount(7, 7, b"tail"), MINT_ADDRESS, SOMEWHERE, signer, program=program),
        token_instruction(amount(8, 2), SOMEWHERE, MINT_ADDRESS, signer, program=program),
        token_instruction(amount(15, 1, b"\x09"), SOMEWHERE, MINT_ADDRESS, signer, program=program),
    )

    contents = read_transaction(raw, MINT_ADDRESS)

    assert (contents.minted, contents.burned) == (18, 3)
    assert contents.by_account == Counter({SOMEWHERE: 18})


def test_what_only_looks_like_minting_is_not_counted():
    signer = OUTSIDER.pubkey()
    raw = by_outsider(
        token_instruction(amount(7, 5), OTHER_MINT, SOMEWHERE, signer),
        token_instruction(amount(12, 5, b"\x09"), SOMEWHERE, MINT_ADDRESS, wallet(3), signer),
        token_instruction(amount(7, 5), MINT_ADDRESS, SOMEWHERE, signer, program=wallet(4)),
        token_instruction(b"\x07\x01", MINT_ADDRESS, SOMEWHERE, signer),
        token_instruction(b"", MINT_ADDRESS, SOMEWHERE, signer),
    )

    contents = read_transaction(raw, MINT_ADDRESS)

    assert (contents.minted, contents.burned, contents.memo) == (0, 0, None)


def test_a_batch_instruction_is_unpacked():
    """p-token executes what is inside by itself; no node tells it as inner instructions."""
    signer = OUTSIDER.pubkey()
    inside = [amount(7, 40), amount(8, 3)]
    data = b"\xff" + b"".join(bytes([3, len(part)]) + part for part in inside)
    raw = by_outsider(
        token_instruction(data, MINT_ADDRESS, SOMEWHERE, signer, SOMEWHERE, MINT_ADDRESS, signer)
    )

    contents = read_transaction(raw, MINT_ADDRESS)

    assert (contents.minted, contents.burned) == (40, 3)


def test_what_a_program_calls_is_seen_with_addresses_from_tables():
    raw = by_outsider(token_instruction(b"go", wallet(9), program=wallet(8)))
    own = len(VersionedTransaction.from_bytes(raw).message.account_keys)
    loaded = [TOKEN_PROGRAM_ID, MINT_ADDRESS, SOMEWHERE]

    contents = read_transaction(
        raw,
        MINT_ADDRESS,
        called=[CalledInstruction(own, (own + 1, own + 2, 0), amount(7, 9))],
        loaded=loaded,
    )

    assert contents.mints == (MintedTo(SOMEWHERE, OUTSIDER.pubkey(), 9),)


def test_old_transactions_are_read_too():
    message = Message.new_with_blockhash(
        [token_instruction(amount(8, 4), SOMEWHERE, MINT_ADDRESS, OUTSIDER.pubkey())],
        OUTSIDER.pubkey(),
        Hash.hash(b"recent"),
    )
    raw = bytes(VersionedTransaction(message, [OUTSIDER]))

    assert read_transaction(raw, MINT_ADDRESS).burned == 4


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(raw):
    try:
        read_transaction(raw, MINT_ADDRESS)
    except ValueError:
        return


def test_one_changed_byte_is_noticed():
    raw, _ = signed(MessageVersion.V1)
    changed = raw.replace((11).to_bytes(8, "little"), (12).to_bytes(8, "little"))
    assert changed != raw
    assert not read_transaction(changed, MINT_ADDRESS).signed


LEAVES = st.dictionaries(
    st.integers(0, 200), st.tuples(st.integers(0, 4), st.integers(1, 10**12)), min_size=1
).map(
    lambda drawn: [
        Paid(reading_id(number), str(wallet(whose)), units)
        for number, (whose, units) in drawn.items()
    ]
)


def contents_of(paid: list[Paid]) -> Contents:
    """A transaction that pays just these, a mint for each wallet."""
    sums: Counter[str] = Counter()
    for each in paid:
        sums[each.wallet] += each.base_units
    return Contents(
        signature="sig",
        signed=True,
        fee_payer=AUTHORITY.pubkey(),
        mints=tuple(
            MintedTo(
                associated_token_address(Pubkey.from_string(address), FACTS),
                AUTHORITY.pubkey(),
                units,
            )
            for address, units in sums.items()
        ),
        burned=0,
        keys=(),
        memo=(BATCH_ID, root_of(paid)),
    )


@effort(max_examples=60)
@given(paid=LEAVES, data=st.data())
def test_i7_no_difference_is_overlooked_and_none_is_made_up(paid, data):
    contents = contents_of(paid)
    assert compare(contents, data.draw(st.permutations(paid)), FACTS) == []

    at = data.draw(st.integers(0, len(paid) - 1))
    change = data.draw(st.sampled_from(["amount", "wallet", "reading", "lost", "doubled"]))
    told = list(paid)
    match change:
        case "amount":
            told[at] = replace(told[at], base_units=told[at].base_units + 1)
        case "wallet":
            told[at] = replace(told[at], wallet=str(wallet(99)))
        case "reading":
            told[at] = replace(told[at], reading_id=UUID(int=7))
        case "lost":
            del told[at]
        case "doubled":
            told.append(told[at])
    found = compare(contents, told, FACTS)

    assert found
    if change == "reading":
        assert [each.kind for each in found] == [Difference.ROOT_MISMATCH]
    else:
        off = sum((each.in_journal or 0) - (each.on_chain or 0) for each in found)
        assert off == sum(each.base_units for each in told) - contents.minted
        assert {each.kind for each in found} <= {Difference.WRONG_AMOUNT, Difference.WRONG_WALLET}
    if change == "wallet":
        assert Difference.WRONG_WALLET in {each.kind for each in found}


STATUSES = st.sampled_from([None, *TransactionStatus])


@given(st.lists(st.tuples(STATUSES, st.booleans()), max_size=30))
def test_only_what_history_and_journal_agree_on_is_not_read(rows):
    entries = [
        HistoryEntry(str(number), 1, {"InstructionError": []} if failed else None, memo_text_of())
        for number, (_, failed) in enumerate(rows)
    ]
    known = {str(number): status for number, (status, _) in enumerate(rows) if status is not None}

    told = sort_page(entries, known)

    landed = {
        TransactionStatus.SIGNED,
        TransactionStatus.SENT,
        TransactionStatus.CONFIRMED,
        TransactionStatus.FINALIZED,
    }
    for entry, (status, failed) in zip(entries, rows, strict=True):
        assert (entry in told.settled) == (status in landed and not failed)
        agreed_failure = failed and status is TransactionStatus.FAILED
        assert (entry in told.doubtful) == (entry not in told.settled and not agreed_failure)


def memo_text_of() -> str:
    return f"[70] {memo_text(BATCH_ID, bytes(32))}"
