"""A chain of this room's own, because its tests strike it with faults and make it age."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gridtoken.embedded.faults import FaultPlan
from gridtoken.embedded.localnet import Localnet
from tests.minting.cluster.transactions import AUTHORITY, SLOT_MS, SOL


@pytest.fixture(scope="package")
def own_chain() -> Iterator[Localnet]:
    with Localnet(slot_ms=SLOT_MS) as net:
        net.airdrop(AUTHORITY.pubkey(), 1_000 * SOL)
        yield net


@pytest.fixture
def net(own_chain) -> Iterator[Localnet]:
    yield own_chain
    own_chain.faults = FaultPlan()
    own_chain.resume()
