"""Members of a body by any of their names, in every shape that clients give them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from readings import rules
from readings.errors import InvalidReading
from readings.formats.values import Clock

_COUNTER = re.compile(r"(1[-.][0-9]+[:.])?[12]\.8\.[0-9](\.[0-9]+|\*[0-9]+)?")
"""Active energy of a register (OBIS C 1 or 2, D 8), however the code is spelt."""


def whole(body: object, what: str = "A reading") -> Mapping[str, Any]:
    """The body, if it is an object.

    Raises:
        InvalidReading: It is none.
    """
    if not isinstance(body, dict):
        raise InvalidReading(f"{what} is a JSON object")
    return body


def first(body: Mapping[str, Any], *names: str) -> Any:
    """The first of these members that is there and not null.

    Raises:
        InvalidReading: None is.
    """
    for name in names:
        if (value := body.get(name)) is not None:
            return value
    raise InvalidReading(f"{' or '.join(names)} must be given")


def serial(body: Mapping[str, Any], *names: str) -> str:
    """Which meter.

    Raises:
        InvalidReading: None is named, or not by text.
    """
    value = first(body, *names)
    if not isinstance(value, str) or not value.strip():
        raise InvalidReading(f"{' or '.join(names)} is the meter's serial, as text")
    return value


def exported(body: Mapping[str, Any]) -> Decimal:
    """The exported energy, by the precedence of ``rules.exported_kwh``.

    Raises:
        InvalidReading: None is given, or only a counter's standing.
    """
    if all(body.get(name) is None for name in (rules.OBIS_EXPORT, *rules.EXPORTED_NAMES)):
        for name in body:
            if _COUNTER.fullmatch(name) and name != rules.OBIS_IMPORT:
                raise InvalidReading(
                    f"{name} is the standing of a counter, not what was measured in one interval; "
                    "send the interval's energy"
                )
    return rules.exported_kwh(body)


def instant(body: Mapping[str, Any], *names: str, clock: Clock) -> datetime:
    """A point in time; without an offset it is the clock's.

    Raises:
        InvalidReading: None is given, or it is no ISO 8601.
    """
    value = first(body, *names)
    name = next(each for each in names if body.get(each) is not None)
    if isinstance(value, str):
        try:
            told = rules.read_iso(value)
        except ValueError:
            raise InvalidReading(f"{name} is not an ISO 8601 date and time") from None
        value = clock.moment(told, name) if told.tzinfo is None else told
    return rules.parse_instant(value, name=name)


def note(body: Mapping[str, Any], *names: str) -> str:
    """Text that is only kept; what is no text is nobody's note."""
    return next((body[name] for name in names if isinstance(body.get(name), str)), "")
