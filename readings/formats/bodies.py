"""Bodies of the platform's clients, of any generation, to readings. Pure.

The same at the doors and in the simulator's files. A body tells kWh and one timestamp, the
interval's end; or registers by their OBIS codes, each an interval's value in Wh. ``wallet_address``
and ``user_id`` are not looked at: the first is a hint that nobody may trust, and some clients write
their meter's id into both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from readings import rules
from readings.candidate import Submission
from readings.errors import InvalidReading
from readings.formats import members
from readings.formats.values import Clock

PROTOCOLS = ("dlms", "auto", "simulator", "")
"""Of the private network: those whose payloads are plain values."""

METERS = ("meter_serial", "meter_id", "serial_number", "device_id")
TIMES = ("reading_timestamp", "timestamp")
UTC_CLOCK = Clock()


def plain(body: object, *, serial: str | None = None) -> Submission:
    """What ``submit-reading``, ``readings`` of a meter, telemetry and their batches send.

    Args:
        body: As it was parsed; numbers with a fraction are ``Decimal``.
        serial: Where the address names the meter.

    Raises:
        InvalidReading: It tells no reading.
    """
    told = members.whole(body)
    return _submission(told, serial or members.serial(told, "meter_serial", "meter_id"))


def dlms(body: object) -> Submission:
    """``{"protocol", "device_id", "payload": {…}}``, as the private network sends it.

    Raises:
        InvalidReading: It tells no reading.
    """
    told = members.whole(body)
    require_plain(told)
    payload = members.whole(told.get("payload"), "payload")
    return _submission(payload, members.serial(told, "device_id"))


def dlms_item(body: object) -> Submission:
    """One of a batch of these: the payload's members lie flat beside ``device_id``.

    Raises:
        InvalidReading: It tells no reading.
    """
    told = members.whole(body)
    return _submission(told, members.serial(told, "device_id", "meter_id", "meter_serial"))


def any_of_them(body: object, *, meter: str, clock: Clock) -> Submission:
    """A line of a file: whichever of these it is, or what ``POST readings`` takes.

    Args:
        body: As it was parsed.
        meter: Whose it is, if the body names none.
        clock: For times without an offset.

    Raises:
        InvalidReading: It tells no reading.
    """
    told = members.whole(body)
    if isinstance(payload := told.get("payload"), Mapping):
        require_plain(told)
        told = {**told, **payload}
    named = any(told.get(name) is not None for name in METERS)
    serial = members.serial(told, *METERS) if named or not meter else meter
    return _submission(told, serial, clock=clock, periods=True)


def require_plain(body: Mapping[str, Any]) -> None:
    """Refuses what was encrypted or framed for others.

    Raises:
        InvalidReading: The protocol is none that is read here.
    """
    protocol = body.get("protocol")
    if protocol is None or (isinstance(protocol, str) and protocol.lower() in PROTOCOLS):
        return
    raise InvalidReading("protocol is dlms: payloads are taken as plain values, not as frames")


def _submission(
    told: Mapping[str, Any], serial: str, *, clock: Clock = UTC_CLOCK, periods: bool = False
) -> Submission:
    """Reads the members.

    Args:
        told: The body, or what is in its payload.
        serial: Of the meter.
        clock: For times without an offset.
        periods: Whether both ends of a period may be told.
    """
    is_period = periods and told.get("period_end") is not None
    start = None
    if is_period and told.get("period_start") is not None:
        start = members.instant(told, "period_start", clock=clock)
    return Submission(
        meter_serial=serial,
        kwh_amount=members.exported(told),
        period_start=start,
        period_end=members.instant(told, *(("period_end",) if is_period else TIMES), clock=clock),
        interval_seconds=told.get("interval_seconds"),
        energy_generated=told.get("energy_generated"),
        energy_consumed=rules.consumed_kwh(told),
        meter_signature=members.note(told, "meter_signature", "signature"),
        external_id=members.note(told, "reading_id", "external_id"),
    )
