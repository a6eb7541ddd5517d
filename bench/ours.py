"""Our way: through the queue and workers of its own processes, or in this process."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from django.test.utils import override_settings
from django_q.models import OrmQ

from bench import gauges
from bench.figures import OURS, Phase, Run
from bench.hall import BenchError, Hall, Task, Watch, wallets_of
from bench.probe import STEPS, tally
from gridtoken.processes import Child
from minting.models import BatchSource, MintBatch
from minting.service.drive.recover import slices_wait
from minting.service.requests.prepare import request_batch
from minting.tasks import look

READY = 60.0
LONGEST = 900.0
"""Seconds for one batch."""
SETTLE = 1.5
"""Seconds for what a cluster does by the clock to be asked for after its start."""
LOOK = "minting.tasks.look"
GLANCE, GLANCE_LONG = 0.02, 0.05
"""Seconds between two looks at a batch: its end is noticed so late."""
MANY = 1_000
"""Readings from which the longer glance is exact enough."""


@dataclass(slots=True)
class Workers:
    """One ``manage.py qcluster``, ready and idle."""

    hall: Hall
    name: str
    number: int
    process: Child
    probe: Path
    start_calls: dict[str, int]
    """What its start asked of the node, by method."""

    @property
    def pids(self) -> list[int]:
        """All of its processes."""
        return self.hall.stage.members(self.name)

    def tasks(self) -> list[dict[str, Any]]:
        """What each task of its workers told when it ended, first to last."""
        if not self.probe.exists():
            return []
        return [json.loads(line) for line in self.probe.read_text().splitlines()]


@contextmanager
def workers(hall: Hall, number: int, **environment: str) -> Iterator[Workers]:
    """Starts so many, waits until they have nothing to do, stops them at the end."""
    stage = hall.stage
    probe = stage.folder / f"probe-{time.monotonic_ns()}.jsonl"
    name = probe.stem
    before = stage.chain.control(requests=True)["requests"]
    more = {"Q_WORKERS": str(number), "BENCH_PROBE": str(probe), **environment}
    process = stage.start_cluster(name, **more)
    try:
        log = stage.logs / f"{name}.log"
        _wait(lambda: len(re.findall(r"ready for work at \d+", _text(log))) >= number, process)
        time.sleep(SETTLE)
        _wait(lambda: not OrmQ.objects.exists(), process)
        after = stage.chain.control(requests=True)["requests"]
        asked = {method: n - before.get(method, 0) for method, n in after.items()}
        yield Workers(hall, name, number, process, probe, {m: n for m, n in asked.items() if n})
    finally:
        process.stop()


def through_queue(crew: Workers, task: Task) -> tuple[Run, list[Phase]]:
    """From the request to the last confirmation, through queue and workers.

    Returns:
        What it took, and where the time went, request and workers together.

    Raises:
        BenchError: not everything was minted.
    """
    hall, ids = crew.hall, [each.reading_id for each in task.measured]
    pids = crew.pids
    gauges.forget_peaks(pids)
    told = len(crew.tasks())
    cpu = gauges.cpu_seconds(pids)
    tally.take()
    with hall.watched(hall.stage.authority) as watch:
        begun, own = time.perf_counter(), time.process_time()
        batch_id = _request(ids)
        own = time.process_time() - own
        queries, phases = tally.take()
        _wait_for(batch_id, len(ids), crew.process)
        seconds = time.perf_counter() - begun
    pids = crew.pids
    peak = gauges.peak_mb(pids)
    after = gauges.cpu_seconds(pids)
    _wait(lambda: not OrmQ.objects.exists(), crew.process)
    looks = [each for each in crew.tasks()[told:] if each["task"].endswith("look")]
    run = _run(
        task,
        batch_id,
        seconds,
        watch,
        queries=queries + sum(each["queries"] for each in looks),
        peak_mb=peak,
        cpu_seconds=None if cpu is None or after is None else after - cpu + own,
        workers=crew.number,
    )
    return run, _added([phases, *([Phase(**each) for each in look["phases"]] for look in looks)])


def in_process(hall: Hall, task: Task) -> tuple[Run, list[Phase]]:
    """The same service calls, here, while no worker runs: nobody else asks the node anything."""
    ids = [each.reading_id for each in task.measured]
    gauges.forget_peaks([os.getpid()])
    tally.take()
    with hall.watched(hall.stage.authority) as watch:
        begun, own = time.perf_counter(), time.process_time()
        batch_id = request_batch(ids, source=BatchSource.CLI, strict=True, nudge=False).id
        while slices_wait():
            look()
        seconds, own = time.perf_counter() - begun, time.process_time() - own
    queries, phases = tally.take()
    run = _run(
        task,
        batch_id,
        seconds,
        watch,
        queries=queries,
        peak_mb=gauges.peak_mb([os.getpid()]),
        cpu_seconds=own,
        workers=None,
    )
    return run, _added([phases])


def latency(crew: Workers, measured: Sequence[UUID]) -> float:
    """Seconds from the request to the last confirmation."""
    begun = time.perf_counter()
    _wait_for(_request(measured), len(measured), crew.process)
    return time.perf_counter() - begun


@contextmanager
def with_settings(**values: object) -> Iterator[dict[str, str]]:
    """Other settings in this process; yields the same as an environment for workers."""
    with override_settings(**values):
        yield {name: str(value) for name, value in values.items()}


def _request(ids: Sequence[UUID]) -> UUID:
    return request_batch(ids, source=BatchSource.CLI, strict=True).id


def _wait_for(batch_id: UUID, readings: int, process: Child) -> None:
    glance = GLANCE_LONG if readings >= MANY else GLANCE
    batches = MintBatch.objects.filter(id=batch_id, finished_at__isnull=False)
    _wait(batches.exists, process, seconds=LONGEST, glance=glance)


def _wait(
    done: Callable[[], bool], process: Child, *, seconds: float = READY, glance: float = 0.05
) -> None:
    give_up = time.monotonic() + seconds
    while not done():
        process.raise_if_ended()
        if time.monotonic() > give_up:
            raise BenchError(f"{process.name} was not done after {seconds:.0f} s")
        time.sleep(glance)


def _run(task: Task, batch_id: UUID, seconds: float, watch: Watch, **more: Any) -> Run:
    """The run, after making sure that all was minted and paid for as the batch says.

    Raises:
        BenchError: it was not.
    """
    batch = MintBatch.objects.get(id=batch_id)
    if batch.successful_mints != len(task.measured):
        raise BenchError(f"{batch.successful_mints} of {len(task.measured)} were minted")
    spent = batch.fee_paid_lamports + batch.rent_paid_lamports
    if spent != watch.lamports:
        raise BenchError(f"the batch says {spent} lamports, the chain {watch.lamports}")
    return Run(
        section=task.section,
        workload=task.workload,
        way=OURS,
        accounts=task.accounts,
        readings=len(task.measured),
        of=task.of,
        wallets=wallets_of(task.measured),
        of_wallets=task.of_wallets,
        seconds=seconds,
        transactions=batch.transactions.count(),
        fee_lamports=batch.fee_paid_lamports,
        rent_lamports=batch.rent_paid_lamports,
        calls=watch.calls,
        refused=watch.refused,
        database_cpu_seconds=watch.database_cpu,
        chain_cpu_seconds=watch.chain_cpu,
        **more,
    )


def _added(parts: Sequence[Sequence[Phase]]) -> list[Phase]:
    """Phases of several processes as one: their times summed, in the order of a run."""
    total: dict[str, Phase] = {}
    for phase in (each for part in parts for each in part):
        so_far = total.get(phase.name, Phase(phase.name, 0.0, 0.0, 0))
        total[phase.name] = Phase(
            phase.name,
            so_far.wall + phase.wall,
            so_far.cpu + phase.cpu,
            so_far.calls + phase.calls,
        )
    return [total[name] for name, _, _ in STEPS if name in total]


def _text(log: Path) -> str:
    return log.read_text(errors="replace") if log.exists() else ""
