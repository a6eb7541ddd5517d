"""The change log: who changed what of the registry and of access, when, from what to what."""

# ruff: noqa: ARG002 - Django hands over more than is wanted

from __future__ import annotations

from typing import Any

from auditlog import admin as log_admin
from auditlog.models import LogEntry
from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import display

from minting.admin import show
from minting.admin.base import FoundByShape
from readings.admin.history import actor_of, fields_of
from readings.admin.search import Kind, Sought

# auditlog's own page lets what is read there be narrowed to by scanning all of it.
if admin.site.is_registered(log_admin.LogEntry):
    admin.site.unregister(log_admin.LogEntry)


class TableFilter(DropdownFilter):
    """Changes of one kind of thing."""

    title = "of"
    parameter_name = "of"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Those whose changes are logged."""
        return [
            ("owner", "owner"),
            ("wallet", "wallet"),
            ("walletchange", "wallet change"),
            ("meter", "meter"),
            ("meterassignment", "assignment"),
            ("user", "user"),
            ("group", "group"),
            ("apitoken", "API token"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[LogEntry]) -> QuerySet[LogEntry]:
        """Those of this table."""
        if not (name := self.value()):
            return queryset
        # The key itself: a join would hide from the planner how many there are.
        types = ContentType.objects.filter(model=name, app_label__in=("readings", "auth", "access"))
        return queryset.filter(content_type__in=list(types.values_list("pk", flat=True)))


@admin.register(LogEntry)
class ChangeAdmin(FoundByShape):
    """One row is one change; nobody edits it, nobody deletes it."""

    list_display = ("when", "who", "action_word", "table", "thing", "changed_fields")
    list_filter = (("action", ChoicesDropdownFilter), TableFilter)
    list_filter_submit = True
    list_select_related = ("actor", "content_type")
    ordering = ("-id",)
    search_fields = ("object_pk",)
    search_help_text = "User name of who changed it, or the id of what was changed"
    readonly_fields = ("when", "who", "action_word", "table", "thing", "changed", "remote_addr")
    fieldsets = (
        (None, {"fields": (("when", "who"), ("action_word", "table"), "thing", "changed")}),
        ("Where from", {"fields": ("remote_addr",)}),
    )

    def find(self, changes: QuerySet[LogEntry], named: Sought) -> QuerySet[LogEntry]:
        """By what was changed, or by who did it."""
        if named.kind is Kind.ID:
            return changes.filter(object_pk=named.text)
        return changes.filter(actor__username=named.text)

    @display(description="When")
    def when(self, change: LogEntry) -> SafeString | str:
        """To the second."""
        return show.time(change.timestamp)

    @display(description="Who")
    def who(self, change: LogEntry) -> SafeString:
        """A user, or a command."""
        return show.unbroken(actor_of(change))

    @display(description="What")
    def action_word(self, change: LogEntry) -> str:
        """Created, updated, deleted."""
        return str(change.get_action_display())

    @display(description="Of")
    def table(self, change: LogEntry) -> str:
        """The kind of thing."""
        return str(change.content_type.name)

    @display(description="Which")
    def thing(self, change: LogEntry) -> SafeString | str:
        """Its name, linked to its page while it is there."""
        model = change.content_type.model_class()
        if model is None or not admin.site.is_registered(model):
            return str(change.object_repr)
        row = model._base_manager.filter(pk=change.object_pk).first()
        return show.row_link(row, change.object_repr) if row else str(change.object_repr)

    @display(description="Fields")
    def changed_fields(self, change: LogEntry) -> str:
        """Which changed."""
        return ", ".join(name.replace("_", " ") for name in change.changes_dict or {})

    @display(description="Changes")
    def changed(self, change: LogEntry) -> SafeString:
        """Before and after."""
        lines = format_html_join(
            "",
            "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
            ((name.replace("_", " "), before, after) for name, before, after in fields_of(change)),
        )
        head = "<tr><th>Field</th><th>Before</th><th>After</th></tr>"
        return format_html('<table class="changes">' + head + "{}</table>", lines)
