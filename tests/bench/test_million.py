"""The seeded month could have happened: constraints, rules and journal agree with it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from itertools import groupby

import pytest
from django.db import connection
from django.db.models import F, Sum

from bench.copying import FILLED
from bench.million import Filled, fill
from minting.engine.states import BatchStatus, ResultStatus, batch_status, reading_status
from minting.engine.wallets import parse_wallet
from minting.models import (
    MintBatch,
    MintInfo,
    MintResult,
    MintSlice,
    MintTransaction,
    ReconcileFinding,
    ReconcileRun,
)
from minting.service.history.auditing import audit_statuses
from readings import intake
from readings.models import MeterReading, Wallet
from readings.rules import ReadingCode, ReadingStatus

pytestmark = pytest.mark.django_db

LATELY = datetime(2026, 11, 24, 12, 7, tzinfo=UTC)


@pytest.fixture
def month() -> Filled:
    filled = fill(10_000, seed=7)
    connection.check_constraints()  # every key refers to a row
    return filled


def test_most_is_minted_and_every_status_is_there(month: Filled):
    assert set(month.statuses) == set(ReadingStatus)
    assert 0.85 < month.statuses["minted"] / month.statuses.total() < 0.97
    held = set(MeterReading.objects.held().values_list("code", flat=True))
    assert held == {
        ReadingCode.NO_WALLET,
        ReadingCode.READING_TOO_LARGE,
        ReadingCode.READING_TOO_OLD,
        ReadingCode.OVERLAPPING_PERIOD,
        ReadingCode.UNVERIFIED,
    }
    assert {model._meta.db_table: model._default_manager.count() for model in FILLED} == month.rows


def test_the_rules_would_judge_no_reading_otherwise(month: Filled):
    assert intake.rejudge(MeterReading.objects.all()) == 0
    old = MeterReading.objects.held(ReadingCode.READING_TOO_OLD)
    assert old.filter(submitted_at__lte=F("period_end")).count() == 0


def test_overlaps_overlap(month: Filled):
    for reading in MeterReading.objects.held(ReadingCode.OVERLAPPING_PERIOD):
        others = MeterReading.objects.filter(meter=reading.meter).exclude(pk=reading.pk)
        overlapping = others.filter(
            period_start__lt=reading.period_end, period_end__gt=reading.period_start
        )
        assert overlapping.exists()


def test_every_status_follows_from_the_results(month: Filled):
    run = ReconcileRun.objects.create(mint=MintInfo.objects.get(), thorough=True)
    audit_statuses(run, run.mint)
    assert not ReconcileFinding.objects.exists()
    last = {each.id: each for each in MintResult.objects.all()}
    told = MeterReading.objects.exclude(last_result_id=None)
    assert told.count() > 9_000
    for reading in told:
        result = last[reading.last_result_id]
        final = result.retry_at is None
        assert reading.status == reading_status(ResultStatus(result.status), permanent=final)


def test_batches_count_what_became_of_their_results(month: Filled):
    for batch in MintBatch.objects.all():
        counts = Counter(
            ResultStatus(each) for each in batch.results.values_list("status", flat=True)
        )
        assert batch.total_readings == counts.total()
        assert batch.successful_mints == counts["confirmed"] + counts["finalized"]
        assert batch.failed_mints == counts["failed"] + counts["cancelled"]
        begun = batch.status != BatchStatus.QUEUED
        assert begun is (counts.keys() != {ResultStatus.PENDING})
        assert batch.status == (batch_status(counts) if begun else BatchStatus.QUEUED)
        assert batch.is_final is (batch.finished_at is not None)


def test_transactions_pay_the_sum_of_their_results(month: Filled):
    for transaction in MintTransaction.objects.exclude(status="expired").defer("raw"):
        results = transaction.results.order_by("reading_id")
        assert list(results.values_list("reading_id", flat=True)) == transaction.reading_ids
        assert results.aggregate(sum=Sum("base_units"))["sum"] == transaction.base_units
        assert {each.tx_signature for each in results} <= {"", transaction.signature}
    wallets = MintResult.objects.order_by("batch", "id").values_list("batch", "wallet_address")
    for _, paid in groupby(wallets, lambda row: row[0]):
        assert len(list(paid)) > 0


def test_wallets_can_be_paid(month: Filled):
    for address in Wallet.objects.current().values_list("address", flat=True):
        assert str(parse_wallet(address)) == address
    pending = MeterReading.objects.mintable()
    assert not pending.exclude(owner__wallets__retired_at=None).exists()


def test_no_worker_touches_what_is_open(month: Filled):
    assert MintSlice.objects.parked().exists()
    assert not MintSlice.objects.waiting().exists()


def test_without_open_work_nothing_is_in_flight():
    statuses = fill(2_000, open_work=False).statuses
    assert not {"minting", "in_doubt"} & statuses.keys()
    assert not MintTransaction.objects.exclude(status__in=["finalized", "expired"]).exists()


def test_the_same_seed_and_time_make_the_same_rows():
    tables = ", ".join(model._meta.db_table for model in FILLED)
    seen = []
    for seed in (1, 1, 2):
        connection.check_constraints()  # what is still to be checked keeps a table from this
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {tables} CASCADE")
        fill(400, seed=seed, newest=LATELY)
        seen.append(
            {model: sorted(map(str, model._default_manager.values_list())) for model in FILLED}
        )
    assert seen[0] == seen[1]
    assert seen[0] != seen[2]
