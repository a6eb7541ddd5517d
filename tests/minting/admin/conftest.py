"""Staff of the back office, and requests in their name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

Staff = Callable[..., Client]


@pytest.fixture
def staff(db: None) -> Staff:
    """A client logged in as a member of staff with just these rights."""

    def log_in(name: str, *rights: str) -> Client:
        user = User.objects.create_user(name, password="x", is_staff=True)
        for right in rights:
            app, codename = right.split(".")
            user.user_permissions.add(
                Permission.objects.get(content_type__app_label=app, codename=codename)
            )
        client = Client()
        client.force_login(user)
        return client

    return log_in


VIEWS = (
    "readings.view_meterreading",
    "minting.view_mintbatch",
    "minting.view_mintresult",
    "minting.view_minttransaction",
    "minting.view_mintinfo",
)


@pytest.fixture
def viewer(staff: Staff) -> Client:
    """Sees everything, may do nothing."""
    return staff("auditor", *VIEWS)


@pytest.fixture
def operator(staff: Staff) -> Client:
    """Does the daily work."""
    return staff("operator", *VIEWS, "minting.mint_readings", "readings.release_meterreading")
