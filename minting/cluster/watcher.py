"""One look at everything in flight, shared by all who wait for something."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from minting.cluster.nodes import Cluster
from minting.engine.types import Commitment, EpochInfo, SignatureStatus

DEFAULT_INTERVAL = 0.5
"""Seconds between looks: about a slot or two."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one look saw. Enough to settle, to resend and to stop resending; no proof of death."""

    epoch: EpochInfo
    """At ``confirmed``, asked before the statuses."""
    statuses: Mapping[str, SignatureStatus | None]
    """By signature, those that were asked for."""


class Watcher:
    """Asks for statuses at a steady pace, once for everybody. An async context manager.

    However many slices and transactions are in flight, a look costs one call for the height and
    one for every 256 signatures.
    """

    def __init__(self, cluster: Cluster, *, interval: float = DEFAULT_INTERVAL) -> None:
        self._cluster = cluster
        self._interval = interval
        self._wanted: set[str] = set()
        self._gathering: asyncio.Task[Sighting] | None = None
        self._looks: set[asyncio.Task[Sighting]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        looks = list(self._looks)
        for look in looks:
            look.cancel()
        await asyncio.gather(*looks, return_exceptions=True)

    async def look(self, signatures: Collection[str]) -> Sighting:
        """What is known of ``signatures`` at the next look, an interval from now at the latest.

        Raises:
            SolanaError, MintingRefused: As ``Cluster`` raises them; everybody who took part in
                the look gets the same.
        """
        if self._gathering is None:
            self._gathering = asyncio.create_task(self._look_soon())
            self._looks.add(self._gathering)
            self._gathering.add_done_callback(self._looks.discard)
        self._wanted.update(signatures)
        # Shielded: who stops waiting must not blind the others.
        seen = await asyncio.shield(self._gathering)
        return Sighting(seen.epoch, {name: seen.statuses[name] for name in signatures})

    async def _look_soon(self) -> Sighting:
        await asyncio.sleep(self._interval)
        wanted, self._wanted, self._gathering = list(self._wanted), set(), None
        epoch = await self._cluster.epoch_info(Commitment.CONFIRMED)
        report = await self._cluster.statuses(wanted)
        return Sighting(epoch, dict(zip(wanted, report.statuses, strict=True)))
