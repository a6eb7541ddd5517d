"""Green Button, NAESB's ESPI in an Atom feed. Pure.

``MeterReading`` says, by links, which ``ReadingType`` tells what its ``IntervalBlock`` hold. Types
may come after what they describe, so the file is read twice: first the types and links, then the
values. Read are deltas of energy (``accumulationBehaviour`` 4) that flow to the grid
(``flowDirection`` 19). Values are times ``10 ** powerOfTenMultiplier`` Wh; times are Unix seconds.

A meter's serial is not in the format: the user names the meter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import BinaryIO
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import XMLParser

from readings.candidate import Submission
from readings.errors import AnswerNeeded, FileRefused, InvalidReading
from readings.formats.shapes import MAX_CELL, MAX_LINE, Options, Row, Rows
from readings.formats.values import EXACT
from readings.rules import Verification

EXPORT = "19"
DELTA = "4"
WATT_HOURS = "72"

GOOD = frozenset({"", "0", "17", "18", "19"})
"""``quality`` that counts: none told, valid, validated, verified, of revenue quality. What is
estimated, edited, projected or raw comes in unverified, and is held."""

MAX_DEPTH = 30
MAX_ENTRIES = 10_000
"""Of types and links, which are kept."""

BLOCK = 64 * 1024


def green_button_rows(file: BinaryIO, options: Options) -> Rows:
    """Readings of the one export series; ``line`` is the number of the reading.

    Raises:
        FileRefused: No such file, no export, counters, or several series.
        AnswerNeeded: The meter must be named.
    """
    catalogue = _Catalogue()
    for _ in _parse(file, catalogue):
        pass
    series = catalogue.export()
    if not options.meter:
        raise AnswerNeeded("meter", "Green Button names no meter: say whose readings these are")
    values = _Values(series)
    count = 0
    for count, reading in enumerate(_parse(file, values), start=1):
        yield Row(count, _reading(reading, series, options.meter))
    if not count:
        raise FileRefused("No IntervalBlock holds readings of the exported energy")


@dataclass(frozen=True, slots=True)
class _Series:
    """What the export's values mean, and how their blocks are known."""

    exponent: int
    blocks: frozenset[str]
    """Links that lead to its blocks; empty: all of the file's are its own."""
    href: str


@dataclass(slots=True)
class _Entry:
    self_link: str = ""
    up: str = ""
    related: set[str] = field(default_factory=set)
    kind: str = ""
    values: dict[str, str] = field(default_factory=dict)


class _Target:
    """What the parser tells of each element, within limits; subclasses take what they want."""

    def __init__(self) -> None:
        self.done: list[dict[str, str]] = []
        self.events = 0
        self.path: list[str] = []
        self.entry = _Entry()
        self._text: list[str] = []
        self._length = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.events += 1
        name = tag.rpartition("}")[2]
        if len(self.path) >= MAX_DEPTH:
            raise FileRefused(f"The XML is nested more than {MAX_DEPTH} deep")
        self.path.append(name)
        self._text, self._length = [], 0
        if name == "entry":
            self.entry = _Entry()
        elif name == "link":
            self._link(attributes)
        elif len(self.path) > 1 and self.path[-2] == "content":
            self.entry.kind = name
        self.begin(name)

    def _link(self, attributes: dict[str, str]) -> None:
        href = attributes.get("href", "").strip().rstrip("/")
        match attributes.get("rel"):
            case "self":
                self.entry.self_link = href
            case "up":
                self.entry.up = href
            case "related" if len(self.entry.related) < MAX_ENTRIES:
                self.entry.related.add(href)

    def data(self, text: str) -> None:
        self.events += 1
        self._length += len(text)
        if self._length > MAX_CELL:
            raise FileRefused(f"The XML holds a text of more than {MAX_CELL:,} characters")
        self._text.append(text)

    def end(self, tag: str) -> None:  # noqa: ARG002 - the parser's word; ours is the path
        self.events += 1
        name = self.path.pop()
        self.finish(name, "".join(self._text).strip())
        self._text, self._length = [], 0

    def close(self) -> None:
        pass

    def begin(self, name: str) -> None:
        """An element begins."""

    def finish(self, name: str, text: str) -> None:
        """An element ends."""
        raise NotImplementedError


