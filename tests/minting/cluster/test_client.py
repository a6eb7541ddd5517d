"""What is asked of a node, to the letter, and how strictly its answers are read."""

from __future__ import annotations

import asyncio
import base64

import pytest
from solders.keypair import Keypair
from solders.message import MessageV1
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from minting.cluster.client import Node
from minting.engine.errors import RpcRefused, SolanaError
from minting.engine.types import (
    AccountView,
    Blockhash,
    Commitment,
    EpochInfo,
    HistoryEntry,
    SignatureStatus,
)
from tests.minting.cluster.fake_node import FakeNode, Refusal, Stall, status, value

AUTHORITY = Keypair.from_seed(bytes([1] * 32)).pubkey()
NOBODY = Keypair.from_seed(bytes([2] * 32)).pubkey()
WALLETS = [Pubkey(number.to_bytes(32, "big")) for number in range(1, 251)]


def ask(question, **answers):
    """Asks a node with these answers; the answer, and the fake that heard the question."""

    async def run():
        async with FakeNode(**answers) as fake, Node(fake.url) as node:
            return await question(node), fake

    return asyncio.run(run())


def refused(question, **answers):
    with pytest.raises(SolanaError) as failure:
        ask(question, **answers)
    return failure.value


def account_json(lamports=5, data=b"\x01\x02", owner=AUTHORITY):
    return {
        "lamports": lamports,
        "owner": str(owner),
        "data": [base64.b64encode(data).decode(), "base64"],
        "executable": False,
        "rentEpoch": 2**64 - 1,
        "space": len(data),
    }


def test_epoch_info_tells_where_the_next_epoch_begins():
    answer = {"absoluteSlot": 120, "blockHeight": 100, "slotIndex": 20, "slotsInEpoch": 32}
    info, _ = ask(lambda node: node.epoch_info(), getEpochInfo=answer)
    assert info == EpochInfo(slot=120, block_height=100, next_epoch=132)


def test_epoch_info_is_of_one_bank():
    answer = {"absoluteSlot": 120, "blockHeight": 100, "epoch": 0, "slotIndex": 120}
    info, fake = ask(lambda node: node.epoch_info(Commitment.FINALIZED), getEpochInfo=answer)
    assert info == EpochInfo(slot=120, block_height=100)
    assert fake.params("getEpochInfo") == [[{"commitment": "finalized"}]]


def test_blockhash_carries_the_slot_of_its_answer():
    answer = value({"blockhash": "abc", "lastValidBlockHeight": 250}, slot=101)
    blockhash, fake = ask(lambda node: node.latest_blockhash(), getLatestBlockhash=answer)
    assert blockhash == Blockhash("abc", slot=101, last_valid_block_height=250)
    assert fake.params("getLatestBlockhash") == [[{"commitment": "confirmed"}]]


def test_balance_asks_for_a_slot_only_when_told():
    async def question(node):
        await node.balance(AUTHORITY)
        return await node.balance(AUTHORITY, min_context_slot=9)

    answer, fake = ask(question, getBalance=value(7, slot=10))
    assert answer == (7, 10)
    assert fake.params("getBalance") == [
        [str(AUTHORITY), {"commitment": "confirmed"}],
        [str(AUTHORITY), {"commitment": "confirmed", "minContextSlot": 9}],
    ]


def test_accounts_are_asked_by_the_hundred_and_come_back_in_order():
    def answer(addresses, config):
        assert config == {"encoding": "base64", "commitment": "confirmed"}
        rows = [
            None if address == str(WALLETS[3]) else account_json(owner=Pubkey.from_string(address))
            for address in addresses
        ]
        return value(rows, slot=100 + len(addresses))

    (accounts, slot), fake = ask(lambda node: node.accounts(WALLETS), getMultipleAccounts=answer)
    assert sorted(len(params[0]) for params in fake.params("getMultipleAccounts")) == [50, 100, 100]
    assert slot == 150  # the oldest of the three answers
    assert accounts[3] is None
    assert [view.owner for view in accounts if view] == WALLETS[:3] + WALLETS[4:]
    assert accounts[0] == AccountView(lamports=5, owner=WALLETS[0], data=b"\x01\x02")


