"""Sessions, second factor and lock-out, request by request; the pages are the browser's tests."""

from __future__ import annotations

import time
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
)
from auditlog.models import LogEntry
from axes.models import AccessAttempt
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import NoReverseMatch, reverse
from pytest_django import Settings

from gridtoken.login import middleware
from gridtoken.login.factor import factors_of, spend
from minting.access.models import ApiToken
from minting.access.scopes import Scope

pytestmark = pytest.mark.django_db

PASSWORD = "pass-word-9"
ENROL = "/admin/second-factor/app/"
READINGS = "/api/v1/readings"


@pytest.fixture
def required(settings: Settings) -> None:
    settings.STAFF_MFA_REQUIRED = True


@pytest.fixture
def chief() -> User:
    return User.objects.create_superuser("chief", password=PASSWORD)


def log_in(client: Client, password: str = PASSWORD, **more: Any) -> Any:
    return client.post("/admin/login/", {"username": "chief", "password": password}, **more)


def code_of(secret: str, later: int = 0) -> str:
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30 + later)))


def enrolled(user: User) -> str:
    """The secret of an app that somebody enrolled elsewhere."""
    secret = str(generate_totp_secret())
    TOTP.activate(user, secret)
    RecoveryCodes.activate(user)
    return secret


def changes_of(user: User) -> list[dict[str, Any]]:
    entries = LogEntry.objects.get_for_object(user).order_by("id")
    return [each.changes for each in entries if each.action == LogEntry.Action.UPDATE]


# ------------------------------------------------------------------ second factor
def test_a_session_without_a_factor_opens_nothing_but_the_enrolment(
    required: None, chief: User, client: Client
):
    token, secret = ApiToken.objects.issue(user=chief, scopes=[Scope.READ], expires_in=None)
    log_in(client)
    for page in ("/admin/", "/admin/auth/user/", "/admin/second-factor/", "/admin/nothing/"):
        answer = client.get(page)
        assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, ENROL), page
    assert client.get(ENROL).status_code == 200
    assert client.get("/admin/second-factor/keys/add/").status_code == 200
    for path in (READINGS, "/api/v1/mint-batches", "/api/v1/owners"):
        assert client.get(path).status_code == 401
        assert client.post(path, {}).status_code == 401
    # The same browser's token is judged by itself.
    assert client.get(READINGS, headers={"X-API-KEY": secret}).status_code == 200
    assert client.post("/admin/logout/").status_code in {200, 302}
    assert token.pk


def test_who_has_a_factor_is_not_in_before_it_was_shown(
    required: None, chief: User, client: Client
):
    secret = enrolled(chief)
    assert log_in(client)["Location"] == "/admin/login/code/"
    assert "_auth_user_id" not in client.session
    assert client.get(READINGS).status_code == 401
    assert client.get("/admin/")["Location"].startswith("/admin/login/")
    assert client.get(ENROL)["Location"].startswith("/admin/login/")

    answer = client.post("/admin/login/code/", {"code": code_of(secret)})
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    assert client.get("/admin/").status_code == 200
    assert client.get(READINGS).status_code == 200


def test_a_session_that_never_showed_the_factor_cannot_bring_its_own(
    required: None, chief: User, client: Client, settings: Settings
):
    """As from before the factor, or from when none was required."""
    client.force_login(chief)
    enrolled(chief)
    for page in ("/admin/", ENROL, "/admin/second-factor/keys/add/"):
        answer = client.get(page)
        assert answer["Location"].startswith("/admin/login/"), page
        assert "_auth_user_id" not in client.session
        client.force_login(chief)
    assert client.get(READINGS).status_code == 401


def test_without_the_requirement_a_factor_is_asked_of_who_has_one(chief: User, client: Client):
    assert log_in(client)["Location"] == "/admin/"
    client.logout()
    enrolled(chief)
    assert log_in(client)["Location"] == "/admin/login/code/"


def test_a_code_counts_once_over_all_processes(chief: User):
    secret = enrolled(chief)
    app = factors_of(chief).get()
    now = code_of(secret)
    assert spend(app, now)
    assert not spend(app, now), "twice"
    assert not spend(app, code_of(secret, -1)), "older than one that counted"
    assert spend(app, code_of(secret, 1))


def test_secrets_lie_encrypted(chief: User, settings: Settings, client: Client):
    secret = enrolled(chief)
    assert secret not in str(list(Authenticator.objects.values_list("data", flat=True)))
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another-" + "y" * 50
    log_in(client)
    answer = client.post("/admin/login/code/", {"code": code_of(secret)})
    assert "kept under another DJANGO_SECRET_KEY" in answer.content.decode()
    settings.SECRET_KEY_FALLBACKS = [old]
    answer = client.post("/admin/login/code/", {"code": code_of(secret)})
    assert answer.status_code == 302


