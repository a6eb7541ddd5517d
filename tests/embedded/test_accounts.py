"""Reading accounts: encodings, cuts, filters, and the words of token accounts and mints."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

import pytest
from solders.account import Account
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from spl.token.constants import TOKEN_PROGRAM_ID

from gridtoken.embedded.chain import base58

from .chain import (
    HOUSEHOLD,
    MINT,
    OPERATOR,
    OUTSIDER,
    SOL,
    Chain,
    Refused,
    cast,
    minted,
    opened,
    pay,
    token_account,
    v1,
    wallets,
)

PROCESSED = {"commitment": "processed"}


@pytest.fixture
def paid(mint_chain: Chain) -> Chain:
    """Three wallets that hold 1, 2 and 3 tokens."""
    steps = []
    for place, wallet in enumerate(wallets(3), 1):
        steps += [opened(wallet), minted(wallet, place * 10**9)]
    assert mint_chain.land(v1(steps, mint_chain.blockhash))["err"] is None
    return mint_chain


def shown(chain: Chain, key: Pubkey, **options: object) -> Any:
    answer: Any = chain.ask("getAccountInfo", str(key), PROCESSED | options)["value"]
    return answer


def test_an_account_comes_in_the_encoding_asked_for(paid: Chain) -> None:
    account = paid.ledger.machine.get(MINT.pubkey())
    assert account is not None
    plain = shown(paid, MINT.pubkey())
    assert plain["data"] == base58.encode(account.data)
    assert shown(paid, MINT.pubkey(), encoding="base58")["data"] == [plain["data"], "base58"]
    data, encoding = shown(paid, MINT.pubkey(), encoding="base64")["data"]
    assert (b64decode(data), encoding) == (account.data, "base64")
    cut = shown(paid, MINT.pubkey(), encoding="base64", dataSlice={"offset": 36, "length": 8})
    assert cut["data"] == [b64encode((6 * 10**9).to_bytes(8, "little")).decode(), "base64"]
    assert (cut["space"], cut["owner"], cut["executable"]) == (82, str(TOKEN_PROGRAM_ID), False)


def test_base58_is_refused_for_more_than_128_bytes(paid: Chain) -> None:
    key = str(token_account(wallets(1)[0]))
    for options in ({}, {"encoding": "base58"}):
        with pytest.raises(Refused, match="less than 128 bytes"):
            paid.ask("getAccountInfo", key, PROCESSED | options)


def test_unknown_encodings_are_invalid_params(chain: Chain) -> None:
    for encoding in ("base64+zstd", "hex"):
        with pytest.raises(Refused) as refused:
            chain.ask("getAccountInfo", str(OPERATOR.pubkey()), {"encoding": encoding})
        assert refused.value.code == -32602


def test_a_token_account_in_words(paid: Chain) -> None:
    wallet = wallets(1)[0]
    assert shown(paid, token_account(wallet), encoding="jsonParsed")["data"] == {
        "program": "spl-token",
        "parsed": {
            "type": "account",
            "info": {
                "isNative": False,
                "mint": str(MINT.pubkey()),
                "owner": str(wallet),
                "state": "initialized",
                "tokenAmount": {
                    "amount": "1000000000",
                    "decimals": 9,
                    "uiAmount": 1.0,
                    "uiAmountString": "1",
                },
            },
        },
        "space": 165,
    }


def test_a_mint_in_words(paid: Chain) -> None:
    assert shown(paid, MINT.pubkey(), encoding="jsonParsed")["data"] == {
        "program": "spl-token",
        "parsed": {
            "type": "mint",
            "info": {
                "decimals": 9,
                "freezeAuthority": None,
                "isInitialized": True,
                "mintAuthority": str(OPERATOR.pubkey()),
                "supply": "6000000000",
            },
        },
        "space": 82,
    }


def test_what_has_no_words_comes_in_base64(paid: Chain) -> None:
    assert shown(paid, OPERATOR.pubkey(), encoding="jsonParsed")["data"] == ["", "base64"]


def test_missing_accounts_are_null_and_lamports_alone_make_one(chain: Chain) -> None:
    keys = [str(OUTSIDER.pubkey()), str(OPERATOR.pubkey())]
    missing, there = chain.ask("getMultipleAccounts", keys, PROCESSED)["value"]
    assert missing is None
    assert there["lamports"] == 100 * SOL
    chain.ledger.set_account(OUTSIDER.pubkey(), Account(1, b"", Pubkey.default()))
    prefunded, _ = chain.ask("getMultipleAccounts", keys, PROCESSED)["value"]
    assert (prefunded["lamports"], prefunded["data"]) == (1, ["", "base64"])


def test_at_most_100_accounts_are_read_at_once(chain: Chain) -> None:
    key = str(OPERATOR.pubkey())
    assert len(chain.ask("getMultipleAccounts", [key] * 100)["value"]) == 100
    with pytest.raises(Refused, match="Too many inputs provided; max 100") as refused:
        chain.ask("getMultipleAccounts", [key] * 101)
    assert refused.value.code == -32602


def test_the_accounts_of_a_program_are_filtered(paid: Chain) -> None:
    owner = wallets(3)[1]
    program = str(TOKEN_PROGRAM_ID)
    options = PROCESSED | {"encoding": "base64"}
    every = paid.ask("getProgramAccounts", program, options)
    sized = paid.ask("getProgramAccounts", program, options | {"filters": [{"dataSize": 165}]})
    compare = {"memcmp": {"offset": 32, "bytes": str(owner)}}
    one = paid.ask(
        "getProgramAccounts",
        program,
        options | {"filters": [{"dataSize": 165}, compare], "withContext": True},
    )
    assert (len(every), len(sized)) == (4, 3)
    assert [row["pubkey"] for row in one["value"]] == [str(token_account(owner))]
    assert one["context"]["slot"] == paid.ledger.tip.slot


def test_the_accounts_of_a_program_are_those_of_the_commitment(paid: Chain) -> None:
    program = str(TOKEN_PROGRAM_ID)
    assert paid.ask("getProgramAccounts", program) == []
    paid.blocks(2)
    small = {"commitment": "confirmed", "encoding": "base64"}
    assert len(paid.ask("getProgramAccounts", program, small)) == 4


def test_supply_and_balances_of_a_token(paid: Chain) -> None:
    supply = paid.ask("getTokenSupply", str(MINT.pubkey()), PROCESSED)["value"]
    assert (supply["amount"], supply["uiAmountString"]) == ("6000000000", "6")
    largest = paid.ask("getTokenLargestAccounts", str(MINT.pubkey()), PROCESSED)["value"]
    assert [row["amount"] for row in largest] == ["3000000000", "2000000000", "1000000000"]
    wallet = wallets(3)[2]
    held = paid.ask("getTokenAccountBalance", str(token_account(wallet)), PROCESSED)["value"]
    assert held["amount"] == "3000000000"
    for chosen in ({"mint": str(MINT.pubkey())}, {"programId": str(TOKEN_PROGRAM_ID)}):
        rows = paid.ask(
            "getTokenAccountsByOwner",
            str(wallet),
            chosen,
            PROCESSED | {"encoding": "jsonParsed"},
        )["value"]
        assert [row["pubkey"] for row in rows] == [str(token_account(wallet))]
    none = paid.ask(
        "getTokenAccountsByDelegate",
        str(wallet),
        {"mint": str(MINT.pubkey())},
        PROCESSED | {"encoding": "base64"},
    )
    assert none["value"] == []


@pytest.mark.parametrize(
    ("method", "key", "words"),
    [
        ("getTokenSupply", OUTSIDER, "could not find account"),
        ("getTokenSupply", OPERATOR, "not a Token mint"),
        ("getTokenAccountBalance", MINT, "not a Token account"),
        ("getTokenAccountBalance", OUTSIDER, "could not find account"),
    ],
)
def test_what_is_no_token_is_invalid_params(
    paid: Chain, method: str, key: Keypair, words: str
) -> None:
    with pytest.raises(Refused, match=words) as refused:
        paid.ask(method, str(key.pubkey()), PROCESSED)
    assert refused.value.code == -32602


def test_an_imposed_account_was_always_there(chain: Chain) -> None:
    chain.blocks(40)
    frozen = Account(5, b"x" * 4, HOUSEHOLD.pubkey())
    chain.ledger.set_account(OUTSIDER.pubkey(), frozen)
    for commitment in ("processed", "confirmed", "finalized"):
        assert chain.balance(OUTSIDER.pubkey(), commitment) == 5
    chain.ledger.set_account(OUTSIDER.pubkey(), None)
    assert shown(chain, OUTSIDER.pubkey()) is None


def test_lookup_tables_lend_their_addresses(chain: Chain) -> None:
    table = cast("table").pubkey()
    header = bytes([1, 0, 0, 0]) + b"\xff" * 8 + bytes(44)
    program = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
    data = header + bytes(HOUSEHOLD.pubkey())
    chain.ledger.set_account(table, Account(SOL, data, program))
    lookup = AddressLookupTableAccount(table, [HOUSEHOLD.pubkey()])
    message = MessageV0.try_compile(
        OPERATOR.pubkey(), [pay(HOUSEHOLD.pubkey(), SOL)], [lookup], chain.blockhash
    )
    tx = VersionedTransaction(message, [OPERATOR])
    assert chain.land(tx)["err"] is None
    assert chain.balance(HOUSEHOLD.pubkey()) == SOL
    meta = chain.transaction(str(tx.signatures[0]))["meta"]
    assert meta["loadedAddresses"] == {"writable": [str(HOUSEHOLD.pubkey())], "readonly": []}
    keys = chain.transaction(str(tx.signatures[0]), encoding="jsonParsed")["transaction"]["message"]
    assert keys["accountKeys"][-1]["source"] == "lookupTable"
    missing = MessageV0.try_compile(
        OPERATOR.pubkey(),
        [pay(HOUSEHOLD.pubkey(), SOL)],
        [AddressLookupTableAccount(OUTSIDER.pubkey(), [HOUSEHOLD.pubkey()])],
        chain.blockhash,
    )
    assert chain.refusal(VersionedTransaction(missing, [OPERATOR])) == "AddressLookupTableNotFound"
