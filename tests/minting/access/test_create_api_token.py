"""``manage.py create_api_token``."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone
from rest_framework.test import APIClient

from minting.access.models import ApiToken

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    return User.objects.create_user("meter-gateway")


def create(*arguments: str) -> str:
    out, err = StringIO(), StringIO()
    call_command("create_api_token", *arguments, stdout=out, stderr=err)
    assert err.getvalue() == ""
    return out.getvalue()


def test_prints_a_token_that_works_and_nothing_else(user: User) -> None:
    told = create("meter-gateway", "--scope", "read")

    assert told.count("\n") == 1
    token = told.strip()
    assert len(token.split()) == 1
    assert APIClient().get("/api/v1/readings", HTTP_X_API_KEY=token).status_code == 200
    assert ApiToken.objects.get().scopes == ["read"]


def test_scopes_add_up(user: User) -> None:
    create("meter-gateway", "--scope", "submit", "--scope", "mint", "--scope", "submit")

    assert ApiToken.objects.get().scopes == ["mint", "submit"]


def test_without_a_scope_it_gets_the_usual_ones_and_never_the_registry(user: User) -> None:
    create("meter-gateway")

    row = ApiToken.objects.get()
    assert row.scopes == ["mint", "read", "submit"]
    assert row.expiry is None


def test_expires_when_told_to(user: User) -> None:
    create("meter-gateway", "--expires-in-days", "30")

    expiry = ApiToken.objects.get().expiry
    assert expiry is not None
    assert abs(expiry - timezone.now() - timedelta(days=30)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("nobody",),
        ("meter-gateway", "--scope", "everything"),
        ("meter-gateway", "--expires-in-days", "0"),
        ("meter-gateway", "--expires-in-days", "-1"),
        ("meter-gateway", "--expires-in-days", "99999999"),
        ("meter-gateway", "--expires-in-days", "soon"),
    ],
)
def test_what_makes_no_sense_makes_no_token(user: User, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        create(*arguments)

    assert not ApiToken.objects.exists()


def test_an_inactive_user_gets_none(user: User) -> None:
    User.objects.update(is_active=False)

    with pytest.raises(CommandError, match="no active user"):
        create("meter-gateway")
