"""What reconciliation writes: as few statements for a thousand as for one, and each thing once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from minting import journal
from minting.engine.audit import Difference, Finding
from minting.models import MintInfo, MintTransaction, ReconcileFinding, ReconcileRun
from tests.factories.past import Past
from tests.minting.cluster.fake_node import GENESIS

pytestmark = pytest.mark.django_db


@pytest.fixture
def run() -> ReconcileRun:
    mint = MintInfo.objects.create(genesis_hash=GENESIS, decimals=9, account_size=165)
    return ReconcileRun.objects.create(mint=mint)


def findings(count: int, *, units: int = 7) -> list[Finding]:
    return [
        Finding(Difference.UNKNOWN_MINT, f"signature {number}", on_chain=units, detail="by a thief")
        for number in range(count)
    ]


def record(run: ReconcileRun, found: list[Finding]) -> int:
    with CaptureQueriesContext(connection) as captured, transaction.atomic():
        journal.record_findings(run, found)
    return len(captured)


def test_a_page_takes_as_many_statements_however_much_it_holds(run):
    Past().mint_more(300)
    ids = list(MintTransaction.objects.values_list("id", flat=True))
    taken = []
    for size in (1, 300):
        met = {id_: 5_000 + number for number, id_ in enumerate(ids[:size])}
        with CaptureQueriesContext(connection) as captured, transaction.atomic():
            journal.store_page(run, seen=size, read=0, met=met, findings=findings(size))
        taken.append(len(captured))

    assert taken[0] == taken[1]
    assert dict(MintTransaction.objects.values_list("id", "chain_slot")) == met
    run.refresh_from_db()
    assert run.transactions_seen == 301
    assert ReconcileFinding.objects.count() == 300


def test_an_empty_page_is_stored_too(run):
    with transaction.atomic():
        journal.store_page(run, seen=3, read=1, met={}, findings=[])
    run.refresh_from_db()
    assert (run.transactions_seen, run.transactions_read) == (3, 1)
    assert not ReconcileFinding.objects.exists()


def test_what_is_found_again_stays_one_finding_with_the_newest_numbers(run):
    assert record(run, findings(1)) == record(run, findings(500))
    ReconcileFinding.objects.update(seen_at=F("found_at"), acknowledged_by="ann", reason="known")
    later = ReconcileRun.objects.create(mint=run.mint)

    record(later, findings(500, units=8))

    assert ReconcileFinding.objects.count() == 500
    for row in ReconcileFinding.objects.all():
        assert (row.run_id, row.on_chain, row.in_journal) == (later.id, 8, None)
        assert (row.reason, row.resolved_at) == ("known", None)
        assert row.seen_at > row.found_at


def test_what_comes_back_after_it_was_resolved_is_a_new_finding(run):
    record(run, findings(2))
    ReconcileFinding.objects.update(resolved_at=Now())

    record(run, findings(2))

    assert ReconcileFinding.objects.filter(resolved_at=None).count() == 2
    assert ReconcileFinding.objects.count() == 4


def test_one_told_twice_at_once_is_kept_as_told_last(run):
    [one] = findings(1)
    record(run, [one, replace(one, on_chain=9)])
    assert ReconcileFinding.objects.get().on_chain == 9


def test_only_what_is_new_is_told_in_the_log(run, caplog):
    for found in (1, 2):
        caplog.clear()
        record(run, findings(found))
        assert caplog.text.count("difference_found") == 1
