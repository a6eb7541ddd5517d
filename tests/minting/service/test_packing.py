"""Many wallets in one transaction, on the real token program; one bad one fails alone."""

from __future__ import annotations

from unittest.mock import patch

import pytest

from minting.engine import packing
from minting.models import BatchSource, MintResult, MintTransaction
from minting.service.drive import wave
from minting.service.plan import faults, slices
from minting.service.requests.prepare import estimate_readings, request_batch
from tests.factories.readings import MeterReadingFactory, WalletFactory, keypair
from tests.minting.service.test_minting import mint

pytestmark = pytest.mark.django_db(transaction=True)


def readings_of(*names: str) -> list:
    return [
        MeterReadingFactory(owner=WalletFactory(address=str(keypair(name).pubkey())).owner)
        for name in names
    ]


def again(readings) -> list:
    """Another reading of each owner."""
    return [MeterReadingFactory(owner=reading.owner, meter=reading.meter) for reading in readings]


@pytest.mark.parametrize("held", [("1", 10, 60), ("0", 9, 19)])
def test_a_transaction_holds_as_many_wallets_as_its_format(minting_chain, drain, settings, held):
    version, new, existing = held
    settings.BLOCKCHAIN_TRANSACTION_VERSION = version
    readings = readings_of(*(f"v{version}-{n}" for n in range(existing)))

    mint(readings, drain=drain)
    first = MintTransaction.objects.order_by("id")
    assert max(row.new_accounts for row in first) == new
    assert len(first) == -(-existing // new)
    before = minting_chain.lamports()
    batch = mint(again(readings), drain=drain)

    row = batch.transactions.get()
    assert (len(row.reading_ids), row.version) == (existing, version)
    assert before - minting_chain.lamports() == 5_000 == batch.fee_paid_lamports
    assert minting_chain.supply() == 2 * existing * 250_000_000


def test_the_estimate_is_exact_for_old_and_new_wallets_together(minting_chain, drain):
    old = readings_of(*(f"old-{n}" for n in range(15)))
    mint(old, drain=drain)
    readings = again(old) + readings_of(*(f"new-{n}" for n in range(13)))
    before = minting_chain.lamports()

    estimate = estimate_readings([reading.id for reading in readings]).estimate
    batch = mint(readings, drain=drain)

    assert estimate.new_accounts == 13
    assert before - minting_chain.lamports() == estimate.cost.total
    assert batch.transactions.count() == estimate.transactions == 2


def test_the_estimate_is_exact_over_several_slices(minting_chain, drain):
    readings = readings_of(*(f"slices-{n}" for n in range(9)))
    before = minting_chain.lamports()

    with (
        patch.object(slices, "READINGS_A_SLICE", 4),
        patch.object(packing, "GROUPS_A_TRANSACTION", 4),
    ):
        estimate = estimate_readings([reading.id for reading in readings]).estimate
        batch = mint(readings, drain=drain)

    assert (batch.slices.count(), batch.transactions.count()) == (3, 3)
    assert estimate.transactions == 3
    assert (
        before - minting_chain.lamports()
        == estimate.cost.total
        == (batch.fee_paid_lamports + batch.rent_paid_lamports)
    )


def test_i8_a_wallet_that_goes_bad_after_the_plan_is_evicted_and_costs_one_simulation(
    minting_chain, drain
):
    readings = readings_of(*(f"evict-{n}" for n in range(12)))
    mint(readings, drain=drain)
    more = again(readings)
    learn = faults.learn

    async def frozen_meanwhile(session, terms, plans):
        minting_chain.freeze_now(str(keypair("evict-5").pubkey()))
        before = minting_chain.net.requests["simulateTransaction"]
        learned = await learn(session, terms, plans)
        assert minting_chain.net.requests["simulateTransaction"] - before == 2
        return learned

    with patch.object(wave, "learn", frozen_meanwhile):
        batch = mint(more, drain=drain)

    assert (batch.successful_mints, batch.failed_mints) == (11, 1)
    assert batch.transactions.count() == 1
    failed = MintResult.objects.get(batch=batch, success=False)
    assert (failed.reading, failed.error_code) == (more[5], "account_frozen")
    assert failed.permanent


def test_i8_a_transaction_that_lands_with_an_error_is_taken_apart(minting_chain, drain):
    """Frozen between simulation and landing: the neighbours are minted, the frozen one is told."""
    readings = readings_of(*(f"landed-{n}" for n in range(6)))
    mint(readings, drain=drain)
    more = again(readings)
    send = wave.send
    frozen: list[bool] = []

    def frozen_before_sending(session, flights):
        if not frozen:
            minting_chain.freeze(str(keypair("landed-2").pubkey()))
            frozen.append(True)
        return send(session, flights)

    with patch.object(wave, "send", frozen_before_sending):
        batch = mint(more, drain=drain)

    failed = MintTransaction.objects.get(batch=batch, status="failed")
    assert isinstance(failed.error, dict)
    assert failed.error["InstructionError"][1] == {"Custom": 17}
    assert (batch.successful_mints, batch.failed_mints) == (5, 1)
    told = MintResult.objects.get(batch=batch, success=False)
    assert (told.reading, told.error_code) == (more[2], "account_frozen")
    assert batch.fee_paid_lamports == 2 * 5_000
    assert minting_chain.supply() == 11 * 250_000_000


def test_a_wallet_that_failed_travels_alone_with_its_create_instruction(minting_chain, drain):
    readings = readings_of(*(f"alone-{n}" for n in range(3)))
    mint(readings, drain=drain)
    more = again(readings)
    batch = request_batch([reading.id for reading in more], source=BatchSource.CLI, strict=True)
    MintResult.objects.filter(batch=batch, reading=more[1]).update(alone=True)
    before = minting_chain.lamports()

    drain()

    batch.refresh_from_db()
    assert batch.status == "succeeded"
    assert sorted(len(row.reading_ids) for row in batch.transactions.all()) == [1, 2]
    assert before - minting_chain.lamports() == 2 * 5_000
    assert batch.rent_paid_lamports == 0


def test_what_no_format_holds_together_is_split(minting_chain, drain):
    """A planner that is wrong about a limit is corrected by the simulation."""
    readings = readings_of(*(f"split-{n}" for n in range(14)))

    with (
        patch("minting.engine.loads.MAX_EXECUTED", 200),
        patch("minting.engine.loads.MAX_ACCOUNTS", 64),
    ):
        batch = mint(readings, drain=drain)

    assert batch.status == "succeeded"
    assert batch.transactions.count() >= 2
