"""Token accounts that change between plan and wire are noticed in the simulation, and not read."""

from __future__ import annotations

import pytest
from solders.account import Account
from solders.pubkey import Pubkey

from minting.models import BatchSource, MintResult
from minting.service.drive.recover import slices_wait
from minting.service.requests.prepare import request_batch
from minting.tasks import look
from tests.factories.village import harvest, village

pytestmark = pytest.mark.django_db(transaction=True)

SYSTEM_PROGRAM = Pubkey.default()
OWNER = slice(32, 64)
"""Of a token account's data."""


def put(chain, address: Pubkey, *, lamports: int, data: bytes = b"", owner=SYSTEM_PROGRAM):
    chain.net.set_account(
        address, Account(lamports, data, owner, executable=False, rent_epoch=2**64 - 1)
    )


def hand_over(chain, address: Pubkey) -> None:
    held = chain.net.ledger.bank().account(address)
    data = bytearray(held.data)
    data[OWNER] = bytes(Pubkey.new_unique())
    put(chain, address, lamports=held.lamports, data=bytes(data), owner=held.owner)


def close(chain, address: Pubkey) -> None:
    chain.net.set_account(address, None)


def test_i8_what_changed_since_the_plan_costs_nobody_else_anything(minting_chain):
    villagers = village(6)
    names = ("same", "handed over", "closed", "opened", "given lamports", "new")
    wallets = {name: each.wallet.address for name, each in zip(names, villagers, strict=True)}
    accounts = {name: minting_chain.token_account(wallet) for name, wallet in wallets.items()}
    for name in ("same", "handed over", "closed"):
        minting_chain.open_account(wallets[name])
    batch = request_batch(
        [reading.id for reading in harvest(villagers)], source=BatchSource.CLI, strict=True
    )
    planned = batch.rent_estimate_lamports
    hand_over(minting_chain, accounts["handed over"])
    close(minting_chain, accounts["closed"])
    minting_chain.open_account(wallets["opened"])
    put(minting_chain, accounts["given lamports"], lamports=1_000)
    minting_chain.net.wait_slots(6)
    lamports = minting_chain.lamports()
    before = minting_chain.net.requests.copy()

    while slices_wait():
        look()

    batch.refresh_from_db()
    results = {each.wallet_address: each for each in MintResult.objects.filter(batch=batch)}
    told = {name: results[wallet].error_code for name, wallet in wallets.items()}
    assert told == dict.fromkeys(names, "") | {"handed over": "account_owner_changed"}
    assert batch.successful_mints == 5
    for name in names:
        paid = 0 if name == "handed over" else results[wallets[name]].base_units
        assert minting_chain.balance_of(wallets[name]) == paid
    # One for the wallets that nobody closed, one for the other.
    assert batch.transactions.count() == 2
    assert batch.rent_paid_lamports + batch.fee_paid_lamports == lamports - minting_chain.lamports()
    # Two accounts were planned to be made. One was made by others, one made again.
    assert batch.rent_paid_lamports == planned - 1_000
    asked = minting_chain.net.requests - before
    # All; without the closed one; without the handed over; with what is there now; the closed one.
    assert asked["simulateTransaction"] == 5


def test_wallets_with_accounts_are_not_read_again(minting_chain, drain):
    villagers = village(3)
    harvested = harvest(villagers, each=2)
    for part in (harvested[:3], harvested[3:]):
        request_batch([reading.id for reading in part], source=BatchSource.CLI, strict=True)
        before = minting_chain.net.requests.copy()
        drain()
        asked = minting_chain.net.requests - before
        assert asked["getMultipleAccounts"] == 1  # mint and payer
        assert asked["simulateTransaction"] == 1
    assert MintResult.objects.filter(success=True).count() == 6
