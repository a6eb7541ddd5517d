"""What a day in the back office needs: real workers in processes of their own, and staff."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connections

from gridtoken.embedded.faults import FaultPlan
from tests.minting.conftest import MintingChain
from tests.scenarios.clusters import QueueCluster

T = TypeVar("T")

PASSWORD = "password"


def staff(name: str, *, may_act: bool = True) -> User:
    """Sees everything; unless told otherwise, does everything too."""
    user = User.objects.create_user(name, password=PASSWORD, is_staff=True)
    rights = Permission.objects.filter(content_type__app_label__in=("readings", "minting"))
    user.user_permissions.set(rights if may_act else rights.filter(codename__startswith="view_"))
    return user


def elsewhere(call: Callable[[], T]) -> T:
    """Calls in a thread that has no event loop: what asks the chain needs its own."""

    def and_leave() -> T:
        try:
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(and_leave).result()


class Workers:
    """A ``manage.py qcluster`` that a test starts, stops and starts again."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._environment = environment
        self._folder = folder
        self._started: list[QueueCluster] = []

    def start(self) -> None:
        """Its first worker is there when it returns."""
        log = self._folder / f"cluster-{len(self._started)}.log"
        self._started.append(QueueCluster(self._environment, log))
        self._started[-1].member("only worker")

    def stop(self) -> None:
        """Nothing of it is left."""
        for cluster in self._started:
            cluster.end()

    def words(self) -> str:
        """What the last one logged."""
        return self._started[-1].words()


@pytest.fixture
def workers(
    minting_chain: MintingChain, child_environment: dict[str, str], tmp_path: Path
) -> Iterator[Workers]:
    environment = {
        **child_environment,
        "SOLANA_RPC_URL": minting_chain.net.url,
        "MINT_AUTHORITY_KEYPAIR": str(minting_chain.keypair_file),
        "ENERGY_TOKEN_MINT": str(minting_chain.mint),
        "MINT_JOURNAL_DIR": str(tmp_path / "journal"),
        # Two readings a transaction: a small batch has a progress that is seen.
        "BLOCKCHAIN_MAX_TOKENS_PER_TRANSACTION": "500000000",
        "Q_WORKERS": "1",
    }
    started = Workers(environment, tmp_path)
    minting_chain.settings.BLOCKCHAIN_MAX_TOKENS_PER_TRANSACTION = 500_000_000
    yield started
    minting_chain.net.faults = FaultPlan()
    started.stop()
