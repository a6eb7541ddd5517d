"""What every view of the API has in common."""

from __future__ import annotations

from collections.abc import Mapping

from django.contrib.auth.models import User
from rest_framework.exceptions import NotAuthenticated, NotFound
from rest_framework.request import Request
from rest_framework.views import APIView

from minting.access.permissions import HasScope
from minting.access.scopes import Scope
from minting.api.parsers import DecimalJSONParser


class ApiView(APIView):
    """JSON with exact numbers, by token with a scope or by session with a permission."""

    parser_classes = [DecimalJSONParser]
    permission_classes = [HasScope]
    required_scopes: Mapping[str, tuple[Scope, ...]] = {}
    """By method: any of these suffices."""
    session_permissions: Mapping[str, str] = {}
    """By method: the Django permission of a session, where it is another than the scope's."""


def caller(request: Request) -> User:
    """Who asks, by token or session.

    Raises:
        NotAuthenticated: Nobody does; views here have refused that before.
    """
    if not isinstance(request.user, User):
        raise NotAuthenticated
    return request.user


class NoSuchEndpoint(ApiView):
    """Answers what no other address does, so that clients get a problem document here too."""

    permission_classes = []
    schema = None

    def initial(self, request: Request, *_args: object, **_kwargs: object) -> None:
        """Refuses before the method is looked at.

        Raises:
            NotFound: Always.
        """
        raise NotFound(f"There is nothing at {request.path}")
