"""Who came in, and who failed to: django-axes' tables in our dress, and letting people in again."""

from __future__ import annotations

from axes.helpers import get_cool_off
from axes.models import AccessAttempt, AccessLog
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from unfold.decorators import action, display

from gridtoken.login.events import tell
from minting.admin import show
from minting.admin.base import ReadOnlyAdmin

SHOWN = 60
"""Characters of a browser's name for itself."""


@admin.register(AccessAttempt)
class FailedLoginAdmin(ReadOnlyAdmin):
    """Wrong passwords and codes since the last login; forgotten when their time is over."""

    list_display = (
        "username",
        "ip_address",
        "failures_since_start",
        "last_try",
        "state",
        "until",
        "agent",
    )
    search_fields = ("username__exact", "ip_address__exact")
    search_help_text = "User name or address"
    ordering = ("-attempt_time",)
    when_empty = "Nobody failed to log in lately."
    readonly_fields = ("last_try", "state", "until", "agent")
    fields = (
        ("username", "ip_address"),
        ("failures_since_start", "last_try"),
        ("state", "until"),
        "agent",
    )
    actions = ("let_in",)

    def has_let_in_permission(self, request: HttpRequest) -> bool:
        """Who may take the count away."""
        return request.user.has_perm("axes.delete_accessattempt")

    @action(description="Let in again", permissions=["let_in"])
    def let_in(self, request: HttpRequest, chosen: QuerySet[AccessAttempt]) -> None:
        """Forgets the failures of these names from these addresses, whatever browser they used."""
        pairs = set(chosen.values_list("username", "ip_address"))
        for username, address in pairs:
            AccessAttempt.objects.filter(username=username, ip_address=address).delete()
            if person := User.objects.filter(username=username).first():
                freed = {"login": [f"failed from {address}", "open"]}
                tell(person, changes=freed, by=request.user, request=request)
        self.message_user(request, f"Let in again: {len(pairs)}", messages.SUCCESS)

    @display(description="Last try", ordering="attempt_time")
    def last_try(self, attempt: AccessAttempt) -> SafeString | str:
        """When."""
        return show.time(attempt.attempt_time)

    @display(description="State")
    def state(self, attempt: AccessAttempt) -> SafeString:
        """Whether these are too many."""
        alike = AccessAttempt.objects.filter(
            username=attempt.username, ip_address=attempt.ip_address
        )
        failures = sum(alike.values_list("failures_since_start", flat=True))
        if attempt.attempt_time + get_cool_off() <= timezone.now():
            return show.badge("over", "over")
        if failures < settings.AXES_FAILURE_LIMIT:
            return show.badge("pending", f"{settings.AXES_FAILURE_LIMIT - failures} more tries")
        return show.badge("failed", "locked")

    @display(description="Counts until")
    def until(self, attempt: AccessAttempt) -> SafeString | str:
        """When it is forgotten, or let in again."""
        return show.time(attempt.attempt_time + get_cool_off())

    @display(description="Browser")
    def agent(self, attempt: AccessAttempt) -> str:
        """As it calls itself."""
        return Truncator(attempt.user_agent).chars(SHOWN)


@admin.register(AccessLog)
class LoginAdmin(ReadOnlyAdmin):
    """Logins that succeeded, second factor included, and when they were ended."""

    list_display = ("username", "ip_address", "came", "left", "agent")
    search_fields = ("username__exact", "ip_address__exact")
    search_help_text = "User name or address"
    ordering = ("-attempt_time",)
    when_empty = "Nobody has logged in yet."
    readonly_fields = ("came", "left", "agent")
    fields = (("username", "ip_address"), ("came", "left"), "agent")

    @display(description="Logged in", ordering="attempt_time")
    def came(self, login: AccessLog) -> SafeString | str:
        """When."""
        return show.time(login.attempt_time)

    @display(description="Logged out")
    def left(self, login: AccessLog) -> SafeString | str:
        """When; a session may also have run out by itself."""
        return show.time(login.logout_time) if login.logout_time else ""

    @display(description="Browser")
    def agent(self, login: AccessLog) -> str:
        """As it calls itself."""
        return Truncator(login.user_agent).chars(SHOWN)
