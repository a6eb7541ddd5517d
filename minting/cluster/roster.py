"""Who of several nodes is asked: the first that is well, never one of another cluster."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from minting.cluster.client import NODE_TROUBLE, Node
from minting.engine.errors import (
    MintingRefused,
    NodeUnreachable,
    RateLimited,
    RpcRefused,
    SolanaError,
)

log = structlog.get_logger(__name__)
T = TypeVar("T")

OUT_OF_FAVOUR = 30.0
"""Seconds for which a node that did not answer is asked last."""


class Member:
    """A node of the roster, and what is thought of it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.trusted: bool | None = None
        """Whether it answered the expected genesis hash; ``None`` until it answered."""
        self.disfavoured_until = 0.0
        """On the monotonic clock."""
        self.admission = asyncio.Lock()
        self.admission_failure: SolanaError | None = None

    @property
    def in_favour(self) -> bool:
        """Whether it answered lately, or was not asked."""
        return self.disfavoured_until <= time.monotonic()

    def note(self, failure: SolanaError) -> None:
        """Remembers a failure: a node that does not answer is asked last for a while."""
        log.debug("node_failed", node=self.node.name, reason=str(failure))
        if isinstance(failure, NodeUnreachable):
            if self.in_favour:
                log.warning("node_out_of_favour", node=self.node.name, reason=str(failure))
            self.disfavoured_until = time.monotonic() + OUT_OF_FAVOUR


class Roster:
    """Nodes in order of preference, and the way a question finds one that answers it.

    Attributes:
        members: In order of preference.
        expected: Genesis hash of the cluster; ``None`` until the first node answered, if none was
            given.
    """

    def __init__(self, nodes: Sequence[Node], *, genesis_hash: str | None, patience: float) -> None:
        self.members = [Member(node) for node in nodes]
        self.expected = genesis_hash
        self._patience = patience
        _tell_apart(nodes)

    async def ask(self, question: Callable[[Node], Awaitable[T]]) -> T:
        """The first answer that a node gives.

        Fails over on anything but a refusal that every node would repeat. Raises as documented
        at ``Cluster``.
        """
        give_up = time.monotonic() + self._patience
        while True:
            failures: list[SolanaError] = []
            for member in self.by_favour():
                try:
                    if await self.admit(member):
                        return await question(member.node)
                except SolanaError as failure:
                    if isinstance(failure, RpcRefused) and failure.rpc_code not in NODE_TROUBLE:
                        raise
                    member.note(failure)
                    failures.append(failure)
            rests = [item.retry_after for item in failures if isinstance(item, RateLimited)]
            if not rests or time.monotonic() + min(rests) > give_up:
                raise self.verdict(failures)
            await asyncio.sleep(min(rests))

    def expect(self, genesis_hash: str) -> None:
        """Nobody but nodes of this cluster is asked from now on, whoever answered first."""
        if self.expected == genesis_hash:
            return
        self.expected = genesis_hash
        for member in self.members:
            member.trusted = None

    async def genesis_hash(self) -> str:
        """The cluster's, once a node was found to be on it; no node is asked twice."""

        async def of(node: Node) -> str:
            return self.expected or await node.genesis_hash()

        return await self.ask(of)

    def by_favour(self) -> list[Member]:
        """Those not known to be on another cluster; who did not answer lately comes last."""
        candidates = [member for member in self.members if member.trusted is not False]
        return sorted(candidates, key=lambda member: not member.in_favour)

    async def admit(self, member: Member) -> bool:
        """Whether the node is on the expected cluster; asked once, before its first use."""
        waited = member.admission.locked()
        async with member.admission:
            if member.trusted is None:
                if waited and member.admission_failure is not None:
                    # Who waited for the same answer shares its failure; asking one after the
                    # other would queue up behind a silent node, a timeout each.
                    raise member.admission_failure
                try:
                    answered = await member.node.genesis_hash()
                except SolanaError as failure:
                    member.admission_failure = failure
                    raise
                if self.expected is None:
                    self.expected = answered
                member.trusted = answered == self.expected
                if not member.trusted:
                    log.error("node_on_another_cluster", node=member.node.name, genesis=answered)
            return member.trusted

    def verdict(self, failures: Sequence[SolanaError]) -> SolanaError | MintingRefused:
        """What to raise when nobody answered: the failure that tells most."""
        if not failures:
            return MintingRefused(
                f"Every node is on another cluster than the expected one ({self.expected})"
            )
        if len(failures) == 1:
            return failures[0]
        for kind in (RpcRefused, RateLimited):
            telling = [failure for failure in failures if isinstance(failure, kind)]
            if telling:
                return telling[0]
        return NodeUnreachable("No node answered: " + "; ".join(map(str, failures)))


def distinct(names: Sequence[str]) -> list[str]:
    """Numbers equal names: one host may stand twice, with two keys in its URLs."""
    taken: Counter[str] = Counter()
    told = []
    for name in names:
        taken[name] += 1
        told.append(f"{name}#{taken[name]}" if taken[name] > 1 else name)
    return told


def _tell_apart(nodes: Sequence[Node]) -> None:
    for node, name in zip(nodes, distinct([node.name for node in nodes]), strict=True):
        node.name = name
