"""The digest as a message: a subject that tells the worst, plain text, and the same as HTML."""

from __future__ import annotations

from email.utils import parseaddr

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from minting.monitoring.digest.concerns import Report, sol


def subject(told: Report) -> str:
    """The worst, and how much there is besides."""
    if not told.concerns:
        return f"GridToken: all is well, {told.minted.readings:,} readings minted"
    worst, *others = told.concerns
    more = f" (and {len(others)} more)" if others else ""
    return f"GridToken: {worst.title}{more}"


def plain(told: Report) -> str:
    """For people who read mail as text, and for the command."""
    return render_to_string("monitoring/digest.txt", _context(told)).strip() + "\n"


def html(told: Report) -> str:
    """The same words, with links."""
    return render_to_string("monitoring/digest.html", _context(told))


def letter(told: Report) -> EmailMultiAlternatives:
    """The message, to ``DIGEST_TO``; the same day's has the same id, should it go out twice."""
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "gridtoken"
    installation = (settings.ENERGY_TOKEN_MINT or "none")[:12]
    message = EmailMultiAlternatives(
        subject(told),
        plain(told),
        to=settings.DIGEST_TO,
        headers={
            "Message-ID": f"<digest.{told.day:%Y-%m-%d}.{installation}@{domain}>",
            # No answers of holidays to a machine (RFC 3834).
            "Auto-Submitted": "auto-generated",
        },
    )
    message.attach_alternative(html(told), "text/html")
    return message


def site() -> str:
    """Where the admin is, as people reach it; empty where only they know."""
    if settings.CSRF_TRUSTED_ORIGINS and "*" not in settings.CSRF_TRUSTED_ORIGINS[0]:
        return str(settings.CSRF_TRUSTED_ORIGINS[0])
    host = next(iter(settings.ALLOWED_HOSTS), "")
    if "." not in host.lstrip(".") or host.startswith(".") or "*" in host:
        return ""
    return f"{'https' if settings.DJANGO_HTTPS else 'http'}://{host}"


def _context(told: Report) -> dict[str, object]:
    return {
        "told": told,
        "subject": subject(told),
        "site": site(),
        "yesterday": (
            ("Readings minted", f"{told.minted.readings:,}"),
            ("Transactions", f"{told.minted.transactions:,}"),
            ("Failures", f"{told.minted.failed:,}"),
            ("SOL spent", sol(told.minted.spent)),
        ),
        "now": (
            ("Readings waiting", f"{told.waiting:,}"),
            ("Readings held", f"{told.held:,}"),
        ),
    }
