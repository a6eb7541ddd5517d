"""A page that waits for an errand: how far it is, said to eyes and to ears, and where it leads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from minting.engine.errands import ErrandStatus
from minting.models import Errand

PATIENCE = timedelta(seconds=10)
"""So long a worker may take to come before the page asks whether there is one."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an errand is."""

    percent: int
    words: str
    said: str
    """For screen readers: changes by quarters, not by the second."""
    unattended: bool
    """No worker came for it."""


def of(errand: Errand, unit: str) -> Progress:
    """How far it is.

    Args:
        errand: Waiting or running.
        unit: What is counted: wallets, readings.
    """
    done, total = min(errand.done, errand.total), errand.total
    percent = 100 * done // total if total else 0
    waits = errand.status == ErrandStatus.WAITING
    if waits:
        words = said = "Waiting for a worker"
    elif not total:
        words = said = "A worker begins"
    else:
        words = f"{done:,} of {total:,} {unit}"
        said = f"{percent // 25 * 25} % of {total:,} {unit} done"
    late = waits and timezone.now() - errand.asked_at > PATIENCE
    return Progress(percent, words, said, unattended=late)


def to(request: HttpRequest, url: str) -> HttpResponse:
    """Leads on; a page that asks for itself is told to go there as a whole."""
    if "HX-Request" in request.headers:
        return HttpResponse(headers={"HX-Redirect": url})
    return redirect(url)
