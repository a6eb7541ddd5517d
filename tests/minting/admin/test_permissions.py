"""Who may do what: every address of the admin and every action, by every ready-made group.

Addresses and actions are found, not listed: one that is not said here to need a right fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from axes.models import AccessAttempt, AccessLog
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, reverse
from django.utils import timezone

from minting.access.models import ApiCall, ApiToken
from minting.access.scopes import Scope
from minting.admin.dashboard import pages as dashboard
from minting.models import (
    MintApproval,
    MintingStop,
    MintSelection,
    PollingPause,
    Pulse,
    ReconcileFinding,
    ReconcileRun,
    WebhookDelivery,
    WebhookEndpoint,
)
from readings.models import (
    ImportFile,
    MeterAssignment,
    MeterReading,
    Owner,
    Wallet,
    WalletChange,
)
from tests.factories.readings import household
from tests.minting.admin import journal

ROOT = Path(__file__).resolve().parents[3]
GROUPS = ("Auditor", "Operator", "Approver", "Administrator")
NOBODY = "nobody"
"""Whoever logs in, without a group."""

EVERYBODY = ""
"""A page for all staff; what it shows of the rows of others, it asks for itself."""

NEVER = "never"
"""Not even for a superuser."""

COMMON = {
    "index": EVERYBODY,
    "search": EVERYBODY,
    "password_change": EVERYBODY,
    "password_change_done": EVERYBODY,
    "jsi18n": EVERYBODY,
    "view_on_site": EVERYBODY,
    "logout": EVERYBODY,
    "app_list": EVERYBODY,
}
OWN_PAGES = {
    "minting_mintbatch_cancel": "minting.mint_readings",
    "minting_mintbatch_retry": "minting.mint_readings",
    "minting_mintbatch_pack": "minting.view_mintbatch",
    "minting_mintselection_confirm": "minting.mint_readings",
    "minting_mintingstop_stop": "minting.stop_minting",
    "minting_mintingstop_resume": "minting.resume_minting",
    "minting_pollingpause_pause": "minting.pause_polling",
    "minting_pollingpause_resume": "minting.pause_polling",
    "minting_minttransaction_look": "minting.mint_readings",
    "minting_minttransaction_verify": "minting.view_minttransaction",
    "minting_minttransaction_export": "minting.view_minttransaction",
    "minting_mintresult_export": "minting.view_mintresult",
    "readings_meterreading_export": "readings.view_meterreading",
    "minting_statements": "minting.view_minttransaction",
    "minting_reconcilefinding_acknowledge": "minting.acknowledge_finding",
    "readings_meterreading_release": "readings.release_meterreading",
    "readings_meter_assign": "readings.add_meterassignment",
    "readings_owner_register_wallet": "readings.add_wallet",
    "readings_owner_forget": "readings.forget_owner",
    "auth_user_password_change": "auth.change_user",
    "auth_user_second_factor": "mfa.delete_authenticator",
    "access_apitoken_new": "access.add_apitoken",
    "access_apitoken_revoke": "access.delete_apitoken",
    "minting_mintapproval_approve": "minting.approve_batch",
    "minting_mintapproval_refuse": "minting.approve_batch",
    "readings_walletchange_approve": "readings.approve_walletchange",
    "readings_walletchange_refuse": "readings.approve_walletchange",
    "readings_walletchange_withdraw": "readings.add_wallet",
    "readings_walletchange_approve_selected": "readings.approve_walletchange",
    "minting_mintbatch_progress": "minting.view_mintbatch",
    "minting_mintbatch_details": "minting.view_mintbatch",
    "minting_mintresult_check": "minting.view_mintresult",
    "minting_receipt": "minting.view_mintresult",
    "readings_meterreading_held": "readings.view_meterreading",
    "minting_webhookendpoint_add": "minting.manage_webhooks",
    **{
        f"minting_webhookendpoint_{page}": "minting.manage_webhooks"
        for page in ("test", "replay", "enable", "disable", "remove", "edit", "secret")
    },
    "minting_webhookdelivery_replay": "minting.manage_webhooks",
    "readings_importfile_add": "readings.import_readings",
    "readings_importfile_upload_readings": "readings.import_readings",
    "readings_importfile_upload_registry": "readings.add_owner",
    "readings_importfile_registry": "readings.add_owner",
    "readings_importfile_decide": "readings.import_readings",
    "readings_importfile_options": "readings.import_readings",
    "readings_importfile_discard": "readings.import_readings",
    "readings_importfile_findings": "readings.view_importfile",
    "readings_importfile_content": "readings.view_importfile",
}
"""By the name of the address: the one right that opens it. A new page is said here, only here."""

NOT_OPENED = {
    "logout",  # would end the visit
    "minting_mintbatch_pack",  # wants a transaction of its own: test_pack opens it
    "minting_statements",  # likewise: test_statements
    "minting_minttransaction_verify",  # asks a node: test_proof
    "readings_importfile_decide",  # refuse whatever is not a POST: tests of imports do
    "readings_importfile_options",
    "readings_importfile_discard",
}
"""By who may."""

PARTS = {
    "work": ("readings.view_meterreading",),
    "chain": ("minting.view_mintinfo",),
    "workers": ("minting.view_mintbatch",),
    "month": ("minting.view_minttransaction",),
}
"""Of the dashboard: any of the rights shows something."""

WRITES = {
    "readings_owner": {"add", "delete"},
    "readings_meter": {"add", "delete"},
    "readings_wallet": {"add"},
    "readings_meterassignment": {"add"},
    "auth_user": {"add", "delete"},
    "auth_group": {"add", "delete"},
}
"""Tables whose rows a person may make or delete in the admin; all others only code writes."""

ACTIONS = {
    "mint_selected": "minting.mint_readings",
    "release_selected": "readings.release_meterreading",
    "acknowledge_selected": "minting.acknowledge_finding",
    "retire": "readings.add_wallet",
    "approve_selected": "readings.approve_walletchange",
    "replay_selected": "minting.manage_webhooks",
    "let_in": "axes.delete_accessattempt",
    "delete_selected": "delete",
}
"""``delete``: the table's own."""

