"""Four eyes: what passes a limit waits for a second person, and that word is bound to it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from minting import journal
from minting.engine.approval import batch_digest, slice_digest
from minting.engine.errors import ApprovalRefused, ApprovalVoid, NodeUnreachable
from minting.journal.approving import withdraw_ended
from minting.models import BatchSource, MintApproval, MintBatch, MintResult, MintSlice
from minting.service.audit.audit_pack import packed
from minting.service.drive.recover import slices_wait
from minting.service.requests import approving
from minting.service.requests.cancel import cancel_batch
from minting.service.requests.prepare import request_batch
from readings.models import MeterReading, Wallet
from tests.factories.readings import address
from tests.factories.village import harvest, village

pytestmark = pytest.mark.django_db(transaction=True)

KWH = Decimal("0.25")
"""Of each reading."""


@pytest.fixture
def people():
    make = get_user_model().objects.create_user
    return {name: make(name) for name in ("operator", "approver", "colleague")}


@pytest.fixture
def limited(minting_chain, settings):
    """One kWh without asking anybody: four readings."""
    settings.APPROVAL_ABOVE_KWH = 4 * KWH
    return minting_chain


def ask(readings: int, by=None, source=BatchSource.ADMIN) -> MintBatch:
    ids = [reading.id for reading in harvest(village(readings))]
    return request_batch(ids, source=source, created_by=by, strict=True)


def approve(batch: MintBatch, by) -> MintBatch:
    approval = batch.approval
    return approving.approve(approval.id, by=by, digest=bytes(approval.digest))


def statuses(batch: MintBatch) -> set[str]:
    ids = batch.results.values("reading")
    return set(MeterReading.objects.filter(id__in=ids).values_list("status", flat=True))


def test_above_the_limit_a_second_person_decides_and_then_it_is_minted(limited, people, drain):
    batch = ask(5, people["operator"])
    assert batch.status == "awaiting_approval"
    assert batch.approval.why == "1.25 kWh, above 1 kWh"
    assert not slices_wait()
    with transaction.atomic():
        assert journal.claim_slices(worker="me", limit=9) == []
    assert statuses(batch) == {"minting"}

    with pytest.raises(ApprovalRefused, match="whoever asked"):
        approve(batch, people["operator"])
    approve(batch, people["approver"])
    drain()

    batch.refresh_from_db()
    assert (batch.status, batch.successful_mints) == ("succeeded", 5)
    assert batch.fee_paid_lamports + batch.rent_paid_lamports <= batch.approval.fee_cap_lamports
    with packed(batch.id) as pack:
        assert b'"approved_by":"approver"' in pack.read()
    with pytest.raises(ApprovalRefused, match="approved already"):
        approve(batch, people["colleague"])


def test_below_it_nobody_is_asked_and_without_limits_nothing_is(limited, people, settings):
    assert ask(4, people["operator"]).status == "queued"
    settings.APPROVAL_ABOVE_KWH = None
    assert ask(9, people["operator"]).status == "queued"
    assert not MintApproval.objects.exists()


def test_splitting_does_not_pass_it_and_each_requester_counts_alone(limited, people):
    assert ask(3, people["operator"]).status == "queued"
    split = ask(2, people["operator"])
    assert split.status == "awaiting_approval"
    assert split.approval.why == "1.25 kWh, above 1 kWh in 24 hours"
    assert ask(2, people["colleague"]).status == "queued"
    # What has no user counts by where it came from.
    assert ask(3, source=BatchSource.POLL).status == "queued"
    assert ask(2, source=BatchSource.POLL).status == "awaiting_approval"
    assert ask(2, source=BatchSource.CLI).status == "queued"
    # What somebody looked at, was cancelled, or is a day old does not count.
    approve(split, people["approver"])
    MintBatch.objects.filter(created_by=people["operator"]).update(
        created_at=Now() - timedelta(hours=25)
    )
    assert ask(4, people["operator"]).status == "queued"


def test_two_halves_do_not_pass_side_by_side(limited, people):
    readings = [harvest(village(3)) for _ in range(2)]

    def half(rows):
        try:
            ids = [reading.id for reading in rows]
            return request_batch(
                ids, source=BatchSource.API, created_by=people["operator"], strict=True
            ).status
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(half, readings)) == ["awaiting_approval", "queued"]


def test_lamports_count_with_rent(minting_chain, people, settings):
    settings.APPROVAL_ABOVE_LAMPORTS = 3_000_000
    assert ask(1, people["operator"]).status == "queued"
    batch = ask(1, people["operator"])
    assert batch.status == "awaiting_approval"
    assert "lamports, above 3,000,000 lamports in 24 hours" in batch.approval.why


def test_what_nobody_can_price_is_not_queued(limited, people, settings):
    ask(1, people["operator"])
    settings.SOLANA_RPC_URL = "http://127.0.0.1:9"
    settings.SOLANA_RPC_URLS = ["http://127.0.0.1:9"]
    with pytest.raises(NodeUnreachable, match="needs approval"):
        ask(1, people["operator"])
    assert MintBatch.objects.count() == 1


def test_a_clock_that_is_wrong_here_decides_nothing(limited, people, monkeypatch):
    right = timezone.now
    ask(3, people["operator"])
    for days in (30, -30):
        monkeypatch.setattr(timezone, "now", lambda: right() + timedelta(days=days))  # noqa: B023
        batch = ask(2, people["operator"])  # what was asked today is added up, whatever day it is
        assert abs(batch.created_at - right()) < timedelta(minutes=1)
        approval = batch.approval
        assert timedelta(hours=71) < approval.expires_at - right() <= timedelta(hours=72)
        approve(batch, people["approver"])
        approval.refresh_from_db()
        assert approval.decided_at is not None
        assert abs(approval.decided_at - right()) < timedelta(minutes=1)


@pytest.mark.parametrize("end", ["refused", "expired", "withdrawn"])
def test_without_approval_the_readings_are_free_again(limited, people, end):
    batch = ask(5, people["operator"])
    if end == "refused":
        approving.refuse(batch.approval.id, by=people["approver"], reason="wrong month")
    elif end == "expired":
        assert approving.expire() == 0
        MintApproval.objects.update(expires_at=Now() - timedelta(seconds=1))
        with pytest.raises(ApprovalRefused, match="expired"):
            approve(batch, people["approver"])
        assert approving.expire() == 1
    else:
        cancel_batch(batch.id, by="operator")

    batch.refresh_from_db()
    approval = MintApproval.objects.get(batch=batch)
    assert (batch.status, approval.decision) == ("cancelled", end)
    assert statuses(batch) == {"pending"}
    assert set(batch.slices.values_list("status", flat=True)) == {"done"}
    code = "cancelled" if end == "withdrawn" else f"approval_{end}"
    assert set(batch.results.values_list("error_code", flat=True)) == {code}
    with pytest.raises(ApprovalRefused):
        approve(batch, people["colleague"])


def test_the_digest_in_the_database_is_that_of_the_engine(limited, people):
    batch = ask(6, people["operator"])
    slices = [
        slice_digest(
            (row.reading_id, row.wallet_address, int(row.base_units))
            for row in MintResult.objects.filter(slice=each)
        )
        for each in batch.slices.order_by("number")
    ]
    assert [bytes(each.digest or b"") for each in batch.slices.order_by("number")] == slices
    assert bytes(batch.approval.digest) == batch_digest(
        batch_id=batch.id,
        mint=batch.mint_address,
        fee_cap_lamports=batch.approval.fee_cap_lamports,
        slices=slices,
    )


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_is_not_what_was_approved_is_not_signed(limited, people, drain, when):
    """The tables are changed by somebody who can: it is noticed at the decision and at signing."""
    batch = ask(5, people["operator"])
    victim = batch.results.order_by("id").first()
    change = MintResult.objects.filter(id=victim.id)
    if when == "before":
        change.update(base_units=victim.base_units + 1)
        with pytest.raises(ApprovalRefused, match="not what was shown"):
            approve(batch, people["approver"])
        return
    approve(batch, people["approver"])
    other = ask(4, people["colleague"])
    change.update(wallet_address=village(1)[0].wallet.address)
    drain()

    batch.refresh_from_db()
    other.refresh_from_db()
    assert (batch.status, batch.successful_mints) == ("failed", 0)
    assert set(batch.results.values_list("error_code", "permanent")) == {("approval_void", True)}
    assert "not what was approved" in batch.results.first().error
    # Another batch that the same task drove is none the worse for it.
    assert (other.status, other.successful_mints) == ("succeeded", 4)


@pytest.mark.parametrize("why", ["expired", "cost"])
def test_an_approval_ends_with_its_time_and_its_cap(limited, people, drain, why):
    batch = ask(5, people["operator"])
    approve(batch, people["approver"])
    if why == "expired":
        MintApproval.objects.update(expires_at=Now() - timedelta(seconds=1))
    else:
        # A cap that the approver saw, of a batch that turned out to cost more.
        approval = MintApproval.objects.get()
        digests = [bytes(each.digest or b"") for each in batch.slices.order_by("number")]
        approval.fee_cap_lamports = 5_000
        approval.digest = batch_digest(
            batch_id=batch.id, mint=batch.mint_address, fee_cap_lamports=5_000, slices=digests
        )
        approval.save()
    drain()

    assert set(batch.results.values_list("error_code", flat=True)) == {"approval_void"}
    said = {"expired": "has expired", "cost": "lamports, 5,000 were approved"}[why]
    assert said in batch.results.first().error
    assert not batch.transactions.exists()


def test_a_wallet_that_changes_meanwhile_redirects_nothing(limited, people, drain):
    batch = ask(5, people["operator"])
    approve(batch, people["approver"])
    paid = batch.results.order_by("id").first()
    owner = Wallet.objects.current().get(address=paid.wallet_address).owner
    Wallet.objects.filter(owner=owner).update(address=address("a stranger's"))
    drain()
    assert limited.balance_of(paid.wallet_address) == paid.base_units


def test_the_database_itself_knows_that_it_takes_two(limited, people):
    batch = ask(5, people["operator"])
    with pytest.raises(IntegrityError, match="second_person"):
        MintApproval.objects.filter(batch=batch).update(
            decision="approved", decided_by=people["operator"], decided_at=Now()
        )


def test_a_slice_that_was_freed_by_hand_is_still_not_signed(limited, people, drain):
    """Whoever moves the slice's status past the approval meets it again before the wire."""
    batch = ask(5, people["operator"])
    MintSlice.objects.filter(batch=batch).update(status="queued")
    drain()
    assert set(batch.results.values_list("error_code", flat=True)) == {"approval_void"}
    assert not batch.transactions.exists()


def test_a_void_approval_names_its_batch(limited, people):
    batch = ask(5, people["operator"])
    with transaction.atomic(), pytest.raises(ApprovalVoid) as raised:
        journal.approving.require_approved({batch.id: 1}, batch.slices.values_list("id", flat=True))
    assert raised.value.batch_id == batch.id


def test_a_batch_that_ended_while_it_waited_cannot_be_approved(limited, people):
    """A restored database: the journal's file told that its readings were minted before."""
    batch = ask(5, people["operator"])
    with transaction.atomic():
        journal.cancel_unsigned(batch.id, by="adoption", code="already_minted")

    with pytest.raises(ApprovalRefused, match="has ended"):
        approve(batch, people["approver"])

    batch.refresh_from_db()
    assert batch.status == "cancelled"
    with transaction.atomic():
        withdraw_ended()
    batch.approval.refresh_from_db()
    assert batch.approval.decision == "withdrawn"
