"""Every page opens, in any state, read-only, with as many queries for many rows as for few."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django_q.models import Failure, OrmQ, Schedule, Success

from minting.access.models import ApiToken
from minting.access.scopes import Scope
from minting.admin import show
from minting.models import MintBatch, MintInfo, MintResult, MintSelection, MintTransaction
from readings.admin import lists
from readings.models import MeterReading, Wallet
from tests.factories.readings import MeterReadingFactory, household, outsider
from tests.minting.admin import journal
from tests.minting.admin.conftest import VIEWS, Staff

MODELS = (MeterReading, MintBatch, MintResult, MintTransaction, MintInfo)


@pytest.fixture
def chief(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("chief", password="x"))
    return client


def url(model: type[Model], page: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def queries_of(client: Client, address: str) -> int:
    client.get(address)  # what is asked once in a process, is asked now
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    return len(queries)


@pytest.mark.parametrize("model", [*MODELS, ApiToken, User, Group])
def test_empty_tables_open(chief: Client, model: type[Any]):
    assert chief.get(url(model, "changelist")).status_code == 200


def test_every_row_has_its_page_and_nobody_changes_it(chief: Client):
    journal.minted_batch(readings=2)
    journal.failed_batch(readings=2)
    journal.doubtful_batch()
    journal.open_batch()
    for model in MODELS:
        assert chief.get(url(model, "add")).status_code == 403
        for row in model.objects.all():
            page = url(model, "change", row.pk)
            assert chief.get(page).status_code == 200, row
            assert chief.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403
            assert b'name="_save"' not in chief.get(page).content


@pytest.mark.parametrize("model", MODELS[:-1])
def test_a_list_asks_as_often_for_many_rows_as_for_few(chief: Client, model: type[Any]):
    journal.minted_batch(readings=2)
    few = queries_of(chief, url(model, "changelist"))
    for _ in range(4):
        journal.minted_batch(readings=3)
        journal.failed_batch(readings=3)
    assert queries_of(chief, url(model, "changelist")) == few


def test_a_batch_asks_as_often_for_many_readings_as_for_few(chief: Client):
    few = queries_of(chief, url(MintBatch, "change", journal.failed_batch(readings=2).pk))
    many = queries_of(chief, url(MintBatch, "change", journal.failed_batch(readings=12).pk))
    assert few == many


def test_a_transaction_asks_as_often_for_many_readings_as_for_few(chief: Client):
    few = journal.minted_batch(readings=2).transactions.get()
    many = journal.minted_batch(readings=12).transactions.get()
    page = {each.pk: url(MintTransaction, "change", each.pk) for each in (few, many)}
    assert queries_of(chief, page[few.pk]) == queries_of(chief, page[many.pk])


def test_lists_are_counted_to_a_limit(chief: Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lists, "COUNTED", 100)
    MeterReadingFactory.create_batch(101)
    answer = chief.get(url(MeterReading, "changelist"))
    assert answer.context["cl"].result_count == 100
    assert "more than 100" in " ".join(answer.content.decode().split())


# ------------------------------------------------------------------ a batch's page


def test_a_batch_tells_its_story(viewer: Client):
    excluded = outsider().reading(status="held", code="no_wallet")
    left_out = {"reading_id": str(excluded.pk), "code": "no_wallet", "reason": "Nobody to pay."}
    batch = journal.open_batch(readings=2, excluded=[left_out])
    page = viewer.get(url(MintBatch, "change", batch.pk)).content.decode()
    assert "Nobody to pay." in page
    assert "OUTSIDE-1" in page
    assert "2,044,280 lamports" in page
    assert 'data-over="false"' in page
    assert "Cancel batch" not in page


def test_a_batch_tells_failures_and_doubts(viewer: Client):
    failed, doubtful = journal.failed_batch(readings=3), journal.doubtful_batch()
    page = viewer.get(url(MintBatch, "change", failed.pk)).content.decode()
    assert "The token account is frozen" in page
    assert 'data-over="true"' in page
    page = viewer.get(url(MintBatch, "change", doubtful.pk)).content.decode()
    assert "In doubt" in page
    assert doubtful.transactions.get().signature in page


def test_a_batch_tells_what_is_parked_and_why(viewer: Client):
    batch = journal.open_batch()
    batch.slices.update(
        parked_until=timezone.now() + timedelta(minutes=10), parked_reason="5 workers died of it."
    )
    page = viewer.get(url(MintBatch, "change", batch.pk)).content.decode()
    assert "Slice 0 parked, until then" in page
    assert "5 workers died of it." in page


def test_an_unknown_batch_leads_back(viewer: Client):
    assert viewer.get(url(MintBatch, "change", "no-such-batch")).status_code == 302


def test_a_batch_is_cancelled_after_one_question(operator: Client):
    batch = journal.open_batch(readings=2)
    assert b"Cancel batch" in operator.get(url(MintBatch, "change", batch.pk)).content
    page = url(MintBatch, "cancel", batch.pk)
    assert operator.get(page).status_code == 200
    batch.refresh_from_db()
    assert batch.status == "queued"
    answer = operator.post(page, follow=True)
    assert "Free again: 2 readings" in answer.content.decode()
    batch.refresh_from_db()
    assert (batch.status, batch.cancel_requested_by) == ("cancelled", "operator")
    assert set(MeterReading.objects.values_list("status", flat=True)) == {"pending"}
    assert "Nothing was left to cancel" in operator.post(page, follow=True).content.decode()


def test_cancelling_needs_the_right_to_mint(viewer: Client):
    batch = journal.open_batch()
    assert viewer.get(url(MintBatch, "cancel", batch.pk)).status_code == 403
    assert viewer.post(url(MintBatch, "cancel", batch.pk)).status_code == 403
    batch.refresh_from_db()
    assert batch.status == "queued"


# ------------------------------------------------------------------ the rest


def test_explorer_links(viewer: Client, settings):
    transaction = journal.minted_batch().transactions.get()
    page = url(MintTransaction, "change", transaction.pk)
    assert "in the explorer" not in viewer.get(page).content.decode()
    settings.EXPLORER_URL = "https://explorer.example/"
    link = f"https://explorer.example/tx/{transaction.signature}"
    assert link in viewer.get(page).content.decode()


def test_tokens_are_revoked_and_never_shown(chief: Client, viewer: Client):
    user = User.objects.create_user("machine")
    token, clear = ApiToken.objects.issue(
        user=user, scopes=[Scope.READ, Scope.MINT], expires_in=timedelta(days=1)
    )
    page = chief.get(url(ApiToken, "changelist")).content.decode()
    assert "mint, read" in page
    assert clear not in page
    assert clear not in chief.get(url(ApiToken, "change", token.pk)).content.decode()
    assert chief.get(url(ApiToken, "add")).status_code == 403
    revoke = f"/admin/access/apitoken/{token.pk}/revoke/"
    assert viewer.post(revoke).status_code == 403
    chief.post(url(ApiToken, "delete", token.pk), {"post": "yes"})
    assert ApiToken.objects.get().is_valid
    chief.post(revoke)
    assert not ApiToken.objects.get().is_valid


def test_the_queue_and_selections_have_no_lists(chief: Client):
    for model in (OrmQ, Schedule, Success, Failure):
        assert not admin.site.is_registered(model)
    with pytest.raises(NoReverseMatch):
        url(MintSelection, "changelist")
    assert "selection" not in chief.get(reverse("admin:index")).content.decode().lower()


def test_the_sidebar_shows_what_one_may_see(viewer: Client, staff: Staff):
    assert url(MintBatch, "changelist") in viewer.get(reverse("admin:index")).content.decode()
    clerk = staff("clerk", VIEWS[0])
    assert url(MintBatch, "changelist") not in clerk.get(reverse("admin:index")).content.decode()


def test_numbers_are_exact_and_have_units(settings):
    assert show.tokens(1_234_567_891) == "1.234567891 tokens"
    assert show.tokens(18_446_744_073_709_551_615) == "18,446,744,073.709551615 tokens"
    assert show.sol(1) == "0.000000001 SOL"
    assert show.sol(-5_000) == "-0.000005 SOL"
    assert show.sol(3_000_000_000) == "3 SOL"
    assert show.lamports(2_039_280) == "2,039,280 lamports"


def crumbs(client: Client, url: str) -> str:
    """What stands above a page: where one is."""
    page = client.get(url).content.decode()
    head = page.partition("<h1")[2].partition("</h1>")[0]
    return " ".join(re.sub("<[^>]*>", " ", head).split()).replace("chevron_right", ">")


def test_a_page_is_called_as_people_call_what_it_shows(chief: Client):
    reading = household().reading(energy_generated=Decimal("0.5"))
    end = f"{reading.period_end:%H:%M} UTC"
    url = reverse("admin:readings_meterreading_change", args=[reading.pk])
    told = crumbs(chief, url)
    assert f"> HOUSE-1, {reading.period_start:%Y-%m-%d %H:%M} to " in told
    assert told.endswith(end)
    assert "0.5 kWh" in chief.get(url).content.decode()
    row = journal.minted_batch().transactions.get()
    url = reverse("admin:minting_minttransaction_change", args=[row.pk])
    assert crumbs(chief, url).endswith(f"> Transaction {show.short(row.signature)}")
    assert "Differences" in crumbs(chief, reverse("admin:minting_reconcilefinding_changelist"))


@pytest.mark.parametrize("model", [MeterReading, Wallet, Group])
def test_forged_rows_of_an_action_are_refused(chief: Client, model: type[Any]):
    action = {MeterReading: "mint_selected", Wallet: "retire"}.get(model, "delete_selected")
    form = {"action": action, "_selected_action": ["zzz"], "post": "yes"}
    page = chief.post(url(model, "changelist"), form, follow=True)
    assert "No such rows" in page.content.decode()