def test_no_accounts_cost_no_call():
    answer, fake = ask(lambda node: node.accounts([]))
    assert answer == ((), 0)
    assert fake.heard == []


def test_a_short_list_of_accounts_is_unusable():
    failure = refused(lambda node: node.accounts(WALLETS[:2]), getMultipleAccounts=value([None]))
    assert "1 accounts for 2 addresses" in str(failure)


def test_one_account():
    view, _ = ask(lambda node: node.account(AUTHORITY), getAccountInfo=value(account_json()))
    assert view == AccountView(lamports=5, owner=AUTHORITY, data=b"\x01\x02")
    none, _ = ask(lambda node: node.account(AUTHORITY), getAccountInfo=value(None))
    assert none is None


@pytest.mark.parametrize(
    "change",
    [
        {"lamports": -1},
        {"lamports": 1.5},
        {"lamports": "5"},
        {"lamports": True},
        {"lamports": 2**64},
        {"owner": "nobody"},
        {"data": "AQI="},
        {"data": ["AQI=", "base58"]},
        {"data": ["?", "base64"]},
    ],
)
def test_an_account_that_makes_no_sense_is_unusable(change):
    answer = value({**account_json(), **change})
    refused(lambda node: node.account(AUTHORITY), getAccountInfo=answer)


def test_rent_and_fee():
    rent, _ = ask(lambda node: node.rent(165), getMinimumBalanceForRentExemption=2_039_280)
    assert rent == 2_039_280
    fee, fake = ask(lambda node: node.fee_for_message(b"\x80\x01"), getFeeForMessage=value(5_000))
    assert fee == 5_000
    assert fake.params("getFeeForMessage") == [["gAE=", {"commitment": "confirmed"}]]
    failure = refused(lambda node: node.fee_for_message(b""), getFeeForMessage=value(None))
    assert "blockhash" in str(failure)


SIMULATED = {
    "err": None,
    "logs": ["a"],
    "unitsConsumed": 300,
    "loadedAccountsDataSize": 4_000,
    "innerInstructions": [{"index": 1, "instructions": [{}, {}]}],
}


def test_simulation_asks_for_inner_instructions_and_replaces_the_blockhash():
    simulation, fake = ask(
        lambda node: node.simulate(b"raw"), simulateTransaction=value(SIMULATED, slot=7)
    )
    assert (simulation.slot, simulation.err, simulation.failing_instruction) == (7, None, None)
    assert (simulation.compute_units, simulation.loaded_data_bytes) == (300, 4_000)
    assert simulation.logs == ("a",)
    assert simulation.inner_instructions == ((1, 2),)
    assert simulation.blockhash is None
    assert fake.params("simulateTransaction") == [
        [
            "cmF3",
            {
                "encoding": "base64",
                "commitment": "confirmed",
                "replaceRecentBlockhash": True,
                "sigVerify": False,
                "innerInstructions": True,
            },
        ]
    ]


def test_a_simulation_tells_the_blockhash_that_it_put_in():
    dated = {"replacementBlockhash": {"blockhash": "hash", "lastValidBlockHeight": 250}}
    simulation, _ = ask(
        lambda node: node.simulate(b"raw"), simulateTransaction=value(SIMULATED | dated, slot=7)
    )
    assert simulation.blockhash == Blockhash("hash", slot=7, last_valid_block_height=250)


def test_a_simulation_shows_the_accounts_that_it_is_asked_for():
    shown = [account_json(), None]
    simulation, fake = ask(
        lambda node: node.simulate(b"raw", [AUTHORITY, NOBODY]),
        simulateTransaction=value({**SIMULATED, "accounts": shown}),
    )
    assert [each and each.lamports for each in simulation.accounts] == [
        account_json()["lamports"],
        None,
    ]
    assert fake.params("simulateTransaction")[0][1]["accounts"] == {
        "encoding": "base64",
        "addresses": [str(AUTHORITY), str(NOBODY)],
    }


@pytest.mark.parametrize("shown", [None, [], [None, None], "all"])
def test_a_good_simulation_without_the_accounts_asked_for_is_unusable(shown):
    answer = value({**SIMULATED, "accounts": shown})
    refused(lambda node: node.simulate(b"raw", [AUTHORITY]), simulateTransaction=answer)


