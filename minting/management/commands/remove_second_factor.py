"""When nobody is left who could do it in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from gridtoken.login.events import tell
from gridtoken.login.factor import remove_all


class Command(BaseCommand):
    help = (
        "Removes a person's second factor, recovery codes too, and prints what it was; "
        "the next login asks for a new one"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--reason", default="", help="Kept in the change log")

    def handle(self, *args: Any, **options: Any) -> None:
        person = User.objects.filter(username=options["username"]).first()
        if person is None:
            raise CommandError(f"There is no user {options['username']}")
        removed = ", ".join(remove_all(person))
        if not removed:
            raise CommandError(f"{person.username} has no second factor")
        changes = {"second factor": [removed, "none"]}
        tell(person, changes=changes, reason=options["reason"])
        self.stdout.write(removed)
