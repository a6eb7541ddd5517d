"""What reconciliation found: marks on the journal's rows, findings, the cursor, the run.

All of it may be written twice: marks and findings are keyed by what they are about, and the
cursor moves by compare-and-set only after everything before it is stored. A run that dies between
a page and the cursor leaves nothing behind that the next one would not write again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import connection
from django.db.models import F, Q, Sum
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from minting.engine.audit import LANDED, Difference, Finding
from minting.engine.states import LIVE_TRANSACTIONS
from minting.journal.phase import atomic_phase
from minting.models import (
    MintInfo,
    MintTransaction,
    ReconcileCursor,
    ReconcileFinding,
    ReconcileRun,
    RunStatus,
)

log = structlog.get_logger(__name__)

ABANDONED = timedelta(hours=6)
"""After which a run that never ended was killed."""

GATING = Q(
    kind__in=[
        Difference.UNKNOWN_MINT.value,
        Difference.SUPPLY_DIFFERENCE.value,
        Difference.MINT_CHANGED.value,
    ]
    # A transaction that landed though it was thought dead: its readings may be free again.
) | Q(kind=Difference.STATUS_DIFFERS.value, on_chain__gt=0)
"""Findings that stop minting: the chain holds units that the journal does not explain."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a complete walk from the cursor has added up, and where it ended."""

    signature: str
    slot: int
    minted: int
    burned: int
    journalled: int


@atomic_phase
def begin_run(mint: MintInfo, *, thorough: bool) -> tuple[ReconcileRun, ReconcileCursor]:
    """A run and the cursor that it starts from.

    Where the journal no longer has what the cursor says was walked (rows were deleted), the
    cursor is worth nothing: all is walked again.
    """
    ReconcileRun.objects.filter(status=RunStatus.RUNNING, started_at__lt=Now() - ABANDONED).update(
        status=RunStatus.FAILED, error="It never ended", finished_at=Now()
    )
    ReconcileCursor.objects.get_or_create(mint=mint)
    cursor = ReconcileCursor.objects.select_for_update().get(mint=mint)
    ours = of_mint(mint)
    held = ours.filter(chain_slot__lte=cursor.slot).aggregate(sum=Sum("base_units", default=0))
    if held["sum"] != cursor.journalled:
        log.error("cursor_reset", journal=int(held["sum"]), walked=int(cursor.journalled))
        ours.filter(chain_slot__isnull=False).update(chain_slot=None, audited_at=None)
        cursor = ReconcileCursor(mint=mint, accepted=cursor.accepted)
        cursor.save()
    return (
        ReconcileRun.objects.create(mint=mint, thorough=thorough, from_slot=cursor.slot),
        cursor,
    )


def of_mint(mint: MintInfo) -> Any:
    """The journal's transactions of this mint on this cluster."""
    return MintTransaction.objects.filter(genesis_hash=mint.genesis_hash, mint_address=mint.address)


# Locked by id, as whoever settles them does.
_MEET = """
WITH met AS (SELECT * FROM unnest(%(ids)s::uuid[], %(slots)s::bigint[]) AS met (id, slot)),
locked AS (
    SELECT tx.id, met.slot FROM minting_minttransaction tx JOIN met USING (id)
    WHERE tx.chain_slot IS DISTINCT FROM met.slot
    ORDER BY tx.id FOR UPDATE OF tx
)
UPDATE minting_minttransaction AS tx SET chain_slot = locked.slot FROM locked
WHERE tx.id = locked.id
"""


@atomic_phase
def store_page(
    run: ReconcileRun,
    *,
    seen: int,
    read: int,
    met: Mapping[UUID, int],
    findings: Sequence[Finding],
) -> None:
    """One page of the mint's history, in as many statements as the next.

    Args:
        run: Of which run.
        seen: Rows of the page.
        read: Those that had to be fetched.
        met: Slots of journalled transactions that landed, by their id.
        findings: What the page has that the journal does not.
    """
    with connection.cursor() as sql:
        sql.execute(_MEET, {"ids": list(met), "slots": list(met.values())})
    record_findings(run, findings)
    ReconcileRun.objects.filter(id=run.id).update(
        transactions_seen=F("transactions_seen") + seen,
        transactions_read=F("transactions_read") + read,
    )


