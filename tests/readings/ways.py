"""Every way in, told the same: one reading of a meter, and what is answered."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone
from rest_framework.test import APIClient

from readings.errors import FileRefused
from readings.formats import Options
from readings.formats.nem12 import MARKET_TIME
from readings.imports import Decision, take_now
from readings.models.import_file import ImportKind
from tests.factories.readings import QUARTER
from tests.minting.api.doors.clients import MANIES, SINGLES, Many, Single
from tests.readings.formats import files

EXPORTED = ("1.1.2.8.0.255", "surplus_energy", "kwh_amount", "kwh")
"""Under which a body may tell it."""


def quarter_of_yesterday() -> datetime:
    """Its end: in the middle of a day that is over in NEM12's zone."""
    today = timezone.now().astimezone(MARKET_TIME).date()
    return datetime.combine(today - timedelta(days=1), time(12), MARKET_TIME).astimezone(UTC)


@dataclass(frozen=True)
class Told:
    """What is told of a quarter hour, unless ``length`` says otherwise."""

    serial: str
    end: datetime
    kwh: Decimal = Decimal("0.75")
    raw: Any = None
    """Stands in the place of the number."""
    length: timedelta = QUARTER
    good: bool = True
    """Whether a file's own mark of quality is."""

    @property
    def start(self) -> datetime:
        return self.end - self.length


@dataclass(frozen=True)
class Way:
    """One way in; ``send`` answers the code of a refusal or conflict, or nothing."""

    name: str
    send: Callable[[Told], str]
    both_ends: bool
    """Else the period is told by its end."""
    marks_quality: bool = False
    rounds: bool = False
    """Whether text is a number here like any other: a file has nothing else."""


def every_way(client: APIClient) -> list[Way]:
    """With a client that may submit."""
    return [
        Way("API, single", lambda told: _one(client, told), both_ends=True),
        Way("API, list", lambda told: _list(client, told), both_ends=True),
        *(Way(f"door {one.name}", _through(client, one), both_ends=False) for one in SINGLES),
        *(Way(f"door {one.name}", _in_bulk(client, one), both_ends=False) for one in MANIES),
        Way("file CSV", lambda told: _bring(_csv(told)), both_ends=True, rounds=True),
        Way("file JSON Lines", lambda told: _bring(_json_lines(told)), both_ends=False),
        Way(
            "file NEM12",
            lambda told: _bring(_nem12(told)),
            both_ends=True,
            marks_quality=True,
            rounds=True,
        ),
        Way(
            "file Green Button",
            lambda told: _bring(_green_button(told), meter=told.serial),
            both_ends=True,
            marks_quality=True,
        ),
    ]


def bodies_of_clients(client: APIClient) -> list[Callable[[str, dict[str, Any]], str]]:
    """Where the platform's clients' own bodies come in: doors of each shape, and their file."""

    def posted(path: str, frame: Callable[[str, dict[str, Any]], Any]) -> Callable[..., str]:
        return lambda serial, body: _refused(
            client.post(path.format(serial=serial), frame(serial, body))
        )

    return [
        posted("/api/v1/meters/{serial}/readings", lambda _, body: body),
        posted("/v1/ingest/telemetry", lambda serial, body: {"meter_serial": serial, **body}),
        posted(
            "/v1/private-network/ingest",
            lambda serial, body: {"protocol": "dlms", "device_id": serial, "payload": body},
        ),
        lambda serial, body: _bring(json.dumps({"meter_id": serial, **body}).encode()),
    ]


# ------------------------------------------------------------------ requests


def _one(client: APIClient, told: Told) -> str:
    return _refused(client.post("/api/v1/readings", _body(told)))


def _list(client: APIClient, told: Told) -> str:
    (result,) = client.post("/api/v1/readings", [_body(told)]).json()["results"]
    return result["code"] if result["status"] in ("invalid", "conflict") else ""


def _body(told: Told) -> dict[str, Any]:
    return {
        "meter_serial": told.serial,
        "kwh_amount": float(told.kwh) if told.raw is None else told.raw,
        "period_start": told.start.isoformat(),
        "period_end": told.end.isoformat(),
    }


def _through(client: APIClient, door: Single) -> Callable[[Told], str]:
    def send(told: Told) -> str:
        body = _with(door.body(told.serial, told.end, float(told.kwh)), told.raw)
        return _refused(client.post(door.address(told.serial), body))

    return send


def _in_bulk(client: APIClient, door: Many) -> Callable[[Told], str]:
    def send(told: Told) -> str:
        item = _with(door.item(told.serial, told.end, float(told.kwh)), told.raw)
        answer = client.post(door.path, door.frame([item])).json()
        if door.is_counted:
            found = re.search(r"not stored, by position: 0: (\w+)", answer["message"])
            return found[1] if found else ""
        (each,) = answer
        return each["message"].partition(":")[0] if each["status"] == "failed" else ""

    return send


def _with(body: dict[str, Any], raw: Any) -> dict[str, Any]:
    """The body with something else for its exported energy."""
    if raw is None:
        return body
    inside = body.get("payload", body)
    name = next(each for each in EXPORTED if inside.get(each) is not None)
    changed = {**inside, name: raw}
    return {**body, "payload": changed} if "payload" in body else changed


def _refused(answer: Any) -> str:
    return answer.json()["code"] if answer.status_code >= 400 else ""


# ------------------------------------------------------------------ files


def _bring(content: bytes, **options: Any) -> str:
    try:
        _, report, _ = take_now(
            io.BytesIO(content),
            kind=ImportKind.READINGS,
            name="told",
            options=Options(**options),
            decision=Decision(skip_invalid=True),
            dry_run=False,
            tell=lambda *_: None,
        )
    except FileRefused as refused:
        return refused.code
    if report.problems:
        return report.problems[0].code
    return "conflict" if report.counts["conflicts"] else ""


def _csv(told: Told) -> bytes:
    content = files.csv_file([files.Told(told.serial, told.start, told.end, told.kwh)])
    return _replaced(content, f",{told.kwh:f}\n", f",{told.raw}\n", told)


def _json_lines(told: Told) -> bytes:
    body = {
        "meter_id": told.serial,
        "kwh_amount": float(told.kwh) if told.raw is None else told.raw,
        "reading_timestamp": told.end.isoformat(),
    }
    return json.dumps(body).encode()


def _nem12(told: Told) -> bytes:
    """A day of quarter hours, of which one exports; the others are zero."""
    start = told.start.astimezone(MARKET_TIME)
    values = ["0"] * 96
    text = f"{told.kwh:f}" if told.raw is None else str(told.raw)
    values[(start.hour * 60 + start.minute) // 15] = text
    quality = "A" if told.good else "S14"
    lines = [
        "100,NEM12,202602010000,GTX,UTILITY",
        f"200,NMI,B1,B1,B1,N1,{told.serial},KWH,15,",
        f"300,{start:%Y%m%d},{','.join(values)},{quality},,,,",
        "900",
        "",
    ]
    return "\n".join(lines).encode()


def _green_button(told: Told) -> bytes:
    content = files.green_button_file(
        [files.Told(told.serial, told.start, told.end, told.kwh)],
        qualities=None if told.good else {0: 8},
    )
    shown = int((told.kwh * 1000).scaleb(3))
    return _replaced(content, f"<value>{shown}<", f"<value>{told.raw}<", told)


def _replaced(content: bytes, shown: str, raw: str, told: Told) -> bytes:
    if told.raw is None:
        return content
    assert shown.encode() in content
    return content.replace(shown.encode(), raw.encode())
