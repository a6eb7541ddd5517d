"""What is remembered: statuses, signatures, transactions, blocks."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path

import pytest
from solders.keypair import Keypair

from gridtoken.embedded.chain import base58
from gridtoken.embedded.chain.ledger import Ledger
from gridtoken.embedded.chain.rules import Rules

from .chain import (
    HOUSEHOLD,
    OPERATOR,
    OUTSIDER,
    SOL,
    Chain,
    Refused,
    legacy,
    memo,
    minted,
    opened,
    pay,
    v0,
    v1,
    wallets,
)

CONFIRMED = {"commitment": "confirmed"}


def refusal(chain: Chain, method: str, *params: object) -> tuple[int, str]:
    with pytest.raises(Refused) as caught:
        chain.ask(method, *params)
    return caught.value.code, caught.value.message


def payments(chain: Chain, count: int) -> list[str]:
    """Pays the outsider so many times, two a block; returns the signatures, oldest first."""
    sent = []
    for number in range(count):
        tx = v1([pay(OUTSIDER.pubkey(), SOL), memo(f"payment {number}")], chain.blockhash)
        sent.append(chain.send(tx))
        if number % 2:
            chain.blocks()
    chain.blocks(3)
    return sent


def test_statuses_age_out_of_the_cache_but_not_out_of_history(chain: Chain) -> None:
    tx = v1([pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash)
    signature = str(tx.signatures[0])
    chain.land(tx)
    chain.blocks(32 + 300)
    assert chain.status(signature) is not None
    chain.blocks()
    assert chain.status(signature) is None
    found = chain.status(signature, search=True)
    assert found is not None
    assert (found["confirmationStatus"], found["confirmations"]) == ("finalized", None)


def test_statuses_come_in_the_order_asked_with_the_processed_slot(chain: Chain) -> None:
    sent = payments(chain, 2)
    unknown = str(OUTSIDER.sign_message(b"never sent"))
    answer = chain.ask("getSignatureStatuses", [sent[1], unknown, sent[0]])
    assert answer["context"]["slot"] == chain.ledger.tip.slot
    assert [one is None for one in answer["value"]] == [False, True, False]


def test_at_most_256_statuses_are_asked_at_once(chain: Chain) -> None:
    signature = str(OUTSIDER.sign_message(b"never sent"))
    assert len(chain.ask("getSignatureStatuses", [signature] * 256)["value"]) == 256
    assert refusal(chain, "getSignatureStatuses", [signature] * 257) == (
        -32602,
        "Too many inputs provided; max 256",
    )


def test_a_history_is_walked_from_new_to_old(chain: Chain) -> None:
    sent = payments(chain, 7)
    address = str(OUTSIDER.pubkey())
    walked: list[str] = []
    before: dict[str, str] = {}
    while page := chain.ask("getSignaturesForAddress", address, CONFIRMED | before | {"limit": 3}):
        walked += [row["signature"] for row in page]
        before = {"before": walked[-1]}
    assert walked == sent[::-1]
    middle = chain.ask(
        "getSignaturesForAddress", address, CONFIRMED | {"before": sent[5], "until": sent[2]}
    )
    assert [row["signature"] for row in middle] == [sent[4], sent[3]]


def test_an_unknown_before_finds_nothing_and_an_unknown_until_everything(chain: Chain) -> None:
    sent = payments(chain, 3)
    address, unknown = str(OUTSIDER.pubkey()), str(OUTSIDER.sign_message(b"never sent"))
    assert chain.ask("getSignaturesForAddress", address, CONFIRMED | {"before": unknown}) == []
    rows = chain.ask("getSignaturesForAddress", address, CONFIRMED | {"until": unknown})
    assert [row["signature"] for row in rows] == sent[::-1]


def test_a_history_shows_memo_error_and_time(chain: Chain) -> None:
    tx = v1([memo("gt1.batch.root"), pay(OUTSIDER.pubkey(), 1_000 * SOL)], chain.blockhash)
    chain.land(tx)
    block = chain.ledger.tip
    chain.blocks(2)
    (row, *_) = chain.ask("getSignaturesForAddress", str(OPERATOR.pubkey()), CONFIRMED)
    assert row == {
        "signature": str(tx.signatures[0]),
        "slot": block.slot,
        "transactionIndex": 0,
        "err": {"InstructionError": [1, {"Custom": 1}]},
        "memo": "[14] gt1.batch.root",
        "blockTime": block.time,
        "confirmationStatus": "confirmed",
    }


def test_a_finalized_history_ends_at_the_finalized_slot(chain: Chain) -> None:
    payments(chain, 3)
    assert chain.ask("getSignaturesForAddress", str(OUTSIDER.pubkey())) == []
    chain.blocks(32)
    assert len(chain.ask("getSignaturesForAddress", str(OUTSIDER.pubkey()))) == 3


def test_history_is_never_processed(chain: Chain) -> None:
    processed = {"commitment": "processed"}
    signature = str(OUTSIDER.sign_message(b"never sent"))
    for method, first in (
        ("getTransaction", signature),
        ("getSignaturesForAddress", str(OPERATOR.pubkey())),
        ("getBlock", 0),
    ):
        assert refusal(chain, method, first, processed) == (
            -32602,
            "Method does not support commitment below `confirmed`",
        )


@pytest.mark.parametrize("limit", [0, 1_001])
def test_a_page_has_1_to_1000_rows(chain: Chain, limit: int) -> None:
    address = str(OPERATOR.pubkey())
    assert refusal(chain, "getSignaturesForAddress", address, {"limit": limit}) == (
        -32602,
        "Invalid limit; max 1000",
    )


def test_a_transaction_is_shown_once_confirmed(chain: Chain) -> None:
    tx = v1([pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash)
    options = CONFIRMED | {"encoding": "base64", "maxSupportedTransactionVersion": 1}
    chain.land(tx)
    chain.blocks()
    assert chain.ask("getTransaction", str(tx.signatures[0]), options) is None
    chain.blocks()
    shown = chain.ask("getTransaction", str(tx.signatures[0]), options)
    assert shown["transaction"][1] == "base64"
    assert b64decode(shown["transaction"][0]) == bytes(tx)
    final = options | {"commitment": "finalized"}
    assert chain.ask("getTransaction", str(tx.signatures[0]), final) is None
    chain.blocks(30)
    assert chain.ask("getTransaction", str(tx.signatures[0]), final) == shown


def test_a_client_says_which_versions_it_understands(chain: Chain) -> None:
    versions = []
    for build, needed in ((legacy, None), (v0, 0), (v1, 1)):
        tx = build([pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash)
        chain.land(tx)
        signature = str(tx.signatures[0])
        versions.append(chain.transaction(signature)["version"])
        if needed is None:
            plain = chain.ask("getTransaction", signature, CONFIRMED)
            assert "version" not in plain
            continue
        code, message = refusal(chain, "getTransaction", signature, CONFIRMED)
        assert code == -32015
        assert message.startswith(f"Transaction version ({needed}) is not supported")
        assert f'"maxSupportedTransactionVersion": {needed}' in message
        slot = chain.ask("getSignatureStatuses", [signature])["value"][0]["slot"]
        assert refusal(chain, "getBlock", slot, CONFIRMED)[0] == -32015
        assert chain.ask("getBlock", slot, CONFIRMED | {"transactionDetails": "signatures"})
    assert versions == ["legacy", 0, 1]


def test_base58_was_not_extended_to_v1(chain: Chain) -> None:
    tx = v0([pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash)
    chain.land(tx)
    signature = str(tx.signatures[0])
    code, message = refusal(
        chain,
        "getTransaction",
        signature,
        CONFIRMED | {"encoding": "base58", "maxSupportedTransactionVersion": 1},
    )
    assert (code, message) == (
        -32602,
        "base58 encoding is not supported with maxSupportedTransactionVersion >= 1",
    )
    shown = chain.transaction(signature, encoding="base58", maxSupportedTransactionVersion=0)
    assert base58.decode(shown["transaction"][0]) == bytes(tx)


def test_the_json_of_a_transaction_says_all_that_its_bytes_say(mint_chain: Chain) -> None:
    (wallet,) = wallets(1)
    tx = v1([opened(wallet), minted(wallet, 5), memo("m")], mint_chain.blockhash)
    mint_chain.land(tx)
    shown = mint_chain.transaction(str(tx.signatures[0]), encoding="json")
    message = shown["transaction"]["message"]
    assert message["accountKeys"] == [str(key) for key in tx.message.account_keys]
    assert message["recentBlockhash"] == str(tx.message.recent_blockhash)
    assert message["transactionConfig"] == {
        "priorityFee": None,
        "computeUnitLimit": 400_000,
        "loadedAccountsDataSizeLimit": 1 << 20,
        "heapSize": None,
    }
    for written, meant in zip(message["instructions"], tx.message.instructions, strict=True):
        assert written["programIdIndex"] == meant.program_id_index
        assert bytes(written["accounts"]) == bytes(meant.accounts)
        assert base58.decode(written["data"]) == meant.data
    inner = shown["meta"]["innerInstructions"]
    assert [group["index"] for group in inner] == [0]
    assert {one["stackHeight"] for one in inner[0]["instructions"]} == {2}
    assert "loadedAddresses" not in shown["meta"]


def test_a_block_shows_its_transactions_in_order(chain: Chain) -> None:
    sent = payments(chain, 4)
    slot = chain.ask("getSignatureStatuses", [sent[2]])["value"][0]["slot"]
    options = CONFIRMED | {"maxSupportedTransactionVersion": 1}
    block = chain.ask("getBlock", slot, options)
    shown = [one["transaction"]["signatures"][0] for one in block["transactions"]]
    assert shown == sent[2:]
    made = chain.ledger.store.block_at(slot)
    assert made is not None
    assert (block["blockHeight"], block["blockhash"]) == (made.height, str(made.blockhash))
    assert block["parentSlot"] == made.parent_slot
    assert (
        chain.ask("getBlock", slot, options | {"transactionDetails": "signatures"})["signatures"]
        == sent[2:]
    )
    assert "transactions" not in chain.ask(
        "getBlock", slot, options | {"transactionDetails": "none"}
    )
    (first, _) = chain.ask("getBlock", slot, options | {"transactionDetails": "accounts"})[
        "transactions"
    ]
    assert first["transaction"]["accountKeys"][0]["pubkey"] == str(OPERATOR.pubkey())


def test_blocks_are_listed_and_skipped_slots_are_errors(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, Rules(skip_one_in=3))
    chain = Chain(ledger)
    chain.blocks(30)
    confirmed = chain.ask("getSlot", CONFIRMED)
    slots = chain.ask("getBlocks", 0, None, CONFIRMED)
    assert slots[0] == 0
    assert slots[-1] == confirmed
    assert len(slots) == chain.ask("getBlockHeight", CONFIRMED) + 1
    assert chain.ask("getBlocks", 2, 12, CONFIRMED) == [slot for slot in slots if 2 <= slot <= 12]
    assert (
        chain.ask("getBlocksWithLimit", 2, 3, CONFIRMED)
        == [slot for slot in slots if slot >= 2][:3]
    )
    skipped = min(set(range(confirmed)) - set(slots))
    assert refusal(chain, "getBlock", skipped, CONFIRMED)[0] == -32007
    assert refusal(chain, "getBlock", confirmed + 1, CONFIRMED)[0] == -32004
    made = ledger.store.block_at(confirmed)
    assert made is not None
    assert chain.ask("getBlockTime", confirmed) == made.time
    ledger.close()


def test_an_address_nobody_named_has_no_history(chain: Chain) -> None:
    someone = str(Keypair().pubkey())
    assert chain.ask("getSignaturesForAddress", someone) == []
