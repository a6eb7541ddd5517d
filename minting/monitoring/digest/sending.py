"""One digest a day for the whole installation, whichever workers live and die.

A row remembers the day. Whoever claims it sends; a claim that is neither done nor fresh is free
again. So no message is lost, and one goes out twice only where a worker dies between the mail
server's yes and its own note; both then bear the same id.
"""

from __future__ import annotations

import smtplib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from minting.models import Digest
from minting.monitoring.digest import letter
from minting.monitoring.digest.concerns import report

log = structlog.get_logger(__name__)

CLAIM = timedelta(minutes=9)
"""After which a worker that claimed a day, and did not note it as done, counts as gone."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one look."""

    sent: bool = False
    subject: str = ""
    reason: str = ""
    """Why nothing was sent."""


def send_if_due(now: datetime | None = None) -> Outcome:
    """Sends today's digest, once its hour has come and if there is something to tell.

    Args:
        now: Another moment than this one.
    """
    now = (now or timezone.now()).astimezone(UTC)
    if not settings.DIGEST_TO:
        return Outcome(reason="DIGEST_TO names nobody")
    if now.hour < settings.DIGEST_HOUR:
        return Outcome(reason="not yet")
    if not _claim(now):
        return Outcome(reason="done, or another worker is at it")
    told = report(now.date())
    if not told.concerns and not settings.DIGEST_ALWAYS:
        _note(now.date(), subject="")
        return Outcome(reason="nothing to tell")
    try:
        letter.letter(told).send()
    except OSError as error:  # smtplib's are such
        # The claim runs out, and the next look tries again.
        log.warning("digest_not_sent", reason=_without_addresses(error))
        return Outcome(reason="the mail server did not take it")
    subject = letter.subject(told)
    _note(now.date(), subject=subject)
    log.info("digest_sent", day=str(now.date()), recipients=len(settings.DIGEST_TO))
    return Outcome(sent=True, subject=subject)


@transaction.atomic
def _claim(now: datetime) -> bool:
    """Whether today's is ours to send."""
    row, ours = Digest.objects.get_or_create(day=now.date(), defaults={"claimed_at": now})
    if ours:
        return True
    free = Digest.objects.filter(day=row.day, done_at__isnull=True, claimed_at__lt=now - CLAIM)
    return bool(free.update(claimed_at=now))


def _note(day: date, *, subject: str) -> None:
    recipients = len(settings.DIGEST_TO) if subject else 0
    Digest.objects.filter(day=day).update(
        done_at=timezone.now(), subject=subject[:200], recipients=recipients
    )


def _without_addresses(error: Exception) -> str:
    """Mail servers quote who they refuse."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{type(error).__name__} {error.smtp_code}"
    return type(error).__name__
