"""Driving slices: plan → simulate → sign → journal → send → settle, wave by wave.

One thread alternates database phases and network phases. It may die between any two: what is
signed is in the journal before the wire, and whoever claims the slice next begins with that.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from uuid import UUID

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction
from solders.pubkey import Pubkey

from minting import journal
from minting.engine.errors import (
    BlockchainError,
    DailyLimitPassed,
    GateClosed,
    MintingStopped,
    SolanaError,
)
from minting.engine.types import MintBatchData, PlannedTransaction, Signer
from minting.journal import Claim, LostClaimError, Refusal, Signing
from minting.models import MintBatch, MintInfo, MintResult, MintSlice, MintTransaction
from minting.service import gate, nudges, wave
from minting.service.planning import RefusedGroup, plan_payments
from minting.service.preflight import inspect_mint
from minting.service.recover import live_flights, prove_dead, slices_wait
from minting.service.session import Session
from minting.service.terms import Terms, learn_terms
from minting.service.tracking import Flight, tick
from readings import queries

log = structlog.get_logger(__name__)

IN_FLIGHT = 256
"""Transactions that fly together: what one ``getSignatureStatuses`` answers."""

TERMS_KEPT = 30.0
"""Seconds for which mint, prices and version are not asked again."""

STEP = 0.2
"""Seconds between two looks at what is in flight."""

RENEW_EVERY = 15.0
"""Seconds between two renewals of the leases; a quarter of a lease."""

STINT = 240.0
"""Seconds after which a task signs nothing new and calls another; below the queue's timeout."""

OVERTIME = 120.0
"""Seconds for which a task still follows what it has signed; then recovery does."""

PATIENCE = 60.0
"""Seconds without an answer of any node after which a task gives its slices back."""

MAX_STUMBLES = 3
"""Failed simulations of a wallet without a proven fault, after which its readings fail for now."""

MAX_STARTS = 5
"""Claims of a slice without progress, after which its unsigned readings fail with the reason."""


@dataclass(frozen=True, slots=True)
class DriveReport:
    """What one task did."""

    slices: int = 0
    signed: int = 0
    landed: int = 0
    handed_back: int = 0


def drive_waiting(
    session: Session,
    *,
    worker: str,
    batch_id: UUID | None = None,
    signer: Signer | None = None,
) -> DriveReport:
    """Claims slices that nobody drives and drives them until they are done or the stint is over.

    Args:
        session: The way to the chain.
        worker: Who claims, for people to read.
        batch_id: Only this batch's slices.
        signer: The mint authority, if the caller holds it; else the configured key is opened.
    """
    if journal.current_stop() is not None:
        # What is signed is recovery's; what is not waits until a person resumes.
        return DriveReport()
    with transaction.atomic():
        claims = journal.claim_slices(
            worker=worker, limit=session.config.concurrent_batches, batch_id=batch_id
        )
    if not claims:
        return DriveReport()
    if len(claims) < session.config.concurrent_batches and slices_wait():
        # What workers died of travels alone: the others are for somebody else.
        nudges.nudge()
    driver = Driver(session, claims, signer)
    try:
        return driver.run()
    except SystemExit:
        # The queue's timeout or a stop, perhaps in the middle of a query: that one is not ours any
        # more, and its connection takes no other.
        connection.close()
        raise
    finally:
        # However it ends, whoever comes next need not wait for the lease.
        with transaction.atomic():
            unsigned = MintResult.objects.unsigned(list(driver.claims)).exists()
            # While nothing may be signed the sweep is often enough.
            stopped = driver.stopped or journal.current_stop() is not None
            if journal.hand_back(driver.claims.values()) and unsigned and not stopped:
                nudges.nudge()


