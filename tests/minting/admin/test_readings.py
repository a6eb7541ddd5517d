"""The readings' list and page, and the release of what is held."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from minting.models import MintSelection
from minting.service.requests.selections import freeze
from readings import intake
from readings.models import MeterReading
from tests.factories.readings import MeterReadingFactory, address, household, outsider
from tests.minting.admin import journal
from tests.minting.admin.conftest import VIEWS, Staff

LIST = reverse("admin:readings_meterreading_changelist")
HELD = {"status": "held", "code": "reading_too_large"}


def shown(client: Client, query: str) -> set[object]:
    answer = client.get(LIST, query_params=dict(part.split("=") for part in query.split("&")))
    assert answer.status_code == 200
    return {reading.pk for reading in answer.context["cl"].result_list}


def page_of(reading: MeterReading) -> str:
    return reverse("admin:readings_meterreading_change", args=[reading.pk])


def release(client: Client, reading: MeterReading, reason: str):
    client.post(
        LIST, {"action": "release_selected", "_selected_action": [str(reading.pk)], "index": "0"}
    )
    selection = MintSelection.objects.latest("created_at")
    url = reverse("admin:readings_meterreading_release", args=[selection.pk])
    return client.post(url, {"reason": reason}, follow=True)


def test_filters(viewer: Client):
    resident = household()
    pending = resident.reading(period_end=datetime(2026, 5, 2, tzinfo=UTC))
    held = outsider().reading(
        status="held", code="no_wallet", period_end=datetime(2026, 5, 2, 12, tzinfo=UTC)
    )
    assert shown(viewer, "status__exact=pending") == {pending.pk}
    assert shown(viewer, "reason=no_wallet") == {held.pk}
    assert shown(viewer, "verification__exact=verified") == {pending.pk, held.pk}
    assert shown(viewer, "meter=HOUSE-1") == {pending.pk}
    assert shown(viewer, "owner=niran") == {held.pk}
    # A period that ends at midnight belongs to the day before.
    assert shown(viewer, "period_end_to=2026-05-01") == {pending.pk}
    assert shown(viewer, "period_end_from=2026-05-02") == {held.pk}
    assert shown(viewer, "period_end_from=yesterday") == {pending.pk, held.pk}


def test_amounts_are_filtered_by_both_ends(viewer: Client):
    resident = household()
    small, middle, large = (resident.reading(kwh_amount=each) for each in ("0.5", "1.5", "99"))
    assert shown(viewer, "kwh_amount_from=1.5") == {middle.pk, large.pk}
    assert shown(viewer, "kwh_amount_to=1.5") == {small.pk, middle.pk}
    assert shown(viewer, "kwh_amount_from=0.6&kwh_amount_to=2") == {middle.pk}
    everything = {small.pk, middle.pk, large.pk}
    for nonsense in ("much", "NaN", "1e99", "-inf"):
        assert shown(viewer, f"kwh_amount_from={nonsense}") == everything


def test_a_row_shows_the_wallet_that_was_paid_else_the_owners_of_now(viewer: Client, settings: Any):
    result = journal.minted_batch().results.get()
    owner = result.reading.owner
    assert owner is not None
    intake.register_wallet(owner=owner, address=address("later"))
    waiting = MeterReadingFactory(owner=owner)
    page = viewer.get(LIST).content.decode()
    assert f'data-copy="{result.wallet_address}"' in page
    assert f'data-copy="{address("later")}"' in page
    assert f'data-copy="{result.tx_signature}"' in page
    assert "open_in_new" not in page
    settings.EXPLORER_URL = "https://explorer.example"
    page = viewer.get(f"{LIST}?q={waiting.pk}").content.decode()
    assert f"https://explorer.example/address/{address('later')}" in page


def test_an_empty_list_says_what_to_do(viewer: Client):
    assert "Readings come in by the API" in viewer.get(LIST).content.decode()
    household().reading()
    page = viewer.get(f"{LIST}?status__exact=failed").content.decode()
    assert "Nothing matches" in page
    assert "Show all" in page


def test_the_list_shows_the_transaction_of_what_is_minted(viewer: Client):
    signature = journal.minted_batch().transactions.get().signature
    assert f'title="{signature}"' in viewer.get(LIST).content.decode()


def test_readings_are_read_only(viewer: Client, operator: Client):
    reading = MeterReadingFactory()
    for client in (viewer, operator):
        assert client.get(reverse("admin:readings_meterreading_add")).status_code == 403
        assert client.post(page_of(reading), {"kwh_amount": "9"}).status_code == 403
        delete = reverse("admin:readings_meterreading_delete", args=[reading.pk])
        assert client.post(delete, {"post": "yes"}).status_code == 403
    reading.refresh_from_db()
    assert reading.kwh_amount != 9


def test_the_page_tells_every_batch(viewer: Client):
    batch = journal.failed_batch()
    page = viewer.get(page_of(batch.results.get().reading)).content.decode()
    assert "The token account is frozen" in page
    assert str(batch.pk) in page
    assert "Mint…" not in page


def test_held_readings_are_released_with_a_reason(operator: Client):
    resident = household()
    reading = resident.reading(**HELD)
    assert "Release…" in operator.get(page_of(reading)).content.decode()
    answer = release(operator, reading, "measured twice, it is a farm")
    assert "Released, and ready for minting: 1 reading." in answer.content.decode()
    reading.refresh_from_db()
    assert reading.status == "pending"
    assert reading.release_reason == "measured twice, it is a farm"
    assert reading.released_by.username == "operator"


def test_no_release_without_a_reason(operator: Client):
    reading = household().reading(**HELD)
    assert "This field is required" in release(operator, reading, "  ").content.decode()
    reading.refresh_from_db()
    assert reading.status == "held"


def test_what_cannot_be_released_is_told(operator: Client):
    reading = outsider().reading(status="held", code="no_wallet")
    answer = release(operator, reading, "because")
    assert "Not released: 1 reading." in answer.content.decode()


@pytest.mark.parametrize("rights", [VIEWS, (*VIEWS, "minting.mint_readings")])
def test_release_needs_its_right(staff: Staff, rights: tuple[str, ...]):
    client = staff("somebody", *rights)
    reading = household().reading(**HELD)
    assert "Release…" not in client.get(page_of(reading)).content.decode()
    selection = freeze(MeterReading.objects.all(), User.objects.get(username="somebody"))
    url = reverse("admin:readings_meterreading_release", args=[selection.pk])
    assert client.post(url, {"reason": "because"}).status_code == 403


def test_another_persons_selection_is_not_released(operator: Client, staff: Staff):
    household().reading(**HELD)
    selection = freeze(MeterReading.objects.all(), User.objects.get(username="operator"))
    colleague = staff("colleague", *VIEWS, "readings.release_meterreading")
    url = reverse("admin:readings_meterreading_release", args=[selection.pk])
    assert colleague.get(url).status_code == 403
