"""Two owners, three readings, and a chain to mint them on."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.crash.scene import Scene
from tests.factories.readings import household, solar_farm
from tests.minting.conftest import drain, minting_chain

__all__ = ["drain", "minting_chain"]


@pytest.fixture
def scene(minting_chain, drain, child_environment) -> Scene:
    at_home, at_farm = household(), solar_farm()
    settings = minting_chain.settings
    return Scene(
        chain=minting_chain,
        drain=drain,
        environment={
            **child_environment,
            "SOLANA_RPC_URL": minting_chain.net.url,
            "MINT_AUTHORITY_KEYPAIR": str(minting_chain.keypair_file),
            "ENERGY_TOKEN_MINT": str(minting_chain.mint),
            "MINT_JOURNAL_DIR": str(settings.MINT_JOURNAL_DIR),
        },
        readings=[
            at_home.reading(kwh_amount=Decimal("0.5")),
            at_home.reading(kwh_amount=Decimal("0.25")),
            at_farm.reading(kwh_amount=Decimal("12.125")),
        ],
    )
