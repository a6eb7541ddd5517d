"""A wallet that waits for a second person, against batches: whoever is paid is paid as approved."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from minting.models import BatchSource, MintApproval
from minting.service.requests import approving
from minting.service.requests.prepare import request_batch
from readings import intake
from readings.models import WalletChange
from tests.factories.readings import address
from tests.factories.village import Villager, harvest, village

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def approver():
    return get_user_model().objects.create_user("approver")


def ask(villager: Villager) -> WalletChange:
    change = intake.register_wallet(
        owner=villager.owner, address=address(f"{villager.owner.user_id} new")
    )
    assert isinstance(change, WalletChange)
    return change


def elsewhere(call):
    """In a connection of its own, as another process would."""

    def and_leave():
        try:
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(and_leave).result(timeout=30)


def test_a_batch_pays_the_wallet_that_was_approved_when_it_was_written(
    minting_chain, approver, drain, settings
):
    settings.APPROVAL_ABOVE_KWH = Decimal("0.5")
    before, planned, written, after, never = villagers = village(5)
    ids = [reading.id for reading in harvest(villagers)]
    changes = {each: ask(each) for each in villagers}

    def approve(villager: Villager):
        change = changes[villager]
        digest = intake.digest_of(change)
        return intake.approve_wallet_change(change.id, by=approver, digest=digest)

    approve(before)
    batch = request_batch(
        ids,
        source=BatchSource.ADMIN,
        strict=True,
        # While it is planned, and while it is written and not committed: neither waits.
        passing=lambda wallets: elsewhere(lambda: approve(planned)) if wallets == 1 else None,
        written=lambda _: elsewhere(lambda: approve(written)),
    )
    approve(after)

    expected = {
        each.owner.user_id: changes[each].address
        if each in (before, planned)
        else each.wallet.address
        for each in villagers
    }
    assert dict(batch.results.values_list("user_id", "wallet_address")) == expected
    # The batch's own approval is of just these, and what came after redirects nothing.
    approval = MintApproval.objects.get(batch=batch)
    approving.approve(approval.id, by=approver, digest=bytes(approval.digest))
    drain()
    batch.refresh_from_db()
    assert (batch.status, batch.successful_mints) == ("succeeded", 5)
    units = batch.results.first().base_units
    for villager in villagers:
        paid = expected[villager.owner.user_id]
        assert minting_chain.balance_of(paid) == units
        (other,) = {villager.wallet.address, changes[villager].address} - {paid}
        assert minting_chain.balance_of(other) == 0
    assert WalletChange.objects.proposed().get() == changes[never]


@pytest.mark.parametrize("source", BatchSource)
def test_four_eyes_hold_for_every_source(minting_chain, settings, source):
    """Poller and commands too: there is one way to a batch, and the question stands in it."""
    settings.APPROVAL_ABOVE_KWH = Decimal("0.5")
    ids = [reading.id for reading in harvest(village(3))]
    batch = request_batch(ids, source=source, strict=False)
    batch.refresh_from_db()
    assert (batch.source, batch.status) == (source, "awaiting_approval")
    assert batch.approval.decision == "waiting"
