"""Two real clusters on one database: what is pending is minted by itself, each reading once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from minting.models import MintBatch, MintResult, Polling, PollingPause
from minting.service.polling import status
from minting.service.polling.switch import pause_polling, resume_polling
from readings.models import MeterReading
from tests.factories.village import harvest, village
from tests.minting.conftest import minting_chain
from tests.scenarios.clusters import QueueCluster, until

__all__ = ["minting_chain"]

pytestmark = pytest.mark.django_db(transaction=True)


def test_two_clusters_poll_as_one(minting_chain, child_environment, tmp_path):
    environment = {
        **child_environment,
        "SOLANA_RPC_URL": minting_chain.net.url,
        "MINT_AUTHORITY_KEYPAIR": str(minting_chain.keypair_file),
        "ENERGY_TOKEN_MINT": str(minting_chain.mint),
        "MINT_JOURNAL_DIR": str(tmp_path / "journal"),
        "Q_WORKERS": "1",
        "TOKENIZATION_AUTO_MINT_ENABLED": "true",
        "TOKENIZATION_POLLING_INTERVAL_SECS": "1",
    }
    people = village(10)
    harvest(people, each=3)
    clusters = [QueueCluster(environment, tmp_path / f"{name}.log") for name in "ab"]

    def words() -> str:
        return "\n".join(each.words() for each in clusters)

    def minted(count: int) -> bool:
        return MeterReading.objects.filter(status="minted").count() == count

    try:
        until(lambda: minted(30), words)
        harvest(people, each=2)
        until(lambda: minted(50), words)
        until(lambda: status.look().is_on, words)
        assert status.look().every.total_seconds() == 1

        pause_polling("a look at the books", by="chief")
        later = timezone.now() + timedelta(seconds=2)
        harvest(people[:1], each=1)
        # Workers were called in vain meanwhile.
        until(Polling.objects.filter(called_at__gt=later).exists, words)
        assert MeterReading.objects.filter(status="pending").count() == 1
        resume_polling(by="chief")
        until(lambda: minted(51), words)
    finally:
        for each in clusters:
            each.end()

    assert PollingPause.objects.get().resumed_by == "chief"
    assert set(MintBatch.objects.values_list("source", flat=True)) == {"poll"}
    assert MintResult.objects.count() == 51
    assert minting_chain.supply() == 51 * 250_000_000
