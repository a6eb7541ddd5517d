"""What is told of logins: locks and factors in the change log, logins to the session.

Receivers of the libraries' signals; ``gridtoken.apps`` imports them.
"""

from __future__ import annotations

from typing import Any

import structlog
from allauth.account.internal.flows.login import record_authentication
from allauth.mfa import signals as mfa
from allauth.mfa.models import Authenticator
from auditlog.models import LogEntry
from axes.signals import user_locked_out
from django.contrib.auth.models import AbstractBaseUser, User
from django.contrib.auth.signals import user_logged_in
from django.contrib.contenttypes.models import ContentType
from django.dispatch import receiver
from django.http import HttpRequest

from gridtoken.login.factor import name_of
from gridtoken.login.middleware import begin
from gridtoken.proxy import client_address

log = structlog.get_logger(__name__)


def tell(
    about: AbstractBaseUser,
    *,
    changes: dict[str, list[str]],
    by: Any = None,
    request: HttpRequest | None = None,
    reason: str = "",
) -> None:
    """An entry in the change log, on the page of the user that it is about.

    Args:
        about: Whose door it is.
        changes: Field, and what it was before and after.
        by: Who did it; nobody for what happened at the login, or was done by a command.
        request: Where it came from.
        reason: As a person gave it.
    """
    actor = by if isinstance(by, User) else None
    name = actor.get_username() if actor else "the login" if request else ""
    entry = LogEntry(
        content_type=ContentType.objects.get_for_model(User),
        object_pk=str(about.pk),
        object_id=about.pk,
        object_repr=str(about),
        action=LogEntry.Action.UPDATE,
        changes={**changes, **({"reason": ["", reason]} if reason else {})},
        actor=actor,
        remote_addr=client_address(request) if request else None,
        additional_data={"actor": name} if name else None,
    )
    # In bulk, or auditlog would put whoever is logged in, who is nobody at a login, in its place.
    LogEntry.objects.bulk_create([entry])


@receiver(user_logged_in)
def _begin(request: HttpRequest, **_: Any) -> None:
    begin(request.session)


@receiver(user_locked_out)
def _locked(request: HttpRequest, username: str | None, **_: Any) -> None:
    """Told once a lock: further attempts are not counted."""
    # What was typed as a name may be a password: only names that there are, are told.
    person = User.objects.filter(username=username).first()
    log.warning("login_locked", user=person and person.username, address=client_address(request))
    if person and request.axes_failures_since_start is not None:  # type: ignore[attr-defined]
        tell(person, changes={"login": ["open", "locked"]}, request=request)


@receiver(mfa.authenticator_added)
def _added(request: HttpRequest, user: User, authenticator: Authenticator, **_: Any) -> None:
    if authenticator.type != Authenticator.Type.RECOVERY_CODES:
        # Whoever enrolled it has just shown it.
        shown = {"id": authenticator.pk, "type": authenticator.type}
        record_authentication(request, user, "mfa", **shown)
    tell(user, changes=_came(authenticator), by=user, request=request)


@receiver(mfa.authenticator_removed)
def _removed(request: HttpRequest, user: User, authenticator: Authenticator, **_: Any) -> None:
    came = {"second factor": [name_of(authenticator), "none"]}
    tell(user, changes=came, by=user, request=request)


@receiver(mfa.authenticator_reset)
def _reset(request: HttpRequest, user: User, authenticator: Authenticator, **_: Any) -> None:
    tell(user, changes=_came(authenticator), by=user, request=request)


@receiver(mfa.authenticator_used)
def _used(request: HttpRequest, user: User, authenticator: Authenticator, **_: Any) -> None:
    """A recovery code is a key that is gone, and perhaps somebody else's."""
    if authenticator.type != Authenticator.Type.RECOVERY_CODES:
        return
    authenticator.refresh_from_db()  # the code was struck off another copy
    left = len(authenticator.wrap().get_unused_codes())
    tell(
        user,
        changes={"recovery codes": [f"{left + 1} left", f"{left} left"]},
        by=user,
        request=request,
    )


def _came(authenticator: Authenticator) -> dict[str, list[str]]:
    return {"second factor": ["none", name_of(authenticator)]}
