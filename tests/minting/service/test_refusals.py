"""I8: a group fails alone. I9: every reading ends with success or its reason."""

from __future__ import annotations

import pytest
from solders.keypair import Keypair

from minting.engine.errors import InsufficientFunds, InvalidBatchData, MintingRefused
from minting.models import BatchSource, MintBatch, MintResult, MintTransaction
from minting.service.requests.prepare import estimate_readings, preview, request_batch
from readings.models import MeterReading, Wallet
from tests.factories.readings import MeterReadingFactory, WalletFactory, keypair
from tests.minting.service.test_minting import mint

pytestmark = pytest.mark.django_db(transaction=True)


def reading_of(name: str):
    """A reading whose owner's wallet is the keypair of that name."""
    owner = WalletFactory(address=str(keypair(name).pubkey())).owner
    return MeterReadingFactory(owner=owner)


def outcome(reading) -> tuple[bool | None, str]:
    result = MintResult.objects.get(reading=reading)
    return result.success, result.error_code


def test_i8_a_frozen_account_fails_alone(minting_chain, drain):
    good, frozen = reading_of("good"), reading_of("frozen")
    minting_chain.freeze(str(keypair("frozen").pubkey()))

    batch = mint([good, frozen], drain=drain)

    assert batch.status == "partially_succeeded"
    assert batch.error_code == "partially_successful"
    assert outcome(good) == (True, "")
    assert outcome(frozen) == (False, "account_frozen")
    assert MintResult.objects.get(reading=frozen).permanent
    frozen.refresh_from_db()
    assert (frozen.status, frozen.code) == ("failed", "account_frozen")


def test_i8_an_account_that_changed_its_owner_is_not_paid(minting_chain, drain):
    """A mint would pay a stranger: ``SetAuthority`` leaves the address as it is."""
    stranger = Keypair().pubkey()
    good, sold = reading_of("good-2"), reading_of("sold")
    minting_chain.give_away(keypair("sold"), stranger)

    batch = mint([good, sold], drain=drain)

    assert outcome(sold) == (False, "account_owner_changed")
    assert outcome(good) == (True, "")
    assert minting_chain.supply() == MintResult.objects.get(reading=good).base_units
    assert batch.failed_mints == 1


def test_i8_a_wallet_that_is_no_wallet_fails_alone_in_a_lenient_selection(minting_chain, drain):
    good, bad = reading_of("good-3"), reading_of("bad")
    # The registry refuses such an address; a table that others write may hold it all the same.
    Wallet.objects.filter(owner=bad.owner).update(
        address="SysvarRent111111111111111111111111111111111"
    )

    batch = mint([good, bad], drain=drain, strict=False)

    assert batch.successful_mints == 1
    assert [each["code"] for each in batch.excluded] == ["forbidden_wallet"]
    with pytest.raises(InvalidBatchData):
        request_batch([bad.id], source=BatchSource.API, strict=True)


def test_i9_a_wallet_that_is_a_program_account_is_refused_with_its_code(minting_chain, drain):
    good, odd = reading_of("good-4"), reading_of("odd")
    # Somebody made a token account at the very address of a wallet.
    Wallet.objects.filter(owner=odd.owner).update(
        address=str(minting_chain.open_account(str(keypair("somebody").pubkey()))),
        allow_off_curve=True,
        exception_reason="test",
    )

    mint([good, odd], drain=drain, strict=False)

    assert outcome(odd) == (False, "wallet_not_system_account")
    assert outcome(good) == (True, "")


def test_a_wallet_of_a_program_is_paid_where_a_person_allowed_it(minting_chain, drain):
    """A multisig's vault: off the curve, and its account belongs to a program."""
    odd = reading_of("vault")
    vault = minting_chain.open_account(str(keypair("vault-owner").pubkey()))
    Wallet.objects.filter(owner=odd.owner).update(
        address=str(vault),
        allow_off_curve=True,
        allow_program_owned=True,
        exception_reason="multisig of the cooperative",
    )

    batch = mint([odd], drain=drain)

    assert batch.status == "succeeded"
    assert batch.rent_estimate_lamports == batch.rent_paid_lamports
    assert minting_chain.balance_of(str(vault)) == 250_000_000


