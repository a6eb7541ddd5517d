"""What is held, by cause, and the release of all of one."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from minting.admin.readings import releases
from minting.models import Errand, MintSelection
from minting.tasks import run_errand
from readings.admin import lists
from readings.models import MeterReading
from tests.factories.readings import household, outsider
from tests.minting.admin.conftest import VIEWS, Staff

HELD = reverse("admin:readings_meterreading_held")
LIST = reverse("admin:readings_meterreading_changelist")


@pytest.fixture
def held(db: None) -> None:
    resident = household()
    for _ in range(3):
        resident.reading(status="held", code="reading_too_large", kwh_amount=200)
    stranger = outsider()
    stranger.reading(status="held", code="no_wallet")
    resident.reading()
    # Failed for the same code: that is not held.
    stranger.reading(status="failed", code="no_wallet")


def counts(client: Client) -> dict[str, str]:
    return {each.code.value: each.count for each in client.get(HELD).context["causes"]}


def test_each_cause_is_counted_and_says_what_ends_it(
    held: None, operator: Client, monkeypatch: pytest.MonkeyPatch
):
    assert counts(operator) == {"no_wallet": "1", "reading_too_large": "3"}
    page = operator.get(HELD).content.decode()
    assert "Register a wallet" in page
    assert "More than 100 kWh" in page
    # Nobody to pay cannot be released.
    assert page.count("Release all…") == 1
    assert "What is held" in operator.get(LIST).content.decode()
    monkeypatch.setattr(lists, "COUNTED", 2)
    assert counts(operator)["reading_too_large"] == "more than 2"


def test_where_nothing_is_held_it_says_so(operator: Client):
    assert "Nothing is held." in operator.get(HELD).content.decode()


def test_all_of_a_cause_are_released_with_one_reason(held: None, operator: Client):
    answer = operator.post(HELD, {"cause": "reading_too_large"})
    done = operator.post(answer["Location"], {"reason": "a solar farm"}, follow=True)
    assert "ready for minting: 3 readings" in done.content.decode()
    assert counts(operator) == {"no_wallet": "1"}
    reasons = MeterReading.objects.exclude(released_at=None).values_list("release_reason")
    assert list(reasons) == [("a solar farm",)] * 3


def test_a_long_release_is_done_by_a_worker_and_shown(
    held: None, operator: Client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(releases, "AT_ONCE", 2)
    url = operator.post(HELD, {"cause": "reading_too_large"})["Location"]
    for reason in ("a solar farm", "pressed again"):
        assert operator.post(url, {"reason": reason}).status_code in (200, 302)
    page = operator.get(url).content.decode()
    assert "Releasing 3 readings" in page
    assert 'role="progressbar"' in page
    assert 'hx-trigger="every 1s"' in page
    run_errand(str(Errand.objects.get().pk))
    page = operator.get(url).content.decode()
    assert "Released, and ready for minting: 3 readings." in page
    assert "every 1s" not in page
    assert MeterReading.objects.filter(release_reason="a solar farm").count() == 3


def test_of_all_that_match_only_what_is_held_is_taken(held: None, operator: Client):
    data = {"action": "release_selected", "_selected_action": [], "index": "0"}
    one = MeterReading.objects.first()
    operator.post(LIST, {**data, "_selected_action": [str(one.pk)], "select_across": "1"})
    selection = MintSelection.objects.get()
    assert (selection.size, selection.left_out) == (4, {"pending": 1, "failed": 1})


@pytest.mark.parametrize("rights", [(), VIEWS, (*VIEWS, "minting.mint_readings")])
def test_releasing_all_needs_its_right(held: None, staff: Staff, rights: tuple[str, ...]):
    client = staff("somebody", *rights)
    assert client.get(HELD).status_code == (200 if rights else 403)
    assert b"Release all" not in client.get(HELD).content
    assert client.post(HELD, {"cause": "reading_too_large"}).status_code == 403
    assert not MintSelection.objects.exists()


def test_no_other_cause_is_released(held: None, operator: Client):
    for cause in ("", "consumption", "no_such"):
        assert operator.post(HELD, {"cause": cause}).status_code == 404
