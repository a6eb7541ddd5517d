"""The way in: second factor enrolled, asked for, lost; too many wrong passwords."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from auditlog.models import LogEntry
from axes.models import AccessAttempt
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from playwright.sync_api import Error
from pytest_django import Settings

from tests.browser.conftest import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PASSWORD = "pass-word-9"


def code_of(secret: str) -> str:
    """What the app shows now."""
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30)))


def type_password(visitor: Visitor, name: str, password: str = PASSWORD) -> None:
    visitor.go("/admin/login/")
    visitor.page.fill("[name=username]", name)
    visitor.page.fill("[name=password]", password)
    visitor.page.keyboard.press("Enter")


def type_code(visitor: Visitor, code: str) -> None:
    """By the keyboard alone: the field has the focus."""
    visitor.page.wait_for_selector("[name=code]:focus")
    visitor.page.keyboard.type(code)
    visitor.page.keyboard.press("Enter")


def told_of(user: User) -> list[Any]:
    entries = LogEntry.objects.get_for_object(user).order_by("id")
    return [each.changes for each in entries if each.action == LogEntry.Action.UPDATE]


def test_a_second_factor_is_enrolled_asked_for_and_replaced(
    visitor: Visitor, settings: Settings
) -> None:
    settings.STAFF_MFA_REQUIRED = True
    chief = User.objects.create_superuser("chief", password=PASSWORD)
    page = visitor.page

    # The first login leads to nothing else.
    type_password(visitor, "chief")
    page.wait_for_url(re.compile("/second-factor/app/"))
    visitor.go("/admin/auth/user/")
    page.wait_for_url(re.compile("/second-factor/app/"))
    visitor.pictures("enrol")
    secret = page.inner_text("#totp-key").strip()
    type_code(visitor, "000000")
    page.wait_for_selector("text=Incorrect code")
    assert page.inner_text("#totp-key").strip() == secret
    type_code(visitor, code_of(secret))
    page.wait_for_selector("#recovery-codes")
    visitor.picture("codes")
    recovery = page.locator("#recovery-codes li").all_inner_texts()
    assert len(recovery) == 10
    page.click("text=I have kept them")
    page.wait_for_url(re.compile(r"/admin/$"))
    visitor.go("/admin/second-factor/")
    page.wait_for_selector("text=10 are left")
    visitor.picture("factors")

    # From then on it is asked for, and a code is good once.
    visitor.log_out()
    type_password(visitor, "chief")
    page.wait_for_url(re.compile("/login/code/"))
    visitor.picture("code")
    code = code_of(secret)
    type_code(visitor, code)
    page.wait_for_url(re.compile(r"/admin/$"))
    visitor.log_out()
    type_password(visitor, "chief")
    type_code(visitor, code)
    page.wait_for_selector("text=Incorrect code")
    type_code(visitor, recovery[0])
    page.wait_for_url(re.compile(r"/admin/$"))

    # Long after the login, the password is asked for again before anything changes.
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 0.0
    visitor.go("/admin/second-factor/app/remove/")
    page.wait_for_selector("[name=password]:focus")
    visitor.picture("again")
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Remove the authenticator app?')")
    visitor.picture("remove-app")
    page.click("button:has-text('Remove it')")
    # Without one, nothing else is open again.
    page.wait_for_url(re.compile("/second-factor/app/"))
    assert told_of(chief) == [
        {"second factor": ["none", "authenticator app"]},
        {"second factor": ["none", "recovery codes"]},
        {"recovery codes": ["10 left", "9 left"]},
        {"second factor": ["authenticator app", "none"]},
        {"second factor": ["recovery codes", "none"]},
    ]


def test_a_security_key_is_added_and_touched(visitor: Visitor, settings: Settings) -> None:
    settings.STAFF_MFA_REQUIRED = True
    settings.MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = True
    User.objects.create_superuser("chief", password=PASSWORD)
    page = visitor.page
    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "usb", "automaticPresenceSimulation": True}
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": options})

    type_password(visitor, "chief")
    page.click("text=Use a security key instead")
    page.fill("[name=name]", "Blue key")
    visitor.picture("add-key")
    page.keyboard.press("Enter")
    page.wait_for_selector("#recovery-codes")
    visitor.log_out()
    type_password(visitor, "chief")
    page.wait_for_selector("#key-button")
    visitor.picture("touch-key")
    page.click("#key-button")
    page.wait_for_url(re.compile(r"/admin/$"))
    visitor.go("/admin/second-factor/")
    page.wait_for_selector("text=Blue key")


def test_no_page_of_the_sidebar_asks_for_more_than_the_policy_allows(visitor: Visitor) -> None:
    """What loads and what does not is heard by the visitor, in all other tests too."""
    User.objects.create_superuser("chief", password=PASSWORD)
    visitor.log_in("chief", PASSWORD)
    found = visitor.page.eval_on_selector_all("aside a, nav a", "all => all.map(a => a.pathname)")
    pages = {path for path in found if path.startswith("/admin/")}
    assert len(pages) > 20
    for path in sorted(pages):
        visitor.go(path)
    # What is planted does not run, and the visitor hears of it.
    with pytest.raises(Error, match="Content Security Policy"):
        visitor.page.add_script_tag(content="window.planted = true")
    assert visitor.page.evaluate("window.planted") is None
    assert "Content Security Policy" in visitor.errors.pop()


def test_five_wrong_passwords_lock_until_somebody_lets_in_again(visitor: Visitor) -> None:
    clerk = User.objects.create_user("clerk", password=PASSWORD, is_staff=True)
    User.objects.create_superuser("chief", password=PASSWORD)
    page = visitor.page

    for _ in range(django_settings.AXES_FAILURE_LIMIT - 1):
        type_password(visitor, "clerk", "wrong")
        page.wait_for_selector("text=Please enter the correct username")
    type_password(visitor, "clerk", "wrong")
    page.wait_for_selector("h1:has-text('Locked')")
    visitor.picture("locked")
    type_password(visitor, "clerk")  # right, and not listened to
    page.wait_for_selector("h1:has-text('Locked')")
    visitor.errors.clear()  # 429, as it should be
    assert told_of(clerk) == [{"login": ["open", "locked"]}]

    # Somebody else, from the same address, gets in; and lets in.
    visitor.log_in("chief", PASSWORD)
    visitor.go("/admin/axes/accessattempt/")
    page.wait_for_selector("text=locked")
    assert page.locator("h1 a").all_inner_texts() == ["Access", "Failed logins"]
    visitor.picture("failed-logins")
    page.check("[name=_selected_action]")
    page.select_option("[name=action]", label="Let in again")
    page.click("button[name=index]")
    page.wait_for_selector("text=Let in again: 1")
    assert not AccessAttempt.objects.filter(username="clerk").exists()
    visitor.go("/admin/axes/accesslog/")
    visitor.picture("logins")
    visitor.go(f"/admin/auth/user/{clerk.pk}/history/")
    visitor.picture("history")
    visitor.log_out()
    visitor.log_in("clerk", PASSWORD)
