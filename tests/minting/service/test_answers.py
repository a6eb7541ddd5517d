"""Terms are asked once for all processes, and never believed where they may not hold."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import F

from gridtoken.embedded.faults import FaultPlan
from minting.cluster.nodes import Cluster
from minting.conf import current
from minting.engine.errors import SolanaError
from minting.models import BatchSource, ChainAnswer, MintTransaction, Question
from minting.service.chain.preflight import Standing, inspect_mint
from minting.service.chain.session import open_session
from minting.service.chain.terms import Terms, forget_terms, forget_v1, terms_of
from minting.service.drive import wave
from minting.service.plan import faults
from minting.service.requests import approving
from minting.service.requests.prepare import request_batch
from tests.factories.village import harvest, village

pytestmark = pytest.mark.django_db(transaction=True)

PRICES = {
    "getEpochInfo": 1,
    "getLatestBlockhash": 1,
    "getFeeForMessage": 1,
    "getMinimumBalanceForRentExemption": 2,
}
V1 = {"simulateTransaction": 1}
NOTHING: dict[str, int] = {}


def learned(change: Callable[[Standing], Standing] = lambda told: told) -> Terms:
    """As a process that begins now learns them."""
    with open_session() as session:
        return terms_of(session, change(inspect_mint(session)))


@pytest.fixture
def asked(minting_chain) -> Callable[[Callable[[], Any]], dict[str, int]]:
    """What a step asks of the node, but for the state of mint and payer."""

    def of(step: Callable[[], Any]) -> dict[str, int]:
        before = minting_chain.net.requests.copy()
        step()
        told = Counter(minting_chain.net.requests - before)
        del told["getGenesisHash"], told["getMultipleAccounts"]
        return dict(told)

    return of


def over(**filters: Any) -> None:
    """Time passes for some of the answers."""
    rows = ChainAnswer.objects.filter(**filters)
    assert rows.update(believed_until=F("told_at") - timedelta(seconds=1))


def test_the_first_who_needs_them_asks_and_the_next_process_knows(minting_chain, asked):
    assert asked(learned) == PRICES | V1
    assert asked(learned) == NOTHING

    assert learned().recalled
    assert ChainAnswer.objects.count() == 2
    prices = ChainAnswer.objects.get(question=Question.PRICES).answer
    assert prices["account_rent"] == learned().prices.account_rent > 10**6


def test_each_answer_has_its_own_end(minting_chain, asked, settings):
    settings.BLOCKCHAIN_PRIORITY_FEE = "auto"
    settings.BLOCKCHAIN_MAX_PRIORITY_FEE = 10_000
    bid = {"getRecentPrioritizationFees": 1}
    assert asked(learned) == PRICES | V1 | bid

    over(question=Question.BID)
    assert asked(learned) == bid
    over(question=Question.V1)
    assert asked(learned) == V1
    over(question=Question.PRICES)
    assert asked(learned) == PRICES
    assert asked(learned) == NOTHING
    assert ChainAnswer.objects.count() == 3


def test_prices_end_with_their_epoch(minting_chain, asked):
    """By the chain's slots and not by a clock: rent changes with the first slot of an epoch."""
    learned()
    prices = ChainAnswer.objects.get(question=Question.PRICES)
    next_epoch = prices.answer["next_epoch"]
    assert next_epoch > prices.answer["slot"]

    def at(slot: int) -> Callable[[], Terms]:
        return lambda: learned(
            lambda told: Standing(told.info, told.facts, told.lamports, slot=slot)
        )

    assert asked(at(next_epoch - 1)) == NOTHING
    assert asked(at(next_epoch)) == PRICES


@pytest.mark.parametrize("other", [{"genesis_hash": "another"}, {"nodes": "others"}])
def test_what_is_told_of_another_chain_or_by_other_nodes_is_nothing(minting_chain, asked, other):
    learned()
    ChainAnswer.objects.update(**other)
    assert asked(learned) == PRICES | V1


def test_prices_are_those_of_the_accounts_of_this_mint(minting_chain, asked):
    """A mint whose accounts have another size (Token-2022) has a rent of its own."""
    learned()
    ChainAnswer.objects.filter(question=Question.PRICES).update(about="170")
    assert asked(learned) == PRICES


def test_two_processes_at_once_agree(minting_chain):
    together = threading.Barrier(2)
    told: list[Terms] = []

    def process() -> None:
        try:
            together.wait(10)
            told.append(learned())
        finally:
            connection.close()

    processes = [threading.Thread(target=process) for _ in range(2)]
    for each in processes:
        each.start()
    for each in processes:
        each.join(30)

    one, other = told
    assert one.prices == other.prices
    assert one.version is other.version
    assert ChainAnswer.objects.count() == 2


