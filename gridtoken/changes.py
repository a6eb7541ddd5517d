"""Who changed what: what django-auditlog has to be told (``settings.AUDITLOG_…``)."""

from __future__ import annotations

from typing import Any

from auditlog.middleware import AuditlogMiddleware
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

MASK = "***"


def masked(value: str) -> str:
    """In place of a secret: that it changed is told, nothing of it."""
    return MASK if value else ""


class ChangeLogMiddleware(AuditlogMiddleware):
    """Names whoever is found to ask: a session's user, or the user of an API token.

    A token is looked at after all middleware, in the view; so the actor is asked for when something
    is written, and requests that write nothing ask nothing.
    """

    def get_extra_data(self, request: HttpRequest) -> dict[str, Any]:
        """Also the user's name, which outlives the user."""
        data: dict[str, Any] = super().get_extra_data(request)
        return {**data, "additional_data": lambda: _name_of(request)}

    @staticmethod
    def _get_actor(request: HttpRequest) -> Any:
        return SimpleLazyObject(lambda: getattr(request, "user", None))

    @staticmethod
    def _get_remote_addr(request: HttpRequest) -> str | None:
        """As the trusted proxy says, or the peer: ``gridtoken.proxy`` has seen to that."""
        return request.META.get("REMOTE_ADDR") or None

    @staticmethod
    def _get_remote_port(request: HttpRequest) -> None:
        del request


def _name_of(request: HttpRequest) -> dict[str, str] | None:
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return None
    return {"actor": user.get_username()}
