"""What the poller takes: whole wallets, the oldest first, and nothing that cannot be minted."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch
from uuid import UUID

import pytest
from django.db import connection
from django.forms.models import model_to_dict
from django.utils import timezone

from readings import due
from readings.due import below, payees, pending_of, portions
from readings.models import MeterReading, Wallet
from readings.queries import look_for_minting
from readings.rules import ReadingStatus
from tests.factories.readings import MeterReadingFactory, OwnerFactory, WalletFactory
from tests.factories.village import harvest, village
from tests.tables import rows_read

pytestmark = pytest.mark.django_db

MATCHING = frozenset({ReadingStatus.PENDING})


def taken(threshold: str = "0", most: int = 100) -> list[list[UUID]]:
    return list(portions(threshold=Decimal(threshold), most=most))


def owners_of(portion: list[UUID]) -> list[str]:
    rows = dict(MeterReading.objects.filter(id__in=portion).values_list("id", "owner__user_id"))
    return list(dict.fromkeys(rows[id_] for id_ in portion))


def test_wallets_stay_whole_and_the_one_with_the_oldest_reading_comes_first():
    anong, boon, chai = village(3)
    newest = harvest([anong], each=3)  # each is older than the one before
    middle = harvest([chai], each=2)
    oldest = harvest([boon], each=3)

    first, second = taken(most=5)

    assert owners_of(first) == [boon.owner.user_id, chai.owner.user_id]
    assert [r.id for r in reversed(oldest)] + [r.id for r in reversed(middle)] == first
    assert second == [reading.id for reading in reversed(newest)]


def test_who_has_more_than_a_batch_holds_fills_batches_of_its_own():
    small, large = village(2)
    harvest([small], each=1)
    harvest([large], each=7)

    sizes = [(len(each), len(owners_of(each))) for each in taken(most=3)]

    assert sizes == [(3, 1), (3, 1), (1, 1), (1, 1)]


def test_what_comes_in_meanwhile_divides_no_wallet():
    """Counted as 2 + 2 of 4, and one more came for each: the second wallet waits."""
    older, newer = village(2)
    harvest([newer], each=2)
    harvest([older], each=2)
    genuine = list(due._wallets(Decimal(0), ()))
    harvest([older, newer], each=1)

    with patch.object(due, "_wallets", lambda *_: iter(genuine)):
        (portion,) = taken(most=4)

    assert (len(portion), owners_of(portion)) == (3, [older.owner.user_id])


def test_two_owners_who_are_paid_at_one_address_stay_together():
    landlord, tenant, other = village(3)
    Wallet.objects.filter(owner=tenant.owner).update(address=landlord.wallet.address)
    harvest([tenant], each=1)
    harvest([other], each=1)
    harvest([landlord], each=1)

    first, second = taken(most=2)

    assert set(owners_of(first)) == {landlord.owner.user_id, tenant.owner.user_id}
    assert owners_of(second) == [other.owner.user_id]


def test_the_threshold_holds_owners_back_until_their_sum_reaches_it():
    rich, poor = village(2)
    harvest([rich], each=4)
    harvest([poor], each=3)  # 0.75 kWh

    assert [owners_of(each) for each in taken("1")] == [[rich.owner.user_id]]
    assert below(Decimal(1)) == 3
    assert below(Decimal(0)) == 0

    harvest([poor], each=1)
    assert len(taken("1")[0]) == 8
    assert below(Decimal(1)) == 0


def test_what_a_poll_reads_does_not_grow_with_what_it_passes_over():
    """The planner is told that reading everything is dear, as it is with a million rows.

    And it knows nothing of what other tests had in the table, right after a large import.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("TRUNCATE readings_meterreading CASCADE")
        cursor.execute(
            "DELETE FROM pg_statistic WHERE starelid = 'readings_meterreading'::regclass"
        )
    *town, nobody = village(41)
    harvest(town, each=3)

    def cost() -> int:
        before = rows_read("readings_meterreading")
        but_for = [one.owner_id for one in payees() if one.owner_id == nobody.owner.pk]
        assert len(list(due._wallets(Decimal(0), but_for))) == 40
        assert below(Decimal(1), but_for=but_for) == 120
        return rows_read("readings_meterreading") - before

    (reading,) = harvest([nobody], each=1)
    few = cost()
    own = model_to_dict(reading, exclude=["meter", "owner"])
    MeterReading.objects.bulk_create(
        MeterReading(
            meter_id=reading.meter_id,
            owner_id=reading.owner_id,
            **own
            | {name: own[name] - timedelta(days=days) for name in ("period_start", "period_end")},
        )
        for days in range(1, 5_001)
    )

    assert cost() <= 2 * few
    assert pending_of([nobody.owner.pk]) == 5_001


def test_it_asks_for_exactly_what_a_batch_would_not_leave_out(settings):
    settings.TOKENIZATION_MAX_READING_KWH = Decimal(10)
    plain = MeterReadingFactory()
    MeterReadingFactory(kwh_amount=Decimal(11))  # a limit that was lowered since
    released = MeterReadingFactory(
        kwh_amount=Decimal(11), released_at=timezone.now(), release_reason="seen"
    )
    MeterReadingFactory(verification="unverified")
    MeterReadingFactory(verification="legacy_unverified")
    walletless = OwnerFactory()
    MeterReadingFactory(owner=walletless)
    retired = WalletFactory(retired_at=timezone.now() + timedelta(days=1))
    MeterReadingFactory(owner=retired.owner)
    for status, code in (("held", "no_wallet"), ("minting", ""), ("retrying", "x"), ("minted", "")):
        MeterReadingFactory(status=status, code=code)
    MeterReadingFactory(is_current=False)
    everything = list(MeterReading.objects.values_list("id", flat=True))

    found = look_for_minting(everything, allowed=MATCHING)

    mintable = {row.reading_id for row in found.mintable}
    assert {plain.id, released.id} < mintable
    assert len(mintable) == 3
    assert {id_ for portion in taken() for id_ in portion} == mintable
