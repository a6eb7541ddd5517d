"""Failures are tried again: by the clock with backoff, by hand at once; never what is permanent."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone
from django.utils.module_loading import import_string

from gridtoken.embedded.faults import FaultPlan
from minting import journal
from minting.conf import current
from minting.engine.errors import MintingRefused, NodeUnreachable, NothingToRetry
from minting.models import BatchSource, MintBatch, MintResult, MintTransaction
from minting.schedules import SCHEDULES
from minting.service import nudges
from minting.service.chain.preflight import inspect_or_recall
from minting.service.drive import refusing, submit, wave
from minting.service.requests import prepare
from minting.service.requests.prepare import request_batch
from minting.service.requests.retry import retry_batch, retry_due
from minting.service.stopping import stop_minting
from minting.tasks import look
from readings.models import MeterReading
from tests.factories.readings import MeterReadingFactory, household, solar_farm
from tests.minting.service.test_races import together

pytestmark = pytest.mark.django_db(transaction=True)


def queue(*readings: MeterReading) -> MintBatch:
    return request_batch([reading.id for reading in readings], source=BatchSource.CLI, strict=True)


def fail(*batches: MintBatch) -> None:
    """Lets a worker give these up: signing is refused, and nobody's wallet is to blame."""
    with patch.object(submit, "terms_of", side_effect=MintingRefused("broken")):
        look()
    for batch in batches:
        batch.refresh_from_db()
        assert batch.status == "failed"


def make_due() -> None:
    MintResult.objects.filter(retry_at__isnull=False).update(
        retry_at=timezone.now() - timedelta(seconds=1)
    )


def waits() -> list[float]:
    """Seconds until each retry that is due some time, about."""
    now = timezone.now()
    due = MintResult.objects.filter(retry_at__isnull=False).values_list("retry_at", flat=True)
    return [round((at - now).total_seconds() / 10) * 10 for at in due if at]


def test_a_transient_failure_is_tried_again_later_and_minted_once(minting_chain, drain):
    reading = household().reading()
    first = queue(reading)

    fail(first)

    reading.refresh_from_db()
    assert (reading.status, reading.code) == ("retrying", "minting_refused")
    assert waits() == [300]
    assert retry_due().batches == 0, "it is not due yet"

    make_due()
    report = retry_due()
    assert (report.batches, report.readings, report.given_up) == (1, 1, 0)
    second = MintBatch.objects.exclude(id=first.id).get()
    assert (second.source, second.retry_of, second.created_by) == ("retry", first, None)
    assert second.results.get().retry_number == 1
    reading.refresh_from_db()
    assert reading.status == "minting"

    drain()
    second.refresh_from_db()
    first.refresh_from_db()
    assert (second.status, first.status) == ("succeeded", "failed")
    old = first.results.get()
    assert (old.status, old.error_code, old.retry_at) == ("failed", "minting_refused", None)
    assert minting_chain.supply() == 250_000_000
    assert retry_due().batches == 0


def test_after_the_last_attempt_it_failed_with_longer_waits_before(minting_chain, settings):
    settings.TOKENIZATION_MAX_RETRY_ATTEMPTS = 2
    reading = household().reading()
    fail(queue(reading))

    seen = [waits()]
    for _ in range(2):
        make_due()
        assert retry_due().batches == 1
        fail()
        seen.append(waits())

    assert seen == [[300], [600], []]
    reading.refresh_from_db()
    assert (reading.status, reading.code) == ("failed", "minting_refused")
    numbers = MintResult.objects.order_by("id").values_list("retry_number", flat=True)
    assert list(numbers) == [0, 1, 2]
    assert retry_due().batches == 0


