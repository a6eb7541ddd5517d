"""The demo's people: one for each of the ready-made groups; the administrator may do anything."""

from __future__ import annotations

import os
from typing import Any

from django.contrib.auth.models import Group, User
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

PEOPLE = {
    "admin": "Administrator",
    "operator": "Operator",
    "approver": "Approver",
    "auditor": "Auditor",
}
"""User and group; ``admin`` is a superuser besides."""


class Command(BaseCommand):
    help = (
        "Makes the users admin, operator, approver and auditor, each in its group, with the "
        "passwords of DEMO_ADMIN_PASSWORD, DEMO_OPERATOR_PASSWORD, DEMO_APPROVER_PASSWORD and "
        "DEMO_AUDITOR_PASSWORD"
    )

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        for name, group in PEOPLE.items():
            user = _make(name, is_superuser=name == "admin")
            # The group's rights and no others: what it may not do is to be seen in the demo.
            user.user_permissions.clear()
            user.groups.set([Group.objects.get(name=group)])


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
