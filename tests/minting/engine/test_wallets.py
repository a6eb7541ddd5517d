from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solana.constants import SYSTEM_PROGRAM_ID
from solders.pubkey import Pubkey
from spl.token.constants import TOKEN_2022_PROGRAM_ID, TOKEN_PROGRAM_ID
from spl.token.instructions import get_associated_token_address

from minting.engine.errors import WalletRefused
from minting.engine.types import AccountView
from minting.engine.wallets import (
    NEVER_WALLETS,
    associated_token_address,
    judge_token_account,
    judge_wallet_account,
    parse_wallet,
)
from tests.minting.engine.cast import FACTS, MINT, OUTSIDER, mint_facts, wallet

OWNER = wallet(1)
FACTS_2022 = mint_facts(TOKEN_2022_PROGRAM_ID)
OFF_CURVE = associated_token_address(OWNER, FACTS)


def refused(code: str):
    """A refusal with this code and a sentence."""
    return pytest.raises(WalletRefused, check=lambda error: error.code == code and bool(str(error)))


def token_account(
    *,
    owner: Pubkey = OWNER,
    mint: Pubkey = FACTS.address,
    state: int = 1,
    program: Pubkey = TOKEN_PROGRAM_ID,
    tail: bytes = b"",
    cut: int = 165,
) -> AccountView:
    data = bytearray(165)
    data[0:32], data[32:64], data[108] = bytes(mint), bytes(owner), state
    return AccountView(2_039_280, program, bytes(data[:cut]) + tail)


def test_a_wallet_is_32_bytes_of_base58():
    assert parse_wallet(str(OWNER)) == OWNER


@pytest.mark.parametrize(
    "text", ["", "hello", "0xd3adbeef", "1" * 31, "1" * 33, f" {OWNER}", f"{OWNER}x", "l" * 44, "é"]
)
def test_what_is_no_base58_of_32_bytes_is_refused(text):
    with refused("invalid_wallet"):
        parse_wallet(text)


@given(text=st.text(max_size=60))
def test_any_text_is_a_wallet_or_a_refusal(text):
    try:
        assert str(parse_wallet(text)) == text
    except WalletRefused as error:
        assert error.code in {"invalid_wallet", "forbidden_wallet", "off_curve_wallet"}  # noqa: PT017


@pytest.mark.parametrize("address", sorted(map(str, NEVER_WALLETS)))
def test_addresses_of_the_runtime_are_no_wallets(address):
    with refused("forbidden_wallet"):
        parse_wallet(address, allowed=NEVER_WALLETS)


def test_off_curve_addresses_are_refused_unless_allowed_by_name():
    with refused("off_curve_wallet"):
        parse_wallet(str(OFF_CURVE))
    assert parse_wallet(str(OFF_CURVE), allowed={OFF_CURVE}) == OFF_CURVE


def test_our_mint_and_known_token_accounts_are_no_wallets_even_if_allowed():
    for address in (MINT.pubkey(), OFF_CURVE):
        with refused("forbidden_wallet"):
            parse_wallet(str(address), allowed={address}, forbidden={address})


@pytest.mark.parametrize("mint", [FACTS, FACTS_2022])
def test_the_associated_account_depends_on_the_token_program(mint):
    expected = get_associated_token_address(OWNER, mint.address, mint.token_program)
    assert associated_token_address(OWNER, mint) == expected
    assert associated_token_address(OWNER, FACTS) != associated_token_address(OWNER, FACTS_2022)


def test_an_empty_address_is_a_missing_account():
    assert judge_token_account(OWNER, None, FACTS) == (True, 0)


def test_lamports_at_the_address_are_a_missing_account_that_holds_them():
    view = AccountView(890_880, SYSTEM_PROGRAM_ID, b"")
    assert judge_token_account(OWNER, view, FACTS) == (True, 890_880)


def test_an_existing_account_is_not_created():
    assert judge_token_account(OWNER, token_account(), FACTS) == (False, 0)


@pytest.mark.parametrize("tail", [b"", b"\x02\x07\x00\x00\x00"])
def test_an_existing_account_of_token_2022_is_not_created(tail):
    view = token_account(program=TOKEN_2022_PROGRAM_ID, tail=tail)
    assert judge_token_account(OWNER, view, FACTS_2022) == (False, 0)


@pytest.mark.parametrize(
    ("view", "code"),
    [
        (token_account(state=2), "account_frozen"),
        (token_account(state=0), "account_uninitialized"),
        (token_account(owner=OUTSIDER.pubkey()), "account_owner_changed"),
        (token_account(mint=OUTSIDER.pubkey()), "account_other_mint"),
        (token_account(owner=OUTSIDER.pubkey(), state=2), "account_owner_changed"),
        (token_account(cut=82), "account_not_token"),
        (token_account(cut=0), "account_not_token"),
        (token_account(tail=b"\x02"), "account_not_token"),
        (token_account(program=TOKEN_2022_PROGRAM_ID), "account_not_token"),
        (token_account(program=OUTSIDER.pubkey()), "account_not_token"),
        (AccountView(1, SYSTEM_PROGRAM_ID, b"nonce"), "account_not_token"),
        (AccountView(1, SYSTEM_PROGRAM_ID, b"", executable=True), "account_not_token"),
    ],
)
def test_i8_an_account_that_must_not_be_paid_is_refused_with_its_code(view, code):
    with refused(code):
        judge_token_account(OWNER, view, FACTS)


@pytest.mark.parametrize("tail", [b"\x01\x07\x00\x00\x00", b"\x00"])
def test_another_kind_of_token_2022_account_is_refused(tail):
    view = token_account(program=TOKEN_2022_PROGRAM_ID, tail=tail)
    with refused("account_not_token"):
        judge_token_account(OWNER, view, FACTS_2022)


@given(data=st.binary(max_size=400), owner=st.sampled_from([TOKEN_PROGRAM_ID, SYSTEM_PROGRAM_ID]))
def test_any_bytes_are_judged_or_refused(data, owner):
    try:
        state = judge_token_account(OWNER, AccountView(1, owner, data), FACTS)
    except WalletRefused:
        return
    assert state.create is (owner == SYSTEM_PROGRAM_ID)


def test_a_wallet_is_a_plain_system_account_or_nothing():
    judge_wallet_account(None)
    judge_wallet_account(AccountView(5, SYSTEM_PROGRAM_ID, b""))


@pytest.mark.parametrize(
    "view",
    [
        AccountView(5, TOKEN_PROGRAM_ID, bytes(165)),
        AccountView(5, SYSTEM_PROGRAM_ID, bytes(80)),
        AccountView(5, OUTSIDER.pubkey(), b""),
        AccountView(5, SYSTEM_PROGRAM_ID, b"", executable=True),
    ],
)
def test_other_accounts_are_wallets_only_if_allowed(view):
    with refused("wallet_not_system_account"):
        judge_wallet_account(view)
    judge_wallet_account(view, allowed=True)
