"""Webhooks in the admin: made, tested, failing, replayed, and every page looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connections, transaction
from playwright.sync_api import expect
from pytest_django import Settings

from minting import journal
from minting.models import WebhookDelivery, WebhookEndpoint
from tests.browser.conftest import Visitor
from tests.minting.webhooks.conftest import send
from tests.minting.webhooks.receiver import Receiver, Reply

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.WEBHOOK_ALLOW_PRIVATE = True
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def courier() -> Callable[[], None]:
    """Works in a thread that has no event loop yet."""

    def work() -> None:
        send()
        connections.close_all()

    def run() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(work).result()

    return run


def test_an_endpoint_is_made_tested_and_replayed(
    receiver: Receiver, courier: Callable[[], None], visitor: Visitor
):
    administrator = User.objects.create_user("admin", password="password", is_staff=True)
    administrator.user_permissions.set(
        Permission.objects.filter(content_type__model__startswith="webhook")
    )
    page = visitor.page
    visitor.log_in("admin", "password")
    visitor.go("/admin/minting/webhookendpoint/add/")
    page.fill("[name=url]", "ftp://example.com/")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("must begin with https://")).to_be_visible()
    visitor.picture("add-refused")
    page.fill("[name=url]", receiver.url)
    page.fill("[name=description]", "Billing")
    page.get_by_role("button", name="Add", exact=True).click()
    secret = page.locator("#webhook-secret").inner_text()
    visitor.picture("secret")
    page.get_by_role("link", name="I have it").click()
    expect(page.locator("#webhook-endpoint")).to_be_visible()
    assert secret not in page.content()

    page.get_by_role("link", name="Send test…").click()
    visitor.picture("test")
    page.get_by_role("button", name="Send test").click()
    expect(page.get_by_text("A test is on its way")).to_be_visible()
    receiver.answer = lambda _got: Reply(500, body=b"database is down")
    courier()
    page.reload()
    expect(page.get_by_text("failing", exact=True)).to_be_visible()

    WebhookDelivery.objects.update(state="failed")
    receiver.answer = lambda _got: Reply()
    page.get_by_role("link", name="Replay failed…").click()
    visitor.picture("replay")
    page.get_by_role("button", name="Replay").click()
    expect(page.get_by_text("To be sent again: 1.")).to_be_visible()
    courier()
    visitor.go("/admin/minting/webhookdelivery/")
    page.locator("#action-toggle").check()
    page.locator("[name=action]").select_option("replay_selected")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("To be sent again: 1.")).to_be_visible()
    courier()

    assert [each["type"] for each in receiver.verified(secret)] == ["webhook.test"] * 3
    assert len({(got.id, got.body) for got in receiver.got}) == 1
    make_history(receiver, courier)
    look_at_every_page(visitor)


def make_history(receiver: Receiver, courier: Callable[[], None]) -> None:
    """One that fails, one that is on its way again, one that is disabled."""
    for reply in (Reply(200), Reply(503, body=b'{"error": "try later"}'), Reply(410)):
        receiver.answer = lambda _got, reply=reply: reply  # type: ignore[misc]
        with transaction.atomic():
            journal.stop_minting(reason="x", by="y")
        with transaction.atomic():
            journal.resume_minting(by="y")
        WebhookEndpoint.objects.update(rests_until=None)
        courier()


def look_at_every_page(visitor: Visitor) -> None:
    page = visitor.page
    endpoint = WebhookEndpoint.objects.get()
    delivery = endpoint.deliveries.filter(attempts__gt=1).first()
    assert delivery is not None
    pages = {
        "endpoints": "webhookendpoint/",
        "endpoint": f"webhookendpoint/{endpoint.pk}/change/",
        "edit": f"webhookendpoint/{endpoint.pk}/edit/",
        "deliveries": "webhookdelivery/",
        "failed": "webhookdelivery/?state__exact=pending",
        "delivery": f"webhookdelivery/{delivery.pk}/change/",
        "new-secret": f"webhookendpoint/{endpoint.pk}/secret/",
        "remove": f"webhookendpoint/{endpoint.pk}/remove/",
    }
    for name, path in pages.items():
        visitor.go(f"/admin/minting/{path}")
        visitor.picture(name)
    page.set_viewport_size({"width": 400, "height": 900})
    page.emulate_media(color_scheme="dark")
    for name in ("endpoints", "endpoint", "deliveries", "delivery", "edit"):
        visitor.go(f"/admin/minting/{pages[name]}")
        visitor.picture(f"{name}-narrow-dark")
