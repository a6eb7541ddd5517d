"""Clients of the API: machines with a token of some scope."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework.test import APIClient

from minting.access.models import ApiToken
from minting.access.scopes import Scope


@pytest.fixture
def machine(db: None) -> Callable[..., APIClient]:
    """A client with a token of these scopes."""
    user = User.objects.create_user("machine")

    def client(*scopes: Scope) -> APIClient:
        row, token = ApiToken.objects.issue(user=user, scopes=list(scopes), expires_in=None)
        row.last_used_at = timezone.now()  # so that no call of a test is the one that notes it
        row.save()
        made = APIClient()
        made.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
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
