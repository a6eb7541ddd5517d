"""Webhook deliveries: what was sent, what came back, and sending it again."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import action, display

from minting.admin import show, tables
from minting.admin.base import OwnPage
from minting.admin.webhooks.pages import MANAGE
from minting.models import WebhookAttempt, WebhookDelivery
from minting.webhooks.endpoints import replay


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(OwnPage):
    """The log; what is selected or looked at can be sent again."""

    own_page = "admin/minting/webhook_delivery.html"
    list_display = (
        "number",
        "endpoint_link",
        "type",
        "state_badge",
        "attempts",
        "last_answer",
        "happened",
    )
    list_filter = (
        ("endpoint", RelatedDropdownFilter),
        ("type", ChoicesDropdownFilter),
        ("state", ChoicesDropdownFilter),
    )
    list_filter_submit = True
    list_select_related = ("endpoint",)
    ordering = ("-id",)
    search_fields = ("message",)
    search_help_text = "webhook-id"
    actions = ("replay_selected",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        """Without the bodies, which may be long."""
        deliveries: QuerySet[WebhookDelivery] = super().get_queryset(request)
        return deliveries.defer("body")

    def get_search_results(
        self,
        request: HttpRequest,  # noqa: ARG002
        queryset: QuerySet[WebhookDelivery],
        search_term: str,
    ) -> tuple[QuerySet[WebhookDelivery], bool]:
        """By the whole id, which has an index."""
        sought = search_term.strip()
        return (queryset.filter(message=sought) if sought else queryset), False

    def get_urls(self) -> list[URLPattern]:
        """The page that asks before one is sent again."""
        own = path(
            "<int:delivery_id>/replay/",
            self.admin_site.admin_view(self.replay_view),
            name="minting_webhookdelivery_replay",
        )
        return [own, *super().get_urls()]

    def has_manage_permission(self, request: HttpRequest) -> bool:
        """Whether this person may send again."""
        return bool(request.user.has_perm(MANAGE))

    @action(description="Replay selected", permissions=["manage"])
    def replay_selected(
        self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]
    ) -> HttpResponse | None:
        """Sends them again; an action comes by POST already."""
        again = replay(queryset, by=request.user.get_username())
        self.message_user(request, f"To be sent again: {again:,}.", messages.SUCCESS)
        return None

    def replay_view(self, request: HttpRequest, delivery_id: int) -> HttpResponse:
        """POST sends one again."""
        if not self.has_manage_permission(request):
            raise PermissionDenied
        this = WebhookDelivery.objects.filter(id=delivery_id)
        delivery = get_object_or_404(this.defer("body"))
        if request.method == "POST":
            again = replay(this, by=request.user.get_username())
            told = "It is sent again." if again else "Its endpoint was removed."
            self.message_user(request, told, messages.SUCCESS if again else messages.WARNING)
        return redirect("admin:minting_webhookdelivery_change", delivery.pk)

    def page_of(self, request: HttpRequest, row: WebhookDelivery) -> dict[str, Any]:
        """What was sent, and every attempt."""
        return {
            "badge": show.badge(row.state),
            "may_manage": self.has_manage_permission(request),
            "facts": _facts(row),
            "attempts": _attempts(row),
            "body": _shown_body(row.body),
        }

    @display(description="No.")
    def number(self, delivery: WebhookDelivery) -> str:
        """Its endpoint's own count."""
        return f"{delivery.sequence:,}"

    @display(description="Endpoint")
    def endpoint_link(self, delivery: WebhookDelivery) -> SafeString | str:
        """To whom."""
        return show.row_link(delivery.endpoint)

    @display(description="State")
    def state_badge(self, delivery: WebhookDelivery) -> SafeString:
        """Whether it got there."""
        return show.badge(delivery.state)

    @display(description="Last answer")
    def last_answer(self, delivery: WebhookDelivery) -> str:
        """What came back."""
        return delivery.last_error or str(delivery.last_status or "")

    @display(description="Handed out")
    def happened(self, delivery: WebhookDelivery) -> SafeString | str:
        """When."""
        return show.time(delivery.created_at)


def _facts(delivery: WebhookDelivery) -> list[tuple[str, Any]]:
    replayed = format_html("{}, {}", show.time(delivery.replayed_at), delivery.replayed_by)
    told = [
        ("Endpoint", show.row_link(delivery.endpoint)),
        ("Event", delivery.type),
        ("Number", f"{delivery.sequence:,}"),
        ("webhook-id", delivery.message),
        ("Handed out", show.time(delivery.created_at)),
        ("Delivered", show.time(delivery.delivered_at)),
        ("Next attempt", show.time(delivery.due_at) if delivery.state == "pending" else ""),
        ("Replayed", replayed if delivery.replayed_at else ""),
    ]
    return [(name, value) for name, value in told if value]


def _attempts(delivery: WebhookDelivery) -> dict[str, Any]:
    return tables.table(
        ["Attempt", "When", "Outcome", "Status", "Took", "Address", "What came back"],
        [
            [
                each.number,
                show.time(each.started_at),
                each.outcome.replace("_", " "),
                each.status or "",
                "" if each.took_ms is None else f"{each.took_ms:,} ms",
                each.address,
                _came_back(each),
            ]
            for each in delivery.tries.order_by("-number")[:50]
        ],
    )


def _came_back(attempt: WebhookAttempt) -> SafeString:
    shown = "<div><div>{}</div><code>{}</code></div>"
    return format_html(shown, attempt.error, attempt.answer[:300])


def _shown_body(body: str) -> str:
    """Indented for people; what was sent has neither spaces nor line breaks."""
    return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
