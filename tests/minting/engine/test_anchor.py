"""Anchor instructions: against the official client, on the chain, and what is refused by name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import to_bytes_versioned
from solders.pubkey import Pubkey
from solders.transaction_metadata import TransactionMetadata
from spl.token.constants import TOKEN_2022_PROGRAM_ID, TOKEN_PROGRAM_ID

from minting.engine.compose import build_message, unsigned
from minting.engine.errors import MintingRefused, VerificationFailed
from minting.engine.idl import read_idl
from minting.engine.loads import MAX_UNITS
from minting.engine.packing import Carrier, pack
from minting.engine.programs.anchor import AnchorProgram, AnchorSettings
from minting.engine.programs.anchor_accounts import Role, Setting
from minting.engine.programs.anchor_errors import FRAMEWORK_ERRORS
from minting.engine.types import MintFacts
from minting.engine.verification import verify
from tests.minting.engine.cast import (
    AUTHORITY,
    BATCH_ID,
    LIMITS,
    PRICES,
    UNBOUND,
    V0,
    V1,
    Chain,
    HotKey,
    destination,
    keypair,
    mint_facts,
    sign,
    wallet,
)
from tests.programs import cast

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "anchor"
RECORDED = json.loads((GOLDEN / "vectors.json").read_text())
VALIDATOR = keypair("validator")
ADDRESSES = {
    "platform_mint": {
        "registry_authority": Setting(keypair("registry").pubkey()),
        "rec_validator": Setting(VALIDATOR.pubkey()),
    },
    "rich": {},
    "seed_mint": {},
}


def settings_of(form: str, **more: Setting) -> AnchorSettings:
    """The IDL of that file, with what settings have to say of its accounts."""
    name = form.removesuffix(".old")
    folder = GOLDEN if name == "rich" else cast.FOLDER
    newer = json.loads((folder / f"{name}.json").read_text())
    return AnchorSettings(
        read_idl((folder / f"{form}.json").read_bytes()),
        Pubkey.from_string(newer["address"]),
        "mint_for_owner" if name == "rich" else "mint_tokens_direct",
        {**ADDRESSES[name], **more},
    )


def program_of(form: str, mint: MintFacts, **more: Setting) -> AnchorProgram:
    return settings_of(form, **more).for_mint(mint, AUTHORITY.pubkey())


@pytest.mark.parametrize(
    "vector",
    RECORDED["vectors"],
    ids=lambda each: f"{each['idl']}-{each['token_program'][:6]}",
)
def test_the_encoding_is_that_of_the_official_client(vector: Mapping[str, Any]):
    mint = mint_facts(Pubkey.from_string(vector["token_program"]))
    program = program_of(vector["idl"], mint)
    paid = destination(1, int(vector["amount"]), mint=mint)

    (made,) = program.mint(paid, mint, AUTHORITY.pubkey())

    assert str(made.program_id) == vector["program"]
    assert made.data.hex() == vector["data"]
    assert [
        [str(meta.pubkey), meta.is_signer, meta.is_writable] for meta in made.accounts
    ] == vector["accounts"]
    read = program.read(made)
    assert (read.mint, read.token_account) == (mint.address, paid.token_account)
    assert read.base_units == int(vector["amount"])


def test_errors_of_the_framework_are_named_as_by_the_official_client():
    recorded = dict(RECORDED["framework"])
    assert {code: recorded[code] for code in FRAMEWORK_ERRORS} == FRAMEWORK_ERRORS


def chain_of(name: str, token_program: Pubkey) -> Chain:
    """LiteSVM with the program on it; its mint is minted by whom the program has sign."""
    chain = Chain(token_program)
    chain.svm.add_program(cast.address(name), cast.elf(name))
    if name == "platform_mint":
        account = chain.svm.get_account(chain.facts.address)
        assert account is not None
        data = bytearray(account.data)
        data[4:36] = bytes(cast.token_info())
        chain.svm.set_account(
            chain.facts.address, type(account)(account.lamports, bytes(data), account.owner)
        )
    return chain


@pytest.mark.parametrize("version", [V0, V1])
@pytest.mark.parametrize("token_program", [TOKEN_PROGRAM_ID, TOKEN_2022_PROGRAM_ID])
@pytest.mark.parametrize(
    ("name", "sizes"), [("seed_mint", {V0: 15, V1: 31}), ("platform_mint", {V0: 11, V1: 31})]
)
def test_full_transactions_of_both_programs_are_executed(name, sizes, token_program, version):
    """What is packed fits to the last wallet, costs what is planned, and is signed by all."""
    chain = chain_of(name, token_program)
    for number in range(45):
        chain.open_account(number)
    # As measured: in v0 there is room kept for a limit, which a simulation may want.
    program = replace(program_of(name, chain.facts), units=4_000)
    carrier = Carrier(version, chain.facts, program, AUTHORITY.pubkey(), chain.prices)
    groups = [chain.destination(number, 7 + number) for number in range(48)]
    plans = pack(groups, carrier, batch_id=BATCH_ID, max_tokens=UNBOUND)
    signatures = 2 if name == "platform_mint" else 1
    before = chain.lamports(AUTHORITY.pubkey())

    for plan in plans:
        signed = asyncio.run(signed_by_all(plan, chain, program))
        landed = chain.send(signed.raw)
        assert isinstance(landed, TransactionMetadata), landed
        assert plan.cost.network_fee == 5_000 * signatures

    assert max(len(plan.destinations) for plan in plans) == sizes[version]
    spent = before - chain.lamports(AUTHORITY.pubkey())
    assert spent == sum(plan.cost.total for plan in plans)
    assert [chain.balance(number) for number in range(48)] == [7 + number for number in range(48)]


def signed_by_all(plan, chain: Chain, program: AnchorProgram):
    return sign(
        plan,
        mint=chain.facts,
        program=program,
        authority=AUTHORITY.pubkey(),
        blockhash=chain.blockhash,
        limits=LIMITS,
        signers=[HotKey(VALIDATOR), HotKey(AUTHORITY)],
    )


def test_what_a_group_takes_bounds_how_many_travel_together():
    mint = mint_facts()
    program = program_of("seed_mint", mint)

    def first(executed: int = 2, units: int = 0) -> int:
        measured = replace(program, executed=executed, units=units)
        carrier = Carrier(V1, mint, measured, AUTHORITY.pubkey(), PRICES)
        groups = [destination(number) for number in range(70)]
        return len(pack(groups, carrier, batch_id=BATCH_ID, max_tokens=UNBOUND)[0].destinations)

    assert (first(), first(executed=3), first(executed=8)) == (31, 21, 7)
    assert first(units=MAX_UNITS // 10) == 10


class Tampered:
    """Builds what the program would not."""

    def __init__(self, program: AnchorProgram, change) -> None:
        self.program, self.change = program, change

    def __getattr__(self, name: str) -> Any:
        return getattr(self.program, name)

    def mint(self, *arguments: Any) -> list[Instruction]:
        (made,) = self.program.mint(*arguments)
        return [self.change(made)]


def other_account(place: int, key: Pubkey):
    def change(made: Instruction) -> Instruction:
        metas = list(made.accounts)
        metas[place] = AccountMeta(key, metas[place].is_signer, metas[place].is_writable)
        return Instruction(made.program_id, bytes(made.data), metas)

    return change


TAMPERINGS = {
    "another discriminator": (
        lambda made: Instruction(made.program_id, bytes(16), made.accounts),
        "mints",
    ),
    "another amount": (
        lambda made: Instruction(made.program_id, bytes(made.data)[:8] + bytes(8), made.accounts),
        "destinations",
    ),
    "bytes behind": (
        lambda made: Instruction(made.program_id, bytes(made.data) + b"\0", made.accounts),
        "mints",
    ),
    "another program": (
        lambda made: Instruction(wallet(7), bytes(made.data), made.accounts),
        "programs",
    ),
    "another mint": (other_account(1, wallet(8)), "mints"),
    "a stranger's token account": (other_account(2, wallet(9)), "destinations"),
    "an account more": (
        lambda made: Instruction(
            made.program_id, bytes(made.data), [*made.accounts, made.accounts[0]]
        ),
        "mints",
    ),
    "another authority": (other_account(0, wallet(3)), "mints"),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_i6_what_differs_from_the_plan_is_not_signed(name):
    change, check = TAMPERINGS[name]
    chain = chain_of("platform_mint", TOKEN_PROGRAM_ID)
    program = program_of("platform_mint", chain.facts)
    carrier = Carrier(V1, chain.facts, program, AUTHORITY.pubkey(), chain.prices)
    (plan,) = pack([chain.destination(1, 5)], carrier, batch_id=BATCH_ID, max_tokens=UNBOUND)
    tampered: Any = Tampered(program, change)

    with pytest.raises(VerificationFailed, match=rf"^({check}|message)"):
        sign_tampered(plan, chain, program, tampered)


def sign_tampered(plan, chain: Chain, program: AnchorProgram, tampered: Any) -> None:
    """Signs what was tampered with, and verifies it as what was planned."""
    same: dict[str, Any] = {
        "mint": chain.facts,
        "authority": AUTHORITY.pubkey(),
        "limits": LIMITS,
    }
    message = build_message(plan, program=tampered, blockhash=chain.blockhash.value, **same)
    data = to_bytes_versioned(message)
    keys: Mapping[Pubkey, Keypair] = {key.pubkey(): key for key in (AUTHORITY, VALIDATOR)}
    signers = message.account_keys[: message.header.num_required_signatures]
    raw = unsigned(message, [keys[key].sign_message(data) for key in signers])
    verify(
        raw,
        plan=plan,
        program=program,
        blockhash=chain.blockhash.value,
        max_priority_fee=0,
        **same,
    )


REFUSED: dict[str, tuple[str, dict[str, Setting | None], str]] = {
    "an account that nothing names": (
        "platform_mint",
        {"registry_authority": None},
        r"^Account registry_authority: nothing says which address it is",
    ),
    "a signer without a key": (
        "platform_mint",
        {"rec_validator": None},
        r"^Account rec_validator: nothing says",
    ),
    "a signer that is the mint": (
        "platform_mint",
        {"rec_validator": Setting(Role.MINT)},
        r"^Account rec_validator: it has to sign",
    ),
    "a setting of no account": (
        "seed_mint",
        {"validator": Setting(wallet(1))},
        r"no account validator",
    ),
    "what the IDL fixes otherwise": (
        "rich",
        {"system_program": Setting(wallet(1))},
        r"^Account system_program: the IDL fixes it at 1111",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_found_is_refused_by_its_name(case):
    name, changes, why = REFUSED[case]
    settings = settings_of(name)
    accounts = {**settings.accounts, **changes}
    settings = replace(settings, accounts={key: each for key, each in accounts.items() if each})

    with pytest.raises(MintingRefused, match=why) as told:
        settings.check()

    assert "\n" not in str(told.value)


def changed(account: str, **fields: object) -> AnchorSettings:
    """The rich IDL, with other fields of one of its accounts."""
    document = json.loads((GOLDEN / "rich.json").read_text())
    accounts = document["instructions"][1]["accounts"]
    entry = next(each for each in accounts if each["name"] == account)
    entry.update(fields)
    idl = read_idl(json.dumps(document).encode())
    return AnchorSettings(idl, Pubkey.from_string(document["address"]), "mintForOwner", {})


@pytest.mark.parametrize(
    ("account", "fields", "why"),
    [
        ("receipt", {"pda": {"seeds": [{"kind": "arg", "path": "amount"}]}}, "argument amount"),
        (
            "receipt",
            {"pda": {"seeds": [{"kind": "account", "path": "mint.x"}]}},
            "an account's data",
        ),
        ("receipt", {"pda": {"seeds": [{"kind": "account", "path": "receipt"}]}}, "itself"),
        ("receipt", {"pda": {"seeds": [{"kind": "const", "value": [1] * 33}]}}, "too long"),
        ("owner", {"signer": True}, "has to sign"),
        ("token_program", {"address": str(TOKEN_2022_PROGRAM_ID)}, "fixes it"),
        ("mint", {"pda": {"seeds": [{"kind": "const", "value": [1]}]}}, "derives another"),
        ("user_token_account", {"name": "recipient", "pda": None}, "nothing says"),
    ],
)
def test_an_idl_that_cannot_be_followed_is_refused_by_the_account(account, fields, why):
    with pytest.raises(MintingRefused, match=why) as told:
        changed(account, **fields).for_mint(mint_facts(), AUTHORITY.pubkey())
    assert str(told.value).startswith("Account ")


def test_settings_may_say_what_an_account_of_another_name_is():
    named = changed("user_token_account", name="recipient", pda=None)
    settings = replace(named, accounts={"recipient": Setting(Role.USER_TOKEN_ACCOUNT)})
    program = settings.for_mint(mint_facts(), AUTHORITY.pubkey())
    paid = destination(1)

    (made,) = program.mint(paid, mint_facts(), AUTHORITY.pubkey())

    assert program.read(made).token_account == paid.token_account


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"instruction": "burn"}, "no instruction burn; it has: initialize, mint_for_owner"),
        ({"instruction": "initialize"}, "takes nothing; minting wants amount: u64 alone"),
        ({"program": wallet(1)}, "MINT_PROGRAM_ID is"),
    ],
)
def test_another_instruction_or_program_is_refused(settings, why):
    with pytest.raises(MintingRefused, match=why):
        replace(settings_of("rich"), **settings)


def test_a_program_serves_the_mint_that_it_was_set_up_for():
    program = program_of("seed_mint", mint_facts())
    with pytest.raises(ValueError, match="is set up for"):
        program.mint(destination(1), replace(mint_facts(), address=wallet(1)), AUTHORITY.pubkey())