# The predicate names the index ``finding_once_while_it_lasts``.
_FIND = """
INSERT INTO minting_reconcilefinding (
    id, mint_id, run_id, kind, signature, wallet, on_chain, in_journal, detail, found_at, seen_at,
    acknowledged_by, reason
)
SELECT id, %(mint)s, %(run)s, kind, signature, wallet, on_chain, in_journal, detail,
       statement_timestamp(), statement_timestamp(), '', ''
FROM unnest(
    %(id)s::uuid[], %(kind)s::text[], %(signature)s::text[], %(wallet)s::text[],
    %(on_chain)s::numeric[], %(in_journal)s::numeric[], %(detail)s::text[]
) AS found (id, kind, signature, wallet, on_chain, in_journal, detail)
ON CONFLICT (mint_id, kind, signature, wallet) WHERE resolved_at IS NULL
DO UPDATE SET run_id = excluded.run_id, on_chain = excluded.on_chain,
    in_journal = excluded.in_journal, detail = excluded.detail, seen_at = excluded.seen_at
RETURNING id
"""


@atomic_phase
def record_findings(run: ReconcileRun, findings: Sequence[Finding]) -> None:
    """Opens findings, or notes that they were found again: one statement, however many."""
    # Each once, and in one order, so that two runs wait for each other and do not deadlock.
    last = {(each.kind.value, each.signature, each.wallet): each for each in findings}
    if not last:
        return
    new = {uuid7(): last[key] for key in sorted(last)}
    columns = {
        name: [getattr(each, name) for each in new.values()]
        for name in ("signature", "wallet", "on_chain", "in_journal", "detail")
    }
    kinds = [each.kind.value for each in new.values()]
    whose = {"mint": run.mint_id, "run": run.id}
    with connection.cursor() as sql:
        sql.execute(_FIND, {"id": list(new), "kind": kinds, **columns, **whose})
        kept = {id_ for (id_,) in sql.fetchall()}
    for found in (found for id_, found in new.items() if id_ in kept):
        log.error(
            "difference_found",
            kind=found.kind.value,
            signature=found.signature,
            wallet=found.wallet,
            on_chain=found.on_chain,
            in_journal=found.in_journal,
            detail=found.detail,
        )


@atomic_phase
def record_audit(
    run: ReconcileRun,
    *,
    clean: Sequence[UUID],
    unclean: Sequence[UUID],
    findings: Sequence[Finding],
) -> None:
    """Marks rows whose bytes pay their results, unmarks the others, and keeps the findings."""
    MintTransaction.objects.filter(id__in=clean).update(audited_at=Now())
    MintTransaction.objects.filter(id__in=unclean).update(audited_at=None)
    record_findings(run, findings)
    ReconcileRun.objects.filter(id=run.id).update(audited=F("audited") + len(clean) + len(unclean))


@atomic_phase
def move_cursor(start: ReconcileCursor, progress: Progress) -> bool:
    """Moves the cursor on from ``start``; another run that was faster wins."""
    return bool(
        ReconcileCursor.objects.filter(
            mint_id=start.mint_id, signature=start.signature, slot=start.slot
        ).update(
            signature=progress.signature or start.signature,
            slot=progress.slot,
            minted=F("minted") + progress.minted,
            burned=F("burned") + progress.burned,
            journalled=F("journalled") + progress.journalled,
            moved_at=Now(),
        )
    )


@atomic_phase
def finish_run(run: ReconcileRun, *, to_slot: int, on_chain: int, explained: int) -> ReconcileRun:
    """Resolves what was not found again, counts what is open, and ends the run."""
    _resolve_gone(run)
    run.refresh_from_db()
    run.to_slot = to_slot
    run.supply_on_chain, run.supply_explained = on_chain, explained
    run.in_flight = of_mint(run.mint).filter(status__in=LIVE_TRANSACTIONS).count()
    run.differences = open_findings(run.mint).count()
    run.status = RunStatus.DIFFERENCES if run.differences else RunStatus.CLEAN
    run.save()
    ReconcileRun.objects.filter(id=run.id).update(finished_at=Now())
    log.info(
        "reconciled",
        status=run.status,
        transactions=run.transactions_seen,
        read=run.transactions_read,
        audited=run.audited,
        in_flight=run.in_flight,
        differences=run.differences,
    )
    return run


