"""API tokens: made, shown once, revoked; never changed, and never deleted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.cache import add_never_cache_headers
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from minting.access.models import ApiToken
from minting.access.scopes import SCOPE_PERMISSIONS, Scope
from minting.admin import show
from minting.admin.base import ReadOnlyAdmin

LIST = "admin:access_apitoken_changelist"
CENTURY = 36_500

MEANINGS = {
    Scope.READ: "look at readings, batches, results; estimate",
    Scope.SUBMIT: "send and correct readings",
    Scope.MINT: "mint, retry, cancel: spends SOL and creates tokens",
    Scope.REGISTRY: "change owners and meters",
}


class TokenForm(forms.Form):
    """A new token, as far as whoever makes it may go."""

    name = forms.CharField(
        max_length=100,
        widget=UnfoldAdminTextInputWidget,
        help_text="What it is for: the gateway, the billing system.",
    )
    user = forms.ModelChoiceField(
        User.objects.none(),
        widget=UnfoldAdminSelectWidget,
        help_text="Whose name its calls bear: a user of the machine's own, or yourself.",
    )
    scopes = forms.MultipleChoiceField(widget=UnfoldAdminCheckboxSelectMultipleWidget)
    days = forms.IntegerField(
        label="Expires in days",
        min_value=1,
        max_value=CENTURY,
        required=False,
        initial=365,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Empty: never.",
    )

    def __init__(self, *args: Any, by: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        users = User.objects.filter(is_active=True).order_by("username")
        # Nobody calls in a colleague's name, or does by token what he may not do here.
        self.fields["user"].queryset = (  # type: ignore[attr-defined]
            users if by.is_superuser else users.filter(Q(is_staff=False) | Q(pk=by.pk))
        )
        self.fields["scopes"].choices = [  # type: ignore[attr-defined]
            (scope.value, f"{scope.value}: {MEANINGS[scope]}")
            for scope, permission in SCOPE_PERMISSIONS.items()
            if by.has_perm(permission)
        ]


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Whose, for what, until when. Its beginning names a token, and cannot be used as one."""

    list_display = (
        "beginning_of",
        "name",
        "user",
        "scope_words",
        "made",
        "expires",
        "used",
        "state",
    )
    list_select_related = ("user",)
    list_before_template = "admin/access/new_token.html"
    change_form_outer_before_template = "admin/access/revoke_button.html"
    ordering = ("-created",)
    search_fields = ("user__username", "name")
    search_help_text = "User name, or what it is for"
    readonly_fields = ("scope_words", "made", "expires", "used", "state", "revoked", "calls_link")
    fields = (
        ("name", "user"),
        "scope_words",
        ("made", "created_by"),
        ("expires", "used"),
        ("state", "revoked"),
        "calls_link",
    )

    def get_urls(self) -> list[URLPattern]:
        """The pages that make one and that revoke one, too."""
        own = [
            ("new/", self.new_view, "access_apitoken_new"),
            ("<str:token_id>/revoke/", self.revoke_view, "access_apitoken_revoke"),
        ]
        return [
            *(
                path(route, self.admin_site.admin_view(view), name=name)
                for route, view, name in own
            ),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, under the button that makes one."""
        extra = {"may_make": _may_make(request), **(extra_context or {})}
        return super().changelist_view(request, extra)  # type: ignore[no-any-return]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """A token's page, with the button that revokes it."""
        extra = {"may_revoke": _may_revoke(request), **(extra_context or {})}
        return super().changeform_view(request, object_id, form_url, extra)

    def new_view(self, request: HttpRequest) -> HttpResponse:
        """GET asks what for, POST makes the token and shows it, once."""
        if not _may_make(request) or not isinstance(request.user, User):
            raise PermissionDenied
        form = TokenForm(request.POST or None, by=request.user)
        secret = ""
        if request.method == "POST" and form.is_valid():
            asked = form.cleaned_data
            _, secret = ApiToken.objects.issue(
                user=asked["user"],
                scopes=[Scope(scope) for scope in asked["scopes"]],
                expires_in=timedelta(days=asked["days"]) if asked["days"] else None,
                name=asked["name"],
                created_by=request.user,
            )
        title = "Copy this token now" if secret else "New API token"
        context = self.page_context(request, title=title, form=form, secret=secret)
        response = TemplateResponse(request, "admin/access/token.html", context)
        add_never_cache_headers(response)
        return response

    def revoke_view(self, request: HttpRequest, token_id: str) -> HttpResponse:
        """GET asks once, POST ends the token."""
        if not _may_revoke(request):
            raise PermissionDenied
        token = get_object_or_404(ApiToken.objects.select_related("user"), pk=token_id)
        if request.method == "POST":
            token.revoke(by=request.user.get_username())
            self.message_user(request, f"Revoked: {token}", messages.SUCCESS)
            return redirect(LIST)
        context = self.page_context(request, title="Revoke this token?", original=token)
        return TemplateResponse(request, "admin/access/revoke.html", context)

    @display(description="Token")
    def beginning_of(self, token: ApiToken) -> str:
        """What tells one of a user's tokens from another."""
        return f"{token.beginning}…"

    @display(description="Scopes")
    def scope_words(self, token: ApiToken) -> str:
        """What it may do."""
        return ", ".join(token.scopes) or "none"

    @display(description="Created")
    def made(self, token: ApiToken) -> SafeString | str:
        """When."""
        return show.time(token.created)

    @display(description="Expires")
    def expires(self, token: ApiToken) -> SafeString | str:
        """Until when it works."""
        return show.time(token.expiry) or "never"

    @display(description="Last used")
    def used(self, token: ApiToken) -> SafeString | str:
        """Within a minute or so: not every call is noted."""
        return show.time(token.last_used_at) or "never"

    @display(description="State")
    def state(self, token: ApiToken) -> SafeString:
        """Whether it still works."""
        if token.revoked_at is not None:
            return show.badge("failed", "revoked")
        if token.has_expired:
            return show.badge("over", "expired")
        if not token.user.is_active:
            return show.badge("over", "user inactive")
        return show.badge("succeeded", "valid")

    @display(description="Revoked", empty_value="no")
    def revoked(self, token: ApiToken) -> SafeString | None:
        """When, and by whom."""
        if token.revoked_at is None:
            return None
        return format_html("{} by {}", show.time(token.revoked_at), token.revoked_by)

    @display(description="Calls that spend")
    def calls_link(self, token: ApiToken) -> SafeString:
        """Its part of the trail."""
        return show.link(
            f"{reverse('admin:access_apicall_changelist')}?token={token.pk}", "Look them up"
        )


def _may_make(request: HttpRequest) -> bool:
    return bool(request.user.has_perm("access.add_apitoken"))


def _may_revoke(request: HttpRequest) -> bool:
    """To revoke is what deleting would be."""
    return bool(request.user.has_perm("access.delete_apitoken"))
