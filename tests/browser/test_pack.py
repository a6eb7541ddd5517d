"""An auditor downloads the pack of a batch and verifies it."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.minting.admin import journal
from tests.verify.packs import verify

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_an_auditor_downloads_a_pack(visitor: Visitor, tmp_path: Path):
    auditor = User.objects.create_user("auditor", password="password", is_staff=True)
    auditor.user_permissions.set(Permission.objects.filter(codename="view_mintbatch"))
    batch = journal.open_batch(readings=3)
    visitor.log_in("auditor", "password")
    visitor.go(f"/admin/minting/mintbatch/{batch.pk}/change/")
    expect(visitor.page.get_by_text("Retry failed")).to_have_count(0)
    visitor.picture("batch")

    with visitor.page.expect_download() as download:
        visitor.page.get_by_text("Audit pack").click()

    assert download.value.suggested_filename == f"audit-pack-{batch.pk}.jsonl"
    code, told = verify(Path(download.value.path()), tmp_path)
    assert code == 0, told
