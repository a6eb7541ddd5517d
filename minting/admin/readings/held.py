"""What is held, by cause: how much, since when, what ends it, and the way to release it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.decorators import action

from minting.admin import show
from minting.admin.filters import HELD
from minting.admin.readings.releases import ReleasePages
from minting.service.requests.selections import freeze
from readings.admin import lists
from readings.models import MeterReading
from readings.rules import ReadingCode, ReadingStatus

# One statement for all causes; each reads its index no further than lists are counted.
_COUNT = """
SELECT %s, (
    SELECT count(*) FROM (
        SELECT FROM readings_meterreading
         WHERE code = %s AND status = 'held' AND is_current LIMIT %s
    ) AS found
), (
    SELECT submitted_at FROM readings_meterreading
     WHERE code = %s AND status = 'held' AND is_current ORDER BY submitted_at, id LIMIT 1
)
"""


@dataclass(frozen=True, slots=True)
class Cause:
    """Readings that are held for one reason."""

    code: ReadingCode
    count: str
    since: SafeString | str
    """When the oldest of them came in."""
    ends: str
    """What would let them go."""
    page: str
    """Their list."""
    remedy: SafeString | str
    """The way to what ends it, if that is a page."""

    @property
    def title(self) -> str:
        """What people call it."""
        return self.code.value.replace("_", " ").capitalize()

    @property
    def can_be_released(self) -> bool:
        """A person may take responsibility for anything but nobody to pay."""
        return self.code is not ReadingCode.NO_WALLET


class HeldPages(ReleasePages):
    """The list of causes, and *Release all* of one."""

    actions_list = ("held",)

    @action(description="What is held", icon="front_hand", url_path="held")
    def held(self, request: HttpRequest) -> HttpResponse:
        """GET counts by cause; POST freezes all of one cause and asks for the reason."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            return self._release_all(request, request.POST.get("cause", ""))
        context = self.page_context(
            request,
            title="Held readings",
            causes=causes(),
            can_release=self.has_release_permission(request),
        )
        return TemplateResponse(request, "admin/readings/meterreading/held.html", context)

    def _release_all(self, request: HttpRequest, cause: str) -> HttpResponse:
        if not self.has_release_permission(request):
            raise PermissionDenied
        if cause not in HELD:
            raise Http404
        selection = freeze(MeterReading.objects.held(cause), request.user)
        return redirect("admin:readings_meterreading_release", selection.id)


def causes() -> list[Cause]:
    """Those for which something is held, in the order in which they are judged."""
    parameters = [
        value for code in HELD for value in (code.value, code.value, lists.COUNTED + 1, code.value)
    ]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join([_COUNT] * len(HELD)), parameters)
        rows = cursor.fetchall()
    return [
        Cause(
            code=ReadingCode(code),
            count=f"{count:,}" if count <= lists.COUNTED else f"more than {lists.COUNTED:,}",
            since=show.time(since),
            ends=ends()[ReadingCode(code)],
            page=_listed(code),
            remedy=_remedy(ReadingCode(code)),
        )
        for code, count, since in rows
        if count
    ]


def ends() -> Mapping[ReadingCode, str]:
    """What ends each cause, in a sentence; with the limits of now."""
    return {
        ReadingCode.NO_WALLET: (
            "Register a wallet for the owner, or assign the meter to an owner who has one: the "
            "readings are then pending by themselves. Without a wallet there is nobody to pay, so "
            "they cannot be released."
        ),
        ReadingCode.READING_TOO_LARGE: (
            f"More than {settings.TOKENIZATION_MAX_READING_KWH:f} kWh. Release what was really "
            "measured, or raise TOKENIZATION_MAX_READING_KWH: what fits then is let go within a "
            "minute."
        ),
        ReadingCode.READING_TOO_OLD: (
            f"Came in more than {settings.TOKENIZATION_READING_MAX_AGE_DAYS} days after its "
            "period. Release what is right all the same, or raise "
            "TOKENIZATION_READING_MAX_AGE_DAYS: what fits then is let go within a minute."
        ),
        ReadingCode.OVERLAPPING_PERIOD: (
            "Another reading of the same meter covers part of the period: the energy would be "
            "minted twice. Correct the wrong one of the two, or release it where both are right."
        ),
        ReadingCode.UNVERIFIED: (
            "The meter's signature was missing or wrong. Release what somebody vouches for."
        ),
    }


def _remedy(code: ReadingCode) -> SafeString | str:
    if code is not ReadingCode.NO_WALLET:
        return ""
    return show.link(reverse("admin:readings_wallet_add"), "Register a wallet")


def _listed(code: str) -> str:
    url = reverse("admin:readings_meterreading_changelist")
    return f"{url}?reason={code}&status__exact={ReadingStatus.HELD.value}"
