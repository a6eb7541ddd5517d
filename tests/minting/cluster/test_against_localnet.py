"""Every question, asked of a chain that executes real programs and ages like a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import asynccontextmanager
from itertools import count

import pytest
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0, MessageV1, TransactionConfig, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.system_program import CreateAccountParams, TransferParams, create_account, transfer
from solders.transaction import VersionedTransaction
from spl.token.constants import TOKEN_PROGRAM_ID
from spl.token.instructions import (
    create_idempotent_associated_token_account,
    get_associated_token_address,
    initialize_mint,
    mint_to_checked,
)
from spl.token.models import InitializeMintParams, MintToCheckedParams

from gridtoken.embedded.faults import FaultPlan
from gridtoken.embedded.localnet import Localnet
from minting.cluster import Cluster, Node, collect_death_evidence
from minting.engine.errors import MintingRefused, NodeUnreachable, RpcRefused, SolanaError
from minting.engine.types import Blockhash, Commitment, Watched
from tests.minting.cluster.fake_node import FakeNode, Http

AUTHORITY = Keypair.from_seed(bytes([41] * 32))
HOUSEHOLD = Keypair.from_seed(bytes([42] * 32)).pubkey()
SOL = 1_000_000_000
SLOT_MS = 20
_amounts = count(1_000_000)
"""No two transfers alike: the same transaction in the same block has the same signature."""


@pytest.fixture(scope="module")
def own_chain() -> Iterator[Localnet]:
    with Localnet(slot_ms=SLOT_MS) as net:
        net.airdrop(AUTHORITY.pubkey(), 1_000 * SOL)
        yield net


@pytest.fixture
def net(own_chain) -> Iterator[Localnet]:
    yield own_chain
    own_chain.faults = FaultPlan()
    own_chain.resume()


def on_node(net, story):
    async def run():
        async with Node(net.url) as node:
            return await story(node)

    return asyncio.run(run())


def pay(lamports=None) -> Instruction:
    amount = next(_amounts) if lamports is None else lamports
    return transfer(
        TransferParams(from_pubkey=AUTHORITY.pubkey(), to_pubkey=HOUSEHOLD, lamports=amount)
    )


def v0(*instructions, date: Blockhash, signers=(AUTHORITY,)) -> VersionedTransaction:
    message = MessageV0.try_compile(
        AUTHORITY.pubkey(), list(instructions), [], Hash.from_string(date.value)
    )
    return VersionedTransaction(message, list(signers))


def v1(*instructions, date: Blockhash) -> VersionedTransaction:
    config = TransactionConfig(compute_unit_limit=20_000, loaded_accounts_data_size_limit=65_536)
    message = MessageV1.try_compile(
        AUTHORITY.pubkey(), list(instructions), Hash.from_string(date.value), config
    )
    return VersionedTransaction(message, [AUTHORITY])


async def settled(node, transaction, commitment=Commitment.CONFIRMED):
    """Sends until the chain knows it for good; its status."""
    signature = str(transaction.signatures[0])
    ladder = list(Commitment)
    async with asyncio.timeout(20):
        while True:
            await node.send(bytes(transaction))
            status = (await node.statuses([signature])).statuses[0]
            if status and ladder.index(status.commitment) >= ladder.index(commitment):
                return status
            await asyncio.sleep(SLOT_MS / 1_000)


def test_where_the_chain_is(net):
    async def story(node):
        assert await node.genesis_hash() == str(net.ledger.genesis_hash)
        await node.health()
        assert await node.version()
        processed = await node.slot(Commitment.PROCESSED)
        confirmed = await node.epoch_info(Commitment.CONFIRMED)
        finalized = await node.epoch_info(Commitment.FINALIZED)
        assert processed > finalized.slot
        assert confirmed.block_height > finalized.block_height
        assert await node.first_available_block() <= finalized.slot
        date = await node.latest_blockhash()
        assert date.last_valid_block_height > confirmed.block_height
        assert date.slot >= confirmed.slot

    on_node(net, story)


@pytest.mark.parametrize("build", [v0, v1])
def test_a_transaction_goes_out_and_is_read_back(net, build):
    async def story(node):
        transaction = build(pay(), date=await node.latest_blockhash())
        signature = str(transaction.signatures[0])
        raw = bytes(transaction)
        before, _ = await node.balance(AUTHORITY.pubkey())
        assert await node.fee_for_message(to_bytes_versioned(transaction.message)) == 5_000
        simulation = await node.simulate(raw)
        assert simulation.err is None
        assert simulation.compute_units > 0
        assert simulation.loaded_data_bytes > 0
        assert await node.transaction(signature) is None
        assert await node.send(raw) is None
        status = await settled(node, transaction, Commitment.FINALIZED)
        assert status.err is None
        landed = await node.transaction(signature)
        assert landed.raw == raw
        assert (landed.slot, landed.err, landed.fee) == (status.slot, None, 5_000)
        assert landed.pre_balances[0] == before
        after, slot = await node.balance(AUTHORITY.pubkey(), min_context_slot=status.slot)
        assert slot >= status.slot
        assert landed.post_balances[0] == after < before - 5_000
        history = await node.signatures_for_address(AUTHORITY.pubkey(), limit=5)
        assert signature in [entry.signature for entry in history]
        # The cache forgets, the history does not.
        report = await node.statuses([signature], search_history=True)
        assert report.statuses[0].slot == status.slot

    on_node(net, story)


def test_a_landed_transaction_can_have_failed(net):
    async def story(node):
        hopeless = v0(pay(), pay(2**62), date=await node.latest_blockhash())
        simulation = await node.simulate(bytes(hopeless))
        assert simulation.failing_instruction == 1
        status = await settled(node, hopeless, Commitment.FINALIZED)
        assert status.err == {"InstructionError": [1, {"Custom": 1}]}
        landed = await node.transaction(str(hopeless.signatures[0]))
        assert landed.err == status.err
        assert landed.pre_balances[0] - landed.post_balances[0] == landed.fee == 5_000

    on_node(net, story)


def test_accounts_by_the_hundred(net):
    strangers = [Pubkey(number.to_bytes(32, "big")) for number in range(10**6, 10**6 + 250)]

    async def story(node):
        calls = node.calls["getMultipleAccounts"]
        views, slot = await node.accounts([*strangers, AUTHORITY.pubkey()])
        assert node.calls["getMultipleAccounts"] == calls + 3
        assert views[:250] == (None,) * 250
        assert views[250] == await node.account(AUTHORITY.pubkey())
        assert views[250].owner == SYSTEM_PROGRAM
        assert views[250].data == b""
        assert slot > 0
        assert await node.account(strangers[0]) is None

    on_node(net, story)


def test_a_slot_that_the_node_has_not_reached(net):
    async def story(node):
        with pytest.raises(RpcRefused) as refusal:
            await node.balance(AUTHORITY.pubkey(), min_context_slot=net.slot + 10_000)
        assert refusal.value.rpc_code == -32016

    on_node(net, story)


def test_what_the_fee_of_an_unknown_blockhash_is(net):
    async def story(node):
        stale = v0(pay(), date=Blockhash(str(Hash(bytes([9] * 32))), 0, 0))
        with pytest.raises(SolanaError, match="blockhash"):
            await node.fee_for_message(to_bytes_versioned(stale.message))
        # A simulation replaces it.
        assert (await node.simulate(bytes(stale))).err is None

    on_node(net, story)


@pytest.mark.parametrize("authority", [AUTHORITY.pubkey(), Pubkey(bytes([77] * 32))])
def test_v1_is_taken_whether_the_authority_is_funded_or_not(net, authority):
    assert on_node(net, lambda node: node.supports_v1(authority))


def test_rent_supply_and_inner_instructions_of_a_mint(net):
    mint = Keypair()
    account = get_associated_token_address(HOUSEHOLD, mint.pubkey())

    async def story(node):
        lamports = await node.rent(82)
        assert await node.rent(165) > lamports
        created = v0(
            create_account(
                CreateAccountParams(
                    from_pubkey=AUTHORITY.pubkey(),
                    to_pubkey=mint.pubkey(),
                    lamports=lamports,
                    space=82,
                    owner=TOKEN_PROGRAM_ID,
                )
            ),
            initialize_mint(
                InitializeMintParams(
                    decimals=9,
                    program_id=TOKEN_PROGRAM_ID,
                    mint=mint.pubkey(),
                    mint_authority=AUTHORITY.pubkey(),
                )
            ),
            date=await node.latest_blockhash(),
            signers=(AUTHORITY, mint),
        )
        assert (await settled(node, created)).err is None
        assert (await node.token_supply(mint.pubkey(), commitment=Commitment.CONFIRMED))[0] == 0
        minted = v0(
            create_idempotent_associated_token_account(
                AUTHORITY.pubkey(), HOUSEHOLD, mint.pubkey()
            ),
            mint_to_checked(
                MintToCheckedParams(
                    program_id=TOKEN_PROGRAM_ID,
                    mint=mint.pubkey(),
                    dest=account,
                    mint_authority=AUTHORITY.pubkey(),
                    amount=2**64 - 1,
                    decimals=9,
                )
            ),
            date=await node.latest_blockhash(),
        )
        simulation = await node.simulate(bytes(minted))
        assert simulation.err is None
        assert [index for index, _ in simulation.inner_instructions] == [0]
        assert simulation.inner_instructions[0][1] > 1
        status = await settled(node, minted, Commitment.FINALIZED)
        supply, slot = await node.token_supply(mint.pubkey())
        assert supply == 2**64 - 1
        assert slot >= status.slot
        assert len((await node.account(account)).data) == 165
        fees = await node.recent_priority_fees([mint.pubkey(), AUTHORITY.pubkey()])
        assert all(fee >= 0 for fee in fees)

    on_node(net, story)


def test_what_cannot_be_sent_is_a_note(net):
    assert "refused" in on_node(net, lambda node: node.send(b"\x01garbage"))


def test_a_lost_reply_says_nothing_about_the_transaction(net):
    async def story(node):
        transaction = v0(pay(), date=await node.latest_blockhash())
        net.faults = FaultPlan(lost_reply=1.0, methods=("sendTransaction",))
        assert await node.send(bytes(transaction)) is not None
        net.faults = FaultPlan(unavailable=1.0, methods=("sendTransaction",))
        assert (await settled(node, transaction)).err is None

    on_node(net, story)


def test_a_broken_answer_to_a_read_is_asked_for_once_more(net):
    async def story(node):
        net.faults = FaultPlan(lost_reply=0.5, seed=4)
        answers = await asyncio.gather(*(node.slot() for _ in range(40)), return_exceptions=True)
        assert {type(answer) for answer in answers} <= {int, NodeUnreachable}
        assert node.calls["getSlot"] > 40

    on_node(net, story)


@asynccontextmanager
async def cluster_of(*urls, **options):
    async with Cluster(urls, **options) as cluster:
        yield cluster


def test_a_rate_limited_node_is_waited_for(net):
    async def story():
        async with cluster_of(net.url) as cluster:
            await cluster.genesis_hash()
            net.faults = FaultPlan(requests_per_second=5, retry_after=1)
            slots = await asyncio.gather(*(cluster.slot() for _ in range(12)))
            assert all(slots)

    asyncio.run(story())


def test_the_chain_answers_for_a_rate_limited_stranger(net):
    async def story():
        limited = FakeNode(
            getGenesisHash=str(net.ledger.genesis_hash),
            getLatestBlockhash=Http(429, {"retry-after": "60"}),
            getSignatureStatuses={"context": {"slot": 1}, "value": []},
            sendTransaction=Http(500),
        )
        async with limited, cluster_of(limited.url, net.url) as cluster:
            transaction = v0(pay(), date=await cluster.latest_blockhash())
            status = await settled(cluster, transaction)
            assert status.err is None
            assert (await cluster.health())[limited.name] is not None

    asyncio.run(story())


def test_another_chain_is_never_used(net):
    async def story(other):
        expected = str(net.ledger.genesis_hash)
        async with cluster_of(other.url, net.url, genesis_hash=expected) as cluster:
            assert await cluster.genesis_hash() == expected
            transaction = v0(pay(), date=await cluster.latest_blockhash())
            await settled(cluster, transaction)
        assert set(other.requests) == {"getGenesisHash"}
        async with cluster_of(other.url, genesis_hash=expected) as cluster:
            with pytest.raises(MintingRefused):
                await cluster.latest_blockhash()

    with Localnet(slot_ms=400) as other:
        asyncio.run(story(other))


def test_a_wave_costs_one_status_call_a_look(net):
    async def story():
        async with cluster_of(net.url) as cluster:
            date = await cluster.latest_blockhash()
            wave = [v0(pay(), date=date) for _ in range(200)]
            names = [str(transaction.signatures[0]) for transaction in wave]
            assert set(await asyncio.gather(*(cluster.send(bytes(one)) for one in wave))) == {None}
            looks = 0
            async with asyncio.timeout(20):
                seen = []
                while not seen or None in seen:
                    seen = (await cluster.statuses(names)).statuses
                    looks += 1
            assert cluster.calls["getSignatureStatuses"] == looks
            assert [status.err for status in seen] == [None] * 200

    asyncio.run(story())


# Proof of death


def watched(net, transaction, date) -> Watched:
    return Watched(
        signature=str(transaction.signatures[0]),
        genesis_hash=str(net.ledger.genesis_hash),
        blockhash_slot=date.slot,
        last_valid_block_height=date.last_valid_block_height,
    )


async def evidence_on(net, *items, known=()):
    async def moved(seconds):
        """A pause in which the chain goes on."""
        await asyncio.to_thread(net.advance, max(round(seconds * 10), 1))

    return await collect_death_evidence(
        net.url, items, AUTHORITY.pubkey(), is_known=set(known).__contains__, sleep=moved
    )


async def old_and_new(net, node):
    """One that landed and one that nobody got, of the same blockhash; and one from before."""
    before = v0(pay(), date=await node.latest_blockhash())
    status = await settled(node, before, Commitment.FINALIZED)
    date = await node.latest_blockhash()
    assert date.slot > status.slot
    landed, lost = v0(pay(), date=date), v0(pay(), date=date)
    await settled(node, landed)
    net.faults = FaultPlan(drop=1.0)
    assert await node.send(bytes(lost)) is None
    net.faults = FaultPlan()
    return str(before.signatures[0]), watched(net, landed, date), watched(net, lost, date)


def test_a_live_transaction_gets_no_further_than_the_height(net):
    async def story(node):
        date = await node.latest_blockhash()
        young = watched(net, v0(pay(), date=date), date)
        return (await evidence_on(net, young))[young.signature], young

    evidence, young = on_node(net, story)
    assert evidence.finalized.block_height <= young.last_valid_block_height
    assert evidence.reports == ()


def test_the_evidence_on_one_that_just_expired(net):
    async def story(node):
        _, landed, lost = await old_and_new(net, node)
        net.pause()
        while (await node.epoch_info(Commitment.FINALIZED)).block_height <= (
            lost.last_valid_block_height
        ):
            await asyncio.to_thread(net.advance, 5)
        return landed, lost, await evidence_on(net, landed, lost)

    landed, lost, found = on_node(net, story)
    evidence = found[lost.signature]
    assert evidence.genesis_hash == lost.genesis_hash
    over = evidence.finalized.block_height - lost.last_valid_block_height
    assert 0 < over <= 100
    assert len(evidence.reports) == 3
    for report in evidence.reports:
        assert report.statuses == (None,)
        assert report.context_slot >= evidence.finalized.slot + 64
    assert evidence.second_witness is None
    for report in found[landed.signature].reports:
        assert report.statuses[0].err is None


def test_the_evidence_on_one_that_expired_long_ago(net):
    async def story(node):
        before, landed, lost = await old_and_new(net, node)
        await asyncio.to_thread(net.advance, 450)
        known = await evidence_on(net, landed, lost, known=[before])
        return landed, lost, known, await evidence_on(net, lost, known=[landed.signature])

    landed, lost, found, blind = on_node(net, story)
    evidence = found[lost.signature]
    assert evidence.finalized.block_height > lost.last_valid_block_height + 100
    assert [report.statuses for report in evidence.reports] == [(None,)] * 3
    assert evidence.first_available_block <= lost.blockhash_slot
    assert evidence.second_witness is True
    # The one that landed long ago is found in the history only, twice.
    assert found[landed.signature].reports[0].statuses[0].commitment is Commitment.FINALIZED
    assert found[landed.signature].second_witness is False
    # Knowing only what came after the blockhash is not knowing how far the history reaches.
    assert blind[lost.signature].second_witness is None


def test_errors_testify_nothing(net):
    async def story(node):
        before, _, lost = await old_and_new(net, node)
        await asyncio.to_thread(net.advance, 450)
        net.faults = FaultPlan(
            error=1.0, methods=("getSignatureStatuses", "getSignaturesForAddress")
        )
        return lost, await evidence_on(net, lost, known=[before])

    lost, found = on_node(net, story)
    assert found[lost.signature].finalized is not None
    assert found[lost.signature].reports == ()
    assert found[lost.signature].second_witness is None
