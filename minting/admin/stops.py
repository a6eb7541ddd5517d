"""Stops: who stopped minting, when and why; the switch, and the banner on every page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject

from minting.admin import show
from minting.admin.switches import Question, SwitchAdmin
from minting.models import MintingStop
from minting.service.stopping import by_limit, resume_minting, standing_stop, stop_minting


@admin.register(MintingStop)
class MintingStopAdmin(SwitchAdmin[MintingStop]):
    """Every stop there was, and the switch."""

    throwing = Question(
        page="stop",
        right="minting.stop_minting",
        title="Stop all minting?",
        meaning=(
            "Nothing new is signed anywhere, by any worker, from the moment this is confirmed. "
            "Batches that are queued or come in wait. What is signed goes its way: it is still "
            "sent, settled, or proven dead."
        ),
        button="Stop minting",
        leave="Let it run",
        already="Minting was stopped already.",
        variant="danger",
    )
    releasing = Question(
        page="resume",
        right="minting.resume_minting",
        title="Resume minting?",
        meaning="Workers are called at once and go on with what waits.",
        button="Resume minting",
        leave="Leave it stopped",
        already="Minting was not stopped.",
    )
    done = "stopped"
    colour = "failed"
    shown_where = "Shown on every page, and kept with your name and the time."
    list_before_template = "admin/minting/stops.html"
    when_empty = "Minting was never stopped."

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, under the switch."""
        extra = {
            "may_stop": request.user.has_perm(self.throwing.right),
            "may_resume": request.user.has_perm(self.releasing.right),
            **(extra_context or {}),
        }
        return super().changelist_view(request, extra)  # type: ignore[no-any-return]

    def standing(self) -> MintingStop | None:
        """The stop."""
        return standing_stop()

    def throw(self, reason: str, *, by: str) -> str:
        """Stops all signing."""
        return f"Minting is stopped: {stop_minting(reason, by=by).reason}"

    def release(self, row: MintingStop, *, by: str) -> str:
        """Lets signing go on."""
        return "Minting goes on." if resume_minting(by=by, only=row.pk) else ""

    def meaning_of_release(self, row: MintingStop) -> str:
        """With what follows where a limit stopped it."""
        if not by_limit(row):
            return self.releasing.meaning
        more = "A limit stopped minting: going on allows as much again today."
        return f"{self.releasing.meaning} {more}"


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
