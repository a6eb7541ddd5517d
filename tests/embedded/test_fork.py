"""Forks: what was confirmed can vanish, what is final cannot."""

from __future__ import annotations

from .chain import (
    HOUSEHOLD,
    MINT,
    OPERATOR,
    SOL,
    Chain,
    minted,
    opened,
    pay,
    token_account,
    v1,
    wallets,
)

CONFIRMED = {"commitment": "confirmed"}


def test_a_confirmed_transaction_vanishes_with_its_effects(mint_chain: Chain) -> None:
    chain = mint_chain
    chain.blocks(40)
    blockhash = chain.blockhash
    (wallet,) = wallets(1)
    before = chain.balance(OPERATOR.pubkey())
    tx = v1([opened(wallet), minted(wallet, 5)], blockhash)
    signature = str(tx.signatures[0])
    chain.land(tx)
    chain.blocks(4)
    status = chain.status(signature)
    assert status is not None
    assert status["confirmationStatus"] == "confirmed"
    old = chain.ledger.tip
    assert [str(lost) for lost in chain.ledger.fork(5)] == [signature]
    assert chain.status(signature, search=True) is None
    assert chain.ask("getTransaction", signature, CONFIRMED) is None
    assert signature not in [
        row["signature"]
        for row in chain.ask("getSignaturesForAddress", str(OPERATOR.pubkey()), CONFIRMED)
    ]
    for level in ("processed", "confirmed"):
        assert chain.balance(OPERATOR.pubkey(), level) == before
    supply = chain.ask("getTokenSupply", str(MINT.pubkey()), {"commitment": "processed"})
    assert supply["value"]["amount"] == "0"
    missing = chain.ask("getAccountInfo", str(token_account(wallet)), {"commitment": "processed"})
    assert missing["value"] is None
    assert (chain.ledger.tip.height, chain.ledger.tip.slot) == (old.height, old.slot + 5)


def test_the_same_bytes_land_again_after_a_fork(chain: Chain) -> None:
    chain.blocks(40)
    tx = v1([pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash)
    chain.land(tx)
    chain.blocks(2)
    chain.ledger.fork(3)
    assert chain.balance(HOUSEHOLD.pubkey()) == 0
    assert chain.land(tx)["err"] is None
    assert chain.balance(HOUSEHOLD.pubkey()) == SOL


def test_a_blockhash_of_the_lost_fork_is_unknown(chain: Chain) -> None:
    chain.blocks(40)
    tx = v1([pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash)
    chain.land(tx)
    chain.ledger.fork(2)
    assert chain.refusal(tx) == "BlockhashNotFound"


def test_what_is_final_stays(chain: Chain) -> None:
    chain.blocks(10)
    tx = v1([pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash)
    chain.land(tx)
    chain.blocks(32)
    final = chain.ask("getEpochInfo")
    assert chain.ledger.fork(1_000) == []
    status = chain.status(str(tx.signatures[0]))
    assert status is not None
    assert status["confirmationStatus"] == "finalized"
    assert chain.ask("getEpochInfo") == final
    assert chain.balance(HOUSEHOLD.pubkey(), "finalized") == SOL


def test_heights_and_slots_never_go_back(chain: Chain) -> None:
    chain.blocks(40)
    for depth in (1, 7, 31):
        seen = [
            chain.ask(method, {"commitment": level})
            for level in ("processed", "confirmed", "finalized")
            for method in ("getSlot", "getBlockHeight")
        ]
        chain.ledger.fork(depth)
        now = [
            chain.ask(method, {"commitment": level})
            for level in ("processed", "confirmed", "finalized")
            for method in ("getSlot", "getBlockHeight")
        ]
        assert all(later >= earlier for later, earlier in zip(now, seen, strict=True))


def test_what_waits_is_not_lost_by_a_fork(chain: Chain) -> None:
    chain.blocks(40)
    tx = v1([pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash)
    chain.blocks(3)
    chain.send(tx)
    chain.ledger.fork(2)
    chain.blocks()
    assert chain.balance(HOUSEHOLD.pubkey()) == SOL