def test_what_the_authority_cannot_pay_is_refused_with_what_is_missing(minting_chain, settings):
    poor = Keypair()
    minting_chain.net.airdrop(poor.pubkey(), 3_000_000)
    readings = [MeterReadingFactory() for _ in range(3)]
    _use_authority(minting_chain, poor, settings)
    estimate = estimate_readings([reading.id for reading in readings]).estimate

    with pytest.raises(InsufficientFunds) as refused:
        request_batch([each.id for each in readings], source=BatchSource.API, strict=True)

    empty_account = 890_880
    missing = estimate.cost.total + empty_account - estimate.balance
    assert 0 < estimate.balance < 3_000_000
    assert refused.value.missing == missing == estimate.missing
    assert not MintResult.objects.exists()
    assert not MintTransaction.objects.exists()
    assert {reading.status for reading in MeterReading.objects.all()} == {"pending"}


def test_insufficient_sol_signs_nothing_and_blames_no_wallet(minting_chain, drain, settings):
    """Without an estimate nobody knows it before the wave, which is refused as a whole."""
    settings.BLOCKCHAIN_FEE_ESTIMATION_ENABLED = False
    poor = Keypair()
    minting_chain.net.airdrop(poor.pubkey(), 3_000_000)
    readings = [MeterReadingFactory() for _ in range(3)]
    _use_authority(minting_chain, poor, settings)

    batch = mint(readings, drain=drain)

    assert batch.status == "failed"
    assert not MintTransaction.objects.exists()
    for reading in readings:
        assert outcome(reading) == (False, "insufficient_funds")
        assert "short of" in MintResult.objects.get(reading=reading).error
        assert not MintResult.objects.get(reading=reading).permanent


def test_what_failed_can_be_minted_later(minting_chain, drain):
    frozen = reading_of("thawed")
    minting_chain.freeze(str(keypair("thawed").pubkey()))
    mint([frozen], drain=drain)
    minting_chain.thaw(str(keypair("thawed").pubkey()))

    batch = mint([frozen], drain=drain)

    assert batch.status == "succeeded"
    assert MintResult.objects.filter(reading=frozen).count() == 2


def test_a_preview_tells_what_the_chain_forbids(minting_chain):
    good, frozen = reading_of("good-5"), reading_of("frozen-5")
    minting_chain.freeze(str(keypair("frozen-5").pubkey()))

    seen = preview([good.id, frozen.id])

    assert seen.totals.readings == seen.estimate.readings == 1
    assert [(item.reading_id, item.code) for item in seen.excluded] == [
        (frozen.id, "account_frozen")
    ]
    assert seen.estimate.transactions == 1


def test_another_authority_is_refused_and_nothing_is_queued(minting_chain, settings):
    settings.MINT_AUTHORITY_ADDRESS = str(Keypair().pubkey())

    with pytest.raises(MintingRefused, match="is minted by"):
        request_batch([MeterReadingFactory().id], source=BatchSource.API, strict=True)

    assert not MintBatch.objects.exists()


def test_other_decimals_are_refused(minting_chain, settings):
    settings.TOKENIZATION_DECIMALS = 6

    with pytest.raises(MintingRefused, match="decimals"):
        request_batch([MeterReadingFactory().id], source=BatchSource.API, strict=True)


def test_another_cluster_is_refused(minting_chain, settings):
    settings.SOLANA_GENESIS_HASH = str(Keypair().pubkey())

    with pytest.raises(MintingRefused, match="cluster"):
        request_batch([MeterReadingFactory().id], source=BatchSource.API, strict=True)


def _use_authority(chain, authority: Keypair, settings) -> None:
    """Makes a mint of ``authority``'s, which is left with almost nothing."""
    import json

    from minting.service.chain.session import open_session
    from minting.service.create_mint import create_mint

    chain.keypair_file.write_text(json.dumps(list(bytes(authority))))
    settings.MINT_AUTHORITY_ADDRESS = str(authority.pubkey())
    with open_session() as session:
        settings.ENERGY_TOKEN_MINT = str(create_mint(session).facts.address)
