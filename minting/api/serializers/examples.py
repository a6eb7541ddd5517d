"""What bodies look like, for the API's description."""

from __future__ import annotations

from typing import Any

READING_ID = "6c1f7a52-6a0e-4d3b-9a0b-0d0f4b6b7a11"
OTHER_READING_ID = "9ab0c3de-5d7e-4a55-8f0e-2f6a1c9d4e22"
BATCH_ID = "019ab8e4-7c1d-7e0a-b1c2-3d4e5f60718a"
WALLET = "7EcDhSYGxXyscszYEp35KHN8vvw3svAuLKTzXwCFLtV"
SIGNATURE = (
    "5VERv8NMvzbJMEkV8xnrLkEaWRtSz9CosKDYjCJjBRnbJLgp8uirBgmQpjKhoR4tjF3ZpRzrFmBV6UjKdiSZkQUW"
)

SUBMISSION: dict[str, Any] = {
    "meter_serial": "METER-1",
    "kwh_amount": "0.75",
    "period_start": "2026-11-23T10:00:00Z",
    "period_end": "2026-11-23T10:15:00Z",
    "external_id": "gw-7",
}
READING: dict[str, Any] = {
    "id": READING_ID,
    "meter_serial": "METER-1",
    "owner": "user-7",
    "wallet_address": WALLET,
    "kwh_amount": "0.750000000",
    "period_start": "2026-11-23T10:00:00Z",
    "period_end": "2026-11-23T10:15:00Z",
    "status": "pending",
    "code": None,
    "tx_signature": None,
    "submitted_at": "2026-11-23T10:15:04.120937Z",
}
OUTCOMES: dict[str, Any] = {
    "created": 1,
    "duplicates": 0,
    "failed": 1,
    "results": [
        {"status": "created", "id": READING_ID, "code": None, "detail": None},
        {
            "status": "invalid",
            "id": None,
            "code": "unknown_meter",
            "detail": "No meter with serial 'METER-9' is registered",
        },
    ],
}
CORRECTION: dict[str, Any] = {"kwh_amount": "0.70", "reason": "read anew"}
CORRECTED_READING: dict[str, Any] = {
    **READING,
    "kwh_amount": "0.700000000",
    "revision": 2,
    "correction_difference": None,
}

MINT_REQUEST: dict[str, Any] = {"reading_ids": [READING_ID, OTHER_READING_ID]}
RESULT: dict[str, Any] = {
    "reading_id": READING_ID,
    "success": True,
    "status": "finalized",
    "error": None,
    "error_code": None,
    "tx_signature": SIGNATURE,
    "slot": 381_204_117,
}
FAILED_RESULT: dict[str, Any] = {
    "reading_id": OTHER_READING_ID,
    "success": False,
    "status": "failed",
    "error": "The token account is frozen",
    "error_code": "account_frozen",
    "tx_signature": None,
    "slot": None,
}
MINT_RESULT: dict[str, Any] = {
    **RESULT,
    "id": "019ab8e4-7c21-7b70-8a11-5f0c2d3e4b5a",
    "batch_id": BATCH_ID,
    "owner": "user-7",
    "wallet_address": WALLET,
    "kwh_amount": "0.750000000",
    "base_units": "750000000",
    "settled_at": "2026-11-23T10:20:31.004215Z",
}
QUEUED_BATCH: dict[str, Any] = {
    "id": BATCH_ID,
    "status": "queued",
    "source": "api",
    "created_at": "2026-11-23T10:20:29.118344Z",
    "retry_of": None,
    "total_readings": 2,
    "successful_mints": 0,
    "failed_mints": 0,
    "pending_mints": 2,
    "error_code": None,
    "fee_estimate_lamports": 5_000,
    "rent_estimate_lamports": 2_039_280,
    "fee_paid_lamports": 0,
    "rent_paid_lamports": 0,
    "transactions": 0,
    "results_url": f"https://mint.example.org/api/v1/mint-batches/{BATCH_ID}/results",
    "results": [
        {
            **each,
            "success": None,
            "status": "pending",
            "error": None,
            "error_code": None,
            "tx_signature": None,
            "slot": None,
        }
        for each in (RESULT, FAILED_RESULT)
    ],
}
BATCH: dict[str, Any] = {
    **QUEUED_BATCH,
    "status": "partially_succeeded",
    "successful_mints": 1,
    "failed_mints": 1,
    "pending_mints": 0,
    "error_code": "partially_successful",
    "fee_paid_lamports": 5_000,
    "rent_paid_lamports": 2_039_280,
    "transactions": 1,
    "results": [RESULT, FAILED_RESULT],
}
SINGLE_MINT: dict[str, Any] = {
    "reading_id": READING_ID,
    "success": True,
    "error": None,
    "error_code": None,
    "tx_signature": SIGNATURE,
    "batch_id": BATCH_ID,
}
ESTIMATE: dict[str, Any] = {
    "readings": 1,
    "wallets": 1,
    "new_accounts": 1,
    "transactions": 1,
    "network_fee_lamports": 5_000,
    "priority_fee_lamports": 0,
    "rent_lamports": 2_039_280,
    "total_lamports": 2_044_280,
    "authority_balance_lamports": 99_000_000_000,
    "balance_after_lamports": 98_997_955_720,
    "excluded": [
        {
            "reading_id": OTHER_READING_ID,
            "code": "already_minted",
            "reason": "This reading is minted.",
        }
    ],
}

