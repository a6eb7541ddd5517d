"""Whatever dies, and wherever: minted once, or free again with proof. Never twice, never lost."""

from __future__ import annotations

from decimal import Decimal
from unittest.mock import patch

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models import F

from gridtoken.embedded.faults import FaultPlan
from minting import journal
from minting.cluster.nodes import Cluster
from minting.engine.types import Commitment
from minting.journal import Landing
from minting.journal.parking import MAX_DEATHS
from minting.models import BatchSource, MintBatch, MintResult, MintSlice, MintTransaction
from minting.service.chain.session import open_session
from minting.service.drive import journal_file, refusing, submit, wave
from minting.service.drive import recover as recovery
from minting.service.drive.recover import recover, slices_wait
from minting.service.plan.planning import plan_payments
from minting.service.requests.prepare import request_batch
from minting.tasks import look
from readings.models import MeterReading
from tests.factories.readings import MeterReadingFactory, household

pytestmark = pytest.mark.django_db(transaction=True)


class KilledError(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


def queue(*readings: MeterReading) -> MintBatch:
    return request_batch([reading.id for reading in readings], source=BatchSource.CLI, strict=True)


def die(drain, where: str) -> None:
    """Runs a worker that is killed as it calls ``where``; its lease runs out at once."""

    def killed(*_args, **_options):
        raise KilledError

    with (
        patch(where, killed),
        patch("minting.journal.hand_back", lambda _claims, **_: 0),
        pytest.raises(KilledError),
    ):
        drain()
    MintSlice.objects.filter(status="running").update(lease_until="2020-01-01T00:00Z")


def assert_minted_once(chain, *readings: MeterReading) -> None:
    assert chain.supply() == sum(int(reading.kwh_amount * 10**9) for reading in readings)
    for reading in readings:
        assert MintResult.objects.filter(reading=reading, success=True).count() == 1
        reading.refresh_from_db()
        assert reading.status == "minted"


@pytest.mark.parametrize(
    "where",
    [
        "minting.service.drive.submit.plan_payments",  # 1 claimed
        "minting.service.drive.wave.sign_all",  # 2 planned, simulated
        "minting.service.drive.journal_file.append",  # 3 signed in memory
        "minting.journal.record_signed",  # 4 before the journal's commit
        "minting.service.drive.wave.send",  # 5 journalled, not sent
        "minting.journal.record_sent",  # 6 sent, not noted
        "minting.journal.record_landed",  # 8 confirmed, not settled
    ],
)
def test_killed_at_any_step_and_started_again_mints_once(minting_chain, drain, where):
    reading = household().reading(kwh_amount=Decimal("0.5"))
    queue(reading)

    die(drain, where)
    drain()

    assert_minted_once(minting_chain, reading)


def test_i2_nothing_is_on_the_wire_that_is_not_in_the_journal_and_its_file(
    minting_chain, drain, settings
):
    seen = []
    send = Cluster.send

    async def spy(self, raw):
        seen.append(bytes(raw))
        return await send(self, raw)

    with patch.object(Cluster, "send", spy), patch.object(wave, "send", _journalled(wave.send)):
        queue(household().reading())
        drain()

    row = MintTransaction.objects.get()
    assert set(seen) == {bytes(row.raw)}
    lines = [path.read_text() for path in (minting_chain.keypair_file.parent / "journal").iterdir()]
    assert len(lines) == 1
    assert row.signature in lines[0]
    assert str(row.reading_ids[0]) in lines[0]


def _journalled(send):
    """``wave.send`` that first asks whether all of it is committed."""

    def checked(session, flights):
        assert not connection.in_atomic_block
        for flight in flights:
            row = MintTransaction.objects.get(signature=flight.signature)
            assert bytes(row.raw) == flight.raw
            assert row.results.count() == len(row.reading_ids)
        return send(session, flights)

    return checked


def test_a_full_disk_for_the_journal_file_sends_nothing(minting_chain, drain):
    reading = household().reading()
    queue(reading)

    with (
        patch.object(journal_file, "append", side_effect=OSError("No space left on device")),
        pytest.raises(OSError, match="No space"),
    ):
        drain()

    assert not MintTransaction.objects.exists()
    assert minting_chain.supply() == 0
    drain()
    assert_minted_once(minting_chain, reading)


def test_i3_a_worker_that_wakes_after_its_slice_was_given_away_sends_nothing(minting_chain, drain):
    """Point 16: paused between signing and the journal, woken after another worker did it all."""
    reading = household().reading()
    queue(reading)
    append = journal_file.append
    woken = []

    def paused(*args, **options):
        path = append(*args, **options)
        MintSlice.objects.update(lease_until="2020-01-01T00:00Z")
        with transaction.atomic():
            woken.extend(journal.claim_slices(worker="another", limit=1))
        return path

    with patch.object(journal_file, "append", paused):
        submit_once()

    assert len(woken) == 1
    assert not MintTransaction.objects.exists()
    MintSlice.objects.update(lease_until="2020-01-01T00:00Z")
    drain()
    assert_minted_once(minting_chain, reading)


def submit_once() -> None:
    with open_session() as session:
        submit.drive_waiting(session, worker="test")


def test_i3_a_result_whose_money_differs_from_what_was_signed_is_not_paid(minting_chain, drain):
    """The compare-and-set compares wallet and base units too."""
    reading = household().reading()
    batch = queue(reading)
    append = journal_file.append

    def tampered(*args, **options):
        # Another amount each time, so that what is signed next differs as well.
        MintResult.objects.update(base_units=F("base_units") + 1)
        return append(*args, **options)

    with patch.object(journal_file, "append", tampered), patch.object(submit, "STINT", 0.5):
        submit_once()

    assert not MintTransaction.objects.filter(batch=batch).exists()
    assert minting_chain.supply() == 0


def test_lost_replies_and_dropped_sends_change_nothing(minting_chain, drain):
    reading = household().reading()
    queue(reading)
    minting_chain.net.faults = FaultPlan(seed=3, lost_reply=0.9, methods=("sendTransaction",))

    drain()

    assert_minted_once(minting_chain, reading)


def test_i4_what_never_lands_is_proven_dead_and_minted_anew(minting_chain, drain):
    """Every send is dropped until the blockhash's life is over; then the node is well again."""
    reading = household().reading()
    queue(reading)
    minting_chain.net.faults = FaultPlan(seed=1, drop=1.0)

    def healed(session, flights):
        dead = recovery.prove_dead(session, flights)
        minting_chain.net.faults = FaultPlan()
        return dead

    with patch.object(submit, "prove_dead", healed):
        drain()

    first, second = MintTransaction.objects.order_by("id")
    assert (first.status, second.status) == ("expired", "confirmed")
    assert first.evidence["verdict"] == "dead"
    assert len(first.evidence["reports"]) == 3
    assert first.evidence["finalized"]["block_height"] > first.last_valid_block_height
    assert first.reading_ids == second.reading_ids
    assert MintResult.objects.get().attempts == 2
    assert_minted_once(minting_chain, reading)


def test_i4_an_error_is_no_proof(minting_chain, drain):
    """A node that answers errors leaves everything in doubt, visibly, and frees nothing."""
    reading = household().reading()
    batch = queue(reading)
    die(drain, "minting.service.drive.wave.send")
    row = MintTransaction.objects.get()
    minting_chain.net.expire_blockhashes()
    MintTransaction.objects.update(last_valid_block_height=1)
    minting_chain.net.wait_slots(40)
    minting_chain.net.faults = FaultPlan(seed=1, error=1.0, methods=("getSignatureStatuses",))

    with open_session() as session, pytest.raises(Exception, match="refused"):
        recover(session)

    minting_chain.net.faults = FaultPlan()
    row.refresh_from_db()
    assert row.status == "signed"
    assert MintResult.objects.get(batch=batch).transaction_id == row.id


def test_i5_the_same_landing_applied_twice_changes_nothing(minting_chain, drain):
    queue(household().reading())
    drain()
    row = MintTransaction.objects.get()
    before = MintBatch.objects.values().get(), MintResult.objects.values().get()

    for _ in range(2):
        with transaction.atomic():
            moved = journal.record_landed(
                [Landing(row.id, row.slot or 0, Commitment.CONFIRMED)],
                success_at=Commitment.CONFIRMED,
            )
        assert moved == 0

    assert (MintBatch.objects.values().get(), MintResult.objects.values().get()) == before


def test_a_confirmed_transaction_whose_fork_lost_is_sent_again_and_lands_once(minting_chain, drain):
    reading = household().reading()
    batch = queue(reading)
    record_landed = journal.record_landed

    def paused(*args, **options):
        minting_chain.net.pause()  # so that it is not final before the fork
        return record_landed(*args, **options)

    with patch.object(journal, "record_landed", paused):
        drain()
    signature = MintTransaction.objects.get().signature
    # Just so deep that the landing is lost and the block of its blockhash is not.
    assert any(signature in minting_chain.net.fork(depth) for depth in range(1, 31))
    minting_chain.net.resume()
    minting_chain.net.wait_slots(3)

    with open_session() as session:
        recover(session)
        batch.refresh_from_db()
        assert batch.status == "running"
        assert MintResult.objects.get().status == "in_doubt"
        minting_chain.net.wait_slots(6)
        recover(session)

    batch.refresh_from_db()
    row = MintTransaction.objects.get()
    assert (row.signature, row.status) == (signature, "confirmed")
    assert batch.status == "succeeded"
    assert batch.fee_paid_lamports == row.network_fee_lamports
    assert_minted_once(minting_chain, reading)


def test_cancelling_frees_what_is_not_signed(minting_chain, drain):
    from minting.service.requests.cancel import cancel_batch

    reading = household().reading()
    batch = queue(reading)

    assert cancel_batch(batch.id, by="operator") == 1

    drain()
    batch.refresh_from_db()
    reading.refresh_from_db()
    assert (batch.status, batch.failed_mints) == ("cancelled", 1)
    assert reading.status == "pending"
    assert MintResult.objects.get().error_code == "cancelled"
    assert not MintTransaction.objects.exists()


def test_silent_nodes_give_the_slice_back_and_nothing_is_lost(minting_chain, drain):
    reading = household().reading()
    batch = queue(reading)
    minting_chain.net.faults = FaultPlan(seed=1, unavailable=1.0)

    with patch.object(submit, "PATIENCE", 0.5):
        submit_once()

    assert MintSlice.objects.get().status == "queued"
    assert MintResult.objects.get().status == "pending"
    minting_chain.net.faults = FaultPlan()
    drain()
    assert_minted_once(minting_chain, reading)
    batch.refresh_from_db()
    assert batch.status == "succeeded"


def test_a_batch_always_ends_though_no_node_ever_answers(minting_chain):
    batch = queue(MeterReadingFactory())
    minting_chain.net.faults = FaultPlan(seed=1, unavailable=1.0)

    with patch.object(submit, "PATIENCE", 0.2), patch.object(refusing, "MAX_STARTS", 2):
        submit_once()
        submit_once()

    minting_chain.net.faults = FaultPlan()
    batch.refresh_from_db()
    assert batch.status == "failed"
    assert MintResult.objects.get().error_code == "node_unreachable"


def test_what_breaks_the_driver_is_parked_with_its_reason_and_holds_up_nobody(minting_chain):
    """An error that nobody foresaw: the oldest slice would be taken again and again, for ever."""
    poison, well = queue(MeterReadingFactory()), queue(MeterReadingFactory())
    breaks = []

    async def broken(*args, batch_id, **options):
        if batch_id == poison.id:
            breaks.append(batch_id)
            raise ValueError("no room")
        return await plan_payments(*args, batch_id=batch_id, **options)

    with patch.object(submit, "plan_payments", broken):
        for _ in range(MAX_DEATHS):
            with pytest.raises(ValueError, match="no room"):
                look()
        while slices_wait():
            look()

    assert len(breaks) == MAX_DEATHS
    parked = MintSlice.objects.parked().get()
    assert parked.batch_id == poison.id
    assert "the last broke off with ValueError: no room" in parked.parked_reason
    well.refresh_from_db()
    assert well.status == "succeeded"
    assert MintSlice.objects.get(batch=well).deaths == 0


def test_a_database_that_goes_away_counts_against_nothing(minting_chain):
    queue(household().reading())
    with (
        patch.object(submit, "plan_payments", side_effect=OperationalError("gone")),
        pytest.raises(OperationalError),
    ):
        look()
    slice_ = MintSlice.objects.get()
    assert (slice_.status, slice_.deaths) == ("queued", 0)


def test_a_pass_looks_at_everything_before_it_begins_to_prove(minting_chain, drain):
    """A proof takes long, and a task's time may be over in the middle of it."""
    lost, landed = MeterReadingFactory(), MeterReadingFactory()
    queue(lost)
    die(drain, "minting.service.drive.wave.send")
    MintTransaction.objects.update(last_valid_block_height=1)
    batch = queue(landed)

    def drive_it():
        with open_session() as session:
            submit.drive_waiting(session, worker="test", batch_id=batch.id)

    die(drive_it, "minting.journal.record_landed")

    with (
        patch.object(recovery, "TRANSACTIONS_A_PASS", 1),
        patch.object(recovery, "prove_dead", side_effect=SystemExit),
        open_session() as session,
        pytest.raises(SystemExit),
    ):
        recover(session)

    first, second = MintTransaction.objects.order_by("id")
    assert (first.status, second.status) == ("signed", "confirmed")
