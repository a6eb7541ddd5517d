"""What was changed of one row, by whom: the page behind *History*."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from auditlog.models import LogEntry
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from unfold.admin import ModelAdmin

from readings.admin.times import time

MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?", re.ASCII)

A_PAGE = 50
"""Changes."""


class HistoryPages(ModelAdmin):
    """Rows whose changes are logged: *History* shows them."""

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Every change, the newest first; for whoever may see the row."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            return self._get_obj_does_not_exist_redirect(  # type: ignore[no-any-return]
                request, self.opts, object_id
            )
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        entries = LogEntry.objects.get_for_object(row).select_related("actor").order_by("-id")
        page = Paginator(entries, A_PAGE).get_page(request.GET.get("p", 1))
        context = {
            **self.admin_site.each_context(request),
            "title": f"History: {row}",
            "opts": self.opts,
            "object": row,
            "page": page,
            "table": changes_table(page.object_list),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/history.html", context)


def changes_table(entries: Any) -> dict[str, Any]:
    """Who, when, what, before and after: a line for each field of each change."""
    return {
        "headers": ["When", "Who", "What", "Field", "Before", "After"],
        "rows": [line for entry in entries for line in _lines(entry)],
    }


def actor_of(entry: LogEntry) -> str:
    """Who it was, deleted since or not; a command has no user."""
    return str(entry.actor or (entry.additional_data or {}).get("actor") or "a command")


def fields_of(entry: LogEntry) -> Iterator[tuple[str, SafeString | str, SafeString | str]]:
    """Field, before and after, of each field that changed."""
    for name, change in (entry.changes_dict or {}).items():
        if isinstance(change, dict):  # rows of another table that came or went
            rows = ", ".join(change["objects"])
            yield (name, "", rows) if change["operation"] == "add" else (name, rows, "")
        else:
            before, after = map(_shown, change)
            yield name, before, after


def _shown(value: object) -> SafeString | str:
    """As the log keeps it; a moment, which is UTC there, as moments are shown."""
    text = "" if value in {None, "None"} else str(value)
    if MOMENT.fullmatch(text):
        return time(datetime.fromisoformat(text).replace(tzinfo=UTC))
    return text


def _lines(entry: LogEntry) -> list[list[Any]]:
    when, who, what = time(entry.timestamp), actor_of(entry), entry.get_action_display()
    model: type[Model] | None = entry.content_type.model_class()
    return [
        [when, who, what, _label(model, name), before, after]
        for name, before, after in fields_of(entry)
    ]


def _label(model: type[Model] | None, name: str) -> str:
    """The field's words."""
    known = {each.name: each for each in model._meta.get_fields()} if model else {}
    return str(capfirst(getattr(known.get(name), "verbose_name", name)))
