"""The button that downloads a batch's audit pack."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from minting.models import MintBatch
from tests.factories.readings import outsider
from tests.minting.admin import journal
from tests.verify.packs import lines_of, verify

pytestmark = pytest.mark.django_db(transaction=True)


def url(batch: MintBatch) -> str:
    return reverse("admin:minting_mintbatch_pack", args=[batch.pk])


@pytest.fixture
def batch(db: None) -> MintBatch:
    excluded = outsider().reading(status="held", code="no_wallet")
    left_out = {"reading_id": str(excluded.pk), "code": "no_wallet", "reason": "Nobody to pay."}
    return journal.open_batch(readings=3, excluded=[left_out])


def test_whoever_sees_a_batch_may_download_its_pack(viewer: Client, batch, tmp_path):
    page = viewer.get(reverse("admin:minting_mintbatch_change", args=[batch.pk]))
    assert f'href="{url(batch)}"' in page.content.decode()

    answer = viewer.get(url(batch))

    assert answer.status_code == 200
    assert answer.streaming
    assert answer["Content-Disposition"] == f'attachment; filename="audit-pack-{batch.pk}.jsonl"'
    pack = answer.getvalue()
    assert len(pack) == int(answer["Content-Length"])
    assert len(lines_of(pack)) == 6
    assert verify(pack, tmp_path)[0] == 0


def test_nobody_else_may(staff, client: Client, batch):
    assert client.get(url(batch)).status_code == 302, "to the login"
    reader = staff("reader", "readings.view_meterreading")
    assert reader.get(url(batch)).status_code == 403


def test_there_is_none_of_what_there_is_not(viewer: Client):
    missing = reverse("admin:minting_mintbatch_pack", args=[uuid4()])
    assert viewer.get(missing).status_code == 404


def test_a_pack_that_cannot_be_written_is_a_message_and_no_file(viewer: Client):
    """Its bytes are none of ours."""
    answer = viewer.get(url(journal.minted_batch()), follow=True)
    assert "reconcile before a pack is written" in answer.content.decode()


def test_the_requester_is_named(viewer: Client, batch):
    MintBatch.objects.update(created_by=User.objects.create_user("operator-2"))
    assert b'"requested_by":"operator-2"' in viewer.get(url(batch)).getvalue()
