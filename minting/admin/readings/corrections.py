"""Correcting a reading: new values, what they would do, and one confirmation."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog
from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from minting.admin import show, tables
from minting.admin.base import ReadOnlyAdmin
from minting.admin.readings.revisions import comparison
from readings.errors import InvalidReading, ReadingError, ReadingInFlight
from readings.intake import Correction, History, Seen, correct, history_of
from readings.models import MeterReading
from readings.rules import ReadingSource, ReadingStatus, parse_kwh

log = structlog.get_logger(__name__)

LONGEST_REASON = 2_000
"""As over the API."""


RECORDED = (
    "This reading is minted, and stays so: the difference is recorded and reported, in the "
    "statement of this month. Nothing is minted for it, and nothing is clawed back."
)
REPLACED = (
    "This reading is not minted: the new revision takes the place of the one that is current now, "
    "and is judged as if it came in anew."
)


class EnergyField(forms.CharField):
    """KWh as text, since intake judges what it means; a wrong one is told here already."""

    def __init__(self, **options: Any) -> None:
        attributes = {"inputmode": "decimal", "autocomplete": "off"}
        super().__init__(widget=UnfoldAdminTextInputWidget(attrs=attributes), **options)

    def clean(self, value: Any) -> str:
        """The text, if it is an energy."""
        text: str = super().clean(value)
        try:
            if text:
                parse_kwh(text, name="This")
        except InvalidReading as error:
            raise forms.ValidationError(f"{error}.") from None
        return text


class CorrectionForm(forms.Form):
    """The values that a correction over the API has, and what the person was shown."""

    kwh_amount = EnergyField(label="Exported, in kWh")
    energy_generated = EnergyField(label="Generated, in kWh", required=False)
    energy_consumed = EnergyField(label="Consumed, in kWh", required=False)
    reason = forms.CharField(
        max_length=LONGEST_REASON,
        strip=True,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Kept with the new revision, with your name and the time.",
    )
    current = forms.UUIDField(widget=forms.HiddenInput)
    minted = forms.UUIDField(widget=forms.HiddenInput, required=False)

    def __init__(self, data: Any, history: History) -> None:
        seen = history.seen
        super().__init__(data, initial={"current": seen.current, "minted": seen.minted})
        for name in ("kwh_amount", "energy_generated", "energy_consumed"):
            told = getattr(history.current, name)
            now = "Not told" if told is None else f"Now {show.kwh(told)}"
            stays = "" if self.fields[name].required else "; it stays so if this is left empty"
            self.fields[name].help_text = f"{now}{stays}."

    @property
    def is_of_this_page(self) -> bool:
        """Whether what was shown came back as it was."""
        return not (self["current"].errors or self["minted"].errors)

    def told(self) -> dict[str, Any]:
        """For intake."""
        values = self.cleaned_data
        return {
            "kwh_amount": values["kwh_amount"],
            "energy_generated": values["energy_generated"] or None,
            "energy_consumed": values["energy_consumed"] or None,
            "reason": values["reason"],
            "seen": Seen(values["current"], values["minted"]),
        }


class CorrectionPages(ReadOnlyAdmin):
    """The page that asks for the values, shows what they would do, and does it."""

    def get_urls(self) -> list[URLPattern]:
        """The one page, before the pages of rows."""
        own = path(
            "<uuid:reading_id>/correct/",
            self.admin_site.admin_view(self.correct_view),
            name="readings_meterreading_correct",
        )
        return [own, *super().get_urls()]

    def has_correct_permission(self, request: HttpRequest, obj: object = None) -> bool:  # noqa: ARG002
        """Whether this person may say what was measured."""
        return bool(request.user.has_perm("readings.correct_meterreading"))

    def correct_view(self, request: HttpRequest, reading_id: UUID) -> HttpResponse:
        """GET asks for the values; POST shows what they do and, ``confirmed``, does it."""
        if not self.has_correct_permission(request):
            raise PermissionDenied
        history = history_of(reading_id)
        if history is None:
            raise Http404
        form = CorrectionForm(request.POST or None, history)
        if history.in_flight is not None:
            refusal = ReadingInFlight(history.in_flight.id)
            return self._correction_page(request, history, form, refusal=refusal)
        if request.method == "POST" and form.is_valid() and "again" not in request.POST:
            return self._correct(request, history, form)
        if form.is_bound and not form.is_of_this_page:
            return self._correction_page(
                request, history, form, refusal="This is not what the page had shown"
            )
        return self._correction_page(request, history, form)

    def _correct(
        self, request: HttpRequest, history: History, form: CorrectionForm
    ) -> HttpResponse:
        user = request.user
        if user.is_anonymous:
            raise PermissionDenied
        confirmed = "confirmed" in request.POST
        try:
            done = correct(
                reading_id=history.current.id,
                source=ReadingSource.ADMIN,
                submitted_by=user,
                dry_run=not confirmed,
                **form.told(),
            )
        except ReadingError as error:
            return self._correction_page(request, history, form, refusal=error)
        if not done.created:
            form.add_error("kwh_amount", "The reading says just this already.")
            return self._correction_page(request, history, form)
        if not confirmed:
            return self._correction_page(request, history, form, new=done.reading)
        self.message_user(request, _told(history.current, done, by=user), messages.SUCCESS)
        return redirect("admin:readings_meterreading_change", done.reading.pk)

    def _correction_page(
        self,
        request: HttpRequest,
        history: History,
        form: CorrectionForm,
        *,
        refusal: object = None,
        new: MeterReading | None = None,
    ) -> HttpResponse:
        current = history.current
        context = self.page_context(
            request,
            title="Correct this reading?" if new else "Correct a reading",
            original=current,
            name=tables.reading_name(current),
            form=form,
            refusal=f"{refusal}." if refusal else "",
            new=new,
            comparison=comparison(history, new) if new else None,
            consequence=_consequence(history, new),
        )
        return TemplateResponse(request, "admin/readings/meterreading/correct.html", context)


def _told(old: MeterReading, done: Correction, *, by: User) -> SafeString:
    """What was done, with the ways to it; in the log, too."""
    new = done.reading
    difference = new.correction_difference
    log.info(
        "reading_corrected",
        reading_id=str(new.id),
        replaces=str(old.id),
        revision=new.revision,
        kwh=str(new.kwh_amount),
        difference=None if difference is None else str(difference),
        by=by.get_username(),
        reason=new.correction_reason,
    )
    return format_html(
        "Corrected: {} says {}, in the place of {}.",
        show.row_link(new, f"revision {new.revision}"),
        show.kwh(new.kwh_amount),
        show.row_link(old, f"revision {old.revision}"),
    )


def _consequence(history: History, new: MeterReading | None) -> list[str]:
    """What comes of a correction, in sentences; of a certain one, all of it."""
    if history.minted is not None:
        return [RECORDED]
    told = [REPLACED]
    if history.current.released_at is not None:
        told.append("The release does not carry over: it was given for other values.")
    if new is not None:
        told.append(_standing(new))
    return told


def _standing(new: MeterReading) -> str:
    match new.status:
        case ReadingStatus.PENDING:
            return "It will be pending: ready for minting."
        case ReadingStatus.HELD:
            return f"It will be held. {new.reason}"
        case _:
            return f"It will not be minted. {new.reason}"
