"""The poller: what is pending is minted by itself, in batches of whole wallets."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from unittest.mock import patch

import pytest
from django.db import connection
from django.db.models import Count, F, Max, Min
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ
from solders.pubkey import Pubkey

from minting import conf
from minting.models import BatchSource, MintResult, Polling
from minting.service.polling import book, meter_polling_service
from minting.service.requests.prepare import request_batch
from minting.tasks import poll
from readings.models import Wallet
from tests.factories.village import harvest, village
from tests.minting.conftest import drain, minting_chain
from tests.minting.polling.polls import batches, pending
from tests.minting.service.test_races import together

__all__ = ["drain", "minting_chain"]

pytestmark = pytest.mark.django_db(transaction=True)


def town(*, wallets: int, each: int) -> None:
    """As ``harvest(village(wallets), each=each)``, where factories would take longest."""
    people = village(wallets)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO readings_meterreading (
                id, meter_id, owner_id, kwh_amount, period_start, period_end, period_kind,
                revision, is_current, correction_reason, status, code, verification,
                meter_signature, external_id, source, submitted_at, release_reason)
            SELECT gen_random_uuid(), meter, owner, 0.25, ends - interval '15 minutes', ends,
                   'interval', 1, true, '', 'pending', '', 'verified', '', '', 'api', now(), ''
              FROM unnest(%s::uuid[], %s::uuid[]) WITH ORDINALITY AS one (meter, owner, number),
                   generate_series(1, %s) AS quarter,
                   LATERAL (SELECT date_trunc('hour', now()) - number * interval '1 second'
                                   - quarter * interval '1 day') AS told (ends)
            """,
            [[one.meter.id for one in people], [one.owner.id for one in people], each],
        )


def test_what_is_pending_is_minted_and_tells_where_it_comes_from(minting_chain, drain):
    harvest(village(3), each=2)

    assert poll() == {"batches": 1, "readings": 6, "halted": ""}
    drain()

    batch = batches().get()
    assert (batch.status, batch.created_by, batch.excluded) == ("succeeded", None, [])
    assert batch.fee_estimate_lamports + batch.rent_estimate_lamports == (
        batch.fee_paid_lamports + batch.rent_paid_lamports
    )
    assert minting_chain.supply() == 6 * 250_000_000
    assert poll() == {"batches": 0, "readings": 0, "halted": ""}
    row = Polling.objects.get()
    assert (row.batches, row.readings, row.trouble, row.failures) == (0, 0, "", 0)
    assert Polling.objects.filter(ended_at__gt=F("began_at")).exists()


def test_twenty_five_thousand_pending_readings_are_three_batches_of_whole_wallets(minting_chain):
    town(wallets=1_041, each=24)

    assert poll() == {"batches": 3, "readings": 24_984, "halted": ""}

    assert [each.total_readings for each in batches()] == [9_984, 9_984, 5_016]
    split = MintResult.objects.values("wallet_address").annotate(
        batches=Count("batch", distinct=True)
    )
    assert not split.filter(batches__gt=1).exists()
    oldest = MintResult.objects.values("batch").annotate(
        first=Min("reading__period_end"), last=Max("reading__period_end")
    )
    spans = [oldest.get(batch=batch) for batch in batches()]
    assert all(one["first"] < two["first"] for one, two in pairwise(spans))
    assert pending() == 0


def test_statements_do_not_grow_with_readings(minting_chain):
    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert poll()["batches"] == 1
        return len(captured)

    harvest(village(1), each=2)
    poll()  # the first of all writes its row and the mint's
    harvest(village(1), each=2)
    few = statements()
    harvest(village(100), each=20)

    assert statements() == few


def test_switched_off_it_does_nothing_whoever_calls(minting_chain, settings):
    settings.TOKENIZATION_AUTO_MINT_ENABLED = False
    harvest(village(1))

    assert poll() == {"batches": 0, "readings": 0, "halted": "off"}
    assert not Polling.objects.exists()


