"""Several at once: threads with connections of their own, and real transactions."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import chain
from threading import Barrier, Event

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from readings import intake, queries
from readings.errors import OverlappingAssignment, WalletChangeConflict
from readings.intake import Submission
from readings.models import MeterReading, Wallet, WalletChange
from readings.rules import ReadingSource, ReadingStatus
from tests.factories.readings import (
    LONG_AGO,
    QUARTER,
    MeterFactory,
    OwnerFactory,
    address,
    last_quarter,
)

pytestmark = pytest.mark.django_db(transaction=True)

AT_ONCE = 4
END = last_quarter()
PENDING = frozenset({ReadingStatus.PENDING})


def at_once(work: Callable, times: int = AT_ONCE) -> list:
    """What ``work(0)``, ``work(1)`` … answer when they start together."""
    barrier = Barrier(times)

    def run(number):
        try:
            barrier.wait(timeout=10)
            return work(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(run, range(times)))


def telling(meter, *, kwh="0.25", quarters_ago=0):
    end = END - quarters_ago * QUARTER
    return Submission(
        meter_serial=meter.serial, kwh_amount=kwh, period_start=end - QUARTER, period_end=end
    )


def test_the_same_reading_at_once_is_one_row_with_one_id(household):
    answers = at_once(lambda _: intake.submit(telling(household.meter), source=ReadingSource.API))
    assert len({answer.reading.id for answer in answers}) == 1
    assert sum(answer.created for answer in answers) == 1
    assert MeterReading.objects.count() == 1


def test_other_values_at_once_are_one_row_and_conflicts(household):
    answers = at_once(
        lambda number: (
            intake.submit_many(
                [telling(household.meter, kwh=number + 1)], source=ReadingSource.API
            )[0].status.value
        )
    )
    assert sorted(answers) == ["conflict"] * (AT_ONCE - 1) + ["created"]
    assert MeterReading.objects.count() == 1


def test_batches_over_the_same_meters_in_any_order_do_not_wait_for_each_other(
    household, solar_farm
):
    meters = [household.meter, solar_farm.meter]

    def send(number):
        submissions = [telling(meter, quarters_ago=ago) for ago in range(50) for meter in meters]
        ordered = submissions if number % 2 else submissions[::-1]
        outcomes = intake.submit_many(ordered, source=ReadingSource.API)
        told = [(one.meter_serial, one.period_end) for one in ordered]
        ids = dict(zip(told, (outcome.reading_id for outcome in outcomes), strict=True))
        return {outcome.status.value for outcome in outcomes}, ids

    statuses, ids = zip(*at_once(send), strict=True)
    assert set().union(*statuses) == {"created", "duplicate"}
    assert all(each == ids[0] for each in ids)
    assert MeterReading.objects.count() == len(set(ids[0].values())) == 100


def test_overlapping_readings_at_once_leave_one_mintable(household):
    def send(number):
        end = END + number * QUARTER / AT_ONCE - QUARTER
        submission = Submission(
            meter_serial=household.meter.serial,
            kwh_amount=1,
            period_start=end - QUARTER,
            period_end=end,
        )
        return intake.submit(submission, source=ReadingSource.API).reading.status

    assert sorted(at_once(send)) == ["held"] * (AT_ONCE - 1) + ["pending"]


def test_a_wallet_registered_while_readings_come_in_leaves_none_held(outsider):
    def work(number):
        if number:
            intake.submit(telling(outsider.meter, quarters_ago=number), source=ReadingSource.API)
        else:
            intake.register_wallet(owner=outsider.owner, address=address("niran"))

    at_once(work)
    assert {reading.status for reading in MeterReading.objects.all()} == {"pending"}


def test_wallets_registered_at_once_leave_one_current(household):
    at_once(lambda number: intake.register_wallet(owner=household.owner, address=address(number)))
    assert Wallet.objects.count() == AT_ONCE + 1
    assert Wallet.objects.current().count() == 1


def test_a_changed_wallet_is_asked_for_once_and_decided_once(household, operator, settings):
    settings.APPROVAL_ABOVE_KWH = 1
    owner, make = household.owner, type(operator).objects.create_user
    asked = at_once(lambda _: intake.register_wallet(owner=owner, address=address("new")))
    assert len({each.id for each in asked}) == 1
    change, digest = asked[0], intake.digest_of(asked[0])
    people = [make(f"approver-{number}") for number in range(AT_ONCE)]

    def decide(number):
        by = people[number]
        try:
            if number % 2:
                return intake.refuse_wallet_change(change.id, by=by, reason="unknown").status
            return intake.approve_wallet_change(change.id, by=by, digest=digest).address
        except WalletChangeConflict as late:
            return str(late)

    answers = at_once(decide)
    change.refresh_from_db()
    assert sorted(answers).count(f"the request is {change.status} already") == AT_ONCE - 1
    assert Wallet.objects.count() == (2 if change.status == "approved" else 1)
    assert change.decided_by in people


def test_a_wallet_retired_while_another_is_approved_leaves_one_or_none(
    household, operator, settings
):
    """Or none, whoever is first: never two, and no approval of what is gone."""
    settings.APPROVAL_ABOVE_KWH = 1
    owner = household.owner
    change = intake.register_wallet(owner=owner, address=address("new"))
    assert isinstance(change, WalletChange)
    digest = intake.digest_of(change)

    def work(number):
        if number == 0:
            return intake.retire_wallet(owner=owner)
        if number == 1:
            return intake.register_wallet(owner=owner, address=address("other"))
        if number == 2:
            WalletChange.objects.filter(id=change.id).update(expires_at=Now())
            return intake.expire_wallet_changes()
        try:
            return intake.approve_wallet_change(change.id, by=operator, digest=digest)
        except WalletChangeConflict:
            return None

    *_, approved = at_once(work)
    change.refresh_from_db()
    assert (change.status == "approved") is (approved is not None)
    assert not owner.wallets.current().exists() or approved is not None
    waiting = WalletChange.objects.proposed().first()
    current = owner.wallets.current().first()
    assert waiting is None or waiting.old_wallet == current


def test_a_meter_assigned_at_once_has_one_holder():
    meter = MeterFactory()
    owners = [OwnerFactory() for _ in range(AT_ONCE)]

    def assign(number):
        try:
            intake.assign_meter(meter=meter, owner=owners[number], starts_at=LONG_AGO)
        except OverlappingAssignment:
            return False
        return True

    assert sum(at_once(assign)) == 1
    assert meter.assignments.count() == 1


def test_corrections_at_once_are_revisions_one_after_another(household):
    reading = household.reading()
    at_once(lambda number: intake.correct(reading_id=reading.id, kwh_amount=number + 1))
    revisions = MeterReading.objects.order_by("revision")
    assert [one.revision for one in revisions] == [1, 2, 3, 4, 5]
    assert [one.is_current for one in revisions] == [False] * 4 + [True]
    assert MeterReading.objects.mintable().count() == 1


def lock_and_look(ids):
    queries.lock_for_minting(ids)
    return queries.look_for_minting(ids, allowed=PENDING)


def test_a_correction_waits_for_minting_and_is_then_refused(household):
    reading = household.reading()
    locked, corrected = Event(), Event()

    def mint():
        with transaction.atomic():
            found = lock_and_look([reading.id])
            locked.set()
            assert not corrected.wait(timeout=0.3), "the correction did not wait"
            queries.set_status([(row.reading_id, "minting", "", None) for row in found.mintable])

    def correct():
        assert locked.wait(timeout=10)
        try:
            return intake.correct(reading_id=reading.id, kwh_amount=1)
        finally:
            corrected.set()

    with pytest.raises(Exception, match="is being minted"):
        at_once(lambda number: (mint, correct)[number](), times=2)
    assert MeterReading.objects.get().status == "minting"


def test_two_batches_at_once_get_each_reading_once(household):
    ids = [household.reading().id for _ in range(20)]

    def mint(number):
        with transaction.atomic():
            mine = lock_and_look(ids[::-1] if number % 2 else ids)
            queries.set_status([(row.reading_id, "minting", "", None) for row in mine.mintable])
        return [row.reading_id for row in mine.mintable]

    got = at_once(mint)
    assert sorted(chain.from_iterable(got)) == sorted(ids)


def test_a_superseded_reading_is_not_minted_by_who_waited_for_it(household):
    reading = household.reading()
    corrected, release = Event(), Event()

    def correct():
        with transaction.atomic():
            intake.correct(reading_id=reading.id, kwh_amount=Decimal(1))
            corrected.set()
            release.wait(timeout=0.3)

    def mint():
        assert corrected.wait(timeout=10)
        with transaction.atomic():
            return lock_and_look([reading.id])

    _, found = at_once(lambda number: (correct, mint)[number](), times=2)
    assert found.mintable == []
    assert [one.code for one in found.excluded] == ["superseded"]
