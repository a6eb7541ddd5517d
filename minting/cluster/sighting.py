"""What one node says of itself, for people: where it is, how fast it answers, what ails it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from minting.cluster.client import Node
from minting.engine.errors import SolanaError


@dataclass(frozen=True, slots=True)
class Sighting:
    """One look at one node."""

    name: str
    """Host and port."""
    trouble: str = ""
    """Why it told nothing; the rest is then empty."""
    genesis_hash: str = ""
    slot: int = 0
    """Confirmed, as the height is."""
    block_height: int = 0
    latency_ms: int = 0
    """Of one request."""
    ailment: str = ""
    """What it says ails it; empty where it says that it keeps up."""


async def sight(node: Node, seconds: float) -> Sighting:
    """Asks one node; never raises, and never takes longer than ``seconds``."""
    try:
        async with asyncio.timeout(seconds):
            return await _look(node)
    except TimeoutError:
        return Sighting(node.name, trouble=f"no answer within {seconds:g} s")
    except SolanaError as failure:
        return Sighting(node.name, trouble=str(failure))


async def _look(node: Node) -> Sighting:
    began = time.monotonic()
    epoch = await node.epoch_info()
    latency = time.monotonic() - began
    genesis_hash = await node.genesis_hash()
    return Sighting(
        name=node.name,
        genesis_hash=genesis_hash,
        slot=epoch.slot,
        block_height=epoch.block_height,
        latency_ms=round(latency * 1000),
        ailment=await _ailment(node),
    )


async def _ailment(node: Node) -> str:
    try:
        await node.health()
    except SolanaError as failure:
        return str(failure)
    return ""
