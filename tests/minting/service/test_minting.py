"""The main job on the real token program: readings in, tokens on the chain, signatures kept."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db.models import Sum

from minting.engine.errors import BatchTooLarge, EmptyBatch, InvalidBatchData
from minting.engine.receipts import memo_in_history, merkle_root
from minting.models import BatchSource, MintBatch, MintResult, MintTransaction
from minting.service.chain.session import open_session
from minting.service.drive.recover import recover
from minting.service.requests.prepare import MATCHING, estimate_readings, request_batch
from readings.models import MeterReading
from tests.factories.readings import (
    MeterReadingFactory,
    WalletFactory,
    address,
    household,
    outsider,
    solar_farm,
)

pytestmark = pytest.mark.django_db(transaction=True)


def mint(readings, *, drain, strict=True, **options) -> MintBatch:
    """Queues readings, works them off in this process, and returns the batch as it ended."""
    batch = request_batch(
        [reading.id for reading in readings], source=BatchSource.CLI, strict=strict, **options
    )
    drain()
    batch.refresh_from_db()
    return batch


def test_one_reading_is_minted_with_its_signature(minting_chain, drain):
    anong = household()
    reading = anong.reading(kwh_amount=Decimal("0.123456789"))

    batch = mint([reading], drain=drain)

    result = MintResult.objects.get(reading=reading)
    reading.refresh_from_db()
    assert (batch.status, batch.successful_mints) == ("succeeded", 1)
    assert (result.success, result.status, result.base_units) == (True, "confirmed", 123_456_789)
    assert result.tx_signature == MintTransaction.objects.get().signature
    assert result.slot
    assert (reading.status, reading.last_result_id) == ("minted", result.id)
    assert minting_chain.balance_of(anong.wallet.address) == 123_456_789


def test_fifty_readings_of_fifty_users_sum_up_on_the_chain(minting_chain, drain, settings):
    settings.BLOCKCHAIN_MAX_BATCH_SIZE = 50
    readings = [
        MeterReadingFactory(kwh_amount=Decimal(number).scaleb(-3)) for number in range(1, 51)
    ]

    batch = mint(readings, drain=drain, max_size=50)

    results = MintResult.objects.filter(batch=batch)
    assert batch.status == "succeeded"
    assert minting_chain.supply() == results.aggregate(sum=Sum("base_units"))["sum"]
    assert minting_chain.supply() == sum(range(1, 51)) * 10**6
    assert not results.filter(tx_signature="").exists()
    assert all(
        minting_chain.balance_of(result.wallet_address) == result.base_units
        for result in results.order_by("?")[:5]
    )


def test_readings_of_one_wallet_are_one_mint(minting_chain, drain):
    farm = solar_farm()
    readings = [farm.reading(kwh_amount=Decimal("1.5")) for _ in range(7)]

    mint(readings, drain=drain)

    assert MintTransaction.objects.count() == 1
    assert minting_chain.balance_of(farm.wallet.address) == 7 * 1_500_000_000


def test_two_owners_of_one_wallet_are_both_paid(minting_chain, drain):
    landlord = address("landlord")
    readings = [MeterReadingFactory(owner=WalletFactory(address=landlord).owner) for _ in range(2)]

    batch = mint(readings, drain=drain)

    assert batch.successful_mints == 2
    assert minting_chain.balance_of(landlord) == 2 * 250_000_000


def test_the_estimate_is_what_is_paid(minting_chain, drain):
    old, new = household(), solar_farm()
    mint([old.reading()], drain=drain)
    readings = [old.reading(), new.reading()]
    before = minting_chain.lamports()

    estimate = estimate_readings([reading.id for reading in readings]).estimate
    batch = mint(readings, drain=drain)

    assert before - minting_chain.lamports() == estimate.cost.total
    assert estimate.new_accounts == 1
    assert batch.fee_estimate_lamports == batch.fee_paid_lamports == estimate.cost.fee
    assert batch.rent_estimate_lamports == batch.rent_paid_lamports == estimate.cost.rent


def test_empty_and_too_large_are_refused_before_anything_is_written(minting_chain):
    readings = [MeterReadingFactory() for _ in range(51)]
    ids = [reading.id for reading in readings]

    with pytest.raises(EmptyBatch):
        request_batch([], source=BatchSource.API, strict=True)
    with pytest.raises(BatchTooLarge) as refused:
        request_batch(ids, source=BatchSource.API, strict=True, max_size=50)

    assert (refused.value.size, refused.value.max_size) == (51, 50)
    assert not MintBatch.objects.exists()


def test_what_is_named_is_strict_and_told_one_by_one(minting_chain, drain):
    anong, niran = household(), outsider()
    minted, fresh = anong.reading(), anong.reading()
    held = niran.reading(status="held", code="no_wallet")
    mint([minted], drain=drain)

    with pytest.raises(InvalidBatchData) as twice:
        request_batch([fresh.id, fresh.id], source=BatchSource.API, strict=True)
    with pytest.raises(InvalidBatchData) as refused:
        request_batch([minted.id, fresh.id, held.id], source=BatchSource.API, strict=True)

    assert [item.code for item in twice.value.items] == ["named_twice"]
    assert {item.reading_id: item.code for item in refused.value.items} == {
        minted.id: "already_minted",
        held.id: "no_wallet",
    }
    assert MintBatch.objects.count() == 1
    fresh.refresh_from_db()
    assert fresh.status == "pending"


def test_a_lenient_selection_leaves_out_and_lists(minting_chain, drain):
    anong, niran = household(), outsider()
    good = anong.reading()
    held = niran.reading(status="held", code="no_wallet")

    batch = mint([good, held], drain=drain, strict=False, allowed=MATCHING)

    assert (batch.total_readings, batch.status) == (1, "succeeded")
    assert [(each["reading_id"], each["code"]) for each in batch.excluded] == [
        (str(held.id), "no_wallet")
    ]


def test_i7_conservation_and_every_memo_proves_its_readings(minting_chain, drain):
    """Sum of succeeded results = sum of the mints on chain, and each root is that of its leaves."""
    from solders.pubkey import Pubkey

    from minting.engine.receipts import leaf

    readings = [MeterReadingFactory() for _ in range(6)]
    batch = mint(readings, drain=drain)
    minting_chain.net.wait_slots(40)

    with open_session() as session:
        history = session.run(
            session.cluster.signatures_for_address(minting_chain.authority.pubkey())
        )
    memos = {entry.signature: memo_in_history(entry.memo) for entry in history}
    for row in MintTransaction.objects.all():
        results = {result.reading_id: result for result in row.results.all()}
        leaves = [
            leaf(id_, Pubkey.from_string(results[id_].wallet_address), int(results[id_].base_units))
            for id_ in row.reading_ids
        ]
        assert memos[row.signature] == (batch.id, merkle_root(leaves))
        assert bytes(row.memo_root) == merkle_root(leaves)
    assert (
        minting_chain.supply()
        == MintResult.objects.filter(success=True).aggregate(sum=Sum("base_units"))["sum"]
    )


def test_recovery_makes_what_is_confirmed_final(minting_chain, drain):
    reading = household().reading()
    batch = mint([reading], drain=drain)
    minting_chain.net.wait_slots(45)

    with open_session() as session:
        report = recover(session)

    result = MintResult.objects.get(batch=batch)
    assert report.settled == 1
    assert result.status == "finalized"
    assert MintTransaction.objects.get().status == "finalized"
    batch.refresh_from_db()
    assert (batch.status, batch.successful_mints) == ("succeeded", 1)


def test_with_commitment_finalized_a_result_succeeds_only_there(minting_chain, drain, settings):
    settings.SOLANA_COMMITMENT = "finalized"
    batch = mint([household().reading()], drain=drain)

    assert batch.status == "succeeded"
    assert MintResult.objects.get().status == "finalized"


def test_stored_status_follows_from_the_results(minting_chain, drain):
    """``MeterReading.status`` and ``last_result_id``, derived again."""
    readings = [MeterReadingFactory() for _ in range(3)]
    mint(readings[:2], drain=drain)

    for reading in MeterReading.objects.all():
        last = MintResult.objects.filter(reading=reading).order_by("-id").first()
        assert reading.last_result_id == (last.id if last else None)
        assert reading.status == ("minted" if last and last.success else "pending")
