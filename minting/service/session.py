"""One process's way to the chain, opened for a while.

A job alternates database phases (plain calls) and network phases (``session.run``). Both happen
in one thread and never at once, so no database transaction is open while a node is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from minting.cluster.nodes import Cluster
from minting.cluster.signers import open_signer
from minting.cluster.throttle import Throttle
from minting.conf import MintingConfig, current
from minting.engine.types import Signer
from minting.service.heights import Heights, heights_of
from minting.service.pace import Pace, pace_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Session:
    """The cluster behind one event loop, and the settings that everything here runs with."""

    config: MintingConfig
    cluster: Cluster
    runner: asyncio.Runner
    heights: Heights
    pace: Pace

    def run(self, phase: Coroutine[Any, Any, T]) -> T:
        """Runs one network phase to its end."""
        return self.runner.run(phase)

    def open_signer(self) -> Signer:
        """The key; only what signs asks for it."""
        return open_signer(self.config.signer, keypair_path=self.config.authority_keypair)


@contextmanager
def open_session(config: MintingConfig | None = None) -> Iterator[Session]:
    """Opens connections that live as long as the block does."""
    config = config or current()
    with asyncio.Runner() as runner:
        cluster = Cluster(
            config.rpc_urls,
            genesis_hash=config.genesis_hash,
            throttle=_throttle(config),
        )
        runner.run(cluster.__aenter__())
        try:
            urls = config.rpc_urls
            yield Session(config, cluster, runner, heights_of(urls), pace_of(urls))
        finally:
            runner.run(_close(cluster))


def _throttle(config: MintingConfig) -> Throttle | None:
    """Shared by every session of this machine, through its file."""
    if config.rpc_max_per_second is None:
        return None
    return Throttle(config.rpc_max_per_second, config.rpc_turns)


async def _close(cluster: Cluster) -> None:
    """A phase that a signal ended in the middle does not go on while its connections close."""
    abandoned = asyncio.all_tasks() - {asyncio.current_task()}
    for task in abandoned:
        task.cancel()
    await asyncio.gather(*abandoned, return_exceptions=True)
    await cluster.__aexit__(None, None, None)
