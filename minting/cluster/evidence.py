"""Evidence for a proof of death: asked in the one order that proves something.

Only collecting is done here; what it proves is judged in ``engine.verdicts``. The order is the
point: a status asked *before* the finalized height could miss a transaction that lands between
the two, and the bytes would be paid twice. Nothing that failed counts: it becomes ``None``, or
is left out of ``reports``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

import structlog
from solders.pubkey import Pubkey

from minting.cluster.client import Node
from minting.cluster.history import Walk, walk_history
from minting.cluster.throttle import Throttle
from minting.cluster.transport import DEFAULT_TIMEOUT, node_name
from minting.engine.errors import SolanaError
from minting.engine.types import Commitment, DeathEvidence, StatusReport, Watched
from minting.engine.verdicts import needs_second_witness

log = structlog.get_logger(__name__)
T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]

POLL = 0.5
"""Seconds between two looks at how far the node is."""
ROUNDS = 3
"""One URL may be many nodes: so many answers, each on a connection of its own."""
SLOTS_AHEAD = 64
"""The status call answers from the processed bank and takes no ``minContextSlot``; a node whose
processed bank is so far past F has rooted F itself."""


async def collect_death_evidence(
    url: str,
    watched: Sequence[Watched],
    authority: Pubkey,
    *,
    is_known: Callable[[str], bool],
    pause: float = 2.0,
    patience: float = 60.0,
    request_timeout: float = DEFAULT_TIMEOUT,
    throttle: Throttle | None = None,
    sleep: Sleep = asyncio.sleep,
) -> dict[str, DeathEvidence]:
    """Everything that one URL can say on whether transactions are dead, by signature.

    1. genesis hash; 2. A = finalized slot F and height H; 3. only then, three times, the statuses
    with history search, once the node is 64 slots past F; 4. for those that the node's status
    cache may have forgotten by then, the first available block and the authority's history.

    Steps 3 and 4 are for transactions on the cluster that answered whose last valid height is
    below H: without that no answer could prove them dead. The others get steps 1 and 2.
    What the cluster fails to answer is missing from the evidence; nothing of it is raised.

    Args:
        url: The node; connections of its own are opened and closed.
        watched: Journalled transactions, any number.
        authority: The address whose history is the second witness: it signed them all.
        is_known: Whether the journal holds a signature; that is where a walk may end. It is
            called from inside the event loop: a set's ``__contains__``, not a query.
        pause: Seconds between the three answers.
        patience: Seconds to wait at most until the node is 64 slots past F.
        request_timeout: Seconds for one request.
        throttle: Shared with whoever else asks this URL.
        sleep: Takes seconds; for tests.
    """
    connect = partial(Node, url, timeout=request_timeout, throttle=throttle)
    async with connect() as node:
        genesis = await _or_none(node.genesis_hash())
        finalized = await _or_none(node.epoch_info(Commitment.FINALIZED))
        bare = DeathEvidence(
            node=node_name(url), genesis_hash=genesis, finalized=finalized, reports=()
        )
        evidence = {item.signature: bare for item in watched}
        if finalized is None:
            return evidence
        height = finalized.block_height
        due = [
            item
            for item in watched
            if item.genesis_hash == genesis and item.last_valid_block_height < height
        ]
        if due:
            await _until_past(node, finalized.slot + SLOTS_AHEAD, patience, sleep)
            reports = await _status_rounds(connect, due, pause, sleep)
            evidence |= {
                item.signature: replace(bare, reports=_reports_on(place, reports))
                for place, item in enumerate(due)
            }
        late = [item for item in due if needs_second_witness(item, evidence[item.signature])]
        if late:
            evidence |= await _with_second_witness(
                node,
                {item: evidence[item.signature] for item in late},
                authority,
                is_known=is_known,
                finalized_slot=finalized.slot,
            )
    return evidence


async def _or_none(question: Awaitable[T]) -> T | None:
    try:
        return await question
    except SolanaError as failure:
        log.info("evidence_missing", reason=str(failure))
        return None


async def _until_past(node: Node, slot: int, patience: float, sleep: Sleep) -> None:
    """Waits for the node's processed bank, within bounds.

    A node that does not get there is asked all the same: a status that is not null always counts.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):  # the polls of a silent node take long themselves
            for _ in range(max(round(patience / POLL), 1)):
                reached = await _or_none(node.slot(Commitment.PROCESSED))
                if reached is not None and reached >= slot:
                    return
                await sleep(POLL)


async def _status_rounds(
    connect: Callable[[], Node], due: Sequence[Watched], pause: float, sleep: Sleep
) -> list[StatusReport]:
    """The answers, three at most, each from connections opened for it alone."""
    signatures = [item.signature for item in due]
    reports = []
    for turn in range(ROUNDS):
        if turn:
            await sleep(pause)
        async with connect() as node:
            report = await _or_none(node.statuses(signatures, search_history=True))
        if report is not None:
            reports.append(report)
    return reports


def _reports_on(place: int, reports: Sequence[StatusReport]) -> tuple[StatusReport, ...]:
    """The part of each answer that is about the signature asked in this place."""
    return tuple(StatusReport(report.context_slot, (report.statuses[place],)) for report in reports)


async def _with_second_witness(
    node: Node,
    evidence: dict[Watched, DeathEvidence],
    authority: Pubkey,
    *,
    is_known: Callable[[str], bool],
    finalized_slot: int,
) -> dict[str, DeathEvidence]:
    """The evidence on those that consensus state alone no longer covers, completed."""
    first_block = await _or_none(node.first_available_block())
    walk = await _or_none(
        walk_history(
            node,
            authority,
            is_known=is_known,
            below_slot=min(item.blockhash_slot for item in evidence),
            min_context_slot=finalized_slot,
        )
    )
    return {
        item.signature: replace(
            known,
            first_available_block=first_block,
            second_witness=_testimony(item, walk, is_known),
        )
        for item, known in evidence.items()
    }


def _testimony(item: Watched, walk: Walk | None, is_known: Callable[[str], bool]) -> bool | None:
    """Whether the history lacks the signature; ``None`` if it does not reach back past S0."""
    if walk is None:
        return None
    if any(entry.signature == item.signature for entry in walk.entries):
        return False
    older = (entry for entry in walk.entries if entry.slot < item.blockhash_slot)
    return True if any(is_known(entry.signature) for entry in older) else None
