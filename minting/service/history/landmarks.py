"""Where a late proof of death may end its walk, for an authority of which we know nothing yet.

Such a walk proves something only when it meets a signature that was known before and is older than
the blockhash in question (engine.verdicts, step 4). The first transactions of an authority have no
older one of ours. So before anything is signed, one signature of its history is noted: whoever made
the mint, and whether the history is ours or somebody else's.
"""

from __future__ import annotations

import structlog
from django.db import transaction
from solders.pubkey import Pubkey

from minting.engine.errors import SolanaError
from minting.engine.types import Commitment, HistoryEntry
from minting.models import Landmark
from minting.service.chain.session import Session

log = structlog.get_logger(__name__)


def learn(session: Session, address: Pubkey, genesis_hash: str) -> Landmark | None:
    """The address's landmark, noted now unless there is one; ``None`` while it has no history.

    Only an address that got its lamports with the chain's first block has none.

    Raises:
        SolanaError: No node answered.
    """
    known = Landmark.objects.filter(genesis_hash=genesis_hash, address=str(address)).first()
    if known is not None:
        return known
    entry = session.run(_old_entry(session, address))
    if entry is None:
        log.warning("no_landmark", address=str(address))
        return None
    with transaction.atomic():
        # Two workers may note two; the first that commits is the landmark for all.
        known, _ = Landmark.objects.get_or_create(
            genesis_hash=genesis_hash,
            address=str(address),
            defaults={"signature": entry.signature, "slot": entry.slot},
        )
    return known


def require(session: Session, address: Pubkey, genesis_hash: str, *, below_slot: int) -> None:
    """Before anything is signed: a landmark older than the blockhash that is asked for next.

    Args:
        session: The way to the chain.
        address: Who is going to sign.
        genesis_hash: The chain's.
        below_slot: A confirmed slot, seen just now.

    Raises:
        SolanaError: No node answered, or the address got its first lamports in this very slot.
    """
    landmark = learn(session, address, genesis_hash)
    if landmark is not None and landmark.slot >= below_slot:
        raise SolanaError(
            f"The history of {address} begins at slot {landmark.slot}, and the node is at slot "
            f"{below_slot}: nothing is signed before the next one"
        )


async def _old_entry(session: Session, address: Pubkey) -> HistoryEntry | None:
    """The oldest of the newest page: surely older than what is signed next, and soon walked to.

    Of the finalized history; where nothing is final yet, of the confirmed one. That is no weaker: a
    proof walks the finalized history, and ends only if it meets this signature there.
    """
    for commitment in (Commitment.FINALIZED, Commitment.CONFIRMED):
        page = await session.cluster.signatures_for_address(address, commitment=commitment)
        if page:
            return page[-1]
    return None
