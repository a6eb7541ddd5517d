"""How often somebody may call: counted exactly, whoever counts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import timedelta
from unittest.mock import patch

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from minting.access import rates, throttling
from minting.access.models import Allowance, ApiCall, ApiToken
from minting.access.rates import take
from minting.access.scopes import Scope
from minting.tasks import forget_calls
from tests.minting.api.asserts import problem

pytestmark = pytest.mark.django_db

READINGS = "/api/v1/readings"


def client_of(user: User) -> APIClient:
    _, secret = ApiToken.objects.issue(user=user, scopes=[Scope.READ], expires_in=None)
    client = APIClient(REMOTE_ADDR="192.0.2.7")
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return client


@pytest.fixture
def user() -> User:
    return User.objects.create_user("machine")


def test_each_token_has_a_rate_of_its_own(user: User, settings: Settings) -> None:
    settings.API_RATE = (3, 3_600)
    busy, other = client_of(user), client_of(user)

    assert [busy.get(READINGS).status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    answer = busy.get(READINGS)
    problem(answer, 429, "throttled")
    # An even pace: a third of the hour until the next one.
    assert 1_190 <= int(answer["Retry-After"]) <= 1_200
    assert other.get(READINGS).status_code == 200


def test_what_the_scope_does_not_cover_is_counted_and_soon_not_kept(
    user: User, settings: Settings
) -> None:
    settings.API_RATE = (3, 3_600)
    client = client_of(user)

    asked = [client.post("/api/v1/mint-batch").status_code for _ in range(5)]
    assert asked == [403, 403, 403, 429, 429]
    assert client.put(READINGS).status_code == 429
    assert ApiCall.objects.count() == 3


def test_a_session_has_a_rate_too(settings: Settings) -> None:
    settings.API_RATE = (2, 60)
    client = APIClient()
    client.force_login(User.objects.create_superuser("operator"))

    assert [client.get(READINGS).status_code for _ in range(3)] == [200, 200, 429]


def test_who_waits_as_told_is_let_in() -> None:
    assert take("a", calls=20, seconds=1) == 0
    left = [take("a", calls=20, seconds=1) for _ in range(25)]
    assert left.count(0) < 25
    assert 0 < left[-1] <= 0.05
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [left[-1] + 0.01])
    assert take("a", calls=20, seconds=1) == 0


def test_a_refused_call_uses_nothing_up() -> None:
    for _ in range(2):
        take("a", calls=2, seconds=3_600)
    before = Allowance.objects.get().full_at
    assert take("a", calls=2, seconds=3_600) > 0
    assert Allowance.objects.get().full_at == before


@pytest.mark.django_db(transaction=True)
def test_calls_at_once_are_counted_each_in_any_process(child_environment: dict[str, str]) -> None:
    ask = (
        "from minting.access.rates import take;"
        "print(sum(take('a', calls=50, seconds=86_400) == 0 for _ in range(40)))"
    )
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", ask]
    children = [
        subprocess.Popen(command, env=child_environment, stdout=subprocess.PIPE) for _ in range(2)
    ]

    def many(_: int) -> int:
        try:
            return sum(take("a", calls=50, seconds=86_400) == 0 for _ in range(10))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        taken = sum(pool.map(many, range(4)))
    taken += sum(int(child.communicate(timeout=60)[0]) for child in children)

    assert taken == 50  # of 120 that were tried


def test_wrong_tokens_are_counted_by_address_and_right_ones_still_open(user: User) -> None:
    good = client_of(user)
    guessing = APIClient(REMOTE_ADDR="192.0.2.7")
    elsewhere = APIClient(REMOTE_ADDR="192.0.2.8")
    with patch.object(throttling, "WRONG_TOKENS", (3, 3_600)):
        for _ in range(3):
            answer = guessing.get(READINGS, HTTP_X_API_KEY="f" * 64)
            problem(answer, 401, "authentication_failed")
        for headers in ({"X-API-KEY": "e" * 64}, {"Authorization": "Bearer a b"}):
            answer = guessing.get(READINGS, headers=headers)
            problem(answer, 429, "throttled")
            assert int(answer["Retry-After"]) > 1_000
        assert elsewhere.get(READINGS, HTTP_X_API_KEY="f" * 64).status_code == 401
        assert guessing.get(READINGS).status_code == 401  # tries nothing
        assert good.get(READINGS).status_code == 200


def test_a_site_is_one_neighbour_in_ipv6() -> None:
    assert throttling._neighbourhood("2001:db8:1:2::5") == "2001:db8:1:2::/64"
    assert throttling._neighbourhood("192.0.2.7") == "192.0.2.7"


def test_the_table_costs_no_log_and_is_swept() -> None:
    take("idle", calls=10, seconds=1)
    take("busy", calls=1, seconds=3_600)
    with connection.cursor() as cursor:
        cursor.execute("SELECT relpersistence FROM pg_class WHERE relname = 'access_allowance'")
        assert cursor.fetchone() == ("u",)
    Allowance.objects.filter(subject="idle").update(full_at=timezone.now() - timedelta(seconds=9))

    assert forget_calls() == {"calls": 0, "allowances": 1}
    assert Allowance.objects.get().subject == "busy"
    assert rates.forget_whole() == 0


@pytest.mark.parametrize("made", ["revoked", "expired", "inactive"])
def test_what_is_over_opens_nothing_and_stays(
    user: User,
    made: str,
    django_assert_num_queries: Callable[[int], AbstractContextManager[object]],
) -> None:
    client = client_of(user)
    assert client.get(READINGS).status_code == 200
    token = ApiToken.objects.get()
    assert token.last_used_at is not None
    with django_assert_num_queries(3):  # the token, its rate, the list: no write
        client.get(READINGS)
    assert token.is_valid
    if made == "revoked":
        token.revoke(by="operator")
        token.revoke(by="somebody later")
    elif made == "expired":
        ApiToken.objects.update(expiry=timezone.now())
    else:
        User.objects.update(is_active=False)

    problem(client.get(READINGS), 401, "authentication_failed")
    token = ApiToken.objects.get()
    assert not token.is_valid
    assert token.revoked_by == ("operator" if made == "revoked" else "")
