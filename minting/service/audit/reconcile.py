"""Chain against journal, both ways, at ``finalized``.

The mint's history is walked back from a finalized slot to where the last walk ended, a page at a
time; what the journal knows is settled by its signature, the rest is fetched and read. Then the
journal's finalized transactions are compared with the results that they pay, and the supply with
the sum of it all (I7). What is not final yet is no difference.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import structlog
from django.db import transaction
from solders.pubkey import Pubkey

from minting import journal
from minting.cluster.client import Node
from minting.cluster.concurrency import pages
from minting.cluster.history import BackwardWalk, fetch_landed
from minting.engine.audit import (
    Contents,
    Difference,
    Finding,
    sort_page,
)
from minting.engine.errors import BlockchainError, MintingRefused, MintNotFinal, SolanaError
from minting.engine.mints import require_mintable
from minting.engine.states import TransactionStatus
from minting.engine.types import Commitment, HistoryEntry, LandedTransaction, MintFacts
from minting.journal import Progress
from minting.models import (
    MintInfo,
    MintTransaction,
    ReconcileCursor,
    ReconcileRun,
    RunStatus,
)
from minting.service.audit.adopt import AdoptReport, adopt_file
from minting.service.chain.preflight import look_at_mint
from minting.service.chain.program import program_for
from minting.service.chain.session import Session
from minting.service.drive.recover import recover
from minting.service.drive.tracking import Flight, tick
from minting.service.history.auditing import (
    audit_journal,
    audit_statuses,
    landed_contents,
    own_contents,
)
from minting.service.history.gate import database_identity, pinned_node

log = structlog.get_logger(__name__)

PATIENCE = 90.0
"""Seconds to wait at most for finality of what is journalled as landed."""

LOOK_EVERY = 0.5
"""Seconds between two looks at it."""

SHOWN = 20
"""Wallets that a finding names, those who got most first."""

FLIGHTS = 256
"""What one ``getSignatureStatuses`` answers."""

READ_AT_ONCE = 100
"""Transactions fetched together: each is tens of kilobytes of JSON."""


@dataclass(frozen=True, slots=True)
class ReconcileReport:
    """A run as it ended, and what became of the file that was adopted."""

    run: ReconcileRun
    adopted: AdoptReport | None = None

    @property
    def clean(self) -> bool:
        """Whether no difference is open."""
        return RunStatus(self.run.status) is RunStatus.CLEAN


def reconcile_after_recovery(
    session: Session, *, adopt: Path | None = None, patience: float = PATIENCE
) -> ReconcileReport:
    """What the command does: recover, wait for finality, compare all of the journal.

    Raises:
        SolanaError, MintingRefused: The chain could not be asked.
    """
    recover(session)
    wait_for_finality(session, patience)
    return reconcile(session, adopt=adopt, thorough=True)


def wait_for_finality(session: Session, patience: float) -> None:
    """Until mint and all that is confirmed are finalized, or the patience is over."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and not _mint_is_final(session):
        time.sleep(LOOK_EVERY)
    while time.monotonic() < deadline:
        rows = MintTransaction.objects.filter(status=TransactionStatus.CONFIRMED)
        flights = [Flight.of(row) for row in rows.defer("reading_ids")[:FLIGHTS]]
        if not flights:
            return
        tick(session, flights, search_history=True)
        time.sleep(LOOK_EVERY)


def reconcile(
    session: Session, *, adopt: Path | None = None, thorough: bool = False
) -> ReconcileReport:
    """One run.

    Args:
        session: The way to the chain.
        adopt: A file of the journal, to explain what the database does not know.
        thorough: Compares all of the journal with its results and statuses, not only what is new.

    Raises:
        MintNotFinal: There is nothing to compare yet.
        SolanaError, MintingRefused: The chain could not be asked; nothing was concluded.
    """
    mint, facts = look_at_mint(session)
    never_walked = not ReconcileCursor.objects.filter(mint=mint, slot__gte=0).exists()
    if never_walked and not _mint_is_final(session):
        raise MintNotFinal
    with transaction.atomic():
        run, cursor = journal.begin_run(mint, thorough=thorough)
    try:
        return _Comparison(session, mint, facts, run, cursor).carry_out(adopt)
    except (BlockchainError, OSError) as error:
        with transaction.atomic():
            journal.fail_run(run, str(error))
        raise


def _mint_is_final(session: Session) -> bool:
    view = session.run(
        session.cluster.account(session.config.need_mint(), commitment=Commitment.FINALIZED)
    )
    return view is not None


