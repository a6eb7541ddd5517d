"""Figures that are asked for anew."""

from __future__ import annotations

import pytest

from minting.monitoring import page, work
from minting.monitoring.final import Ledger
from minting.service.watch import figures
from minting.service.watch.keeping import Kept


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier test asked for is not this one's."""
    monkeypatch.setattr(page, "_figures", Kept(page.ask_tables))
    monkeypatch.setattr(work, "_ledger", Ledger())
    monkeypatch.setattr(figures, "_backlog", Kept(figures.piles))
    monkeypatch.setattr(figures, "_month", Kept(lambda: figures._days(figures.DAYS)))
