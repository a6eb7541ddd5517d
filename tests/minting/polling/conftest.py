"""A poller that is switched on."""

from __future__ import annotations

import pytest
from pytest_django import Settings


@pytest.fixture(autouse=True)
def switched_on(settings: Settings) -> None:
    settings.TOKENIZATION_AUTO_MINT_ENABLED = True