def test_a_poll_out_of_time_is_called_again_at_once(minting_chain, monkeypatch):
    monkeypatch.setattr(meter_polling_service, "READINGS_A_BATCH", 2)
    monkeypatch.setattr(meter_polling_service, "PASS", -1.0)
    harvest(village(2), each=2)

    assert poll() == {"batches": 1, "readings": 2, "halted": "more"}
    assert [task.func() for task in OrmQ.objects.all()].count("minting.tasks.poll") == 1
    assert poll() == {"batches": 1, "readings": 2, "halted": ""}


def test_what_cannot_be_paid_is_left_out_and_blocks_nobody(minting_chain, monkeypatch):
    """Neither of them leaves `pending`: they must not stand in front of everybody for ever."""
    monkeypatch.setattr(meter_polling_service, "READINGS_A_BATCH", 2)
    rich, nobody = village(2)
    harvest([rich], each=2)
    harvest([nobody], each=2)  # older
    pda, _ = Pubkey.find_program_address([b"vault"], Pubkey.default())
    Wallet.objects.filter(owner=nobody.owner).update(address=str(pda))

    for made in (1, 0):
        assert poll()["batches"] == made
        assert Polling.objects.get().left_out == {"off_curve_wallet": 2}
    assert set(batches().get().results.values_list("user_id", flat=True)) == {rich.owner.user_id}


def test_a_poll_goes_past_any_number_of_readings_that_cannot_be_paid(minting_chain, monkeypatch):
    """They are older than all others, the poll has no time, and asks for none of them."""
    monkeypatch.setattr(meter_polling_service, "READINGS_A_BATCH", 100)
    monkeypatch.setattr(meter_polling_service, "PASS", -1.0)
    town(wallets=3, each=500)
    pda, _ = Pubkey.find_program_address([b"vault"], Pubkey.default())
    Wallet.objects.filter(retired_at=None).update(address=str(pda))
    own = str(minting_chain.mint)
    Wallet.objects.filter(pk=Wallet.objects.earliest("pk").pk).update(address=own)
    harvest(village(2), each=2)

    with patch.object(meter_polling_service, "request_batch", wraps=request_batch) as asked:
        assert poll() == {"batches": 1, "readings": 4, "halted": ""}

    assert len(asked.mock_calls) == 1
    assert Polling.objects.get().left_out == {"forbidden_wallet": 500, "off_curve_wallet": 1_000}

    Wallet.objects.filter(address=str(pda)).update(allow_off_curve=True, exception_reason="ours")
    assert poll()["halted"] == "more", "allowed, they are taken at once"


def test_the_threshold_counts_and_staff_may_mint_below_it(minting_chain, settings):
    settings.TOKENIZATION_MINT_THRESHOLD_KWH = Decimal(1)
    (poor,) = village(1)
    readings = harvest([poor], each=3)

    assert poll()["batches"] == 0
    assert Polling.objects.get().below_threshold == 3

    request_batch([readings[0].id], source=BatchSource.ADMIN, strict=True)
    harvest([poor], each=1)
    assert poll()["batches"] == 0, "three pending again"
    harvest([poor], each=1)
    assert poll() == {"batches": 1, "readings": 4, "halted": ""}


# ------------------------------------------------------------------ the ticker


def test_many_clusters_call_once_an_interval(settings):
    settings.TOKENIZATION_POLLING_INTERVAL_SECS = 30
    policy = conf.polling_policy()

    def look():
        return book.call_if_due(policy)

    assert sorted(together(look, look, look, look)) == [False, False, False, True]
    assert OrmQ.objects.count() == 1
    Polling.objects.update(called_at=timezone.now() - timedelta(seconds=29))
    assert not look()
    Polling.objects.update(called_at=timezone.now() - timedelta(seconds=31))
    assert look()
    assert OrmQ.objects.count() == 2