@dataclass(slots=True)
class _Comparison:
    """One run's way through chain and journal."""

    session: Session
    mint: MintInfo
    facts: MintFacts
    run: ReconcileRun
    cursor: ReconcileCursor
    newest: HistoryEntry | None = None
    minted: int = 0
    burned: int = 0
    journalled: int = 0

    def carry_out(self, adopt: Path | None) -> ReconcileReport:
        with pinned_node(self.session) as node:
            supply, slot = self.session.run(
                node.token_supply(self.facts.address, commitment=Commitment.FINALIZED)
            )
            if slot < self.cursor.slot:
                raise SolanaError(f"{node.name} is behind slot {self.cursor.slot}")
            self._walk(node, slot)
            explained = self._explain(supply, slot)
            adopted = None
            if adopt is not None:
                adopted = adopt_file(self.session, node, adopt, mint=self.mint, facts=self.facts)
            audit_journal(self.session, node, self.run, self.mint, self.facts, up_to_slot=slot)
            audit_statuses(self.run, self.mint)
            self._judge_mint()
        with transaction.atomic():
            run = journal.finish_run(self.run, to_slot=slot, on_chain=supply, explained=explained)
            self._turn_gate()
        return ReconcileReport(run, adopted)

    def _walk(self, node: Node, slot: int) -> None:
        """All of the mint's history after the cursor, up to the slot, page by page."""
        walk = BackwardWalk(
            node,
            self.facts.address,
            up_to_slot=slot,
            until=self.cursor.signature or None,
            until_slot=max(self.cursor.slot, 0) if self.cursor.signature else 0,
        )
        while not walk.done:
            page = self.session.run(walk.page())
            if page:
                self.newest = self.newest or page[0]
                self._take(node, page)

    def _take(self, node: Node, page: tuple[HistoryEntry, ...]) -> None:
        rows = {
            row.signature: row
            for row in journal.of_mint(self.mint)
            .filter(signature__in=[entry.signature for entry in page])
            .only("id", "signature", "status", "raw")
        }
        told = sort_page(
            page, {signature: TransactionStatus(row.status) for signature, row in rows.items()}
        )
        result = _Page()
        doubtful = list(told.doubtful)
        for entry in told.settled:
            contents = own_contents(rows[entry.signature], self.facts)
            if contents is None:
                doubtful.append(entry)
            else:
                self._count(contents, journalled=True)
                result.met[rows[entry.signature].id] = entry.slot
        for part in pages([entry.signature for entry in doubtful], READ_AT_ONCE):
            for landed in self.session.run(fetch_landed(node, part)):
                self._judge(landed, rows.get(landed.signature), result)
        with transaction.atomic():
            journal.store_page(
                self.run,
                seen=len(page),
                read=len(doubtful),
                met=result.met,
                findings=result.findings,
            )

    def _count(self, contents: Contents, *, journalled: bool) -> None:
        self.minted += contents.minted
        self.burned += contents.burned
        self.journalled += contents.minted if journalled else 0

    def _judge(self, landed: LandedTransaction, row: MintTransaction | None, result: _Page) -> None:
        """One transaction that the journal does not know, or of which it knows otherwise."""
        if landed.err is not None:
            return  # nothing was minted; a row that says otherwise is found missing
        contents = landed_contents(landed, self.facts.address)
        self._count(contents, journalled=row is not None)
        if row is not None:
            result.met[row.id] = landed.slot
        elif contents.mints:
            result.findings.append(unknown_mint(contents, landed))

    def _explain(self, supply: int, slot: int) -> int:
        """I7 at the slot. Only where it holds does the cursor move: it is the check of the walk."""
        explained = int(
            self.cursor.minted
            + self.minted
            - self.cursor.burned
            - self.burned
            + self.cursor.accepted
        )
        with transaction.atomic():
            if supply == explained:
                journal.move_cursor(
                    self.cursor,
                    Progress(
                        self.newest.signature if self.newest else "",
                        slot,
                        self.minted,
                        self.burned,
                        self.journalled,
                    ),
                )
            else:
                journal.record_findings(
                    self.run,
                    [
                        Finding(
                            Difference.SUPPLY_DIFFERENCE,
                            on_chain=supply,
                            in_journal=explained,
                            detail=f"At slot {slot}: what was minted and burned, as far as the "
                            "node's history goes back, does not give the supply",
                        )
                    ],
                )
        return explained

    def _judge_mint(self) -> None:
        """A change of the mint's authority or decimals is an alarm (I7)."""
        config = self.session.config
        try:
            require_mintable(
                self.facts,
                authority=config.need_authority(),
                decimals=config.decimals,
                minters=program_for(config, self.facts).minters(),
            )
        except MintingRefused as refused:
            finding = Finding(
                Difference.MINT_CHANGED, wallet=str(self.facts.address), detail=str(refused)
            )
            with transaction.atomic():
                journal.record_findings(self.run, [finding])

    def _turn_gate(self) -> None:
        """Open when nothing is on chain that the journal does not explain; else closed."""
        unexplained = journal.unexplained(self.mint)
        identity = database_identity()
        if unexplained.exists():
            journal.close_gate(
                f"Reconciliation found {unexplained.count()} differences that nobody has "
                "explained: adopt what is ours, acknowledge what is not",
                identity,
            )
        else:
            journal.open_gate(identity)


@dataclass(slots=True)
class _Page:
    """What one page of history came to."""

    met: dict[UUID, int] = field(default_factory=dict)
    """Slots of journalled transactions that landed, by their id."""
    findings: list[Finding] = field(default_factory=list)


def unknown_mint(contents: Contents, landed: LandedTransaction) -> Finding:
    """Who minted how much to whom, as far as the chain tells."""
    owners = {contents.keys[number]: owner for number, owner in landed.token_owners}
    sums: Counter[Pubkey] = Counter()
    for account, units in contents.by_account.items():
        sums[owners.get(account, account)] += units
    told = [f"minted by {', '.join(sorted({str(each.authority) for each in contents.mints}))}"]
    if contents.memo is not None:
        told.append(f"with our memo, of batch {contents.memo[0]}")
    told += [f"{wallet}: {units:,}" for wallet, units in sums.most_common(SHOWN)]
    if len(sums) > SHOWN:
        told.append(f"and {len(sums) - SHOWN} wallets more")
    return Finding(
        Difference.UNKNOWN_MINT,
        landed.signature,
        str(next(iter(sums))) if len(sums) == 1 else "",
        on_chain=contents.minted,
        detail="; ".join(told),
    )
