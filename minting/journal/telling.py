"""What other systems are told, written with what it tells of (docs/webhooks.md, W1).

Each is one statement, and writes nothing where no endpoint wants to know. Who is told, and how, is
not the journal's: ``minting.webhooks`` takes the rows from here.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from minting.engine.events import EventType
from minting.engine.states import BatchStatus
from minting.journal.arrays import UuidArray, joined
from minting.journal.phase import atomic_phase
from minting.models import MintBatch, MintingStop

READINGS_AN_EVENT = 1_000
"""Failed readings that one event names at most: a receiver wants neither a request a reading nor a
request of megabytes."""

_PARTIAL = BatchStatus.PARTIALLY_SUCCEEDED

_FACTS = """
INSERT INTO minting_webhookevent (message, type, batch_id, facts, happened_at)
SELECT gen_random_uuid(), %(type)s, %(batch)s, %(facts)s::jsonb, statement_timestamp()
WHERE EXISTS (
    SELECT FROM minting_webhookendpoint WHERE removed_at IS NULL AND %(type)s = ANY(events)
)
"""

_FAILURES = """
INSERT INTO minting_webhookevent (message, type, batch_id, facts, happened_at)
SELECT gen_random_uuid(), %(type)s, batch_id, jsonb_build_object('readings', jsonb_agg(
    jsonb_build_object('reading_id', reading_id, 'code', error_code, 'reason', error)
    ORDER BY number
)), statement_timestamp()
FROM (
    SELECT batch_id, reading_id, error_code, error,
        row_number() OVER (PARTITION BY batch_id ORDER BY reading_id) - 1 AS number
    FROM minting_mintresult
    WHERE id = ANY(%(results)s::uuid[]) AND EXISTS (
        SELECT FROM minting_webhookendpoint WHERE removed_at IS NULL AND %(type)s = ANY(events)
    )
) AS failed
GROUP BY batch_id, number / %(most)s
ORDER BY batch_id, number / %(most)s
"""

_TRANSACTIONS = """
INSERT INTO minting_webhookevent (message, type, batch_id, facts, happened_at)
SELECT gen_random_uuid(), %(type)s, batch_id, jsonb_build_object(
    'transaction_id', id, 'batch_id', batch_id, 'signature', signature, 'status', status,
    'readings', cardinality(reading_ids), 'base_units', base_units::text, 'slot', slot
), statement_timestamp()
FROM minting_minttransaction
WHERE id = ANY(%(transactions)s) AND EXISTS (
    SELECT FROM minting_webhookendpoint WHERE removed_at IS NULL AND %(type)s = ANY(events)
)
ORDER BY id
"""


@atomic_phase
def tell_batch(type_: EventType, batch: MintBatch, status: BatchStatus) -> None:
    """That a batch ended, or is open again.

    Kept is what may be otherwise when others are told: a fork opens a batch again.
    """
    facts = {
        "status": status.value,
        "successful_mints": batch.successful_mints,
        "failed_mints": batch.failed_mints,
        "pending_mints": batch.pending_mints,
        "error_code": "partially_successful" if status is _PARTIAL else None,
    }
    _execute(_FACTS, type_, batch=batch.id, facts=json.dumps(facts))


@atomic_phase
def tell_switch(type_: EventType, stop: MintingStop, *, by_limit: bool) -> None:
    """That minting was stopped, or goes on. Neither names nor words of people leave the house."""
    facts = {"stop_id": str(stop.id), "cause": "daily_limit" if by_limit else "person"}
    _execute(_FACTS, type_, batch=None, facts=json.dumps(facts))


@atomic_phase
def tell_failures(results: Sequence[UuidArray]) -> None:
    """That readings failed for good, as their results say by now; any number."""
    if results:
        _execute(
            _FAILURES, EventType.READING_FAILED, results=joined(results), most=READINGS_AN_EVENT
        )


@atomic_phase
def tell_transactions(type_: EventType, ids: Collection[UUID]) -> None:
    """That transactions are in doubt, or are not any more, as their rows say by now."""
    if ids:
        _execute(_TRANSACTIONS, type_, transactions=list(ids))


def _execute(statement: str, type_: EventType, **parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"type": type_.value, **parameters})
