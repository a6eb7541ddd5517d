"""The pages that ask before something happens to an endpoint, and what then happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from minting.admin.base import ReadOnlyAdmin
from minting.engine.events import EventType
from minting.models import WebhookEndpoint
from minting.webhooks import endpoints
from minting.webhooks.addresses import LONGEST, UrlRefused

MANAGE = "minting.manage_webhooks"

SAYS = {
    EventType.BATCH_FINISHED: "every reading of a batch has its outcome",
    EventType.BATCH_REOPENED: "a fork took back what a finished batch had minted",
    EventType.READING_FAILED: "readings failed for good; up to 1,000 a message",
    EventType.TRANSACTION_IN_DOUBT: "neither landed nor proven dead",
    EventType.TRANSACTION_RESOLVED: "landed or proven dead after all",
    EventType.MINTING_STOPPED: "nothing new is signed",
    EventType.MINTING_RESUMED: "signing goes on",
}


class EndpointForm(forms.Form):
    """Where to, and what of."""

    url = forms.CharField(
        label="URL",
        max_length=LONGEST,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "https://billing.example/hooks"}),
        help_text="Messages are sent here by POST, signed.",
    )
    description = forms.CharField(
        max_length=200, required=False, widget=UnfoldAdminTextInputWidget, help_text="Whose it is."
    )
    events = forms.MultipleChoiceField(
        choices=[(each.value, f"{each.value} — {SAYS[each]}") for each in endpoints.CHOOSABLE],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    def values(self) -> dict[str, Any]:
        """As the service takes them."""
        told = self.cleaned_data
        return {**told, "events": [EventType(each) for each in told["events"]]}


class SecretForm(forms.Form):
    """How the old secret ends."""

    at_once = forms.BooleanField(
        label="The old secret is known to others",
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Then it signs nothing more. Else both sign for 24 hours, so that the receiver "
        "can change it without losing a message.",
    )


def _a_week_ago() -> str:
    return f"{timezone.now() - timedelta(days=7):%Y-%m-%dT%H:%M}"


class SinceForm(forms.Form):
    """From when on."""

    since = forms.DateTimeField(
        label="Since (UTC)",
        initial=_a_week_ago,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}),
        help_text="What was handed out from then on, and failed.",
    )


@dataclass(frozen=True, slots=True)
class Ask:
    """One page: what it asks, and what is done when the answer is yes."""

    title: str
    words: str
    button: str
    do: Callable[[WebhookEndpoint, str, dict[str, Any]], str]
    """Of the endpoint, who asks, and the form; returns what is said afterwards."""
    form: type[forms.Form] | None = None
    danger: bool = False


def _test(endpoint: WebhookEndpoint, by: str, _said: dict[str, Any]) -> str:
    delivery = endpoints.send_test(endpoint.id, by=by)
    return f"A test is on its way: no. {delivery.sequence}."


def _replay(endpoint: WebhookEndpoint, by: str, said: dict[str, Any]) -> str:
    again = endpoints.replay_failed(endpoint.id, since=said["since"], by=by)
    return f"To be sent again: {again:,}."


def _enable(endpoint: WebhookEndpoint, by: str, _said: dict[str, Any]) -> str:
    waiting = endpoints.enable_endpoint(endpoint.id, by=by)
    return f"Enabled; {waiting:,} waited and are sent now." if waiting else "Enabled."


def _disable(endpoint: WebhookEndpoint, by: str, _said: dict[str, Any]) -> str:
    endpoints.disable_endpoint(endpoint.id, by=by)
    return "Disabled; what happens is numbered and waits."


def _remove(endpoint: WebhookEndpoint, by: str, _said: dict[str, Any]) -> str:
    endpoints.remove_endpoint(endpoint.id, by=by)
    return "Removed; its log is kept for 30 days."


ASKS = {
    "test": Ask(
        "Send a test message?",
        "One message of the event webhook.test, numbered and signed like all others. It says that "
        "nothing has happened.",
        "Send test",
        _test,
    ),
    "replay": Ask(
        "Replay what failed?",
        "The same bytes under the same webhook-id, freshly signed: a receiver that knows a message "
        "already can tell.",
        "Replay",
        _replay,
        form=SinceForm,
    ),
    "enable": Ask(
        "Enable this endpoint?",
        "What happened meanwhile was numbered and waits; it is sent now, in order.",
        "Enable",
        _enable,
    ),
    "disable": Ask(
        "Disable this endpoint?",
        "Nothing is sent until it is enabled again. What happens meanwhile is numbered and waits, "
        "for 30 days.",
        "Disable",
        _disable,
        danger=True,
    ),
    "remove": Ask(
        "Remove this endpoint?",
        "For good: what is not delivered never is. Its log can be read for 30 days.",
        "Remove",
        _remove,
        danger=True,
    ),
}


class EndpointPages(ReadOnlyAdmin):
    """An endpoint is made, changed and asked about here; each page asks, and acts on POST alone."""

    def get_urls(self) -> list[URLPattern]:
        """One for each question, before the pages of rows."""
        own = [
            path(
                f"<uuid:endpoint_id>/{name}/",
                self.admin_site.admin_view(view),
                {"name": name} if name in ASKS else None,
                name=f"minting_webhookendpoint_{name}",
            )
            for name, view in (
                *((name, self.ask_view) for name in ASKS),
                ("edit", self.edit_view),
                ("secret", self.secret_view),
            )
        ]
        return [*own, *super().get_urls()]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Those who manage webhooks."""
        return bool(request.user.has_perm(MANAGE))

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",  # noqa: ARG002
        extra_context: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> HttpResponse:
        """A new one; answers with its secret, this once."""
        _may_manage(request)
        form = EndpointForm(
            _sent(request), initial={"events": [each.value for each in endpoints.CHOOSABLE]}
        )
        if request.method == "POST" and form.is_valid():
            try:
                made, secret = endpoints.make_endpoint(
                    by=request.user.get_username(), **form.values()
                )
            except UrlRefused as refused:
                form.add_error("url", str(refused))
            else:
                return self._tell_secret(request, made, secret)
        return self._ask(request, form, title="Add an endpoint", button="Add")

    def edit_view(self, request: HttpRequest, endpoint_id: UUID) -> HttpResponse:
        """Where to from now on, and what of."""
        endpoint = self._managed(request, endpoint_id)
        form = EndpointForm(
            _sent(request),
            initial={
                "url": endpoint.url,
                "description": endpoint.description,
                "events": endpoint.events,
            },
        )
        if request.method == "POST" and form.is_valid():
            try:
                endpoints.change_endpoint(
                    endpoint.id, by=request.user.get_username(), **form.values()
                )
            except UrlRefused as refused:
                form.add_error("url", str(refused))
            else:
                self.message_user(request, "Changed.", messages.SUCCESS)
                return redirect("admin:minting_webhookendpoint_change", endpoint.pk)
        return self._ask(request, form, title="Edit", button="Save", endpoint=endpoint)

    def secret_view(self, request: HttpRequest, endpoint_id: UUID) -> HttpResponse:
        """GET asks how the old one ends, POST shows the new one, once."""
        endpoint = self._managed(request, endpoint_id)
        form = SecretForm(_sent(request))
        if request.method == "POST" and form.is_valid():
            secret = endpoints.renew_secret(
                endpoint.id,
                by=request.user.get_username(),
                at_once=form.cleaned_data["at_once"],
            )
            return self._tell_secret(request, endpoint, secret)
        return self._ask(
            request, form, title="Make a new secret?", button="New secret", endpoint=endpoint
        )

    def ask_view(self, request: HttpRequest, endpoint_id: UUID, name: str) -> HttpResponse:
        """GET asks once, POST does it."""
        endpoint = self._managed(request, endpoint_id)
        ask = ASKS[name]
        form = ask.form(_sent(request)) if ask.form else None
        if request.method == "POST" and (form is None or form.is_valid()):
            said = form.cleaned_data if form else {}
            told = ask.do(endpoint, request.user.get_username(), said)
            self.message_user(request, told, messages.SUCCESS)
            if name == "remove":
                return redirect("admin:minting_webhookendpoint_changelist")
            return redirect("admin:minting_webhookendpoint_change", endpoint.pk)
        return self._ask(
            request,
            form,
            title=ask.title,
            button=ask.button,
            endpoint=endpoint,
            words=ask.words,
            variant="danger" if ask.danger else "primary",
        )

    def _managed(self, request: HttpRequest, endpoint_id: UUID) -> WebhookEndpoint:
        _may_manage(request)
        return get_object_or_404(WebhookEndpoint.objects.standing(), id=endpoint_id)

    def _ask(
        self,
        request: HttpRequest,
        form: forms.Form | None,
        *,
        endpoint: WebhookEndpoint | None = None,
        variant: str = "primary",
        **extra: Any,
    ) -> HttpResponse:
        context = self.page_context(
            request, form=form, original=endpoint, variant=variant, media=self.media, **extra
        )
        return TemplateResponse(request, "admin/minting/webhook_ask.html", context)

    def _tell_secret(
        self, request: HttpRequest, endpoint: WebhookEndpoint, secret: str
    ) -> HttpResponse:
        """In the answer itself: not in a session, a cookie or a log, and kept by no browser."""
        context = self.page_context(
            request, title="The secret of this endpoint", original=endpoint, secret=secret
        )
        return TemplateResponse(request, "admin/minting/webhook_secret.html", context)


def _may_manage(request: HttpRequest) -> None:
    if not request.user.has_perm(MANAGE):
        raise PermissionDenied


def _sent(request: HttpRequest) -> QueryDict | None:
    """What a form was sent with; a switch that is off sends nothing at all."""
    return request.POST if request.method == "POST" else None
