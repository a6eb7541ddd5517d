"""``manage.py digest``: the e-mail to staff, as it would be written now."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from minting.management.answers import AnsweringCommand
from minting.monitoring.digest import letter
from minting.monitoring.digest.concerns import report


class Command(AnsweringCommand):
    help = (
        "Shows the digest as it would be written now, and sends nothing. With --send it goes to "
        "DIGEST_TO at once, besides the daily one."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--send", action="store_true", help="send it now, to DIGEST_TO")
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--html", action="store_true", help="as the message's HTML")
        form.add_argument("--json", action="store_true", help="answer as one JSON document")

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["send"] and not settings.DIGEST_TO:
            raise CommandError("DIGEST_TO names nobody")
        told = report(timezone.now().date())
        if options["send"]:
            try:
                letter.letter(told).send()
            except OSError as error:  # an SMTPException is one
                raise CommandError(f"The mail server did not take it: {error}") from error
            self.say(f"Sent to {', '.join(settings.DIGEST_TO)}")
        if options["json"]:
            document = {"subject": letter.subject(told), **asdict(told), "day": str(told.day)}
            self.answer_json({**document, "minted": {**document["minted"], "day": str(told.day)}})
        elif options["html"]:
            self.stdout.write(letter.html(told))
        else:
            self.stdout.write(f"Subject: {letter.subject(told)}\n\n{letter.plain(told)}", ending="")
