"""Who pays how much, and who is turned away before paying."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

import pytest
from solders.account import Account
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.message import TransactionConfig, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from gridtoken.embedded.chain.record import TOKEN_PROGRAM
from gridtoken.embedded.chain.transaction import decode

from .chain import (
    HOUSEHOLD,
    OPERATOR,
    OUTSIDER,
    SOL,
    Chain,
    Refused,
    legacy,
    pay,
    text,
    v0,
    v1,
)

RENT_OF_NOTHING = 890_880


def spent(chain: Chain, tx: VersionedTransaction) -> tuple[int, object]:
    before = chain.balance(OPERATOR.pubkey())
    status = chain.land(tx)
    return before - chain.balance(OPERATOR.pubkey()), status["err"]


@pytest.mark.parametrize("lamports", [SOL, 1_000 * SOL])
def test_v1_pays_its_priority_fee_in_lamports_also_when_it_fails(
    chain: Chain, lamports: int
) -> None:
    config = TransactionConfig(
        priority_fee=777, compute_unit_limit=1_000, loaded_accounts_data_size_limit=1 << 16
    )
    tx = v1([pay(HOUSEHOLD.pubkey(), lamports)], chain.blockhash, config)
    cost, err = spent(chain, tx)
    given = SOL if err is None else 0
    assert (err is None) == (lamports == SOL)
    assert cost == 5_777 + given


@pytest.mark.parametrize("build", [v0, legacy])
@pytest.mark.parametrize("lamports", [SOL, 1_000 * SOL])
def test_others_pay_price_times_limit_rounded_up(
    chain: Chain, build: Callable[..., VersionedTransaction], lamports: int
) -> None:
    bid = [set_compute_unit_limit(1_001), set_compute_unit_price(1_500)]
    tx = build([*bid, pay(HOUSEHOLD.pubkey(), lamports)], chain.blockhash)
    cost, err = spent(chain, tx)
    given = SOL if err is None else 0
    assert cost == 5_000 + 2 + given


def test_the_fee_of_a_message_is_the_fee_that_is_charged(chain: Chain) -> None:
    bids = [set_compute_unit_price(3_000_000)]
    config = TransactionConfig(
        priority_fee=9, compute_unit_limit=500, loaded_accounts_data_size_limit=1 << 16
    )
    for tx in (
        v0([*bids, pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash),
        legacy([pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash),
        v1([pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash, config),
    ):
        message = b64encode(to_bytes_versioned(tx.message)).decode()
        fee = chain.ask("getFeeForMessage", message, {"commitment": "processed"})["value"]
        assert spent(chain, tx) == (fee + SOL, None)


def test_the_fee_of_an_old_message_is_unknown(chain: Chain) -> None:
    message = b64encode(bytes(legacy([pay(HOUSEHOLD.pubkey(), 1)], chain.blockhash).message))
    chain.blocks(151)
    answer = chain.ask("getFeeForMessage", message.decode(), {"commitment": "processed"})
    assert answer["value"] is None


def test_an_unknown_payer_is_turned_away(chain: Chain) -> None:
    tx = v1([pay(HOUSEHOLD.pubkey(), 1, OUTSIDER)], chain.blockhash, signers=(OUTSIDER,))
    assert chain.refusal(tx) == "AccountNotFound"


def test_a_payer_without_enough_for_the_fee_is_turned_away_and_pays_nothing(chain: Chain) -> None:
    chain.ledger.set_account(OUTSIDER.pubkey(), Account(4_999, b"", Pubkey.default()))
    tx = legacy([pay(HOUSEHOLD.pubkey(), 1, OUTSIDER)], chain.blockhash, (OUTSIDER,))
    assert chain.refusal(tx) == "InsufficientFundsForFee"
    assert chain.balance(OUTSIDER.pubkey()) == 4_999


def test_the_priority_fee_counts_towards_what_a_payer_must_have(chain: Chain) -> None:
    chain.ledger.set_account(OUTSIDER.pubkey(), Account(6_000, b"", Pubkey.default()))
    config = TransactionConfig(
        priority_fee=1_001, compute_unit_limit=500, loaded_accounts_data_size_limit=1 << 16
    )
    tx = v1([pay(HOUSEHOLD.pubkey(), 1, OUTSIDER)], chain.blockhash, config, (OUTSIDER,))
    assert chain.refusal(tx) == "InsufficientFundsForFee"
    assert chain.balance(OUTSIDER.pubkey()) == 6_000


def test_an_account_of_a_program_cannot_pay(chain: Chain) -> None:
    chain.ledger.set_account(OUTSIDER.pubkey(), Account(SOL, bytes(165), TOKEN_PROGRAM))
    tx = legacy([pay(HOUSEHOLD.pubkey(), 1, OUTSIDER)], chain.blockhash, (OUTSIDER,))
    assert chain.refusal(tx) == "InvalidAccountForFee"


def test_a_payer_that_the_fee_alone_takes_below_rent_is_turned_away(chain: Chain) -> None:
    held = RENT_OF_NOTHING + 4_999
    chain.ledger.set_account(OUTSIDER.pubkey(), Account(held, b"", Pubkey.default()))
    tx = legacy([pay(HOUSEHOLD.pubkey(), 1, OUTSIDER)], chain.blockhash, (OUTSIDER,))
    assert chain.refusal(tx) == {"InsufficientFundsForRent": {"account_index": 0}}
    assert chain.balance(OUTSIDER.pubkey()) == held


@pytest.mark.parametrize(
    ("left", "fails"),
    [(0, False), (1, True), (RENT_OF_NOTHING - 1, True), (RENT_OF_NOTHING, False)],
)
def test_a_payer_left_with_less_than_rent_fails_and_pays(
    chain: Chain, left: int, *, fails: bool
) -> None:
    chain.fund(OUTSIDER.pubkey(), 2 * SOL)
    amount = 2 * SOL - 5_000 - left
    tx = legacy([pay(HOUSEHOLD.pubkey(), amount, OUTSIDER)], chain.blockhash, (OUTSIDER,))
    err = chain.land(tx)["err"]
    assert err == ({"InsufficientFundsForRent": {"account_index": 0}} if fails else None)
    assert chain.balance(OUTSIDER.pubkey()) == (2 * SOL - 5_000 if fails else left)


def test_what_recent_blocks_asked_of_those_who_write_an_account(chain: Chain) -> None:
    bid = [set_compute_unit_limit(1_000), set_compute_unit_price(2_000)]
    chain.land(v0([*bid, pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash))
    newest = chain.ask("getRecentPrioritizationFees", [str(HOUSEHOLD.pubkey())])[-1]
    assert newest == {"slot": chain.ledger.tip.slot, "prioritizationFee": 2_000}
    # Nobody wrote the outsider: then it is the least that anybody of the block bid.
    assert chain.ask("getRecentPrioritizationFees", [str(OUTSIDER.pubkey())])[-1] == newest
    chain.blocks(1)
    assert chain.ask("getRecentPrioritizationFees", [str(HOUSEHOLD.pubkey())])[-1] == {
        "slot": chain.ledger.tip.slot,
        "prioritizationFee": 0,
    }
    assert len(chain.ask("getRecentPrioritizationFees")) == chain.ledger.tip.height + 1


def test_blocks_full_of_others_take_who_bids_as_much(chain: Chain) -> None:
    def bid(price: int, lamports: int) -> VersionedTransaction:
        bids = [set_compute_unit_limit(1_000), set_compute_unit_price(price)]
        return v0([*bids, pay(HOUSEHOLD.pubkey(), lamports)], chain.blockhash)

    poor, rich = bid(1_000, SOL), bid(2_000, 2 * SOL)
    for tx in (poor, rich):
        chain.ledger.send(decode(bytes(tx)))

    for _ in chain.ledger.steps(others_bid=2_000):
        pass

    assert chain.ledger.status(rich.signatures[0]) is not None
    assert chain.ledger.status(poor.signatures[0]) is None
    newest = chain.ask("getRecentPrioritizationFees", [str(OUTSIDER.pubkey())])[-1]
    assert newest["prioritizationFee"] == 2_000
    chain.blocks(1)
    assert chain.ledger.status(poor.signatures[0]) is not None


def test_where_there_is_room_for_one_the_higher_bid_lands_first(chain: Chain) -> None:
    low, high = (
        v0([set_compute_unit_price(price), pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash)
        for price in (1, 2_000)
    )
    for tx in (low, high):
        chain.ledger.send(decode(bytes(tx)))

    chain.ledger.advance_blocks(1, capacity=1)

    assert chain.ledger.status(high.signatures[0]) is not None
    assert chain.ledger.status(low.signatures[0]) is None


def test_compute_budget_given_twice_is_turned_away(chain: Chain) -> None:
    twice = [set_compute_unit_limit(1_000), set_compute_unit_limit(2_000)]
    tx = v0([*twice, pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash)
    assert chain.refusal(tx) == {"DuplicateInstruction": 1}
    with pytest.raises(Refused) as refused:
        chain.ask(
            "sendTransaction",
            text(tx),
            {"encoding": "base64", "preflightCommitment": "processed"},
        )
    assert refused.value.code == -32002
    assert refused.value.data["err"] == {"DuplicateInstruction": 1}
