"""The page between *Mint selected* and minting: what would be paid, what it costs, what is not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from minting.admin import show, tables
from minting.admin.base import ReadOnlyAdmin
from minting.engine.errors import BlockchainError, InvalidItem
from minting.models import BatchSource, MintBatch, MintSelection
from minting.service.estimate import Estimate
from minting.service.prepare import Preview, preview, request_batch
from minting.service.selections import picked
from readings.models import MeterReading


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of the page."""

    name: str
    value: str
    more: str = ""


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
                self.admin_site.admin_view(self.confirm_view),
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
            return _to(batch)
        return (
            self._queue(request, selection)
            if request.method == "POST"
            else self._ask(request, selection)
        )

    def _ask(self, request: HttpRequest, selection: MintSelection) -> HttpResponse:
        try:
            seen = preview(picked(selection))
        except BlockchainError as error:
            return self._refused(request, selection, error)
        payable = seen.totals.readings
        return self._page(
            request,
            selection,
            title=f"Mint {payable:,} of {show.readings(selection.items.count())}?",
            button=f"Mint {show.readings(payable)}" if payable else "",
            figures=figures(seen),
            cost=cost_rows(seen.estimate) if seen.estimate else None,
            missing=missing(seen.estimate),
            refused=refused_rows(seen.estimate) if seen.estimate else None,
            excluded_count=f"{len(seen.excluded):,}" if seen.excluded else "",
            excluded=tables.reason_rows(reasons_of(seen.excluded)),
        )

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
            return self._refused(request, selection, error) if made is None else _to(made)
        self.message_user(
            request, f"Queued for minting: {show.readings(batch.total_readings)}.", messages.SUCCESS
        )
        return _to(batch)

    def _refused(
        self, request: HttpRequest, selection: MintSelection, error: BlockchainError
    ) -> HttpResponse:
        return self._page(
            request, selection, title="Nothing is queued", refusal=str(error), code=error.code
        )

    def _page(self, request: HttpRequest, selection: MintSelection, **context: Any) -> HttpResponse:
        return TemplateResponse(
            request,
            "admin/minting/confirm.html",
            # The way back leads to the readings: selections have no list.
            self.page_context(request, selection=selection, opts=MeterReading._meta, **context),
        )


def figures(seen: Preview) -> list[Figure]:
    """How much would be minted for how many."""
    estimate = seen.estimate
    totals = seen.totals
    found = [
        Figure("Readings", f"{totals.readings:,}"),
        Figure("Wallets", f"{totals.wallets:,}"),
        Figure("Energy", show.kwh(totals.kwh)),
        Figure("Tokens", show.tokens(totals.base_units)),
    ]
    if estimate is not None:
        more = f"{estimate.new_accounts:,} token accounts to be created"
        found.append(Figure("Transactions", f"{estimate.transactions:,}", more))
    return found


def cost_rows(estimate: Estimate) -> dict[str, Any]:
    """What it costs, and what the authority has left."""
    cost = estimate.cost
    rows = [
        ("Network fee", cost.network_fee),
        ("Priority fee", cost.priority_fee),
        (f"Rent of {estimate.new_accounts:,} new token accounts", cost.rent),
        ("Total", cost.total),
        ("Balance of the mint authority now", estimate.balance),
        ("Balance afterwards", estimate.balance_after),
    ]
    return tables.table(
        ["", "Lamports", "SOL"],
        [[name, f"{amount:,}", show.sol(amount)] for name, amount in rows],
    )


def missing(estimate: Estimate | None) -> str:
    """What the mint authority is short of, or nothing."""
    if estimate is None or not estimate.missing:
        return ""
    return f"{show.lamports(estimate.missing)} ({show.sol(estimate.missing)})"


def refused_rows(estimate: Estimate) -> dict[str, Any] | None:
    """Wallets that the chain as it is now forbids to pay: their readings would fail."""
    if not estimate.refused:
        return None
    return tables.table(
        ["Wallet", "Readings", "Reason"],
        [
            [show.shortened(str(each.group.wallet)), len(each.group.payments), each.reason]
            for each in estimate.refused
        ],
    )


def reasons_of(excluded: Sequence[InvalidItem]) -> list[tables.Reason]:
    """Why readings are left out, the commonest reason first."""
    by_code: dict[str, list[InvalidItem]] = defaultdict(list)
    for item in excluded:
        by_code[item.code].append(item)
    return [
        tables.Reason(
            code,
            items[0].detail,
            len(items),
            [item.reading_id for item in items[: tables.EXAMPLES]],
        )
        for code, items in sorted(by_code.items(), key=lambda pair: -len(pair[1]))
    ]


def _batch_of(selection: MintSelection) -> MintBatch | None:
    return MintBatch.objects.filter(selection=selection).only("id").first()


def _to(batch: MintBatch) -> HttpResponse:
    return redirect("admin:minting_mintbatch_change", batch.pk)
