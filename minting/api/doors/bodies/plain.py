"""The gateway's body, in all its generations: kWh and one timestamp, the interval's end.

``wallet_address`` and ``user_id`` are not looked at: the first is a hint that nobody may trust, and
some clients write their meter's id into both.
"""

from __future__ import annotations

from minting.api.doors.bodies import members
from readings import rules
from readings.intake import Submission


def submission(body: object, *, serial: str | None = None) -> Submission:
    """What ``submit-reading``, ``readings`` of a meter, telemetry and their batches send.

    Args:
        body: As it was parsed; numbers with a fraction are ``Decimal``.
        serial: Where the address names the meter.

    Raises:
        InvalidReading: It tells no reading.
    """
    told = members.whole(body)
    return Submission(
        meter_serial=serial or members.serial(told, "meter_serial", "meter_id"),
        kwh_amount=members.exported(told),
        period_end=members.instant(told, "reading_timestamp", "timestamp"),
        interval_seconds=told.get("interval_seconds"),
        energy_generated=told.get("energy_generated"),
        energy_consumed=rules.consumed_kwh(told),
        meter_signature=members.note(told, "meter_signature", "signature"),
        external_id=members.note(told, "reading_id", "external_id"),
    )
