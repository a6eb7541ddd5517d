"""A switch's pages: whenever it was thrown, and the two that ask once before it moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from minting.admin import show
from minting.admin.base import ReadOnlyAdmin
from minting.models import MintingStop, PollingPause

Row = TypeVar("Row", MintingStop, PollingPause)


class ReasonForm(forms.Form):
    """Why it is thrown."""

    reason = forms.CharField(
        max_length=500, strip=True, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3})
    )

    def __init__(self, data: Any, help_text: str) -> None:
        super().__init__(data)
        self.fields["reason"].help_text = help_text


@dataclass(frozen=True, slots=True)
class Question:
    """What a page asks before the switch moves."""

    page: str
    """The last part of its address."""
    right: str
    title: str
    meaning: str
    button: str
    leave: str
    """The button that moves nothing."""
    already: str
    """Told where there is nothing to do."""
    variant: Literal["primary", "default", "danger"] = "primary"


class SwitchAdmin(ReadOnlyAdmin, Generic[Row]):
    """Every time it was thrown and released, by whom and why; nothing to change but the switch."""

    throwing: ClassVar[Question]
    releasing: ClassVar[Question]
    done: ClassVar[str]
    """What it is while thrown, in a word; the columns ``…_by`` and ``…_at`` begin with it."""
    colour: ClassVar[str]
    """The word's, by a status."""
    shown_where: ClassVar[str]
    """Where the reason is seen, for whoever writes it."""
    ordering = ("-id",)
    readonly_fields = ("since", "resumed", "state")

    def standing(self) -> Row | None:
        """The row that stands, if the switch is thrown."""
        raise NotImplementedError

    def throw(self, reason: str, *, by: str) -> str:
        """Throws it; says what is so now."""
        raise NotImplementedError

    def release(self, row: Row, *, by: str) -> str:
        """Releases it where ``row`` still stands, and says so; empty where another does."""
        raise NotImplementedError

    def meaning_of_release(self, row: Row) -> str:  # noqa: ARG002 - for those that tell apart
        """What releasing does."""
        return self.releasing.meaning

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:  # noqa: ARG002
        """Who, when, why, until when."""
        return ("since", f"{self.done}_by", "reason", "state", "resumed")

    def get_fieldsets(self, *_: object) -> list[Any]:
        """The same of one row."""
        thrown = {"fields": ("state", "reason", ("since", f"{self.done}_by"))}
        return [(None, thrown), ("Resumed", {"fields": (("resumed", "resumed_by"),)})]

    def get_urls(self) -> list[URLPattern]:
        """The two pages that ask once."""
        view = self.admin_site.admin_view
        name = f"{self.opts.app_label}_{self.opts.model_name}_{{}}".format
        throw, release = self.throwing.page, self.releasing.page
        return [
            path(f"{throw}/", view(self.throw_view), name=name(throw)),
            path(f"{release}/", view(self.release_view), name=name(release)),
            *super().get_urls(),
        ]

    def throw_view(self, request: HttpRequest) -> HttpResponse:
        """GET asks for the reason, POST throws the switch."""
        _require(request, self.throwing)
        if (row := self.standing()) is not None:
            already = format_html("{} {}", self.throwing.already, told(row, self.done))
            return self._leave(request, already, messages.INFO)
        form = ReasonForm(request.POST or None, self.shown_where)
        if request.method == "POST" and form.is_valid():
            words = self.throw(form.cleaned_data["reason"], by=request.user.get_username())
            return self._leave(request, words, messages.WARNING)
        return self._ask(request, self.throwing, meaning=self.throwing.meaning, form=form)

    def release_view(self, request: HttpRequest) -> HttpResponse:
        """GET asks once, POST releases what was shown: never what somebody has thrown since."""
        _require(request, self.releasing)
        row = self.standing()
        if row is None:
            return self._leave(request, self.releasing.already, messages.INFO)
        if request.method == "POST" and request.POST.get("row") == str(row.pk):
            words = self.release(row, by=request.user.get_username())
            if words:
                return self._leave(request, words, messages.SUCCESS)
        if request.method == "POST":
            self.message_user(
                request,
                "Nothing is done: what stands is not what you were shown. Look again.",
                messages.ERROR,
            )
            return redirect(request.path)
        return self._ask(
            request,
            self.releasing,
            meaning=self.meaning_of_release(row),
            row=row,
            told=told(row, self.done),
            stop_is_shown=True,
        )

    def _ask(self, request: HttpRequest, question: Question, **context: Any) -> HttpResponse:
        shown = self.page_context(request, title=question.title, question=question, **context)
        return TemplateResponse(request, "admin/minting/switch.html", shown)

    def _leave(self, request: HttpRequest, words: str, level: int) -> HttpResponse:
        self.message_user(request, words, level)
        return redirect("admin:index")

    @display(description="Since")
    def since(self, row: Row) -> SafeString | str:
        """From when."""
        return show.time(getattr(row, f"{self.done}_at"))

    @display(description="Resumed")
    def resumed(self, row: Row) -> SafeString | str:
        """To when, and by whom."""
        if row.resumed_at is None:
            return ""
        return format_html("{}, {}", show.time(row.resumed_at), row.resumed_by)

    @display(description="State")
    def state(self, row: Row) -> SafeString:
        """Whether it stands."""
        return show.badge("over") if row.resumed_at else show.badge(self.colour, self.done)


def told(row: MintingStop | PollingPause, done: str) -> SafeString:
    """By whom, since when and why something is ``done``: stopped, paused."""
    by, since = getattr(row, f"{done}_by"), show.time(getattr(row, f"{done}_at"))
    return format_html("{} by {} since {}: {}", done.capitalize(), by, since, row.reason)


def _require(request: HttpRequest, question: Question) -> None:
    if not request.user.has_perm(question.right):
        raise PermissionDenied
