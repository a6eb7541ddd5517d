"""The page between *Mint selected* and minting: what would be paid, what it costs, what is not.

A handful is counted while the page is made. What is longer is an errand of a worker: the page shows
how far it is, then the same as for a handful; so is the batch that it becomes.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache

from minting.admin import progress, show
from minting.admin.base import ReadOnlyAdmin
from minting.admin.readings import preview
from minting.engine.errands import ErrandKind
from minting.engine.errors import BlockchainError
from minting.models import BatchSource, Errand, MintBatch, MintSelection
from minting.service.requests import errands
from minting.service.requests.prepare import request_batch
from minting.service.requests.previewing import Summary, summarise
from minting.service.requests.selections import picked
from readings.models import MeterReading

AT_ONCE = 2_000
"""Readings that are counted while the page is made, in a second or so."""

FRESH = timedelta(minutes=15)
"""So old a count may be when the page is loaded; prices and balances change."""


@admin.register(MintSelection)
class MintSelectionAdmin(ReadOnlyAdmin):
    """No list and no rows: only the page that asks for confirmation."""

    def has_module_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Not in the index."""
        return False

    def get_urls(self) -> list[URLPattern]:
        """The one page."""
        return [
            path(
                "<uuid:selection_id>/confirm/",
                self.admin_site.admin_view(never_cache(self.confirm_view)),
                name="minting_mintselection_confirm",
            )
        ]

    def confirm_view(self, request: HttpRequest, selection_id: UUID) -> HttpResponse:
        """GET shows what would happen; POST queues it, once, however often it is pressed."""
        if not request.user.has_perm("minting.mint_readings"):
            raise PermissionDenied
        selection = get_object_or_404(MintSelection, id=selection_id)
        if selection.created_by_id != request.user.pk:
            raise PermissionDenied
        if (batch := _batch_of(selection)) is not None:
            return progress.to(request, _page_of(batch))
        if request.method != "POST":
            return self._show(request, selection)
        if "again" in request.POST:
            return self._count_anew(request, selection)
        if selection.size > AT_ONCE:
            errands.ask(selection, ErrandKind.MINT)
            return redirect(request.path)
        return self._queue(request, selection)

    def _show(self, request: HttpRequest, selection: MintSelection) -> HttpResponse:
        if selection.size <= AT_ONCE:
            try:
                return self._ask(request, selection, summarise(selection))
            except BlockchainError as error:
                return self._refused(request, selection, str(error), error.code)
        queueing = errands.find(selection, ErrandKind.MINT)
        if queueing is not None:
            return self._under_way(request, selection, queueing)
        counting = errands.ask(selection, ErrandKind.PREVIEW)
        if counting.answer is None or counting.is_open or counting.error:
            return self._under_way(request, selection, counting)
        counted = Summary.of_json(counting.answer)
        if timezone.now() - counted.made > FRESH:
            return self._under_way(request, selection, errands.ask_anew(counting))
        return self._ask(request, selection, counted)

    def _under_way(
        self, request: HttpRequest, selection: MintSelection, errand: Errand
    ) -> HttpResponse:
        """How far a worker is, or why it could not."""
        if errand.error:
            return self._refused(request, selection, errand.error, errand.error_code)
        errands.call_if_left(errand)
        size = show.readings(selection.size)
        title = f"Counting {size}" if errand.kind == ErrandKind.PREVIEW else f"Queueing {size}"
        return self._page(request, selection, title=title, progress=progress.of(errand, "wallets"))

    def _count_anew(self, request: HttpRequest, selection: MintSelection) -> HttpResponse:
        """A press that failed is forgotten, the count begins again."""
        selection.errands.filter(kind=ErrandKind.MINT, status="failed").delete()
        counting = errands.find(selection, ErrandKind.PREVIEW)
        if counting is not None:
            errands.ask_anew(counting)
        return redirect(request.path)

    def _ask(
        self, request: HttpRequest, selection: MintSelection, summary: Summary
    ) -> HttpResponse:
        return self._page(request, selection, **preview.page_of(selection, summary))

    def _queue(self, request: HttpRequest, selection: MintSelection) -> HttpResponse:
        try:
            batch = request_batch(
                picked(selection),
                source=BatchSource.ADMIN,
                created_by=request.user,
                strict=False,
                selection=selection,
            )
        except BlockchainError as error:
            # The readings may be taken because another press of the same button was faster.
            made = _batch_of(selection)
            if made is None:
                return self._refused(request, selection, str(error), error.code)
            return redirect(_page_of(made))
        self.message_user(
            request, f"Queued for minting: {show.readings(batch.total_readings)}.", messages.SUCCESS
        )
        return redirect(_page_of(batch))

    def _refused(
        self, request: HttpRequest, selection: MintSelection, sentence: str, code: str
    ) -> HttpResponse:
        return self._page(
            request, selection, title="Nothing is queued", refusal=sentence, code=code
        )

    def _page(self, request: HttpRequest, selection: MintSelection, **context: Any) -> HttpResponse:
        return TemplateResponse(
            request,
            "admin/minting/confirm.html",
            # The way back leads to the readings: selections have no list.
            self.page_context(
                request,
                opts=MeterReading._meta,
                selected_at=show.time(selection.created_at),
                **context,
            ),
        )


def _batch_of(selection: MintSelection) -> MintBatch | None:
    return MintBatch.objects.filter(selection=selection).only("id").first()


def _page_of(batch: MintBatch) -> str:
    return reverse("admin:minting_mintbatch_change", args=[batch.pk])
