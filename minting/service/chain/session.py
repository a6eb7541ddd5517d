"""One process's way to the chain, opened for a while.

A job alternates database phases (plain calls) and network phases (``session.run``). Both happen
in one thread and never at once, so no database transaction is open while a node is waited for.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from minting.cluster.nodes import Cluster
from minting.cluster.signers import KeypairSigner, SignerSettings, VaultSigner, open_signer
from minting.cluster.throttle import Throttle
from minting.conf import MintingConfig, current
from minting.engine.types import Signer
from minting.service.chain.heights import Heights, heights_of
from minting.service.chain.pace import Pace, pace_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Session:
    """The cluster behind one event loop, and the settings that everything here runs with."""

    config: MintingConfig
    cluster: Cluster
    runner: asyncio.Runner
    heights: Heights
    pace: Pace
    remote: dict[SignerSettings, VaultSigner] = field(default_factory=dict)
    """Signers that are logged in, kept as long as the connections."""

    def run(self, phase: Coroutine[Any, Any, T]) -> T:
        """Runs one network phase to its end."""
        # A runner that is kept would remember the task that it was made in, for its log lines.
        return self.runner.run(phase, context=contextvars.copy_context())

    def open_signer(self) -> Signer:
        """The key; only what signs asks for it.

        Raises:
            MintingRefused, SignerUnavailable: as ``minting.cluster.signers.open_signer``.
        """
        settings = self.config.signing
        if settings in self.remote:
            return self.remote[settings]
        signer = open_signer(settings)
        if isinstance(signer, VaultSigner):
            self.remote[settings] = signer
        return signer

    def tend_signer(self) -> None:
        """Keeps the right to ask a remote signer alive; nothing where the key is a file.

        Raises:
            MintingRefused, SignerUnavailable: as ``open_signer``.
        """
        signer = self.open_signer()
        if isinstance(signer, VaultSigner):
            signer.tend()

    def open_cosigners(self) -> tuple[Signer, ...]:
        """The keys of others that a program has sign (``MINT_PROGRAM_SIGNERS``)."""
        return tuple(KeypairSigner.load(file) for file in self.config.cosigners.values())


@dataclass(frozen=True, slots=True)
class _Link:
    """An event loop and the connections that live in it."""

    key: tuple[object, ...]
    cluster: Cluster
    runner: asyncio.Runner
    remote: dict[SignerSettings, VaultSigner] = field(default_factory=dict)

    @classmethod
    def open(cls, config: MintingConfig) -> _Link:
        cluster = Cluster(
            config.rpc_urls, genesis_hash=config.genesis_hash, throttle=_throttle(config)
        )
        runner = asyncio.Runner()
        runner.run(cluster.__aenter__())
        return cls(_key(config), cluster, runner)

    def close(self) -> None:
        for signer in self.remote.values():
            signer.close()
        with self.runner:
            self.runner.run(_close(self.cluster))


class _Keeper(threading.local):
    """A thread's connections between two sessions."""

    link: _Link | None = None


_keeper = _Keeper()
_keeping = False


def keep_sessions() -> None:
    """From now on each thread of this process keeps its connections from session to session.

    For servers and workers, whose threads live long: a new connection costs a handshake, the
    reading of all certificates, and the question which cluster a node is on. To be called after
    the last fork: connections cannot be shared.
    """
    global _keeping  # noqa: PLW0603 — a fact about the process
    _keeping = True


@contextmanager
def open_session(config: MintingConfig | None = None) -> Iterator[Session]:
    """Opens connections that live as long as the block does, or takes those that were kept."""
    config = config or current()
    link, _keeper.link = _keeper.link, None
    if link is not None and link.key != _key(config):
        link.close()
        link = None
    link = link or _Link.open(config)
    keep = False
    try:
        urls = config.rpc_urls
        yield Session(
            config, link.cluster, link.runner, heights_of(urls), pace_of(urls), link.remote
        )
        # After a failure nobody knows what is still under way.
        keep = _keeping and _keeper.link is None
    finally:
        if keep:
            _keeper.link = link
        else:
            link.close()


def _key(config: MintingConfig) -> tuple[object, ...]:
    """All that a link depends on."""
    return config.rpc_urls, config.genesis_hash, config.rpc_max_per_second, config.rpc_turns


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
