"""The page before minting: what is counted, warned of, changed since, and left to a worker."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from minting.admin.readings import preview, selections
from minting.engine.errands import ErrandKind
from minting.models import Errand, MintBatch, MintSelection
from minting.service.requests import errands
from minting.service.requests.previewing import Changed, Costs, Summary
from minting.service.requests.selections import freeze
from minting.tasks import run_errand
from readings import intake
from readings.models import MeterReading, Wallet
from tests.factories.readings import address, household, solar_farm

LIST = reverse("admin:readings_meterreading_changelist")


def confirm_url(selection: MintSelection) -> str:
    return reverse("admin:minting_mintselection_confirm", args=[selection.pk])


def frozen(*readings: MeterReading) -> MintSelection:
    chosen = MeterReading.objects.filter(pk__in=[each.pk for each in readings])
    return freeze(chosen, User.objects.get(username="operator"))


def words(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two readings are long."""
    monkeypatch.setattr(selections, "AT_ONCE", 1)


# ------------------------------------------------------------------ what the page says


def test_what_changed_since_the_selection_is_said(minting_chain: Any, operator: Client):
    resident = household()
    chosen = [resident.reading() for _ in range(4)]
    selection = frozen(*chosen)
    assert 'id="changed"' not in words(operator.get(confirm_url(selection)))
    MeterReading.objects.filter(pk=chosen[0].pk).update(status="minted")
    MeterReading.objects.filter(pk__in=[chosen[1].pk, chosen[2].pk]).update(
        status="held", code="reading_too_large"
    )
    page = words(operator.get(confirm_url(selection)))
    assert (
        "Since you selected them, 2 are held now (reading too large), 1 is minted meanwhile."
        in page
    )
    assert "Mint 1 of 4 readings?" in page
    assert f'href="{LIST}?status__exact=minted"' in page
    assert f'href="{LIST}?reason=reading_too_large"' in page


def test_wallets_that_changed_lately_are_named(minting_chain: Any, operator: Client):
    mover, stayer = household(), solar_farm()
    chosen = [mover.reading(), mover.reading(), stayer.reading()]
    Wallet.objects.update(registered_at=timezone.now() - timedelta(days=30))
    now = intake.register_wallet(owner=mover.owner, address=address("moved"))
    page = words(operator.get(confirm_url(frozen(*chosen))))
    assert "1 wallet changed in the last 7 days" in page
    assert now.address in page
    assert stayer.wallet.address not in page
    Wallet.objects.update(registered_at=timezone.now() - timedelta(days=30))
    assert "changed in the last" not in words(operator.get(confirm_url(frozen(*chosen))))


def test_frozen_wallets_are_named_and_left_out(minting_chain: Any, operator: Client):
    cold, farm = household(), solar_farm()
    minting_chain.freeze(cold.wallet.address)
    page = words(operator.get(confirm_url(frozen(cold.reading(), farm.reading()))))
    assert "Wallets that cannot be paid as they are" in page
    assert cold.wallet.address in page
    assert "Mint 1 of 2 readings?" in page


def test_a_high_priority_fee_rounding_and_approval_are_warned_of(settings: Any):
    costs = Costs(2, 0, 10_000, 25_000, 0, 35_000, 10**9, 10**9 - 35_000, 0)
    summary = Summary("2026-01-01T00:00:00+00:00", 3, 2, "1", 10**9, "1.5", costs)
    high, lost = preview.notices(summary)
    assert "2.5 times the network fee" in high
    assert "0.0000000015 tokens" in lost
    quiet = Costs(2, 0, 10_000, 9_999, 0, 19_999, 10**9, 10**9 - 19_999, 0)
    plain = Summary(summary.made_at, 3, 2, "1", 10**9, "0", quiet)
    assert preview.notices(plain) == []
    settings.APPROVAL_ABOVE_LAMPORTS = 19_998
    (approval,) = preview.notices(plain)
    assert "A second person has to approve this batch" in approval
    assert "19,999 lamports, above 19,998 lamports" in approval


def test_tokens_lost_to_rounding_are_told(minting_chain: Any, operator: Client, settings: Any):
    settings.TOKENIZATION_KWH_TO_TOKEN_RATIO = type(settings.TOKENIZATION_KWH_TO_TOKEN_RATIO)("0.1")
    selection = frozen(household().reading(kwh_amount="0.123456789"))
    page = words(operator.get(confirm_url(selection)))
    assert "Rounding down takes 0.0000000009 tokens" in page


