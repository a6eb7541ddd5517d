"""``manage.py create_api_token``: a machine's key to the API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from minting.access.models import ApiToken
from minting.access.scopes import Scope

USUAL = (Scope.READ, Scope.SUBMIT, Scope.MINT)
"""What a token may do unless it is said otherwise."""

LONGEST = 36_500
"""Days: a century, past which a date may have no form."""


class Command(BaseCommand):
    help = "Prints a new API token of a user, once: only its digest is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument(
            "--scope",
            action="append",
            choices=[scope.value for scope in Scope],
            help="may be given several times; without it: " + ", ".join(USUAL),
        )
        parser.add_argument(
            "--expires-in-days", type=int, metavar="N", help="without it the token never expires"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        days = options["expires_in_days"]
        if days is not None and not 1 <= days <= LONGEST:
            raise CommandError(f"--expires-in-days is a whole number from 1 to {LONGEST}")
        users = get_user_model()
        user = users.objects.filter(**{users.USERNAME_FIELD: options["username"]}).first()
        if user is None or not user.is_active:
            raise CommandError(f"There is no active user {options['username']!r}")
        _, token = ApiToken.objects.issue(
            user=user,
            scopes=[Scope(scope) for scope in options["scope"] or USUAL],
            expires_in=None if days is None else timedelta(days=days),
        )
        self.stdout.write(token)
