"""*Mint selected*: frozen by one statement, confirmed on a page, queued once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from solders.account import Account
from solders.system_program import ID as SYSTEM_PROGRAM

from minting.models import BatchSource, MintBatch, MintSelection, MintSelectionItem
from minting.service.requests.selections import KEPT, forget_old, freeze, ids_of
from readings.models import MeterReading
from tests.factories.readings import MeterReadingFactory, household, outsider
from tests.minting.admin.conftest import VIEWS, Staff

LIST = reverse("admin:readings_meterreading_changelist")


def select(client: Client, readings: list[MeterReading], *, query: str = "", across: bool = False):
    return client.post(
        LIST + query,
        {
            "action": "mint_selected",
            "_selected_action": [str(reading.pk) for reading in readings],
            "select_across": "1" if across else "0",
            "index": "0",
        },
    )


def confirm_url(selection: MintSelection) -> str:
    return reverse("admin:minting_mintselection_confirm", args=[selection.pk])


def frozen_by(client: Client, readings: list[MeterReading]) -> MintSelection:
    select(client, readings)
    return MintSelection.objects.latest("created_at")


# ------------------------------------------------------------------ freezing


def test_the_ticked_readings_are_frozen_and_the_page_carries_one_id(operator: Client):
    ticked, other = MeterReadingFactory(), MeterReadingFactory()
    answer = select(operator, [ticked])
    selection = MintSelection.objects.get()
    assert answer["Location"] == confirm_url(selection)
    assert ids_of(selection) == [ticked.pk]
    assert other.pk not in ids_of(selection)


def test_all_that_match_are_frozen_with_the_filters_of_the_list(operator: Client):
    pending = MeterReadingFactory.create_batch(60)
    MeterReadingFactory(status="held", code="no_wallet")
    select(operator, pending[:50], query="?status__exact=pending", across=True)
    assert set(ids_of(MintSelection.objects.get())) == {reading.pk for reading in pending}


def test_all_that_a_search_finds_are_frozen(operator: Client):
    resident = household()
    found = [resident.reading() for _ in range(3)]
    MeterReadingFactory()
    select(operator, found[:1], query=f"?q={resident.wallet.address}", across=True)
    assert set(ids_of(MintSelection.objects.get())) == {reading.pk for reading in found}


def test_freezing_brings_no_id_into_memory_and_counts_no_rows(db: None):
    user = User.objects.create_user("somebody")
    MeterReadingFactory.create_batch(5)
    with CaptureQueriesContext(connection) as queries:
        selection = freeze(MeterReading.objects.order_by("-submitted_at"), user)
    inserts = [each["sql"] for each in queries if "mintselectionitem" in each["sql"]]
    assert len(inserts) == 1
    assert "SELECT" in inserts[0]
    assert selection.items.count() == 5


def test_what_is_frozen_does_not_follow_the_list(operator: Client):
    reading = MeterReadingFactory()
    selection = frozen_by(operator, [reading])
    MeterReadingFactory()
    assert ids_of(selection) == [reading.pk]


def test_nothing_is_frozen_as_nothing(db: None):
    selection = freeze(MeterReading.objects.none(), User.objects.create_user("somebody"))
    assert ids_of(selection) == []


def test_selections_that_nobody_confirmed_are_forgotten(db: None):
    user = User.objects.create_user("somebody")
    MeterReadingFactory()
    old = freeze(MeterReading.objects.all(), user)
    MintSelection.objects.update(created_at=timezone.now() - KEPT - timedelta(minutes=1))
    new = freeze(MeterReading.objects.all(), user)
    assert forget_old() == 1
    assert not MintSelection.objects.filter(pk=old.pk).exists()
    assert MintSelectionItem.objects.count() == new.items.count() == 1


# ------------------------------------------------------------------ who may


def test_a_viewer_is_offered_no_action_and_gets_none(viewer: Client):
    reading = MeterReadingFactory()
    assert b"mint_selected" not in viewer.get(LIST).content
    select(viewer, [reading])
    assert not MintSelection.objects.exists()


def test_a_viewer_is_refused_the_confirmation(viewer: Client):
    selection = MintSelection.objects.create(created_by=User.objects.get(username="auditor"))
    assert viewer.get(confirm_url(selection)).status_code == 403
    assert viewer.post(confirm_url(selection)).status_code == 403


def test_another_persons_selection_is_refused(operator: Client, staff: Staff):
    selection = frozen_by(operator, [MeterReadingFactory()])
    colleague = staff("colleague", *VIEWS, "minting.mint_readings")
    assert colleague.get(confirm_url(selection)).status_code == 403
    assert colleague.post(confirm_url(selection)).status_code == 403
    assert not MintBatch.objects.exists()


def test_an_unknown_selection_is_not_found(operator: Client):
    url = reverse("admin:minting_mintselection_confirm", args=[uuid4()])
    assert operator.get(url).status_code == 404


# ------------------------------------------------------------------ confirming


def test_the_page_tells_what_would_happen(minting_chain: Any, operator: Client):
    resident = household()
    chosen = [resident.reading() for _ in range(3)]
    chosen.append(outsider().reading(status="held", code="no_wallet"))
    page = operator.get(confirm_url(frozen_by(operator, chosen))).content.decode()
    assert "Mint 3 of 4 readings?" in page
    assert "Mint 3 readings" in page
    assert "0.75 kWh" in page
    assert "0.75 tokens" in page
    assert "5,000" in page
    assert "2,039,280" in page
    assert "1 excluded" in page
    assert "no owner with a registered wallet" in page
    assert "OUTSIDE-1" in page
    assert not MintBatch.objects.exists()


def test_pressing_queues_once_and_shows_the_batch(minting_chain: Any, operator: Client):
    chosen: list[Any] = [household().reading(), MeterReadingFactory(status="failed")]
    selection = frozen_by(operator, chosen)
    first = operator.post(confirm_url(selection))
    again = operator.post(confirm_url(selection))
    batch = MintBatch.objects.get()
    assert (
        first["Location"]
        == again["Location"]
        == reverse("admin:minting_mintbatch_change", args=[batch.pk])
    )
    assert batch.source == BatchSource.ADMIN
    assert batch.created_by.username == "operator"
    assert batch.total_readings == 2
    assert batch.selection == selection
    assert operator.get(confirm_url(selection))["Location"] == first["Location"]


@pytest.mark.django_db(transaction=True)
def test_two_presses_at_once_make_one_batch(minting_chain: Any, staff: Staff):
    operator = staff("operator", *VIEWS, "minting.mint_readings")
    selection = frozen_by(operator, [household().reading()])
    together = Barrier(2)

    def press(_number: int) -> str:
        together.wait()
        try:
            return str(operator.post(confirm_url(selection))["Location"])
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        urls = set(pool.map(press, range(2)))
    assert urls == {reverse("admin:minting_mintbatch_change", args=[MintBatch.objects.get().pk])}


def test_nothing_mintable_has_no_button(minting_chain: Any, operator: Client):
    held = outsider().reading(status="held", code="no_wallet")
    selection = frozen_by(operator, [held])
    page = operator.get(confirm_url(selection)).content.decode()
    assert "None of these readings can be minted." in page
    assert 'id="mint"' not in page
    answer = operator.post(confirm_url(selection))
    assert "Empty batch provided" in answer.content.decode()
    assert not MintBatch.objects.exists()


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_refusal_is_a_sentence_and_queues_nothing(
    minting_chain: Any, operator: Client, settings: Any, method: str
):
    selection = frozen_by(operator, [household().reading()])
    settings.TOKENIZATION_DECIMALS = 6
    page = getattr(operator, method)(confirm_url(selection)).content.decode()
    assert "Nothing is queued" in page
    assert "decimals" in page
    assert 'id="mint"' not in page
    assert not MintBatch.objects.exists()


def test_a_poor_authority_has_no_button(minting_chain: Any, operator: Client):
    selection = frozen_by(operator, [household().reading()])
    poor = Account(lamports=1_000_000, data=b"", owner=SYSTEM_PROGRAM)
    minting_chain.net.set_account(minting_chain.authority.pubkey(), poor)
    page = operator.get(confirm_url(selection)).content.decode()
    # 2,044,280 for fee and rent, and 890,880 that a payer must keep.
    assert "The mint authority is short of 1,935,160 lamports (0.00193516 SOL)" in page
    assert 'id="mint"' not in page


def test_a_silent_node_costs_the_estimate_only(minting_chain: Any, operator: Client, settings: Any):
    selection = frozen_by(operator, [household().reading()])
    assert b"Network fee" in operator.get(confirm_url(selection)).content
    settings.SOLANA_RPC_URLS = ["http://127.0.0.1:9"]
    page = operator.get(confirm_url(selection)).content.decode()
    assert "No node answers, so the cost is not known" in page
    assert "Mint 1 reading" in page
    settings.BLOCKCHAIN_FEE_ESTIMATION_ENABLED = False
    assert b"Estimates are switched off" in operator.get(confirm_url(selection)).content