def test_an_administrator_removes_a_lost_factor_and_says_why(
    required: None, chief: User, client: Client
):
    secret = enrolled(chief)
    log_in(client)
    client.post("/admin/login/code/", {"code": code_of(secret)})
    clerk = User.objects.create_user("clerk", password=PASSWORD, is_staff=True)
    enrolled(clerk)
    thief = Client()
    thief.force_login(clerk)
    session = thief.session
    session["account_authentication_methods"] = [{"method": "mfa", "at": time.time()}]
    session["account_authentication_methods_user"] = str(clerk.pk)
    session.save()
    assert thief.get("/admin/").status_code == 200

    page = reverse("admin:auth_user_second_factor", args=[clerk.pk])
    assert "authenticator app, recovery codes" in client.get(page).content.decode()
    assert client.post(page, {"reason": ""}).status_code == 200
    assert factors_of(clerk).exists()
    client.post(page, {"reason": "called back on the known number"})
    assert not Authenticator.objects.filter(user=clerk).exists()
    [told] = LogEntry.objects.get_for_object(clerk).filter(changes__has_key="second factor")
    assert told.changes == {
        "second factor": ["authenticator app, recovery codes", "none"],
        "reason": ["", "called back on the known number"],
    }
    assert (told.actor, told.remote_addr) == (chief, "127.0.0.1")

    # Its old session is shut, and is not opened by what the owner enrols next.
    assert thief.get("/admin/")["Location"].startswith(ENROL)
    enrolled(clerk)
    assert thief.get("/admin/")["Location"].startswith("/admin/login/")


def test_the_command_removes_what_nobody_else_can(chief: User, capsys: pytest.CaptureFixture[str]):
    enrolled(chief)
    call_command("remove_second_factor", "chief", "--reason", "the only administrator")
    assert capsys.readouterr().out == "authenticator app, recovery codes\n"
    assert changes_of(chief)[-1] == {
        "second factor": ["authenticator app, recovery codes", "none"],
        "reason": ["", "the only administrator"],
    }
    with pytest.raises(CommandError, match="chief has no second factor"):
        call_command("remove_second_factor", "chief")
    with pytest.raises(CommandError, match="There is no user nobody"):
        call_command("remove_second_factor", "nobody")


def test_only_the_pages_that_staff_need_are_there():
    for name in ("signup", "email", "reset_password", "change_password", "logout"):
        with pytest.raises(NoReverseMatch):
            reverse(f"account_{name}")


# ------------------------------------------------------------------ lock-out
def test_wrong_passwords_and_wrong_codes_count_together_by_name_and_address(
    chief: User, client: Client, settings: Settings
):
    secret = enrolled(chief)
    for _ in range(3):
        assert log_in(client, "wrong").status_code == 200
    log_in(client)
    assert client.post("/admin/login/code/", {"code": "000000"}).status_code == 200
    answer = client.post("/admin/login/code/", {"code": "000000"})
    assert answer.status_code == 429
    assert "Too many wrong passwords or codes" in answer.content.decode()
    assert client.post("/admin/login/code/", {"code": code_of(secret)}).status_code == 429
    assert log_in(Client()).status_code == 429, "another browser of the same place"
    assert log_in(Client(), REMOTE_ADDR="10.0.0.9").status_code == 302, "another place"
    assert changes_of(chief) == [{"login": ["open", "locked"]}]
    [kept] = AccessAttempt.objects.filter(ip_address="127.0.0.1")
    assert "000000" not in kept.post_data
    assert "wrong" not in kept.post_data


def test_the_address_is_the_client_s_and_not_the_proxy_s(
    chief: User, client: Client, settings: Settings
):
    settings.DJANGO_TRUSTED_PROXY = [ip_network("127.0.0.1/32")]
    for _ in range(django_settings.AXES_FAILURE_LIMIT):
        answer = log_in(client, "wrong", headers={"X-Forwarded-For": "203.0.113.7"})
    assert answer.status_code == 429
    assert log_in(client, headers={"X-Forwarded-For": "203.0.113.8"}).status_code == 302


def test_wrong_api_tokens_lock_nobody_out(chief: User, client: Client):
    for _ in range(django_settings.AXES_FAILURE_LIMIT + 1):
        assert client.get(READINGS, headers={"X-API-KEY": "0" * 64}).status_code == 401
    assert log_in(client).status_code == 302


# ------------------------------------------------------------------ sessions and headers
def test_a_session_ends_when_idle_and_after_a_day_s_work(
    chief: User, client: Client, monkeypatch: pytest.MonkeyPatch
):
    log_in(client)
    began = int(time.time())

    def at(seconds: int) -> int:
        monkeypatch.setattr(middleware, "time", SimpleNamespace(time=lambda: began + seconds))
        return int(client.get(READINGS).status_code)

    idle = django_settings.SESSION_IDLE
    assert [at(idle - 60), at(2 * idle - 180)] == [200, 200], "used"
    assert at(3 * idle) == 401
    monkeypatch.undo()
    log_in(client)
    hours = range(0, django_settings.SESSION_COOKIE_AGE + 1, idle)
    assert {at(seconds) for seconds in hours} == {200}
    assert at(django_settings.SESSION_COOKIE_AGE + 60) == 401


def test_what_a_page_may_do_is_said_in_headers(client: Client):
    answer = client.get("/admin/login/")
    parts = answer["Content-Security-Policy"].split(";")
    policy = dict(part.strip().partition(" ")[::2] for part in parts)
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == "'self' 'unsafe-eval'"
    assert "unsafe-inline" not in policy["style-src"]
    assert client.get("/healthz")["Content-Security-Policy"].count("unsafe") == 0
    assert "geolocation=()" in answer["Permissions-Policy"]
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer["X-Frame-Options"] == "DENY"
