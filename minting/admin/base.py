"""What the pages of large, read-only tables have in common."""

# ruff: noqa: ARG002 - Django hands over more than is wanted

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from readings.admin import lists


class ReadOnlyAdmin(lists.ListAdmin):
    """Rows that only code writes: a list, a page each, nothing to change."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Without the button to a history: nobody changes these rows here."""
        extra = {"show_history": False, **(extra_context or {})}
        return super().changeform_view(  # type: ignore[no-any-return]
            request, object_id, form_url, extra
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never."""
        return False

    def page_context(self, request: HttpRequest, **extra: Any) -> dict[str, Any]:
        """What a page of our own needs to look like the others."""
        return {**self.admin_site.each_context(request), "opts": self.opts, **extra}


class FoundByShape(lists.FoundByShape, ReadOnlyAdmin):
    """A read-only list whose every search is a lookup by index."""


class OwnPage(ReadOnlyAdmin):
    """Rows with a page of our own in place of a form."""

    own_page: str
    """Its template."""

    def page_of(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What the page shows of a row besides its name."""
        raise NotImplementedError

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The page; where there is no such row, back to the list with a sentence."""
        row = self.get_object(request, object_id)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        if row is None:
            return self._get_obj_does_not_exist_redirect(  # type: ignore[no-any-return]
                request, self.opts, object_id
            )
        shown = {"title": str(row), "original": row, "object": row, **self.page_of(request, row)}
        context = self.page_context(request, **shown, **(extra_context or {}))
        return TemplateResponse(request, self.own_page, context)
