"""Transactions: the journal, read-only, with the evidence that each state rests on."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from minting.admin import explorer, show, tables
from minting.admin.audit.doubts import DoubtFilter
from minting.admin.audit.proof import ProofPages
from minting.admin.audit.statements import StatementPages
from minting.admin.exporting import TRANSACTION_COLUMNS
from minting.admin.filters import BatchFilter
from minting.models import MintResult, MintTransaction
from readings.admin import copying
from readings.admin.search import Kind, Sought

PAID_SHOWN = 200
"""Readings listed on a transaction's page; the rest is told by number."""


@admin.register(MintTransaction)
class MintTransactionAdmin(StatementPages, ProofPages):
    """Everything ever signed."""

    export_columns = TRANSACTION_COLUMNS

    list_display = (
        "short_signature",
        "status_badge",
        "readings",
        "amount",
        "fee",
        "slot",
        "signed",
        "doubted",
    )
    list_display_links = None  # the signature leads to the page, and has buttons beside it
    list_filter = (("status", ChoicesDropdownFilter), DoubtFilter, BatchFilter)
    list_filter_submit = True
    ordering = ("-id",)
    search_fields = ("signature",)
    search_help_text = "Transaction signature, reading id, batch id or wallet"
    when_empty = "Transactions come with the first batch: select readings and mint them."
    change_form_outer_after_template = "admin/minting/transaction_readings.html"
    readonly_fields = (
        "status_badge",
        "batch_link",
        "amount",
        "fee",
        "rent",
        "whole_signature",
        "payer",
        "mint",
        "root",
        "signed",
        "sent",
        "doubted",
        "confirmed",
        "finalized",
        "error_document",
        "evidence_document",
    )
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("status_badge", "slot"),
                    "whole_signature",
                    "batch_link",
                    "amount",
                    ("fee", "rent"),
                )
            },
        ),
        (
            "When",
            {"fields": (("signed", "sent"), ("confirmed", "finalized"), "doubted")},
        ),
        (
            "What was signed",
            {
                # A row each for what is as wide as the page.
                "fields": (
                    "blockhash",
                    ("blockhash_slot", "last_valid_block_height"),
                    ("version", "new_accounts"),
                    "payer",
                    "mint",
                    "genesis_hash",
                    "root",
                )
            },
        ),
        ("What the chain says", {"fields": ("error_document", "evidence_document")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[MintTransaction]:
        """Without the bytes."""
        transactions: QuerySet[MintTransaction] = super().get_queryset(request)
        return transactions.defer("raw")

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """A transaction and the readings that its bytes pay."""
        extra = {
            "readings": lambda: readings_of(object_id),
            **self.doubt_context(request, object_id),
        }
        return super().change_view(  # type: ignore[no-any-return]
            request, object_id, form_url, {**(extra_context or {}), **extra}
        )

    def find(
        self, transactions: QuerySet[MintTransaction], named: Sought
    ) -> QuerySet[MintTransaction]:
        """By signature, by what they pay, or by batch."""
        match named.kind:
            case Kind.ID:
                return transactions.filter(_of_batch_or_reading(named.id))
            case Kind.SIGNATURE:
                return transactions.filter(signature=named.text)
            case Kind.WALLET:
                results = MintResult.objects.filter(wallet_address=named.text)
                return transactions.filter(pk__in=results.values("transaction"))
            case Kind.NAME:
                return transactions.none()

    @display(description="Signature")
    def short_signature(self, transaction: MintTransaction) -> SafeString:
        """Its ends, and its page; to copy, and to look at where the world sees it."""
        return tables.signature_cell(transaction)

    @display(description="Status")
    def status_badge(self, transaction: MintTransaction) -> SafeString:
        """How it stands."""
        return tables.transaction_badge(transaction)

    @display(description="Batch")
    def batch_link(self, transaction: MintTransaction) -> SafeString | str:
        """Its page."""
        return show.row_link(transaction.batch)

    @display(description="Readings")
    def readings(self, transaction: MintTransaction) -> int:
        """How many it pays."""
        return len(transaction.reading_ids)

    @display(description="Amount")
    def amount(self, transaction: MintTransaction) -> str:
        """Tokens."""
        return show.tokens(transaction.base_units)

    @display(description="Fee")
    def fee(self, transaction: MintTransaction) -> str:
        """Network and priority fee."""
        return show.lamports(transaction.network_fee_lamports + transaction.priority_fee_lamports)

    @display(description="Rent")
    def rent(self, transaction: MintTransaction) -> str:
        """Of accounts that it creates."""
        return show.lamports(transaction.rent_lamports)

    @display(description="Signature")
    def whole_signature(self, transaction: MintTransaction) -> SafeString:
        """To read, to copy, and to look at where the world sees it."""
        signature = transaction.signature
        return copying.together(
            signature,
            copying.button(signature, "signature"),
            explorer.transaction(signature, transaction.genesis_hash),
        )

    @display(description="Fee payer")
    def payer(self, transaction: MintTransaction) -> SafeString:
        """Likewise."""
        return _whole(transaction.fee_payer, transaction, "fee payer")

    @display(description="Mint")
    def mint(self, transaction: MintTransaction) -> SafeString:
        """Likewise."""
        return _whole(transaction.mint_address, transaction, "mint")

    @display(description="Memo root")
    def root(self, transaction: MintTransaction) -> str:
        """Of the Merkle tree over the readings paid, in hexadecimal."""
        return bytes(transaction.memo_root).hex()

    @display(description="Signed")
    def signed(self, transaction: MintTransaction) -> SafeString | str:
        """When it was journalled."""
        return show.time(transaction.signed_at)

    @display(description="Sent")
    def sent(self, transaction: MintTransaction) -> SafeString | str:
        """When it first left."""
        return show.time(transaction.sent_at)

    @display(description="In doubt since")
    def doubted(self, transaction: MintTransaction) -> SafeString | str:
        """When it was overdue."""
        return show.time(transaction.doubted_at)

    @display(description="Confirmed")
    def confirmed(self, transaction: MintTransaction) -> SafeString | str:
        """When it was seen to have landed."""
        return show.time(transaction.confirmed_at)

    @display(description="Finalized")
    def finalized(self, transaction: MintTransaction) -> SafeString | str:
        """When that could not be undone."""
        return show.time(transaction.finalized_at)

    @display(description="Error it landed with")
    def error_document(self, transaction: MintTransaction) -> SafeString | str:
        """As the node says it."""
        return show.pretty_json(transaction.error) or "none"

    @display(description="Evidence for a proof of death")
    def evidence_document(self, transaction: MintTransaction) -> SafeString | str:
        """What was asked and answered."""
        return show.pretty_json(transaction.evidence) or "none"


def readings_of(transaction_id: str) -> dict[str, Any]:
    """What a transaction's bytes pay, with each reading's result in its batch."""
    transactions = MintTransaction.objects.only("batch", "reading_ids", "genesis_hash")
    paid = transactions.get(pk=transaction_id)
    results = (
        MintResult.objects.filter(batch=paid.batch_id, reading__in=paid.reading_ids[:PAID_SHOWN])
        .select_related("reading__meter")
        .order_by("wallet_address", "id")
    )
    rows = [
        [
            show.row_link(result.reading, tables.reading_name(result.reading)),
            show.badge(result.status),
            result.user_id,
            tables.wallet_cell(result.wallet_address, paid.genesis_hash),
            show.kwh(result.kwh_amount),
            show.tokens(result.base_units),
        ]
        for result in results
    ]
    return {
        "count": f"{len(paid.reading_ids):,}",
        "more": max(0, len(paid.reading_ids) - PAID_SHOWN),
        "table": tables.table(["Reading", "Status", "Owner", "Wallet", "Energy", "Tokens"], rows),
    }


def _whole(address: str, transaction: MintTransaction, what: str) -> SafeString:
    return copying.together(
        address,
        copying.button(address, what),
        explorer.address(address, transaction.genesis_hash, f"the {what}"),
    )


def _of_batch_or_reading(id_: UUID) -> Q:
    """A batch's transactions, or those of a reading's batches that ever paid it."""
    batches = list(MintResult.objects.filter(reading=id_).values_list("batch", flat=True))
    return Q(batch__in=batches, reading_ids__contains=[id_]) if batches else Q(batch=id_)
