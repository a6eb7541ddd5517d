"""A body of the platform's clients, of any generation, to a reading. Pure.

The same names at the doors and in the simulator's files.
"""

from __future__ import annotations

from collections.abc import Mapping

from readings import rules
from readings.candidate import Submission
from readings.errors import InvalidReading
from readings.formats.values import Clock

_METER = ("meter_serial", "meter_id", "serial_number", "device_id")
_TIME = ("reading_timestamp", "timestamp")
_EXTERNAL_ID = ("external_id", "reading_id")
_SIGNATURE = ("meter_signature", "signature")


def reading_of(body: Mapping[str, object], *, meter: str, clock: Clock) -> Submission:
    """The reading of one body; the DLMS generation puts the values into ``payload``.

    Args:
        body: What the client says.
        meter: Whose it is, if the body names none.
        clock: For times without an offset.

    Raises:
        InvalidReading: Something is missing, or is not what it must be.
    """
    payload = body.get("payload")
    if isinstance(payload, Mapping):
        body = {**body, **payload}
    start, end = body.get("period_start"), body.get("period_end")
    if end is None:
        end = _first(body, _TIME)
    if end is None:
        raise InvalidReading("None of period_end, reading_timestamp, timestamp is given")
    return Submission(
        meter_serial=_text(body, _METER) or meter,
        kwh_amount=rules.exported_kwh(body),
        period_start=None if start is None else clock.moment(start, "period_start"),
        period_end=clock.moment(end, "timestamp"),
        interval_seconds=body.get("interval_seconds"),
        energy_generated=body.get("energy_generated"),
        energy_consumed=rules.consumed_kwh(body),
        external_id=_note(body, _EXTERNAL_ID),
        meter_signature=_note(body, _SIGNATURE),
    )


def _first(body: Mapping[str, object], names: tuple[str, ...]) -> object:
    return next((value for name in names if (value := body.get(name)) is not None), None)


def _text(body: Mapping[str, object], names: tuple[str, ...]) -> str:
    value = _first(body, names)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidReading(f"{names[0]} is not text")
    return value


def _note(body: Mapping[str, object], names: tuple[str, ...]) -> str:
    """Text that is only kept; what is no text is nobody's note, as at the doors."""
    return next((value for name in names if isinstance(value := body.get(name), str)), "")
