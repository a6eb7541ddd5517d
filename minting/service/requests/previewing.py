"""What a selection would become if it were minted now: counted, and kept as one document.

The same for a handful in a request and for a million in a worker (``errands``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F
from django.utils import timezone

from minting.conf import current
from minting.engine.amounts import base_units_lost
from minting.engine.errors import InvalidItem
from minting.models import Errand, MintSelection
from minting.service.plan.estimate import Estimate
from minting.service.plan.planning import RefusedGroup
from minting.service.requests.errands import Beat
from minting.service.requests.prepare import NAMED, Preview, preview
from minting.service.requests.selections import picked
from readings import queries

EXAMPLES = 3
"""Readings named for each reason."""

WALLETS_NAMED = 20
"""Wallets named in a list; how many there are is told besides."""

LATELY = timedelta(days=7)
"""A wallet that replaced another one within these days is worth a second look."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Readings of a selection that are not minted, for one reason."""

    code: str
    reason: str
    count: int
    examples: list[str]


@dataclass(frozen=True, slots=True)
class RefusedWallet:
    """A wallet that the chain, as it is now, forbids to pay."""

    wallet: str
    readings: int
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChangedWallet:
    """A wallet that took another one's place lately, and would be paid."""

    wallet: str
    owner: str
    since: str
    readings: int


@dataclass(frozen=True, slots=True)
class Changed:
    """Readings that stand otherwise than when they were selected."""

    before: str
    now: str
    code: str
    count: int


@dataclass(frozen=True, slots=True)
class Costs:
    """Lamports, but for the numbers of transactions and accounts."""

    transactions: int
    new_accounts: int
    network_fee: int
    priority_fee: int
    rent: int
    total: int
    balance: int
    balance_after: int
    missing: int


@dataclass(frozen=True, slots=True)
class Summary:
    """All that the page before minting shows."""

    made_at: str
    readings: int
    wallets: int
    kwh: str
    base_units: int
    lost: str
    """Base units that rounding down takes, all readings together."""
    costs: Costs | None
    left_out: list[LeftOut] = field(default_factory=list)
    refused: list[RefusedWallet] = field(default_factory=list)
    """The first of them."""
    refused_wallets: int = 0
    changed_wallets: list[ChangedWallet] = field(default_factory=list)
    """The first of them."""
    changed_wallets_count: int = 0
    changed: list[Changed] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """As one document."""
        return asdict(self)

    @classmethod
    def of_json(cls, told: dict[str, Any]) -> Summary:
        """What ``as_json`` wrote."""
        kinds: dict[str, Any] = {
            "left_out": LeftOut,
            "refused": RefusedWallet,
            "changed_wallets": ChangedWallet,
            "changed": Changed,
        }
        lists = {name: [kind(**row) for row in told[name]] for name, kind in kinds.items()}
        costs = told["costs"] and Costs(**told["costs"])
        return cls(**{**told, **lists, "costs": costs})

    @property
    def made(self) -> datetime:
        """When it was counted."""
        return datetime.fromisoformat(self.made_at)

    @property
    def left_out_count(self) -> int:
        """Readings of the selection that are not minted."""
        return sum(each.count for each in self.left_out)


def summarise(selection: MintSelection, *, passing: Callable[[int], None] | None = None) -> Summary:
    """Counts what minting the selection would pay, cost, and leave out; mints nothing.

    Args:
        selection: Which readings.
        passing: Told how many wallets were looked at, now and then.

    Raises:
        MintingRefused: wrong cluster, mint, authority or decimals.
        SolanaError: a node refused to answer what it was asked.
    """
    made_at = timezone.now()
    seen = preview(picked(selection), passing=passing)
    changed_wallets = queries.wallets_changed(
        picked(selection), since=made_at - LATELY, allowed=NAMED
    )
    refused = seen.estimate.refused if seen.estimate else ()
    config = current()
    return Summary(
        made_at=made_at.isoformat(),
        readings=seen.totals.readings,
        wallets=seen.totals.wallets,
        kwh=str(seen.totals.kwh),
        base_units=seen.totals.base_units,
        lost=str(
            base_units_lost(
                seen.totals.kwh,
                seen.totals.base_units,
                ratio=config.ratio,
                decimals=config.decimals,
            )
        ),
        costs=_costs(seen.estimate) if seen.estimate else None,
        left_out=_left_out(seen),
        refused=_refused(refused)[:WALLETS_NAMED],
        refused_wallets=len({each.group.wallet for each in refused}),
        changed_wallets=[
            ChangedWallet(each.address, each.owner, each.since.isoformat(), each.readings)
            for each in changed_wallets[:WALLETS_NAMED]
        ],
        changed_wallets_count=len(changed_wallets),
        changed=changed_since(selection),
    )


def preview_errand(errand: Errand, beat: Beat) -> dict[str, Any]:
    """The work of a worker: the same, telling how far it is."""
    beat.begin(queries.count_wallets(picked(errand.selection)))
    return summarise(errand.selection, passing=beat).as_json()


def changed_since(selection: MintSelection) -> list[Changed]:
    """How many of its readings stand otherwise than when they were selected, the most first."""
    rows = (
        selection.items.exclude(status=F("reading__status"))
        .values_list("status", "reading__status", "reading__code")
        .annotate(count=Count("reading_id"))
        .order_by("-count")
    )
    return [Changed(*row) for row in rows]


def _costs(estimate: Estimate) -> Costs:
    cost = estimate.cost
    return Costs(
        transactions=estimate.transactions,
        new_accounts=estimate.new_accounts,
        network_fee=cost.network_fee,
        priority_fee=cost.priority_fee,
        rent=cost.rent,
        total=cost.total,
        balance=estimate.balance,
        balance_after=estimate.balance_after,
        missing=estimate.missing,
    )


def _left_out(seen: Preview) -> list[LeftOut]:
    """Why readings are left out, the commonest reason first."""
    by_code: dict[str, list[InvalidItem]] = defaultdict(list)
    for item in seen.excluded:
        by_code[item.code].append(item)
    return [
        LeftOut(
            code,
            items[0].detail,
            len(items),
            [str(item.reading_id) for item in items[:EXAMPLES]],
        )
        for code, items in sorted(by_code.items(), key=lambda pair: -len(pair[1]))
    ]


def _refused(groups: Iterable[RefusedGroup]) -> list[RefusedWallet]:
    """By wallet, those with the most readings first."""
    readings: dict[tuple[str, str, str], int] = defaultdict(int)
    for each in groups:
        readings[str(each.group.wallet), each.code, each.reason] += len(each.group.payments)
    found = [
        RefusedWallet(wallet, count, code, reason)
        for (wallet, code, reason), count in readings.items()
    ]
    return sorted(found, key=lambda each: -each.readings)
