"""A session ends in time, and opens nothing before a second factor was shown where one is asked."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import SESSION_KEY, logout
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse

from gridtoken.login.factor import factors_of, is_shown

BEGAN, SEEN = "began", "seen"
"""In a session: Unix times of the login and of a recent request."""
NOTED_EVERY = 60
"""Seconds: how exactly the last request is kept."""


class SessionMiddleware:
    """After Django's, which finds out who it is; before whatever asks who it is."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Whoever may not be who the session says is nobody, and is led to where that changes."""
        if SESSION_KEY not in request.session:
            return self._get_response(request)
        if _is_over(request.session):
            logout(request)
            return self._get_response(request)
        if settings.STAFF_MFA_REQUIRED and request.user.is_authenticated and not is_shown(request):
            return self._without_factor(request)
        return self._get_response(request)

    def _without_factor(self, request: HttpRequest) -> HttpResponseBase:
        has_one = factors_of(request.user).exists()
        if not has_one and request.path in _open_pages():
            return self._get_response(request)
        if request.path == reverse("admin:logout"):
            return self._get_response(request)
        if not request.path.startswith(reverse("admin:index")):
            # An API token may still open what the session does not.
            request.user = AnonymousUser()
            return self._get_response(request)
        if has_one:
            # It was never asked for it, or is from before the factor: only the login asks.
            logout(request)
            return redirect_to_login(request.get_full_path())
        return redirect_to_login(request.get_full_path(), reverse("mfa_activate_totp"))


def begin(session: SessionBase) -> None:
    """At a login: from here on it counts."""
    session[BEGAN] = session[SEEN] = int(time.time())


def _is_over(session: SessionBase) -> bool:
    """Too long ago, or too long unused; notes that it is used. One from before us begins now."""
    now = int(time.time())
    if BEGAN not in session:
        begin(session)
    age, idle = now - int(session[BEGAN]), now - int(session[SEEN])
    if age > settings.SESSION_COOKIE_AGE or idle > settings.SESSION_IDLE:
        return True
    if idle >= NOTED_EVERY:
        session[SEEN] = now
    return False


def _open_pages() -> set[str]:
    names = ("mfa_activate_totp", "mfa_add_webauthn", "account_reauthenticate", "admin:jsi18n")
    return {reverse(name) for name in names}
