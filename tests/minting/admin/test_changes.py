"""The change log: who changed what of the registry and of access, from what to what."""

from __future__ import annotations

from typing import Any

import pytest
from auditlog.context import set_actor
from auditlog.models import LogEntry
from auditlog.registry import auditlog
from django.contrib.auth.models import Group, Permission, User
from django.db.models.signals import post_save, pre_save
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from gridtoken.changes import MASK, ChangeLogMiddleware
from minting.access.models import ApiToken
from minting.access.scopes import Scope
from minting.models import MintBatch, MintResult, MintTransaction
from readings import intake
from readings.models import Meter, MeterAssignment, MeterReading, Owner, Wallet
from tests.factories.readings import address, household

pytestmark = pytest.mark.django_db

LOG = reverse("admin:auditlog_logentry_changelist")


@pytest.fixture
def chief(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("chief", password="x"))
    return client


def changes_of(row: Any) -> list[tuple[str, dict[str, Any]]]:
    """Who, and what, the oldest first."""
    entries = LogEntry.objects.get_for_object(row).order_by("id")
    return [(each.actor.username if each.actor else "", each.changes) for each in entries]


def test_an_edit_tells_who_before_and_after(chief: Client):
    owner = Owner.objects.create(user_id="u-1", name="Mali", email="old@example.org")
    change = reverse("admin:readings_owner_change", args=[owner.pk])
    form = {"name": "Malee", "email": "old@example.org"}
    for prefix in ("wallets",):
        form |= {f"{prefix}-{each}_FORMS": "0" for each in ("TOTAL", "INITIAL")}
    assert chief.post(change, form).status_code == 302

    assert set(changes_of(owner)[0][1]) == {"id", "user_id", "name", "email", "created_at"}
    assert changes_of(owner)[-1] == ("chief", {"name": ["Mali", "Malee"]})
    history = chief.get(reverse("admin:readings_owner_history", args=[owner.pk])).content.decode()
    for word in ("chief", "Mali", "Malee", "Name"):
        assert word in history
    page = chief.get(LOG, {"q": "chief"}).content.decode()
    assert "u-1" in page
    (entry,) = LogEntry.objects.filter(object_pk=str(owner.pk), action=LogEntry.Action.UPDATE)
    one = chief.get(reverse("admin:auditlog_logentry_change", args=[entry.pk])).content.decode()
    assert "Malee" in one


def test_wallets_and_holders_tell_what_ended(chief: Client):
    owner, successor = (Owner.objects.create(user_id=each, name=each) for each in ("a", "b"))
    meter = Meter.objects.create(serial="SM-1")
    first = intake.register_wallet(owner=owner, address=address("first"))
    add = reverse("admin:readings_wallet_add")
    assert chief.post(add, {"owner": owner.pk, "address": address("second")}).status_code == 302
    who, retired = changes_of(first)[-1]
    assert (who, list(retired)) == ("chief", ["retired_at"])
    assert retired["retired_at"][0] == "None"
    history = chief.get(reverse("admin:readings_wallet_history", args=[first.pk])).content.decode()
    assert (
        f'<time datetime="{Wallet.objects.get(pk=first.pk).retired_at:%Y-%m-%dT%H:%M:%S}Z"'
        in history
    )
    second = Wallet.objects.current().get(owner=owner)
    who, made = changes_of(second)[0]
    assert (who, made["address"]) == ("chief", ["None", address("second")])

    held = intake.assign_meter(meter=meter, owner=owner, starts_at=timezone.now())
    assert changes_of(held)[0][0] == "", "nobody asked by a request"
    intake.assign_meter(meter=meter, owner=successor, starts_at=timezone.now())
    assert list(changes_of(held)[-1][1]) == ["ends_at"]
    assert MeterAssignment.objects.get(owner=owner).ends_at is not None


