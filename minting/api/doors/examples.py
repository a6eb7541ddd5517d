"""What the doors' bodies look like, for the API's description."""

from __future__ import annotations

from typing import Any

from minting.api.serializers.examples import READING_ID, SIGNATURE, WALLET

ENDED, SUBMITTED_AT = "2026-11-23T10:15:00Z", "2026-11-23T10:15:04.120937Z"

DOOR_READING: dict[str, Any] = {
    "meter_serial": "METER-1",
    "kwh_amount": "0.750000",
    "reading_timestamp": ENDED,
    "energy_generated": 0.9,
    "energy_consumed": 0.15,
}
DOOR_READINGS: dict[str, Any] = {"readings": [DOOR_READING]}
REGISTERS: dict[str, Any] = {
    "1.1.1.8.0.255": 0,
    "1.1.2.8.0.255": 750,
    "kwh": 0.75,
    "timestamp": ENDED,
}
DLMS: dict[str, Any] = {"protocol": "dlms", "device_id": "METER-1", "payload": REGISTERS}
DLMS_BATCH: dict[str, Any] = {
    "protocol": "dlms",
    "readings": [{"device_id": "METER-1", **REGISTERS}],
}
UNMINTED: dict[str, Any] = {
    "id": READING_ID,
    "user_id": "user-7",
    "wallet_address": WALLET,
    "kwh_amount": "0.750000000",
    "reading_timestamp": ENDED,
    "submitted_at": SUBMITTED_AT,
    "minted": False,
    "mint_tx_signature": None,
}
SUBMITTED: dict[str, Any] = {
    **{name: value for name, value in UNMINTED.items() if name != "user_id"},
    "message": "Reading stored",
}
OF_METER: dict[str, Any] = {
    "id": READING_ID,
    "serial_number": "METER-1",
    "kwh": 0.75,
    "timestamp": ENDED,
    "minted": True,
    "tx_signature": SIGNATURE,
    "message": "Reading stored",
}
MINE: dict[str, Any] = {
    "id": READING_ID,
    "meter_serial": "METER-1",
    "kwh": 0.75,
    "timestamp": ENDED,
    "submitted_at": SUBMITTED_AT,
    "minted": False,
    "tx_signature": None,
}
COUNTED: dict[str, Any] = {
    "success_count": 1,
    "failed_count": 0,
    "message": "1 of 1 readings stored",
}
ACCEPTED: dict[str, Any] = {
    "status": "accepted",
    "reading_id": READING_ID,
    "message": "Reading stored",
}
STATS: dict[str, Any] = {
    "total_produced": 1543.25,
    "total_consumed": 812.5,
    "last_reading_time": ENDED,
    "total_minted": 1500.0,
    "total_minted_count": 4100,
    "pending_mint": 43.25,
    "pending_mint_count": 118,
}
MINT_FROM: dict[str, Any] = {"reading_id": READING_ID}
PAID: dict[str, Any] = {
    "message": "Minted",
    "transaction_signature": SIGNATURE,
    "kwh_amount": "0.750000000",
    "wallet_address": WALLET,
}
