"""The nodes and the account that pays, as they were a moment ago.

Asked at most every ``KEPT`` seconds by all processes together: what one of them saw is in the
table of pulses, and so is since when a node is silent. A node costs three small requests a look,
the account one; nothing of minting depends on the answers.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from solders.pubkey import Pubkey

from minting.cluster.nodes import Cluster
from minting.cluster.roster import distinct
from minting.cluster.sighting import Sighting
from minting.cluster.transport import node_name
from minting.conf import MintingConfig, current
from minting.engine.errors import BlockchainError
from minting.models import MintInfo, Pulse, PulseKind
from minting.service.chain.session import open_session
from minting.service.watch.pulses import Beat, note, pulses

KEPT = timedelta(seconds=4)
"""For which an answer is shown again, to whoever asks."""

PATIENCE = 3.0
"""Seconds for all that is asked together."""

STANDING = timedelta(seconds=30)
"""After which a node whose slot does not move is said to stand still."""


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """One node."""

    name: str
    answers: bool
    trouble: str
    """What is wrong with it, in a sentence; empty if nothing is."""
    silent_since: datetime | None
    answered_at: datetime | None
    """Whatever follows is of then."""
    slot: int | None
    block_height: int | None
    lag: int | None
    """Slots behind the foremost node; of answers of one look."""
    latency_ms: int | None
    right_cluster: bool | None
    """Whether its genesis hash is the expected one; ``None``: nothing is known."""


@dataclass(frozen=True, slots=True)
class Payer:
    """The mint authority, which pays for everything."""

    address: str
    lamports: int | None
    """``None``: no node ever said."""
    floor: int
    """Rent of an empty account: what must stay."""
    told_at: datetime | None
    trouble: str
    """Why there is no newer answer."""


@dataclass(frozen=True, slots=True)
class ChainHealth:
    """All that was asked."""

    nodes: tuple[NodeHealth, ...]
    payer: Payer | None
    """``None``: no authority is configured."""

    @property
    def answers(self) -> bool:
        """Whether there is a node to mint with."""
        return any(node.answers and node.right_cluster is not False for node in self.nodes)


_looking = threading.Lock()


def look() -> ChainHealth:
    """The chain of now, or of a moment ago; never longer than ``PATIENCE`` and a little."""
    config = current()
    names = _names(config)
    if _is_fresh(names):
        return _told(config, names)
    # One of this process asks; whoever comes meanwhile waits for its answer, and not twice.
    with _looking:
        if not _is_fresh(names):
            _ask(config)
    return _told(config, names)


def remembered() -> ChainHealth:
    """What the last look showed, whoever looked, however long ago; asks nobody."""
    config = current()
    return _told(config, _names(config))


def _names(config: MintingConfig) -> list[str]:
    return distinct([node_name(url) for url in config.rpc_urls])


def _is_fresh(names: list[str]) -> bool:
    rows = pulses(PulseKind.NODE, names)
    since = timezone.now() - KEPT
    return len(rows) == len(names) and all(row.checked_at > since for row in rows)


def _ask(config: MintingConfig) -> None:
    with open_session(config) as session:
        sightings, payer = session.run(_all(session.cluster, config.authority_address))
    now = timezone.now()
    earlier = {row.name: row.facts for row in pulses(PulseKind.NODE, [s.name for s in sightings])}
    note(PulseKind.NODE, [_beat(each, earlier, now) for each in sightings], at=now)
    if payer is not None:
        note(PulseKind.PAYER, [payer], at=now)


async def _all(
    cluster: Cluster, authority: Pubkey | None
) -> tuple[tuple[Sighting, ...], Beat | None]:
    if authority is None:
        return await cluster.sightings(PATIENCE), None
    return await asyncio.gather(cluster.sightings(PATIENCE), _purse(cluster, authority))


async def _purse(cluster: Cluster, authority: Pubkey) -> Beat:
    try:
        async with asyncio.timeout(PATIENCE):
            (lamports, slot), floor = await asyncio.gather(
                cluster.balance(authority), cluster.rent(0)
            )
    except TimeoutError:
        return Beat(str(authority), trouble=f"no node answered within {PATIENCE:g} s")
    except BlockchainError as failure:
        return Beat(str(authority), trouble=str(failure))
    return Beat(str(authority), facts={"lamports": lamports, "slot": slot, "floor": floor})


def _beat(seen: Sighting, earlier: dict[str, dict[str, Any]], now: datetime) -> Beat:
    if seen.trouble:
        return Beat(seen.name, trouble=seen.trouble)
    last = earlier.get(seen.name, {})
    moved = last.get("slot") != seen.slot or "moved_at" not in last
    return Beat(
        seen.name,
        facts={
            "genesis_hash": seen.genesis_hash,
            "slot": seen.slot,
            "block_height": seen.block_height,
            "latency_ms": seen.latency_ms,
            "ailment": seen.ailment,
            "moved_at": now.isoformat() if moved else last["moved_at"],
        },
    )


def _told(config: MintingConfig, names: list[str]) -> ChainHealth:
    rows = {row.name: row for row in pulses(PulseKind.NODE, names)}
    expected = config.genesis_hash or _recorded(config)
    awake = [row for row in rows.values() if row.silent_since is None]
    foremost = max((row.facts["slot"] for row in awake), default=None)
    nodes = tuple(
        _node(rows[name], expected, foremost) if name in rows else _unknown(name) for name in names
    )
    return ChainHealth(nodes, _payer(config))


def _recorded(config: MintingConfig) -> str | None:
    mints = MintInfo.objects.filter(address=str(config.mint_address))
    return mints.order_by("-checked_at").values_list("genesis_hash", flat=True).first()


def _node(row: Pulse, expected: str | None, foremost: int | None) -> NodeHealth:
    facts = row.facts
    answers = row.silent_since is None
    told = facts.get("genesis_hash")
    right = None if told is None or expected is None else told == expected
    return NodeHealth(
        name=row.name,
        answers=answers,
        trouble=row.trouble or _ailment(row, right=right),
        silent_since=row.silent_since,
        answered_at=row.alive_at,
        slot=facts.get("slot"),
        block_height=facts.get("block_height"),
        lag=foremost - facts["slot"] if answers and foremost is not None else None,
        latency_ms=facts.get("latency_ms") if answers else None,
        right_cluster=right,
    )


def _ailment(row: Pulse, *, right: bool | None) -> str:
    if right is False:
        return f"is on another cluster ({row.facts['genesis_hash']})"
    if row.facts["ailment"]:
        return str(row.facts["ailment"])
    moved_at = datetime.fromisoformat(row.facts["moved_at"])
    if row.checked_at - moved_at > STANDING:
        return f"its slot stands still since {moved_at:%H:%M:%S} UTC"
    return ""


def _unknown(name: str) -> NodeHealth:
    return NodeHealth(name, False, "not asked yet", None, None, None, None, None, None, None)


def _payer(config: MintingConfig) -> Payer | None:
    if config.authority_address is None:
        return None
    address = str(config.authority_address)
    row = next(iter(pulses(PulseKind.PAYER, [address])), None)
    if row is None:
        return Payer(address, None, 0, None, "")
    facts = row.facts
    return Payer(address, facts.get("lamports"), facts.get("floor", 0), row.alive_at, row.trouble)
