"""Whoever dies, and wherever: told, once or again under the same name, without a gap."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from django.db import transaction
from django.utils import timezone

from minting import journal
from minting.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookEvent
from tests.crash.conftest import scene
from tests.crash.points import POINTS as ENGINE_POINTS
from tests.crash.points import When
from tests.minting.webhooks import dying
from tests.minting.webhooks.conftest import send

__all__ = ["scene"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("point", range(len(dying.POINTS)), ids=dying.POINTS)
def test_a_courier_that_is_killed_loses_nothing(line, child_environment, point):
    with transaction.atomic():
        journal.stop_minting(reason="x", by="y")
    with transaction.atomic():
        journal.resume_minting(by="y")
    died = subprocess.run(
        [sys.executable, "-m", "tests.minting.webhooks.dying", str(point)],
        env={**child_environment, "WEBHOOK_ALLOW_PRIVATE": "true"},
        check=False,
        timeout=60,
    )
    assert died.returncode == -signal.SIGKILL
    told_before = [got.id for got in line.receiver.got]
    begun, sent, recorded = point > 0, point > 1, point > 2
    assert WebhookEvent.objects.count() == (0 if begun else 2)
    assert WebhookDelivery.objects.count() == (2 if begun else 0)
    assert len(told_before) == (1 if sent else 0)

    if begun:
        assert send().sent == 0  # the dead one's lease
        WebhookEndpoint.objects.update(lease_until=timezone.now())
    send()

    ids = [got.id for got in line.receiver.got]
    assert [(each.sequence, each.state) for each in line.deliveries()] == [
        (1, "delivered"),
        (2, "delivered"),
    ]
    messages = [each.message for each in line.deliveries()]
    again = [messages[0]] if sent and not recorded else []
    assert ids == [*again, *messages]
    interrupted = WebhookAttempt.objects.filter(outcome="interrupted")
    assert interrupted.count() == (1 if begun and not recorded else 0)
    line.receiver.verified(line.secret)


def test_a_batch_that_is_finished_by_recovery_is_told_once(scene, line):
    """The worker dies as the batch's last commit is answered: the row is there, nobody was told."""
    where = ("minting.journal.record_landed", When.COMMITTED)
    at = next(each for each in ENGINE_POINTS if (each.where, each.when) == where)
    batch = scene.queue()
    scene.kill_at(at)
    batch.refresh_from_db()
    assert WebhookEvent.objects.count() == batch.is_final == 1

    scene.start_again()
    send()

    [told] = line.receiver.verified(line.secret)
    assert (told["type"], told["data"]["status"]) == ("batch.finished", "succeeded")
    assert told["data"]["id"] == str(batch.id)
