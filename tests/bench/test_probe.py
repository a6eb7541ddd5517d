from __future__ import annotations

import asyncio
import time

import pytest

from bench.probe import STEPS, Tally, holder_of


@pytest.mark.parametrize(("name", "module", "path"), STEPS)
def test_every_step_that_is_timed_is_there(name, module, path):
    holder, attribute = holder_of(module, path)

    assert callable(getattr(holder, attribute)), name


def test_what_happens_at_once_counts_once():
    tally = Tally()

    async def pause() -> None:
        await asyncio.sleep(0.1)

    timed = tally.timed("pause", pause)

    async def both() -> None:
        await asyncio.gather(timed(), timed())

    asyncio.run(both())
    _, (phase,) = tally.take()

    assert phase.calls == 2
    assert 0.09 < phase.wall < 0.19


def test_cpu_is_told_apart_from_waiting():
    tally = Tally()

    def work() -> None:
        until = time.process_time() + 0.05
        while time.process_time() < until:
            pass

    tally.timed("work", work)()
    tally.timed("wait", time.sleep)(0.05)
    _, phases = tally.take()
    cpu = {phase.name: phase.cpu for phase in phases}

    assert cpu["work"] >= 0.05
    assert cpu["wait"] < 0.04


def test_taking_begins_anew():
    tally = Tally()
    timed = tally.timed("nothing", lambda: None)
    timed()
    tally.queries = 3

    assert tally.take()[0] == 3
    assert tally.take() == (0, [])
