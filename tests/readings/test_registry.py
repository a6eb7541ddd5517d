"""Wallets and meters' holders."""

from __future__ import annotations

from datetime import timedelta

import pytest
from solders.pubkey import Pubkey

from readings import intake
from readings.errors import InvalidWallet, OverlappingAssignment, ReasonRequired, RegistryError
from readings.models import MeterAssignment, Wallet
from tests.factories.readings import (
    LONG_AGO,
    QUARTER,
    MeterFactory,
    MeterReadingFactory,
    OwnerFactory,
    address,
    last_quarter,
)

pytestmark = pytest.mark.django_db

OFF_CURVE = str(Pubkey.find_program_address([b"somebody"], Pubkey.default())[0])


def test_a_wallet_lets_go_what_waited_for_it(outsider, household):
    waiting = outsider.reading(status="held", code="no_wallet")
    large = outsider.reading(status="held", code="no_wallet", kwh_amount=101)
    consumption = outsider.reading(status="not_minted", code="consumption", kwh_amount=0)
    wallet = intake.register_wallet(owner=outsider.owner, address=f" {address('niran')} ")
    assert wallet.address == address("niran")
    for reading in (waiting, large, consumption):
        reading.refresh_from_db()
    assert waiting.status == "pending"
    assert large.code == "reading_too_large"
    assert consumption.code == "consumption"


def test_a_new_wallet_retires_the_old(household):
    new = intake.register_wallet(owner=household.owner, address=address("new"))
    household.wallet.refresh_from_db()
    assert household.wallet.retired_at is not None
    assert Wallet.objects.current().get(owner=household.owner) == new


def test_the_same_wallet_again_changes_nothing(household):
    same = intake.register_wallet(owner=household.owner, address=household.wallet.address)
    assert same == household.wallet
    assert Wallet.objects.count() == 1


def test_an_exception_is_a_new_registration_with_a_reason(household):
    with pytest.raises(ReasonRequired):
        intake.register_wallet(
            owner=household.owner, address=household.wallet.address, allow_program_owned=True
        )
    wallet = intake.register_wallet(
        owner=household.owner,
        address=household.wallet.address,
        allow_program_owned=True,
        exception_reason="A multisig that they use",
    )
    assert wallet != household.wallet
    assert wallet.allow_program_owned


def test_two_owners_may_share_a_wallet(household, outsider):
    intake.register_wallet(owner=outsider.owner, address=household.wallet.address)
    assert Wallet.objects.current().filter(address=household.wallet.address).count() == 2


@pytest.mark.parametrize(
    "text", ["", "abc", "0" * 44, "1" * 31, "l" * 44, "é", "nul\x00", "1" * 99]
)
def test_what_is_no_address_is_refused(outsider, text):
    with pytest.raises(InvalidWallet):
        intake.register_wallet(owner=outsider.owner, address=text)


def test_off_the_curve_only_with_permission(outsider):
    with pytest.raises(InvalidWallet, match="off the curve"):
        intake.register_wallet(owner=outsider.owner, address=OFF_CURVE)
    wallet = intake.register_wallet(
        owner=outsider.owner,
        address=OFF_CURVE,
        allow_off_curve=True,
        exception_reason="The cooperative's vault",
    )
    assert wallet.allow_off_curve


def test_a_retired_wallet_holds_what_was_pending(household):
    pending, minted = household.reading(), household.reading(status="minted")
    intake.retire_wallet(owner=household.owner)
    pending.refresh_from_db()
    minted.refresh_from_db()
    assert (pending.status, pending.code) == ("held", "no_wallet")
    assert minted.status == "minted"
    assert not Wallet.objects.current().exists()


def test_a_handover_ends_the_assignment_before(household, solar_farm):
    handover = last_quarter()
    new = intake.assign_meter(meter=household.meter, owner=solar_farm.owner, starts_at=handover)
    before, after = MeterAssignment.objects.filter(meter=household.meter).order_by("starts_at")
    assert (before.owner, before.ends_at) == (household.owner, handover)
    assert (after, after.ends_at) == (new, None)


def test_who_holds_a_meter_goes_on_holding_it(household):
    before = household.meter.assignments.get()
    again = intake.assign_meter(
        meter=household.meter, owner=household.owner, starts_at=last_quarter()
    )
    assert again == before
    assert household.meter.assignments.get().ends_at is None


@pytest.mark.parametrize(
    ("days_from", "days_to"), [(0, None), (-1, None), (-1, 1), (5, 6), (9, 11), (0, 10), (-1, 30)]
)
def test_two_owners_never_hold_a_meter_at_once(days_from, days_to):
    meter, day = MeterFactory(), timedelta(days=1)
    intake.assign_meter(
        meter=meter, owner=OwnerFactory(), starts_at=LONG_AGO, ends_at=LONG_AGO + 10 * day
    )
    with pytest.raises(OverlappingAssignment):
        intake.assign_meter(
            meter=meter,
            owner=OwnerFactory(),
            starts_at=LONG_AGO + days_from * day,
            ends_at=None if days_to is None else LONG_AGO + days_to * day,
        )
    assert meter.assignments.count() == 1


@pytest.mark.parametrize(("days_from", "days_to"), [(-5, 0), (10, 11), (10, None)])
def test_assignments_may_touch(days_from, days_to):
    meter, day = MeterFactory(), timedelta(days=1)
    intake.assign_meter(
        meter=meter, owner=OwnerFactory(), starts_at=LONG_AGO, ends_at=LONG_AGO + 10 * day
    )
    intake.assign_meter(
        meter=meter,
        owner=OwnerFactory(),
        starts_at=LONG_AGO + days_from * day,
        ends_at=None if days_to is None else LONG_AGO + days_to * day,
    )
    assert meter.assignments.count() == 2


def test_an_assignment_ends_after_it_starts(household):
    with pytest.raises(RegistryError):
        intake.assign_meter(
            meter=MeterFactory(), owner=household.owner, starts_at=LONG_AGO, ends_at=LONG_AGO
        )


def test_readings_that_had_no_owner_get_the_one_who_held_the_meter_then(household):
    meter, end = MeterFactory(), last_quarter()
    orphans = [
        MeterReadingFactory(
            meter=meter, owner=None, period_end=end - n * QUARTER, status="held", code="no_wallet"
        )
        for n in range(3)
    ]
    intake.assign_meter(
        meter=meter, owner=household.owner, starts_at=end - 2 * QUARTER, ends_at=end - QUARTER
    )
    for reading in orphans:
        reading.refresh_from_db()
    assert [reading.owner for reading in orphans] == [None, household.owner, None]
    assert [reading.status for reading in orphans] == ["held", "pending", "held"]


def test_readings_keep_their_owner_when_the_meter_changes_hands(household, solar_farm):
    reading = household.reading()
    intake.assign_meter(
        meter=household.meter,
        owner=solar_farm.owner,
        starts_at=reading.period_start - timedelta(days=1),
    )
    reading.refresh_from_db()
    assert reading.owner == household.owner