def test_changes_are_said_in_words():
    changed = [Changed("pending", "minting", "", 1_200), Changed("held", "pending", "", 1)]
    assert preview.changed_words(changed) == (
        "1,200 are being minted by another batch, 1 is pending now"
    )


# ------------------------------------------------------------------ all that match


@pytest.mark.parametrize(
    ("query", "taken"),
    [("", {"pending"}), ("?status__exact=failed", {"failed"}), ("?status__exact=minted", set())],
)
def test_all_that_match_take_what_can_be_minted_and_count_the_rest(
    minting_chain: Any, operator: Client, query: str, taken: set[str]
):
    resident = household()
    rows = [resident.reading(status=each) for each in ("pending", "failed", "minted", "minting")]
    resident.reading(status="held", code="unverified")
    ticked = next(row for row in rows if not query or row.status in query)
    data = {"action": "mint_selected", "index": "0", "select_across": "1"}
    answer = operator.post(LIST + query, {**data, "_selected_action": [str(ticked.pk)]})
    selection = MintSelection.objects.get()
    statuses = set(selection.items.values_list("status", flat=True))
    assert statuses == taken
    assert selection.size == len(taken)
    if not query:
        assert selection.left_out == {"failed": 1, "minted": 1, "minting": 1, "held": 1}
        page = words(operator.get(answer["Location"]))
        assert "Also matched, and left as they are" in page
        assert f'href="{LIST}?status__exact=held"' in page


# ------------------------------------------------------------------ what a worker counts


def test_a_long_selection_is_counted_by_a_worker(minting_chain: Any, operator: Client, long: None):
    url = confirm_url(selection := frozen(household().reading(), solar_farm().reading()))
    page = words(operator.get(url))
    assert "Counting 2 readings" in page
    assert "Waiting for a worker" in page
    assert 'hx-trigger="every 1s"' in page
    assert 'id="mint"' not in page
    assert "No worker has come for it" not in page
    Errand.objects.update(asked_at=timezone.now() - timedelta(minutes=1))
    assert "No worker has come for it" in words(operator.get(url))

    run_errand(str(Errand.objects.get().pk))
    page = words(operator.get(url))
    assert "Mint 2 of 2 readings?" in page
    assert "every 1s" not in page
    assert "4,078,560" in page  # rent of two accounts

    for _ in range(2):  # pressed twice
        assert operator.post(url)["Location"] == url
    assert "Queueing 2 readings" in words(operator.get(url))
    run_errand(str(errands.find(selection, ErrandKind.MINT).pk))
    batch = MintBatch.objects.get()
    there = reverse("admin:minting_mintbatch_change", args=[batch.pk])
    assert operator.get(url)["Location"] == operator.post(url)["Location"] == there
    # A page that asks for itself goes there as a whole.
    assert operator.get(url, headers={"HX-Request": "true"})["HX-Redirect"] == there


def test_an_old_count_is_counted_anew(minting_chain: Any, operator: Client, long: None):
    url = confirm_url(frozen(household().reading(), solar_farm().reading()))
    operator.get(url)
    errand = Errand.objects.get()
    run_errand(str(errand.pk))
    errand.refresh_from_db()
    old = timezone.now() - selections.FRESH - timedelta(seconds=1)
    Errand.objects.update(answer={**(errand.answer or {}), "made_at": old.isoformat()})
    assert "Counting 2 readings" in words(operator.get(url))


def test_a_refused_press_is_told_and_tried_again(
    minting_chain: Any, operator: Client, long: None, settings: Any
):
    url = confirm_url(selection := frozen(household().reading(), solar_farm().reading()))
    operator.get(url)
    run_errand(str(Errand.objects.get().pk))
    operator.post(url)
    settings.TOKENIZATION_DECIMALS = 6
    run_errand(str(errands.find(selection, ErrandKind.MINT).pk))
    page = words(operator.get(url))
    assert "Nothing is queued" in page
    assert "decimals" in page
    assert 'id="mint"' not in page
    settings.TOKENIZATION_DECIMALS = 9
    assert operator.post(url, {"again": "1"})["Location"] == url
    assert "Counting 2 readings" in words(operator.get(url))
    assert not MintBatch.objects.exists()
