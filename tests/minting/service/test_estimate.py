"""The estimate is the plan: on an unchanged chain the authority pays exactly what it says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from unittest.mock import patch

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from solders.account import Account
from solders.pubkey import Pubkey

from minting.models import BatchSource, MintBatch, MintResult, MintTransaction
from minting.service.plan import estimate as estimating
from minting.service.plan import slices
from minting.service.requests.prepare import estimate_readings, request_batch
from minting.service.requests.selections import freeze, picked
from readings import queries
from tests.factories.readings import MeterReadingFactory, WalletFactory, keypair
from tests.minting.service.test_minting import mint

pytestmark = pytest.mark.django_db(transaction=True)

numbers = count()

RENT = 2_039_280


def owners(how_many: int) -> list:
    """Owners whose wallets nobody has met."""
    names = (f"estimate-{next(numbers)}" for _ in range(how_many))
    return [WalletFactory(address=str(keypair(name).pubkey())).owner for name in names]


def readings_of(everybody, each: int = 1) -> list:
    return [MeterReadingFactory(owner=owner) for owner in everybody for _ in range(each)]


@dataclass(frozen=True)
class Story:
    """Who is paid what, and under which settings."""

    old: int
    new: int
    gifts: list[int]
    """Lamports that somebody sent to addresses of missing accounts."""
    each: int
    """Readings of each owner."""
    unit_price: int
    max_tokens: int
    slice_size: int


stories = st.builds(
    Story,
    old=st.integers(0, 22),
    new=st.integers(0, 12),
    gifts=st.lists(st.sampled_from([1, RENT // 2, RENT, RENT + 5]), max_size=2),
    each=st.integers(1, 3),
    unit_price=st.sampled_from([0, 90_000, 10**9]),
    max_tokens=st.sampled_from([10**12, 600_000_000]),
    slice_size=st.sampled_from([5_000, 7]),
)


@pytest.mark.parametrize("version", ["0", "1"])
@hypothesis_settings(
    max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(story=stories)
def test_the_balance_falls_by_exactly_the_estimate(minting_chain, drain, settings, version, story):
    settings.BLOCKCHAIN_TRANSACTION_VERSION = version
    settings.BLOCKCHAIN_PRIORITY_FEE = 0
    settings.BLOCKCHAIN_MAX_TOKENS_PER_TRANSACTION = 10**12
    known, strangers = owners(story.old), owners(story.new + len(story.gifts) + 1)
    if known:
        mint(readings_of(known), drain=drain)
    for lamports, owner in zip(story.gifts, strangers, strict=False):
        address = owner.wallets.current().get().address
        minting_chain.net.airdrop(minting_chain.token_account(address), lamports)
    settings.BLOCKCHAIN_PRIORITY_FEE = story.unit_price
    settings.BLOCKCHAIN_MAX_PRIORITY_FEE = 20_000
    settings.BLOCKCHAIN_MAX_TOKENS_PER_TRANSACTION = story.max_tokens
    readings = readings_of(known + strangers, story.each)

    with patch.object(slices, "READINGS_A_SLICE", story.slice_size):
        estimate = estimate_readings([reading.id for reading in readings]).estimate
        before = minting_chain.lamports()
        batch = mint(readings, drain=drain)

    assert batch.status == "succeeded"
    assert before - minting_chain.lamports() == estimate.cost.total
    assert estimate.balance == before
    assert estimate.new_accounts == len(strangers)
    assert batch.transactions.count() == estimate.transactions
    assert (batch.fee_estimate_lamports, batch.rent_estimate_lamports) == (
        batch.fee_paid_lamports,
        batch.rent_paid_lamports,
    )
    assert (estimate.cost.priority_fee > 0) == (story.unit_price > 0)
    assert estimate.cost.priority_fee <= 20_000 * estimate.transactions


def test_a_whole_job_fills_its_transactions_across_slices(minting_chain, drain):
    """Cut by readings it would leave a half empty transaction at the end of each slice."""
    everybody = owners(130)
    mint(readings_of(everybody), drain=drain)
    readings = readings_of(everybody)

    with patch.object(slices, "READINGS_A_SLICE", 70):
        batch = mint(readings, drain=drain)

    paid = [len(row.reading_ids) for row in batch.transactions.all()]
    assert sorted(paid) == [10, 60, 60]
    assert sorted(batch.slices.values_list("number", flat=True)) == [0, 1]
    for row in MintTransaction.objects.filter(batch=batch):
        planned = MintResult.objects.filter(batch=batch, reading_id__in=row.reading_ids)
        assert planned.values("planned").distinct().count() == 1


def test_a_batch_that_no_node_saw_is_packed_by_whoever_drives_it(minting_chain, drain, settings):
    readings = readings_of(owners(12))
    urls = settings.SOLANA_RPC_URLS
    settings.SOLANA_RPC_URLS = ["http://127.0.0.1:9"]
    batch = request_batch([each.id for each in readings], source=BatchSource.CLI, strict=True)
    settings.SOLANA_RPC_URLS = urls

    drain()

    batch.refresh_from_db()
    assert batch.fee_estimate_lamports is None
    assert set(MintResult.objects.values_list("planned", flat=True)) == {None}
    assert sorted(len(row.reading_ids) for row in batch.transactions.all()) == [2, 10]


def queries_for(readings) -> int:
    selection = freeze(queries.pending(), None)
    with CaptureQueriesContext(connection) as captured:
        batch = request_batch(
            picked(selection), source=BatchSource.CLI, strict=False, selection=selection
        )
    assert batch.total_readings == len(readings)
    locking = next(each["sql"] for each in captured if "FOR NO KEY UPDATE" in each["sql"])
    assert not any(str(reading.id) in locking for reading in readings)
    return len(captured)


def test_asking_for_a_batch_takes_as_many_queries_for_many_as_for_few(minting_chain):
    queries_for(readings_of(owners(1)))  # whoever comes first keeps the nodes' answers for all
    few = queries_for(readings_of(owners(2)))
    many = queries_for(readings_of(owners(40), each=3))
    assert many == few


def test_wallets_are_looked_at_a_few_hundred_at_a_time(minting_chain, monkeypatch):
    """However many there are, what is kept of them is their transaction's number."""
    monkeypatch.setattr(estimating, "GROUPS_AT_ONCE", 3)
    readings = readings_of(owners(11))
    estimate = estimate_readings([reading.id for reading in readings]).estimate
    assert (estimate.wallets, estimate.transactions) == (11, 2)
    assert minting_chain.net.requests["getMultipleAccounts"] >= 4


@pytest.mark.parametrize(
    ("age", "code"),
    [(timedelta(minutes=1), ""), (timedelta(minutes=6), "wallet_not_system_account")],
)
def test_a_wallet_is_judged_with_the_plan_and_again_when_that_is_old(
    minting_chain, drain, age, code
):
    (owner,) = owners(1)
    (reading,) = readings_of([owner])
    batch = request_batch([reading.id], source=BatchSource.CLI, strict=True)
    MintBatch.objects.filter(id=batch.id).update(created_at=Now() - age)
    wallet = Pubkey.from_string(owner.wallets.current().get().address)
    handed_over = Account(lamports=10**9, data=b"", owner=Pubkey.new_unique())
    minting_chain.net.set_account(wallet, handed_over)

    drain()

    result = MintResult.objects.get(batch=batch)
    assert (result.success, result.error_code) == (not code, code)
