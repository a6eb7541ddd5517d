"""allauth's forms in the admin's dress; a wrong code counts like a wrong password."""

from __future__ import annotations

from typing import Any

from allauth.account.forms import ReauthenticateForm as PasswordAgain
from allauth.core import context
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base.forms import AuthenticateForm, BaseAuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.webauthn.forms import AddWebAuthnForm
from axes.handlers.proxy import AxesProxyHandler
from cryptography.fernet import InvalidToken
from django import forms
from django.contrib.auth.signals import user_login_failed
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from gridtoken.login.factor import spend

UNREADABLE = (
    "This second factor was kept under another DJANGO_SECRET_KEY and cannot be read any more. "
    "An administrator can remove it; then enrol again."
)


class CodeWidget(UnfoldAdminTextInputWidget):
    """Empty again after a wrong code: the next one is another."""

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """Whatever was typed."""
        del value
        return super().get_context(name, None, attrs)  # type: ignore[no-any-return]


def _code_field(label: str) -> forms.CharField:
    typed = {
        "autocomplete": "one-time-code",
        "autofocus": True,
        "inputmode": "numeric",
        "spellcheck": "false",
    }
    widget = CodeWidget(attrs=typed)
    return forms.CharField(label=label, max_length=32, widget=widget)


class _CountedCode(BaseAuthenticateForm):
    """A code that is good once. Failures count for the lock-out, over all processes."""

    code = _code_field("Code of your authenticator app, or a recovery code")

    def clean_code(self) -> str:
        request = context.request
        who = {"username": self.user.get_username()}
        if not AxesProxyHandler.is_allowed(request, who):
            request.axes_locked_out, request.axes_credentials = True, who
            raise get_adapter().validation_error("incorrect_code")
        try:
            return self._counted(super().clean_code())
        except InvalidToken:
            raise ValidationError(UNREADABLE) from None
        except ValidationError:
            user_login_failed.send(sender=__name__, credentials=who, request=request)
            raise

    def _counted(self, code: str) -> str:
        is_app = self.authenticator.type == Authenticator.Type.TOTP
        if is_app and not spend(self.authenticator, code):
            raise get_adapter().validation_error("incorrect_code")
        return code


class CodeForm(_CountedCode, AuthenticateForm):
    """The second step of a login."""


class CodeAgainForm(_CountedCode, ReauthenticateForm):
    """Before a factor is changed."""


class PasswordForm(PasswordAgain):
    """Before a factor is changed, or enrolled long after the login."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        typed = {"autocomplete": "current-password", "autofocus": True}
        self.fields["password"].widget = UnfoldAdminPasswordWidget(attrs=typed)
        self.fields["password"].help_text = ""


class EnrolForm(ActivateTOTPForm):
    """The first code of an authenticator app."""

    code = _code_field("Code that the app shows now")


class KeyForm(AddWebAuthnForm):
    """A security key, by the name its owner gives it."""

    name = forms.CharField(
        label="Name",
        max_length=60,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "autofocus": True}),
        help_text="Under which you find it again, as there may be several.",
    )
