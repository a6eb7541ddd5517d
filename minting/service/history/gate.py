"""The gate: nothing is signed while the chain holds what the journal does not explain.

A database restored from before does not know what was minted since, and would mint it again. The
chain remembers: every transaction of ours carries a memo. So a recent finalized one that the
journal does not know closes the gate, at the start of a worker and whenever PostgreSQL serves other
data than at the last look; and so does a supply above what the journal explains, before each wave.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import structlog
from django.db import DatabaseError, connection, transaction

from minting import journal
from minting.cluster.client import HISTORY_PER_CALL, Node
from minting.cluster.history import fetch_landed
from minting.engine.errors import GateClosed, SolanaError
from minting.engine.receipts import memo_in_history
from minting.engine.types import HistoryEntry, LandedTransaction
from minting.journal import Identity
from minting.models import MintInfo, MintTransaction, ReconcileCursor
from minting.service.chain.session import Session
from minting.service.history import landmarks
from minting.service.history.auditing import landed_contents

log = structlog.get_logger(__name__)

PAGES = 5
"""Of the authority's history, a thousand transactions each, that count as recent. The first page
with a transaction that the journal knows is the last one looked at."""

READ_AT_ONCE = 20
"""Candidates fetched together; the first that proves true ends the search."""


def require_open(session: Session, mint: MintInfo, supply: int, *, slot: int) -> None:
    """Before each wave: asks the chain nothing, unless the database is another one than it was.

    Args:
        session: The way to the chain.
        mint: Whose gate it is.
        supply: Base units at ``confirmed``, read before this is called: what had landed by then
            was in the journal before it was on the wire.
        slot: A confirmed one, of the same reading.

    Raises:
        GateClosed: The chain holds what the journal does not explain.
        SolanaError: The chain could not be asked, or the authority is too young (``landmarks``).
    """
    identity = database_identity()
    with transaction.atomic():
        gate = journal.read_gate()
    if gate.checked_at is None or identity != Identity(gate.system_identifier, gate.timeline):
        log.info("gate_checked", again=gate.checked_at is not None)
        check(session)
        gate.refresh_from_db()
    if gate.closed_since is not None:
        raise GateClosed(gate.reason)
    ceiling = journal.supply_ceiling(mint)
    if supply > ceiling:
        # A node that has not seen the burns that were walked would close the gate for nothing.
        if ReconcileCursor.objects.filter(mint=mint, slot__gt=slot).exists():
            raise SolanaError(f"The node is at slot {slot}, before what was reconciled")
        reason = (
            f"The supply is {supply:,} base units, the journal explains {ceiling:,}: "
            "manage.py reconcile tells what is unknown"
        )
        _close(reason, identity)
        raise GateClosed(reason)
    landmarks.require(session, session.config.need_authority(), mint.genesis_hash, below_slot=slot)


def check_at_start(session: Session, mint: MintInfo | None) -> None:
    """At the start of a worker: checked now, or, if no node answers, before the first wave.

    A closed gate does not keep the worker from starting: recovery and reconciliation go on.
    """
    with transaction.atomic():
        journal.uncheck_gate()
    if mint is None:
        return
    try:
        check(session)
    except SolanaError as error:
        log.warning("gate_unchecked", reason=str(error))


def check(session: Session) -> bool:
    """Looks for recent transactions of ours that the journal does not know; closes on the first.

    Returns:
        Whether none was found.

    Raises:
        SolanaError: The chain could not be asked; the gate stays unchecked.
    """
    identity = database_identity()
    with pinned_node(session) as node:
        stranger = _find_unknown(session, node)
    if stranger is None:
        with transaction.atomic():
            journal.pass_gate(identity)
        return True
    _close(
        f"The finalized transaction {stranger} carries our memo and is not in the journal: was the "
        "database restored from a backup? manage.py reconcile tells what is unknown",
        identity,
    )
    return False


def database_identity() -> Identity:
    """System identifier and timeline of the PostgreSQL that answers; empty if it does not tell.

    The timeline is that of the log being written: the one in ``pg_control_checkpoint()`` is the
    last checkpoint's, and lags behind a promotion.
    """
    try:
        with transaction.atomic(), connection.cursor() as sql:
            sql.execute(
                "SELECT system_identifier::text, left(pg_walfile_name(pg_current_wal_lsn()), 8)"
                " FROM pg_control_system()"
            )
            return Identity(*sql.fetchone())
    except DatabaseError as error:
        log.warning("database_identity_unknown", reason=str(error).strip())
        return Identity()


@contextmanager
def pinned_node(session: Session) -> Iterator[Node]:
    """One node for questions whose answers belong together, across several network phases."""
    stack = AsyncExitStack()
    with _closing(session, stack):
        yield session.run(stack.enter_async_context(session.cluster.one_node()))


@contextmanager
def _closing(session: Session, stack: AsyncExitStack) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        session.run(stack.__aexit__(type(error), error, error.__traceback__))
        raise
    session.run(stack.aclose())


def _close(reason: str, identity: Identity) -> None:
    with transaction.atomic():
        journal.close_gate(reason, identity)


def _find_unknown(session: Session, node: Node) -> str | None:
    """The first finalized transaction of ours, as far as is looked, that nothing explains.

    The journal does, or a person who acknowledged it: else it would close the gate at each start.
    """
    authority = session.config.need_authority()
    before = None
    for _ in range(PAGES):
        page = session.run(node.signatures_for_address(authority, before=before))
        known = set(
            MintTransaction.objects.filter(
                signature__in=[entry.signature for entry in page]
            ).values_list("signature", flat=True)
        )
        explained = known | journal.acknowledged_signatures(entry.signature for entry in page)
        candidates = [entry for entry in page if _may_be_ours(entry, explained)]
        for at in range(0, len(candidates), READ_AT_ONCE):
            some = [entry.signature for entry in candidates[at : at + READ_AT_ONCE]]
            for landed in session.run(fetch_landed(node, some)):
                # Success is read from the transaction's own record alone.
                if landed.err is None and _mints(landed, session):
                    return landed.signature
        if known or len(page) < HISTORY_PER_CALL:
            return None
        before = page[-1].signature
    return None


def _may_be_ours(entry: HistoryEntry, explained: set[str]) -> bool:
    return entry.signature not in explained and memo_in_history(entry.memo) is not None


def _mints(landed: LandedTransaction, session: Session) -> bool:
    """Whether it mints our mint: an authority may serve another one besides."""
    contents = landed_contents(landed, session.config.need_mint())
    return contents.memo is not None and bool(contents.mints)