def test_a_failed_simulation_names_the_instruction():
    err = {"InstructionError": [4, {"Custom": 17}]}
    answer = value({**SIMULATED, "err": err, "loadedAccountsDataSize": None, "logs": None})
    simulation, _ = ask(lambda node: node.simulate(b"raw"), simulateTransaction=answer)
    assert (simulation.err, simulation.failing_instruction) == (err, 4)


@pytest.mark.parametrize("missing", ["err", "unitsConsumed", "loadedAccountsDataSize"])
def test_a_good_simulation_without_its_numbers_is_unusable(missing):
    answer = value({key: item for key, item in SIMULATED.items() if key != missing})
    refused(lambda node: node.simulate(b"raw"), simulateTransaction=answer)


@pytest.mark.parametrize(
    ("answer", "taken"),
    [
        (value(SIMULATED), True),
        (value({**SIMULATED, "err": "AccountNotFound"}), True),
        (value({**SIMULATED, "err": {"InstructionError": [0, "Custom"]}}), True),
        (value({**SIMULATED, "err": "UnsupportedVersion"}), False),
        (Refusal(-32602, "failed to deserialize VersionedTransaction"), False),
    ],
)
def test_whether_v1_is_taken(answer, taken):
    outcome, fake = ask(lambda node: node.supports_v1(AUTHORITY), simulateTransaction=answer)
    assert outcome is taken
    raw = base64.b64decode(fake.params("simulateTransaction")[0][0])
    message = VersionedTransaction.from_bytes(raw).message
    assert isinstance(message, MessageV1)
    assert message.config.compute_unit_limit
    assert message.config.loaded_accounts_data_size_limit


def test_a_node_in_trouble_does_not_say_whether_v1_is_taken():
    failure = refused(
        lambda node: node.supports_v1(AUTHORITY), simulateTransaction=Refusal(-32005, "behind")
    )
    assert isinstance(failure, RpcRefused)


def test_sending_skips_preflight_and_the_nodes_own_retries():
    note, fake = ask(lambda node: node.send(b"raw"), sendTransaction="signature")
    assert note is None
    assert fake.params("sendTransaction") == [
        ["cmF3", {"encoding": "base64", "skipPreflight": True, "maxRetries": 0}]
    ]


def test_a_refused_send_is_a_note_and_nothing_more():
    note, _ = ask(
        lambda node: node.send(b"raw"), sendTransaction=Refusal(-32002, "AlreadyProcessed")
    )
    assert note == "The node refused (-32002): AlreadyProcessed"


def test_statuses_are_asked_by_256_and_come_back_in_order():
    signatures = [f"sig{number}" for number in range(600)]

    def answer(asked, config):
        assert config == {"searchTransactionHistory": False}
        rows = [None if name == "sig5" else status(slot=int(name[3:])) for name in asked]
        return value(rows, slot=1_000 + len(asked))

    report, fake = ask(lambda node: node.statuses(signatures), getSignatureStatuses=answer)
    assert sorted(len(params[0]) for params in fake.params("getSignatureStatuses")) == [
        88,
        256,
        256,
    ]
    assert report.context_slot == 1_088
    assert report.statuses[5] is None
    assert [row.slot for row in report.statuses if row] == [n for n in range(600) if n != 5]


def test_a_landed_transaction_may_have_failed():
    err = {"InstructionError": [0, {"Custom": 1}]}
    answer = value([status(slot=9, err=err, level="finalized")])
    report, _ = ask(
        lambda node: node.statuses(["s"], search_history=True), getSignatureStatuses=answer
    )
    assert report.statuses == (SignatureStatus(9, Commitment.FINALIZED, err),)


def test_a_null_count_of_confirmations_is_final():
    row = {"slot": 9, "confirmations": None, "err": None, "confirmationStatus": None}
    report, _ = ask(lambda node: node.statuses(["s"]), getSignatureStatuses=value([row]))
    assert report.statuses[0].commitment is Commitment.FINALIZED


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [None],
        [None, None, None],
        [None, {"slot": 9, "confirmations": 1, "confirmationStatus": "confirmed"}],
        [None, {**status(), "confirmationStatus": "sure"}],
        [None, {**status(), "confirmationStatus": None}],
        [None, {**status(), "slot": None}],
        [None, "ok"],
        None,
    ],
    ids=["empty", "short", "long", "no err", "odd level", "no level", "no slot", "text", "null"],
)
def test_statuses_that_are_not_one_entry_per_signature_are_unusable(rows):
    """A short answer must not be read as 'not on chain'."""
    refused(lambda node: node.statuses(["a", "b"]), getSignatureStatuses=value(rows))


