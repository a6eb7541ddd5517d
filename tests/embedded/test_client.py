"""solana-py's own client, method by method, against a served chain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed, Finalized, Processed
from solana.rpc.core import RPCException
from solana.rpc.models import DataSliceOpts, MemcmpOpts, TokenAccountOpts, TxOpts
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.rpc.errors import SendTransactionPreflightFailureMessage
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_status import TransactionConfirmationStatus
from spl.token.constants import TOKEN_PROGRAM_ID

from gridtoken.embedded.localnet import Localnet

from .chain import (
    MINT,
    OPERATOR,
    SOL,
    memo,
    minted,
    new_mint,
    opened,
    pay,
    token_account,
    v0,
    v1,
    wallets,
)

Story = Callable[[AsyncClient], Awaitable[Any]]
QUICK = TxOpts(skip_preflight=True, max_retries=0)


def told(net: Localnet, story: Story) -> Any:
    """Runs a story with a client of the chain's own."""

    async def run() -> Any:
        async with AsyncClient(net.url, Confirmed) as client:
            return await story(client)

    return asyncio.run(run())


async def latest(client: AsyncClient) -> Hash:
    return (await client.get_latest_blockhash()).value.blockhash


async def land(client: AsyncClient, tx: VersionedTransaction) -> Signature:
    signature = (await client.send_transaction(tx, QUICK)).value
    answer = await client.confirm_transaction(signature, Confirmed, sleep_seconds=0.02)
    assert answer.value[0] is not None
    assert answer.value[0].err is None
    return signature


@pytest.fixture(scope="module")
def paid(net: Localnet) -> Signature:
    """The signature of a mint to two new wallets."""

    async def story(client: AsyncClient) -> Signature:
        rent = (await client.get_minimum_balance_for_rent_exemption(82)).value
        await land(client, v1(new_mint(rent), await latest(client), signers=(OPERATOR, MINT)))
        steps = [step for wallet in wallets(2) for step in (opened(wallet), minted(wallet, 5))]
        return await land(client, v1([*steps, memo("paid")], await latest(client)))

    signature: Signature = told(net, story)
    return signature


def test_the_cluster_introduces_itself(net: Localnet) -> None:
    async def story(client: AsyncClient) -> None:
        assert await client.is_connected()
        assert (await client.get_version()).value.solana_core
        assert (await client.get_genesis_hash()).value == net.ledger.genesis_hash
        identity = (await client.get_identity()).value.identity
        assert (await client.get_slot_leader()).value == identity
        assert (await client.get_slot_leaders(0, 2)).value == [identity] * 2
        assert [node.pubkey for node in (await client.get_cluster_nodes()).value] == [identity]
        assert (await client.get_vote_accounts()).value.current == []
        assert (await client.get_first_available_block()).value == 0
        assert (await client.get_minimum_ledger_slot()).value == 0
        schedule = (await client.get_epoch_schedule()).value
        assert schedule.slots_per_epoch == 432_000
        assert (await client.get_supply()).value.total == 500_000_000 * SOL

    told(net, story)


def test_the_clock_runs(net: Localnet) -> None:
    async def story(client: AsyncClient) -> None:
        info = (await client.get_epoch_info(Processed)).value
        assert (await client.get_slot(Processed)).value >= info.absolute_slot
        assert (await client.get_block_height(Processed)).value >= info.block_height
        assert (await client.get_transaction_count(Processed)).value >= 1
        given = (await client.get_latest_blockhash(Processed)).value
        assert given.last_valid_block_height >= info.block_height + 150
        samples = (await client.get_recent_performance_samples(4)).value
        assert len(samples) <= 4
        fees = (await client.get_recent_prioritization_fees([OPERATOR.pubkey()])).value
        assert {fee.prioritization_fee for fee in fees} == {0}

    told(net, story)


def test_money_moves_and_is_told(net: Localnet) -> None:
    async def story(client: AsyncClient) -> None:
        someone = Keypair().pubkey()
        gift = (await client.request_airdrop(someone, SOL)).value
        await client.confirm_transaction(gift, Confirmed, sleep_seconds=0.02)
        assert (await client.get_balance(someone)).value == SOL
        message = Message.new_with_blockhash(
            [pay(someone, SOL)], OPERATOR.pubkey(), await latest(client)
        )
        fee = await client.get_fee_for_message(message)  # type: ignore[arg-type]
        assert fee.value == 5_000
        signature = await land(client, VersionedTransaction(message, [OPERATOR]))
        assert (await client.get_balance(someone)).value == 2 * SOL
        rows = (await client.get_signatures_for_address(someone)).value
        assert [row.signature for row in rows] == [signature, gift]
        rows = (await client.get_signatures_for_address(someone, before=signature)).value
        assert [row.signature for row in rows] == [gift]

    told(net, story)


