"""Journal and chain under faults, as a hypothesis state machine drives them (test_state_machine).

The chain's clock stands still and moves only where a rule, a driver's pause or a proof's waiting
moves it; seconds are counted from slots. So a run depends on the rules drawn and on nothing else.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from unittest.mock import patch

from django.db.models import Sum
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from solders.signature import Signature

from gridtoken.embedded.faults import FaultPlan
from minting.cluster.evidence import collect_death_evidence
from minting.cluster.nodes import Cluster
from minting.engine import states
from minting.engine.errors import BlockchainError
from minting.engine.states import (
    LIVE_RESULTS,
    LIVE_TRANSACTIONS,
    OPEN_RESULTS,
    SUCCEEDED_RESULTS,
    BatchStatus,
    ResultStatus,
    SliceStatus,
    TransactionStatus,
)
from minting.models import BatchSource, MintBatch, MintResult, MintSlice, MintTransaction
from minting.service.chain.session import open_session
from minting.service.drive import share, submit, tracking
from minting.service.drive.recover import recover, slices_wait
from minting.service.requests.cancel import cancel_batch
from minting.service.requests.prepare import request_batch
from readings.models import MeterReading
from tests.factories.readings import MeterReadingFactory

SECONDS_A_SLOT = 0.4

PHASES = (
    "minting.service.drive.submit.plan_payments",
    "minting.service.drive.wave.sign_all",
    "minting.service.drive.journal_file.append",
    "minting.journal.record_signed",
    "minting.service.drive.wave.send",
    "minting.journal.record_sent",
    "minting.journal.record_landed",
    "minting.journal.record_expired",
    "minting.journal.record_vanished",
)
"""Where a worker may be killed: as it calls one of these."""

FAULTS = {
    "none": FaultPlan(),
    "drop": FaultPlan(drop=0.7),
    "delay": FaultPlan(delay=1.0, delay_slots=12),
    "lost reply": FaultPlan(lost_reply=0.5, methods=("sendTransaction",)),
    "errors": FaultPlan(error=0.5, methods=("getSignatureStatuses",)),
    "lagging": FaultPlan(lag_slots=40),
    "stale": FaultPlan(stale_blockhash=0.5),
    "full blocks": FaultPlan(block_capacity=0),
}

MOVES = {
    "transaction": (MintTransaction, TransactionStatus, states.TRANSACTION_MOVES),
    "result": (MintResult, ResultStatus, states.RESULT_MOVES),
    "slice": (MintSlice, SliceStatus, states.SLICE_MOVES),
    "batch": (MintBatch, BatchStatus, states.BATCH_MOVES),
}


class KilledError(BaseException):
    """SIGKILL: nothing of ours catches it."""


class StintOverError(BaseException):
    """The queue ends the task; it may still give its slices back."""


class Clock:
    """Stands for ``time`` where the service waits: slots pass instead of seconds."""

    def __init__(self, net) -> None:
        self.net = net
        self.budget: int | None = None

    def monotonic(self) -> float:
        return float(self.net.slot * SECONDS_A_SLOT)

    def sleep(self, _seconds: float) -> None:
        if self.budget is not None:
            self.budget -= 1
            if self.budget < 0:
                raise StintOverError
        self.net.advance(2)

    async def pass_slots(self, _seconds: float) -> None:
        self.net.advance(8)


def reachable(moves) -> set[tuple[object, object]]:
    """Moves, and what several of them in a row come to."""
    pairs = set(moves)
    while True:
        more = {(a, d) for a, b in pairs for c, d in pairs if b is c} - pairs
        if not more:
            return pairs
        pairs |= more


ALLOWED = {name: reachable(moves) for name, (_, _, moves) in MOVES.items()}


class ExactlyOnce(RuleBasedStateMachine):
    """Readings are queued, workers come and die, the chain misbehaves: I1 to I9 hold throughout."""

    def __init__(self, chain) -> None:
        super().__init__()
        self.chain = chain
        self.net = chain.net
        self.clock = Clock(self.net)
        self.before: dict[str, dict[object, str]] = {name: {} for name in MOVES}
        self.sent: set[bytes] = set()
        self.patches = ExitStack()
        for module in (share, submit, tracking):
            self.patches.enter_context(patch.object(module, "time", self.clock))
        self.patches.enter_context(
            patch(
                "minting.cluster.nodes.collect_death_evidence",
                partial(collect_death_evidence, pause=0.0, sleep=self.clock.pass_slots),
            )
        )
        self.patches.enter_context(patch.object(Cluster, "send", self._spied(Cluster.send)))

    # What happens

    @initialize()
    def begin(self) -> None:
        self.net.advance(40)  # the mint is final: no fork takes it
        self.queue(2)

    @rule(count=st.integers(1, 3))
    def queue(self, count: int) -> None:
        owner = MeterReadingFactory().owner
        readings = [MeterReadingFactory(owner=owner) for _ in range(count)]
        with self.well():
            request_batch([each.id for each in readings], source=BatchSource.CLI, strict=True)

    @rule(pauses=st.integers(0, 12))
    def work(self, pauses: int) -> None:
        """A worker drives what waits, until it is done or the queue ends its task."""
        self.clock.budget = pauses
        try:
            self._drive()
        except StintOverError:
            pass
        finally:
            self.clock.budget = None

    @rule(where=st.sampled_from(PHASES), pauses=st.integers(0, 12))
    def work_and_be_killed(self, where: str, pauses: int) -> None:
        def killed(*_args, **_options):
            raise KilledError

        with patch(where, killed), patch("minting.journal.hand_back", lambda _claims, **_: 0):
            self.clock.budget = pauses
            try:
                self._drive()
            except (KilledError, StintOverError):
                pass
            finally:
                self.clock.budget = None

    @rule()
    def leases_run_out(self) -> None:
        MintSlice.objects.filter(status=SliceStatus.RUNNING).update(lease_until="2020-01-01T00:00Z")

    @rule()
    def recover(self) -> None:
        with open_session() as session:
            try:
                recover(session)
            except BlockchainError as error:
                if self.net.faults == FaultPlan():
                    raise AssertionError("a healthy node was refused") from error

    @rule(slots=st.sampled_from([1, 3, 10, 40, 160, 400]))
    def slots_pass(self, slots: int) -> None:
        self.net.advance(slots)

    @rule(depth=st.integers(1, 31))
    def fork(self, depth: int) -> None:
        self.net.fork(depth)

    @rule(name=st.sampled_from(sorted(FAULTS)), seed=st.integers(0, 9))
    def faults(self, name: str, seed: int) -> None:
        self.net.faults = replace(FAULTS[name], seed=seed)

    @rule()
    def cancel(self) -> None:
        batch = MintBatch.objects.exclude(status__in=states.FINAL_BATCHES).order_by("id").first()
        if batch is not None:
            cancel_batch(batch.id, by="somebody")

    def teardown(self) -> None:
        """Faults stop; in a bounded time every reading has ended, paid once or with its reason."""
        try:
            self.net.faults = FaultPlan()
            for _ in range(12):
                self.leases_run_out()
                if slices_wait():
                    self._drive()
                self.net.advance(40)
                self.recover()
                self.everything_holds()
                if not slices_wait() and not self._open():
                    break
            assert not self._open()
            assert not MintResult.objects.filter(status__in=OPEN_RESULTS).exists()
            assert not MintBatch.objects.exclude(status__in=states.FINAL_BATCHES).exists()
            succeeded = MintResult.objects.filter(success=True)
            total = succeeded.aggregate(sum=Sum("base_units", default=0))["sum"]
            assert self.supply() == total
            assert not succeeded.exclude(status=ResultStatus.FINALIZED).exists()
        finally:
            self.patches.close()

    # What must be true after each step

    @invariant()
    def everything_holds(self) -> None:
        self.i1_one_live_result_a_reading()
        self.i2_nothing_on_the_wire_that_is_not_journalled()
        self.i3_one_live_transaction_a_result()
        self.i4_what_is_expired_never_landed()
        self.i7_the_chain_holds_what_the_journal_paid_and_no_reading_twice()
        self.i9_what_ended_says_why_and_is_counted()
        self.states_moved_along_the_table()

    def i1_one_live_result_a_reading(self) -> None:
        live = MintResult.objects.filter(status__in=LIVE_RESULTS)
        assert live.count() == live.values("reading").distinct().count()

    def i2_nothing_on_the_wire_that_is_not_journalled(self) -> None:
        journalled = {bytes(raw) for raw in MintTransaction.objects.values_list("raw", flat=True)}
        assert self.sent <= journalled

    def i3_one_live_transaction_a_result(self) -> None:
        live = MintTransaction.objects.filter(
            status__in=LIVE_TRANSACTIONS | {TransactionStatus.FINALIZED}
        )
        paid = Counter(id_ for row in live for id_ in row.reading_ids)
        assert set(paid.values()) <= {1}

    def i4_what_is_expired_never_landed(self) -> None:
        for row in MintTransaction.objects.filter(status=TransactionStatus.EXPIRED):
            assert row.evidence["verdict"] == "dead"
            assert self.landed(row) is None

    def i7_the_chain_holds_what_the_journal_paid_and_no_reading_twice(self) -> None:
        landed = [row for row in MintTransaction.objects.all() if self.landed(row) is not None]
        paid = Counter(id_ for row in landed for id_ in row.reading_ids)
        assert set(paid.values()) <= {1}
        assert self.supply() == sum(int(row.base_units) for row in landed)
        final = MintTransaction.objects.filter(status=TransactionStatus.FINALIZED)
        assert {row.id for row in final} <= {row.id for row in landed}

    def i9_what_ended_says_why_and_is_counted(self) -> None:
        for batch in MintBatch.objects.all():
            count = Counter(ResultStatus(each.status) for each in batch.results.all())
            assert batch.successful_mints == sum(count[status] for status in SUCCEEDED_RESULTS)
            assert batch.pending_mints == sum(count[status] for status in OPEN_RESULTS)
            if batch.is_final:
                assert batch.status == states.batch_status(count)
        for result in MintResult.objects.filter(success=False):
            assert result.error_code
            assert result.error
        for reading in MeterReading.objects.filter(last_result_id__isnull=False):
            last = MintResult.objects.filter(reading=reading).order_by("-id").first()
            assert reading.last_result_id == last.id
            assert reading.status == states.reading_status(ResultStatus(last.status), True)

    def states_moved_along_the_table(self) -> None:
        for name, (model, kind, _) in MOVES.items():
            now = dict(model._default_manager.values_list("id", "status"))
            for id_, old in self.before[name].items():
                if now[id_] != old:
                    assert (kind(old), kind(now[id_])) in ALLOWED[name], (name, old, now[id_])
            self.before[name] = now

    # What it looks at

    def supply(self) -> int:
        """Base units at the newest block."""
        mint = self.net.ledger.bank().account(self.chain.mint)
        return int.from_bytes(mint.data[36:44], "little")

    def landed(self, row: MintTransaction) -> int | None:
        """The slot of its landing without error, however long ago, on the chain as it is."""
        status = self.net.ledger.store.status(Signature.from_string(row.signature))
        return status.slot if status is not None and status.err is None else None

    @contextmanager
    def well(self):
        """No faults meanwhile: whoever asks for a batch needs answers."""
        faults, self.net.faults = self.net.faults, FaultPlan()
        try:
            yield
        finally:
            self.net.faults = faults

    def _drive(self) -> None:
        with open_session() as session:
            submit.drive_waiting(session, worker="machine")

    def _open(self) -> bool:
        return MintTransaction.objects.filter(status__in=LIVE_TRANSACTIONS).exists()

    def _spied(self, send):
        async def spy(cluster, raw):
            self.sent.add(bytes(raw))
            return await send(cluster, raw)

        return spy


LONG = os.environ.get("MODEL_EXAMPLES")
"""How many examples a long run takes (``make model-long``)."""
