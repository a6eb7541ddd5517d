"""Counts queries and times the steps of minting, inside the processes that mint.

An application that only ``bench.settings`` installs: the product knows nothing of it. A worker
appends what each of its tasks did to the file that ``BENCH_PROBE`` names, one JSON line a task.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.db.backends.signals import connection_created

from bench.figures import Phase

STEPS: tuple[tuple[str, str, str], ...] = (
    ("request", "minting.service.requests.prepare", "request_batch"),
    ("· look at the mint", "minting.service.requests.prepare", "inspect_or_recall"),
    ("· look, judge, plan, price", "minting.service.requests.prepare", "_plan"),
    ("· lock", "readings.queries", "lock_for_minting"),
    ("· look again, deal, write", "minting.journal", "open_batch"),
    ("drive", "minting.service.drive.submit", "Driver.run"),
    ("· look at mint and payer", "minting.service.drive.submit", "inspect_mint"),
    ("· terms", "minting.service.drive.submit", "terms_of"),
    ("· gate", "minting.service.history.gate", "require_open"),
    ("· plan", "minting.service.drive.submit", "Driver._plan"),
    ("· simulate, sign", "minting.service.drive.wave", "prepare"),
    ("· · simulate", "minting.service.drive.wave", "learn"),
    ("· · sign and verify", "minting.service.drive.wave", "sign_all"),
    ("· journal file", "minting.service.drive.wave", "write_journal_file"),
    ("· journal", "minting.journal", "record_signed"),
    ("· send", "minting.service.drive.tracking", "_send_all"),
    ("· look up", "minting.service.drive.tracking", "_look_up"),
    ("· settle", "minting.journal", "record_landed"),
    ("both: read accounts", "minting.cluster.nodes", "Cluster.accounts"),
)
"""Name, module, function. The dots say what is part of what; the rest of a drive is waiting for
the chain, and the loop itself."""


@dataclass(slots=True)
class _Step:
    """One step's time; while several calls of it are under way it counts once."""

    wall: float = 0.0
    cpu: float = 0.0
    calls: int = 0
    _under_way: int = 0
    _since: tuple[float, float] = (0.0, 0.0)

    def enter(self) -> None:
        if not self._under_way:
            self._since = time.perf_counter(), time.process_time()
        self._under_way += 1
        self.calls += 1

    def leave(self) -> None:
        self._under_way -= 1
        if not self._under_way:
            self.wall += time.perf_counter() - self._since[0]
            self.cpu += time.process_time() - self._since[1]


@dataclass(slots=True)
class Tally:
    """What this process did since the last ``take``."""

    queries: int = 0
    steps: dict[str, _Step] = field(default_factory=dict)

    def take(self) -> tuple[int, list[Phase]]:
        """Queries and steps so far; from here on they count anew."""
        taken = (
            self.queries,
            [
                Phase(name, step.wall, step.cpu, step.calls)
                for name, step in self.steps.items()
                if step.calls
            ],
        )
        self.queries = 0
        for name in self.steps:
            self.steps[name] = _Step()
        return taken

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time noted under a name."""
        self.steps.setdefault(name, _Step())
        if asyncio.iscoroutinefunction(function):

            @functools.wraps(function)
            async def later(*args: Any, **kwargs: Any) -> Any:
                step = self.steps[name]
                step.enter()
                try:
                    return await function(*args, **kwargs)
                finally:
                    step.leave()

            return later

        @functools.wraps(function)
        def now(*args: Any, **kwargs: Any) -> Any:
            step = self.steps[name]
            step.enter()
            try:
                return function(*args, **kwargs)
            finally:
                step.leave()

        return now


tally = Tally()


class Probe(AppConfig):
    """Installs the counting."""

    name = "bench"

    def ready(self) -> None:
        """Patches the steps; what a step is called is known here and nowhere in the product."""
        # Like what is patched below it brings models along, which are there only now.
        signals: Any = import_module("django_q.signals")
        connection_created.connect(_count_queries)
        signals.pre_execute.connect(_begin_task)
        signals.post_execute_in_worker.connect(_end_task)
        for name, module, path in STEPS:
            try:
                holder, attribute = holder_of(module, path)
            except AttributeError as error:  # renamed: a test says so, and the rest is measured
                sys.stderr.write(f"the step {name} is not timed: {error}\n")
                continue
            setattr(holder, attribute, tally.timed(name, getattr(holder, attribute)))


def holder_of(module: str, path: str) -> tuple[Any, str]:
    """Where a function is looked up by whoever calls it: a module or a class, and its name there.

    Raises:
        AttributeError: it is not there (any more).
    """
    *within, attribute = path.split(".")
    holder: Any = functools.reduce(getattr, within, import_module(module))
    getattr(holder, attribute)
    return holder, attribute


def _count_queries(connection: Any, **_: Any) -> None:
    if _count not in connection.execute_wrappers:
        connection.execute_wrappers.append(_count)


def _count(execute: Callable[..., Any], sql: Any, params: Any, many: Any, context: Any) -> Any:
    tally.queries += 1
    return execute(sql, params, many, context)


def _begin_task(**_: Any) -> None:
    tally.take()


def _end_task(task: dict[str, Any], **_: Any) -> None:
    told = os.environ.get("BENCH_PROBE")
    if told:
        queries, phases = tally.take()
        line = json.dumps(
            {
                "task": str(task["func"]),
                "queries": queries,
                "phases": [asdict(phase) for phase in phases],
            }
        )
        with Path(told).open("a") as file:  # appended whole: shorter than a page
            file.write(line + "\n")
