"""What each client reads in an answer: exactly these members, none besides. Pure.

Where a client computes with a number it gets one; where it keeps an amount it gets text.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from readings.intake import Outcome, OutcomeStatus
from readings.models import MeterReading
from readings.rules import ReadingStatus, reason_of

NAMED_FAILURES = 20
"""Failures of a batch that its message tells one by one."""


def submitted(reading: MeterReading, message: str) -> dict[str, Any]:
    """Of ``submit-reading``."""
    told = listed(reading)
    del told["user_id"]
    return {**told, "message": message}


def of_meter(reading: MeterReading, message: str) -> dict[str, Any]:
    """Of a meter's ``readings``."""
    return {
        "id": str(reading.id),
        "serial_number": reading.meter.serial,
        "kwh": number(reading.kwh_amount),
        "timestamp": instant(reading.period_end),
        "minted": _is_minted(reading),
        "tx_signature": _signature(reading),
        "message": message,
    }


def accepted(reading: MeterReading, message: str) -> dict[str, Any]:
    """Of the ingest doors."""
    return {"status": "accepted", "reading_id": str(reading.id), "message": message}


def listed(reading: MeterReading) -> dict[str, Any]:
    """A row of the operators' list of what is not minted."""
    return {
        "id": str(reading.id),
        "user_id": reading.owner.user_id if reading.owner else None,
        "wallet_address": reading.wallet_address,  # type: ignore[attr-defined]  # shown_readings'
        "kwh_amount": str(reading.kwh_amount),
        "reading_timestamp": instant(reading.period_end),
        "submitted_at": instant(reading.submitted_at),
        "minted": _is_minted(reading),
        "mint_tx_signature": _signature(reading),
    }


def mine(reading: MeterReading) -> dict[str, Any]:
    """A row of the trading UI's list."""
    return {
        "id": str(reading.id),
        "meter_serial": reading.meter.serial,
        "kwh": number(reading.kwh_amount),
        "timestamp": instant(reading.period_end),
        "submitted_at": instant(reading.submitted_at),
        "minted": _is_minted(reading),
        "tx_signature": _signature(reading),
    }


def counted(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Of a batch whose client wants counts; the message tells what failed, and why."""
    failures = [
        f"{at}: {outcome.code} ({outcome.detail})"
        for at, outcome in enumerate(outcomes)
        if outcome.error is not None
    ]
    taken = len(outcomes) - len(failures)
    message = f"{taken} of {len(outcomes)} readings stored"
    if failures:
        message += "; not stored, by position: " + "; ".join(failures[:NAMED_FAILURES])
    if len(failures) > NAMED_FAILURES:
        message += f"; and {len(failures) - NAMED_FAILURES} more"
    return {"success_count": taken, "failed_count": len(failures), "message": message}


def each_accepted(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Of the ingest doors' batches: an answer for each, in the order sent."""
    return [
        {
            "status": "failed" if outcome.error else "accepted",
            "reading_id": str(outcome.reading_id) if outcome.reading_id else None,
            "message": message_of(outcome),
        }
        for outcome in outcomes
    ]


def message_of(outcome: Outcome) -> str:
    """What happened to one reading, in a sentence or two."""
    if outcome.error is not None:
        return f"{outcome.code}: {outcome.detail}"
    known = outcome.status is OutcomeStatus.DUPLICATE
    standing = "" if outcome.reading is None else standing_of(outcome.reading)
    return ("Reading known already." if known else "Reading stored.") + standing


def standing_of(reading: MeterReading) -> str:
    """Why a reading is not on its way to be minted; nothing if it is."""
    if reading.status not in {ReadingStatus.HELD, ReadingStatus.NOT_MINTED}:
        return ""
    held = "Held" if reading.status == ReadingStatus.HELD else "Not minted"
    return f" {held}: {reason_of(reading.code)}"


def number(amount: Decimal | None) -> float:
    """A JSON number for a client that reads it as a float, and computes nothing that is paid."""
    return float(amount or 0)


def instant(moment: datetime) -> str:
    """ISO 8601 in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _is_minted(reading: MeterReading) -> bool:
    return reading.status == ReadingStatus.MINTED


def _signature(reading: MeterReading) -> str | None:
    """Of the minting; that of a failed attempt would be taken for one."""
    signature: str = reading.tx_signature or ""  # type: ignore[attr-defined]  # shown_readings'
    return signature if _is_minted(reading) and signature else None
