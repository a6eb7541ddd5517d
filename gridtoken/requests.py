"""One line for each request, and the id by which all that comes of it is found."""

from __future__ import annotations

import re
import sys
import uuid
from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django_structlog.middlewares import RequestMiddleware

from gridtoken.away import DATABASE_AWAY

HEADER = "X-Request-ID"
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked by machines every few seconds, at whatever address they find us."""

_USABLE = re.compile(r"[A-Za-z0-9._~:+/=@-]{1,128}", re.ASCII)


class RequestLogMiddleware(RequestMiddleware):
    """django-structlog's, with an id that callers may bring and are told, and no query strings.

    What people search for (names, wallets) stands behind the question mark, and receivers' keys.
    """

    def prepare(self, request: HttpRequest) -> None:
        """Binds the caller's id, if it is one, else a new one; it goes into every line."""
        brought = request.META.get("HTTP_X_REQUEST_ID", "")
        usable = _USABLE.fullmatch(brought) is not None
        request.META["HTTP_X_REQUEST_ID"] = brought if usable else str(uuid.uuid4())
        super().prepare(request)

    def process_got_request_exception(
        self, sender: type[Any], request: HttpRequest, **kwargs: Any
    ) -> None:
        """A fault, with its traceback; a database that is away is none, and told already."""
        if not isinstance(sys.exception(), DATABASE_AWAY):
            super().process_got_request_exception(sender, request, **kwargs)

    def handle_response(self, request: HttpRequest, response: HttpResponse) -> None:
        """The line, and the id for the caller; probes that are well are not worth a line."""
        response.headers[HEADER] = request.META["HTTP_X_REQUEST_ID"]
        if request.path in PROBES and response.status_code < 400:
            structlog.contextvars.clear_contextvars()
        else:
            super().handle_response(request, response)

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        """Method and path."""
        return f"{request.method} {request.path}"


class ProbeMiddleware:
    """Lets probes name any host: a load balancer asks a machine's address, not the site's name.

    Nothing that they are answered depends on the name.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The request, as if it had named the first of ``DJANGO_ALLOWED_HOSTS``."""
        if request.path in PROBES and settings.ALLOWED_HOSTS:
            request.META["HTTP_HOST"] = settings.ALLOWED_HOSTS[0].lstrip(".").replace("*", "any")
        return self._get_response(request)