pytestmark = pytest.mark.django_db


class Scene:
    """A row of everything, so that every page has something to show."""

    def __init__(self, people: dict[str, User]) -> None:
        batch = journal.failed_batch(readings=1)
        resident = household()
        resident.reading()
        now = timezone.now()
        run = ReconcileRun.objects.create(mint=journal.mint())
        finding = ReconcileFinding.objects.create(
            mint=run.mint, run=run, kind="missing", seen_at=now
        )
        stop = MintingStop.objects.create(
            reason="drill", stopped_by="x", resumed_by="x", resumed_at=now
        )
        token, _ = ApiToken.objects.issue(user=people[NOBODY], scopes=[Scope.READ], expires_in=None)
        wallet = Wallet.objects.first()
        assert wallet is not None
        waiting = MintApproval.objects.create(
            batch=journal.open_batch(),
            why="above",
            digest=bytes(32),
            expires_at=now,
            fee_cap_lamports=0,
        )
        endpoint = WebhookEndpoint.objects.create(
            url="https://example.org/", created_by="x", events=[], salt="00", secret_check="00"
        )
        told = WebhookDelivery.objects.create(
            endpoint=endpoint,
            sequence=1,
            message="m",
            type="batch.finished",
            body="{}",
            created_at=now,
            due_at=now,
            give_up_at=now,
        )
        self.people = people
        self.batch, self.transaction = batch, batch.transactions.get()
        self.rows: dict[str, Any] = {
            "minting_mintbatch": batch,
            "minting_minttransaction": self.transaction,
            "minting_mintresult": batch.results.get(),
            "minting_mintinfo": run.mint,
            "minting_mintingstop": stop,
            "minting_pollingpause": PollingPause.objects.create(
                reason="drill", paused_by="x", resumed_by="x", resumed_at=now
            ),
            "minting_reconcilerun": run,
            "minting_reconcilefinding": finding,
            "minting_mintapproval": waiting,
            "minting_webhookendpoint": endpoint,
            "minting_webhookdelivery": told,
            "readings_importfile": ImportFile.objects.create(
                kind="readings", name="june.csv", size=1, sha256="0" * 64, status="checked"
            ),
            "access_apicall": ApiCall.objects.create(
                username="x", endpoint="readings", path="/", effect=False, status=403
            ),
            "readings_meterreading": MeterReading.objects.mintable().first(),
            "readings_owner": wallet.owner,
            "readings_wallet": wallet,
            "readings_walletchange": WalletChange.objects.create(
                owner=wallet.owner,
                old_wallet=wallet,
                address=resident.wallet.address,
                way="command",
                expires_at=now + timedelta(days=1),
            ),
            "readings_meter": MeterAssignment.objects.get(owner=wallet.owner).meter,
            "readings_meterassignment": MeterAssignment.objects.get(owner=wallet.owner),
            "access_apitoken": token,
            "axes_accessattempt": AccessAttempt.objects.create(
                username="x", ip_address="127.0.0.1", failures_since_start=5
            ),
            "axes_accesslog": AccessLog.objects.create(username="x", ip_address="127.0.0.1"),
            "auth_user": people[NOBODY],
            "auth_group": Group.objects.get(name="Auditor"),
            "auditlog_logentry": apps.get_model("auditlog", "LogEntry").objects.first(),
        }

    def address(self, name: str, converters: list[str], user: User) -> str:
        """An address of this name with rows that are there."""
        arguments = {each: self._argument(each, name, user) for each in converters}
        return reverse(f"admin:{name}", kwargs=arguments)

    def _argument(self, parameter: str, name: str, user: User) -> Any:
        if parameter == "selection_id":
            return MintSelection.objects.get(created_by=user).pk
        if parameter == "app_label":
            return "minting"
        if parameter == "content_type_id":
            return ContentType.objects.get_for_model(User).pk
        if parameter == "kind":
            return "csv"
        if parameter == "result_id":
            return self.rows["minting_mintresult"].pk
        table = "_".join(name.split("_")[:2])
        return self.rows[table].pk if table in self.rows else user.pk