def test_history_is_finalized_and_keeps_errors():
    rows = [
        {"signature": "b", "slot": 9, "err": {"x": 1}, "memo": None, "blockTime": 1},
        {"signature": "a", "slot": 8, "err": None, "memo": "[70] gt1.x"},
    ]
    entries, fake = ask(
        lambda node: node.signatures_for_address(AUTHORITY, before="c", min_context_slot=5),
        getSignaturesForAddress=rows,
    )
    assert entries == (
        HistoryEntry("b", 9, {"x": 1}, None),
        HistoryEntry("a", 8, None, "[70] gt1.x"),
    )
    assert fake.params("getSignaturesForAddress") == [
        [
            str(AUTHORITY),
            {"commitment": "finalized", "limit": 1_000, "before": "c", "minContextSlot": 5},
        ]
    ]


def test_a_transaction_is_read_whatever_its_version():
    answer = {
        "slot": 9,
        "blockTime": 1_700_000_000,
        "transaction": ["cmF3", "base64"],
        "version": 1,
        "meta": {"err": None, "fee": 5_000, "preBalances": [9_000], "postBalances": [4_000]},
    }
    found, fake = ask(lambda node: node.transaction("sig"), getTransaction=answer)
    assert (found.signature, found.slot, found.err, found.raw) == ("sig", 9, None, b"raw")
    assert (found.fee, found.pre_balances, found.post_balances) == (5_000, (9_000,), (4_000,))
    assert fake.params("getTransaction")[0][1] == {
        "encoding": "base64",
        "commitment": "finalized",
        "maxSupportedTransactionVersion": 1,
    }
    none, _ = ask(lambda node: node.transaction("sig"), getTransaction=None)
    assert none is None


@pytest.mark.parametrize("meta", [None, {"fee": 1, "preBalances": [], "postBalances": []}])
def test_a_transaction_without_its_outcome_is_unusable(meta):
    answer = {"slot": 9, "transaction": ["cmF3", "base64"], "meta": meta}
    refused(lambda node: node.transaction("sig"), getTransaction=answer)


def test_supply_is_exact_beyond_floats():
    amount = {"amount": str(2**64 - 1), "decimals": 9, "uiAmount": 1.8e10}
    answer, _ = ask(lambda node: node.token_supply(AUTHORITY), getTokenSupply=value(amount, 6))
    assert answer == (2**64 - 1, 6)
    refused(lambda node: node.token_supply(AUTHORITY), getTokenSupply=value({"amount": "1e3"}))


def test_priority_fees():
    rows = [{"slot": 1, "prioritizationFee": 0}, {"slot": 2, "prioritizationFee": 9}]
    fees, fake = ask(
        lambda node: node.recent_priority_fees([AUTHORITY]), getRecentPrioritizationFees=rows
    )
    assert fees == (0, 9)
    assert fake.params("getRecentPrioritizationFees") == [[[str(AUTHORITY)]]]


def test_small_questions():
    async def question(node):
        await node.health()
        return await node.version(), await node.slot(), await node.first_available_block()

    answer, _ = ask(
        question,
        getHealth="ok",
        getVersion={"solana-core": "4.0.0"},
        getSlot=5,
        getFirstAvailableBlock=0,
    )
    assert answer == ("4.0.0", 5, 0)
    refused(lambda node: node.health(), getHealth="behind")


def test_one_failing_page_leaves_none_running_behind():
    async def run():
        def answer(addresses, config):
            return Refusal(-32602) if str(WALLETS[0]) in addresses else Stall()

        async with FakeNode(getMultipleAccounts=answer) as fake, Node(fake.url) as node:
            with pytest.raises(RpcRefused):
                await node.accounts(WALLETS[:200])
            asking = [task for task in asyncio.all_tasks() if "_accounts_page" in repr(task)]
            assert asking == []

    asyncio.run(run())
