"""What every view of the API has in common."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.contrib.auth.models import User
from rest_framework.exceptions import NotAuthenticated, NotFound
from rest_framework.metadata import SimpleMetadata
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from minting.access import trail
from minting.access.permissions import HasScope
from minting.access.scopes import Scope
from minting.api.parsers import DecimalJSONParser


class Pages(BrowsableAPIRenderer):
    """DRF's pages around the JSON, for people who look something up or try it out."""

    def get_breadcrumbs(self, _request: Request) -> list[tuple[str, str]]:
        """None: what lies above an address here is no page."""
        return []

    def get_default_renderer(self, _view: Any) -> BaseRenderer:
        """What the page shows."""
        return JSONRenderer()


class Metadata(SimpleMetadata):
    """What ``OPTIONS`` tells; of bodies ``/api/schema/`` does, and better than DRF can guess."""

    def determine_actions(self, _request: Request, _view: Any) -> dict[str, Any]:
        """None: it would take an answer's form for the body's."""
        return {}


class ApiView(APIView):
    """JSON with exact numbers, by token with a scope or by session with a permission."""

    parser_classes = [DecimalJSONParser]
    renderer_classes = [JSONRenderer, Pages]
    permission_classes = [HasScope]
    metadata_class = Metadata
    required_scopes: Mapping[str, tuple[Scope, ...]] = {}
    """By method: any of these suffices."""
    session_permissions: Mapping[str, str] = {}
    """By method: the Django permission of a session, where it is another than the scope's."""
    spends: Collection[str] = ()
    """Methods whose calls are kept in the trail, refused ones too."""

    def get_renderers(self) -> list[BaseRenderer]:
        """JSON; for a person with a session pages too.

        Nobody else gets pages, whatever they accept: some HTTP libraries of machines ask for HTML
        unless told otherwise.
        """
        renderers = super().get_renderers()
        return renderers if _is_person(self.request) else renderers[:1]

    def perform_authentication(self, request: Request) -> None:
        """Who asks, and whether too often: calls that lack the scope are calls, too.

        DRF counts after the permissions. What is refused there would cost nothing, though each
        such call that spends is kept in the trail.
        """
        super().perform_authentication(request)
        super().check_throttles(request)

    def check_throttles(self, _request: Request) -> None:
        """Counted already."""

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        """The answer as it leaves, and its line in the trail."""
        answer: Response = super().finalize_response(request, response, *args, **kwargs)
        if isinstance(getattr(request, "accepted_renderer", None), BrowsableAPIRenderer):
            answer.content_type = None  # a problem's, which a page about it has not
        spends = request.method in self.spends or trail.is_kept(request)
        if spends and answer.status_code not in UNKEPT:
            trail.keep_answer(request, answer)
        return answer


UNKEPT = frozenset({401, 429})
"""Of nobody, or of somebody who calls too often: these would only fill the trail."""


def _is_person(request: Request | None) -> bool:
    if request is None or "Authorization" in request.headers or "X-API-KEY" in request.headers:
        return False
    user = getattr(request._request, "user", None)  # the session's
    return user is not None and user.is_authenticated and user.is_active


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
