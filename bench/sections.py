"""What is measured, section by section. Seeding, starts and stops are not part of any time."""

from __future__ import annotations

import cProfile
import io
import pstats
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

from django.core.management import call_command

from bench import intake as intakes
from bench import ours, people
from bench.figures import (
    LISTING,
    ONE_BY_ONE,
    OURS,
    Book,
    Idle,
    Latency,
    Measured,
    Run,
    Timing,
    difference,
    queued,
)
from bench.hall import Hall, Task, whole
from bench.lists import measure
from bench.million import fill
from bench.people import Village
from minting.service.chain.session import keep_sessions

LIMIT = 100
"""Requests a second of the node that rations them."""
NO_CAP = {"BLOCKCHAIN_MAX_TOKENS_PER_TRANSACTION": 10**18}
SEED_CAP = {"BLOCKCHAIN_MAX_TOKENS_PER_TRANSACTION": 10**12}
LIMITED = {"SOLANA_RPC_MAX_PER_SECOND": LIMIT}
NEW, EXISTING = "new", "existing"
CORES = 2
"""Workers, where their number is not what is compared: the aims are for two cores."""
IDLE_SECONDS = 62.0
"""Past a minute everything that runs every minute has run."""


@dataclass(frozen=True, slots=True)
class Workload:
    """So many readings of so many wallets, and how many of them the slow ways are measured on."""

    readings: int
    wallets: int
    one_by_one: int
    listing: int

    @property
    def name(self) -> str:
        """As in the tables."""
        return f"{self.readings:,} of {self.wallets:,}"

    @property
    def each(self) -> int:
        """Readings of one wallet."""
        return self.readings // self.wallets


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    free: tuple[Workload, ...] = (
        Workload(50, 50, 12, 50),
        Workload(1_000, 1_000, 20, 1_000),
        Workload(10_000, 500, 12, 1_000),
    )
    """Against the node that answers everything."""
    limited: tuple[Workload, ...] = (
        Workload(50, 50, 6, 50),
        Workload(1_000, 1_000, 6, 250),
        Workload(10_000, 500, 6, 250),
    )
    fees: int = 1_000
    growth: tuple[int, ...] = (1_000, 10_000, 100_000)
    growth_workers: tuple[int, ...] = (1, 2, 4)
    growth_each: int = 20
    """Readings of one wallet."""
    requests: int = 10
    """For each percentile."""
    profile: int = 10_000
    million: int = 1_100_000
    whole: bool = False
    """Whether the slow ways mint all of each workload."""

    def sample(self, all_: Sequence[Measured], size: int) -> Sequence[Measured]:
        """What a slow way is measured on."""
        return all_ if self.whole else all_[:size]


QUICK = Sizes(
    free=(Workload(50, 50, 2, 50),),
    limited=(),
    fees=50,
    growth=(50,),
    growth_workers=(1,),
    growth_each=1,
    requests=2,
    profile=50,
    million=40_000,
)


def sizes(*, quick: bool, whole: bool, most: int) -> Sizes:
    """By the options of the command line; growth stops at ``most`` readings."""
    chosen = QUICK if quick else Sizes()
    growing = tuple(readings for readings in chosen.growth if readings <= most)
    return replace(chosen, whole=whole, growth=growing)


@dataclass(slots=True)
class Bench:
    """A run: the servers, the sizes, and the book that is written."""

    hall: Hall
    sizes: Sizes
    seed: int
    book: Book
    _villages: Iterator[int]

    @classmethod
    def opened(cls, hall: Hall, sizes: Sizes, seed: int) -> Bench:
        """With an empty book."""
        return cls(hall, sizes, seed, Book(), count())

    def village(self, owners: int) -> Village:
        """New people; no two villages share a wallet."""
        return people.settle(f"village-{next(self._villages)}", owners, seed=self.seed)

    def note(self, run: Run) -> None:
        """Into the book, and a line for whoever waits."""
        self.book.runs.append(run)
        say(
            f"  {run.way}, {run.workload}, {run.accounts} accounts"
            f"{f', {run.note}' if run.note else ''}: {run.readings} in {run.seconds:.1f} s, "
            f"{run.rate:.1f}/s"
        )


def ways(bench: Bench) -> None:
    """The three ways on the same readings, one after the other, again and again."""
    keep_sessions()  # as web processes do, which take the requests
    for workload in bench.sizes.free:
        _compare(bench, workload, "ways", {})


