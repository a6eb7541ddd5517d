"""The report: Markdown for people, one document for programs; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.aims import Aim
from bench.figures import Book, Idle, Latency, Phase, Run, Taken, Timing, percentile

TITLES = {
    "ways": "Three ways, node without a limit",
    "limited": "Three ways, node of 100 requests a second",
    "fees": "Fees and calls (ours, in process)",
    "growth": "Growth (ours, through queue and workers)",
    "profile": "Under cProfile",
}
Rows = Sequence[Sequence[str]]


def report(book: Book, aims: Sequence[Aim], facts: Mapping[str, str]) -> str:
    """All tables, in the order of the sections."""
    parts = [_table(("machine", ""), list(facts.items()))]
    for section, title in TITLES.items():
        runs = [run for run in book.runs if run.section == section]
        if runs:
            parts += [f"### {title}", _table(_HEAD, [_run(run) for run in runs])]
    if book.runs:
        parts += ["### RPC calls by method", _table(("run", "calls"), _calls(book.runs))]
    if book.latencies:
        head = ("way", "readings", "requests", "p50 s", "p95 s", "")
        parts += [
            "### Latency, request to last confirmed signature",
            _table(head, [_latency(each) for each in book.latencies]),
        ]
    for name, phases in book.phases.items():
        steps = ("step", "seconds", "of them CPU", "calls")
        parts += [f"### Where the time goes: {name}", _table(steps, [_phase(p) for p in phases])]
    if book.idle:
        parts += [
            "### Without work",
            _table(("what", "seconds", "calls"), [_idle(each) for each in book.idle]),
        ]
    if book.intake:
        head = (
            "a request of",
            "requests",
            "readings/s",
            "slowest",
            "statements",
            "of ten readings",
        )
        parts += ["### Intake", _table(head, [_taken(each) for each in book.intake])]
    if book.timings:
        asked = ("page or endpoint", "p50 ms", "p95 ms", "queries", "limit ms", "")
        parts += ["### A million readings", _table(asked, [_timing(each) for each in book.timings])]
    if aims:
        parts += ["### Aims", _table(("aim", "wanted", "measured", ""), [_aim(a) for a in aims])]
    return "\n\n".join(parts) + "\n"


def document(book: Book, aims: Sequence[Aim], facts: Mapping[str, str]) -> dict[str, Any]:
    """The same for programs; what is derived stands beside what it is derived from."""
    return {
        "machine": dict(facts),
        "runs": [
            {
                **asdict(run),
                "readings_per_second": run.rate,
                "lamports_per_wallet": run.fee_per_wallet,
                "rent_per_wallet": run.rent_per_wallet,
                "calls_per_1000_wallets": run.calls_per_thousand,
            }
            for run in book.runs
        ],
        "latencies": [
            {
                **asdict(each),
                "p50": percentile(each.seconds, 50),
                "p95": percentile(each.seconds, 95),
            }
            for each in book.latencies
        ],
        "phases": {name: [asdict(each) for each in phases] for name, phases in book.phases.items()},
        "idle": [asdict(each) for each in book.idle],
        "intake": [{**asdict(each), "readings_per_second": each.rate} for each in book.intake],
        "lists": [asdict(each) for each in book.timings],
        "aims": [asdict(each) for each in aims],
    }


_HEAD = (
    *("way", "workload", "accounts", "measured on", "seconds", "readings/s", "lamports/wallet"),
    *("rent/wallet", "transactions", "RPC/1,000 wallets", "429", "queries", "peak MB"),
    *("CPU s", "database CPU s", "chain CPU s", ""),
)


def _run(run: Run) -> Sequence[str]:
    return (
        run.way,
        run.workload,
        run.accounts,
        "all" if run.readings == run.of else f"{run.readings:,}, extrapolated",
        f"{run.seconds:.2f}",
        f"{run.rate:,.1f}",
        f"{run.fee_per_wallet:,.1f}",
        f"{run.rent_per_wallet:,.0f}",
        f"{run.transactions:,}",
        f"{run.calls_per_thousand:,.0f}",
        f"{run.refused:,}",
        _known(run.queries, ",d"),
        _known(run.peak_mb, ".0f"),
        _known(run.cpu_seconds, ".1f"),
        _known(run.database_cpu_seconds, ".1f"),
        _known(run.chain_cpu_seconds, ".1f"),
        run.note,
    )


def _calls(runs: Sequence[Run]) -> Rows:
    return [
        (
            ", ".join(
                word
                for word in (run.way, run.section, run.workload, run.accounts, run.note)
                if word
            ),
            _methods(run.calls),
        )
        for run in runs
    ]


def _methods(calls: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {method}" for method, number in calls.items()) or "none"


def _latency(each: Latency) -> Sequence[str]:
    return (
        each.way,
        str(each.readings),
        str(len(each.seconds)),
        f"{percentile(each.seconds, 50):.2f}",
        f"{percentile(each.seconds, 95):.2f}",
        each.note,
    )


def _phase(each: Phase) -> Sequence[str]:
    return each.name, f"{each.wall:.2f}", f"{each.cpu:.2f}", f"{each.calls:,}"


def _idle(each: Idle) -> Sequence[str]:
    return each.what, f"{each.seconds:.0f}", _methods(each.calls)


def _taken(each: Taken) -> Sequence[str]:
    return (
        each.what,
        str(len(each.seconds)),
        f"{each.rate:,.0f}",
        f"{each.readings / max(each.seconds):,.0f}",
        str(each.statements),
        str(each.few_statements),
    )


def _timing(each: Timing) -> Sequence[str]:
    return (
        each.name,
        f"{each.p50:.0f}",
        f"{each.p95:.0f}",
        _known(each.queries, "d"),
        _known(each.limit, ".0f"),
        _mark(each.ok),
    )


def _aim(each: Aim) -> Sequence[str]:
    return each.what, each.wanted, each.measured, _mark(each.ok)


def _mark(ok: bool | None) -> str:
    return "" if ok is None else "ok" if ok else "**not ok**"


def _known(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _table(head: Sequence[str], rows: Rows) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