def test_rights_are_logged_and_secrets_are_not(chief: Client):
    clerk = User.objects.create_user("clerk", password="first secret", is_staff=True)
    group = Group.objects.create(name="Clerks")
    clerk.groups.add(group)
    group.permissions.add(Permission.objects.get(codename="view_owner"))
    clerk.set_password("second secret")
    clerk.save()
    clerk.last_login = timezone.now()
    clerk.save()

    (_, made), (_, joined), (_, changed) = changes_of(clerk)
    assert set(made["password"]) == {MASK}
    assert joined["groups"]["objects"] == ["Clerks"]
    assert changed == {"password": [MASK, MASK]}
    assert changes_of(group)[-1][1]["permissions"]["operation"] == "add"

    token, _ = ApiToken.objects.issue(user=clerk, scopes=[Scope.MINT], expires_in=None)
    token.revoke(by="chief")
    token.revoke(by="another")
    issued, revoked = LogEntry.objects.filter(content_type__model="apitoken").order_by("id")
    assert issued.changes["scopes"][1]
    assert revoked.changes["revoked_by"] == ["", "chief"]
    everything = str(list(LogEntry.objects.values()))
    assert token.digest not in everything
    assert clerk.password not in everything
    assert issued.object_pk == revoked.object_pk == str(token)
    page = chief.get(LOG).content.decode()
    assert "API token" in page
    history = chief.get(reverse("admin:auth_user_history", args=[clerk.pk])).content.decode()
    assert MASK in history
    assert "Clerks" in history


def test_whoever_a_token_names_did_it():
    """DRF finds the user in the view, after all middleware."""
    machine = User.objects.create_user("machine")

    def view(request: HttpRequest) -> HttpResponse:
        request.user = machine  # as DRF's request does with what it wraps
        Owner.objects.create(user_id="u-9", name="by a machine")
        return HttpResponse()

    request = HttpRequest()
    request.META["REMOTE_ADDR"] = "192.0.2.7"
    ChangeLogMiddleware(view)(request)

    (entry,) = LogEntry.objects.get_for_object(Owner.objects.get(user_id="u-9"))
    assert (entry.actor, entry.remote_addr) == (machine, "192.0.2.7")
    machine.delete()
    entry.refresh_from_db()
    assert entry.actor is None
    assert entry.additional_data == {"actor": "machine"}, "the name outlives the user"


def test_nobody_edits_the_log_and_not_everybody_reads_it(chief: Client, viewer: Client):
    owner = Owner.objects.create(user_id="u-1", name="Mali")
    (entry,) = LogEntry.objects.get_for_object(owner)
    page = reverse("admin:auditlog_logentry_change", args=[entry.pk])
    assert chief.post(page, {"object_repr": "another"}).status_code == 403
    delete = reverse("admin:auditlog_logentry_delete", args=[entry.pk])
    assert chief.post(delete, {"post": "yes"}).status_code == 403
    assert viewer.get(LOG).status_code == 403
    assert viewer.get(page).status_code == 403
    history = reverse("admin:readings_owner_history", args=[owner.pk])
    assert viewer.get(history).status_code == 403
    assert "a command" in chief.get(LOG).content.decode()
    assert chief.get(LOG, {"of": "wallet"}).context["cl"].result_count == 0
    assert chief.get(LOG, {"of": "owner"}).context["cl"].result_count == 1


@pytest.mark.parametrize("model", [MeterReading, MintBatch, MintResult, MintTransaction])
def test_what_is_written_in_bulk_is_not_listened_to(model: type[Any]):
    assert not auditlog.contains(model)
    for signal in (pre_save, post_save):
        assert not signal.has_listeners(model)


def test_a_reading_taken_in_writes_no_line():
    resident = household()
    before = LogEntry.objects.count()
    with set_actor(User.objects.create_user("operator")):
        made = LogEntry.objects.count()
        resident.reading()
    assert LogEntry.objects.count() == made
    assert made == before + 1
