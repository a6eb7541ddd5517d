from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gridtoken.embedded.chain.ledger import Ledger
from gridtoken.embedded.chain.rules import Rules
from gridtoken.embedded.localnet import Localnet

from .chain import OPERATOR, SOL, Chain


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    """A chain driven by hand, on which the operator has 100 SOL."""
    ledger = Ledger(tmp_path / "ledger", Rules(skip_one_in=0))
    chain = Chain(ledger)
    chain.fund(OPERATOR.pubkey(), 100 * SOL)
    yield chain
    ledger.close()


@pytest.fixture
def mint_chain(chain: Chain) -> Chain:
    """The same, with a mint of the operator's."""
    chain.create_mint()
    return chain


@pytest.fixture(scope="module")
def net() -> Iterator[Localnet]:
    """A served chain with short slots, on which the operator has 100 SOL."""
    with Localnet(rules=Rules(slot_ms=20, skip_one_in=0)) as running:
        running.airdrop(OPERATOR.pubkey(), 100 * SOL)
        yield running
