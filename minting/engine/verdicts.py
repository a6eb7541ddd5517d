"""What is known of a transaction: landed, live, dead or uncertain (I4).

Pure judging. Whoever asks the nodes hands in what they answered, and every verdict says why, so
that a person can follow it. An error, a timeout or a short answer proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from minting.engine.states import ResultStatus, TransactionStatus
from minting.engine.types import (
    Blockhash,
    Commitment,
    DeathEvidence,
    SignatureStatus,
    StatusReport,
    Verdict,
    Watched,
)

ROOTED_MARGIN = 64
"""Slots by which an answering bank must be ahead of A, so that its node has rooted A's slot."""

NEEDED_REPORTS = 3
"""One URL may be many nodes, so that one answer may come from one that lags."""

CONSENSUS_REACH = 100
"""Blocks past the last valid height within which the status cache alone is a witness; it covers
300 rooted blocks, a part of which the transaction's own life takes."""

CACHE_REACH = 180
"""The same for the bank that answers, which may be far ahead of A by then: 300 rooted blocks less
the 150 of a life, and some 30 blocks that it has not rooted yet."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and the sentence that explains it."""

    verdict: Verdict
    why: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one status means; ``None`` leaves a state as it is."""

    transaction: TransactionStatus | None
    result: ResultStatus | None
    why: str


def judge(watched: Watched, evidence: DeathEvidence) -> Judgement:
    """The proof of death, steps 1 to 4; ``DEAD`` alone frees the readings.

    Args:
        watched: What the journal says of the transaction.
        evidence: What one URL answered, in the order it was asked; each report is about this
            one signature.
    """
    if evidence.genesis_hash != watched.genesis_hash:
        return _uncertain(f"the node answers genesis hash {evidence.genesis_hash}")
    if (seen := _seen(evidence.reports)) is not None:
        return _judge_seen(seen)
    if evidence.finalized is None:
        return _uncertain("the node told no finalized height")
    height = evidence.finalized.block_height
    past = height - watched.last_valid_block_height
    if past <= 0:
        return Judgement(
            Verdict.LIVE,
            f"finalized height {height} is not past {watched.last_valid_block_height}: may land",
        )
    return _judge_past(watched, evidence, evidence.finalized.slot, past)


def judge_status(status: SignatureStatus | None, commitment_wanted: Commitment) -> Sighting:
    """What the journal may note after one entry of ``getSignatureStatuses``.

    A landing with an error counts only once it is finalized: until then another fork may hold the
    same transaction without error.

    Args:
        status: The entry; ``None`` proves nothing.
        commitment_wanted: ``SOLANA_COMMITMENT``: where a result succeeds.
    """
    if status is None:
        return Sighting(None, None, "the node does not know it")
    if status.err is not None:
        if status.commitment is Commitment.FINALIZED:
            why = f"landed with an error in finalized slot {status.slot}"
            return Sighting(TransactionStatus.FAILED, ResultStatus.FAILED, why)
        return Sighting(None, None, f"landed with an error in slot {status.slot}, not finalized")
    if status.commitment is Commitment.FINALIZED:
        why = f"finalized in slot {status.slot}"
        return Sighting(TransactionStatus.FINALIZED, ResultStatus.FINALIZED, why)
    if status.commitment is Commitment.CONFIRMED:
        succeeded = commitment_wanted is not Commitment.FINALIZED
        result = ResultStatus.CONFIRMED if succeeded else None
        return Sighting(TransactionStatus.CONFIRMED, result, f"confirmed in slot {status.slot}")
    return Sighting(None, None, f"processed in slot {status.slot}, which can vanish")


def is_past_life(confirmed_height: int, last_valid_block_height: int) -> bool:
    """Whether resending is pointless: it may still land at the last valid height + 1 itself."""
    return confirmed_height > last_valid_block_height + 1


def is_fresh(blockhash: Blockhash, *, height_at_issue: int, height_now: int) -> bool:
    """Whether a blockhash has used up no more than a third of its life, so that one may sign.

    Args:
        blockhash: As a node issued it.
        height_at_issue: Block height when it was issued.
        height_now: Block height now, at the same commitment.
    """
    life = blockhash.last_valid_block_height - height_at_issue
    return 3 * (height_now - height_at_issue) <= life


def needs_second_witness(watched: Watched, evidence: DeathEvidence) -> bool:
    """Whether the status cache of a bank that answered may have forgotten the transaction.

    Either A itself is too late, or the answers came so long after it: a slot holds a block at most,
    so that the slots since A bound how many blocks the cache has moved on.
    """
    if evidence.finalized is None:
        return False
    past = evidence.finalized.block_height - watched.last_valid_block_height
    newest = max((report.context_slot for report in evidence.reports), default=0)
    return past > CONSENSUS_REACH or past + newest - evidence.finalized.slot > CACHE_REACH


def _judge_past(
    watched: Watched, evidence: DeathEvidence, finalized_slot: int, past: int
) -> Judgement:
    """Step 3: enough null answers from banks that have rooted the finalized slot."""
    rooted = [report for report in evidence.reports if _is_null(report, finalized_slot)]
    if len(rooted) < NEEDED_REPORTS:
        return _uncertain(
            f"{len(rooted)} of {NEEDED_REPORTS} null answers are from banks "
            f"{ROOTED_MARGIN} slots past {finalized_slot}"
        )
    if needs_second_witness(watched, evidence):
        return _judge_late(watched, evidence, past)
    return Judgement(Verdict.DEAD, f"{past} blocks past its life, {len(rooted)} null answers")


def _judge_late(watched: Watched, evidence: DeathEvidence, past: int) -> Judgement:
    """Step 4: the status cache has forgotten; null may also be a pruned or broken archive."""
    first = evidence.first_available_block
    if first is None or first > watched.blockhash_slot:
        return _uncertain(
            f"{past} blocks past its life, and the node's ledger starts at {first}, "
            f"not before slot {watched.blockhash_slot}"
        )
    if evidence.second_witness is None:
        return _uncertain(f"{past} blocks past its life without a second witness")
    if not evidence.second_witness:
        return _uncertain("the authority's history lists it although its status is null")
    return Judgement(
        Verdict.DEAD, f"{past} blocks past its life, null and absent from the authority's history"
    )


def _judge_seen(status: SignatureStatus) -> Judgement:
    """A status that is not null wins over any number of nulls."""
    outcome = "without error" if status.err is None else "with an error"
    why = f"{status.commitment} in slot {status.slot} {outcome}"
    if status.commitment is Commitment.PROCESSED:
        return Judgement(Verdict.LIVE, f"{why}, which can vanish")
    return Judgement(Verdict.LANDED, why)


def _seen(reports: tuple[StatusReport, ...]) -> SignatureStatus | None:
    """The surest status that any report tells."""
    order = list(Commitment)
    seen = [status for report in reports for status in report.statuses if status is not None]
    return max(seen, key=lambda status: order.index(status.commitment), default=None)


def _is_null(report: StatusReport, slot: int) -> bool:
    """Whether a report is a whole null answer from a bank that has rooted ``slot``."""
    return report.statuses == (None,) and report.context_slot >= slot + ROOTED_MARGIN


def _uncertain(why: str) -> Judgement:
    return Judgement(Verdict.UNCERTAIN, why)
