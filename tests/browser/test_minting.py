"""Every page about minting, in every state, for people to look at."""

from __future__ import annotations

from typing import Literal

import pytest
from django.contrib.auth.models import Permission, User
from playwright.sync_api import expect

from readings.models import MeterReading
from tests.browser.conftest import Visitor
from tests.factories.readings import outsider
from tests.minting.admin import journal

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def operator() -> User:
    user = User.objects.create_user("operator", password="password", is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(content_type__app_label__in=("readings", "minting"))
    )
    return user


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 420])
def test_every_page_is_fit_to_be_looked_at(
    operator: User, visitor: Visitor, scheme: Literal["light", "dark"], width: int
):
    """Opens without an error; the pictures are for people."""
    batches = {
        "minted": journal.minted_batch(readings=3),
        "failed": journal.failed_batch(readings=3),
        "doubtful": journal.doubtful_batch(),
        "open": journal.open_batch(
            readings=2,
            excluded=[
                {
                    "reading_id": str(outsider().reading(status="held", code="no_wallet").id),
                    "code": "no_wallet",
                    "reason": "The meter has no owner with a registered wallet.",
                }
            ],
        ),
    }
    page = visitor.page
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    visitor.log_in("operator", "password")
    for name in ("mintbatch", "mintresult", "minttransaction", "mintinfo"):
        visitor.go(f"/admin/minting/{name}/")
        visitor.picture(name)
    for name, batch in batches.items():
        visitor.go(f"/admin/minting/mintbatch/{batch.pk}/change/")
        expect(page.locator("#batch-live")).to_be_visible()
        visitor.picture(f"batch-{name}")
    dead = batches["failed"].transactions.get()
    visitor.go(f"/admin/minting/minttransaction/{dead.pk}/change/")
    visitor.picture("transaction")
    held = MeterReading.objects.held().get()
    visitor.go(f"/admin/readings/meterreading/{held.pk}/change/")
    visitor.picture("reading")
    page.get_by_role("button", name="Release…").click()
    expect(page.get_by_role("heading", name="Release held readings")).to_be_visible()
    visitor.picture("release")
    visitor.go("/admin/readings/meterreading/")
    visitor.picture("readings")
    page.get_by_text("Filters").first.click()
    visitor.picture("filters")
