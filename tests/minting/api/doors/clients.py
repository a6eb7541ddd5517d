"""The platform's clients, as their own code writes their bodies; and where each of them knocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.factories.readings import address, last_quarter

Body = dict[str, Any]


def simulator_2025(serial: str, end: datetime, kwh: float) -> Body:
    """Amounts as text with six decimals."""
    return {
        "meter_serial": serial,
        "wallet_address": address("a stranger"),
        "kwh_amount": f"{kwh:.6f}",
        "reading_timestamp": end.isoformat(),
        "meter_signature": "MEUCIQDk5signature",
        "energy_generated": f"{max(kwh, 0) + 0.1:.6f}",
        "energy_consumed": "0.100000",
        "surplus_energy": None,
        "voltage": 230.1,
        "rec_eligible": True,
    }


def operators_script(serial: str, end: datetime, kwh: float) -> Body:
    """Numbers, and a clock that says Z."""
    return {
        "meter_id": serial,
        "kwh_amount": kwh,
        "timestamp": end.isoformat().replace("+00:00", "Z"),
        "wallet_address": address("a stranger"),
    }


def simulator_january(serial: str, end: datetime, kwh: float) -> Body:
    """Net kWh, may be negative; the address names the meter, and its clock names no offset."""
    return {
        "kwh": kwh,
        "timestamp": end.replace(tzinfo=None).isoformat(),
        "wallet_address": address("a stranger"),
        "meter_serial": serial,
        "meter_type": "Solar_Prosumer",
        "energy_generated": max(kwh, 0) + 0.5,
        "energy_consumed": 0.5,
        "deficit_energy": 0.0,
        "latitude": 13.78,
        "battery_level": None,
    }


def trading_ui(serial: str, end: datetime, kwh: float) -> Body:
    """Three members."""
    del serial
    return {
        "kwh": kwh,
        "wallet_address": address("a stranger"),
        "timestamp": end.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


def simulator_spring(serial: str, end: datetime, kwh: float) -> Body:
    """Its meter's id stands for owner and wallet too."""
    return {
        "kwh": round(max(0.0, kwh), 6),
        "timestamp": end.isoformat(timespec="microseconds"),
        "meter_signature": None,
        "meter_serial": serial,
        "user_id": serial,
        "wallet_address": serial,
        "reading_id": f"{serial}-17",
        "interval_seconds": 900,
        "energy_generated": round(max(kwh, 0) + 0.25, 6),
        "energy_consumed": 0.25,
        "surplus_energy": round(max(0.0, kwh), 6),
        "deficit_energy": round(max(0.0, -kwh), 6),
        "power_generated": 3.5,
        "frequency": 50.012,
        "nodal_price": 0.5,
    }


def registers(end: datetime, kwh: float) -> Body:
    """Of an interval, in Wh, by OBIS code; ``kwh`` is the net."""
    return {
        "1.1.1.8.0.255": 120.5,
        "1.1.2.8.0.255": round(max(0.0, kwh) * 1000, 3),
        "1.1.2.8.1.255": round(max(0.0, kwh) * 1000, 3),
        "1.1.32.7.0.255": 231.04,
        "kwh": round(kwh - 0.1205, 6),
        "energy_generated": round(max(0.0, kwh), 6),
        "energy_consumed": 0.1205,
        "timestamp": end.isoformat(),
        "signature": "3yZe7d5signature",
        "zone_code": "2",
    }


def simulator_today(serial: str, end: datetime, kwh: float) -> Body:
    """Registers in a frame."""
    return {"protocol": "dlms", "device_id": serial, "payload": registers(end, kwh)}


def flat_registers(serial: str, end: datetime, kwh: float) -> Body:
    """An item of today's batches."""
    return {"device_id": serial, **registers(end, kwh)}


@dataclass(frozen=True)
class Single:
    """A door for one reading."""

    name: str
    path: str
    body: Callable[[str, datetime, float], Body]
    members: frozenset[str]
    id_name: str = "id"

    def address(self, serial: str) -> str:
        return self.path.format(serial=serial)


@dataclass(frozen=True)
class Many:
    """A door for up to a thousand."""

    name: str
    path: str
    item: Callable[[str, datetime, float], Body]
    is_counted: bool
    frame: Callable[[Sequence[Any]], Body] = lambda items: {"readings": list(items)}


SUBMITTED = frozenset(
    {
        *("id", "wallet_address", "kwh_amount", "reading_timestamp", "submitted_at"),
        *("minted", "mint_tx_signature", "message"),
    }
)
OF_METER = frozenset(
    {"id", "serial_number", "kwh", "timestamp", "minted", "tx_signature", "message"}
)
ACCEPTED = frozenset({"status", "reading_id", "message"})

SINGLES = (
    Single("simulator 2025", "/api/meters/submit-reading", simulator_2025, SUBMITTED),
    Single("operators' script", "/api/meters/submit-reading", operators_script, SUBMITTED),
    Single("January 2026", "/api/v1/meters/{serial}/readings", simulator_january, OF_METER),
    Single("trading UI", "/api/v1/meters/{serial}/readings?auto_mint=true", trading_ui, OF_METER),
    Single("spring 2026", "/v1/ingest/telemetry", simulator_spring, ACCEPTED, "reading_id"),
    Single("today", "/v1/private-network/ingest", simulator_today, ACCEPTED, "reading_id"),
)
MANIES = (
    Many("submit-batch", "/api/meters/submit-batch", simulator_2025, is_counted=True),
    Many("batch", "/api/v1/meters/batch/readings", simulator_january, is_counted=True),
    Many("public", "/api/v1/public/meters/batch/readings", simulator_january, is_counted=True),
    Many("telemetry", "/v1/ingest/telemetry/batch", simulator_spring, is_counted=False),
    Many(
        "private network",
        "/v1/private-network/ingest/batch",
        flat_registers,
        is_counted=False,
        frame=lambda items: {"protocol": "dlms", "readings": list(items)},
    ),
)

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
END = last_quarter()
"""Once for all: a quarter hour may end between two calls of one test."""
