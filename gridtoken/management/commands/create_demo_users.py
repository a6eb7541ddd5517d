"""The demo's people: one who may do everything, one who does the daily work."""

from __future__ import annotations

import os
from typing import Any

from django.contrib.auth.models import Permission, User
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

DAILY_WORK = ("readings", "minting")
"""The applications whose every permission an operator has."""


class Command(BaseCommand):
    help = "Makes the users admin and operator, with DEMO_ADMIN_PASSWORD and DEMO_OPERATOR_PASSWORD"

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        _make("admin", is_superuser=True)
        operator = _make("operator", is_superuser=False)
        work = Permission.objects.filter(content_type__app_label__in=DAILY_WORK)
        operator.user_permissions.set(work)


def _make(name: str, *, is_superuser: bool) -> User:
    """Made once: who changed the password since keeps it."""
    variable = f"DEMO_{name.upper()}_PASSWORD"
    if not (password := os.environ.get(variable)):
        raise CommandError(f"{variable} is not set")
    rights = {"is_staff": True, "is_superuser": is_superuser}
    user, is_new = User.objects.get_or_create(username=name, defaults=rights)
    if is_new:
        user.set_password(password)
        user.save()
    return user
