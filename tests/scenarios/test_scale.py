"""Two clusters of two workers on one database: they share the work, and the nodes' patience."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from gridtoken.embedded.faults import FaultPlan, Faults, Reply
from minting.engine import packing
from minting.models import MintBatch, MintSlice, MintTransaction
from minting.service.chain.session import open_session
from minting.service.plan import slices
from tests.minting.cluster.test_throttle import most_in_a_second
from tests.minting.conftest import minting_chain
from tests.scenarios.clusters import until
from tests.scenarios.test_healing import (
    NOTHING_LANDS,
    assert_all_minted_once,
    order,
    start,
    stop,
    until_minted,
)

__all__ = ["minting_chain", "start"]

pytestmark = pytest.mark.django_db(transaction=True)

PER_SECOND = 60

LIMIT = 5
"""``BLOCKCHAIN_CONCURRENT_BATCHES``."""


@pytest.fixture
def child_environment(child_environment: dict[str, str]) -> dict[str, str]:
    """Every process keeps to the same rate."""
    return {**child_environment, "SOLANA_RPC_MAX_PER_SECOND": str(PER_SECOND)}


def shares() -> Counter[str]:
    """Slices by worker."""
    names = MintSlice.objects.filter(status="running").values_list("claimed_by", flat=True)
    return Counter(names)


def test_a_large_batch_is_driven_by_all_workers_of_all_clusters(minting_chain, start, monkeypatch):
    monkeypatch.setattr(packing, "GROUPS_A_TRANSACTION", 2)
    monkeypatch.setattr(slices, "READINGS_A_SLICE", 2)
    clusters = [start(), start()]
    for cluster in clusters:
        cluster.member("monitor")
    minting_chain.net.faults = NOTHING_LANDS

    batch = order(2 * 4 * LIMIT)
    until(lambda: shares().total() == 4 * LIMIT, lambda: str(shares()))

    assert sorted(shares().values()) == [LIMIT] * 4
    minting_chain.net.faults = FaultPlan()
    until_minted(clusters[0], batch)
    assert_all_minted_once(minting_chain)
    for cluster in clusters:
        stop(cluster)


def test_all_processes_together_keep_the_rate_that_the_nodes_allow(
    minting_chain, child_environment, start, settings, monkeypatch
):
    monkeypatch.setattr(packing, "GROUPS_A_TRANSACTION", 2)
    monkeypatch.setattr(slices, "READINGS_A_SLICE", 2)
    settings.SOLANA_RPC_MAX_PER_SECOND = PER_SECOND
    assert child_environment["DATA_DIR"] == str(settings.DATA_DIR)
    moments: list[float] = []
    refused: list[Any] = []
    genuine = Faults.draw

    def noted(self: Faults, body: bytes) -> Any:
        moments.append(time.monotonic())
        fate = genuine(self, body)
        refused.extend([fate] if fate.reply is Reply.TOO_MANY else [])
        return fate

    monkeypatch.setattr(Faults, "draw", noted)
    # A first wave is lost, so that there is something to send again.
    minting_chain.net.faults = FaultPlan(requests_per_second=PER_SECOND, drop=0.5)
    clusters = [start(), start()]
    batch = order(40)
    until(MintTransaction.objects.exists, clusters[0].words)
    while not MintBatch.objects.get(id=batch.id).is_final:
        with open_session() as session:  # a web process that estimates, again and again
            session.run(session.cluster.accounts([minting_chain.mint] * 500))
            session.run(session.cluster.health())
    until_minted(clusters[0], batch)

    assert not refused
    assert most_in_a_second(moments) <= PER_SECOND
    # The limit was felt.
    assert most_in_a_second(moments) >= PER_SECOND / 2
    assert_all_minted_once(minting_chain)
    for cluster in clusters:
        stop(cluster)
