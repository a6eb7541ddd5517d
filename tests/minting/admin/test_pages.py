"""Every page opens, in any state, with as many queries for many rows as for few."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from minting.models import MintBatch, MintInfo, MintResult, MintTransaction
from readings.models import MeterReading
from tests.minting.admin import journal

LISTS = ("mintbatch", "mintresult", "minttransaction", "mintinfo")


@pytest.fixture
def chief(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("chief", password="x"))
    return client


def test_empty_tables_open(chief: Client):
    for model in LISTS:
        assert chief.get(reverse(f"admin:minting_{model}_changelist")).status_code == 200
    assert chief.get(reverse("admin:readings_meterreading_changelist")).status_code == 200
    assert chief.get(reverse("admin:access_apitoken_changelist")).status_code == 200


def test_every_row_has_its_page(chief: Client):
    journal.minted_batch(readings=2)
    journal.failed_batch(readings=2)
    rows = [
        *MeterReading.objects.all(),
        *MintBatch.objects.all(),
        *MintResult.objects.all(),
        *MintTransaction.objects.all(),
        *MintInfo.objects.all(),
    ]
    for row in rows:
        name = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
        assert chief.get(reverse(name, args=[row.pk])).status_code == 200, row