OWNER_REGISTRATION: dict[str, Any] = {
    "user_id": "user-7",
    "name": "Anong Srisai",
    "wallet_address": WALLET,
}
OWNER_CHANGE: dict[str, Any] = {"wallet_address": WALLET}
OWNER_ID = "019ab8e4-0a00-7c11-9d2e-5f60718a9b0c"
OTHER_WALLET = "BBc4JSHqcctMcUVJxDuuHqmgiFS2kLJmTEtKj51gq9L4"
WALLET_CHANGE: dict[str, Any] = {
    "id": "019ab8e4-0c00-7c11-9d2e-5f60718a9b0e",
    "status": "proposed",
    "owner": "user-7",
    "owner_id": OWNER_ID,
    "old_address": WALLET,
    "address": OTHER_WALLET,
    "way": "api",
    "proposed_by": "gateway",
    "proposed_at": "2026-11-23T10:20:29.118344Z",
    "expires_at": "2026-11-26T10:20:29.118344Z",
    "decided_by": None,
    "decided_at": None,
    "reason": None,
}
WALLET_CHANGE_WITHDRAWAL: dict[str, Any] = {"reason": "a typing error"}
OWNER: dict[str, Any] = {
    "id": OWNER_ID,
    "user_id": "user-7",
    "name": "Anong Srisai",
    "email": None,
    "wallet_address": WALLET,
    "wallets": [
        {"address": WALLET, "registered_at": "2026-11-01T08:00:00Z", "retired_at": None},
    ],
    "wallet_change": None,
    "created_at": "2026-11-01T08:00:00Z",
}
WAITING_OWNER: dict[str, Any] = {**OWNER, "wallet_change": WALLET_CHANGE}
METER_REGISTRATION: dict[str, Any] = {
    "serial": "METER-1",
    "interval_seconds": 900,
    "owner": "user-7",
    "owner_since": "2026-11-01T08:00:00Z",
}
METER_CHANGE: dict[str, Any] = {"owner": "user-8", "owner_since": "2026-12-01T00:00:00Z"}
METER: dict[str, Any] = {
    "id": "019ab8e4-0b00-7c11-9d2e-5f60718a9b0d",
    "serial": "METER-1",
    "name": None,
    "location": None,
    "interval_seconds": 900,
    "owner": "user-7",
    "assignments": [
        {"owner": "user-7", "starts_at": "2026-11-01T08:00:00Z", "ends_at": None},
    ],
    "registered_at": "2026-11-01T08:00:00Z",
}
