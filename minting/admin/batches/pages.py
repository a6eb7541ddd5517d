"""Batches: what was asked for, how it goes, and the buttons that stop it or try it again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from minting.admin import show, tables
from minting.admin.base import FoundByShape, OwnPage
from minting.admin.batches.failures import failure_rows, failures
from minting.admin.batches.live import READINGS, TRANSACTIONS, followed, live
from minting.admin.batches.story import left_out, story, whole
from minting.engine.errors import BlockchainError, PackRefused
from minting.models import BatchSource, MintBatch, MintResult, MintTransaction
from minting.service.audit.audit_pack import pack_name, packed
from minting.service.polling import status
from minting.service.polling.switch import standing_pause
from minting.service.requests.cancel import Cancellation, cancel_batch, cancellation_of
from minting.service.requests.retry import retry_batch
from readings.admin.search import Kind, Sought


@admin.register(MintBatch)
class MintBatchAdmin(OwnPage, FoundByShape):
    """Read-only but for stopping what is not signed, and trying again what failed."""

    own_page = "admin/minting/batch.html"
    list_display = (
        "created",
        "status_badge",
        "source",
        "created_by",
        "readings",
        "minted",
        "failed",
        "still_open",
        "paid",
    )
    list_filter = (("status", ChoicesDropdownFilter), ("source", ChoicesDropdownFilter))
    list_filter_submit = True
    list_select_related = ("created_by",)
    ordering = ("-id",)
    search_fields = ("id",)
    search_help_text = "Batch id, reading id, wallet or transaction signature"

    def get_queryset(self, request: HttpRequest) -> QuerySet[MintBatch]:
        """Without the list of what was left out, which may be long."""
        batches: QuerySet[MintBatch] = super().get_queryset(request)
        return batches.defer("excluded")

    def get_urls(self) -> list[URLPattern]:
        """What a batch's page asks for again, where its buttons lead, and its pack, too."""
        own = [
            path(
                f"<uuid:batch_id>/{name}/",
                self.admin_site.admin_view(view),
                name=f"minting_mintbatch_{name}",
            )
            for name, view in (
                ("progress", self.progress_view),
                ("details", self.details_view),
                ("cancel", self.cancel_view),
                ("retry", self.retry_view),
                ("pack", self.pack_view),
            )
        ]
        return [*own, *super().get_urls()]

    def page_of(self, request: HttpRequest, row: MintBatch) -> dict[str, Any]:
        """The batch's story."""
        excluded = left_out(row)
        return {
            "title": f"Batch of {show.readings(row.total_readings)}",
            "subtitle": show.utc(row.created_at),
            "live": live(row),
            "reading_counters": READINGS,
            "transaction_counters": TRANSACTIONS,
            "results_link": whole("mintresult", row, row.total_readings),
            "excluded": tables.reason_rows(excluded) if excluded else None,
            **story(row, request),
        }

    def progress_view(self, request: HttpRequest, batch_id: UUID) -> JsonResponse:
        """How far it is, as JSON: a few short statements, whatever the batch's size."""
        batch = self._watched(request, batch_id, followed(MintBatch.objects.all()))
        return JsonResponse(live(batch))

    def details_view(self, request: HttpRequest, batch_id: UUID) -> HttpResponse:
        """The part of the page that follows from the progress."""
        batch = self._watched(request, batch_id, self.get_queryset(request))
        context = {"original": batch, **story(batch, request)}
        return TemplateResponse(request, "admin/minting/batch_details.html", context)

    def cancel_view(self, request: HttpRequest, batch_id: UUID) -> HttpResponse:
        """GET asks once, POST cancels what is not signed."""
        if not _may_mint(request):
            raise PermissionDenied
        batch = get_object_or_404(self.get_queryset(request), id=batch_id)
        if request.method == "POST":
            freed = cancel_batch(batch.id, by=request.user.get_username())
            self.message_user(request, _told(freed), messages.SUCCESS)
            return redirect("admin:minting_mintbatch_change", batch.pk)
        context = self.page_context(
            request,
            title="Cancel this batch?",
            original=batch,
            consequences=_consequences(cancellation_of(batch), batch),
        )
        return TemplateResponse(request, "admin/minting/cancel.html", context)

    def retry_view(self, request: HttpRequest, batch_id: UUID) -> HttpResponse:
        """GET asks once, POST makes a new batch of what failed and may be minted."""
        if not _may_mint(request):
            raise PermissionDenied
        batch = get_object_or_404(self.get_queryset(request), id=batch_id)
        code = request.POST.get("code", "") or request.GET.get("code", "")
        if request.method == "POST":
            try:
                made = retry_batch(batch.id, by=request.user, code=code)
            except BlockchainError as error:
                self.message_user(request, str(error), messages.WARNING)
                return redirect("admin:minting_mintbatch_change", batch.pk)
            told = f"Queued for minting again: {show.readings(made.total_readings)}."
            self.message_user(request, told, messages.SUCCESS)
            return redirect("admin:minting_mintbatch_change", made.pk)
        failed = [each for each in failures(batch) if not each.cancelled]
        concerned = [each for each in failed if code in ("", each.reason.code)]
        context = self.page_context(
            request,
            title="Retry what failed?",
            original=batch,
            code=code,
            failed=show.readings(sum(each.reason.count for each in concerned)),
            again=sum(each.again for each in concerned),
            again_readings=show.readings(sum(each.again for each in concerned)),
            reasons=failure_rows(batch, concerned, may_retry=False),
        )
        return TemplateResponse(request, "admin/minting/retry.html", context)

    def _watched(
        self, request: HttpRequest, batch_id: UUID, batches: QuerySet[MintBatch]
    ) -> MintBatch:
        """The batch, for whoever may see it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return get_object_or_404(batches, id=batch_id)

    def pack_view(self, request: HttpRequest, batch_id: UUID) -> HttpResponseBase:
        """The audit pack, as a file; whoever sees the batch may have it."""
        batch = get_object_or_404(self.get_queryset(request), id=batch_id)
        if not self.has_view_permission(request, batch):
            raise PermissionDenied
        try:
            file = packed(batch.id)
        except PackRefused as error:
            self.message_user(request, str(error), messages.ERROR)
            return redirect("admin:minting_mintbatch_change", batch.pk)
        return FileResponse(
            file,
            as_attachment=True,
            filename=pack_name(batch.id),
            content_type="application/jsonl",
        )

    def find(self, batches: QuerySet[MintBatch], named: Sought) -> QuerySet[MintBatch]:
        """By their own id, or by what they contain."""
        match named.kind:
            case Kind.ID:
                holding = MintResult.objects.filter(reading=named.id).values_list(
                    "batch", flat=True
                )
                return batches.filter(pk__in=[named.id, *holding])
            case Kind.SIGNATURE:
                sent = MintTransaction.objects.filter(signature=named.text)
                return batches.filter(pk__in=sent.values("batch"))
            case Kind.WALLET:
                paid = MintResult.objects.filter(wallet_address=named.text)
                return batches.filter(pk__in=paid.values("batch"))
            case Kind.NAME:
                return batches.none()

    # What is shown

    @display(description="Created")
    def created(self, batch: MintBatch) -> SafeString | str:
        """When."""
        return show.time(batch.created_at)

    @display(description="Status")
    def status_badge(self, batch: MintBatch) -> SafeString:
        """How far."""
        return show.badge(batch.status)

    @display(description="Readings")
    def readings(self, batch: MintBatch) -> str:
        """How many in all."""
        return f"{batch.total_readings:,}"

    @display(description="Minted")
    def minted(self, batch: MintBatch) -> str:
        """How many succeeded."""
        return f"{batch.successful_mints:,}"

    @display(description="Failed")
    def failed(self, batch: MintBatch) -> str:
        """How many failed or were cancelled."""
        return f"{batch.failed_mints:,}"

    @display(description="Open")
    def still_open(self, batch: MintBatch) -> str:
        """How many have no outcome yet."""
        return f"{batch.pending_mints:,}"

    @display(description="Paid, rent included")
    def paid(self, batch: MintBatch) -> str:
        """SOL."""
        return show.sol(batch.fee_paid_lamports + batch.rent_paid_lamports)


def _may_mint(request: HttpRequest) -> bool:
    """Whoever may start minting may stop it, and start it again."""
    return bool(request.user.has_perm("minting.mint_readings"))


def _consequences(seen: Cancellation, batch: MintBatch) -> list[str]:
    """What cancelling does, in sentences; numbers of this moment, since workers go on."""
    told = []
    if seen.free:
        told.append(
            f"{show.readings(seen.free)} in no signed transaction: free again, to be selected anew."
        )
        told += _of_polling(batch)
    else:
        told.append("Nothing is left to cancel: every reading is in a signed transaction or done.")
    if seen.signed:
        told.append(
            f"{show.readings(seen.signed)} in signed transactions: these go their way, since what "
            "is on the wire cannot be called back."
        )
    if seen.done:
        told.append(f"{show.readings(seen.done)} with an outcome: it stays.")
    return told


def _of_polling(batch: MintBatch) -> list[str]:
    """What is free is pending, and the poller's too."""
    if batch.source == BatchSource.POLL:
        return ["Polling is paused with that: the poller would take the same readings again."]
    if status.look().is_on and standing_pause() is None:
        return [
            "Polling is on: the poller takes them at its next poll. Pause it first to prevent it."
        ]
    return []


def _told(freed: int) -> str:
    if not freed:
        return "Nothing was left to cancel: what is signed goes its way."
    return f"Free again: {show.readings(freed)}; what is signed goes its way."
