"""The admin's login in one or two steps, and the pages of the second factor, in its frame."""

from __future__ import annotations

from typing import Any

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from allauth.account.views import ReauthenticateView
from allauth.mfa.base.views import AuthenticateView, IndexView
from allauth.mfa.base.views import ReauthenticateView as ReauthenticateByCodeView
from allauth.mfa.recovery_codes import views as codes
from allauth.mfa.totp.views import ActivateTOTPView, DeactivateTOTPView
from allauth.mfa.webauthn import views as keys
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from unfold.forms import AuthenticationForm

# Nobody's codes, keys or names are to be found in a cache.
private = method_decorator(never_cache, name="dispatch")


class Framed:
    """What the admin's templates need to know."""

    request: HttpRequest
    title = ""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The admin's own context beneath the page's."""
        own = super().get_context_data(**kwargs)  # type: ignore[misc]
        frame = admin.site.each_context(self.request)
        return {**frame, "title": self.title, "mfa_required": settings.STAFF_MFA_REQUIRED, **own}


@private
class FirstStep(Framed, LoginView):
    """User name and password, as Django's admin asks them; then allauth's stages."""

    title = "Log in"
    template_name = "admin/login.html"
    authentication_form = AuthenticationForm
    next_page = "admin:index"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Whoever is in already goes on."""
        if request.method == "GET" and admin.site.has_permission(request):
            return HttpResponseRedirect(self.get_success_url())
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """What unfold's page of the login asks for."""
        return super().get_context_data(app_path=self.request.get_full_path(), **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """The password is right: in, or to the second step."""
        user = form.get_user()
        login = Login(user=user, redirect_url=self.get_success_url())
        who = {"username": user.get_username()}
        return perform_password_login(self.request, who, login)  # type: ignore[no-any-return]


@private
class SecondStep(Framed, AuthenticateView):
    """A code, or a touch of a security key."""

    title = "Second factor"
    template_name = "login/code.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Whether there is a key to touch."""
        held = self.stage.login.user.authenticator_set.values_list("type", flat=True)
        return super().get_context_data(**kwargs) | {"held": set(held)}


@private
class PasswordAgain(Framed, ReauthenticateView):
    """Before something is changed that opens doors."""

    title = "Confirm that it is you"
    template_name = "login/again.html"


@private
class CodeAgain(Framed, ReauthenticateByCodeView):
    """The same by a code."""

    title = "Confirm that it is you"
    template_name = "login/again.html"


@private
class KeyAgain(Framed, keys.ReauthenticateWebAuthnView):
    """The same by a security key."""

    title = "Confirm that it is you"
    template_name = "login/again_by_key.html"


@private
class Factors(Framed, IndexView):
    """What I have, and what I can do about it."""

    title = "Second factor"
    template_name = "login/factors.html"


@private
class Enrol(Framed, ActivateTOTPView):
    """An authenticator app."""

    title = "Set up your second factor"
    template_name = "login/enrol.html"


@private
class RemoveApp(Framed, DeactivateTOTPView):
    """For another phone."""

    title = "Remove the authenticator app?"
    template_name = "login/remove_app.html"


@private
class Codes(Framed, codes.ViewRecoveryCodesView):
    """For when the phone is lost."""

    title = "Recovery codes"
    template_name = "login/codes.html"


@private
class NewCodes(Framed, codes.GenerateRecoveryCodesView):
    """In place of those there are."""

    title = "New recovery codes?"
    template_name = "login/new_codes.html"


@private
class AddKey(Framed, keys.AddWebAuthnView):
    """A security key."""

    title = "Add a security key"
    template_name = "login/add_key.html"


@private
class RemoveKey(Framed, keys.RemoveWebAuthnView):
    """One that is lost."""

    title = "Remove this security key?"
    template_name = "login/remove_key.html"

    def get_success_url(self) -> str:
        """Back to what is left."""
        return reverse("mfa_index")