@dataclass(slots=True)
class Driver:
    """One task's work on the slices that it has claimed."""

    session: Session
    claimed: Sequence[Claim]
    signer: Signer | None = None
    claims: dict[UUID, Claim] = field(init=False)
    """Those that are still ours, by slice."""
    flights: list[Flight] = field(default_factory=list)
    ready: deque[tuple[Claim, PlannedTransaction]] = field(default_factory=deque)
    signed: int = 0
    landed: int = 0
    renew_at: float = 0.0
    silent_since: float | None = None
    terms: tuple[MintInfo, Terms] | None = None
    terms_until: float = 0.0
    stopped: bool = False
    """Whether minting was stopped, or the gate is closed: what flies is followed, and the slices
    are given back."""
    stumbles: Counter[Pubkey] = field(default_factory=Counter)
    """Failed simulations by wallet that nobody is proven to be at fault for."""

    def __post_init__(self) -> None:
        self.claims = {claim.slice_id: claim for claim in self.claimed}

    def run(self) -> DriveReport:
        """Drives until nothing is open, the stint is over, or the nodes stay silent."""
        # What another worker signed and did not see land comes first.
        self.flights = live_flights(list(self.claims))
        end = time.monotonic() + STINT
        while self.claims:
            try:
                self._step(signing=not self.stopped and time.monotonic() < end)
            except SolanaError as error:
                if not self._bear(error):
                    break
            else:
                self.silent_since = None
            now = time.monotonic()
            over = self.stopped or now >= end or not self._has_work()
            if now >= end + OVERTIME or (not self.flights and over):
                break
            time.sleep(STEP)
        return DriveReport(
            slices=len(self.claimed),
            signed=self.signed,
            landed=self.landed,
            handed_back=len(self.claims),
        )

    def _step(self, *, signing: bool) -> None:
        """One round: keep the claims, settle what flies, sign more if there is room."""
        self._renew()
        self._settle()
        room = IN_FLIGHT - len(self.flights)
        # Half a wave at least: what a wave shares is asked once for many.
        if signing and not self.stopped and room >= IN_FLIGHT // 2 and self._has_work():
            self._sign(room)

    def _renew(self) -> None:
        if time.monotonic() < self.renew_at:
            return
        with transaction.atomic():
            self._cancel_asked()
            held = journal.renew_claims(self.claims.values())
        self._keep(held)
        self.renew_at = time.monotonic() + RENEW_EVERY

    def _cancel_asked(self) -> None:
        """What came free after a cancellation was asked for is cancelled too."""
        for batch in MintBatch.objects.filter(
            id__in={claim.batch_id for claim in self.claims.values()},
            cancel_requested_at__isnull=False,
        ):
            journal.cancel_unsigned(batch.id, by="request")

    def _keep(self, held: set[UUID]) -> None:
        """Forgets slices that are not ours any more: done, or taken over."""
        for slice_id in set(self.claims) - held:
            del self.claims[slice_id]
        self.flights = [flight for flight in self.flights if flight.slice_id in held]
        self.ready = deque(item for item in self.ready if item[0].slice_id in held)

    def _settle(self) -> None:
        before = len(self.flights)
        self.flights = tick(self.session, self.flights)
        self.landed += before - len(self.flights)
        past = [flight for flight in self.flights if flight.past_life]
        if past and len(past) == len(self.flights):
            # Nothing else to do but to prove, which takes a while; keep the slices meanwhile.
            with transaction.atomic():
                self._keep(journal.renew_claims(self.claims.values()))
            if prove_dead(self.session, self.flights):
                # What was outbid may be dead of it: the next bid is of now.
                self.terms = None
            self.flights = [flight for flight in self.flights if flight.is_open]

    def _has_work(self) -> bool:
        return bool(self.ready) or bool(MintResult.objects.unsigned(list(self.claims)).exists())

    def _sign(self, room: int) -> None:
        """Plans if nothing is planned, then signs, journals and sends one wave."""
        try:
            journal.refuse_while_stopped()
            mint, terms = self._learn()
            gate.require_open(self.session, mint)
            if not self.ready:
                self._plan(terms)
            items = [self.ready.popleft() for _ in range(min(room, len(self.ready)))]
            self.signer = self.signer or self.session.open_signer()
            self._fly(items, mint, terms, self.signer)
        except SolanaError:
            self.ready.clear()
            raise
        except LostClaimError as lost:
            log.warning("claim_lost", reason=str(lost))
            self.ready.clear()
            self.renew_at = 0.0
        except (MintingStopped, GateClosed) as stopped:
            self._stop(stopped)
        except BlockchainError as error:
            # Payer, authority or mint: nobody's wallet is to blame, and nothing more is signed.
            self._give_up(error.code, str(error), permanent=error.permanent)

    def _stop(self, stopped: MintingStopped | GateClosed) -> None:
        """Signs nothing more, and fails nothing: what is unsigned waits in its slice."""
        log.warning("signing_paused", code=stopped.code, reason=str(stopped))
        if isinstance(stopped, DailyLimitPassed):
            with transaction.atomic():
                journal.stop_minting(reason=stopped.reason, by=journal.DAILY_LIMIT)
        self.ready.clear()
        self.stopped = True

    def _learn(self) -> tuple[MintInfo, Terms]:
        """What all transactions have in common, asked again every half minute."""
        if self.terms is None or self.terms_until < time.monotonic():
            mint, facts = inspect_mint(self.session)
            terms = self.session.run(learn_terms(self.session.cluster, self.session.config, facts))
            self.terms = mint, terms
            self.terms_until = time.monotonic() + TERMS_KEPT
        return self.terms

    def _plan(self, terms: Terms) -> None:
        """Plans what is unsigned of every slice; wallets that cannot be paid end here."""
        refused: list[Refusal] = []
        for claim in self.claims.values():
            rows = MintResult.objects.unsigned([claim.slice_id])
            parts = [
                [_payment(row) for row in together]
                for _, together in groupby(rows, key=lambda row: row.planned)
            ]
            if not parts:
                continue
            plan = self.session.run(
                plan_payments(
                    self.session.cluster,
                    terms,
                    parts,
                    batch_id=claim.batch_id,
                    max_tokens=self.session.config.max_tokens_per_transaction,
                    program_owned=queries.program_owned_wallets(
                        {row.wallet_address for row in rows}
                    ),
                    alone={row.wallet_address for row in rows if row.alone},
                )
            )
            ids = {row.reading_id: row.id for row in rows}
            refused += [_refusal(group, ids) for group in plan.refused]
            self.ready.extend((claim, planned) for planned in plan.transactions)
        self._refuse(refused)

    def _fly(
        self,
        items: Sequence[tuple[Claim, PlannedTransaction]],
        mint: MintInfo,
        terms: Terms,
        signer: Signer,
    ) -> None:
        """Simulates, signs, journals, sends."""
        prepared = self.session.run(
            wave.prepare(self.session, terms, signer, [planned for _, planned in items])
        )
        self._refuse_groups(prepared.refused)
        if not prepared.signed:
            return
        # Plans may have been taken apart, so any reading of one tells which slice it is of.
        claim_of = {
            payment.reading_id: claim for claim, planned in items for payment in planned.payments
        }
        signings = [
            Signing(claim_of[each.plan.payments[0].reading_id], each) for each in prepared.signed
        ]
        wave.write_journal_file(self.session, mint, prepared.signed)
        try:
            with transaction.atomic():
                rows = journal.record_signed(
                    signings,
                    mint=mint,
                    fee_payer=str(terms.authority),
                    balance=prepared.balance,
                    max_kwh_per_day=self.session.config.max_kwh_per_day,
                )
        except (OperationalError, InterfaceError):
            rows = _read_back(signings)
            if not rows:
                raise
        self.signed += len(rows)
        fresh = [Flight.of(row) for row in rows]
        self.flights += fresh
        wave.send(self.session, fresh)

    def _refuse_groups(self, refused: Sequence[tuple[PlannedTransaction, RefusedGroup]]) -> None:
        """Ends groups whose own fault is proven; others are planned anew, a few times at most."""
        refusals = []
        for planned, group in refused:
            self.stumbles[group.group.wallet] += 1
            if not group.permanent and self.stumbles[group.group.wallet] < MAX_STUMBLES:
                continue
            readings = [payment.reading_id for payment in group.group.payments]
            ids = MintResult.objects.filter(
                batch_id=planned.batch_id, reading_id__in=readings
            ).values_list("reading_id", "id")
            refusals.append(_refusal(group, dict(ids)))
        self._refuse(refusals)

    def _refuse(self, refusals: Sequence[Refusal]) -> None:
        if refusals:
            with transaction.atomic():
                journal.refuse_results(refusals, retry=self.session.config.retry)

    def _bear(self, error: SolanaError) -> bool:
        """Whether to go on after a failure of the nodes; gives up when it lasts."""
        now = time.monotonic()
        self.silent_since = self.silent_since or now
        log.warning("node_failed", code=error.code, reason=str(error))
        if now - self.silent_since < PATIENCE:
            return True
        worn_out = MintSlice.objects.filter(id__in=self.claims, starts__gte=MAX_STARTS)
        self._give_up(error.code, str(error), [slice_.id for slice_ in worn_out])
        return False

    def _give_up(
        self,
        code: str,
        reason: str,
        slice_ids: Sequence[UUID] | None = None,
        *,
        permanent: bool = False,
    ) -> None:
        """Ends what is unsigned with the reason; unless that stays, it is tried again later."""
        slices = list(self.claims) if slice_ids is None else list(slice_ids)
        ids = tuple(MintResult.objects.unsigned(slices).values_list("id", flat=True))
        log.error("signing_stopped", code=code, reason=reason, readings=len(ids))
        self.ready.clear()
        self._refuse([Refusal(ids, code, reason, permanent)])


def _read_back(signings: Sequence[Signing]) -> list[MintTransaction]:
    """What is journalled of a wave whose commit was not answered: all of it, or nothing (I2).

    Nothing proves nothing: the server may commit even now. Whoever signs for these readings next
    waits at the rows that commit holds, and then finds them moved (I3).
    """
    signatures = [str(signing.signed.signature) for signing in signings]
    rows = list(MintTransaction.objects.filter(signature__in=signatures).order_by("id"))
    log.warning("commit_unanswered", signed=len(signatures), journalled=len(rows))
    return rows


def _payment(row: MintResult) -> MintBatchData:
    return MintBatchData(
        reading_id=row.reading_id,
        user_id=row.user_id,
        wallet_address=row.wallet_address,
        kwh_amount=row.kwh_amount,
        tokens_to_mint=int(row.base_units),
    )


def _refusal(group: RefusedGroup, result_ids: dict[UUID, UUID]) -> Refusal:
    return Refusal(
        tuple(result_ids[payment.reading_id] for payment in group.group.payments),
        group.code,
        group.reason,
        group.permanent,
    )
