"""Who may do what with webhooks in the admin, and what it never shows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from minting import journal
from minting.models import WebhookDelivery, WebhookEndpoint
from tests.minting.admin.conftest import staff
from tests.minting.webhooks.conftest import Line, send
from tests.minting.webhooks.receiver import Reply

__all__ = ["staff"]

pytestmark = pytest.mark.django_db(transaction=True)

VIEW = ("minting.view_webhookendpoint", "minting.view_webhookdelivery")
LIST = reverse("admin:minting_webhookendpoint_changelist")
ADD = reverse("admin:minting_webhookendpoint_add")
DELIVERIES = reverse("admin:minting_webhookdelivery_changelist")


def page(line: Line, name: str) -> str:
    return reverse(f"admin:minting_webhookendpoint_{name}", args=[line.endpoint.pk])


def happen() -> None:
    with transaction.atomic():
        journal.stop_minting(reason="x", by="y")
    with transaction.atomic():
        journal.resume_minting(by="y")


def state() -> list[object]:
    return [
        *WebhookEndpoint.objects.order_by("id").values(),
        *WebhookDelivery.objects.order_by("id").values(),
    ]


def test_who_may_look_may_do_nothing_and_who_may_not_sees_nothing(
    line: Line, staff: Callable[..., Client]
):
    happen()
    send()
    delivery = WebhookDelivery.objects.latest("id")
    shown = reverse("admin:minting_webhookdelivery_change", args=[delivery.pk])
    again = reverse("admin:minting_webhookdelivery_replay", args=[delivery.pk])
    asks = [page(line, name) for name in ("test", "replay", "enable", "disable", "remove")]
    changing = [ADD, page(line, "edit"), page(line, "secret"), *asks, again]
    viewer, stranger = staff("viewer", *VIEW), staff("stranger")
    before = state()

    for url in (LIST, page(line, "change"), DELIVERIES, shown):
        answer = viewer.get(url)
        assert answer.status_code == 200
        assert "key=k" not in answer.content.decode()
        assert stranger.get(url).status_code == 403
    for url in changing:
        for client in (viewer, stranger):
            assert client.get(url).status_code == 403, url
            assert client.post(url, {"url": line.receiver.url, "events": []}).status_code == 403
    selected = {"action": "replay_selected", "_selected_action": [delivery.pk]}
    viewer.post(DELIVERIES, selected)
    assert state() == before

    manager = staff("manager", *VIEW, "minting.manage_webhooks")
    for url in changing:
        assert manager.get(url, follow=True).status_code == 200
    assert state() == before  # asking does nothing
    manager.post(DELIVERIES, selected)
    assert WebhookDelivery.objects.pending().get() == delivery


def test_a_secret_is_in_one_answer_and_nowhere_else(line: Line, staff: Callable[..., Client]):
    manager = staff("manager", *VIEW, "minting.manage_webhooks")
    for url, said in (
        (ADD, {"url": line.receiver.url, "events": ["batch.finished"]}),
        (page(line, "secret"), {}),
    ):
        answer = manager.post(url, said)
        secret = answer.context["secret"]
        assert "no-store" in answer["Cache-Control"]
        assert secret in answer.content.decode()
        kept = repr([*state(), *(each.get_decoded() for each in Session.objects.all())])
        assert secret not in kept + repr(manager.cookies)
        for shown in (LIST, page(line, "change"), page(line, "edit"), page(line, "secret")):
            assert secret not in manager.get(shown).content.decode()
    assert WebhookEndpoint.objects.count() == 2
    assert User.objects.get(username="manager").username in repr(state())


def test_what_a_receiver_answers_is_text(line: Line, staff: Callable[..., Client]):
    line.receiver.answer = lambda _got: Reply(500, body=b"<script>alert(1)</script>")
    happen()
    send()
    viewer = staff("viewer", *VIEW)
    delivery = line.deliveries()[0]
    url = reverse("admin:minting_webhookdelivery_change", args=[delivery.pk])

    shown = viewer.get(url).content.decode()

    assert "&lt;script&gt;alert(1)" in shown
    assert "<script>alert(1)" not in shown


def test_an_endpoint_that_was_given_up_is_told_of_on_every_page(
    line: Line, staff: Callable[..., Client]
):
    line.receiver.answer = lambda _got: Reply(410)
    viewer, other = staff("viewer", *VIEW), staff("other", "minting.view_mintbatch")
    assert "Webhook disabled" not in viewer.get(DELIVERIES).content.decode()
    happen()
    send()
    assert "Webhook disabled" in viewer.get(DELIVERIES).content.decode()
    assert "410 Gone" in viewer.get(LIST).content.decode()
    batches = reverse("admin:minting_mintbatch_changelist")
    assert "410 Gone" not in other.get(batches).content.decode()


def test_the_log_counts_nothing_and_asks_the_same_however_long_it_is(
    line: Line, staff: Callable[..., Client]
):
    viewer = staff("viewer", *VIEW)

    def asked(query: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert viewer.get(f"{DELIVERIES}?{query}").status_code == 200
        for each in captured:
            if "COUNT(*)" in each["sql"] and "webhookdelivery" in each["sql"]:
                assert "LIMIT" in each["sql"]
        return len(captured)

    happen()
    send()
    queries = ("", f"endpoint__id__exact={line.endpoint.pk}", "state__exact=failed", "q=msg_1")
    few = [asked(query) for query in queries]
    for _ in range(20):
        happen()
    send()
    assert [asked(query) for query in queries] == few
