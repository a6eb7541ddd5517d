"""What the registry's pages share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.admin import TabularInline

from readings.admin.history import HistoryPages
from readings.admin.lists import FoundByShape
from readings.admin.times import Column
from readings.errors import ReadingError


def person(request: HttpRequest) -> User:
    """Who is logged in, as everybody here is."""
    if request.user.is_anonymous:
        raise PermissionDenied
    return request.user


class RegistrationForm(ModelForm):
    """What intake is told. The form makes no row, so it does not ask the table's constraints.

    They would trip over the very row (the current wallet, the open assignment) that intake ends.
    """

    def _post_clean(self) -> None:
        pass


class RegisteredAdmin(HistoryPages, FoundByShape):
    """Rows that are registered through ``readings.intake``, shown, and never edited or deleted."""

    shown_fields: Sequence[str | Column] = ()
    """Of a row that is there; a new one is asked for by the form."""

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Sequence[Any]:
        """The row's, or the form's."""
        fields: Sequence[Any] = super().get_fields(request, obj)
        return self.shown_fields if obj else fields

    def get_readonly_fields(
        self,
        request: HttpRequest,  # noqa: ARG002
        obj: Model | None = None,
    ) -> Sequence[Any]:
        """All of a row that is there."""
        return self.shown_fields if obj else ()

    def register(self, values: dict[str, Any], *, by: User) -> Model:
        """Registers what the form says and answers the row."""
        raise NotImplementedError

    def has_change_permission(self, *_: object, **__: object) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, *_: object, **__: object) -> bool:
        """Never."""
        return False

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Tells what intake refuses above the form."""
        # It shows only under its locks, after the form was found valid.
        try:
            answer: HttpResponse = super().changeform_view(request, *args, **kwargs)
        except ReadingError as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        return answer

    def save_form(self, request: HttpRequest, form: ModelForm, *_: object, **__: object) -> Model:
        """The one write; its errors roll the request back."""
        return self.register(form.cleaned_data, by=person(request))

    def save_model(self, *_: object, **__: object) -> None:
        """Nothing is left to save: ``register`` did."""

    def save_related(self, *_: object, **__: object) -> None:
        """Nothing depends on such a row."""


class ShownInline(TabularInline):
    """Rows of another table, for looking at."""

    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, *_: object, **__: object) -> bool:
        """Never here."""
        return False

    def has_change_permission(self, *_: object, **__: object) -> bool:
        """Never."""
        return False
