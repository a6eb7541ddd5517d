"""The IDL reader: both forms say the same, and no file makes it fail otherwise than by refusing."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from minting.engine.errors import MintingRefused
from minting.engine.idl import AccountSeed, ArgSeed, ConstSeed, IdlPda, read_idl, snake_case
from minting.engine.programs.anchor import AnchorSettings, discriminator_of
from minting.engine.programs.anchor_accounts import Role, Setting
from tests.minting.engine.cast import AUTHORITY, destination, mint_facts, wallet
from tests.minting.engine.test_anchor import GOLDEN
from tests.programs import cast

FILES = [
    *sorted(GOLDEN.glob("rich*.json")),
    *(cast.idl_file(name, old=old) for name in cast.NAMES for old in (False, True)),
]
DOCUMENTS = [json.loads(file.read_text()) for file in FILES]
PROGRAM = cast.address("seed_mint")


@pytest.mark.parametrize("name", cast.NAMES)
def test_both_forms_say_the_same(name):
    new, old = (read_idl(cast.idl_file(name, old=old).read_bytes()) for old in (False, True))
    newer, older = new.instruction("mintTokensDirect"), old.instruction("mint_tokens_direct")

    assert (newer.name, older.name) == ("mint_tokens_direct", "mintTokensDirect")
    assert discriminator_of(newer, "") == discriminator_of(older, "mint_tokens_direct")
    assert newer.discriminator == bytes([13, 246, 31, 237, 99, 19, 88, 226])
    assert new.errors == old.errors
    for left, right in zip(newer.accounts, older.accounts, strict=True):
        assert left.name == snake_case(right.name)
        assert (left.signer, left.writable, left.pda) == (right.signer, right.writable, right.pda)


def test_the_platform_s_accounts_are_read():
    idl = read_idl(cast.idl_file("platform_mint").read_bytes())
    accounts = idl.instruction("mint_tokens_direct").accounts

    assert [(each.name, each.signer, each.writable) for each in accounts] == [
        ("token_info", False, False),
        ("mint", False, True),
        ("user_token_account", False, True),
        ("authority", True, False),
        ("registry_authority", False, False),
        ("rec_validator", True, False),
        ("token_program", False, False),
    ]
    assert accounts[0].pda == IdlPda((ConstSeed(b"token_info_2022"),))
    assert idl.errors[6002] == "Paused (6002): Minting is paused"


def test_a_function_whose_name_camel_case_lost_is_named_by_settings():
    document = {"instructions": [{"name": "mintTokens2", "accounts": [], "args": []}]}
    found = read_idl(json.dumps(document).encode()).instruction("mint_tokens_2")
    assert discriminator_of(found, "mint_tokens_2") != discriminator_of(found, "mintTokens2")


@pytest.mark.parametrize(
    ("seed", "read"),
    [
        ({"kind": "const", "type": "u16", "value": 258}, ConstSeed(b"\x02\x01")),
        ({"kind": "const", "type": "i8", "value": -1}, ConstSeed(b"\xff")),
        ({"kind": "const", "type": {"array": ["u8", 2]}, "value": [7, 8]}, ConstSeed(b"\x07\x08")),
        (
            {"kind": "const", "type": "publicKey", "value": str(PROGRAM)},
            ConstSeed(bytes(PROGRAM)),
        ),
        ({"kind": "account", "path": "mint"}, AccountSeed("mint")),
        ({"kind": "arg", "path": "amount"}, ArgSeed("amount")),
    ],
)
def test_seeds_of_every_kind_are_read(seed, read):
    account = {"name": "a", "pda": {"seeds": [seed]}}
    document = {"instructions": [{"name": "i", "accounts": [account], "args": []}]}
    pda = read_idl(json.dumps(document).encode()).instructions[0].accounts[0].pda
    assert pda == IdlPda((read,))


@pytest.mark.parametrize(
    ("account", "why"),
    [
        ({"name": "a", "isSigner": "yes"}, "neither true nor false"),
        ({"name": "a\nb"}, "no name"),
        ({"name": "a", "address": "mint"}, "no address"),
        ({"name": "a", "pda": {"seeds": [{"kind": "sand"}]}}, "no const, account or arg"),
        ({"name": "a", "pda": {"seeds": [{"kind": "const", "value": {}}]}}, "cannot be read"),
        ({"name": "a", "pda": {"seeds": [{"kind": "const", "type": "u8", "value": 256}]}}, "fit"),
        ({"name": "a", "pda": {}}, "list is missing"),
    ],
)
def test_what_minting_needs_and_cannot_read_is_refused(account, why):
    document = {"instructions": [{"name": "i", "accounts": [account], "args": []}]}
    with pytest.raises(MintingRefused, match=why) as told:
        read_idl(json.dumps(document).encode())
    assert "\n" not in str(told.value)


def refusal(data: bytes) -> str:
    """What an IDL is refused with, or nothing; any other exception is a test's failure."""
    try:
        follow(data)
    except MintingRefused as refused:
        return str(refused)
    return ""


def follow(data: bytes) -> None:
    """All that is done with an IDL, up to an instruction read back."""
    idl = read_idl(data)
    for instruction in idl.instructions:
        settings = AnchorSettings(
            idl,
            idl.address or PROGRAM,
            instruction.name,
            {"rec_validator": Setting(wallet(1)), "x": Setting(Role.OWNER)},
        )
        settings.check()
        program = settings.for_mint(mint_facts(), AUTHORITY.pubkey())
        (made,) = program.mint(destination(1), mint_facts(), AUTHORITY.pubkey())
        program.read(made)


texts = st.text(max_size=8) | st.sampled_from(
    ["name", "accounts", "mint", "authority", "u64", "const", "account", str(PROGRAM), "1" * 32]
)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode()))
def test_any_file_is_read_or_refused(data):
    assert "\n" not in refusal(data)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place inside a document."""
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


PLACES = [places(document)[1:] for document in DOCUMENTS]


@given(st.data())
def test_a_real_idl_with_anything_anywhere_is_followed_or_refused(data):
    number = data.draw(st.integers(0, len(DOCUMENTS) - 1))
    document = deepcopy(DOCUMENTS[number])
    for place in data.draw(st.lists(st.sampled_from(PLACES[number]), min_size=1, max_size=3)):
        holder = document
        try:
            for key in place[:-1]:
                holder = holder[key]
            holder[place[-1]] = data.draw(anything)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took this place away
    assert "\n" not in refusal(json.dumps(document).encode())


def test_deep_nesting_is_refused():
    for depth in (10, 100_000):
        nested = '{"name":"g","accounts":[' * depth + "]}" * depth
        data = f'{{"instructions":[{{"name":"i","args":[],"accounts":[{nested}]}}]}}'
        with pytest.raises(MintingRefused):
            read_idl(data.encode())


def test_an_address_is_derived_as_the_program_does():
    assert (
        cast.token_info()
        == Pubkey.find_program_address([b"token_info_2022"], cast.address("platform_mint"))[0]
    )
