"""Which scope an endpoint asks for."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from minting.access.models import ApiToken
from minting.access.scopes import SCOPE_PERMISSIONS, Scope


class HasScope(BasePermission):
    """Lets a token with one of the view's scopes pass, or a session with a matching permission.

    A view says ``required_scopes = {"GET": (Scope.READ,), "POST": (Scope.MINT,)}``; a method that
    is not named there does not exist. ``session_permissions`` names, by method, the Django
    permission of a session where it is another than the scope's.
    """

    message = "This token or user lacks the scope that the request needs."

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether ``request`` may go on to ``view``.

        Raises:
            MethodNotAllowed: No scope would help.
        """
        if not request.user or not request.user.is_authenticated:
            return False
        if request.method == "OPTIONS":
            return True
        method = "GET" if request.method == "HEAD" else request.method
        if method not in view.required_scopes:
            raise MethodNotAllowed(str(method))
        own = getattr(view, "session_permissions", {}).get(method)
        if own and not isinstance(request.auth, ApiToken):
            return bool(request.user.has_perm(own))
        return any(holds_scope(request, scope) for scope in view.required_scopes[method])


def holds_scope(request: Request, scope: Scope) -> bool:
    """Whether the caller holds ``scope``, by token or by session."""
    if isinstance(request.auth, ApiToken):
        return request.auth.allows(scope)
    return bool(request.user.has_perm(SCOPE_PERMISSIONS[scope]))
