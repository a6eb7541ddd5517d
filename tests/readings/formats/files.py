"""Files of every format, written from a list of readings: what parsers are held against."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from openpyxl import Workbook

from readings.formats.nem12 import MARKET_TIME

MIDNIGHT = datetime(2026, 1, 31, tzinfo=MARKET_TIME).astimezone(UTC)


@dataclass(frozen=True)
class Told:
    """One reading as somebody measured it."""

    meter: str
    start: datetime
    end: datetime
    kwh: Decimal

    @property
    def seconds(self) -> int:
        return int((self.end - self.start).total_seconds())


def told_by(readings: Iterable) -> list[Told]:
    """What rows of a parser tell; a row that is none fails."""
    return [
        Told(
            row.reading.meter_serial,
            row.reading.period_start
            or row.reading.period_end - timedelta(seconds=row.reading.interval_seconds),
            row.reading.period_end,
            Decimal(row.reading.kwh_amount),
        )
        for row in readings
    ]


def csv_file(
    readings: Sequence[Told], *, separator=",", comma=False, encoding="utf-8", end="\n"
) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator=end)
    writer.writerow(["Meter Serial", "Period start", "Period end", "Export (kWh)"])
    for each in readings:
        kwh = f"{each.kwh:f}".replace(".", "," if comma else ".")
        writer.writerow([each.meter, each.start.isoformat(), each.end.isoformat(), kwh])
    return text.getvalue().encode(encoding)


def json_file(readings: Sequence[Told]) -> bytes:
    """The generations of the simulator in turn."""
    lines = []
    for number, each in enumerate(readings):
        wh = each.kwh * 1000
        time = each.end.isoformat()
        bodies: list[dict[str, object]] = [
            {"meter_id": each.meter, "kwh_amount": f"{each.kwh:f}", "reading_timestamp": time},
            {"meter_serial": each.meter, "surplus_energy": each.kwh, "kwh": -1, "timestamp": time},
            {"device_id": each.meter, "payload": {"1.1.2.8.0.255": wh, "timestamp": time}},
            {"device_id": each.meter, "1.1.2.8.0.255": wh, "timestamp": time, "user_id": "x"},
        ]
        body = bodies[number % 4] | {"interval_seconds": each.seconds, "wallet_address": None}
        lines.append(json.dumps(body, default=float))
    return "\n".join(lines).encode()


def nem12_file(meters: dict[str, tuple[int, str, list[list[Decimal]]]]) -> bytes:
    """Meters with (minutes, unit, values of consecutive days)."""
    lines = ["100,NEM12,202602010000,GTX,UTILITY"]
    for meter, (minutes, unit, days) in meters.items():
        lines.append(f"200,NMI{meter[:5]},B1E1,E1,E1,N1,{meter},{unit},{minutes},")
        lines.append(f"300,20260131,{','.join(['9'] * (1440 // minutes))},A,,,,")
        lines.append(f"200,NMI{meter[:5]},B1E1,B1,B1,N1,{meter},{unit},{minutes},")
        for number, values in enumerate(days):
            day = (MIDNIGHT + timedelta(days=number)).astimezone(MARKET_TIME)
            shown = ",".join(f"{value:f}" for value in values)
            lines.append(f"300,{day:%Y%m%d},{shown},A,,,20260301000000,")
    return "\n".join([*lines, "900", ""]).encode()


def green_button_file(
    readings: Sequence[Told],
    *,
    multiplier=-3,
    type_last=False,
    flow=19,
    behaviour=4,
    qualities: dict[int, int] | None = None,
) -> bytes:
    """One usage point with an import and an export series."""
    values = "".join(
        f"<IntervalReading>{_quality((qualities or {}).get(number))}"
        f"<timePeriod><duration>{each.seconds}</duration>"
        f"<start>{int(each.start.timestamp())}</start></timePeriod>"
        f"<value>{int((each.kwh * 1000).scaleb(-multiplier))}</value></IntervalReading>"
        for number, each in enumerate(readings)
    )
    reading_type = _entry(
        "/espi/ReadingType/7",
        [],
        f"<ReadingType><accumulationBehaviour>{behaviour}</accumulationBehaviour>"
        f"<flowDirection>{flow}</flowDirection>"
        f"<powerOfTenMultiplier>{multiplier}</powerOfTenMultiplier><uom>72</uom></ReadingType>",
    )
    bought = (
        "<IntervalReading><timePeriod><duration>900</duration><start>1</start></timePeriod>"
        "<value>5</value></IntervalReading>"
    )
    entries = [
        _entry("/espi/UsagePoint/1", ["/espi/UsagePoint/1/MeterReading"], "<UsagePoint/>"),
        _entry(
            "/espi/UsagePoint/1/MeterReading/01",
            ["/espi/UsagePoint/1/MeterReading/01/IntervalBlock", "/espi/ReadingType/7"],
            "<MeterReading/>",
        ),
        _entry(
            "/espi/UsagePoint/1/MeterReading/02",
            ["/espi/UsagePoint/1/MeterReading/02/IntervalBlock", "/espi/ReadingType/8"],
            "<MeterReading/>",
        ),
        _entry(
            "/espi/ReadingType/8",
            [],
            "<ReadingType><accumulationBehaviour>4</accumulationBehaviour>"
            "<flowDirection>1</flowDirection><uom>72</uom></ReadingType>",
        ),
        _entry(
            "/espi/UsagePoint/1/MeterReading/02/IntervalBlock/1",
            [],
            f"<IntervalBlock>{bought}</IntervalBlock>",
            up="/espi/UsagePoint/1/MeterReading/02/IntervalBlock",
        ),
        _entry(
            "/espi/UsagePoint/1/MeterReading/01/IntervalBlock/1",
            [],
            "<IntervalBlock><interval><duration>1</duration><start>1</start></interval>"
            f"{values}</IntervalBlock>",
            up="/espi/UsagePoint/1/MeterReading/01/IntervalBlock",
        ),
    ]
    entries.insert(len(entries) if type_last else 1, reading_type)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<feed xmlns="http://www.w3.org/2005/Atom">{"".join(entries)}</feed>'
    ).encode()


def _quality(code: int | None) -> str:
    if code is None:
        return ""
    return f"<ReadingQuality><quality>{code}</quality></ReadingQuality>"


def _entry(own: str, related: Sequence[str], content: str, *, up: str = "") -> str:
    links = f'<link rel="self" href="{own}"/><link rel="up" href="{up}"/>'
    links += "".join(f'<link rel="related" href="{link}"/>' for link in related)
    name = content[1:].partition(">")[0].rstrip("/")
    content = content.replace(f"<{name}", f'<{name} xmlns="http://naesb.org/espi"', 1)
    return f"<entry>{links}<content>{content}</content></entry>"


def xlsx_file(rows: Iterable[Sequence], *, more_sheets: Sequence[str] = ()) -> bytes:
    workbook = Workbook(write_only=True)
    sheet = workbook.create_sheet("Readings")
    for row in rows:
        sheet.append(list(row))
    for name in more_sheets:
        workbook.create_sheet(name).append(["nothing"])
    out = io.BytesIO()
    workbook.save(out)
    return out.getvalue()


def xlsx_of(readings: Sequence[Told]) -> bytes:
    return xlsx_file(
        [
            ["meter", "start", "end", "kwh"],
            *(
                [each.meter, each.start.replace(tzinfo=None), each.end.replace(tzinfo=None), kwh]
                for each in readings
                for kwh in [float(each.kwh)]
            ),
        ]
    )
