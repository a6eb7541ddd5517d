"""``/metrics``: for Prometheus, guarded by ``METRICS_TOKEN``, else for this machine alone."""

from __future__ import annotations

import hmac
import ipaddress

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from gridtoken.proxy import UNTRUSTED
from minting.monitoring import page

log = structlog.get_logger(__name__)


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """The page; 401, 403, or 503 where the database does not answer, each with a sentence."""
    token: str = settings.METRICS_TOKEN
    if token and not _bears(request, token):
        refused = HttpResponse("A bearer token is needed: METRICS_TOKEN\n", "text/plain", 401)
        refused.headers["WWW-Authenticate"] = 'Bearer realm="metrics"'
        return refused
    if not token and not _is_here(request):
        return HttpResponse(
            "Without METRICS_TOKEN only this machine is answered\n", "text/plain", 403
        )
    try:
        body, content_type = page.answer(request.headers.get("Accept", ""))
    except DatabaseError as error:
        log.warning("metrics_not_told", reason=str(error).strip())
        return HttpResponse("The database does not answer\n", "text/plain", 503)
    return HttpResponse(body, content_type)


def _bears(request: HttpRequest, token: str) -> bool:
    scheme, _, brought = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(
        brought.strip().encode(), token.encode()
    )


def _is_here(request: HttpRequest) -> bool:
    """Whether the caller is a process of this machine, and speaks for itself."""
    if request.META.get(UNTRUSTED):
        return False
    address = request.META.get("REMOTE_ADDR", "")
    try:
        return not address or ipaddress.ip_address(address).is_loopback  # none: a Unix socket
    except ValueError:
        return False


urlpatterns = [path("metrics", metrics, name="metrics")]
