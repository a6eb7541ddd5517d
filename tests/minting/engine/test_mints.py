"""Mint accounts: the layout, and that sizes and refusals are those of the real programs."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.account import Account
from solders.message import MessageV0
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import TransactionMetadata
from spl.token.constants import TOKEN_2022_PROGRAM_ID, TOKEN_PROGRAM_ID

from minting.engine import instructions as build
from minting.engine import mints
from minting.engine.errors import MintingRefused
from minting.engine.mints import decode_mint, require_mintable
from minting.engine.types import AccountView
from minting.engine.wallets import associated_token_address
from tests.minting.engine.cast import (
    AUTHORITY,
    LIMITS,
    MINT,
    OUTSIDER,
    PROGRAM,
    Chain,
    HotKey,
    plan_of,
    sign,
    wallet,
)

ADDRESS = MINT.pubkey()
KEY = bytes(AUTHORITY.pubkey())
VALUE_BYTES = {
    mints.TRANSFER_FEE_CONFIG: 108,
    mints.MINT_CLOSE_AUTHORITY: 32,
    mints.CONFIDENTIAL_TRANSFER_MINT: 65,
    mints.NON_TRANSFERABLE: 0,
    mints.INTEREST_BEARING_CONFIG: 52,
    mints.PERMANENT_DELEGATE: 32,
    mints.TRANSFER_HOOK: 64,
    mints.CONFIDENTIAL_TRANSFER_FEE_CONFIG: 129,
    mints.METADATA_POINTER: 64,
    mints.GROUP_POINTER: 64,
    mints.TOKEN_GROUP: 80,
    mints.GROUP_MEMBER_POINTER: 64,
    mints.TOKEN_GROUP_MEMBER: 72,
    mints.SCALED_UI_AMOUNT: 56,
    mints.PAUSABLE: 33,
}


def mint_bytes(*, supply: int = 7, decimals: int = 6, initialised: int = 1, freeze: bool = False):
    freezer = b"\x01\x00\x00\x00" + KEY if freeze else bytes(36)
    head = b"\x01\x00\x00\x00" + KEY + supply.to_bytes(8, "little")
    return head + bytes([decimals, initialised]) + freezer


def extension(kind: int, value: bytes) -> bytes:
    return kind.to_bytes(2, "little") + len(value).to_bytes(2, "little") + value


def extended(*extensions: bytes, account_type: int = 1, tail: bytes = b"") -> AccountView:
    data = mint_bytes(decimals=9) + bytes(83) + bytes([account_type]) + b"".join(extensions) + tail
    return AccountView(10**9, TOKEN_2022_PROGRAM_ID, data)


def plain(data: bytes, owner=TOKEN_PROGRAM_ID) -> AccountView:
    return AccountView(1_461_600, owner, data)


@pytest.mark.parametrize(("owner", "size"), [(TOKEN_PROGRAM_ID, 165), (TOKEN_2022_PROGRAM_ID, 170)])
def test_a_plain_mint_is_read(owner, size):
    facts = decode_mint(ADDRESS, plain(mint_bytes(supply=2**64 - 1, freeze=True), owner))
    assert (facts.address, facts.token_program) == (ADDRESS, owner)
    assert (facts.decimals, facts.supply, facts.account_size) == (6, 2**64 - 1, size)
    assert facts.mint_authority == facts.freeze_authority == AUTHORITY.pubkey()


def test_authorities_may_be_missing():
    facts = decode_mint(ADDRESS, plain(bytes(36) + mint_bytes()[36:]))
    assert facts.mint_authority is facts.freeze_authority is None


@pytest.mark.parametrize(
    ("view", "sentence"),
    [
        (None, "no mint at"),
        (plain(mint_bytes(), OUTSIDER.pubkey()), "belongs to"),
        (plain(mint_bytes(initialised=0)), "never initialised"),
        (plain(bytes(165)), "another layout"),
        (plain(b""), "another layout"),
        (plain(mint_bytes()[:81], TOKEN_2022_PROGRAM_ID), "another layout"),
        (extended(account_type=2), "another layout"),
        (extended(extension(mints.PERMANENT_DELEGATE, KEY)[:-1]), "cut off"),
        (extended(extension(9_999, b"")), "unknown here"),
        (extended(extension(7, b"")), "unknown here"),
        (extended(extension(mints.CONFIDENTIAL_MINT_BURN, bytes(196))), "confidentially"),
        (extended(extension(mints.PAUSABLE, KEY + b"\x01")), "paused"),
        (extended(extension(mints.DEFAULT_ACCOUNT_STATE, b"\x02")), "frozen"),
    ],
)
def test_a_mint_that_is_none_or_unsafe_is_refused(view, sentence):
    with pytest.raises(MintingRefused, match=sentence):
        decode_mint(ADDRESS, view)


def test_unused_room_behind_the_extensions_is_no_extension():
    view = extended(extension(mints.DEFAULT_ACCOUNT_STATE, b"\x01"), tail=bytes(40))
    assert decode_mint(ADDRESS, view).account_size == 170


@given(data=st.binary(min_size=82, max_size=400))
def test_any_bytes_are_a_mint_or_refused(data):
    try:
        facts = decode_mint(ADDRESS, plain(data, TOKEN_2022_PROGRAM_ID))
    except MintingRefused:
        return
    assert facts.account_size >= 170


def test_another_authority_or_other_decimals_are_refused():
    facts = decode_mint(ADDRESS, plain(mint_bytes()))
    require_mintable(facts, authority=AUTHORITY.pubkey(), decimals=6)
    with pytest.raises(MintingRefused, match="is minted by"):
        require_mintable(facts, authority=OUTSIDER.pubkey(), decimals=6)
    with pytest.raises(MintingRefused, match="has 6 decimals, the settings say 9"):
        require_mintable(facts, authority=AUTHORITY.pubkey(), decimals=9)


def every_one_alone_and_all_that_agree() -> list[tuple[int, ...]]:
    alone = [(kind,) for kind in VALUE_BYTES]
    return [*alone, (mints.TRANSFER_FEE_CONFIG, mints.TRANSFER_HOOK, mints.PAUSABLE)]


@pytest.mark.parametrize("kinds", every_one_alone_and_all_that_agree())
def test_token_2022_makes_accounts_of_the_size_we_expect_and_mints_to_them(kinds):
    chain = Chain(TOKEN_2022_PROGRAM_ID)
    view = extended(*(extension(kind, bytes(VALUE_BYTES[kind])) for kind in kinds))
    chain.svm.set_account(ADDRESS, Account(view.lamports, view.data, view.owner))
    plan = plan_of([chain.destination(0, 5)], mint=chain.facts)
    signed = asyncio.run(
        sign(
            plan,
            mint=chain.facts,
            program=PROGRAM,
            authority=AUTHORITY.pubkey(),
            blockhash=chain.blockhash,
            limits=LIMITS,
            signers=[HotKey(AUTHORITY)],
        )
    )
    outcome = chain.send(signed.raw)
    assert isinstance(outcome, TransactionMetadata), outcome
    made = chain.view(associated_token_address(wallet(0), chain.facts))
    assert made is not None
    assert len(made.data) == chain.facts.account_size
    assert chain.balance(0) == 5


@pytest.mark.parametrize("token_program", [TOKEN_PROGRAM_ID, TOKEN_2022_PROGRAM_ID])
def test_a_mint_made_at_its_derived_address_is_ours(token_program):
    chain = Chain()
    base = AUTHORITY.pubkey()
    mint = build.mint_address_with_seed(base, "gridtoken", token_program)
    create = build.create_account_with_seed(
        payer=base, base=base, seed="gridtoken", token_program=token_program, lamports=10**7
    )
    initialise = build.initialize_mint2(
        mint=mint, token_program=token_program, decimals=9, mint_authority=base
    )
    message = MessageV0.try_compile(base, [create, initialise], [], chain.svm.latest_blockhash())
    outcome = chain.svm.send_transaction(VersionedTransaction(message, [AUTHORITY]))
    assert isinstance(outcome, TransactionMetadata), outcome
    facts = decode_mint(mint, chain.view(mint))
    require_mintable(facts, authority=base, decimals=9)
    assert (facts.supply, facts.freeze_authority) == (0, None)
