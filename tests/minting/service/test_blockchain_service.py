"""The seed's service by the seed's names."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import pytest

from minting.cluster.signers import KeypairSigner
from minting.engine.errors import (
    BatchTooLarge,
    EmptyBatch,
    FeeEstimationDisabled,
    InvalidBatchData,
    PartiallySuccessful,
)
from minting.engine.types import Payment
from minting.models import MintBatch, MintTransaction
from minting.service.blockchain_service import MAX_BATCH_SIZE, BlockchainService
from tests.factories.readings import (
    MeterReadingFactory,
    WalletFactory,
    household,
    keypair,
    solar_farm,
)
from tests.minting.service.test_speed import data_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def signer(minting_chain):
    return KeypairSigner(minting_chain.authority)


def test_results_come_in_the_order_asked(minting_chain, signer):
    batch = [data_of(MeterReadingFactory()) for _ in range(4)]

    results = BlockchainService().mint_energy_tokens_batch(signer, batch)

    assert [result.reading_id for result in results] == [data.reading_id for data in batch]
    assert all(result.success and result.tx_signature for result in results)


def test_one_user_s_readings_are_one_transaction(minting_chain, signer):
    anong = household()
    batch = [data_of(anong.reading()) for _ in range(3)]

    results = BlockchainService().mint_for_user_batch(signer, batch)

    assert len({result.tx_signature for result in results}) == 1
    with pytest.raises(InvalidBatchData, match="more than one user"):
        BlockchainService().mint_for_user_batch(
            signer, [data_of(anong.reading()), data_of(solar_farm().reading())]
        )


def test_a_partial_success_raises_for_callers_that_ask(minting_chain, signer):
    frozen = MeterReadingFactory(
        owner=WalletFactory(address=str(keypair("service-frozen").pubkey())).owner
    )
    minting_chain.freeze(str(keypair("service-frozen").pubkey()))
    batch = [data_of(MeterReadingFactory()), data_of(frozen)]

    with pytest.raises(PartiallySuccessful) as partial:
        BlockchainService().mint_energy_tokens_batch(signer, batch, raise_partial=True)

    assert (partial.value.success, partial.value.total) == (1, 2)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"tokens_to_mint": 1}, "wrong_amount"),
        ({"tokens_to_mint": 0}, "invalid_amount"),
        ({"wallet_address": "nonsense"}, "invalid_wallet"),
        ({"wallet_address": str(keypair("thief").pubkey())}, "wrong_wallet"),
        ({"user_id": "somebody"}, "wrong_owner"),
        ({"reading_id": uuid4()}, "unknown_reading"),
        ({"kwh_amount": Decimal(1), "tokens_to_mint": 10**9}, "wrong_amount"),
    ],
)
def test_data_that_differs_from_the_registry_is_refused_before_anything(
    minting_chain, signer, change, code
):
    data = replace(data_of(household().reading()), **change)

    with pytest.raises(InvalidBatchData) as refused:
        BlockchainService().mint_energy_tokens_batch(signer, [data])

    assert code in {item.code for item in refused.value.items}
    assert not MintBatch.objects.exists()


def test_limits_of_a_call(minting_chain, signer):
    service = BlockchainService()
    one = data_of(household().reading())

    with pytest.raises(EmptyBatch):
        service.mint_energy_tokens_batch(signer, [])
    with pytest.raises(BatchTooLarge):
        service.mint_energy_tokens_batch(
            signer, [replace(one, reading_id=uuid4()) for _ in range(MAX_BATCH_SIZE + 1)]
        )


def test_a_token_account_is_looked_up_and_never_made_by_itself(minting_chain, signer):
    anong = household()
    service = BlockchainService()

    address, to_be_made = service.get_or_create_user_token_account(anong.wallet.address)
    assert to_be_made
    assert not MintTransaction.objects.exists()
    service.mint_energy_tokens(signer, data_of(anong.reading()))

    assert service.get_or_create_user_token_account(anong.wallet.address) == (address, False)


def test_the_mint_instruction_pays_the_sum_to_the_associated_account(minting_chain, signer):
    anong = household()
    service = BlockchainService()

    instruction = service.create_batch_mint_instruction(
        signer.address, anong.wallet.address, [Payment(uuid4(), 2), Payment(uuid4(), 3)]
    )

    address, _ = service.get_or_create_user_token_account(anong.wallet.address)
    assert int.from_bytes(instruction.data[1:9], "little") == 5
    assert [meta.pubkey for meta in instruction.accounts] == [
        minting_chain.mint,
        address,
        signer.address,
    ]


def test_an_estimate_is_what_minting_costs(minting_chain, signer):
    batch = [data_of(MeterReadingFactory()) for _ in range(3)]
    service = BlockchainService()
    before = minting_chain.lamports()

    estimate = service.estimate_batch_fee(batch)
    service.mint_energy_tokens_batch(signer, batch)

    assert before - minting_chain.lamports() == estimate


def test_estimates_can_be_switched_off(minting_chain, settings):
    settings.BLOCKCHAIN_FEE_ESTIMATION_ENABLED = False

    with pytest.raises(FeeEstimationDisabled):
        BlockchainService().estimate_batch_fee([data_of(household().reading())])


def test_a_long_list_is_cut_as_in_the_seed(minting_chain):
    one = data_of(household().reading())
    batch = [replace(one, reading_id=uuid4()) for _ in range(120)]

    parts = BlockchainService().optimize_batch(batch)

    assert [len(part) for part in parts] == [50, 50, 20]
    assert [data for part in parts for data in part] == batch
