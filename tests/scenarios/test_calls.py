"""What a thousand wallets ask of the node, through the queue and workers of their own processes."""

from __future__ import annotations

from collections import Counter

import pytest
from django_q.models import OrmQ

from minting.models import BatchSource, MintBatch
from minting.service.requests.prepare import request_batch
from tests.factories.village import harvest, village
from tests.minting.conftest import minting_chain
from tests.scenarios.test_queue import until, worker

__all__ = ["minting_chain", "worker"]

pytestmark = pytest.mark.django_db(transaction=True)

WALLETS = 1_000
AIM, AIM_NEW = 60, 260
"""Calls, from the request to the last confirmation."""

LOOKS = 3
"""At what flies, for who knows the chain's pace (``test_pace``); more of them are this machine's
load, and so is what had to be sent again."""


def test_sixty_calls_for_a_thousand_wallets_with_accounts(minting_chain, worker):
    """Terms are asked once in all, whoever needs them; the rest is by a hundred or by sixty."""
    villagers = village(WALLETS)

    def calls() -> Counter[str]:
        """For one reading of each."""
        before = minting_chain.net.requests.copy()
        ids = [reading.id for reading in harvest(villagers)]
        batch = request_batch(ids, source=BatchSource.API, strict=True)
        until(lambda: MintBatch.objects.get(id=batch.id).is_final)
        until(lambda: not OrmQ.objects.exists())
        asked: Counter[str] = minting_chain.net.requests - before
        batch.refresh_from_db()
        assert batch.successful_mints == WALLETS
        transactions = batch.transactions.count()
        assert asked["sendTransaction"] >= transactions
        asked["sendTransaction"] = transactions
        assert asked["getSignatureStatuses"] >= 1
        asked["getSignatureStatuses"] = min(asked["getSignatureStatuses"], LOOKS)
        return asked

    new, later = calls(), calls()

    # The first ones besides what workers ask at their start.
    assert new.total() <= AIM_NEW, new
    assert later.total() <= AIM, later
    # Each process asks the cluster's name once; nobody asks for a price, a format or a blockhash.
    assert later.pop("getGenesisHash") <= 2
    looks = later.pop("getSignatureStatuses")
    assert 1 <= looks <= LOOKS
    assert later == {"getMultipleAccounts": 22, "simulateTransaction": 17, "sendTransaction": 17}
