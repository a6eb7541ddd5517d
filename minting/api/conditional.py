"""Polling a batch: nothing is said twice, and everybody is told when to ask again."""

from __future__ import annotations

from datetime import datetime
from math import ceil
from uuid import UUID

from django.db import connection
from django.utils import timezone
from django.utils.http import parse_etags, quote_etag
from rest_framework.request import Request

from minting.api.errors import UnknownBatch
from minting.engine.states import BatchStatus, TransactionStatus
from minting.models import MintBatch
from minting.service.describe import WHOLE_RESULTS

SOONEST = 1
LATEST = 30
"""Seconds: whoever asks that often learns in time, and costs little."""

FOR_A_PERSON = 60
"""Seconds, while a batch waits for somebody's decision."""

# xmin is the id of the transaction that wrote the row as it stands, so that whatever changes a
# column changes it, and nothing need be read of the columns themselves.
_VERSION = """
SELECT md5(concat_ws('|',
         b.xmin,
         (SELECT count(*) FROM minting_minttransaction t
           WHERE t.batch_id = b.id AND t.status <> %(expired)s),
         CASE WHEN b.total_readings <= %(whole)s THEN
           (SELECT string_agg(r.xmin::text, ',' ORDER BY r.reading_id)
              FROM minting_mintresult r WHERE r.batch_id = b.id)
         END))
  FROM minting_mintbatch b WHERE b.id = %(id)s
"""


def batch_etag(batch_id: UUID) -> str:
    """What the description of a batch is called until anything in it changes.

    Weak, since pages and compressions of the same state bear it too. To be asked before the batch
    is read: then a client never holds the new name of an old state.

    Raises:
        UnknownBatch: There is none.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _VERSION,
            {"id": batch_id, "whole": WHOLE_RESULTS, "expired": TransactionStatus.EXPIRED.value},
        )
        row = cursor.fetchone()
    if row is None:
        raise UnknownBatch(batch_id)
    return f"W/{quote_etag(row[0])}"


def is_known(request: Request, etag: str) -> bool:
    """Whether the client says that it has this state (``If-None-Match``, RFC 9110, 13.1.2)."""
    known = parse_etags(request.headers.get("If-None-Match", ""))
    return "*" in known or etag.removeprefix("W/") in {each.removeprefix("W/") for each in known}


def retry_after(batch: MintBatch, now: datetime | None = None) -> int | None:
    """Seconds after which it is worth asking for the batch again; ``None`` when it is final.

    At the pace that the batch had so far, what is open would be done then; before there is a pace,
    soon, and less often the longer nothing happens.
    """
    if batch.is_final:
        return None
    if batch.status == BatchStatus.AWAITING_APPROVAL:
        return FOR_A_PERSON
    begun = batch.started_at or batch.created_at
    passed = ((now or timezone.now()) - begun).total_seconds()
    done = batch.successful_mints + batch.failed_mints
    expected = passed * batch.pending_mints / done if done else passed / 4
    return min(max(ceil(expected), SOONEST), LATEST)
