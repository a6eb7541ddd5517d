"""Results: one reading's outcome in one batch. Read-only."""

# ruff: noqa: ARG002 - Django hands over more than is wanted

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RadioFilter
from unfold.decorators import display

from minting.admin import show, tables
from minting.admin.audit.receipts import ReceiptPages
from minting.admin.exporting import RESULT_COLUMNS, ExportedList
from minting.admin.filters import BatchFilter
from minting.engine.states import SUCCEEDED_RESULTS
from minting.models import MintResult
from minting.models.fields import values
from minting.models.result import ENDED_WITHOUT_TOKENS
from readings.admin.search import Kind, Sought

OUTCOMES = {"1": values(SUCCEEDED_RESULTS), "0": values(ENDED_WITHOUT_TOKENS)}


class SuccessFilter(RadioFilter):
    """By outcome, as the batch counts: cancelled is not minted either."""

    title = "outcome"
    parameter_name = "success"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        """Two ways to end."""
        return [("1", "Minted"), ("0", "Failed or cancelled")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[MintResult]
    ) -> QuerySet[MintResult]:
        """Those that ended so."""
        # By the statuses that make it so, since the index is over these.
        statuses = OUTCOMES.get(self.value() or "")
        return queryset.filter(status__in=statuses) if statuses else queryset


@admin.register(MintResult)
class MintResultAdmin(ExportedList, ReceiptPages):
    """What became of each reading, batch by batch."""

    export_columns = RESULT_COLUMNS

    list_display = (
        "reading_name",
        "status_badge",
        "owner",
        "wallet",
        "amount",
        "signature",
        "error",
    )
    list_filter = (("status", ChoicesDropdownFilter), SuccessFilter, BatchFilter)
    list_filter_submit = True
    list_select_related = ("reading__meter", "transaction")
    ordering = ("-id",)
    search_fields = ("id",)
    search_help_text = "Reading id, wallet or transaction signature"
    when_empty = "Results come with the first batch: select readings and mint them."
    readonly_fields = (
        "reading_link",
        "batch_link",
        "status_badge",
        "energy",
        "wallet",
        "amount",
        "signature",
        "settled",
        "retry",
        "travels",
        "lasts",
    )
    fieldsets = (
        (None, {"fields": (("status_badge", "settled"), "reading_link", "batch_link")}),
        (
            "Paid",
            {
                "fields": (
                    "user_id",
                    "wallet",
                    ("energy", "amount"),
                    ("signature", "slot"),
                )
            },
        ),
        (
            "Attempts",
            {
                "fields": (
                    ("attempts", "travels"),
                    ("error_code", "lasts"),
                    "error",
                    ("retry_number", "retry"),
                    "id",
                )
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[MintResult]:
        """Without what of a transaction is long and not shown here."""
        results: QuerySet[MintResult] = super().get_queryset(request)
        return results.defer(
            *(f"transaction__{name}" for name in ("raw", "reading_ids", "evidence"))
        )

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """The newest first; within a batch all are as old, and its index is by reading."""
        return ("reading_id",) if BatchFilter.parameter_name in request.GET else self.ordering

    def find(self, results: QuerySet[MintResult], named: Sought) -> QuerySet[MintResult]:
        """By reading, wallet or signature."""
        match named.kind:
            case Kind.ID:
                return results.filter(reading=named.id)
            case Kind.SIGNATURE:
                return results.filter(transaction__signature=named.text)
            case Kind.WALLET:
                return results.filter(wallet_address=named.text)
            case Kind.NAME:
                return results.none()

    @display(description="Reading")
    def reading_name(self, result: MintResult) -> SafeString:
        """Meter and period."""
        return tables.reading_name(result.reading)

    @display(description="Reading")
    def reading_link(self, result: MintResult) -> SafeString | str:
        """Its page."""
        return show.row_link(result.reading, tables.reading_name(result.reading))

    @display(description="Batch")
    def batch_link(self, result: MintResult) -> SafeString | str:
        """Its page."""
        return show.row_link(result.batch)

    @display(description="Status")
    def status_badge(self, result: MintResult) -> SafeString:
        """How it stands."""
        return show.badge(result.status)

    @display(description="Owner")
    def owner(self, result: MintResult) -> SafeString:
        """Their id when the batch was made."""
        return show.unbroken(result.user_id)

    @display(description="Wallet")
    def wallet(self, result: MintResult) -> SafeString | str:
        """Where it is paid."""
        genesis = result.transaction.genesis_hash if result.transaction else ""
        return tables.wallet_cell(result.wallet_address, genesis)

    @display(description="Energy")
    def energy(self, result: MintResult) -> str:
        """KWh."""
        return show.kwh(result.kwh_amount)

    @display(description="Amount")
    def amount(self, result: MintResult) -> SafeString:
        """Tokens."""
        return show.unbroken(show.tokens(result.base_units))

    @display(description="Transaction", empty_value="")
    def signature(self, result: MintResult) -> SafeString | str:
        """Of what pays it."""
        return tables.signature_of(result)

    @display(description="Settled")
    def settled(self, result: MintResult) -> SafeString | str:
        """When its outcome was known."""
        return show.time(result.settled_at)

    @display(description="Travels")
    def travels(self, result: MintResult) -> str:
        """With others in one transaction, or without."""
        return "alone: its wallet made a landed transaction fail" if result.alone else "with others"

    @display(description="Trying again helps", empty_value="")
    def lasts(self, result: MintResult) -> str:
        """Where it failed."""
        if not result.error_code:
            return ""
        return "not before its cause is gone" if result.permanent else "yes"

    @display(description="Tried again")
    def retry(self, result: MintResult) -> SafeString | str:
        """When, if by itself."""
        return show.time(result.retry_at) or "not by itself"
