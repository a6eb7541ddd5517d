"""The pages of imports: who may, what they show, what a worker does."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django_q.models import OrmQ

from readings import tasks
from readings.admin import imports as pages
from readings.models import ImportFile, MeterReading, Owner
from tests.readings.imports.test_readings_file import csv, lines

pytestmark = pytest.mark.django_db

REGISTRY = (
    "add_owner", "change_owner", "add_wallet", "add_meter", "change_meter", "add_meterassignment",
)  # fmt: skip


def somebody(name: str, *rights: str) -> Client:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def utility(db) -> Client:
    return somebody("utility", "import_readings", *REGISTRY)


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:readings_importfile_{name}", args=args)


def bring(client: Client, told: bytes, *, kind="readings", name="march.csv") -> ImportFile:
    answer = client.post(page("add"), {"file": SimpleUploadedFile(name, told), "kind": kind})
    assert answer.status_code == 302, answer.content.decode()
    return ImportFile.objects.latest("id")


def test_a_small_file_is_looked_at_and_taken_at_once(utility, household):
    imported = bring(utility, csv(*lines()))
    shown = utility.get(page("change", imported.id)).content.decode()
    assert "To be decided" in shown
    assert imported.brought_by.username == "utility"
    answer = utility.post(page("decide", imported.id), follow=True).content.decode()
    assert "march.csv is imported" in answer
    assert MeterReading.objects.filter(import_file=imported).count() == 4
    again = utility.post(page("decide", imported.id), follow=True).content.decode()
    assert "Somebody was faster" in again

    same = bring(utility, csv(*lines()))
    assert "imported before" in utility.get(page("change", same.id)).content.decode()
    content = b"".join(utility.get(page("content", imported.id)).streaming_content)
    assert content == csv(*lines())
    findings = utility.get(page("findings", imported.id))
    assert b"".join(findings.streaming_content).startswith(b"line,outcome,code")
    assert "attachment" in findings["Content-Disposition"]


def test_a_large_file_waits_for_a_worker(utility, household, monkeypatch):
    monkeypatch.setattr(pages, "IN_PLACE", 10)
    imported = bring(utility, csv(*lines()))
    assert OrmQ.objects.count() == 1
    shown = utility.get(page("change", imported.id)).content.decode()
    assert 'hx-trigger="every 1s"' in shown
    assert tasks.work_imports() == 1
    shown = utility.get(page("change", imported.id)).content.decode()
    assert 'hx-trigger="every 1s"' not in shown
    utility.post(page("decide", imported.id))
    assert not MeterReading.objects.exists()
    assert tasks.work_imports() == 1
    assert MeterReading.objects.count() == 4
    assert tasks.work_imports() == 0


def test_rows_need_a_decision_and_corrections_a_right(utility, household):
    utility.post(page("decide", bring(utility, csv(*lines(count=1))).id))
    imported = bring(utility, csv(*lines(count=1, kwh="9"), "HOUSE-1,,,1"))
    shown = utility.post(page("decide", imported.id)).content.decode()
    assert "Say what becomes of them" in shown
    assert "become new revisions" not in shown

    corrector = somebody("corrector", "import_readings", "correct_meterreading")
    assert "become new revisions" in corrector.get(page("change", imported.id)).content.decode()
    corrector.post(page("decide", imported.id), {"corrections": "on", "skip_invalid": "on"})
    assert MeterReading.objects.current().get().kwh_amount == 9


def test_a_file_is_read_as_somebody_says(utility, household):
    told = csv(*lines(count=1)).replace(b"kwh", b"Einspeisung")
    imported = bring(utility, told)
    said = {"column_3": "exported", "column_0": "meter", "column_1": "start", "column_2": "end"}
    wrong = utility.post(page("options", imported.id), {**said, "interval_seconds": "-1"})
    assert wrong.status_code == 200
    utility.post(page("options", imported.id), {**said, "timezone": "Mars/Olympus"})
    imported.refresh_from_db()
    assert "no time zone" in imported.reason
    utility.post(page("options", imported.id), said)
    imported.refresh_from_db()
    assert (imported.status, imported.report["new"]) == ("checked", 1)
    assert imported.options == {"mapping": {"Einspeisung": "exported"}}
    utility.post(page("discard", imported.id))
    imported.refresh_from_db()
    assert imported.status == "discarded"
    assert utility.get(page("change", imported.id)).status_code == 200


def test_a_registry_is_shown_old_to_new(utility, household):
    told = b"Kunde;name;meter_serial;location\nanong;Anong S.;HOUSE-1;Nonthaburi\n"
    imported = bring(utility, told, kind="registry")
    assert imported.needs == ""
    imported.refresh_from_db()
    said = {"column_0": "user_id", "column_1": "name", "column_2": "serial", "column_3": "location"}
    utility.post(page("options", imported.id), said)
    shown = utility.get(page("change", imported.id)).content.decode()
    assert "Anong Srisuk" in shown
    assert "Anong S." in shown
    utility.post(page("decide", imported.id))
    assert Owner.objects.get(user_id="anong").name == "Anong S."


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_the_registry_comes_back_as_it_went(utility, household, outsider, kind):
    Owner.objects.filter(user_id="niran").update(name="=SUM(A1)")
    answer = utility.get(page("registry", kind))
    assert answer["Content-Disposition"].endswith(f'.{kind}"')
    imported = bring(utility, answer.content, kind="registry", name=f"registry.{kind}")
    imported.refresh_from_db()
    assert (imported.report["rows"], imported.report["duplicates"]) == (2, 2)
    assert (imported.report["changes"], imported.report["invalid"]) == ([], 0)
    assert utility.get(page("registry", "exe")).status_code == 404


def test_who_may(utility, household):
    imported = bring(utility, csv(*lines()))
    viewer = somebody("viewer", "view_importfile")
    nobody = somebody("nobody", "view_meter")
    registrar = somebody("registrar", *REGISTRY)
    for client, seen in ((viewer, 200), (nobody, 403), (registrar, 200)):
        assert client.get(page("changelist")).status_code == seen
        assert client.get(page("change", imported.id)).status_code == seen
        assert client.get(page("findings", imported.id)).status_code == seen
        assert client.get(page("add")).status_code == 403
        exports = client.get(page("registry", "csv")).status_code
        assert exports == (200 if client is registrar else 403)
        for name in ("decide", "options", "discard"):
            assert client.post(page(name, imported.id)).status_code == 403
    assert registrar.get(page("add") + "?kind=registry").status_code == 200
    assert utility.get(page("add") + "?kind=moon").status_code == 404
    assert utility.get(page("decide", imported.id)).status_code == 405
    assert utility.get(page("change", "nonsense")).status_code == 404


def test_what_is_too_large_is_told_in_the_form(utility, monkeypatch):
    monkeypatch.setattr("readings.imports.content.MAX_BYTES", 10)
    answer = utility.post(page("add"), {"file": SimpleUploadedFile("x", csv(*lines()))})
    assert "bring it in parts" in answer.content.decode()
