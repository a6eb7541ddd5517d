"""Who may do what: every address of the admin and every action, by every ready-made group."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from axes.models import AccessLog
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection
from django.http import HttpRequest, HttpResponseForbidden
from django.template.response import SimpleTemplateResponse
from django.test import Client, RequestFactory
from django.urls import reverse

from gridtoken import urls
from minting.admin.dashboard import pages as dashboard
from minting.models import MintSelection, Pulse
from readings.models import Owner, Wallet
from tests.minting.admin.rights import (
    ACTIONS,
    GROUPS,
    NOBODY,
    NOT_OPENED,
    PARTS,
    addresses,
    may,
    right_for,
)
from tests.minting.admin.scene import Scene, people

WHOLE = {"superuser", "Auditor"}
"""Whoever may everything, and whoever may but look, get pages; of the others' the answer counts."""

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene(groups: None) -> Scene:
    return Scene(people())


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@contextmanager
def unrendered() -> Iterator[None]:
    """Views decide as ever and gather what they show; spared are the frame and writing it out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(admin.site, "each_context", lambda _request: {})
        patch.setattr(SimpleTemplateResponse, "rendered_content", "")
        patch.setattr(urls, "handler403", lambda *_, **__: HttpResponseForbidden(), raising=False)
        yield


def rows_there_are() -> dict[str, int]:
    """Of every table; but for what looking and logging in writes."""
    mere = {Session, LogEntry, Pulse, AccessLog}
    tables = {
        model._meta.db_table
        for model in apps.get_models()
        if model not in mere and model._meta.managed
    }
    counts = [f"SELECT '{table}', count(*) FROM {table}" for table in tables]  # noqa: S608 - ours
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(counts))
        return dict(cursor.fetchall())


@pytest.mark.parametrize("name", [*GROUPS, NOBODY, "superuser"])
def test_every_page_asks_for_its_right(scene: Scene, name: str):
    user = scene.people[name]
    client = client_of(user)
    MintSelection.objects.create(created_by=user)
    before = rows_there_are()
    if name in WHOLE:
        wrong, seen = visit(client, user, scene)
    else:
        with unrendered():
            wrong, seen = visit(client, user, scene)
    assert wrong == []
    assert rows_there_are() == before, "looking made or deleted a row"
    assert seen > 80


def visit(client: Client, user: User, scene: Scene) -> tuple[list[Any], int]:
    """What a person was answered otherwise than they should be, and how many pages they asked."""
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
    return wrong, seen


@pytest.mark.parametrize("name", [*GROUPS, NOBODY])
def test_every_action_asks_for_its_right(scene: Scene, name: str):
    user = scene.people[name]
    client = client_of(user)
    request: HttpRequest = RequestFactory().get("/")
    found = set()
    for model, page in admin.site._registry.items():
        request.user = scene.people["superuser"]
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
            with unrendered():
                client.post(
                    reverse(f"admin:{table}_changelist"),
                    {
                        "action": action,
                        "_selected_action": [str(scene.rows[table].pk)],
                        "post": "yes",
                    },
                )
            after = rows_there_are(), list(Wallet.objects.values_list("retired_at", flat=True))
            assert after == before, action
    assert found == ACTIONS.keys()


def test_every_part_of_the_dashboard_asks_for_its_right(scene: Scene):
    for name, user in scene.people.items():
        client = client_of(user)
        index = client.get(reverse("admin:index")).content.decode()
        for part, rights in PARTS.items():
            allowed = any(user.has_perm(right) for right in rights)
            address = reverse("admin:dashboard_part", args=[part])
            assert (client.get(address).status_code == 200) is allowed, (name, part)
            assert client.post(address).status_code == 405
            assert (f'data-part="{part}"' in index) is allowed, (name, part)
    for part in PARTS:
        assert Client().get(reverse("admin:dashboard_part", args=[part])).status_code == 302


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


def test_a_registered_owner_is_not_written_by_who_only_looks(scene: Scene):
    owner = scene.rows["readings_owner"]
    change = reverse("admin:readings_owner_change", args=[owner.pk])
    answer = client_of(scene.people["Auditor"]).post(change, {"name": "Mallory"})
    assert answer.status_code == 403
    assert not Owner.objects.filter(name="Mallory").exists()
