"""Who may come in, by which header, and what for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework.test import APIClient

from minting.access.models import ApiToken
from minting.access.scopes import Scope

pytestmark = pytest.mark.django_db

READINGS = "/api/v1/readings"


@pytest.fixture
def user() -> User:
    return User.objects.create_user("machine")


def token(user: User, *scopes: Scope, expires_in: timedelta | None = None) -> str:
    return ApiToken.objects.issue(user=user, scopes=list(scopes), expires_in=expires_in)[1]


def test_either_header_opens(user: User) -> None:
    key = token(user, Scope.READ)

    assert APIClient().get(READINGS, HTTP_AUTHORIZATION=f"Bearer {key}").status_code == 200
    assert APIClient().get(READINGS, HTTP_AUTHORIZATION=f"bearer {key}").status_code == 200
    assert APIClient().get(READINGS, HTTP_X_API_KEY=key).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"HTTP_AUTHORIZATION": "Bearer"},
        {"HTTP_AUTHORIZATION": "Bearer unknown"},
        {"HTTP_AUTHORIZATION": "Bearer two words"},
        {"HTTP_AUTHORIZATION": "Bearer \xff\xfe"},
        {"HTTP_AUTHORIZATION": "Bearer a\x00b"},
        {"HTTP_AUTHORIZATION": "Basic bWFjaGluZTpwYXNz"},
        {"HTTP_X_API_KEY": "unknown"},
        {"HTTP_X_API_KEY": "ключ"},
        {"HTTP_X_API_KEY": "  "},
    ],
)
def test_without_a_valid_token_nobody_comes_in(headers: dict[str, Any]) -> None:
    response = APIClient().get(READINGS, **headers)

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["code"] in {"not_authenticated", "authentication_failed"}


def test_a_token_that_is_nearly_right_is_wrong(user: User) -> None:
    key = token(user, Scope.READ)
    last = "0" if key[-1] != "0" else "1"

    assert APIClient().get(READINGS, HTTP_X_API_KEY=key[:-1] + last).status_code == 401


def test_an_expired_token_and_that_of_an_inactive_user_are_refused(user: User) -> None:
    key = token(user, Scope.READ, expires_in=timedelta(days=1))
    assert APIClient().get(READINGS, HTTP_X_API_KEY=key).status_code == 200

    ApiToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    assert APIClient().get(READINGS, HTTP_X_API_KEY=key).status_code == 401

    key = token(user, Scope.READ)
    user.is_active = False
    user.save()
    assert APIClient().get(READINGS, HTTP_X_API_KEY=key).status_code == 401


def test_only_a_digest_is_kept(user: User) -> None:
    key = token(user, Scope.READ)
    row = ApiToken.objects.get()

    assert key not in {str(value) for value in vars(row).values()}
    assert key.startswith(row.token_key)
    assert len(row.token_key) < len(key) / 4


def test_a_method_that_is_none_is_told_as_such(user: User) -> None:
    key = token(user, *Scope)

    refused = APIClient().put(READINGS, {}, HTTP_X_API_KEY=key)
    assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed")
    assert "POST" in refused["Allow"]
    assert APIClient().options("/api/v1/mint-batch", HTTP_X_API_KEY=key).status_code == 200
    assert APIClient().head(READINGS, HTTP_X_API_KEY=key).status_code == 200


def test_a_token_of_somebody_mighty_may_what_its_scopes_say(user: User) -> None:
    user.is_superuser = True
    user.save()
    key = token(user, Scope.SUBMIT)

    assert APIClient().get(READINGS, HTTP_X_API_KEY=key).status_code == 403
