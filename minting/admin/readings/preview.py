"""A counted selection as people read it: figures, cost, warnings, what is left out and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from minting.admin import addresses, show, tables
from minting.admin.filters import HELD, NOT_MINTED
from minting.conf import approval_policy, current
from minting.engine.approval import Asked
from minting.models import MintSelection
from minting.service.requests.previewing import LATELY, Changed, Costs, LeftOut, Summary
from readings.rules import ReadingCode, reason_of

_STATUS_OF = {
    ReadingCode.ALREADY_MINTED: "minted",
    ReadingCode.BEING_MINTED: "minting",
}
"""Where readings are listed that are left out for how they stand."""

_BECAME = {
    "minted": "minted meanwhile",
    "minting": "being minted by another batch",
    "in_doubt": "in doubt, in another batch",
    "held": "held now",
    "not_minted": "not to be minted any more",
    "pending": "pending now",
    "retrying": "failed meanwhile, and retried by themselves",
    "failed": "failed meanwhile",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of the page."""

    name: str
    value: str
    more: str = ""


def page_of(selection: MintSelection, summary: Summary) -> dict[str, Any]:
    """All that the template shows."""
    costs = summary.costs
    return {
        "title": f"Mint {summary.readings:,} of {show.readings(selection.size)}?",
        "button": f"Mint {show.readings(summary.readings)}" if summary.readings else "",
        "counted_at": show.time(summary.made),
        "figures": figures(summary),
        "cost": cost_rows(costs) if costs else None,
        "unknown_cost": "" if costs else unknown_cost(),
        "missing": missing(costs),
        "notices": notices(summary),
        "changed": changed_words(summary.changed),
        "refused": refused_rows(summary),
        "refused_more": summary.refused_wallets - len(summary.refused),
        "changed_wallets": wallet_rows(summary),
        "changed_wallets_count": summary.changed_wallets_count,
        "changed_wallets_more": summary.changed_wallets_count - len(summary.changed_wallets),
        "lately_days": LATELY.days,
        "excluded_count": f"{summary.left_out_count:,}" if summary.left_out else "",
        "excluded": left_out_rows(summary.left_out),
        "not_taken": not_taken(selection),
    }


def figures(summary: Summary) -> list[Figure]:
    """How much would be minted for how many."""
    found = [
        Figure("Readings", f"{summary.readings:,}"),
        Figure("Wallets", f"{summary.wallets:,}"),
        Figure("Tokens", show.tokens(summary.base_units), f"for {show.kwh(Decimal(summary.kwh))}"),
    ]
    if (costs := summary.costs) is not None:
        accounts = f"{costs.new_accounts:,} token accounts to be created"
        rent = "rent included" if costs.rent else "no rent"
        found.append(Figure("Transactions", f"{costs.transactions:,}", accounts))
        found.append(Figure("Cost", show.sol(costs.total), rent))
    return found


def unknown_cost() -> str:
    """Why nothing is said of it."""
    if not current().fee_estimation_enabled:
        return "Estimates are switched off: the balance is checked before anything is signed."
    return (
        "No node answers, so the cost is not known. What is queued waits for one, and the balance "
        "is checked before anything is signed."
    )


def cost_rows(costs: Costs) -> dict[str, Any]:
    """What it costs, and what the authority has left."""
    rows = [
        ("Network fee", costs.network_fee),
        ("Priority fee", costs.priority_fee),
        (f"Rent of {costs.new_accounts:,} new token accounts", costs.rent),
        ("Total", costs.total),
        ("Balance of the mint authority now", costs.balance),
        ("Balance afterwards", costs.balance_after),
    ]
    return tables.table(
        ["Item", "Lamports", "SOL"],
        [[name, f"{amount:,}", show.sol(amount)] for name, amount in rows],
    )


def missing(costs: Costs | None) -> str:
    """What the mint authority is short of, or nothing."""
    if costs is None or not costs.missing:
        return ""
    return f"{show.lamports(costs.missing)} ({show.sol(costs.missing)})"


def notices(summary: Summary) -> list[str]:
    """What a person should have seen before pressing."""
    said = []
    costs = summary.costs
    asked = Asked(Decimal(summary.kwh), costs.total if costs else 0)
    if why := approval_policy().why(asked, Asked(Decimal(0), 0)):
        said.append(f"A second person has to approve this batch before it is minted: {why}.")
    if costs is not None and costs.priority_fee >= costs.network_fee > 0:
        times = Decimal(costs.priority_fee) / costs.network_fee
        said.append(
            f"The priority fee is high: {times:.1f} times the network fee. "
            "BLOCKCHAIN_PRIORITY_FEE bids it, BLOCKCHAIN_MAX_PRIORITY_FEE bounds it."
        )
    if Decimal(summary.lost) > 0:
        lost = show.tokens(Decimal(summary.lost))
        said.append(
            f"Rounding down takes {lost} in all: the energy has more places than the token."
        )
    return said


def changed_words(changed: list[Changed]) -> str:
    """``3 were minted meanwhile, 1 is held now (…)``; empty where all stand as they stood."""
    parts = []
    for each in changed:
        why = f" ({each.code.replace('_', ' ')})" if each.code and each.now == "held" else ""
        verb = "is" if each.count == 1 else "are"
        parts.append(f"{each.count:,} {verb} {_BECAME.get(each.now, each.now)}{why}")
    return ", ".join(parts)


def refused_rows(summary: Summary) -> dict[str, Any] | None:
    """Wallets that the chain as it is now forbids to pay: their readings would fail."""
    if not summary.refused:
        return None
    return tables.table(
        ["Wallet", "Readings", "Reason"],
        [
            [addresses.wallet(each.wallet), f"{each.readings:,}", each.reason]
            for each in summary.refused
        ],
    )


def wallet_rows(summary: Summary) -> dict[str, Any] | None:
    """Wallets that took another's place lately."""
    if not summary.changed_wallets:
        return None
    return tables.table(
        ["Owner", "Wallet now", "Since", "Readings"],
        [
            [
                each.owner,
                addresses.wallet(each.wallet),
                show.time(datetime.fromisoformat(each.since)),
                f"{each.readings:,}",
            ]
            for each in summary.changed_wallets
        ],
    )


def left_out_rows(left_out: list[LeftOut]) -> dict[str, Any]:
    """Reasons with how many readings they concern, which, for example, and where all are."""
    rows = tables.reason_rows(
        [
            tables.Reason(each.code, each.reason, each.count, [UUID(id_) for id_ in each.examples])
            for each in left_out
        ]
    )
    for row, each in zip(rows["rows"], left_out, strict=True):
        if url := _listed(each.code):
            row[0] = show.link(url, f"{each.count:,}", title="All readings that stand so")
    return rows


def not_taken(selection: MintSelection) -> list[SafeString]:
    """What matched and was left where it is, by status, each with a link to its list."""
    return [
        format_html(
            "{} {}",
            f"{count:,}",
            show.link(listed(status__exact=status), status.replace("_", " ")),
        )
        for status, count in sorted(selection.left_out.items(), key=lambda pair: -pair[1])
    ]


def listed(**filters: str) -> str:
    """The list of readings with these filters."""
    return f"{reverse('admin:readings_meterreading_changelist')}?{urlencode(filters)}"


def _listed(code: str) -> str:
    if code in _STATUS_OF:
        return listed(status__exact=_STATUS_OF[ReadingCode(code)])
    return listed(reason=code) if code in {*HELD, *NOT_MINTED} and reason_of(code) else ""