class _Catalogue(_Target):
    """Types, and what is linked to them."""

    def __init__(self) -> None:
        super().__init__()
        self.types: list[_Entry] = []
        self.series: list[_Entry] = []
        self.root = ""

    def begin(self, name: str) -> None:
        self.root = self.root or name

    def finish(self, name: str, text: str) -> None:
        if self.entry.kind == "ReadingType" and self.path[-1:] == ["ReadingType"]:
            self.entry.values[name] = text
        elif name == "entry":
            kept = {"ReadingType": self.types, "MeterReading": self.series}.get(self.entry.kind)
            if kept is not None:
                if len(kept) >= MAX_ENTRIES:
                    raise FileRefused(f"The file has more than {MAX_ENTRIES:,} series")
                kept.append(self.entry)

    def export(self) -> _Series:
        """The one series of exported energy.

        Raises:
            FileRefused: There is none, or several, or it is none of deltas in Wh.
        """
        if not self.types:
            raise FileRefused("There is no ReadingType in this file: it is not Green Button")
        found = [each for each in self.types if each.values.get("flowDirection") == EXPORT]
        if not found:
            raise FileRefused(
                "This file tells no exported energy (flowDirection 19), only other flows"
            )
        for each in found:
            _check_type(each.values)
        linked = [
            (series, each)
            for each in found
            for series in self.series
            if each.self_link and each.self_link in series.related
        ]
        if len(linked) == 1:
            series, of_type = linked[0]
            return _Series(_exponent(of_type.values), _blocks(series), series.self_link)
        if not linked and len(self.types) == 1:
            return _Series(_exponent(found[0].values), frozenset(), "")
        raise FileRefused(
            f"The file tells the export of {len(linked)} meters: bring a file for each"
            if linked
            else "No link says which readings are the exported energy"
        )


def _check_type(told: dict[str, str]) -> None:
    if told.get("accumulationBehaviour", DELTA) != DELTA:
        raise FileRefused(
            "This file tells the standing of counters (accumulationBehaviour "
            f"{told['accumulationBehaviour'][:10]}), not the energy of intervals (4)"
        )
    if told.get("uom", WATT_HOURS) != WATT_HOURS:
        raise FileRefused(f"Its values are no watt hours (uom {told['uom'][:10]}, not 72)")


def _exponent(told: dict[str, str]) -> int:
    text = told.get("powerOfTenMultiplier") or "0"
    if not re.fullmatch("[+-]?[0-9]{1,2}", text) or not -12 <= int(text) <= 12:
        raise FileRefused(f"powerOfTenMultiplier is {text[:10]!r}")
    return int(text)


def _blocks(series: _Entry) -> frozenset[str]:
    return frozenset(link for link in series.related if "IntervalBlock" in link)


class _Values(_Target):
    """The readings of one series' blocks."""

    def __init__(self, series: _Series) -> None:
        super().__init__()
        self._series = series
        self._reading: dict[str, str] = {}

    def begin(self, name: str) -> None:
        if name == "IntervalReading":
            self._reading = {}

    def finish(self, name: str, text: str) -> None:
        match name:
            case "start" | "duration" if self.path[-2:] == ["IntervalReading", "timePeriod"]:
                self._reading[name] = text
            case "value" if self.path[-1:] == ["IntervalReading"]:
                self._reading[name] = text
            case "quality" if "IntervalReading" in self.path:
                told = self._reading.get("quality", "")
                # Several may be told: one that is not good counts.
                self._reading["quality"] = text if told in GOOD else told
            case "IntervalReading" if self._is_ours():
                self.done.append(self._reading)

    def _is_ours(self) -> bool:
        series = self._series
        if not series.href and not series.blocks:
            return True
        up, own = self.entry.up, self.entry.self_link
        if not (up or own):
            raise FileRefused("An entry does not say whose readings it has before it tells them")
        return (
            up in series.blocks
            or own in series.blocks
            or bool(series.href and f"{up}/".startswith(f"{series.href}/"))
        )


def _parse(file: BinaryIO, target: _Target) -> Iterator[dict[str, str]]:
    """Feeds the file to the parser by blocks; what the target has done comes out.

    Raises:
        FileRefused: Not XML, entities, a document type, or an element without end.
    """
    parser = XMLParser(target=target, forbid_dtd=True)
    file.seek(0)
    silent = 0
    try:
        while block := file.read(BLOCK):
            events = target.events
            parser.feed(block)
            silent = 0 if target.events > events else silent + len(block)
            if silent > MAX_LINE:
                raise FileRefused(f"The XML holds a tag of more than {MAX_LINE:,} bytes")
            yield from target.done
            target.done.clear()
        parser.close()
    except DefusedXmlException:
        raise FileRefused("The XML declares a document type or entities: refused") from None
    except ParseError as error:
        raise FileRefused(f"This is not XML: {error}") from None
    except (LookupError, ValueError) as error:
        raise FileRefused(f"The XML's encoding is not known: {error}") from None
    yield from target.done


def _reading(told: dict[str, str], series: _Series, meter: str) -> Submission | InvalidReading:
    try:
        start = datetime.fromtimestamp(_whole(told, "start"), UTC)
        end = start + timedelta(seconds=_whole(told, "duration"))
        watt_hours = EXACT.scaleb(Decimal(_whole(told, "value")), series.exponent)
    except (OverflowError, ValueError, OSError):
        return InvalidReading("The time is out of reach")
    except InvalidReading as error:
        return error
    good = told.get("quality", "") in GOOD
    return Submission(
        meter_serial=meter,
        kwh_amount=EXACT.scaleb(watt_hours, -3),
        period_start=start,
        period_end=end,
        verification=Verification.VERIFIED if good else Verification.UNVERIFIED,
    )


def _whole(told: dict[str, str], name: str) -> int:
    text = told.get(name, "")
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 18:
        raise InvalidReading(f"{name} is no whole number")
    return int(text)
