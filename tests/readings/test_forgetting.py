"""An owner is forgotten: nothing of the person is in any table, and the books are as they were."""

from __future__ import annotations

import logging
from csv import writer

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from openpyxl import Workbook

from readings import intake
from readings.models import ImportFile, ImportPart, Owner, Wallet
from tests.factories.readings import address, household
from tests.tables import every_row

pytestmark = pytest.mark.django_db

HEAD = ["serial", "user_id", "owner_name", "owner_email", "wallet_address", "location", "held_from"]
ROW = [
    "TELL-1",
    "tell-1",
    "Somsri Telltale",
    "somsri@telltale.example",
    address("tell"),
    "7 Telltale Lane",
    "2025-01-01",
]


def registered(tmp_path) -> Owner:
    """By files in each way of writing, renamed on the way: the change log quotes all names."""
    for name, encoding in (
        ("Somsri Telltale", "utf-8"),
        ("Somsri Telltale & Söhne", "cp1252"),
        ('Somsri "Telltale" Ö', "utf-16"),
    ):
        with (tmp_path / "registry.csv").open("w", encoding=encoding) as file:
            writer(file).writerows([HEAD, [*ROW[:2], name, *ROW[3:]]])
        for _ in ("new", "the same: nothing is found in it"):
            call_command("import_registry", str(tmp_path / "registry.csv"))
    for name in ("Somsri Telltale & Söhne", "Somsri Telltale-Second"):
        book = Workbook()
        book.active.append(HEAD)
        book.active.append([*ROW[:2], name, *ROW[3:]])
        book.save(tmp_path / "registry.xlsx")
        for _ in ("new", "the same"):
            call_command("import_registry", str(tmp_path / "registry.xlsx"))
    return Owner.objects.get(user_id="tell-1")


def test_the_person_goes_and_the_books_stay(tmp_path, caplog, settings):
    caplog.set_level(logging.DEBUG)
    owner = registered(tmp_path)
    neighbour = household()
    admin = User.objects.create_superuser("root", password="x")
    client = Client()
    client.force_login(admin)
    change = reverse("admin:readings_owner_change", args=[owner.pk])
    form = client.get(change).context["adminform"].form
    assert form.initial["name"] == "Somsri Telltale-Second"
    client.post(change, {
        "name": "Somsri Telltale-Third", "email": "third@telltale.example",
        "wallets-TOTAL_FORMS": 0, "wallets-INITIAL_FORMS": 0,
    })  # fmt: skip
    assert Owner.objects.get(pk=owner.pk).name == "Somsri Telltale-Third"
    settings.APPROVAL_ABOVE_KWH = 1
    told = {"allow_program_owned": True, "exception_reason": "The vault of Somsri Telltale"}
    Wallet.objects.filter(owner=owner).update(**told)
    asked = intake.register_wallet(owner=owner, address=address("another"))
    said = "Somsri Telltale-Third knows nothing of it"
    intake.refuse_wallet_change(asked.pk, by=admin, reason=said)
    assert every_row().count("telltale") > 6
    caplog.clear()

    page = reverse("admin:readings_owner_forget", args=[owner.pk])
    assert "cannot be undone" in client.get(page).content.decode()
    assert Owner.objects.get(pk=owner.pk).email
    assert client.post(page, follow=True).status_code == 200

    assert "telltale" not in every_row()
    assert "telltale" not in caplog.text.lower()
    owner.refresh_from_db()
    assert (owner.name, owner.email, owner.user_id) == ("Forgotten owner", "", "tell-1")
    assert intake.is_forgotten(owner)
    asked.refresh_from_db()
    assert (asked.status, asked.reason) == ("refused", "*** knows nothing of it")
    wallet = owner.wallets.current().get()
    assert (wallet.address, wallet.exception_reason) == (address("tell"), "The vault of ***")
    assert owner.assignments.get(ends_at=None).meter.serial == "TELL-1"
    assert ImportFile.objects.count() == 10
    assert not ImportPart.objects.exists()
    history = client.get(reverse("admin:readings_owner_history", args=[owner.pk])).content.decode()
    assert "Forgotten owner" in history
    neighbour.owner.refresh_from_db()
    assert neighbour.owner.name != "Forgotten owner"
    # Again changes nothing.
    assert intake.forget_owner(owner, by="root").entries == 0


def test_who_may(tmp_path, capsys, monkeypatch):
    owner = registered(tmp_path)
    clerk = User.objects.create_user("clerk", password="x", is_staff=True)
    rights = Permission.objects.filter(content_type__app_label="readings")
    clerk.user_permissions.set(rights.filter(codename__in=["view_owner", "change_owner"]))
    client = Client()
    client.force_login(clerk)
    page = reverse("admin:readings_owner_forget", args=[owner.pk])
    assert client.post(page).status_code == 403
    clerk.user_permissions.add(rights.get(codename="forget_owner"))
    assert client.get(page).status_code == 200

    with pytest.raises(CommandError, match="No owner"):
        call_command("forget_owner", "nobody")
    monkeypatch.setattr("builtins.input", lambda: "no")
    with pytest.raises(CommandError, match="Nothing was changed"):
        call_command("forget_owner", "tell-1")
    assert Owner.objects.get(pk=owner.pk).name.startswith("Somsri")
    monkeypatch.setattr("builtins.input", lambda: "tell-1")
    call_command("forget_owner", "tell-1")
    assert "Forgotten owner (tell-1)" in capsys.readouterr().out
    assert "telltale" not in every_row()
