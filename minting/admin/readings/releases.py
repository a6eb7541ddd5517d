"""Releasing held readings: a person takes responsibility, with a reason that is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextareaWidget

from minting.admin import progress, show, tables
from minting.admin.base import ReadOnlyAdmin
from minting.engine.errands import ErrandKind
from minting.models import Errand, MintSelection
from minting.service.requests import errands
from minting.service.requests.selections import freeze, ids_of
from readings.intake import release
from readings.models import MeterReading
from readings.rules import ReadingStatus, reason_of

AT_ONCE = 2_000
"""Readings that are released while somebody waits; more are left to a worker."""


class ReasonForm(forms.Form):
    """Why it may be minted after all."""

    reason = forms.CharField(
        max_length=500,
        strip=True,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Kept with each reading, with your name and the time.",
    )


class ReleasePages(ReadOnlyAdmin):
    """The actions and the page between them and the release."""

    def get_urls(self) -> list[URLPattern]:
        """The page of a selection, before the pages of rows."""
        own = path(
            "release/<uuid:selection_id>/",
            self.admin_site.admin_view(self.release_view),
            name="readings_meterreading_release",
        )
        return [own, *super().get_urls()]

    def has_release_permission(self, request: HttpRequest, obj: object = None) -> bool:  # noqa: ARG002
        """Whether this person may take that responsibility."""
        return bool(request.user.has_perm("readings.release_meterreading"))

    @action(description="Release selected (held)", permissions=["release"])
    def release_selected(
        self, request: HttpRequest, queryset: QuerySet[MeterReading]
    ) -> HttpResponse:
        """Freezes the selection and asks for the reason."""
        across = request.POST.get("select_across") == "1"
        taking = {ReadingStatus.HELD} if across else frozenset(ReadingStatus)
        selection = freeze(queryset, request.user, taking=taking)
        return redirect("admin:readings_meterreading_release", selection.id)

    def release_view(self, request: HttpRequest, selection_id: UUID) -> HttpResponse:
        """GET asks for the reason, POST releases; what is long is shown while it goes on."""
        if not self.has_release_permission(request):
            raise PermissionDenied
        selection = get_object_or_404(MintSelection, id=selection_id)
        user = request.user
        if user.is_anonymous or selection.created_by_id != user.pk:
            raise PermissionDenied
        if (errand := errands.find(selection, ErrandKind.RELEASE)) is not None:
            return self._under_way(request, selection, errand)
        form = ReasonForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            reason = form.cleaned_data["reason"]
            if selection.size > AT_ONCE:
                errands.ask(selection, ErrandKind.RELEASE, reason=reason)
                return redirect(request.path)
            outcomes = release(ids_of(selection), by=user, reason=reason)
            left = Counter(each.code for each in outcomes if not each.released)
            self._tell(request, len(outcomes) - left.total(), left)
            return redirect("admin:readings_meterreading_changelist")
        context = self.page_context(
            request, title="Release held readings", form=form, **_held(selection)
        )
        return TemplateResponse(request, "admin/readings/meterreading/release.html", context)

    def _under_way(
        self, request: HttpRequest, selection: MintSelection, errand: Errand
    ) -> HttpResponse:
        """How far a worker is, or what became of it."""
        size = show.readings(selection.size)
        context: dict[str, Any] = {"title": f"Releasing {size}"}
        if errand.is_open:
            errands.call_if_left(errand)
            context["progress"] = progress.of(errand, "readings")
        elif errand.error:
            context["refusal"] = errand.error
        else:
            left: Counter[str] = Counter((errand.answer or {})["left"])
            told = _told(selection.size - left.total(), left)
            context |= {"title": f"{size}: done", "told": told}
        return TemplateResponse(
            request,
            "admin/readings/meterreading/release.html",
            self.page_context(request, **context),
        )

    def _tell(self, request: HttpRequest, released: int, left: Mapping[str, int]) -> None:
        for at, line in enumerate(_told(released, left)):
            level = messages.SUCCESS if released and not at else messages.WARNING
            self.message_user(request, line, level)


def _told(released: int, left: Mapping[str, int]) -> list[str]:
    """What became of a release, in sentences."""
    told = [f"Released, and ready for minting: {show.readings(released)}."] if released else []
    return told + [
        f"Not released: {show.readings(count)}. {reason_of(code) or code}"
        for code, count in left.items()
    ]


def _held(selection: MintSelection) -> dict[str, Any]:
    """What of a selection is held, by cause, and how many are not."""
    chosen = MeterReading.objects.filter(pk__in=selection.items.values("reading"))
    reasons = [
        (count, reason_of(code))
        for code, count in chosen.held()
        .order_by()
        .values_list("code")
        .annotate(count=Count("id"))
        .order_by("-count")
    ]
    held = sum(count for count, _ in reasons)
    return {
        "held": show.readings(held),
        "others": chosen.count() - held,
        "reasons": tables.table(
            ["Readings", "Held because"],
            [[f"{count:,}", sentence] for count, sentence in reasons],
        ),
    }
