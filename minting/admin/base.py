"""What the pages of large, read-only tables have in common."""

# ruff: noqa: ARG002 - Django hands over more than is wanted

from __future__ import annotations

from typing import Any

from django.contrib.admin import ShowFacets
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from minting.admin.search import Sought, sought

COUNTED = 10_000
"""Rows counted at most: a page number beyond helps nobody, and counting millions takes seconds."""


class CappedPaginator(Paginator):
    """Counts no further than ``COUNTED``."""

    template_name = "admin/minting/pagination.html"

    @cached_property
    def count(self) -> int:
        """How many there are, or ``COUNTED`` if there are more."""
        return int(min(self._counted, COUNTED))

    @property
    def is_capped(self) -> bool:
        """Whether there are more than ``count``."""
        return self._counted > COUNTED

    @cached_property
    def _counted(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        return rows.order_by().values("pk")[: COUNTED + 1].count()


class CappedList(ChangeList):
    """A list that claims no number of all rows: it counted to a limit, and says so at its end."""

    def get_results(self, request: HttpRequest) -> None:
        """As it was, without the offer to show "all" beside the title."""
        super().get_results(request)
        self.full_result_count = self.result_count


class ReadOnlyAdmin(ModelAdmin):
    """Rows that only code writes: a list, a page each, nothing to change."""

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 0
    sortable_by: tuple[str, ...] = ()
    """None: what is shown first is what an index gives first."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Ours."""
        return CappedList

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


class FoundByShape(ReadOnlyAdmin):
    """A search box whose text is told by its shape, so that every search is a lookup by index."""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """What the text names, once each."""
        return (
            self.find(queryset, sought(search_term)) if search_term.strip() else queryset
        ), False

    def find(self, rows: QuerySet[Any], named: Sought) -> QuerySet[Any]:
        """Those of ``rows`` that the text names."""
        raise NotImplementedError
