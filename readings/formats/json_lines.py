"""JSON Lines as the simulator writes them: one body a line, or a batch of bodies. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, BinaryIO, NoReturn

from readings.candidate import Submission
from readings.errors import FileRefused, InvalidReading
from readings.formats.bodies import any_of_them
from readings.formats.shapes import Options, Row, Rows
from readings.formats.text import encoding_of, lines
from readings.formats.values import Clock


def json_rows(file: BinaryIO, options: Options) -> Rows:
    """Readings of a JSON Lines file. A line that is none is told and passed by.

    Raises:
        FileRefused: No text, or one document over many lines.
    """
    clock = Clock(options.timezone)
    for number, line in enumerate(lines(file, encoding_of(file)), start=1):
        if not line.strip():
            continue
        try:
            bodies = list(_bodies(line))
        except InvalidReading as error:
            if number == 1 and line.strip() in ("{", "["):
                raise FileRefused(
                    "One JSON document over many lines: write one reading a line (JSON Lines)"
                ) from None
            yield Row(number, error)
            continue
        for body in bodies:
            yield Row(number, _read(body, options.meter, clock))


def _bodies(line: str) -> Iterator[object]:
    """The objects of a line.

    Raises:
        InvalidReading: It is not JSON.
    """
    try:
        document: Any = json.loads(
            line, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_object
        )
    except (ValueError, InvalidOperation, RecursionError):
        raise InvalidReading("The line is not JSON") from None
    match document:
        case {"readings": [*bodies]} | [*bodies]:
            yield from bodies
        case _:
            yield document


def _read(body: object, meter: str, clock: Clock) -> Submission | InvalidReading:
    if not isinstance(body, Mapping):
        return InvalidReading("A reading is an object: {…}")
    try:
        return any_of_them(body, meter=meter, clock=clock)
    except InvalidReading as error:
        return error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """As in the API, which takes no object that tells a name twice."""
    body = dict(pairs)
    if len(body) < len(pairs):
        raise InvalidReading("The line tells a name twice in one object")
    return body


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)
