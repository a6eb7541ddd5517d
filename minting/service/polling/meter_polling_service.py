"""The seed's meter polling service: what is pending becomes batches, by itself.

A poll is a staff selection that nobody makes: the same eligibility, the same plan, the same way
into the journal. It signs nothing; workers drive its batches like all others. What it holds is one
lock of PostgreSQL's, so it may die anywhere: a batch is there whole, or its readings are pending.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from uuid import UUID

import structlog

from minting import conf, journal
from minting.engine.errors import (
    BlockchainError,
    EmptyBatch,
    InvalidBatchData,
    InvalidItem,
    NodeUnreachable,
)
from minting.engine.polling import PollingPolicy
from minting.engine.states import ResultStatus
from minting.models import BatchSource, MintBatch, MintResult, Polling
from minting.service.chain.preflight import inspect_patiently, recorded_mint
from minting.service.chain.session import open_session
from minting.service.plan.payments import refusal_of, walk_payments
from minting.service.polling import book
from minting.service.polling.book import Made
from minting.service.polling.hindrances import Cause, hindrance
from minting.service.polling.solitude import alone, still_alone
from minting.service.requests.prepare import MATCHING, request_batch
from readings import due
from readings.rules import ReadingCode

log = structlog.get_logger(__name__)

READINGS_A_BATCH = 10_000
"""At most; a wallet's readings stay together."""

PASS = 45.0
"""Seconds after which a poll begins no further batch; a worker is called at once to go on."""

TAKEN = frozenset(
    {
        ReadingCode.ALREADY_MINTED,
        ReadingCode.BEING_MINTED,
        ReadingCode.SUPERSEDED,
        ReadingCode.STATUS_NOT_ALLOWED,
    }
)
"""Why a reading that was due a moment ago is none of the poller's business any more."""


OFF, ANOTHER, MORE = "off", "another_poll", "more"


class LastBatchFailed(BlockchainError):
    """Nothing of the last poll's batch was minted, and no wallet is to blame."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class PollingInterrupted(Exception):
    """The poller was paused, or is not alone any more: the batch is not made."""


@dataclass(frozen=True, slots=True)
class PollReport:
    """What one poll did."""

    batches: int = 0
    readings: int = 0
    halted: str = ""
    """What kept it from minting all that is due; ``more``: its time, and it was called again."""


class MeterPollingService:
    """Mints what is pending; any number of these may try at once, one works."""

    def __init__(self, policy: PollingPolicy | None = None) -> None:
        self.policy = policy or conf.polling_policy()

    def poll(self) -> PollReport:
        """Makes batches of all that is due, unless something keeps it from that."""
        if not self.policy.enabled:
            return PollReport(halted=OFF)
        with alone() as is_alone:
            if not is_alone:
                return PollReport(halted=ANOTHER)
            hindered = hindrance()
            if hindered is not None:
                return PollReport(halted=hindered.cause)
            return self._poll()

    def process_batch(self, readings: Sequence[UUID]) -> MintBatch:
        """Queues a batch of pending readings; what cannot be minted is left out and listed.

        Raises:
            EmptyBatch: None of them can be minted (any more).
            PollingInterrupted: The poller was paused meanwhile, or another polls.
            BlockchainError: As ``request_batch``.
        """
        return request_batch(
            readings,
            source=BatchSource.POLL,
            strict=False,
            allowed=MATCHING,
            written=_require_undisturbed,
        )

    def _poll(self) -> PollReport:
        made, row = Made(), book.begin()
        try:
            on_trial = _judge(row)
            halted = self._make_batches(made, most=1 if on_trial else None)
        except BlockchainError as error:
            book.give_up(made, error, self.policy)
            return PollReport(made.batches, made.readings, error.code)
        book.end(made)
        if halted == MORE:
            book.call_at_once()
        return PollReport(made.batches, made.readings, halted)

    def _make_batches(self, made: Made, *, most: int | None) -> str:
        """Returns what kept it from going on, if anything did."""
        threshold = self.policy.threshold_kwh
        unpayable = _unpayable()
        made.left_out.update({code: due.pending_of(own) for code, own in unpayable.items()})
        but_for = list(chain.from_iterable(unpayable.values()))
        made.below_threshold = due.below(threshold, but_for=but_for)
        give_up_at = time.monotonic() + PASS
        portions = due.portions(threshold=threshold, most=READINGS_A_BATCH, but_for=but_for)
        for number, portion in enumerate(portions):
            if not number:
                _require_answer()
            elif made.batches == most:
                return Cause.TRIAL
            elif hindered := hindrance():
                return hindered.cause
            elif time.monotonic() > give_up_at:
                return MORE if made.batches else ""
            try:
                batch = self.process_batch(portion)
            except EmptyBatch:
                made.left_out.update(_why_not(portion))
            except InvalidBatchData as lost:
                # Somebody else's batch took one of them in the same moment; the others are pending.
                log.info("poll_met_another_batch", reason=str(lost))
            except PollingInterrupted as interrupted:
                return str(interrupted)
            else:
                made.add(batch, _standing([each["code"] for each in batch.excluded]))
        return ""


def _judge(row: Polling) -> bool:
    """Whether the poller failed of late and has to show that it can.

    Raises:
        LastBatchFailed: Its last batch came to nothing, and that is not counted yet.
    """
    batch = row.last_batch
    if batch is None or not batch.is_final:
        return bool(row.failures)
    failure = (
        MintResult.objects.filter(batch=batch, status=ResultStatus.FAILED, permanent=False)
        .order_by("id")
        .first()
    )
    if batch.successful_mints == 0 and failure is not None:
        raise LastBatchFailed(failure.error_code, failure.error)
    book.forgive()
    return False


def _unpayable() -> dict[str, list[UUID]]:
    """By code, owners whose wallets are refused as they stand: no poll asks for their readings.

    What stays pending for them must not be walked again each minute, in front of everybody else's.
    """
    config = conf.current()
    found: dict[str, list[UUID]] = defaultdict(list)
    for payee in due.payees():
        refused = refusal_of(
            payee.address, allow_off_curve=payee.allow_off_curve, mint=config.need_mint()
        )
        if refused is not None:
            found[refused.code].append(payee.owner_id)
    return found


def _require_answer() -> None:
    """Asks the chain before the first batch of a poll.

    Raises:
        NodeUnreachable: No node answers. A batch could be queued all the same, and a person may;
            what nobody waits for stays pending, where anybody may still take it.
        MintingRefused: Wrong cluster, mint, authority or decimals.
    """
    with open_session() as session:
        if inspect_patiently(session) is None:
            raise NodeUnreachable("No node answers")


def _require_undisturbed(_batch: MintBatch) -> None:
    """In the transaction that writes a batch, at its end."""
    if not still_alone():
        raise PollingInterrupted(ANOTHER)
    if journal.hold_unpaused() is not None:
        raise PollingInterrupted(Cause.PAUSED)


def _why_not(ids: Sequence[UUID]) -> Counter[str]:
    """Why none of these became a batch, by code; what is not pending any more does not count."""
    config = conf.current()
    walk = walk_payments(ids, allowed=MATCHING, mint=recorded_mint(config), config=config)
    return _standing(each.code for each in walk if isinstance(each, InvalidItem))


def _standing(codes: Iterable[str]) -> Counter[str]:
    return Counter(code for code in codes if code not in TAKEN)
