"""The trail of API calls that spend. Read-only."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.utils.safestring import SafeString
from unfold.decorators import display

from minting.access.models import ApiCall
from minting.admin import show
from minting.admin.base import FoundByShape
from minting.admin.filters import BatchFilter, NamedRowFilter
from readings.admin.search import Kind, Sought


class TokenFilter(NamedRowFilter):
    """Calls with one token, as its page links to them."""

    title = "token"
    parameter_name = "token"
    path = "token"


@admin.register(ApiCall)
class ApiCallAdmin(FoundByShape):
    """Who, with what, from where, and what was answered."""

    list_display = ("when", "username", "token_name", "address", "asked", "answer", "batch_link")
    list_filter = ("effect", BatchFilter, TokenFilter)
    list_filter_submit = True
    list_select_related = ("batch", "token")
    ordering = ("-id",)
    search_fields = ("id",)
    search_help_text = "Batch id or user name"
    readonly_fields = ("when", "token_link", "asked", "answer", "batch_link")
    fields = (
        ("when", "username"),
        ("token_link", "address"),
        ("asked", "path"),
        "idempotency_key",
        ("answer", "effect"),
        "detail",
        "batch_link",
    )

    def find(self, calls: QuerySet[ApiCall], named: Sought) -> QuerySet[ApiCall]:
        """By the batch that came of them, or by who called."""
        if named.kind is Kind.ID:
            return calls.filter(batch=named.id)
        return calls.filter(user__in=User.objects.filter(username=named.text))

    @display(description="When")
    def when(self, call: ApiCall) -> SafeString | str:
        """To the second."""
        return show.time(call.at)

    @display(description="Token")
    def token_name(self, call: ApiCall) -> str:
        """Its beginning, or that it was a person."""
        return f"{call.token_beginning}…" if call.token_beginning else "session"

    @display(description="Token")
    def token_link(self, call: ApiCall) -> SafeString | str:
        """The token's page."""
        return show.row_link(call.token) if call.token else self.token_name(call)

    @display(description="Asked for")
    def asked(self, call: ApiCall) -> str:
        """In words."""
        return call.endpoint.replace("-", " ")

    @display(description="Answer")
    def answer(self, call: ApiCall) -> SafeString:
        """Status and code, coloured by whether anything came of it."""
        if call.status is None:
            return show.badge("in_doubt", "not answered")
        if call.effect:
            return show.badge("succeeded", str(call.status))
        words = f"{call.status} {call.code.replace('_', ' ')}" if call.code else "repeated"
        return show.badge("over", words.strip())

    @display(description="Batch")
    def batch_link(self, call: ApiCall) -> SafeString | str:
        """What came of it."""
        return show.row_link(call.batch, show.time(call.batch.created_at)) if call.batch else ""
