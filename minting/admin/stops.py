"""Stops: who stopped minting, when and why; the switch, and the banner on every page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.functional import SimpleLazyObject
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from minting.admin import show
from minting.admin.base import ReadOnlyAdmin
from minting.models import MintingStop
from minting.service.stopping import by_limit, resume_minting, standing_stop, stop_minting


class StopForm(forms.Form):
    """Why nothing may be signed."""

    reason = forms.CharField(
        max_length=500,
        strip=True,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Shown on every page, and kept with your name and the time.",
    )


@admin.register(MintingStop)
class MintingStopAdmin(ReadOnlyAdmin):
    """Every stop there was, and the switch."""

    list_display = ("stopped", "stopped_by", "reason", "state", "resumed")
    list_before_template = "admin/minting/stops.html"
    ordering = ("-id",)
    readonly_fields = ("stopped", "resumed", "state")
    fieldsets = (
        (None, {"fields": ("state", "reason", ("stopped", "stopped_by"))}),
        ("Resumed", {"fields": (("resumed", "resumed_by"),)}),
    )

    def get_urls(self) -> list[URLPattern]:
        """The two pages that ask once."""
        return [
            path(
                "stop/",
                self.admin_site.admin_view(self.stop_view),
                name="minting_mintingstop_stop",
            ),
            path(
                "resume/",
                self.admin_site.admin_view(self.resume_view),
                name="minting_mintingstop_resume",
            ),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, under the switch."""
        extra = {
            "may_stop": _may_stop(request),
            "may_resume": _may_resume(request),
            **(extra_context or {}),
        }
        return super().changelist_view(request, extra)  # type: ignore[no-any-return]

    def stop_view(self, request: HttpRequest) -> HttpResponse:
        """GET asks for the reason, POST stops all signing."""
        if not _may_stop(request):
            raise PermissionDenied
        form = StopForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            stop = stop_minting(form.cleaned_data["reason"], by=request.user.get_username())
            self.message_user(request, f"Minting is stopped: {stop.reason}", messages.WARNING)
            return redirect("admin:index")
        context = self.page_context(request, title="Stop all minting?", form=form)
        return TemplateResponse(request, "admin/minting/stop.html", context)

    def resume_view(self, request: HttpRequest) -> HttpResponse:
        """GET asks once, POST lets signing go on."""
        if not _may_resume(request):
            raise PermissionDenied
        if request.method == "POST":
            resumed = resume_minting(by=request.user.get_username())
            told = "Minting goes on." if resumed else "Minting was not stopped."
            self.message_user(request, told, messages.SUCCESS)
            return redirect("admin:index")
        stop = standing_stop()
        context = self.page_context(
            request,
            title="Resume minting?",
            stop=stop,
            stop_is_shown=True,
            stopped_at=show.time(stop.stopped_at) if stop else "",
            by_limit=stop is not None and by_limit(stop),
        )
        return TemplateResponse(request, "admin/minting/resume.html", context)

    @display(description="Stopped")
    def stopped(self, stop: MintingStop) -> SafeString | str:
        """From when."""
        return show.time(stop.stopped_at)

    @display(description="Resumed")
    def resumed(self, stop: MintingStop) -> SafeString | str:
        """To when, and by whom."""
        if stop.resumed_at is None:
            return ""
        return format_html("{}, {}", show.time(stop.resumed_at), stop.resumed_by)

    @display(description="State")
    def state(self, stop: MintingStop) -> SafeString:
        """Whether it stands."""
        return show.badge("over", "over") if stop.resumed_at else show.badge("failed", "stopped")


def banner(request: HttpRequest) -> dict[str, Any]:
    """Context processor: the stop that stands, asked for only where a page shows it."""
    stop = SimpleLazyObject(lambda: _shown_to(request))
    return {
        "minting_stop": stop,
        "minting_stop_since": SimpleLazyObject(lambda: show.time(stop.stopped_at)),
    }


def _shown_to(request: HttpRequest) -> MintingStop | None:
    user = getattr(request, "user", None)
    return standing_stop() if user is not None and user.is_staff else None


def _may_resume(request: HttpRequest) -> bool:
    return bool(request.user.has_perm("minting.resume_minting"))


def _may_stop(request: HttpRequest) -> bool:
    return bool(request.user.has_perm("minting.stop_minting"))
