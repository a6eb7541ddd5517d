"""The seed's acceptance 7: a batch is at least three times as fast as one by one."""

from __future__ import annotations

import time

import pytest

from minting.cluster.signers import KeypairSigner
from minting.engine.types import MintBatchData
from minting.models import MintResult, MintTransaction
from minting.service.blockchain_service import BlockchainService
from readings.models import MeterReading, Wallet
from tests.factories.readings import MeterReadingFactory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.speed]

WALLETS = 20


def data_of(reading: MeterReading) -> MintBatchData:
    return MintBatchData(
        reading_id=reading.id,
        user_id=reading.owner.user_id,
        wallet_address=Wallet.objects.current().get(owner=reading.owner).address,
        kwh_amount=reading.kwh_amount,
        tokens_to_mint=int(reading.kwh_amount * 10**9),
    )


def test_a_batch_of_twenty_is_three_times_as_fast_as_one_by_one(minting_chain):
    singly = [data_of(MeterReadingFactory()) for _ in range(WALLETS)]
    together = [data_of(MeterReadingFactory()) for _ in range(WALLETS)]
    service, signer = BlockchainService(), KeypairSigner(minting_chain.authority)

    begun = time.monotonic()
    one_by_one = [service.mint_energy_tokens(signer, data) for data in singly]
    slow = time.monotonic() - begun
    begun = time.monotonic()
    batch = service.mint_energy_tokens_batch(signer, together)
    fast = time.monotonic() - begun

    assert all(result.success for result in [*one_by_one, *batch])
    assert MintResult.objects.filter(success=True).count() == 2 * WALLETS
    assert slow / fast >= 3, f"{slow:.1f} s one by one, {fast:.1f} s as a batch"


def test_the_cluster_is_asked_a_bounded_number_of_times(minting_chain):
    """What is shared is asked once; only simulating and sending are by transaction."""
    readings = [data_of(MeterReadingFactory()) for _ in range(WALLETS)]
    before = minting_chain.net.requests.copy()

    BlockchainService().mint_energy_tokens_batch(KeypairSigner(minting_chain.authority), readings)

    asked = minting_chain.net.requests - before
    transactions = MintTransaction.objects.count()
    assert transactions == 2
    assert asked["simulateTransaction"] <= transactions + 1
    assert asked["getMultipleAccounts"] <= 4
    assert asked["getLatestBlockhash"] <= 6
