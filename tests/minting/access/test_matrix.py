"""Every endpoint there is, by everybody who may come: a new endpoint without a row fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import get_resolver
from django.utils import timezone
from rest_framework.test import APIClient

from minting.access.models import ApiToken
from minting.access.scopes import SCOPE_PERMISSIONS, Scope
from minting.api.base import ApiView, NoSuchEndpoint

pytestmark = pytest.mark.django_db

READ, SUBMIT, MINT, REGISTRY = Scope.READ, Scope.SUBMIT, Scope.MINT, Scope.REGISTRY
MATRIX: dict[str, set[Scope]] = {
    "GET api/v1/readings": {READ},
    "POST api/v1/readings": {SUBMIT},
    "GET api/v1/readings/{reading_id}": {READ},
    "POST api/v1/readings/{reading_id}/corrections": {SUBMIT},
    "POST api/v1/readings/{reading_id}/mint": {MINT},
    "POST api/v1/mint-batch": {MINT},
    "POST api/v1/mint-batch/estimate": {READ, MINT},
    "GET api/v1/mint-batches": {READ, MINT},
    "GET api/v1/mint-batches/{batch_id}": {READ, MINT},
    "GET api/v1/mint-batches/{batch_id}/results": {READ, MINT},
    "POST api/v1/mint-batches/{batch_id}/cancel": {MINT},
    "POST api/v1/mint-batches/{batch_id}/retry": {MINT},
    "GET api/v1/mint-results": {READ, MINT},
    "GET api/v1/owners": {REGISTRY},
    "POST api/v1/owners": {REGISTRY},
    "GET api/v1/owners/{row_id}": {REGISTRY},
    "PATCH api/v1/owners/{row_id}": {REGISTRY},
    "GET api/v1/meters": {REGISTRY},
    "POST api/v1/meters": {REGISTRY},
    "GET api/v1/meters/{row_id}": {REGISTRY},
    "PATCH api/v1/meters/{row_id}": {REGISTRY},
    "GET api/v1/wallet-changes": {REGISTRY},
    "GET api/v1/wallet-changes/{row_id}": {REGISTRY},
    "POST api/v1/wallet-changes/{row_id}/withdraw": {REGISTRY},
    # The platform's doors
    "POST api/meters/submit-reading": {SUBMIT},
    "POST api/meters/submit-batch": {SUBMIT},
    "POST api/v1/meters/batch/readings": {SUBMIT},
    "POST api/v1/public/meters/batch/readings": {SUBMIT},
    "POST api/v1/meters/{serial}/readings": {SUBMIT},
    "POST api/v1/meters/readings/{reading_id}/mint": {MINT},
    "GET api/v1/meters/readings": {READ},
    "GET api/v1/meters/stats": {READ},
    "GET api/admin/meters/unminted": {READ},
    "POST api/admin/meters/mint-from-reading": {MINT},
    "POST v1/ingest/telemetry": {SUBMIT},
    "POST v1/ingest/telemetry/batch": {SUBMIT},
    "POST v1/private-network/ingest": {SUBMIT},
    "POST v1/private-network/ingest/batch": {SUBMIT},
}
"""Which scopes open it; each of them alone."""

PARAMETER = re.compile(r"<(?:[a-z]+:)?([a-z_]+)>")
SESSION = {
    "POST api/v1/readings/{reading_id}/corrections": "readings.correct_meterreading",
    **{
        f"{method} api/v1/{rows}s{one}": f"readings.{verb}_{rows}"
        for rows in ("owner", "meter")
        for method, verb, one in (
            ("GET", "view", ""),
            ("POST", "add", ""),
            ("GET", "view", "/{row_id}"),
            ("PATCH", "change", "/{row_id}"),
        )
    },
    "GET api/v1/wallet-changes": "readings.view_walletchange",
    "GET api/v1/wallet-changes/{row_id}": "readings.view_walletchange",
    "POST api/v1/wallet-changes/{row_id}/withdraw": "readings.add_wallet",
}
"""Where a session needs another permission than the scope's."""


def endpoints(patterns: Any = None, prefix: str = "") -> Iterator[str]:
    """Method and route of every view of the API that is reachable."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from endpoints(pattern.url_patterns, route)
            continue
        view = getattr(pattern.callback, "view_class", None) or getattr(
            pattern.callback, "cls", None
        )
        if view is None or not issubclass(view, ApiView) or view is NoSuchEndpoint:
            continue
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            if hasattr(view, method.lower()):
                named = PARAMETER.sub(r"{\1}", route)
                yield f"{method} {named}"


def ask(client: APIClient, endpoint: str, **headers: str) -> Any:
    method, route = endpoint.split()
    path = re.sub(r"{[a-z_]+_id}", "00000000-0000-4000-8000-000000000000", route)
    return getattr(client, method.lower())("/" + path.replace("{serial}", "M-1"), **headers)


def test_every_endpoint_has_a_row() -> None:
    assert sorted(endpoints()) == sorted(MATRIX)


@pytest.fixture
def user() -> User:
    return User.objects.create_user("machine")


@pytest.mark.parametrize("endpoint", MATRIX)
def test_nobody_but_who_holds_the_scope_comes_in(user: User, endpoint: str) -> None:
    def secret(*scopes: Scope) -> str:
        return ApiToken.objects.issue(user=user, scopes=list(scopes), expires_in=None)[1]

    for scope in Scope:
        answer = ask(APIClient(), endpoint, HTTP_X_API_KEY=secret(scope))
        assert answer.status_code not in (401, 405)
        assert (answer.status_code != 403) == (scope in MATRIX[endpoint]), scope
    none = ask(APIClient(), endpoint, HTTP_X_API_KEY=secret())
    assert (none.status_code, none.json()["code"]) == (403, "permission_denied")

    revoked, expired = secret(*Scope), secret(*Scope)
    ApiToken.objects.get(token_key=revoked[:15]).revoke(by="operator")
    ApiToken.objects.filter(token_key=expired[:15]).update(expiry=timezone.now())
    for headers in (
        {},
        {"HTTP_X_API_KEY": "f" * 64},
        {"HTTP_X_API_KEY": revoked},
        {"HTTP_AUTHORIZATION": f"Bearer {expired}"},
    ):
        answer = ask(APIClient(), endpoint, **headers)
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("endpoint", MATRIX)
def test_a_session_needs_the_admin_s_permission(user: User, endpoint: str) -> None:
    client = APIClient()
    client.force_login(user)
    assert ask(client, endpoint).status_code == 403
    for scope in MATRIX[endpoint]:
        permission = SESSION.get(endpoint, SCOPE_PERMISSIONS[scope]).partition(".")[2]
        user.user_permissions.set(Permission.objects.filter(codename=permission))
        assert ask(client, endpoint).status_code != 403, permission