@pytest.mark.parametrize("encoding", ["json", "jsonParsed", "base64"])
def test_a_transaction_is_read_back(net: Localnet, paid: Signature, encoding: str) -> None:
    async def story(client: AsyncClient) -> None:
        shown = (
            await client.get_transaction(paid, encoding, max_supported_transaction_version=1)
        ).value
        assert shown is not None
        meta = shown.transaction.meta
        assert meta is not None
        assert meta.err is None
        assert shown.transaction.version == 1
        balances = meta.post_token_balances
        assert balances is not None
        assert {one.owner for one in balances} == set(wallets(2))
        assert [one.ui_token_amount.amount for one in balances] == ["5", "5"]
        if encoding == "base64":
            tx = shown.transaction.transaction
            assert isinstance(tx, VersionedTransaction)
            assert tx.signatures == [paid]
        block = (await client.get_block(shown.slot, max_supported_transaction_version=1)).value
        assert block is not None
        assert block.block_time == shown.block_time
        assert (await client.get_block_time(shown.slot)).value == shown.block_time
        # solana-py asks getBlocks without a commitment: only genesis is sure to be final.
        assert (await client.get_blocks(0, 0)).value == [0]

    told(net, story)


def test_accounts_are_read(net: Localnet, paid: Signature) -> None:
    wallet = wallets(1)[0]
    address = token_account(wallet)

    async def story(client: AsyncClient) -> None:
        account = (await client.get_account_info(address)).value
        assert account is not None
        assert (account.owner, len(account.data)) == (TOKEN_PROGRAM_ID, 165)
        cut = (
            await client.get_account_info(address, data_slice=DataSliceOpts(offset=64, length=8))
        ).value
        assert cut is not None
        assert bytes(cut.data) == (5).to_bytes(8, "little")
        words = (await client.get_account_info_json_parsed(address)).value
        assert words is not None
        data: Any = words.data
        assert data.parsed["info"]["owner"] == str(wallet)
        several = (await client.get_multiple_accounts([address, Keypair().pubkey()])).value
        assert several == [account, None]
        parsed = (await client.get_multiple_accounts_json_parsed([MINT.pubkey()])).value
        assert parsed[0] is not None
        found = (
            await client.get_program_accounts(
                TOKEN_PROGRAM_ID,
                encoding="base64",
                filters=[165, MemcmpOpts(offset=32, bytes=str(wallet))],
            )
        ).value
        assert [one.pubkey for one in found] == [address]

    told(net, story)


def test_tokens_are_read(net: Localnet, paid: Signature) -> None:
    wallet = wallets(1)[0]
    address = token_account(wallet)

    async def story(client: AsyncClient) -> None:
        assert (await client.get_token_supply(MINT.pubkey())).value.amount == "10"
        assert (await client.get_token_account_balance(address)).value.amount == "5"
        largest = (await client.get_token_largest_accounts(MINT.pubkey())).value
        assert {one.amount.amount for one in largest} == {"5"}
        by_mint = TokenAccountOpts(mint=MINT.pubkey())
        owned = (await client.get_token_accounts_by_owner(wallet, by_mint)).value
        assert [one.pubkey for one in owned] == [address]
        by_program = TokenAccountOpts(program_id=TOKEN_PROGRAM_ID)
        words = (await client.get_token_accounts_by_owner_json_parsed(wallet, by_program)).value
        assert [one.pubkey for one in words] == [address]
        assert (await client.get_token_accounts_by_delegate(wallet, by_mint)).value == []

    told(net, story)


def test_statuses_are_read(net: Localnet, paid: Signature) -> None:
    async def story(client: AsyncClient) -> None:
        known, unknown = (
            await client.get_signature_statuses(
                [paid, Signature.default()], search_transaction_history=True
            )
        ).value
        assert known is not None
        assert known.confirmation_status in (
            TransactionConfirmationStatus.Confirmed,
            TransactionConfirmationStatus.Finalized,
        )
        assert unknown is None

    told(net, story)


def test_a_simulation_is_read(net: Localnet, paid: Signature) -> None:
    async def story(client: AsyncClient) -> None:
        tx = v1([minted(wallet, 1) for wallet in wallets(2)], Hash.default())
        result = (
            await client.simulate_transaction(
                tx, replace_recent_blockhash=True, inner_instructions=True
            )
        ).value
        assert result.err is None
        assert result.units_consumed
        assert result.loaded_accounts_data_size
        assert result.fee == 5_000
        assert result.replacement_blockhash is not None
        failing = v1([minted(Keypair().pubkey(), 1)], await latest(client))
        answer = await client.simulate_transaction(failing, sig_verify=True)
        assert answer.value.err is not None

    told(net, story)


def test_a_preflight_failure_is_an_exception_with_the_result(net: Localnet) -> None:
    async def story(client: AsyncClient) -> None:
        tx = v0([pay(Keypair().pubkey(), 10**15)], await latest(client))
        with pytest.raises(RPCException) as raised:
            await client.send_transaction(tx, TxOpts(preflight_commitment=Confirmed))
        message = raised.value.args[0]
        assert isinstance(message, SendTransactionPreflightFailureMessage)
        assert message.data.err is not None

    told(net, story)


def test_a_blockhash_can_be_asked_about(net: Localnet) -> None:
    assert net.ledger.bank().last_valid_height(net.ledger.tip.blockhash) is not None


def test_finality_comes(net: Localnet) -> None:
    someone: Pubkey = Keypair().pubkey()
    net.airdrop(someone, SOL, "finalized")

    async def story(client: AsyncClient) -> None:
        assert (await client.get_balance(someone, Finalized)).value == SOL

    told(net, story)
