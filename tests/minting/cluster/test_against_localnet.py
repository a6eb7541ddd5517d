"""Every question, asked of a chain that executes real programs and ages like a real one."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import to_bytes_versioned
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.system_program import CreateAccountParams, create_account
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
from minting.cluster import Cluster
from minting.engine.errors import MintingRefused, NodeUnreachable, RpcRefused, SolanaError
from minting.engine.types import Blockhash, Commitment, SignatureStatus, StatusReport, Watched
from tests.minting.cluster.fake_node import FakeNode, Http
from tests.minting.cluster.transactions import AUTHORITY, HOUSEHOLD, on_node, pay, settled, v0, v1


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
                seen: tuple[SignatureStatus | None, ...] = (None,)
                while None in seen:
                    seen = (await cluster.statuses(names)).statuses
                    looks += 1
            assert cluster.calls["getSignatureStatuses"] == looks
            assert [status.err for status in seen if status] == [None] * 200

    asyncio.run(story())


def test_the_cluster_answers_as_its_node_does(net):
    """One node behind both, its clock stopped, so that the answers are equal."""

    async def story(node):
        landed = v0(pay(), date=await node.latest_blockhash())
        signature = str(landed.signatures[0])
        await settled(node, landed, Commitment.FINALIZED)
        net.pause()
        date = await node.latest_blockhash()
        message = to_bytes_versioned(v0(pay(), date=date).message)
        address = AUTHORITY.pubkey()
        async with Cluster([net.url], genesis_hash=str(net.ledger.genesis_hash)) as cluster:
            for name, *arguments in (
                ("genesis_hash",),
                ("slot", Commitment.PROCESSED),
                ("epoch_info", Commitment.FINALIZED),
                ("first_available_block",),
                ("latest_blockhash",),
                ("balance", address),
                ("account", address),
                ("accounts", [address, HOUSEHOLD]),
                ("rent", 165),
                ("fee_for_message", message),
                ("simulate", bytes(v0(pay(1), date=date))),
                ("supports_v1", address),
                ("statuses", [signature]),
                ("signatures_for_address", address),
                ("transaction", signature),
                ("recent_priority_fees", [address]),
            ):
                own = await getattr(node, name)(*arguments)
                assert await getattr(cluster, name)(*arguments) == own, name
            assert await cluster.statuses([]) == StatusReport(0, ())
            assert await cluster.health() == {node.name: None}
            with pytest.raises(SolanaError):
                await cluster.token_supply(address)
            young = Watched(signature, await node.genesis_hash(), date.slot, 2**40)
            evidence = await cluster.death_evidence([young], address, is_known=set().__contains__)
            assert evidence[signature].node == node.name
            assert evidence[signature].finalized == await node.epoch_info(Commitment.FINALIZED)

    on_node(net, story)
