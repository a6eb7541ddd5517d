"""The admin's session: Django's permissions count, and CSRF is checked."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from rest_framework.test import APIClient

pytestmark = pytest.mark.django_db

READINGS = "/api/v1/readings"
SOME = "00000000-0000-4000-8000-000000000000"


def session(*codenames: str) -> APIClient:
    user = User.objects.create_user("operator", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(user)
    return client


def with_csrf(client: APIClient) -> dict[str, Any]:
    token = "a" * 32
    client.cookies["csrftoken"] = token
    return {"HTTP_X_CSRFTOKEN": token}


def test_a_permission_opens_what_the_scope_opens() -> None:
    assert session("view_meterreading").get(READINGS).status_code == 200


def test_without_the_permission_a_session_is_refused() -> None:
    assert session("add_meterreading").get(READINGS).status_code == 403


def test_a_post_without_csrf_is_refused() -> None:
    client = session("add_meterreading")

    refused = client.post(READINGS, [])
    assert refused.status_code == 403
    assert "CSRF" in refused.json()["detail"]
    assert client.post(READINGS, [], **with_csrf(client)).status_code == 200


def test_corrections_take_a_right_of_their_own() -> None:
    path = f"{READINGS}/{SOME}/corrections"

    client = session("add_meterreading")
    assert client.post(path, {"kwh_amount": "1"}, **with_csrf(client)).status_code == 403
    User.objects.all().delete()
    client = session("correct_meterreading")
    assert client.post(path, {"kwh_amount": "1"}, **with_csrf(client)).status_code == 404


def test_minting_takes_the_right_to_mint() -> None:
    client = session("view_meterreading", "add_meterreading")
    body = {"reading_ids": [SOME]}

    assert client.post("/api/v1/mint-batch", body, **with_csrf(client)).status_code == 403
