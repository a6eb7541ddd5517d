"""Owners, wallets, meters and readings to try things out with, on any cluster but mainnet."""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone
from solders.keypair import Keypair

from readings.demo import OLDEST, Household, household, surpluses
from readings.demo_mess import mess, submission, with_gaps
from readings.intake import Outcome, OutcomeStatus, Submission, submit_many
from readings.models import Meter, MeterAssignment, MeterReading, Owner, Wallet
from readings.rules import ReadingSource

MAINNET_GENESIS_HASH = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"
"""What no demo reading may come near."""

HELD_SINCE = datetime(2024, 1, 1, tzinfo=UTC)
"""When the demo's owners got their meters."""

HOMELESS = 0
"""Number of the household without wallet; the others count from 1."""


class Command(BaseCommand):
    help = (
        "Creates demo owners, wallets, meters (one an owner, 15-minute intervals) and readings of "
        "the generating quarter hours, newest first, back from now, none older than 4 days. Again "
        "with the same seed: more readings of the same owners. Refuses on mainnet."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--users", type=_positive, default=50, metavar="N")
        parser.add_argument("--readings-per-user", type=_positive, default=4, metavar="N")
        parser.add_argument("--seed", type=int, default=1, metavar="N")
        parser.add_argument(
            "--messy",
            action="store_true",
            help="plant repeats, late ones, gaps, zero and negative, an unknown meter, and a "
            "meter without wallet besides",
        )

    def handle(
        self, *, users: int, readings_per_user: int, seed: int, messy: bool, **_: Any
    ) -> None:
        if settings.SOLANA_GENESIS_HASH == MAINNET_GENESIS_HASH:
            raise CommandError("This installation mints on mainnet: demo data is refused")
        now = timezone.now()
        homes = [household(seed, number) for number in range(1, users + 1)]
        homeless = household(seed, HOMELESS)
        self._tell(f"Registering {users} households")
        register(homes)
        self._tell("Working out what their panels exported")
        submissions = readings_of(homes, readings_per_user, now=now, gaps=messy)
        if messy:
            register([homeless], wallets=False)
            submissions += mess(homes[0], homeless, now=now)
        self._tell(f"Submitting {len(submissions)} readings")
        outcomes = submit_many(submissions, source=ReadingSource.DEMO)
        if len(submissions) < users * readings_per_user:
            days = OLDEST.days
            self._tell(f"There are no more generating quarter hours within {days} days")
        self.stdout.write(f"{users} owners with wallet and meter; {summary(outcomes)}")

    def _tell(self, progress: str) -> None:
        self.stderr.write(progress, self.style.HTTP_INFO)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def register(homes: Sequence[Household], *, wallets: bool = True) -> None:
    """Creates those households that do not exist yet, each with a meter."""
    with transaction.atomic():
        known = set(
            Owner.objects.filter(user_id__in=[home.user_id for home in homes]).values_list(
                "user_id", flat=True
            )
        )
        new = [(home, _owner(home)) for home in homes if home.user_id not in known]
        meters = [Meter(serial=home.serial, location=home.district) for home, _ in new]
        Owner.objects.bulk_create([owner for _, owner in new])
        Meter.objects.bulk_create(meters)
        MeterAssignment.objects.bulk_create(
            MeterAssignment(meter=meter, owner=owner, starts_at=HELD_SINCE)
            for meter, (_, owner) in zip(meters, new, strict=True)
        )
        if wallets:
            Wallet.objects.bulk_create(
                Wallet(owner=owner, address=wallet_address(home)) for home, owner in new
            )


def _owner(home: Household) -> Owner:
    return Owner(user_id=home.user_id, name=home.name, email=f"{home.user_id}@example.com")


def wallet_address(home: Household) -> str:
    """The household's wallet, whose key anybody can derive: worthless by design."""
    return str(Keypair.from_seed(sha256(home.wallet_phrase).digest()).pubkey())


def readings_of(
    homes: Sequence[Household], per_home: int, *, now: datetime, gaps: bool
) -> list[Submission]:
    """So many readings a household that are not there yet, newest first."""
    told = _told(homes, since=now - OLDEST)
    submissions: list[Submission] = []
    for home in homes:
        fresh = (
            quarter
            for quarter in surpluses(home, now=now)
            if (home.serial, quarter.end) not in told
        )
        quarters = islice(with_gaps(fresh) if gaps else fresh, per_home)
        submissions += [submission(home, quarter, kwh=quarter.surplus) for quarter in quarters]
    return submissions


def _told(homes: Sequence[Household], *, since: datetime) -> set[tuple[str, datetime]]:
    readings = MeterReading.objects.current().filter(
        meter__serial__in=[home.serial for home in homes], period_end__gte=since
    )
    return set(readings.values_list("meter__serial", "period_end"))


def summary(outcomes: Sequence[Outcome]) -> str:
    """What became of the readings, in one line."""
    counts = Counter(
        outcome.reading.status
        if outcome.reading and outcome.status is OutcomeStatus.CREATED
        else outcome.status.value
        for outcome in outcomes
    )
    told = ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))
    return f"{len(outcomes)} readings sent ({told or 'none'})"
