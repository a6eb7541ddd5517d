"""A text is told by its shape, and every kind is a lookup by index."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from minting.admin import show
from minting.models import MintBatch, MintResult, MintTransaction
from readings.admin.search import Kind, sought
from readings.models import MeterReading, Wallet
from tests.factories.readings import MeterReadingFactory, household, outsider
from tests.minting.admin import journal

pytestmark = pytest.mark.django_db


def search(model: type[Model], text: object) -> QuerySet[Any]:
    page = admin.site._registry[model]
    rows = page.model._default_manager.order_by(*(page.ordering or ()))
    return page.get_search_results(HttpRequest(), rows, str(text))[0]


def ids(rows: Iterable[Model]) -> set[Any]:
    return {row.pk for row in rows}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("0199a3c2-7f5e-7abc-8def-0123456789ab", Kind.ID),
        ("0199a3c27f5e7abc8def0123456789ab", Kind.NAME),
        (" So11111111111111111111111111111111111111112 ", Kind.WALLET),
        ("5" * 88, Kind.SIGNATURE),
        ("HOUSE-1", Kind.NAME),
        ("a-b-c-d-e", Kind.NAME),
    ],
)
def test_the_shape_tells_the_kind(text: str, kind: Kind):
    assert sought(text).kind is kind


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("0199a3c2", {Kind.ID}),
        ("1199a3c2", {Kind.ID, Kind.SIGNATURE, Kind.WALLET}),
        ("1199a3c2-7f5e-7a", {Kind.ID}),
        ("1199-a3c2", set()),
        ("So11111111", {Kind.SIGNATURE, Kind.WALLET}),
        ("5" * 60, {Kind.SIGNATURE}),
        ("abc", set()),
        ("HOUSE-1", set()),
    ],
)
def test_a_text_tells_what_it_could_begin(text: str, begins: set[Kind]):
    assert sought(text).begins == begins


def test_what_pages_shorten_is_found_as_they_show_it():
    assert sought("So111111…1112").text == "So111111"
    assert sought("…").kind is Kind.NAME


def test_a_signature_is_told():
    signature = journal.minted_batch().transactions.get().signature
    assert sought(signature).kind is Kind.SIGNATURE


def test_readings_are_found_by_id_and_by_what_paid_them():
    batch = journal.minted_batch(readings=2)
    MeterReadingFactory()
    result = batch.results.first()
    paid = set(batch.results.values_list("reading", flat=True))
    assert ids(search(MeterReading, result.reading_id)) == {result.reading_id}
    assert ids(search(MeterReading, batch.transactions.get().signature)) == paid
    assert ids(search(MeterReading, result.wallet_address)) == {result.reading_id}


def test_readings_of_a_dead_transaction_are_found_by_its_signature():
    batch = journal.failed_batch(readings=2)
    paid = set(batch.results.values_list("reading", flat=True))
    assert ids(search(MeterReading, batch.transactions.get().signature)) == paid


def test_readings_are_found_by_how_id_wallet_and_signature_begin():
    batch = journal.minted_batch(readings=2)
    MeterReadingFactory()
    mine = household().reading()
    paid = set(batch.results.values_list("reading", flat=True))
    signature = batch.transactions.get().signature
    assert ids(search(MeterReading, str(mine.pk)[:13])) == {mine.pk}
    assert ids(search(MeterReading, signature[:8])) == paid
    assert ids(search(MeterReading, show.short(signature))) == paid
    assert ids(search(MeterReading, signature[:60])) == paid
    wallet = Wallet.objects.get(owner=mine.owner).address
    assert ids(search(MeterReading, wallet[:8])) == {mine.pk}


def test_what_begins_a_meter_and_a_signature_finds_both():
    batch = journal.minted_batch()
    resident = household()
    resident.meter.serial = batch.transactions.get().signature[:6]
    resident.meter.save()
    mine = resident.reading()
    found = {mine.pk, batch.results.get().reading_id}
    assert ids(search(MeterReading, resident.meter.serial)) == found


def test_readings_are_found_by_meter_owner_and_external_id():
    mine = household().reading(external_id="file-7")
    outsider().reading()
    for text in ("HOUSE-1", "HOUSE", "anong", "ano", "file-7"):
        assert ids(search(MeterReading, text)) == {mine.pk}, text
    assert ids(search(MeterReading, "nobody")) == set()


def test_a_text_that_begins_a_meter_and_an_owner_finds_both():
    one = household()
    two = outsider()
    two.meter.serial = "anongs-meter"
    two.meter.save()
    mine, theirs = one.reading(), two.reading()
    assert ids(search(MeterReading, "anong")) == {mine.pk, theirs.pk}


def test_results_transactions_and_batches_are_found_alike():
    batch = journal.minted_batch(readings=2)
    journal.failed_batch()
    result, transaction = batch.results.first(), batch.transactions.get()
    assert ids(search(MintResult, result.reading_id)) == {result.pk}
    assert ids(search(MintResult, transaction.signature)) == ids(batch.results.all())
    assert ids(search(MintResult, result.wallet_address)) == {result.pk}
    for text in (transaction.signature, result.reading_id, result.wallet_address, batch.pk):
        assert ids(search(MintTransaction, text)) == {transaction.pk}, text
        assert ids(search(MintBatch, text)) == {batch.pk}, text
    for model in (MintResult, MintTransaction, MintBatch):
        assert ids(search(model, "neither")) == set()


def test_a_dead_transaction_is_found_by_the_reading_it_would_have_paid():
    batch = journal.failed_batch()
    reading = batch.results.get().reading_id
    assert ids(search(MintTransaction, reading)) == ids(batch.transactions.all())


BEGUN = ("begun id", "begun signature", "begun wallet")


@pytest.mark.parametrize("what", ["id", "signature", "wallet", *BEGUN, "meter", "owner", "nothing"])
def test_no_search_of_readings_walks_the_table(what: str):
    resident = household()
    resident.reading()
    batch = journal.minted_batch()
    text = {
        "id": batch.results.get().reading_id,
        "signature": batch.transactions.get().signature,
        "wallet": batch.results.get().wallet_address,
        "begun id": str(batch.results.get().reading_id)[:13],
        "begun signature": batch.transactions.get().signature[:10],
        "begun wallet": resident.wallet.address[:10],
        "meter": resident.meter.serial,
        "owner": resident.owner.user_id,
        "nothing": "no such thing",
    }[what]
    with connection.cursor() as cursor:
        # A planner may walk a table of three rows; one that has a way round must take it then.
        cursor.execute("SET LOCAL enable_seqscan = off")
        plan = search(MeterReading, text).order_by().explain()
    assert "Seq Scan" not in plan, plan
