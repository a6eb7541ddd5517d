"""Whose word about a request counts: ``X-Forwarded-*`` of a trusted proxy, nobody else's."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

UNTRUSTED = "gridtoken.forwarded"
"""In ``META``: whether somebody whom we do not trust says to speak for another."""


class TrustedProxyMiddleware:
    """Takes forwarded headers away, or takes the client's address from them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """The request as it left the client, as far as that is known for sure."""
        meta = request.META
        if _is_trusted(meta.get("REMOTE_ADDR", "")):
            # Each proxy appends who spoke to it: the last one that we do not trust is the client.
            for hop in reversed(meta.get("HTTP_X_FORWARDED_FOR", "").split(",")):
                if not hop.strip():
                    break
                meta["REMOTE_ADDR"] = hop.strip()
                if not _is_trusted(hop.strip()):
                    break
        else:
            forwarded = [name for name in meta if name.startswith("HTTP_X_FORWARDED_")]
            for name in forwarded:
                del meta[name]
            meta[UNTRUSTED] = bool(forwarded)
        return self._get_response(request)


def client_address(request: HttpRequest) -> str | None:
    """Who asks, as far as that is known for sure; ``None`` over a Unix socket without a proxy."""
    try:
        return str(ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")))
    except ValueError:
        return None


def _is_trusted(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(address in network for network in settings.DJANGO_TRUSTED_PROXY)