@pytest.fixture
def people(groups: None) -> dict[str, User]:
    made = {
        name: User.objects.create_user(name.lower(), password="x", is_staff=True)
        for name in (*GROUPS, NOBODY)
    }
    for name in GROUPS:
        made[name].groups.set([Group.objects.get(name=name)])
    made["superuser"] = User.objects.create_superuser("superuser", password="x")
    return made


@pytest.fixture
def scene(people: dict[str, User]) -> Scene:
    return Scene(people)


def addresses() -> Iterator[tuple[str, list[str]]]:
    """Every named address of the admin, and its parameters."""
    for pattern in _walk(admin.site.get_urls()):
        if pattern.name and pattern.name not in {"login", "autocomplete", "dashboard_part"}:
            regex = getattr(pattern.pattern, "regex", None)
            names = list(pattern.pattern.converters) or list(regex.groupindex if regex else ())
            yield pattern.name, names


def _walk(patterns: list[Any]) -> Iterator[URLPattern]:
    for each in patterns:
        if isinstance(each, URLResolver):
            yield from _walk(each.url_patterns)
        else:
            yield each


def right_for(name: str) -> str:
    """What an address needs; a page that nobody thought of here is an error."""
    if name in COMMON:
        return COMMON[name]
    if name in OWN_PAGES:
        return OWN_PAGES[name]
    found = re.fullmatch(r"([a-z]+)_([a-z]+)_(changelist|change|history|add|delete)", name)
    assert found, f"{name}: say in OWN_PAGES which right this page needs"
    app, model, page = found.groups()
    if page in {"add", "delete"}:
        return f"{app}.{page}_{model}" if page in WRITES.get(f"{app}_{model}", ()) else NEVER
    return f"{app}.view_{model}"


def may(user: User, right: str) -> bool:
    if right == NEVER:
        return False
    return right == EVERYBODY or user.has_perm(right)


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def rows_there_are() -> dict[str, int]:
    """Of every table; but for what looking and logging in writes."""
    mere = {Session, LogEntry, Pulse, AccessLog}
    return {
        model._meta.label: model._base_manager.count()
        for model in apps.get_models()
        if model not in mere and model._meta.managed
    }


