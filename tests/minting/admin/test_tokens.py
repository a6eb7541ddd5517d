"""Tokens and calls in the admin."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from rest_framework.test import APIClient

from minting.access.models import ApiCall, ApiToken
from tests.factories.readings import MeterReadingFactory
from tests.minting.api.history import queued_batch

pytestmark = pytest.mark.django_db

NEW = "/admin/access/apitoken/new/"


def staff(*codenames: str) -> Client:
    user = User.objects.create_user("officer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


def test_a_token_is_shown_once_works_and_is_revoked(admin_client: Client) -> None:
    machine = User.objects.create_user("gateway")
    asked = {"name": "roof", "user": machine.pk, "scopes": ["read"], "days": "30"}

    shown = admin_client.post(NEW, asked)

    assert "no-store" in shown["Cache-Control"]
    secret = shown.context["secret"]
    assert secret in shown.content.decode()
    token = ApiToken.objects.get()
    assert (token.name, token.user, token.scopes) == ("roof", machine, ["read"])
    assert token.created_by.username == "admin"
    assert token.expiry is not None
    assert APIClient().get("/api/v1/readings", HTTP_X_API_KEY=secret).status_code == 200
    page = f"/admin/access/apitoken/{token.pk}"
    for path in (NEW, "/admin/access/apitoken/", f"{page}/change/"):
        assert secret not in admin_client.get(path).content.decode()
    assert "Revoke" in admin_client.get(f"{page}/change/").content.decode()

    assert admin_client.get(f"{page}/revoke/").status_code == 200
    assert ApiToken.objects.get().is_valid
    assert admin_client.post(f"{page}/revoke/").status_code == 302

    assert APIClient().get("/api/v1/readings", HTTP_X_API_KEY=secret).status_code == 401
    assert ApiToken.objects.get().revoked_by == "admin"
    assert "revoked" in admin_client.get("/admin/access/apitoken/").content.decode()


def test_nobody_hands_out_more_than_he_has_or_a_colleague_s_name() -> None:
    client = staff("add_apitoken", "view_apitoken", "view_meterreading")
    machine = User.objects.create_user("gateway")
    colleague = User.objects.create_user("colleague", is_staff=True)
    asked = {"name": "x", "user": machine.pk, "scopes": ["read"], "days": ""}

    refused: list[dict[str, Any]] = [
        {"scopes": ["mint"]},
        {"user": colleague.pk},
        {"scopes": []},
        {"days": "0"},
    ]
    for wrong in refused:
        answer = client.post(NEW, asked | wrong)
        assert answer.context["form"].errors
        assert not ApiToken.objects.exists()
    assert client.post(NEW, asked).context["secret"]
    assert ApiToken.objects.get().expiry is None
    assert (
        client.post(f"/admin/access/apitoken/{ApiToken.objects.get().pk}/revoke/").status_code
        == 403
    )


def test_who_may_only_look_makes_none() -> None:
    client = staff("view_apitoken")
    assert client.get(NEW).status_code == 403
    assert client.post(NEW, {}).status_code == 403
    assert "New token" not in client.get("/admin/access/apitoken/").content.decode()


def test_a_batch_s_page_leads_to_its_calls(admin_client: Client) -> None:
    batch = queued_batch([MeterReadingFactory()])
    user = User.objects.get(username="admin")
    common = {"user": user, "username": "admin", "path": "/api/v1/mint-batch"}
    made = ApiCall.objects.create(
        endpoint="mint-batch", effect=True, batch=batch, token_beginning="12345678", **common
    )
    ApiCall.objects.create(
        endpoint="mint-batch", effect=False, status=422, code="invalid_batch_data", **common
    )

    page = admin_client.get(f"/admin/minting/mintbatch/{batch.id}/change/").content.decode()
    link = f"/admin/access/apicall/?batch={batch.id}"
    assert link in page
    listed = admin_client.get(link)
    assert list(listed.context["cl"].queryset) == [made]
    assert "not answered" in listed.content.decode()
    whole = admin_client.get("/admin/access/apicall/").content.decode()
    assert "422 invalid batch data" in whole
    one = admin_client.get(f"/admin/access/apicall/{made.pk}/change/")
    assert one.status_code == 200
    assert "12345678…" in one.content.decode()
    assert admin_client.get("/admin/access/apicall/?q=admin").context["cl"].result_count == 2
    assert admin_client.get(f"/admin/access/apicall/?q={batch.id}").context["cl"].result_count == 1
