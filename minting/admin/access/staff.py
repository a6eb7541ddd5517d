"""Who may log in: Django's users and groups in unfold's forms. And what nobody is to touch here."""

from __future__ import annotations

from typing import Any

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django_q import admin as queue_admin
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminTextInputWidget

from gridtoken.login.events import tell
from gridtoken.login.factor import all_of, listed, remove_all
from readings.admin import times
from readings.admin.history import HistoryPages
from readings.admin.lists import ActsOnRows

# The queue's own admin can run any task again with its arguments, and edit them. Its module is
# imported above so that it has registered itself by now, and does not do so after us.
# allauth's would show secrets; what people need of it is on the user's page.
for label in (queue_admin.__package__ or "", "account", "mfa"):
    for model in apps.get_app_config(label).get_models():
        if admin.site.is_registered(model):
            admin.site.unregister(model)

admin.site.unregister([User, Group])

LAST_SEEN = times.column("last_login", "Last login", never="never")
JOINED = times.column("date_joined", "Made")


REMOVE_FACTOR = "mfa.delete_authenticator"


class RemovalForm(forms.Form):
    """Why somebody's second factor goes; kept in the change log."""

    reason = forms.CharField(
        max_length=200,
        widget=UnfoldAdminTextInputWidget(attrs={"autofocus": True}),
        help_text="How you know that it is this person who asks.",
    )


@admin.register(User)
class UserAdmin(HistoryPages, ActsOnRows, DjangoUserAdmin, ModelAdmin):
    """Staff."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    readonly_fields = (LAST_SEEN, JOINED, "second_factor")
    change_form_outer_before_template = "admin/access/factor_button.html"

    def get_urls(self) -> list[URLPattern]:
        """The page that removes a second factor, too."""
        view = self.admin_site.admin_view(self.remove_factor_view)
        own = path("<int:user_id>/second-factor/", view, name="auth_user_second_factor")
        return [own, *super().get_urls()]

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """As Django's, with moments to be read and not to be written."""
        shown: dict[Any, Any] = {"last_login": LAST_SEEN, "date_joined": JOINED}
        sets = [
            (name, {**options, "fields": [shown.get(each, each) for each in options["fields"]]})
            for name, options in super().get_fieldsets(request, obj)
        ]
        return [*sets, ("Second factor", {"fields": ("second_factor",)})] if obj else sets

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """A user's page, with the button for who lost the phone."""
        extra = {"may_remove_factor": request.user.has_perm(REMOVE_FACTOR), **(extra_context or {})}
        return super().changeform_view(request, object_id, form_url, extra)

    def remove_factor_view(self, request: HttpRequest, user_id: int) -> HttpResponse:
        """GET asks why, POST removes all of a person's factors."""
        if not request.user.has_perm(REMOVE_FACTOR):
            raise PermissionDenied
        person = get_object_or_404(User, pk=user_id)
        form = RemovalForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            if removed := ", ".join(remove_all(person)):
                tell(
                    person,
                    changes={"second factor": [removed, "none"]},
                    by=request.user,
                    request=request,
                    reason=form.cleaned_data["reason"],
                )
                self.message_user(request, f"Removed: {removed}", messages.SUCCESS)
            return redirect("admin:auth_user_change", person.pk)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Remove the second factor?",
            "original": person,
            "form": form,
            "held": listed(all_of(person)),
        }
        return TemplateResponse(request, "admin/access/remove_factor.html", context)

    @display(description="Second factor")
    def second_factor(self, person: User) -> str:
        """What the login asks for besides the password."""
        return listed(all_of(person)) or "none yet"


@admin.register(Group)
class GroupAdmin(HistoryPages, ActsOnRows, DjangoGroupAdmin, ModelAdmin):
    """Rights under one name."""