@pytest.mark.parametrize("name", [*GROUPS, NOBODY, "superuser"])
def test_every_page_asks_for_its_right(scene: Scene, name: str):
    user = scene.people[name]
    client = client_of(user)
    MintSelection.objects.create(created_by=user)
    before = rows_there_are()
    wrong = []
    seen = 0
    for page, parameters in addresses():
        address = scene.address(page, parameters, user)
        allowed = may(user, right_for(page))
        answers = [] if allowed and page in NOT_OPENED else [client.get(address)]
        if not allowed:
            answers.append(client.post(address, {"reason": "because", "post": "yes"}))
        for answer in answers:
            # What takes POST alone says so first, and does nothing either.
            refused = answer.status_code == 403 or (not allowed and answer.status_code == 405)
            if refused is allowed or answer.status_code >= 500:
                wrong.append((page, answer.status_code, "may" if allowed else "may not"))
        seen += 1
    assert wrong == []
    assert rows_there_are() == before, "looking made or deleted a row"
    assert seen > 80


@pytest.mark.parametrize("name", [*GROUPS, NOBODY])
def test_every_action_asks_for_its_right(scene: Scene, name: str):
    user = scene.people[name]
    client = client_of(user)
    request: HttpRequest = RequestFactory().get("/")
    request.user = scene.people["superuser"]
    found = set()
    for model, page in admin.site._registry.items():
        names = set(page.get_actions(request))
        assert names <= ACTIONS.keys(), f"{model}: say in ACTIONS which right they need"
        found |= names
        request.user = user
        for action in names:
            right = ACTIONS[action]
            if right == "delete":
                right = f"{model._meta.app_label}.delete_{model._meta.model_name}"
            assert (action in page.get_actions(request)) is user.has_perm(right), (model, action)
            if user.has_perm(right) or model is MintSelection:
                continue
            table = f"{model._meta.app_label}_{model._meta.model_name}"
            before = rows_there_are(), list(Wallet.objects.values_list("retired_at", flat=True))
            client.post(
                reverse(f"admin:{table}_changelist"),
                {"action": action, "_selected_action": [str(scene.rows[table].pk)], "post": "yes"},
            )
            after = rows_there_are(), list(Wallet.objects.values_list("retired_at", flat=True))
            assert after == before, action
        request.user = scene.people["superuser"]
    assert found == ACTIONS.keys()


@pytest.mark.parametrize("part", PARTS)
def test_every_part_of_the_dashboard_asks_for_its_right(scene: Scene, part: str):
    address = reverse("admin:dashboard_part", args=[part])
    for user in scene.people.values():
        allowed = any(user.has_perm(right) for right in PARTS[part])
        assert (client_of(user).get(address).status_code == 200) is allowed
        assert client_of(user).post(address).status_code == 405
        index = client_of(user).get(reverse("admin:index")).content.decode()
        assert (f'data-part="{part}"' in index) is allowed
    assert Client().get(address).status_code == 302


def test_every_part_is_known_here():
    assert [part.name for part in dashboard.PARTS] == list(PARTS)


def test_outsiders_are_sent_to_the_login(scene: Scene):
    MintSelection.objects.create(created_by=scene.people[NOBODY])
    customer = User.objects.create_user("customer", password="x")
    for client in (Client(), client_of(customer)):
        for page, parameters in addresses():
            if page in {"logout", "jsi18n"}:
                continue
            answer = client.get(scene.address(page, parameters, scene.people[NOBODY]))
            assert answer.status_code == 302, page
            assert answer["Location"].startswith(reverse("admin:login")), page


# ------------------------------------------------------------------ the groups themselves


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


def test_a_registered_owner_is_not_written_by_who_only_looks(scene: Scene):
    owner = scene.rows["readings_owner"]
    change = reverse("admin:readings_owner_change", args=[owner.pk])
    answer = client_of(scene.people["Auditor"]).post(change, {"name": "Mallory"})
    assert answer.status_code == 403
    assert not Owner.objects.filter(name="Mallory").exists()
