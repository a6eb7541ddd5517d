"""``manage.py forget_owner``: what is personal of an owner goes, for good."""

from __future__ import annotations

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from readings.intake import forget_owner
from readings.models import Owner


class Command(BaseCommand):
    help = (
        "Replaces an owner's name, deletes e-mail address, places of meters and what the change "
        "log and registry files quoted of them. Irreversible; readings, batches and results stay."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user_id", help="the platform's name for the person")
        parser.add_argument("--yes", action="store_true", help="without being asked")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Asks once, unless told not to.

        Raises:
            CommandError: There is no such owner, or nobody confirmed.
        """
        owner = Owner.objects.filter(user_id=options["user_id"]).first()
        if owner is None:
            raise CommandError(f"No owner has the user_id {options['user_id']}")
        if not options["yes"]:
            self.stderr.write(f"{owner}: this cannot be undone. Type the user_id to go on: ")
            if input() != owner.user_id:
                raise CommandError("Nothing was changed")
        done = forget_owner(owner, by=f"{getpass.getuser()} (command line)")
        self.stdout.write(
            f"{owner}: {done.meters} meters, {done.entries} lines of logs and {done.files} files "
            "told of the person; they do not any more"
        )
