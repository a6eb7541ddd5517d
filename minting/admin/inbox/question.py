"""What a second person is asked about a changed wallet: facts, what is odd, what it moves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from minting.admin import addresses, explorer, show, tables
from readings import backlog, intake
from readings.admin import copying
from readings.models import WalletChange
from readings.rules import ReadingCode, ReadingStatus
from readings.second_person import ChangeStatus, ChangeWay

NAMED = 5
"""Other owners who are paid at the same address, by name."""

ALIKE = 3
"""Characters at both ends that two addresses share by malice rather than by chance."""

WAYS = {
    ChangeWay.ADMIN: "the admin",
    ChangeWay.API: "the API",
    ChangeWay.IMPORT: "a file of the registry",
    ChangeWay.COMMAND: "a command",
}


def question(row: WalletChange) -> dict[str, Any]:
    """What a second person is asked."""
    old = row.old_wallet.address if row.old_wallet else ""
    facts: list[tuple[str, Any]] = [
        ("Owner", show.row_link(row.owner)),
        ("Asked by", asker(row)),
        ("Asked", format_html("{}, by {}", show.time(row.proposed_at), WAYS[ChangeWay(row.way)])),
    ]
    if row.import_file is not None:
        facts.append(("File", show.row_link(row.import_file)))
    if row.exception_reason:
        facts.append(("Exception", f"{_allowed(row)}: {row.exception_reason}"))
    shown: dict[str, Any] = {
        "wallets": [
            ("Old wallet", _whole(old) or "none: it was retired, and readings wait for a wallet"),
            ("New wallet", _whole(row.address)),
        ],
        "waits": row.status == ChangeStatus.PROPOSED,
    }
    if not shown["waits"]:
        return {**shown, "facts": facts}
    heap = backlog.piles_of(row.owner_id)
    amount = _moved(heap)
    return {
        **shown,
        "facts": [*facts, ("Void after", show.time(row.expires_at))],
        "warnings": list(oddities(row, old)),
        "amount": f"{show.readings(amount.readings)}, {show.kwh(amount.kwh)}",
        "piles": tables.table(["Readings", "Energy", "What becomes of them"], _fates(heap)),
    }


def oddities(row: WalletChange, old: str) -> Iterator[str]:
    """What is remarkable about the new address."""
    others = list(intake.also_paid_at(row)[: NAMED + 1])
    if others:
        more = " and others" if len(others) > NAMED else ""
        names = ", ".join(map(str, others[:NAMED]))
        yield f"Others are paid at this address, too: {names}{more}."
    before = row.owner.wallets.filter(address=row.address).exclude(retired_at=None)
    if before.exists():
        yield "The owner had this address before: ask why it was given up."
    if row.address == old:
        yield "The address stays as it is: only what is allowed of it changes."
    elif old and old[:ALIKE] == row.address[:ALIKE] and old[-ALIKE:] == row.address[-ALIKE:]:
        yield (
            "Both addresses begin and end alike, as forged ones do: compare every character with "
            "what the owner says."
        )
    if row.allow_off_curve or row.allow_program_owned:
        yield f"An exception comes with it: {_allowed(row)}."


_FATES: dict[ReadingStatus, str] = {
    ReadingStatus.PENDING: "pending: paid at the old wallet until it is approved, then at the new",
    ReadingStatus.HELD: "held for another cause: paid at the wallet of the day they are let go",
    ReadingStatus.RETRYING: "to be tried again: paid at the wallet of then",
    ReadingStatus.FAILED: "failed: if somebody tries again, paid at the wallet of then",
    ReadingStatus.MINTING: "in a batch: paid at the wallet that the batch was made with",
    ReadingStatus.IN_DOUBT: "in doubt: paid, if at all, at the wallet that the batch was made with",
}
_WAITS_FOR_WALLET = "held for want of a wallet: let go, and paid at the new one, once approved"


def _fates(heap: list[backlog.Pile]) -> Iterator[list[str]]:
    """Of the owner's readings, the ones first that the answer is about."""
    by_fate: dict[str, backlog.Amount] = {}
    for pile in sorted(heap, key=lambda each: list(_FATES).index(each.status)):
        fate = _WAITS_FOR_WALLET if _waits_for_wallet(pile) else _FATES[pile.status]
        by_fate[fate] = by_fate.get(fate, backlog.Amount()) + pile.amount
    for fate, amount in by_fate.items():
        yield [f"{amount.readings:,}", show.kwh(amount.kwh), fate]


def _moved(heap: list[backlog.Pile]) -> backlog.Amount:
    """What the next batch would pay at the new wallet."""
    return sum(
        (
            pile.amount
            for pile in heap
            if pile.status is ReadingStatus.PENDING or _waits_for_wallet(pile)
        ),
        backlog.Amount(),
    )


def _waits_for_wallet(pile: backlog.Pile) -> bool:
    return pile.status is ReadingStatus.HELD and pile.code == ReadingCode.NO_WALLET


def _whole(address: str) -> SafeString | str:
    """All of it: its ends alone would not tell it from a forged one."""
    if not address:
        return ""
    return format_html(
        '<code class="address">{}</code> {}{}',
        address,
        copying.button(address, "wallet"),
        explorer.address(address, addresses.cluster()),
    )


def asker(row: WalletChange) -> str:
    """Who asked; of a file also who brought it."""
    by = row.proposed_by.get_username() if row.proposed_by else "a command"
    brought = row.import_file.brought_by if row.import_file else None
    if brought is None or brought == row.proposed_by:
        return by
    return f"{by}; brought by {brought.get_username()}"


def _allowed(row: WalletChange) -> str:
    allowed = {
        "may be off the curve": row.allow_off_curve,
        "may be owned by a program": row.allow_program_owned,
    }
    return ", ".join(name for name, is_allowed in allowed.items() if is_allowed)