def test_a_refused_format_is_v0_for_all_whoever_says_otherwise_meanwhile(minting_chain, asked):
    assert learned().version == "1"
    with open_session() as session:
        assert forget_v1(session)
    ChainAnswer.objects.filter(question=Question.V1).update(answer=True)
    assert learned().version == "0"

    over(question=Question.V1_REFUSED)
    assert learned().version == "1"


def test_of_a_node_that_fails_nothing_is_kept(minting_chain, asked):
    minting_chain.net.faults = FaultPlan(error=1.0, methods=("getFeeForMessage",))
    try:
        with pytest.raises(SolanaError):
            learned()
    finally:
        minting_chain.net.faults = FaultPlan()
    assert not ChainAnswer.objects.exists()
    assert asked(learned) == PRICES | V1


def lie(about_by: int) -> AbstractContextManager[Any]:
    """A node that is wrong about rent, as long as this lasts."""
    ask = Cluster.rent

    async def wrong(self: Any, size: int) -> int:
        return await ask(self, size) + about_by

    return patch.object(Cluster, "rent", wrong)


@pytest.mark.parametrize("wrong_by", [-1_000_000, 1_000_000])
def test_a_rent_that_does_not_hold_is_seen_before_anything_is_signed(
    minting_chain, drain, wrong_by
):
    """It fell or rose since it was asked, or a node lied: what is signed is what is paid."""
    readings = harvest(village(12))
    with lie(wrong_by):
        batch = request_batch([one.id for one in readings], source=BatchSource.CLI, strict=True)
    rent = learned().prices.account_rent - wrong_by
    assert batch.rent_estimate_lamports == 12 * (rent + wrong_by)
    before = minting_chain.lamports()

    with patch.object(wave, "require_rent", wraps=faults.require_rent) as compared:
        drain()

    # The second wave planned with what it had just asked itself: that is what the chain takes.
    assert compared.call_count == 1
    batch.refresh_from_db()
    assert (batch.status, batch.successful_mints) == ("succeeded", 12)
    assert batch.rent_paid_lamports == 12 * rent
    assert before - minting_chain.lamports() == 12 * rent + batch.fee_paid_lamports
    assert MintTransaction.objects.filter(batch=batch).count() == 2
    assert learned().prices.account_rent == rent


def test_no_more_is_paid_than_was_approved_though_all_believed_a_lower_price(
    minting_chain, drain, settings
):
    settings.APPROVAL_ABOVE_KWH = Decimal("0.25")
    ids = [one.id for one in harvest(village(12))]
    with lie(-1_000_000):
        batch = request_batch(ids, source=BatchSource.CLI, strict=True)
    approval = batch.approval
    approver = get_user_model().objects.create_user("approver")
    approving.approve(approval.id, by=approver, digest=bytes(approval.digest))
    before = minting_chain.lamports()

    drain()

    assert approval.fee_cap_lamports < 12 * learned().prices.account_rent
    assert set(batch.results.values_list("error_code", flat=True)) == {"approval_void"}
    assert not MintTransaction.objects.exists()
    assert minting_chain.lamports() == before


def test_what_is_forgotten_is_forgotten_by_all(minting_chain, asked):
    learned()
    with open_session() as session:
        forget_terms(session)
    assert asked(learned) == PRICES


def test_answers_that_nobody_believes_any_more_are_deleted(minting_chain):
    learned()
    ChainAnswer.objects.update(
        nodes="others", believed_until=F("believed_until") - timedelta(days=2)
    )
    learned()
    assert not ChainAnswer.objects.filter(nodes="others").exists()
    assert current().rpc_urls[0] not in str(list(ChainAnswer.objects.values()))


def test_pace_is_told_to_processes_that_have_seen_none(minting_chain, drain):
    request_batch([one.id for one in harvest(village(1))], source=BatchSource.CLI, strict=True)
    with open_session() as session:
        session.pace.is_guess, session.pace.told = True, None
    drain()
    with open_session() as session:
        usual = session.pace.usual
        assert ChainAnswer.objects.get(question=Question.PACE).answer == round(usual, 3)
        session.pace.usual, session.pace.is_guess, session.pace.told = 0.4, True, None
        terms_of(session, inspect_mint(session))
        assert session.pace.usual == pytest.approx(usual, abs=0.001)
        assert not session.pace.is_news