def test_what_landed_with_errors_three_times_is_tried_again_too(minting_chain):
    """``record_failed`` follows the same rule as a refusal."""
    reading = household().reading()
    queue(reading)
    with (
        patch.object(wave, "send"),
        patch.object(submit, "STINT", 1.0),
        patch.object(submit, "OVERTIME", 0.0),
    ):
        look()
    row = MintTransaction.objects.get()
    MintResult.objects.update(attempts=10)
    with transaction.atomic():
        journal.record_failed(
            journal.OnChainError(row.id, 5, "AccountInUse"),
            code="transaction_failed",
            reason="it landed with an error",
            retry=current().retry,
        )
    assert waits() == [300]
    reading.refresh_from_db()
    assert reading.status == "retrying"


def test_what_is_permanent_is_never_retried(minting_chain, drain):
    resident = household()
    reading = resident.reading()
    minting_chain.freeze(resident.wallet.address)
    batch = queue(reading)

    drain()

    result = batch.results.get()
    assert (result.error_code, result.permanent, result.retry_at) == ("account_frozen", True, None)
    reading.refresh_from_db()
    assert reading.status == "failed"
    assert retry_due().batches == 0


def test_switched_off_a_failure_is_a_failure(minting_chain, settings):
    settings.BLOCKCHAIN_BATCH_RETRY_ENABLED = False
    reading = household().reading()

    fail(queue(reading))

    reading.refresh_from_db()
    assert reading.status == "failed"
    assert waits() == []


def test_switched_off_later_what_waits_ends_when_it_is_due(minting_chain, settings):
    reading = household().reading()
    batch = queue(reading)
    fail(batch)
    settings.BLOCKCHAIN_BATCH_RETRY_ENABLED = False

    assert retry_due().given_up == 0
    make_due()
    assert retry_due().given_up == 1

    reading.refresh_from_db()
    assert (reading.status, reading.code) == ("failed", "minting_refused")
    assert MintBatch.objects.get() == batch


def test_two_schedulers_at_once_make_one_retry(minting_chain, drain):
    readings = [MeterReadingFactory() for _ in range(5)]
    fail(queue(*readings))
    make_due()

    reports = together(retry_due, retry_due, retry_due)

    assert sum(report.batches for report in reports) == 1
    assert sum(report.given_up for report in reports) == 0
    drain()
    assert minting_chain.supply() == 5 * 250_000_000
    assert MintResult.objects.filter(success=True).count() == 5


def test_a_scheduler_that_slept_does_not_hurry_the_next_attempt(minting_chain):
    """Between its look and its lock, another made the retry and that one failed again."""
    reading = household().reading()
    fail(queue(reading))
    make_due()
    slept: list[bool] = []

    def sleepy(session):
        if not slept:
            slept.append(True)
            assert retry_due().batches == 1
            fail()
        return inspect_or_recall(session)

    with patch.object(prepare, "inspect_or_recall", sleepy):
        assert retry_due().batches == 0

    assert waits() == [600]
    assert MintBatch.objects.count() == 2
    reading.refresh_from_db()
    assert reading.status == "retrying"


def test_a_kill_in_the_middle_leaves_it_due(minting_chain, drain):
    class KilledError(BaseException):
        pass

    reading = household().reading()
    fail(queue(reading))
    make_due()

    with patch("minting.journal.take_waiting", side_effect=KilledError), pytest.raises(KilledError):
        retry_due()

    assert MintBatch.objects.count() == 1
    assert retry_due().batches == 1
    drain()
    assert minting_chain.supply() == 250_000_000


def test_nodes_that_refuse_postpone_it(minting_chain):
    fail(queue(household().reading()))
    make_due()

    with patch.object(prepare, "inspect_or_recall", side_effect=NodeUnreachable("silent")):
        assert retry_due().postponed == 1

    assert retry_due().batches == 1


def test_silent_nodes_and_their_return(minting_chain, drain):
    """The whole way: nobody answers, the batch fails for now, the retry mints it."""
    reading = household().reading()
    queue(reading)
    minting_chain.net.faults = FaultPlan(seed=1, unavailable=1.0)
    with patch.object(submit, "PATIENCE", 0.2), patch.object(refusing, "MAX_STARTS", 1):
        look()
    minting_chain.net.faults = FaultPlan()
    reading.refresh_from_db()
    assert (reading.status, reading.code) == ("retrying", "node_unreachable")

    make_due()
    retry_due()
    drain()

    reading.refresh_from_db()
    assert reading.status == "minted"
    assert minting_chain.supply() == 250_000_000


