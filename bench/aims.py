"""The aims of the benchmark, judged by what was measured; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.figures import LISTING, ONE_BY_ONE, OURS, Book, Run

SIGNATURE = 5_000
"""Lamports."""
WALLETS_V1, WALLETS_V0 = 60, 19
"""That one transaction pays (docs/architecture.md)."""
TOLERANCE = 1.05
THOUSAND = "1,000 of 1,000"


@dataclass(frozen=True, slots=True)
class Aim:
    """One sentence, what is wanted, what was measured."""

    what: str
    wanted: str
    measured: str
    ok: bool


def judge(book: Book) -> list[Aim]:
    """Every aim for which there is a measurement."""
    return [
        *_fees(book),
        *_times(book, "ways", ONE_BY_ONE, 300, "one by one"),
        *_times(book, "limited", LISTING, 20, "the listing, node of 100 requests a second"),
        *_rate(book),
        *_calls(book),
        *_memory(book),
        *_kept(book),
        *_intake(book),
        *_pages(book),
    ]


def _fees(book: Book) -> Iterator[Aim]:
    for version, wallets in (("v1", WALLETS_V1), ("v0", WALLETS_V0)):
        most = SIGNATURE / wallets * TOLERANCE
        for run in book.find("fees", accounts="existing", note=version):
            if run.readings == run.wallets:
                yield _at_most(f"lamports a wallet, {version}", most, run.fee_per_wallet)


def _times(book: Book, section: str, way: str, least: float, named: str) -> Iterator[Aim]:
    for run in book.find(section, workload=THOUSAND):
        for slow in book.find(section, way, workload=THOUSAND, accounts=run.accounts):
            yield _at_least(
                f"times {named}, {THOUSAND}, {run.accounts} accounts", least, run.rate / slow.rate
            )


def _rate(book: Book) -> Iterator[Aim]:
    for run in book.find("growth", workers=2):
        if run.readings >= 10_000:
            yield _at_least(f"readings/s, {run.workload}, 2 workers", 1_500, run.rate)


def _calls(book: Book) -> Iterator[Aim]:
    for run in [*book.find("ways", workload=THOUSAND), *book.find("fees", note="v1")]:
        if run.wallets >= 1_000:
            how = "through the queue" if run.section == "ways" else "in process"
            most = 60 if run.accounts == "existing" else 260
            name = f"RPC calls for 1,000 wallets, {run.accounts} accounts, {how}"
            yield _at_most(name, most, run.calls_per_thousand)


def _memory(book: Book) -> Iterator[Aim]:
    known = [run for run in book.find("growth") if run.peak_mb is not None]
    if known:
        worst = max(known, key=lambda run: run.peak_mb or 0)
        name = f"MB a worker at most ({worst.workload}, {worst.note})"
        yield _at_most(name, 300, worst.peak_mb or 0)


def _kept(book: Book) -> Iterator[Aim]:
    runs: list[Run] = book.find("limited", OURS)
    if runs:
        refused = sum(run.refused for run in runs)
        yield _at_most("requests above SOLANA_RPC_MAX_PER_SECOND", 0, refused)


def _intake(book: Book) -> Iterator[Aim]:
    for each in book.intake:
        yield _at_least(f"readings/s into the database, {each.what}", 5_000, each.rate)
    if book.intake:
        first = book.intake[0]
        yield _at_most("statements for 1,000 readings", first.few_statements, first.statements)


def _pages(book: Book) -> Iterator[Aim]:
    """The slowest of those that may take equally long: hundreds are timed."""
    limits = sorted({each.limit for each in book.timings if each.limit is not None})
    for limit in limits:
        alike = [each for each in book.timings if each.limit == limit]
        slowest = max(alike, key=lambda each: each.p50)
        name = f"ms at the median, slowest of {len(alike)} ({slowest.name})"
        yield _at_most(name, limit, slowest.p50)


def _at_most(what: str, most: float, measured: float) -> Aim:
    return Aim(what, f"≤ {most:,.4g}", f"{measured:,.1f}", measured <= most)


def _at_least(what: str, least: float, measured: float) -> Aim:
    return Aim(what, f"≥ {least:,.6g}", f"{measured:,.1f}", measured >= least)
