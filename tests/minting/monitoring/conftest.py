"""Figures that are asked for anew."""

from __future__ import annotations

import pytest

from minting.monitoring import page, work
from minting.monitoring.final import Ledger


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier test asked for is not this one's."""
    page.forget()
    monkeypatch.setattr(work, "_ledger", Ledger())
