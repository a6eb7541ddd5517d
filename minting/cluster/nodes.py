"""Several nodes as one: whoever answers, answers; whoever is on another cluster is never used."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from solders.pubkey import Pubkey

from minting.cluster.client import (
    ACCOUNTS_PER_CALL,
    HISTORY_PER_CALL,
    SIGNATURES_PER_CALL,
    Node,
    joined_accounts,
    joined_statuses,
)
from minting.cluster.concurrency import pages, together
from minting.cluster.evidence import collect_death_evidence
from minting.cluster.roster import Member, Roster
from minting.cluster.sighting import Sighting, sight
from minting.cluster.throttle import Throttle
from minting.cluster.transport import DEFAULT_CONCURRENCY, DEFAULT_TIMEOUT
from minting.engine.errors import FormatRefused, SolanaError
from minting.engine.types import (
    AccountView,
    Blockhash,
    Commitment,
    DeathEvidence,
    EpochInfo,
    HistoryEntry,
    LandedTransaction,
    Simulation,
    StatusReport,
    Watched,
)

P = TypeVar("P")
T = TypeVar("T")

DEFAULT_PATIENCE = 30.0
"""Seconds that a question may wait while every node that could answer it is rate limited."""


class Note(str):
    """What nodes said against a transaction that they were handed. Tells nothing of its fate.

    Attributes:
        format_refused: Whether one of them cannot read the format, whatever the transaction does.
    """

    format_refused: bool

    def __new__(cls, failures: Sequence[Exception]) -> Self:
        """From what went wrong at each node."""
        note = super().__new__(cls, "; ".join(map(str, failures)))
        note.format_refused = any(isinstance(each, FormatRefused) for each in failures)
        return note


class Cluster:
    """Nodes of one cluster behind the methods of one ``Node``. An async context manager.

    A read asks one node, the first configured if it is well, and fails over to the next. A send
    goes to all. What must come from *one* node is asked through ``one_node``.

    Every method but ``send`` and ``health`` raises:
        MintingRefused: Every node is on another cluster than expected.
        RateLimited: Every node that could answer still rests after ``patience`` seconds.
        NodeUnreachable: No node answered.
        RpcRefused, SolanaError: As ``Node`` raises them.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        genesis_hash: str | None = None,
        throttle: Throttle | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        concurrency: int = DEFAULT_CONCURRENCY,
        patience: float = DEFAULT_PATIENCE,
    ) -> None:
        """Opens nothing yet.

        Args:
            urls: In order of preference, at least one.
            genesis_hash: The expected cluster; ``None`` takes that of the first node to answer.
            throttle: Spaces the requests to all nodes together; ``None``: no limit.
            timeout: Seconds for one request.
            concurrency: Requests to one node at the same time.
            patience: Seconds that a question may wait for rate-limited nodes.
        """
        if not urls:
            raise ValueError("A cluster needs the URL of at least one node")
        self._throttle = throttle
        self._timeout = timeout
        nodes = [
            Node(url, timeout=timeout, concurrency=concurrency, throttle=throttle) for url in urls
        ]
        self._roster = Roster(nodes, genesis_hash=genesis_hash, patience=patience)
        self._open_nodes = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for member in self._roster.members:
            await self._open_nodes.enter_async_context(member.node)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._open_nodes.aclose()

    @property
    def calls(self) -> Counter[str]:
        """Requests sent so far to all nodes, by method; proofs of death count on their own."""
        return sum((member.node.calls for member in self._roster.members), Counter())

    def expect(self, genesis_hash: str) -> None:
        """Which cluster is ours; else the first node that answers decides, while this is open."""
        self._roster.expect(genesis_hash)

    # What is asked of any node

    async def genesis_hash(self) -> str:
        """The cluster's: what a node answered before its first use, and what is expected."""
        return await self._roster.genesis_hash()

    async def slot(self, commitment: Commitment = Commitment.CONFIRMED) -> int:
        """See ``Node.slot``."""
        return await self._roster.ask(lambda node: node.slot(commitment))

    async def epoch_info(self, commitment: Commitment = Commitment.CONFIRMED) -> EpochInfo:
        """See ``Node.epoch_info``."""
        return await self._roster.ask(lambda node: node.epoch_info(commitment))

    async def first_available_block(self) -> int:
        """See ``Node.first_available_block``; of whichever node answered."""
        return await self._roster.ask(lambda node: node.first_available_block())

    async def latest_blockhash(self) -> Blockhash:
        """See ``Node.latest_blockhash``."""
        return await self._roster.ask(lambda node: node.latest_blockhash())

    async def balance(
        self, address: Pubkey, *, min_context_slot: int | None = None
    ) -> tuple[int, int]:
        """See ``Node.balance``; a node behind ``min_context_slot`` is passed over."""
        return await self._roster.ask(
            lambda node: node.balance(address, min_context_slot=min_context_slot)
        )

    async def account(
        self, address: Pubkey, *, commitment: Commitment = Commitment.CONFIRMED
    ) -> AccountView | None:
        """See ``Node.account``."""
        return await self._roster.ask(lambda node: node.account(address, commitment=commitment))

    async def accounts(
        self, addresses: Sequence[Pubkey]
    ) -> tuple[tuple[AccountView | None, ...], int]:
        """See ``Node.accounts``; pages may come from several nodes, the slot is the lowest."""
        # Page by page, so that one 429 repeats one page and not all of them.
        return joined_accounts(
            await together(
                self._roster.ask(_about(part, Node.accounts))
                for part in pages(addresses, ACCOUNTS_PER_CALL)
            )
        )

    async def rent(self, size: int) -> int:
        """See ``Node.rent``."""
        return await self._roster.ask(lambda node: node.rent(size))

    async def fee_for_message(self, message: bytes) -> int:
        """See ``Node.fee_for_message``."""
        return await self._roster.ask(lambda node: node.fee_for_message(message))

    async def simulate(self, raw: bytes, accounts: Sequence[Pubkey] = ()) -> Simulation:
        """See ``Node.simulate``."""
        return await self._roster.ask(lambda node: node.simulate(raw, accounts))

    async def supports_v1(self, authority: Pubkey) -> bool:
        """See ``Node.supports_v1``. The answer is not kept here."""
        return await self._roster.ask(lambda node: node.supports_v1(authority))

    async def statuses(
        self, signatures: Sequence[str], *, search_history: bool = False
    ) -> StatusReport:
        """See ``Node.statuses``; pages of 256 may come from several nodes, the slot is the lowest.

        Good for settling what landed. For proving what did not, see ``death_evidence``.
        """
        ask = partial(Node.statuses, search_history=search_history)
        return joined_statuses(
            await together(
                self._roster.ask(_about(part, ask))
                for part in pages(signatures, SIGNATURES_PER_CALL)
            )
        )

    async def signatures_for_address(
        self,
        address: Pubkey,
        *,
        before: str | None = None,
        until: str | None = None,
        limit: int = HISTORY_PER_CALL,
        min_context_slot: int | None = None,
        commitment: Commitment = Commitment.FINALIZED,
    ) -> tuple[HistoryEntry, ...]:
        """See ``Node.signatures_for_address``; a walk should stay on ``one_node``."""
        return await self._roster.ask(
            lambda node: node.signatures_for_address(
                address,
                before=before,
                until=until,
                limit=limit,
                min_context_slot=min_context_slot,
                commitment=commitment,
            )
        )

    async def transaction(
        self, signature: str, *, commitment: Commitment = Commitment.FINALIZED
    ) -> LandedTransaction | None:
        """See ``Node.transaction``."""
        return await self._roster.ask(
            lambda node: node.transaction(signature, commitment=commitment)
        )

    async def token_supply(
        self, mint: Pubkey, *, commitment: Commitment = Commitment.FINALIZED
    ) -> tuple[int, int]:
        """See ``Node.token_supply``."""
        return await self._roster.ask(lambda node: node.token_supply(mint, commitment=commitment))

    async def recent_priority_fees(self, addresses: Sequence[Pubkey]) -> tuple[int, ...]:
        """See ``Node.recent_priority_fees``."""
        return await self._roster.ask(lambda node: node.recent_priority_fees(addresses))

    # What goes to all nodes, and what must stay on one

    async def send(self, raw: bytes) -> Note | None:
        """Hands the transaction to every node; never raises, for no answer tells its fate.

        Nodes that did not answer lately are left out while there are others, so that a silent one
        does not hold up every wave.

        Returns ``None`` if at least one node took it, else a note for the log.
        """
        members = self._roster.by_favour()
        takers = [member for member in members if member.in_favour] or members
        failures = await together(self._send_to(member, raw) for member in takers)
        if not failures:
            return Note([self._roster.verdict([])])
        return None if None in failures else Note([each for each in failures if each])

    async def _send_to(self, member: Member, raw: bytes) -> SolanaError | None:
        try:
            if not await self._roster.admit(member):
                return SolanaError(f"{member.node.name} is on another cluster")
            await member.node.submit(raw)
        except SolanaError as failure:
            member.note(failure)
            return failure
        return None

    async def health(self) -> dict[str, str | None]:
        """For each node, by name, ``None`` if it keeps up and is on our cluster, else why not."""
        told = await together(self._health_of(member) for member in self._roster.members)
        return dict(zip([member.node.name for member in self._roster.members], told, strict=True))

    async def _health_of(self, member: Member) -> str | None:
        try:
            if not await self._roster.admit(member):
                return "is on another cluster"
            await member.node.health()
        except SolanaError as failure:
            return str(failure)
        return None

    async def sightings(self, seconds: float) -> tuple[Sighting, ...]:
        """What each node says of itself within ``seconds``, in the order configured.

        Raises nothing. Nodes of another cluster are asked too: that is what one wants to see.
        """
        nodes = [member.node for member in self._roster.members]
        return tuple(await together(sight(node, seconds) for node in nodes))

    @asynccontextmanager
    async def one_node(self) -> AsyncIterator[Node]:
        """A node that answers just now, for questions whose answers belong together.

        There is no failover inside. What the node raises passes through, and then the node is
        asked last for a while, so that the next block gets another one.
        """
        node = await self._roster.ask(_itself)
        member = next(member for member in self._roster.members if member.node is node)
        try:
            yield node
        except SolanaError as failure:
            member.note(failure)
            raise

    async def death_evidence(
        self,
        watched: Sequence[Watched],
        authority: Pubkey,
        *,
        is_known: Callable[[str], bool],
    ) -> dict[str, DeathEvidence]:
        """Evidence from one node for a proof of death, see ``collect_death_evidence``."""
        async with self.one_node() as node:
            return await collect_death_evidence(
                node.url,
                watched,
                authority,
                is_known=is_known,
                request_timeout=self._timeout,
                throttle=self._throttle,
            )


def _about(
    part: Sequence[P], ask: Callable[[Node, Sequence[P]], Awaitable[T]]
) -> Callable[[Node], Awaitable[T]]:
    """The question about one part of a long list."""
    return lambda node: ask(node, part)


async def _itself(node: Node) -> Node:
    await node.genesis_hash()
    return node
