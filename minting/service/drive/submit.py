"""Driving slices: plan → simulate → sign → journal → send → settle, wave by wave.

One thread alternates database phases and network phases. It may die between any two: what is
signed is in the journal before the wire, and whoever claims the slice next begins with that.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction
from solders.pubkey import Pubkey

from minting import journal
from minting.engine.errors import (
    ApprovalVoid,
    BlockchainError,
    DailyLimitPassed,
    FormatRefused,
    GateClosed,
    JournalUnwritable,
    MintingRefused,
    MintingStopped,
    PricesChanged,
    SignerUnavailable,
    SolanaError,
)
from minting.engine.types import PlannedTransaction, Signer
from minting.journal import Claim, LostClaimError, Refusal
from minting.models import MintResult
from minting.service import nudges
from minting.service.chain.preflight import Standing, inspect_mint
from minting.service.chain.session import Session
from minting.service.chain.terms import Terms, forget_terms, renew_terms, tell_pace, terms_of
from minting.service.drive import journal_disk, wave
from minting.service.drive.mute import Mute
from minting.service.drive.recover import live_flights, prove_dead
from minting.service.drive.refusing import (
    as_refusal,
    cancel_asked,
    give_up,
    refuse,
    refuse_left_out,
    worn_out,
)
from minting.service.drive.share import Share
from minting.service.drive.tracking import Flight, tick
from minting.service.history import gate
from minting.service.plan.parts import is_plan_believed, parts_of
from minting.service.plan.planning import plan_payments
from readings import queries

log = structlog.get_logger(__name__)

IN_FLIGHT = 256
"""Transactions that fly together: what one ``getSignatureStatuses`` answers."""

WAVE = 64
"""Transactions that are simulated, signed and sent together while the others fly. Large enough
that what a wave shares (two calls) is little beside them, small enough that the first are on their
way while the next are being prepared."""

STEP = 0.2
"""Seconds to pause after a failure, or where nothing flies, before it is tried again."""

RENEW_EVERY = 15.0
"""Seconds between two renewals of the leases; a quarter of a lease."""

STINT = 240.0
"""Seconds after which a task signs nothing new and calls another; below the queue's timeout."""

OVERTIME = 120.0
"""Seconds for which a task still follows what it has signed; then recovery does."""

PATIENCE = 60.0
"""Seconds without an answer of any node after which a task gives its slices back."""


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
    share = Share(worker=worker, limit=session.config.concurrent_batches, batch_id=batch_id)
    claims = share.take(())
    if not claims:
        return DriveReport()
    driver = Driver(session, share, claims, signer)
    broken, call = "", True
    try:
        return driver.run()
    except SystemExit:
        # The queue's timeout or a stop, perhaps in the middle of a query: that one is not ours any
        # more, and its connection takes no other.
        connection.close()
        raise
    except BlockchainError:
        raise  # the world's, not the slices'
    except (OperationalError, InterfaceError):
        call = False  # who came now would meet and file the same; the watchdog calls within seconds
        raise
    except Exception as error:
        broken = f"broke off with {type(error).__name__}: {error}"
        raise
    finally:
        # However it ends, whoever comes next need not wait for the lease.
        _hand_back(driver, broken, call=call)


@transaction.atomic
def _hand_back(driver: Driver, broken: str, *, call: bool) -> None:
    """Gives back what is still held, and may call somebody for what is unsigned of it."""
    unsigned = MintResult.objects.unsigned(list(driver.claims)).exists()
    # While nothing may be signed the sweep is often enough.
    stopped = driver.stopped or journal.current_stop() is not None
    if (
        journal.hand_back(driver.claims.values(), broken=broken)
        and unsigned
        and call
        and not stopped
    ):
        nudges.nudge()


