"""Slots, heights, commitments, and how long a blockhash lives."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridtoken.embedded.chain.ledger import Ledger
from gridtoken.embedded.chain.rules import Rules

from .chain import HOUSEHOLD, OPERATOR, SOL, Chain, Refused, legacy, pay, v1


def test_slot_and_height_differ_once_a_slot_is_skipped(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, Rules(skip_one_in=3))
    made = [ledger.advance() for _ in range(60)]
    blocks = [block for block in made if block is not None]
    assert ledger.slot == 60
    assert ledger.tip.height == len(blocks) < 60
    for block, parent in zip(blocks[1:], blocks, strict=False):
        assert (block.parent_slot, block.parent_hash) == (parent.slot, parent.blockhash)
    ledger.close()


def test_epoch_info_answers_slot_and_height_of_one_bank(chain: Chain) -> None:
    chain.blocks(50)
    tip = chain.ledger.tip
    for commitment, depth in (("processed", 0), ("confirmed", 2), ("finalized", 32)):
        info = chain.ask("getEpochInfo", {"commitment": commitment})
        assert info["blockHeight"] == tip.height - depth
        block = chain.ledger.block(info["blockHeight"])
        assert block is not None
        assert info["absoluteSlot"] == block.slot
        assert info["blockHeight"] == chain.ask("getBlockHeight", {"commitment": commitment})
        assert info["absoluteSlot"] == chain.ask("getSlot", {"commitment": commitment})


def test_a_transaction_climbs_from_processed_to_finalized(chain: Chain) -> None:
    tx = v1([pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash)
    signature = chain.send(tx)
    assert chain.status(signature) is None
    seen = []
    for _ in range(40):
        chain.blocks()
        status = chain.status(signature)
        assert status is not None
        seen.append(status["confirmationStatus"])
        held = {
            level: chain.balance(HOUSEHOLD.pubkey(), level)
            for level in ("processed", "confirmed", "finalized")
        }
        assert held["processed"] == SOL
        assert held["confirmed"] == (0 if status["confirmationStatus"] == "processed" else SOL)
        assert held["finalized"] == (SOL if status["confirmationStatus"] == "finalized" else 0)
        assert (status["confirmations"] is None) == (status["confirmationStatus"] == "finalized")
    assert seen == ["processed"] * 2 + ["confirmed"] * 30 + ["finalized"] * 8


def test_last_valid_height_counts_from_the_bank_that_gave_the_blockhash(chain: Chain) -> None:
    chain.blocks(10)
    for commitment, depth in (("processed", 0), ("confirmed", 2)):
        value = chain.ask("getLatestBlockhash", {"commitment": commitment})["value"]
        block = chain.ledger.block(chain.ledger.tip.height - depth)
        assert block is not None
        assert value["blockhash"] == str(block.blockhash)
        assert value["lastValidBlockHeight"] == block.height + 150


def test_a_blockhash_is_valid_up_to_its_last_valid_height(chain: Chain) -> None:
    value = chain.ask("getLatestBlockhash", {"commitment": "processed"})["value"]
    processed = {"commitment": "processed"}
    chain.blocks(150)
    assert chain.ask("getBlockHeight", processed) == value["lastValidBlockHeight"]
    assert chain.ask("isBlockhashValid", value["blockhash"], processed)["value"] is True
    chain.blocks()
    assert chain.ask("isBlockhashValid", value["blockhash"], processed)["value"] is False


def test_a_transaction_can_land_one_block_after_its_last_valid_height(chain: Chain) -> None:
    made = chain.ledger.tip
    chain.blocks(150)
    status = chain.land(legacy([pay(HOUSEHOLD.pubkey(), SOL)], made.blockhash))
    landed = chain.ledger.tip
    assert status["slot"] == landed.slot
    assert landed.height == made.height + 151


def test_a_transaction_cannot_land_two_blocks_after(chain: Chain) -> None:
    made = chain.ledger.tip
    chain.blocks(151)
    assert chain.refusal(legacy([pay(HOUSEHOLD.pubkey(), SOL)], made.blockhash)) == (
        "BlockhashNotFound"
    )
    assert chain.balance(HOUSEHOLD.pubkey()) == 0


def test_expiring_lets_no_present_blockhash_land(chain: Chain) -> None:
    made = chain.ledger.tip
    chain.ledger.expire_blockhashes()
    assert chain.ledger.tip.height == made.height + 152
    refused = chain.refusal(legacy([pay(HOUSEHOLD.pubkey(), SOL)], made.blockhash))
    assert refused == "BlockhashNotFound"


def test_a_bank_below_min_context_slot_is_refused_with_its_slot(chain: Chain) -> None:
    chain.blocks(40)
    newest = chain.ask("getSlot", {"commitment": "processed"})
    final = chain.ask("getSlot", {"commitment": "finalized"})
    address = str(OPERATOR.pubkey())
    for method, params in (
        ("getBalance", [address]),
        ("getSlot", []),
        ("getLatestBlockhash", []),
        ("getSignaturesForAddress", [address]),
    ):
        with pytest.raises(Refused) as refused:
            chain.ask(method, *params, {"minContextSlot": newest})
        assert (refused.value.code, refused.value.data) == (-32016, {"contextSlot": final})
        chain.ask(method, *params, {"minContextSlot": final})


def test_block_time_never_goes_back(chain: Chain) -> None:
    times = []
    for unix_ms in (1_800_000_000_000, 1_700_000_000_000, 1_800_000_001_500):
        block = chain.ledger.advance(unix_ms)
        assert block is not None
        times.append(block.time)
    assert times == [1_800_000_000, 1_800_000_000, 1_800_000_001]
