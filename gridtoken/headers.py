"""Headers that tell a browser what a page of ours may do (``gridtoken.security``)."""

from __future__ import annotations

from csp.middleware import CSPMiddleware, PolicyParts
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase


class PolicyMiddleware(CSPMiddleware):
    """Content-Security-Policy by the page's path, and what Django has no setting for."""

    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        """The strict policy, with what pages under this path need besides."""
        parts = super().get_policy_parts(request, response, report_only)
        for prefix, more in settings.CONTENT_SECURITY_EXCEPTIONS.items():
            if request.path_info.startswith(prefix):
                parts.update = {**more, **(parts.update or {})}
        return parts

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Sets the headers that nobody set."""
        response = super().process_response(request, response)
        response.headers.setdefault("Permissions-Policy", settings.PERMISSIONS_POLICY)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response
