"""The ready-made groups: what each is given, and that the docs say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission

from minting.models import MintSelection
from tests.minting.admin.rights import (
    ACTIONS,
    EVERYBODY,
    GROUPS,
    NEVER,
    OWN_PAGES,
    addresses,
    right_for,
)

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.django_db


def rights_of(group: str) -> set[str]:
    permissions = Permission.objects.filter(group__name=group).select_related("content_type")
    return {f"{each.content_type.app_label}.{each.codename}" for each in permissions}


def test_an_auditor_sees_every_page_and_changes_nothing(groups: None):
    shown = {
        f"{model._meta.app_label}.view_{model._meta.model_name}"
        for model in admin.site._registry
        if model is not MintSelection
    }
    assert rights_of("Auditor") == shown


def test_the_others_have_what_their_work_needs(groups: None):
    # Where webhooks lead is for those who keep the installation.
    work = {
        right
        for right in rights_of("Auditor")
        if right.startswith(("readings.", "minting.")) and "webhook" not in right
    }
    assert rights_of("Operator") - work == {
        "minting.mint_readings",
        "minting.pause_polling",
        "minting.stop_minting",
        "readings.import_readings",
        "readings.release_meterreading",
    }
    assert rights_of("Approver") - work == {
        "minting.approve_batch",
        "readings.approve_walletchange",
    }
    for group in ("Operator", "Approver"):
        assert work <= rights_of(group)
    for group in ("Auditor", "Operator", "Approver"):
        assert rights_of(group) < rights_of("Administrator")


def test_an_administrator_has_every_right_that_anything_asks_for(groups: None):
    asked = {right for right in {*OWN_PAGES.values(), *ACTIONS.values()} if "." in right}
    asked |= {right_for(name) for name, _ in addresses()} - {EVERYBODY, NEVER}
    assert asked <= rights_of("Administrator")


def test_the_docs_tell_the_groups_rights(groups: None):
    """Each right that a row of the table names in full is held by just the groups with a yes."""
    docs = (ROOT / "docs" / "operations.md").read_text()
    table = docs.partition("## Who may do what")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| ")]
    header, *lines = rows
    assert [each.strip() for each in header[1:]] == list(GROUPS)
    told = set()
    for words, *marks in lines:
        for right in re.findall(r"`(\w+\.\w+)`", words):
            told.add(right)
            holders = [name for name, mark in zip(GROUPS, marks, strict=True) if mark.strip()]
            assert [name for name in GROUPS if right in rights_of(name)] == holders, right
    asked = {right for right in OWN_PAGES.values() if ".view_" not in right}
    assert asked - {"auth.change_user"} <= told