@dataclass(slots=True)
class Driver:
    """One task's work on the slices that it has claimed."""

    session: Session
    share: Share
    claimed: list[Claim]
    signer: Signer | None = None
    claims: dict[UUID, Claim] = field(init=False)
    """Those that are still ours, by slice."""
    flights: list[Flight] = field(default_factory=list)
    ready: deque[tuple[Claim, PlannedTransaction]] = field(default_factory=deque)
    signed: int = 0
    landed: int = 0
    renew_at: float = 0.0
    look_at: float = 0.0
    """When to look again at what flies; monotonic seconds."""
    silent_since: float | None = None
    mute: Mute = field(default_factory=Mute)
    """Whether whoever holds the key gives signatures."""
    stopped: bool = False
    """Whether minting was stopped, the gate is closed or nobody signs: what flies is followed, and
    the slices are given back."""
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
            moved = False
            try:
                moved = self._step(signing=not self.stopped and time.monotonic() < end)
            except (SolanaError, MintingRefused) as error:
                if not self._bear(error):
                    break
            except (SignerUnavailable, JournalUnwritable) as lack:
                self._go_unsigned(lack)
            else:
                self.silent_since = None
            now = time.monotonic()
            over = self.stopped or now >= end or not self._has_work()
            if now >= end + OVERTIME or (not self.flights and over):
                break
            if not moved:
                self._pause()
        tell_pace(self.session)
        return DriveReport(len(self.claimed), self.signed, self.landed, len(self.claims))

    def _step(self, *, signing: bool) -> bool:
        """Keeps the claims, settles what flies, signs more; whether anything was signed."""
        self._renew()
        if time.monotonic() >= self.look_at:
            self._settle()
        if signing and not self.stopped:
            self._take_more()
        room = IN_FLIGHT - len(self.flights)
        enough = min(WAVE, IN_FLIGHT // 2)
        idle = not signing or self.stopped or self.mute.left > 0
        if idle or room < enough or not self._has_work():
            return False
        before = self.signed
        self._sign(min(room, WAVE))
        return self.signed > before

    def _pause(self) -> None:
        """Until something that flies is due, or what could not be signed is tried again."""
        due = self.look_at - time.monotonic()
        time.sleep(max(0.0, due) if self.flights else max(STEP, self.mute.left))

    def _plan_next_look(self) -> None:
        """Not before something can have landed, and soon where it is due."""
        now = time.monotonic()
        ages = (now - (flight.sent_at or now) for flight in self.flights)
        self.look_at = now + self.session.pace.wait(ages)

    def _take_more(self) -> None:
        """Drives more slices, as long as nobody else takes them."""
        more = self.share.take(self.claims.values())
        self.claimed += more
        self.claims |= {claim.slice_id: claim for claim in more}
        self.flights += live_flights([claim.slice_id for claim in more])

    def _renew(self) -> None:
        if time.monotonic() < self.renew_at:
            return
        cancel_asked(self.claims.values())
        with transaction.atomic():
            held = journal.renew_claims(self.claims.values())
        self._keep(held)
        self.renew_at = time.monotonic() + RENEW_EVERY

    def _keep(self, held: set[UUID]) -> None:
        """Forgets slices that are not ours any more: done, or taken over."""
        for slice_id in set(self.claims) - held:
            del self.claims[slice_id]
        self.flights = [flight for flight in self.flights if flight.slice_id in held]
        self.ready = deque(item for item in self.ready if item[0].slice_id in held)

    def _settle(self) -> None:
        before = self.flights
        self.flights = tick(self.session, before)
        now = time.monotonic()
        still = {flight.id for flight in self.flights}
        took = [now - each.sent_at for each in before if each.id not in still and each.sent_at]
        if took:
            self.session.pace.landed(min(took))
        self.landed += len(before) - len(still)
        past = [flight for flight in self.flights if flight.past_life]
        if past and len(past) == len(self.flights):
            # Nothing else to do but to prove, which takes a while; keep the slices meanwhile.
            with transaction.atomic():
                self._keep(journal.renew_claims(self.claims.values()))
            if prove_dead(self.session, self.flights):
                # What was outbid may be dead of it: the next bid is of now.
                forget_terms(self.session)
            self.flights = [flight for flight in self.flights if flight.is_open]
        self._plan_next_look()

    def _has_work(self) -> bool:
        return bool(self.ready) or bool(MintResult.objects.unsigned(list(self.claims)).exists())

    def _sign(self, room: int) -> None:
        """Plans if nothing is planned, then signs, journals and sends one wave."""
        try:
            journal.refuse_while_stopped()
            standing = inspect_mint(self.session)
            gate.require_open(
                self.session, standing.info, standing.facts.supply, slot=standing.slot
            )
            terms = terms_of(self.session, standing)
            if self.ready and self.ready[0][1].version is not terms.version:
                self.ready.clear()  # planned for a format that is not taken any more
            if not self.ready:
                self._plan(terms)
            items = [self.ready.popleft() for _ in range(min(room, len(self.ready)))]
            self._fly(items, standing, terms)
        except (FormatRefused, PricesChanged) as old:
            self.ready.clear()
            if not renew_terms(self.session, old):
                raise
        except (SolanaError, SignerUnavailable, JournalUnwritable):
            self.ready.clear()
            raise
        except LostClaimError as lost:
            log.warning("claim_lost", reason=str(lost))
            self.ready.clear()
            self.renew_at = 0.0
        except (MintingStopped, GateClosed) as stopped:
            self._stop(stopped)
        except ApprovalVoid as void:
            self._leave(void)
        except BlockchainError as error:
            # Payer, authority or mint: nobody's wallet is to blame, and nothing more is signed.
            self.ready.clear()
            give_up(
                self.session,
                self.claims,
                code=error.code,
                reason=str(error),
                permanent=error.permanent,
            )

    def _stop(self, stopped: MintingStopped | GateClosed) -> None:
        """Signs nothing more, and fails nothing: what is unsigned waits in its slice."""
        log.warning("signing_paused", code=stopped.code, reason=str(stopped))
        if isinstance(stopped, DailyLimitPassed):
            with transaction.atomic():
                journal.stop_minting(reason=stopped.reason, by=journal.DAILY_LIMIT)
        self.ready.clear()
        self.stopped = True

    def _leave(self, void: ApprovalVoid) -> None:
        """Ends what is unsigned of a batch without approval; the others go on."""
        self.ready.clear()
        theirs = [id_ for id_, claim in self.claims.items() if claim.batch_id == void.batch_id]
        give_up(self.session, theirs, code=void.code, reason=str(void), permanent=void.permanent)

    def _plan(self, terms: Terms) -> None:
        """Plans what is unsigned of the next slices; wallets that cannot be paid end here."""
        cancel_asked(self.claims.values())
        refused: list[Refusal] = []
        for claim in self._until_a_wave_is_planned():
            rows = MintResult.objects.unsigned([claim.slice_id])
            fresh = is_plan_believed(claim.batch_id)
            parts = parts_of(rows, believed=fresh, doubted={*map(str, self.stumbles)})
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
            refused += [as_refusal(group, ids) for group in plan.refused]
            self.ready.extend((claim, planned) for planned in plan.transactions)
        refuse(self.session, refused)

    def _until_a_wave_is_planned(self) -> Iterator[Claim]:
        """Slice by slice: the first fly while the next are planned, and few plans are held."""
        for claim in list(self.claims.values()):
            if len(self.ready) >= WAVE:
                return
            yield claim

    def _fly(
        self,
        items: Sequence[tuple[Claim, PlannedTransaction]],
        standing: Standing,
        terms: Terms,
    ) -> None:
        if not items:
            return
        self.signer = self.signer or self.session.open_signer()
        flown = wave.fly(self.session, items, standing=standing, terms=terms, signer=self.signer)
        self.mute.heard()
        self.signed += len(flown.flights)
        self.flights += flown.flights
        self._plan_next_look()
        refuse_left_out(self.session, flown.refused, self.stumbles)

    def _go_unsigned(self, lack: SignerUnavailable | JournalUnwritable) -> None:
        """Follows what flies and asks again later. Nothing was sent: nothing is in doubt."""
        patient = self.mute.silent()
        if isinstance(lack, JournalUnwritable):
            journal_disk.note(lack)  # of a full disk nothing fails, however long it lasts
        else:
            log.warning("signer_silent", code=lack.code, reason=str(lack))
            if not patient:
                give_up(self.session, worn_out(self.claims), code=lack.code, reason=str(lack))
        self.stopped = not patient

    def _bear(self, error: SolanaError | MintingRefused) -> bool:
        """Whether to go on after a failure of the nodes, or without one of ours; not for long."""
        now = time.monotonic()
        self.silent_since = self.silent_since or now
        self.look_at = now + STEP
        log.warning("node_failed", code=error.code, reason=str(error))
        if now - self.silent_since < PATIENCE:
            return True
        self.ready.clear()
        give_up(self.session, worn_out(self.claims), code=error.code, reason=str(error))
        return False