def limited(bench: Bench) -> None:
    """The same against a node that answers a hundred requests a second."""
    keep_sessions()
    bench.hall.limit(LIMIT)
    try:
        for workload in bench.sizes.limited:
            _compare(bench, workload, "limited", LIMITED)
    finally:
        bench.hall.limit(None)


def _compare(bench: Bench, workload: Workload, section: str, values: dict[str, int]) -> None:
    say(f"{section}: {workload.name}")
    village = bench.village(workload.wallets)
    for accounts in (NEW, EXISTING):
        task = whole(section, accounts, village.measure(workload.each))
        _old_ways(bench, workload, task)
        with (
            ours.with_settings(**NO_CAP, **values) as environment,
            ours.workers(bench.hall, CORES, **environment) as crew,
        ):
            run, _ = ours.through_queue(crew, task)
            bench.note(run)


def _old_ways(bench: Bench, workload: Workload, task: Task) -> None:
    """Both, each on its sample; the sample of later mints is of the same wallets."""
    for way, size in ((ONE_BY_ONE, workload.one_by_one), (LISTING, workload.listing)):
        part = bench.sizes.sample(task.measured, size)
        if task.accounts == NEW and workload.each > 1 and not bench.sizes.whole:
            # The first readings of such a workload meet new accounts and the many others do not:
            # no sample of it stands for the whole.
            bench.hall.open_accounts(way, part)
            continue
        run, _ = bench.hall.baseline(way, replace(task, measured=part))
        bench.note(run)