@atomic_phase
def fail_run(run: ReconcileRun, error: str) -> None:
    """The chain could not be asked: nothing is concluded, and no finding changes."""
    ReconcileRun.objects.filter(id=run.id).update(
        status=RunStatus.FAILED, error=error, finished_at=Now()
    )


@atomic_phase
def acknowledge(finding_ids: Collection[UUID], *, by: str, reason: str) -> int:
    """A person takes responsibility for differences, with a reason that is kept.

    A supply that nothing explains becomes part of what is explained.
    """
    rows = list(
        ReconcileFinding.objects.select_for_update()
        .filter(id__in=finding_ids, acknowledged_at__isnull=True, resolved_at__isnull=True)
        .order_by("id")
    )
    for row in rows:
        if row.kind == Difference.SUPPLY_DIFFERENCE:
            ReconcileCursor.objects.filter(mint_id=row.mint_id).update(
                accepted=F("accepted") + (row.on_chain or 0) - (row.in_journal or 0)
            )
        log.warning("difference_acknowledged", kind=row.kind, signature=row.signature, by=by)
    ReconcileFinding.objects.filter(id__in=[row.id for row in rows]).update(
        acknowledged_at=Now(), acknowledged_by=by, reason=reason
    )
    return len(rows)


def open_findings(mint: MintInfo) -> Any:
    """Differences that last and that nobody acknowledged."""
    return ReconcileFinding.objects.filter(
        mint=mint, resolved_at__isnull=True, acknowledged_at__isnull=True
    )


def acknowledged_signatures(among: Iterable[str]) -> set[str]:
    """Those that a person took responsibility for."""
    taken = ReconcileFinding.objects.filter(
        signature__in=list(among), acknowledged_at__isnull=False
    )
    return set(taken.values_list("signature", flat=True))


def unexplained(mint: MintInfo) -> Any:
    """Those of them that stop minting."""
    return open_findings(mint).filter(GATING)


def _resolve_gone(run: ReconcileRun) -> None:
    """Ends findings that this run would have found again, if they were still so.

    An unknown mint is met once, when the walk passes it; it ends when the journal knows it.
    """
    lasting = ReconcileFinding.objects.filter(mint_id=run.mint_id, resolved_at__isnull=True)
    known = MintTransaction.objects.filter(
        signature__in=lasting.filter(kind=Difference.UNKNOWN_MINT).values("signature")
    )
    lasting.filter(kind=Difference.UNKNOWN_MINT, signature__in=known.values("signature")).update(
        resolved_at=Now()
    )
    only_in_thorough_runs = [] if run.thorough else [Difference.STATUS_DIFFERS]
    lasting.filter(seen_at__lt=run.started_at).exclude(
        kind__in=[Difference.UNKNOWN_MINT, *only_in_thorough_runs]
    ).update(resolved_at=Now())


# Two sums and not one with OR: each is then a range of the index, however long the journal is.
_CEILING = """
WITH walked AS (
    SELECT coalesce(max(slot), -1) AS slot, coalesce(max(minted - burned + accepted), 0) AS units
    FROM minting_reconcilecursor WHERE mint_id = %(mint)s
)
SELECT (SELECT units FROM walked) + coalesce((
    SELECT sum(base_units) FROM minting_minttransaction
    WHERE chain_slot IS NULL
      AND status = ANY(%(landed)s) AND genesis_hash = %(genesis)s AND mint_address = %(address)s
), 0) + coalesce((
    SELECT sum(base_units) FROM minting_minttransaction
    WHERE chain_slot > (SELECT slot FROM walked)
      AND status = ANY(%(landed)s) AND genesis_hash = %(genesis)s AND mint_address = %(address)s
), 0)
"""


def supply_ceiling(mint: MintInfo) -> int:
    """The most that there can be of the mint, if all that may have landed has: one statement.

    Up to the cursor the walk's sums count, beyond it the journal's own rows; burns beyond it are
    not known and leave room.
    """
    with connection.cursor() as sql:
        sql.execute(
            _CEILING,
            {
                "mint": mint.pk,
                "landed": [each.value for each in LANDED],
                "genesis": mint.genesis_hash,
                "address": mint.address,
            },
        )
        return int(sql.fetchone()[0])


def overlooked(mint: MintInfo) -> Any:
    """Transactions that landed though the journal says that they failed or died."""
    return of_mint(mint).filter(
        Q(chain_slot__isnull=False), ~Q(status__in=[each.value for each in LANDED])
    )
