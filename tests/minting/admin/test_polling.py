"""What pages say of the poller: how it stands, and what taking back its batch does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from minting.models import MintBatch, Polling, PollingPause
from minting.service.polling.switch import pause_polling
from minting.service.watch import worker_health
from tests.minting.admin import journal

pytestmark = pytest.mark.django_db

DASHBOARD = reverse("admin:index")
PAUSES = reverse("admin:minting_pollingpause_changelist")


def text(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return answer.content.decode()


def a_cluster_polls(seconds: int) -> None:
    every = timedelta(seconds=seconds)
    worker_health.report(1, workers=1, started_at=timezone.now(), polls_every=every)


def test_a_poll_that_died_and_one_that_rests_are_told(admin_client: Client):
    assert "Polling is off" in text(admin_client, DASHBOARD)
    a_cluster_polls(600)
    assert "minted every 10 min. Next poll: now." in text(admin_client, DASHBOARD)
    now = timezone.now()
    Polling.objects.create(called_at=now, began_at=now)
    assert "and has not ended." in text(admin_client, DASHBOARD)
    Polling.objects.update(
        ended_at=now, failures=1, trouble="No node answers", trouble_code="node_unreachable"
    )
    page = text(admin_client, PAUSES)
    assert "Polling is in trouble" in page
    assert "It gave up: No node answers" in page
    assert "made no batch" in page


def test_cancelling_says_what_becomes_of_polling(admin_client: Client):
    a_cluster_polls(60)
    batch = journal.open_batch(readings=2)
    page = reverse("admin:minting_mintbatch_cancel", args=[batch.pk])
    assert "Pause it first" in text(admin_client, page)
    pause_polling("first", by="chief")
    assert "Pause it first" not in text(admin_client, page)
    PollingPause.objects.update(resumed_at=timezone.now())

    MintBatch.objects.filter(pk=batch.pk).update(source="poll")
    assert "Polling is paused with that" in text(admin_client, page)
    admin_client.post(page)
    pause = PollingPause.objects.get(resumed_at=None)
    assert (pause.paused_by, str(batch.pk) in pause.reason) == ("admin", True)
    assert f"Paused by {pause.paused_by} since" in text(admin_client, DASHBOARD)


def test_who_looks_pauses_nothing(viewer: Client):
    for page in ("pause", "resume"):
        address = reverse(f"admin:minting_pollingpause_{page}")
        assert viewer.get(address).status_code == 403
        assert viewer.post(address, {"reason": "because"}).status_code == 403
    assert not PollingPause.objects.exists()
