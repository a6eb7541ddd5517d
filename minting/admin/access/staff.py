"""Who may log in: Django's users and groups in unfold's forms. And what nobody is to touch here."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django_q import admin as queue_admin
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from readings.admin import times
from readings.admin.history import HistoryPages

# The queue's own admin can run any task again with its arguments, and edit them. Its module is
# imported above so that it has registered itself by now, and does not do so after us.
for model in apps.get_app_config(queue_admin.__package__ or "").get_models():
    if admin.site.is_registered(model):
        admin.site.unregister(model)

admin.site.unregister([User, Group])

LAST_SEEN = times.column("last_login", "Last login", never="never")
JOINED = times.column("date_joined", "Made")


@admin.register(User)
class UserAdmin(HistoryPages, DjangoUserAdmin, ModelAdmin):
    """Staff."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    readonly_fields = (LAST_SEEN, JOINED)

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """As Django's, with moments to be read and not to be written."""
        shown: dict[Any, Any] = {"last_login": LAST_SEEN, "date_joined": JOINED}
        return [
            (name, {**options, "fields": [shown.get(each, each) for each in options["fields"]]})
            for name, options in super().get_fieldsets(request, obj)
        ]


@admin.register(Group)
class GroupAdmin(HistoryPages, DjangoGroupAdmin, ModelAdmin):
    """Rights under one name."""
