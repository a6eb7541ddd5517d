"""The admin's first page: what waits, what was minted and paid, who works, what needs a person.

The page is made of parts that keep themselves up to date (``static/minting/dashboard.js``). What
the tables tell comes with the page; what others must answer (nodes, the queue's broker) comes
after it, each part by itself, so that a silent node delays and breaks nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from minting.admin.dashboard import chain as dashboard_chain
from minting.admin.dashboard import charts as dashboard_charts
from minting.admin.dashboard import work as dashboard_work


@dataclass(frozen=True, slots=True)
class Part:
    """What is refreshed together."""

    name: str
    rights: tuple[str, ...]
    """Any of them shows it; its tiles may ask for more."""
    seconds: int
    """Between two refreshes."""
    show: Callable[[HttpRequest], dict[str, Any]]
    waiting: str = ""
    """Shown until it comes; empty where it comes with the page."""

    @property
    def template(self) -> str:
        """Of its inside."""
        return f"admin/dashboard/{self.name}.html"

    @property
    def url(self) -> str:
        """Where it comes from."""
        return reverse("admin:dashboard_part", args=[self.name])

    def is_for(self, request: HttpRequest) -> bool:
        """Whether this person may see anything of it."""
        return any(request.user.has_perm(right) for right in self.rights)


READINGS, BATCHES = "readings.view_meterreading", "minting.view_mintbatch"
JOURNAL, MINT = "minting.view_minttransaction", "minting.view_mintinfo"

PARTS = (
    Part(
        "work",
        (READINGS, BATCHES, JOURNAL, "minting.stop_minting", "minting.resume_minting"),
        3,
        dashboard_work.show_work,
    ),
    Part("chain", (MINT,), 5, dashboard_chain.show_chain, "Asking the nodes…"),
    Part("workers", (BATCHES,), 5, dashboard_chain.show_workers, "Asking the queue…"),
    Part("month", (JOURNAL,), 60, dashboard_charts.show_month),
)


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's ``DASHBOARD_CALLBACK``: the parts that this person may see."""
    parts = [part for part in PARTS if part.is_for(request)]
    context["title"] = "Dashboard"
    context["parts"] = [(part, {} if part.waiting else part.show(request)) for part in parts]
    # The first part shows the stop, with the switch.
    context["stop_is_shown"] = any(part.name == "work" for part in parts)
    return context


@never_cache
@require_safe
def part_view(request: HttpRequest, name: str) -> HttpResponse:
    """The inside of one part, for those who may see it."""
    part = next((each for each in PARTS if each.name == name), None)
    if part is None:
        raise Http404
    if not part.is_for(request):
        return HttpResponse(status=403)
    return TemplateResponse(request, part.template, {"inside": part.show(request)})


def urls() -> list[URLPattern]:
    """Beside the admin's own."""
    view = admin.site.admin_view(part_view)
    return [path("dashboard/<slug:name>/", view, name="dashboard_part")]


admin.site.extra_urls = urls  # type: ignore[attr-defined]  # unfold's hook
