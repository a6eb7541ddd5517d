"""Who may log in: Django's users and groups in unfold's forms. And what nobody is to touch here."""

from __future__ import annotations

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django_q import admin as queue_admin
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

# The queue's own admin can run any task again with its arguments, and edit them. Its module is
# imported above so that it has registered itself by now, and does not do so after us.
for model in apps.get_app_config(queue_admin.__package__ or "").get_models():
    if admin.site.is_registered(model):
        admin.site.unregister(model)

admin.site.unregister([User, Group])


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    """Staff."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    """Rights under one name."""
