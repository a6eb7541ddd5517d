"""However many wait, a look is one look."""

from __future__ import annotations

import asyncio

import pytest

from minting.cluster.nodes import Cluster
from minting.cluster.watcher import Watcher
from minting.engine.errors import RpcRefused
from minting.engine.types import EpochInfo
from tests.minting.cluster.fake_node import FakeNode, Refusal, Stall, status, value


def echo(signatures, config):
    return value([status(slot=int(name)) for name in signatures])


def with_watcher(story, **answers):
    async def run():
        answers.setdefault("getEpochInfo", {"absoluteSlot": 120, "blockHeight": 100})
        async with (
            FakeNode(**answers) as fake,
            Cluster([fake.url]) as cluster,
            Watcher(cluster, interval=0.05) as watcher,
        ):
            await story(watcher, fake)

    asyncio.run(run())


def test_many_who_look_cost_one_look():
    async def story(watcher, fake):
        wanted = [[str(number), str(number + 1)] for number in range(50)]
        sightings = await asyncio.gather(*(watcher.look(names) for names in wanted))
        for names, sighting in zip(wanted, sightings, strict=True):
            assert sighting.epoch == EpochInfo(120, 100)
            seen = {name: found.slot for name, found in sighting.statuses.items()}
            assert seen == {name: int(name) for name in names}
        assert fake.methods == ["getGenesisHash", "getEpochInfo", "getSignatureStatuses"]
        await watcher.look(["7"])
        assert fake.params("getSignatureStatuses")[1][0] == ["7"]

    with_watcher(story, getSignatureStatuses=echo)


def test_everybody_learns_of_a_failure_and_the_next_look_is_a_new_one():
    async def story(watcher, fake):
        looks = [watcher.look(["1"]), watcher.look(["2"])]
        failures = await asyncio.gather(*looks, return_exceptions=True)
        assert [type(failure) for failure in failures] == [RpcRefused, RpcRefused]
        assert (await watcher.look(["1"])).statuses["1"].slot == 1

    with_watcher(story, getSignatureStatuses=[Refusal(-32602), echo])


def test_who_stops_waiting_does_not_blind_the_others():
    async def story(watcher, fake):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await watcher.look(["1"])
        assert (await watcher.look(["2"])).statuses["2"].slot == 2
        assert sorted(fake.params("getSignatureStatuses")[0][0]) == ["1", "2"]

    with_watcher(story, getSignatureStatuses=echo)


def test_leaving_ends_what_is_still_looking():
    async def story(watcher, fake):
        waiting = asyncio.create_task(watcher.look(["1"]))
        await asyncio.sleep(0.2)
        await watcher.__aexit__(None, None, None)
        with pytest.raises(asyncio.CancelledError):
            await waiting

    with_watcher(story, getSignatureStatuses=Stall())
