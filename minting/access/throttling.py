"""Who calls too often: each token, each person, and addresses that try wrong tokens."""

from __future__ import annotations

import ipaddress
from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from minting.access.models import ApiToken
from minting.access.rates import take

WRONG_TOKENS = (60, 60)
"""Wrong tokens from one address, and the seconds that they are for."""


class CallerThrottle(BaseThrottle):
    """``API_RATE`` for each token, and for each person with a session."""

    _left = 0.0

    def allow_request(self, request: Request, _view: Any) -> bool:
        """Counts the call; nobody in particular, who is told no more than 401, is not counted."""
        subject = _subject(request)
        if subject is None:
            return True
        calls, seconds = settings.API_RATE
        self._left = take(subject, calls=calls, seconds=seconds)
        return not self._left

    def wait(self) -> float:
        """Seconds, for ``Retry-After``."""
        return self._left


def wrong_token_wait(request: Request) -> float:
    """Counts a wrong token against its address; the seconds to wait, once there were too many."""
    address = address_of(request)
    if address is None:
        return 0.0
    calls, seconds = WRONG_TOKENS
    return take(f"wrong token from {_neighbourhood(address)}", calls=calls, seconds=seconds)


def address_of(request: Request) -> str | None:
    """Where the request comes from, as far as a trusted proxy or the socket says so."""
    try:
        return str(ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")))
    except ValueError:
        return None


def _subject(request: Request) -> str | None:
    if isinstance(request.auth, ApiToken):
        return f"token {request.auth.digest[:64]}"
    if request.user is not None and request.user.is_authenticated:
        return f"user {request.user.pk}"
    return None


def _neighbourhood(address: str) -> str:
    """The address; of IPv6 the network of one site, within which a machine picks as it likes."""
    ip = ipaddress.ip_address(address)
    if ip.version == 4:
        return address
    return str(ipaddress.ip_network((ip, 64), strict=False))
