"""The second factor of a person: what there is, whether a session showed it, and its removal."""

from __future__ import annotations

from collections.abc import Iterable

from allauth.account.authentication import get_authentication_records
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import (
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from allauth.mfa.utils import decrypt
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import transaction
from django.db.models import Min, QuerySet
from django.http import HttpRequest

LAST = "last_counter"
"""In an authenticator app's data: the time step of the last code that counted."""


def all_of(user: AbstractBaseUser | AnonymousUser) -> QuerySet[Authenticator]:
    """Whatever a person shows besides the password."""
    mine: QuerySet[Authenticator] = Authenticator.objects.filter(user_id=user.pk)
    return mine.order_by("pk")


def factors_of(user: AbstractBaseUser | AnonymousUser) -> QuerySet[Authenticator]:
    """What a person enrolled. Recovery codes stand in for a factor; they are none."""
    return all_of(user).exclude(type=Authenticator.Type.RECOVERY_CODES)


def is_shown(request: HttpRequest) -> bool:
    """Whether this session's person proved to hold a factor that is still there.

    Shown since the oldest of the person's factors is there: a session from before a lost one was
    removed is not opened again by its replacement.
    """
    shown = [
        record["at"]
        for record in get_authentication_records(request, request.user)
        if record["method"] == "mfa"
    ]
    if not shown:
        return False
    oldest = factors_of(request.user).aggregate(oldest=Min("created_at"))["oldest"]
    return oldest is not None and max(shown) >= oldest.timestamp()


@transaction.atomic
def spend(app: Authenticator, code: str) -> bool:
    """Notes that a valid code counted; whether it is newer than the last one that did (RFC 6238).

    In the database, so that it holds for all processes.
    """
    app = Authenticator.objects.select_for_update().get(pk=app.pk)
    secret = decrypt(app.data["secret"])
    wanted = "".join(code.split())
    steps = yield_hotp_counters_from_time()
    step = next((s for s in steps if format_hotp_value(hotp_value(secret, s)) == wanted), None)
    if step is None or step <= app.data.get(LAST, -1):
        return False
    app.data[LAST] = step
    app.save(update_fields=["data"])
    return True


@transaction.atomic
def remove_all(user: AbstractBaseUser) -> list[str]:
    """Takes away whatever a person enrolled, recovery codes too; returns what it was.

    Whoever is required to have a factor enrols anew at the next login.
    """
    found = all_of(user).select_for_update()
    names = [name_of(each) for each in found]
    found.delete()
    return names


def name_of(authenticator: Authenticator) -> str:
    """In people's words."""
    kind = Authenticator.Type(authenticator.type)
    words = {
        Authenticator.Type.TOTP: "authenticator app",
        Authenticator.Type.RECOVERY_CODES: "recovery codes",
    }
    return words.get(kind) or f"security key {authenticator}"


def listed(authenticators: Iterable[Authenticator]) -> str:
    """One line of what there is; empty for nothing."""
    return ", ".join(map(name_of, authenticators))
