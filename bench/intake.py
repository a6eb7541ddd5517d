"""How many readings a second ``POST readings`` takes, a thousand a request, into PostgreSQL.

Asked in this process through Django's handler and the token's check, so that only a web server's
own microseconds and its further processes are missing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from bench.figures import Taken
from bench.hall import BenchError
from bench.people import QUARTER, Village
from minting.access.models import ApiToken
from minting.access.scopes import Scope
from readings.models import Meter

A_REQUEST = 1_000
METERS_OF_A_SITE = 10
FEW = 10
"""Readings of the request that shows how many statements a small one takes."""


@dataclass(frozen=True, slots=True)
class _Door:
    """Where readings go, and who sends them."""

    client: APIClient
    newest: datetime

    def send(self, bodies: Sequence[dict[str, str]], wanted: str) -> float:
        """Seconds that the request took.

        Raises:
            BenchError: Not every reading became what was ``wanted``.
        """
        text = json.dumps(bodies)
        start = time.perf_counter()
        answer = self.client.post(
            reverse("api:reading-list"), text, content_type="application/json"
        )
        seconds = time.perf_counter() - start
        told: dict[str, Any] = answer.json()
        if told.get(wanted) != len(bodies):
            raise BenchError(f"{len(bodies)} readings were not all {wanted}: {str(told)[:200]}")
        return seconds

    def statements(self, bodies: Sequence[dict[str, str]]) -> int:
        """That the same takes."""
        with CaptureQueriesContext(connection) as asked:
            self.send(bodies, "created")
        return len(asked)

    def body(self, meter: Meter, back: int) -> dict[str, str]:
        """A quarter hour of a meter, so many before the newest."""
        end = self.newest - back * QUARTER
        return {
            "meter_serial": meter.serial,
            "kwh_amount": f"0.{back % 900 + 100}",
            "period_start": (end - QUARTER).isoformat(),
            "period_end": end.isoformat(),
            "external_id": f"{meter.serial}-{back}",
        }


def measure(village: Village, requests: int) -> Iterator[Taken]:
    """A reading each of many meters, a day each of a few, and the same sent again."""
    user, _ = User.objects.get_or_create(username="bench-head-end")
    _, secret = ApiToken.objects.issue(user=user, scopes=[Scope.SUBMIT], expires_in=None)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    door = _Door(client, timezone.now().replace(minute=0, second=0, microsecond=0))
    with override_settings(ALLOWED_HOSTS=["testserver"]):
        door.send([door.body(village.meters[0], 600)], "created")
        yield from _shapes(door, village, requests)


def _shapes(door: _Door, village: Village, requests: int) -> Iterator[Taken]:
    meters = village.meters
    each = A_REQUEST // METERS_OF_A_SITE
    wide = [[door.body(meter, back) for meter in meters] for back in range(requests)]
    deep = [
        [door.body(meter, 100 + back) for meter in _site(meters, number) for back in range(each)]
        for number in range(requests)
    ]
    few = [door.body(meter, 500) for meter in meters[:FEW]]
    small, large = door.statements(few), door.statements([door.body(m, 501) for m in meters])
    for name, bodies, wanted in (
        (f"{len(meters):,} meters, one reading each", wide, "created"),
        (f"{METERS_OF_A_SITE} meters, {each} readings each", deep, "created"),
        ("the first again", wide, "duplicates"),
    ):
        seconds = tuple(door.send(body, wanted) for body in bodies)
        yield Taken(name, len(bodies[0]), seconds, small, large)


def _site(meters: Sequence[Meter], number: int) -> list[Meter]:
    """Ten meters, others for each number as long as there are others."""
    first = number * METERS_OF_A_SITE
    return [meters[(first + at) % len(meters)] for at in range(METERS_OF_A_SITE)]
