"""Webhook endpoints: who is told, what of, and how it goes."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from minting.admin import show, tables
from minting.admin.base import OwnPage
from minting.admin.webhooks.pages import MANAGE, EndpointPages
from minting.models import WebhookEndpoint
from readings.admin.lists import COUNTED, counted

LATEST = 10
"""Deliveries on an endpoint's page."""


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(OwnPage, EndpointPages):
    """The list, and a page each with its health, its latest deliveries, and the buttons."""

    own_page = "admin/minting/webhook_endpoint.html"
    list_display = ("name", "address", "state", "told", "last_success", "in_a_row", "made_by")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEndpoint]:
        """Without those that were removed."""
        endpoints: QuerySet[WebhookEndpoint] = super().get_queryset(request)
        return endpoints.filter(removed_at__isnull=True)

    def page_of(self, request: HttpRequest, row: WebhookEndpoint) -> dict[str, Any]:
        """How it goes, and what may be done with it."""
        may_manage = request.user.has_perm(MANAGE)
        return {
            "state": state_of(row),
            "may_manage": may_manage,
            "facts": _facts(row, whole=may_manage),
            "health": _health(row),
            "latest": _latest(row),
            "links": format_html(
                "{} · {}",
                show.link(_list_of(row, state__exact="failed"), "Failed"),
                show.link(_list_of(row), "All deliveries"),
            ),
        }

    @display(description="Endpoint")
    def name(self, endpoint: WebhookEndpoint) -> str:
        """Whose it is."""
        return endpoint.description or "(no description)"

    @display(description="URL")
    def address(self, endpoint: WebhookEndpoint) -> str:
        """Where to; receivers put keys behind the question mark."""
        return endpoint.url.partition("?")[0]

    @display(description="State")
    def state(self, endpoint: WebhookEndpoint) -> SafeString:
        """Whether it is sent to."""
        return state_of(endpoint)

    @display(description="Messages")
    def told(self, endpoint: WebhookEndpoint) -> str:
        """How many there were."""
        return f"{endpoint.last_sequence:,}"

    @display(description="Last success")
    def last_success(self, endpoint: WebhookEndpoint) -> SafeString | str:
        """When."""
        return show.time(endpoint.last_success_at) or "never"

    @display(description="Failures in a row")
    def in_a_row(self, endpoint: WebhookEndpoint) -> str:
        """Since then."""
        return f"{endpoint.failures:,}"

    @display(description="Made by")
    def made_by(self, endpoint: WebhookEndpoint) -> str:
        """Who."""
        return endpoint.created_by


def banner(request: HttpRequest) -> dict[str, Any]:
    """Context processor: endpoints that were disabled by themselves, for those who may see any."""
    return {"webhooks_given_up": SimpleLazyObject(lambda: _given_up(request))}


def _given_up(request: HttpRequest) -> list[WebhookEndpoint]:
    user = getattr(request, "user", None)
    may = user is not None and user.is_staff and user.has_perm("minting.view_webhookendpoint")
    return list(WebhookEndpoint.objects.given_up()[:5]) if may else []


def state_of(endpoint: WebhookEndpoint) -> SafeString:
    """Enabled and well, failing, resting, or disabled."""
    if endpoint.removed_at:
        return show.badge("over", "removed")
    if not endpoint.enabled:
        return show.badge("failed", "disabled")
    if endpoint.rests_until and endpoint.rests_until > timezone.now():
        return show.badge("held", "resting")
    if endpoint.failures:
        return show.badge("held", "failing")
    return show.badge("succeeded", "enabled")


def _health(endpoint: WebhookEndpoint) -> list[tuple[str, SafeString | str]]:
    waiting = counted(endpoint.deliveries.pending().values("pk")).count()
    return [
        ("Messages", f"{endpoint.last_sequence:,}"),
        ("Waiting", f"{waiting:,}" if waiting <= COUNTED else f"more than {COUNTED:,}"),
        ("Failures in a row", f"{endpoint.failures:,}"),
        ("Last success", show.time(endpoint.last_success_at) or "never"),
    ]


def _facts(endpoint: WebhookEndpoint, *, whole: bool) -> list[tuple[str, SafeString | str]]:
    """What there is to know; receivers put keys behind the question mark of their URL."""
    now = timezone.now()
    resting = endpoint.rests_until and endpoint.rests_until > now
    overlap = endpoint.previous_until and endpoint.previous_until > now
    told = [
        ("URL", endpoint.url if whole else endpoint.url.partition("?")[0]),
        ("Events", ", ".join(endpoint.events)),
        ("Made", format_html("{}, {}", show.time(endpoint.created_at), endpoint.created_by)),
        ("Secret", "shown once, when it was made"),
        ("Old secret signs too until", show.time(endpoint.previous_until) if overlap else ""),
        ("Failing since", show.time(endpoint.failing_since)),
        ("Rests until", show.time(endpoint.rests_until) if resting else ""),
        ("Why it is disabled", endpoint.disabled_reason),
    ]
    return [(name, value) for name, value in told if value]


def _latest(endpoint: WebhookEndpoint) -> dict[str, Any]:
    rows = endpoint.deliveries.order_by("-id").defer("body")[:LATEST]
    return tables.table(
        ["No.", "Event", "State", "Attempts", "Last answer", "Happened"],
        [
            [
                show.row_link(row, f"{row.sequence:,}"),
                row.type,
                show.badge(row.state),
                row.attempts,
                row.last_error or row.last_status or "",
                show.time(row.created_at),
            ]
            for row in rows
        ],
    )


def _list_of(endpoint: WebhookEndpoint, **more: str) -> str:
    query = urlencode({"endpoint__id__exact": str(endpoint.id), **more})
    return f"{reverse('admin:minting_webhookdelivery_changelist')}?{query}"