def fees(bench: Bench) -> None:
    """What a wallet costs and what the node is asked, in this process alone, v1 and v0.

    The last two are of wallets with many readings each: there the seed's limit on the tokens of a
    transaction binds.
    """
    keep_sessions()  # as each worker does
    for version in ("1", "0"):
        village = bench.village(bench.sizes.fees)
        for accounts in (NEW, EXISTING):
            _fee(bench, village, 1, accounts, version=version, cap=NO_CAP)
    village = bench.village(max(1, bench.sizes.fees // 2))
    _open_accounts(bench, village)
    for cap, note in ((NO_CAP, ""), (SEED_CAP, "default token limit")):
        each = bench.sizes.growth_each
        _fee(bench, village, each, EXISTING, version="1", cap=cap, note=note)


def _fee(
    bench: Bench,
    village: Village,
    each: int,
    accounts: str,
    *,
    version: str,
    cap: dict[str, int],
    note: str = "",
) -> None:
    task = whole("fees", accounts, village.measure(each))
    with ours.with_settings(**cap, BLOCKCHAIN_TRANSACTION_VERSION=version):
        run, phases = ours.in_process(bench.hall, task)
    told = ", ".join(filter(None, (f"v{version}", note)))
    bench.note(replace(run, note=told))
    bench.book.phases[f"{task.workload}, {accounts} accounts, {told}, in process"] = phases


def latency(bench: Bench) -> None:
    """From a request to the confirmation of the last of its signatures, accounts existing."""
    requests = bench.sizes.requests
    say(f"latency: {requests} requests each")
    village = bench.village(50)
    opened = _open_accounts(bench, village)
    for way in (ONE_BY_ONE, LISTING):
        bench.hall.open_accounts(way, opened)
    measured = [village.measure(1) for _ in range(requests)]
    first = whole("latency", EXISTING, measured[0])
    _, singly = bench.hall.baseline(
        ONE_BY_ONE, replace(first, measured=[each[0] for each in measured])
    )
    note = f"extrapolated from {len(singly)} single ones"
    bench.book.latencies += [
        Latency(ONE_BY_ONE, 1, tuple(singly)),
        Latency(ONE_BY_ONE, 50, queued(singly, 50, requests), note),
    ]
    fifty = [bench.hall.baseline(LISTING, replace(first, measured=each))[0] for each in measured]
    single = [
        bench.hall.baseline(LISTING, replace(first, measured=each[:1]))[0] for each in measured
    ]
    bench.book.latencies += [
        Latency(LISTING, 1, tuple(run.seconds for run in single)),
        Latency(LISTING, 50, tuple(run.seconds for run in fifty)),
    ]
    with (
        ours.with_settings(**NO_CAP) as environment,
        ours.workers(bench.hall, CORES, **environment) as crew,
    ):
        for size in (1, 50):
            ids = [[each.reading_id for each in village.measure(1)[:size]] for _ in measured]
            seconds = tuple(ours.latency(crew, some) for some in ids)
            bench.book.latencies.append(Latency(OURS, size, seconds))


def growth(bench: Bench) -> None:
    """More readings, more workers: does the rate hold, and does the memory?"""
    sizes = bench.sizes
    largest = max(sizes.growth)
    village = bench.village(max(1, largest // sizes.growth_each))
    say(f"growth: {len(village.wallets):,} accounts are opened first")
    _open_accounts(bench, village)
    for readings in sizes.growth:
        wallets = max(1, readings // sizes.growth_each)
        part = Village(
            village.owners[:wallets],
            village.meters[:wallets],
            village.wallets[:wallets],
            village.random,
            village.quarters,
        )
        for number in sizes.growth_workers:
            task = whole("growth", EXISTING, part.measure(sizes.growth_each))
            with (
                ours.with_settings(**NO_CAP) as environment,
                ours.workers(bench.hall, number, **environment) as crew,
            ):
                run, phases = ours.through_queue(crew, task)
            bench.note(replace(run, note=f"{number} worker{'s' if number > 1 else ''}"))
            if number == min(CORES, max(sizes.growth_workers)):
                bench.book.phases[task.workload] = phases
        village.quarters = part.quarters


def idle(bench: Bench) -> None:
    """What workers ask of the node on their own: at their start, and in a minute of nothing."""
    say(f"idle: {IDLE_SECONDS:.0f} s")
    with ours.workers(bench.hall, CORES) as crew:
        bench.book.idle.append(Idle("start of a cluster", 0.0, crew.start_calls))
        before = bench.hall.stage.chain.control(requests=True)["requests"]
        time.sleep(IDLE_SECONDS)
        after = bench.hall.stage.chain.control(requests=True)["requests"]
        bench.book.idle.append(
            Idle("two workers, nothing to do", IDLE_SECONDS, difference(after, before))
        )


def profile(bench: Bench) -> None:
    """CProfile over the same service calls in this process; it slows them about twofold."""
    number = bench.sizes.profile
    wallets = max(1, number // 20)
    say(f"profile: {number:,} of {wallets:,}")
    village = bench.village(wallets)
    _open_accounts(bench, village)
    task = whole("profile", EXISTING, village.measure(number // wallets))
    profiler = cProfile.Profile()
    with ours.with_settings(**NO_CAP):
        profiler.enable()
        run, phases = ours.in_process(bench.hall, task)
        profiler.disable()
    bench.note(replace(run, note="under cProfile"))
    bench.book.phases[f"{task.workload}, under cProfile"] = phases
    told = io.StringIO()
    stats = pstats.Stats(profiler, stream=told).strip_dirs()
    stats.sort_stats("tottime").print_stats(30)
    stats.sort_stats("cumulative").print_stats(60)
    bench.book.profile = told.getvalue()


def _open_accounts(bench: Bench, village: Village) -> list[Measured]:
    """The token accounts of a village, by minting one reading to each wallet; returns these."""
    measured = village.measure(1)
    with ours.with_settings(**NO_CAP):
        ours.in_process(bench.hall, whole("open", NEW, measured))
    return measured


def intake(bench: Bench) -> None:
    """Readings by the thousand through the API's view."""
    village = bench.village(intakes.A_REQUEST)
    for row in intakes.measure(village, bench.sizes.requests):
        bench.book.intake.append(row)
        say(f"  intake, {row.what}: {row.rate:,.0f}/s")


def lists(bench: Bench) -> None:
    """Pages and endpoints over a million readings, in place of all that was minted here."""
    say(f"lists: {bench.sizes.million:,} readings are written")
    call_command("flush", interactive=False, verbosity=0)
    fill(bench.sizes.million, seed=bench.seed)
    keep_sessions()  # as each process of the web server does
    for row in measure():
        bench.book.timings.append(
            Timing(row.name, row.p50, row.p95, row.queries, row.limit, row.ok)
        )


SECTIONS: dict[str, Callable[[Bench], None]] = {
    "ways": ways,
    "limited": limited,
    "fees": fees,
    "latency": latency,
    "growth": growth,
    "idle": idle,
    "profile": profile,
    "intake": intake,
    "lists": lists,
}
"""By the name that ``--only`` takes, in their order."""


def usual() -> tuple[str, ...]:
    """What runs unless something else is asked for."""
    return tuple(name for name in SECTIONS if name != "profile")


def say(text: str) -> None:
    """Progress, for whoever waits."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
