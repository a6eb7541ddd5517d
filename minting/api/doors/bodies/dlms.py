"""The private network's body: registers by their OBIS codes, each an interval's value in Wh."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minting.api.doors.bodies import members
from readings import rules
from readings.errors import InvalidReading
from readings.intake import Submission

PROTOCOLS = ("dlms", "auto", "simulator", "")
"""Whose payloads are plain values."""


def submission(body: object) -> Submission:
    """``{"protocol", "device_id", "payload": {…}}``.

    Raises:
        InvalidReading: It tells no reading.
    """
    told = members.whole(body)
    require_plain(told)
    payload = members.whole(told.get("payload"), "payload")
    return _submission(payload, members.serial(told, "device_id"))


def item(body: object) -> Submission:
    """One of a batch: the payload's members lie flat beside ``device_id``.

    Raises:
        InvalidReading: It tells no reading.
    """
    told = members.whole(body)
    return _submission(told, members.serial(told, "device_id", "meter_id", "meter_serial"))


def require_plain(body: Mapping[str, Any]) -> None:
    """Refuses what was encrypted or framed for others.

    Raises:
        InvalidReading: The protocol is none that is read here.
    """
    protocol = body.get("protocol")
    if protocol is None or (isinstance(protocol, str) and protocol.lower() in PROTOCOLS):
        return
    raise InvalidReading("protocol is dlms: payloads are taken as plain values, not as frames")


def _submission(payload: Mapping[str, Any], serial: str) -> Submission:
    return Submission(
        meter_serial=serial,
        kwh_amount=members.exported(payload),
        period_end=members.instant(payload, "timestamp"),
        interval_seconds=payload.get("interval_seconds"),
        energy_generated=payload.get("energy_generated"),
        energy_consumed=rules.consumed_kwh(payload),
        meter_signature=members.note(payload, "signature"),
        external_id=members.note(payload, "reading_id"),
    )
