"""Lists that answer as fast over millions of rows as over ten: pages, counts, searches by index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.core.paginator import Page, Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from readings.admin.search import Sought, sought

COUNTED = 10_000
"""Rows counted at most: a page number beyond helps nobody, and counting millions takes seconds."""


class CappedPaginator(Paginator):
    """Counts no further than ``COUNTED``, and fetches what a row shows for one page only."""

    template_name = "admin/lists/pagination.html"

    @cached_property
    def count(self) -> int:
        """How many there are, or ``COUNTED`` if there are more."""
        return int(min(self._counted, COUNTED))

    @property
    def is_capped(self) -> bool:
        """Whether there are more than ``count``."""
        return self._counted > COUNTED

    def page(self, number: int | str) -> Page:
        """One page; by its keys, since rows that are skipped would be joined and annotated too."""
        number = self.validate_number(number)
        start = (number - 1) * self.per_page
        keys = self._rows.values_list("pk", flat=True)[start : start + self.per_page]
        return Page(self._rows.filter(pk__in=list(keys)), number, self)

    @cached_property
    def _counted(self) -> int:
        return self._rows.order_by().values("pk")[: COUNTED + 1].count()

    @property
    def _rows(self) -> QuerySet[Any]:
        return self.object_list  # type: ignore[return-value]


class CappedList(ChangeList):
    """A list that claims no number of all rows: it counted to a limit, and says so at its end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Of the browser's tab: what is here, rather than "Select … to view".
        self.title = str(self.opts.verbose_name_plural).capitalize()

    def get_results(self, request: HttpRequest) -> None:
        """As it was, without the offer to show "all" beside the title."""
        super().get_results(request)
        self.full_result_count = self.result_count


class ActsOnRows(ModelAdmin):
    """Actions take rows that a list can offer, and nothing else."""

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *where: Any, **more: Any
    ) -> HttpResponse | None:
        """As it was, but for rows that no page offers."""
        chosen = request.POST.getlist(ACTION_CHECKBOX_NAME)
        try:
            for each in chosen:
                self.opts.pk.to_python(each)
        except ValidationError:
            self.message_user(request, "No such rows: choose in the list.", messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        return super().response_action(request, queryset, *where, **more)  # type: ignore[no-any-return]


class ListAdmin(ActsOnRows):
    """A list without full counts; sortable by what an index sorts, and by nothing else."""

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 0
    sortable_by: Sequence[str] = ()
    when_empty = ""
    """What to do where there is nothing yet."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002
        """Ours."""
        return CappedList


class FoundByShape(ListAdmin):
    """A search box whose text is told by its shape, so that every search is a lookup by index."""

    def get_search_results(
        self,
        request: HttpRequest,  # noqa: ARG002
        queryset: QuerySet[Any],
        search_term: str,
    ) -> tuple[QuerySet[Any], bool]:
        """What the text names, once each."""
        return (
            self.find(queryset, sought(search_term)) if search_term.strip() else queryset
        ), False

    def find(self, rows: QuerySet[Any], named: Sought) -> QuerySet[Any]:
        """Those of ``rows`` that the text names."""
        raise NotImplementedError


def keys_of(*ways: QuerySet[Any]) -> QuerySet[Any]:
    """Keys found in several ways, of each no more than are counted.

    An OR over ways that lead through other tables would walk the whole table.

    Args:
        ways: Each with the key as its only value.
    """
    first, *others = map(counted, ways)
    return first.union(*others)


def counted(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Any of them, no more than are counted: what a broad search goes on with."""
    return rows.order_by()[: COUNTED + 1]


FEW = 100
"""Rows whose keys are written out: the planner then combines the indexes that lead from them."""


def one_of(column: str, rows: QuerySet[Any]) -> list[Q]:
    """The condition that ``column`` refers to one of ``rows``; none at all where there are none.

    Many stay a subquery: what refers to so many is met soon on any walk.
    """
    keys = list(rows.order_by().values_list("pk", flat=True)[: FEW + 1])
    if not keys:
        return []
    return [Q(**{f"{column}__in": keys if len(keys) <= FEW else rows.values("pk")})]
