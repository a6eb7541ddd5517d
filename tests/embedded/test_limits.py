"""Compute units, loaded data, sizes: too little lands as a paid failure."""

from __future__ import annotations

from pathlib import Path

import pytest
from solders.compute_budget import (
    set_compute_unit_limit,
    set_loaded_accounts_data_size_limit,
)
from solders.message import TransactionConfig

from gridtoken.embedded.chain import base58
from gridtoken.embedded.chain.ledger import Ledger
from gridtoken.embedded.chain.rules import Rules

from .chain import (
    HOUSEHOLD,
    MINT,
    OPERATOR,
    SOL,
    Chain,
    Refused,
    memo,
    minted,
    opened,
    pay,
    token_account,
    v0,
    v1,
    wallets,
)

PROCESSED = {"commitment": "processed"}
BUDGET_EXCEEDED = {"InstructionError": [0, "ComputationalBudgetExceeded"]}


def config(units: int | None = 1_000, loaded: int | None = 1 << 16) -> TransactionConfig:
    return TransactionConfig(compute_unit_limit=units, loaded_accounts_data_size_limit=loaded)


@pytest.mark.parametrize(
    ("limits", "err"),
    [
        (config(), None),
        (config(units=150), None),
        (config(units=149), BUDGET_EXCEEDED),
        (config(units=None), BUDGET_EXCEEDED),
        (config(loaded=206), None),
        (config(loaded=205), "MaxLoadedAccountsDataSizeExceeded"),
        (config(loaded=None), "MaxLoadedAccountsDataSizeExceeded"),
        (None, "MaxLoadedAccountsDataSizeExceeded"),
    ],
)
def test_v1_limits_come_from_its_config_and_unset_is_zero(
    chain: Chain, limits: TransactionConfig | None, err: object
) -> None:
    before = chain.balance(OPERATOR.pubkey())
    tx = v1([pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash, limits)
    foretold = chain.simulate(tx)
    status = chain.land(tx)
    assert status["err"] == foretold["err"] == err
    given = 0 if err else SOL
    assert chain.balance(HOUSEHOLD.pubkey()) == given
    assert before - chain.balance(OPERATOR.pubkey()) == 5_000 + given


def test_a_fee_only_failure_did_nothing_and_logged_nothing(chain: Chain) -> None:
    tx = v1([pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash, config(loaded=1))
    chain.land(tx)
    meta = chain.transaction(str(tx.signatures[0]))["meta"]
    assert meta["status"] == {"Err": "MaxLoadedAccountsDataSizeExceeded"}
    assert (meta["fee"], meta["logMessages"], meta["computeUnitsConsumed"]) == (5_000, [], 0)
    assert meta["preBalances"][0] - meta["postBalances"][0] == 5_000


@pytest.mark.parametrize("loaded", [206 + 64 + 22, 205 + 64 + 22])
def test_v0_limits_come_from_its_instructions(chain: Chain, loaded: int) -> None:
    limit = set_loaded_accounts_data_size_limit(loaded)
    status = chain.land(v0([limit, pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash))
    enough = loaded == 206 + 64 + 22
    assert status["err"] == (None if enough else "MaxLoadedAccountsDataSizeExceeded")


def test_v0_compute_limit_is_kept(chain: Chain) -> None:
    tx = v0([set_compute_unit_limit(299), pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash)
    assert chain.land(tx)["err"] == {"InstructionError": [1, "ComputationalBudgetExceeded"]}


def test_a_limit_in_the_middle_takes_back_what_was_minted_before(mint_chain: Chain) -> None:
    people = wallets(3)
    mint_chain.land(v1([opened(wallet) for wallet in people], mint_chain.blockhash))
    mints = [minted(wallet, 5) for wallet in people]
    tx = v1(mints, mint_chain.blockhash, config(units=400, loaded=1 << 18))
    err = mint_chain.land(tx)["err"]
    # The token program is not a builtin: running out inside it is its failure to complete.
    assert err == {"InstructionError": [2, "ProgramFailedToComplete"]}
    held = mint_chain.ask("getTokenAccountBalance", str(token_account(people[0])), PROCESSED)
    assert held["value"]["amount"] == "0"


def test_sixty_mints_and_a_memo_fit_one_v1_transaction(mint_chain: Chain) -> None:
    people = wallets(60)
    for start in range(0, 60, 10):
        create = [opened(wallet) for wallet in people[start : start + 10]]
        assert mint_chain.land(v1(create, mint_chain.blockhash))["err"] is None
    mints = [minted(wallet, 1_000 + place) for place, wallet in enumerate(people)]
    tx = v1([*mints, memo("m" * 70)], mint_chain.blockhash)
    assert 1_232 < len(bytes(tx)) <= 4_096
    foretold = mint_chain.simulate(tx)
    assert foretold["err"] is None
    assert foretold["loadedAccountsDataSize"] == pytest.approx(117_000, rel=0.02)
    exact = TransactionConfig(
        compute_unit_limit=foretold["unitsConsumed"],
        loaded_accounts_data_size_limit=foretold["loadedAccountsDataSize"],
    )
    tx = v1([*mints, memo("m" * 70)], mint_chain.blockhash, exact)
    assert mint_chain.land(tx)["err"] is None
    landed = mint_chain.transaction(str(tx.signatures[0]), encoding="jsonParsed")
    assert landed["version"] == 1
    assert landed["meta"]["computeUnitsConsumed"] == foretold["unitsConsumed"]
    balances = landed["meta"]["postTokenBalances"]
    after = {one["owner"]: one["uiTokenAmount"]["amount"] for one in balances}
    assert after == {str(wallet): str(1_000 + place) for place, wallet in enumerate(people)}
    words = landed["transaction"]["message"]["instructions"]
    assert words[0]["parsed"]["type"] == "mintToChecked"
    assert words[60]["parsed"] == "m" * 70


def test_ten_new_wallets_load_both_token_programs(mint_chain: Chain) -> None:
    people = wallets(10)
    both = [step for wallet in people for step in (opened(wallet), minted(wallet, 7))]
    foretold = mint_chain.simulate(v1(both, mint_chain.blockhash))
    assert foretold["err"] is None
    assert foretold["loadedAccountsDataSize"] == pytest.approx(208_000, rel=0.02)


def test_creating_an_account_that_is_there_is_no_failure(mint_chain: Chain) -> None:
    (wallet,) = wallets(1)
    rent = mint_chain.ask("getMinimumBalanceForRentExemption", 165)
    costs = []
    for amount in (5, 6):
        before = mint_chain.balance(OPERATOR.pubkey())
        tx = v1([opened(wallet), minted(wallet, amount)], mint_chain.blockhash)
        assert mint_chain.land(tx)["err"] is None
        costs.append(before - mint_chain.balance(OPERATOR.pubkey()))
    assert costs == [5_000 + rent, 5_000]
    supply = mint_chain.ask("getTokenSupply", str(MINT.pubkey()), PROCESSED)
    assert supply["value"] == {
        "amount": "11",
        "decimals": 9,
        "uiAmount": 1.1e-08,
        "uiAmountString": "0.000000011",
    }


@pytest.mark.parametrize(("letters", "fits"), [(1_060, True), (1_061, False)])
def test_v0_ends_at_1232_bytes(chain: Chain, letters: int, *, fits: bool) -> None:
    tx = v0([memo("m" * letters)], chain.blockhash)
    assert (len(bytes(tx)) <= 1_232) == fits
    if fits:
        chain.send(tx)
        return
    with pytest.raises(Refused) as refused:
        chain.send(tx)
    assert refused.value.code == -32602
    assert f"too large: {len(bytes(tx))} bytes (max: 1232 bytes)" in refused.value.message


@pytest.mark.parametrize(("letters", "fits"), [(3_914, True), (3_915, False)])
def test_v1_ends_at_4096_bytes(chain: Chain, letters: int, *, fits: bool) -> None:
    tx = v1([memo("m" * letters)], chain.blockhash)
    assert (len(bytes(tx)) <= 4_096) == fits
    if fits:
        chain.send(tx)
        return
    with pytest.raises(Refused) as refused:
        chain.send(tx)
    assert refused.value.code == -32602
    assert "(max: 4096 bytes)" in refused.value.message


def test_over_1232_bytes_only_base64_is_taken(chain: Chain) -> None:
    tx = v1([memo("m" * 1_300)], chain.blockhash)
    with pytest.raises(Refused) as refused:
        chain.ask("sendTransaction", base58.encode(bytes(tx)), {"encoding": "base58"})
    assert refused.value.code == -32602
    assert refused.value.message.startswith("base58 encoded")
    small = v1([memo("m")], chain.blockhash)
    signature = chain.ask("sendTransaction", base58.encode(bytes(small)), {"skipPreflight": True})
    assert signature == str(small.signatures[0])


def test_a_full_block_keeps_the_order_of_arrival(chain: Chain) -> None:
    sent = [chain.send(v1([memo(str(number))], chain.blockhash)) for number in range(5)]
    for landed in (2, 4, 5):
        chain.ledger.advance(capacity=2)
        found = [chain.status(signature) is not None for signature in sent]
        assert found == [True] * landed + [False] * (5 - landed)


def test_what_one_account_has_no_room_for_waits_for_the_next_block(tmp_path: Path) -> None:
    rules = Rules(slot_ms=50, skip_one_in=0)
    assert (rules.block_units, rules.account_units) == (7_500_000, 1_500_000)
    ledger = Ledger(tmp_path / "ledger", rules)
    chain = Chain(ledger)
    chain.fund(OPERATOR.pubkey(), 10 * SOL)
    chain.create_mint()
    people = wallets(120)
    # Ten new accounts take some 150,000 units, all written by the one payer.
    for start in range(0, 120, 10):
        create = [opened(wallet) for wallet in people[start : start + 10]]
        chain.send(v1(create, chain.blockhash))
    chain.blocks()
    first = ledger.tip.transactions
    chain.blocks()
    assert 6 <= first < 12
    assert first + ledger.tip.transactions == 12
    ledger.close()
