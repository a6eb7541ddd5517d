"""Clients of the API: machines with a token, people with a session."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from rest_framework.test import APIClient

from minting.access.models import ApiToken
from minting.access.scopes import Scope


@pytest.fixture
def machine(db: None) -> Callable[..., APIClient]:
    """A client with a token of these scopes."""
    user = User.objects.create_user("machine")

    def client(*scopes: Scope) -> APIClient:
        _, token = ApiToken.objects.issue(user=user, scopes=list(scopes), expires_in=None)
        made = APIClient()
        made.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        return made

    return client


@pytest.fixture
def person(db: None) -> Callable[..., APIClient]:
    """A client with a session of somebody who has these permissions; CSRF is checked."""

    def client(*permissions: str, **extra: object) -> APIClient:
        user = User.objects.create_user("person", is_staff=True)
        for name in permissions:
            label, codename = name.split(".")
            user.user_permissions.add(
                Permission.objects.get(content_type__app_label=label, codename=codename)
            )
        made = APIClient(enforce_csrf_checks=True)
        made.force_login(user)
        return made

    return client


@pytest.fixture
def reader(machine: Callable[..., APIClient]) -> APIClient:
    """May look."""
    return machine(Scope.READ)


@pytest.fixture
def submitter(machine: Callable[..., APIClient]) -> APIClient:
    """May send readings."""
    return machine(Scope.SUBMIT)


@pytest.fixture
def minter(machine: Callable[..., APIClient]) -> APIClient:
    """May mint."""
    return machine(Scope.MINT)
