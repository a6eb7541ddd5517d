"""The poller: what is pending is minted by itself, and nothing is that should not be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from threading import Event
from unittest.mock import patch

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import Count, F, Max, Min
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ
from solders.account import Account
from solders.pubkey import Pubkey

from minting import conf, journal
from minting.engine.errors import NodeUnreachable
from minting.journal import Identity
from minting.models import BatchSource, MintBatch, MintResult, Polling, PollingPause
from minting.service.polling import book, meter_polling_service, solitude
from minting.service.polling.meter_polling_service import MeterPollingService, PollReport
from minting.service.polling.switch import pause_polling, resume_polling
from minting.service.requests import approving
from minting.service.requests.cancel import cancel_batch
from minting.service.requests.prepare import request_batch
from minting.service.requests.selections import freeze, picked
from minting.service.stopping import resume_minting, stop_minting
from minting.tasks import poll
from readings import queries
from readings.errors import ReasonRequired
from readings.models import MeterReading, Wallet
from tests.factories.village import harvest, village
from tests.minting.conftest import drain, minting_chain
from tests.minting.service.test_races import together

__all__ = ["drain", "minting_chain"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def switched_on(settings):
    settings.TOKENIZATION_AUTO_MINT_ENABLED = True


def batches():
    return MintBatch.objects.filter(source=BatchSource.POLL).order_by("id")


def pending() -> int:
    return MeterReading.objects.filter(status="pending").count()


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


def rest_of(row: Polling) -> int:
    """Seconds from the end of a poll that gave up."""
    assert row.not_before is not None
    assert row.ended_at is not None
    return round((row.not_before - row.ended_at).total_seconds())


def rest_is_over() -> None:
    Polling.objects.update(not_before=None)


# ------------------------------------------------------------------ what it does


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


# ------------------------------------------------------------------ one at a time, and races


def test_of_two_polls_at_once_one_works(minting_chain):
    harvest(village(20), each=5)

    answers = together(*[MeterPollingService().poll] * 4)

    assert sum(each.readings for each in answers) == 100
    assert {each.halted for each in answers} <= {"", "another_poll"}
    assert sum(each.total_readings for each in batches()) == 100
    assert not batches().exclude(excluded=[]).exists()


def test_what_staff_takes_meanwhile_is_theirs(minting_chain):
    """Planned by the poller, and taken by a person before it is written."""
    one, two = village(2)
    theirs = harvest([one], each=3)
    harvest([two], each=3)
    find = request_batch

    def late(ids, **options):
        selection = freeze(MeterReading.objects.filter(owner=one.owner), None)
        request_batch(
            picked(selection), source=BatchSource.ADMIN, strict=False, selection=selection
        )
        return find(ids, **options)

    with patch.object(meter_polling_service, "request_batch", late):
        assert poll() == {"batches": 1, "readings": 3, "halted": ""}

    staff = MintBatch.objects.get(source="admin")
    assert set(staff.results.values_list("reading", flat=True)) == {each.id for each in theirs}
    assert {each["code"] for each in batches().get().excluded} == {"being_minted"}
    assert Polling.objects.get().left_out == {}


def test_a_reading_is_in_one_batch_whoever_races(minting_chain):
    harvest(village(30), each=4)

    def select():
        selection = freeze(queries.pending(), None)
        return request_batch(
            picked(selection), source=BatchSource.ADMIN, strict=False, selection=selection
        )

    together(MeterPollingService().poll, select, MeterPollingService().poll, select)

    taken = MintResult.objects.values_list("reading", flat=True)
    assert len(taken) == len(set(taken)) == 120


def test_a_poll_that_lost_its_lock_makes_no_batch(minting_chain):
    """Its connection broke and another poller began: what it planned is not written."""
    harvest(village(1))
    let_go, release = Event(), Event()

    def other():
        try:
            with solitude.alone() as held:
                let_go.set()
                assert release.wait(30)
                return held
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:

        def lose(*_, **__):
            if not let_go.is_set():
                solitude._let_go()
                future.append(pool.submit(other))
                assert let_go.wait(30)

        future: list = []
        genuine = journal.hold_waiting
        with patch.object(journal, "hold_waiting", lambda ids: (lose(), genuine(ids))[1]):
            answer = poll()
        release.set()
        assert future[0].result() is True

    assert answer == {"batches": 0, "readings": 0, "halted": "another_poll"}
    assert not MintBatch.objects.exists()
    assert pending() == 1


# ------------------------------------------------------------------ what keeps it waiting


def test_it_waits_while_minting_is_stopped_the_gate_is_closed_or_it_is_paused(minting_chain):
    harvest(village(1))
    stop_minting("audit", by="chief")
    assert poll()["halted"] == "minting_stopped"
    resume_minting(by="chief")
    with transaction.atomic():
        journal.close_gate("an unknown mint", Identity())
    assert poll()["halted"] == "gate_closed"
    with transaction.atomic():
        journal.open_gate(Identity())
    with pytest.raises(ReasonRequired):
        pause_polling(" ", by="chief")
    pause = pause_polling("the tariff changes", by="chief")
    assert pause_polling("again", by="another") == pause
    assert poll()["halted"] == "polling_paused"
    assert not MintBatch.objects.exists()
    assert not Polling.objects.exclude(began_at=None).exists(), "a poll that waits is none"

    OrmQ.objects.all().delete()
    resumed = resume_polling(by="boss")
    assert (resumed.resumed_by, resumed.paused_by) == ("boss", "chief")
    assert resume_polling(by="boss") is None
    assert OrmQ.objects.count() == 1, "called at once"
    assert poll()["batches"] == 1


def test_after_a_pause_is_confirmed_no_batch_appears(minting_chain):
    """A batch that is being written is waited for; one that comes later is not made."""
    harvest(village(1))
    begun, go_on = Event(), Event()
    genuine = meter_polling_service._require_undisturbed

    def slowly(batch):
        begun.set()
        assert go_on.wait(30)
        genuine(batch)

    def pause():
        try:
            return pause_polling("now", by="chief")
        finally:
            connection.close()

    def run():
        try:
            return MeterPollingService().poll()
        finally:
            connection.close()

    with (
        patch.object(meter_polling_service, "_require_undisturbed", slowly),
        ThreadPoolExecutor(2) as pool,
    ):
        polling = pool.submit(run)
        assert begun.wait(30)
        pool.submit(pause).result(30)
        assert not MintBatch.objects.exists()
        go_on.set()
        assert polling.result(30) == PollReport(halted="polling_paused")

    assert not MintBatch.objects.exists()
    assert pending() == 1


def test_a_day_s_limit_stops_minting_and_with_it_the_poller(minting_chain, drain, settings):
    settings.MINT_MAX_KWH_PER_DAY = Decimal("0.5")
    harvest(village(3))

    poll()
    drain()
    harvest(village(1))

    assert poll()["halted"] == "minting_stopped"
    assert pending() == 1


# ------------------------------------------------------------------ four eyes


@pytest.fixture
def approver():
    return get_user_model().objects.create_user("approver")


def test_a_batch_of_the_poller_s_may_need_approval_and_one_is_asked_for_at_a_time(
    minting_chain, drain, settings, approver
):
    settings.APPROVAL_ABOVE_KWH = Decimal("0.5")
    harvest(village(3))
    assert poll() == {"batches": 1, "readings": 3, "halted": ""}
    asked = batches().get().approval
    assert (asked.requested_by, asked.why) == (None, "0.75 kWh, above 0.5 kWh")

    harvest(village(2))
    assert poll()["halted"] == "awaiting_approval"
    assert pending() == 2

    approving.approve(asked.id, by=approver, digest=bytes(asked.digest))
    drain()
    assert batches().get().status == "succeeded"
    assert poll() == {"batches": 1, "readings": 2, "halted": ""}


def test_who_refuses_or_cancels_its_batch_pauses_it(minting_chain, settings, approver):
    """It would ask for the same again within the minute."""
    settings.APPROVAL_ABOVE_KWH = Decimal("0.25")
    harvest(village(2))
    poll()
    batch = batches().get()

    approving.refuse(batch.approval.id, by=approver, reason="too early")

    pause = PollingPause.objects.get()
    assert pause.paused_by == "approver"
    assert pause.reason == f"approver did not approve its batch {batch.pk}: too early"
    assert (poll()["halted"], pending()) == ("polling_paused", 2)

    settings.APPROVAL_ABOVE_KWH = None
    resume_polling(by="chief")
    poll()
    assert cancel_batch(batches().last().id, by="operator") == 2
    assert PollingPause.objects.get(resumed_at=None).paused_by == "operator"
    assert (poll()["halted"], pending()) == ("polling_paused", 2)

    resume_polling(by="chief")
    ids = list(MeterReading.objects.values_list("id", flat=True))
    theirs = request_batch(ids, source=BatchSource.ADMIN, strict=True)
    cancel_batch(theirs.id, by="operator")
    assert not PollingPause.objects.filter(resumed_at=None).exists(), "what staff made is theirs"


# ------------------------------------------------------------------ what fails


def test_without_sol_nothing_is_queued_and_it_rests_longer_each_time(minting_chain):
    harvest(village(2))
    payer = minting_chain.authority.pubkey()
    minting_chain.net.set_account(payer, lamports(1_000_000))

    rests = []
    for failures in (1, 2, 3):
        assert poll()["halted"] == "insufficient_funds"
        row = Polling.objects.get()
        assert (row.failures, row.trouble_code) == (failures, "insufficient_funds")
        assert "short of" in row.trouble
        rests.append(rest_of(row))
        assert not book.call_if_due(conf.polling_policy()), "it rests"
        rest_is_over()
    assert rests == [120, 240, 480]
    assert not MintBatch.objects.exists()

    minting_chain.net.set_account(payer, lamports(10**10))
    assert poll() == {"batches": 1, "readings": 2, "halted": ""}
    assert Polling.objects.get().trouble == ""


def test_where_no_estimate_warns_a_batch_that_came_to_nothing_does(minting_chain, drain, settings):
    settings.BLOCKCHAIN_FEE_ESTIMATION_ENABLED = False
    settings.BLOCKCHAIN_BATCH_RETRY_ENABLED = False
    payer = minting_chain.authority.pubkey()
    minting_chain.net.set_account(payer, lamports(1_000_000))
    harvest(village(2))
    poll()
    drain()
    assert batches().get().status == "failed"

    first = harvest(village(2))
    assert poll()["halted"] == "insufficient_funds"
    assert (Polling.objects.get().failures, batches().count()) == (1, 1)

    rest_is_over()
    assert poll()["batches"] == 1, "one more, to see"
    harvest(village(1))
    assert poll()["halted"] == "on_trial"
    minting_chain.net.set_account(payer, lamports(10**10))
    drain()
    assert poll()["batches"] == 1
    assert Polling.objects.get().failures == 0
    assert MeterReading.objects.filter(id__in=[each.id for each in first], status="minted").count()


def test_a_dead_node_leaves_readings_pending_and_is_asked_again_at_the_next_interval(
    minting_chain, settings
):
    harvest(village(1))
    urls = settings.SOLANA_RPC_URLS
    settings.SOLANA_RPC_URLS = ["http://127.0.0.1:9"]

    for failures in (1, 2):
        assert poll()["halted"] == NodeUnreachable.code
        row = Polling.objects.get()
        assert row.failures == failures
        assert rest_of(row) == 60
        rest_is_over()
    assert not MintBatch.objects.exists()

    settings.SOLANA_RPC_URLS = urls
    assert poll()["batches"] == 1


def test_a_wallet_that_cannot_be_paid_is_its_owner_s_trouble_alone(minting_chain, drain):
    """Its batch comes to nothing, and the poller goes on: permanent is not the poller's fault."""
    (owner,) = village(1)
    minting_chain.freeze(owner.wallet.address)
    harvest([owner])
    poll()
    drain()
    assert batches().get().status == "failed"

    harvest(village(1))
    assert poll()["batches"] == 1
    assert Polling.objects.get().failures == 0


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


def lamports(amount: int) -> Account:
    return Account(amount, b"", Pubkey.default(), executable=False, rent_epoch=0)