def test_a_reading_that_may_not_be_minted_any_more_ends(minting_chain):
    kept, lost = household(), solar_farm()
    readings = [kept.reading(), lost.reading()]
    fail(queue(*readings))
    lost.wallet.retired_at = timezone.now()
    lost.wallet.save()
    make_due()

    report = retry_due()

    assert (report.readings, report.given_up) == (1, 1)
    for reading in readings:
        reading.refresh_from_db()
    assert [reading.status for reading in readings] == ["minting", "failed"]
    assert waits() == []


def test_what_becomes_due_during_a_pass_has_its_turn_in_the_next(minting_chain):
    early, late = household().reading(), solar_farm().reading()
    fail(queue(early, late))
    make_due()
    MintResult.objects.filter(reading=late).update(retry_at=timezone.now() + timedelta(hours=1))

    def slow(session):
        make_due()
        return inspect_or_recall(session)

    with patch.object(prepare, "inspect_or_recall", slow):
        report = retry_due()

    assert (report.readings, report.given_up) == (1, 0)
    assert retry_due().readings == 1
    assert MintBatch.objects.filter(source="retry").count() == 2


def test_while_minting_is_stopped_nothing_is_retried(minting_chain):
    fail(queue(household().reading()))
    make_due()
    stop_minting("audit", by="operator")

    assert retry_due().batches == 0
    assert len(waits()) == 1


# ------------------------------------------------------------------ by hand


def test_a_person_need_not_wait(minting_chain, drain):
    user = get_user_model().objects.create_user("operator")
    reading = household().reading()
    first = queue(reading)
    fail(first)

    second = retry_batch(first.id, by=user)

    assert (second.source, second.retry_of, second.created_by) == ("retry", first, user)
    assert second.results.get().retry_number == 0
    assert waits() == []
    drain()
    assert minting_chain.supply() == 250_000_000
    with pytest.raises(NothingToRetry):
        retry_batch(first.id, by=user)


def test_what_failed_for_good_is_retried_by_hand_when_its_cause_is_gone(minting_chain, drain):
    user = get_user_model().objects.create_user("operator")
    frozen, other = household(), solar_farm()
    readings = [frozen.reading(), other.reading(kwh_amount=Decimal("0.5"))]
    minting_chain.freeze(frozen.wallet.address)
    first = queue(*readings)
    drain()
    first.refresh_from_db()
    assert first.status == "partially_succeeded"

    minting_chain.thaw(frozen.wallet.address)
    second = retry_batch(first.id, by=user)
    drain()

    second.refresh_from_db()
    assert (second.status, second.total_readings) == ("succeeded", 1)
    assert minting_chain.supply() == 750_000_000


def test_by_hand_and_by_the_clock_at_once_is_one_retry(minting_chain, drain):
    user = get_user_model().objects.create_user("operator")
    first = queue(*[MeterReadingFactory() for _ in range(4)])
    fail(first)
    make_due()

    together(retry_due, lambda: retry_batch(first.id, by=user), retry_due)

    assert MintBatch.objects.filter(retry_of=first).count() == 1
    drain()
    assert minting_chain.supply() == 4 * 250_000_000


def test_nothing_failed_is_said(minting_chain, drain):
    batch = queue(household().reading())
    drain()
    with pytest.raises(NothingToRetry):
        retry_batch(batch.id, by=None)


def test_every_schedule_names_a_function_that_is_there():
    """A wrong dotted name would kill the queue's pusher again and again."""
    assert SCHEDULES["retry"] == ("minting.tasks.retry_due", 1)
    paths = [path for path, _ in SCHEDULES.values()]
    for path in (*paths, nudges.LOOK, nudges.PROVE):
        assert callable(import_string(path))
